//! What a store costs through the engine, for one caller and for 64 at once: in memory, and in an SQLite file with every
//! commit flushed to the disk.
#![expect(clippy::unwrap_used, reason = "the inputs are fixed and right")]

use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use pollster::block_on;
use session_core::{
    Actor, Answer, Class, Clock, Issued, Login, ManualClock, MemoryStore, Policy, Reason,
    SessionStore, Sessions, Subject, Timestamp,
};
use session_sqlite::SqliteStore;

criterion_group! {
    name = stores;
    config = Criterion::default().measurement_time(Duration::from_secs(3));
    targets = memory, sqlite
}
criterion_main!(stores);

fn memory(c: &mut Criterion) {
    workloads(&mut c.benchmark_group("memory"), Arc::new(MemoryStore::new()));
}

fn sqlite(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("sessions.db")).unwrap();
    workloads(&mut c.benchmark_group("sqlite, durable"), Arc::new(store));
}

/// Sessions that are there before anything is measured.
const CROWD: usize = 1_000;

fn workloads(group: &mut BenchmarkGroup<'_, WallTime>, store: Arc<dyn SessionStore>) {
    let clock = ManualClock::at(Timestamp::from_millis(1_800_000_000_000));
    // The clock runs through years of requests: only the idle timeout may matter.
    let century = Duration::from_secs(100 * 365 * 86_400);
    let class = Class::new(century).idle(Duration::from_secs(1_800));
    let policy = Policy::builder().class("browser", class).build().unwrap();
    let sessions = Sessions::builder(store).policy(policy).clock(clock.clone()).build();
    let crowd: Vec<Issued> = (0..CROWD).map(|n| login(&sessions, &format!("user {n}"))).collect();
    for issued in &crowd {
        resume(&sessions, issued);
    }

    let mut turn = crowd.iter().cycle();
    group.bench_function("resume, nothing due", |b| {
        b.iter(|| resume(&sessions, turn.next().unwrap()));
    });
    group.bench_function("resume, a touch due", |b| {
        b.iter(|| {
            clock.set(clock.now() + Duration::from_millis(60));
            resume(&sessions, turn.next().unwrap());
        });
    });
    group.bench_function("update one key", |b| {
        let session = block_on(sessions.resume(&crowd[0].token)).unwrap().live().unwrap();
        let mut n = 0_u64;
        b.iter(|| {
            n += 1;
            let edited = block_on(sessions.update(&session, |data| data.set("n", n))).unwrap();
            assert!(edited.live().is_some());
        });
    });
    group.bench_function("login", |b| {
        let mut n = 0_u64;
        b.iter(|| {
            n += 1;
            login(&sessions, &format!("newcomer {n}"))
        });
    });
    // Their commits share a sync: to be compared with 64 times the line above.
    group.bench_function("64 logins at once", |b| {
        let mut n = 0_u64;
        b.iter(|| {
            n += 1;
            std::thread::scope(|scope| {
                for caller in 0..64 {
                    let sessions = &sessions;
                    scope.spawn(move || login(sessions, &format!("crowd {n} {caller}")));
                }
            });
        });
    });
    group.bench_function("login and revoke", |b| {
        let mut n = 0_u64;
        b.iter(|| {
            n += 1;
            let issued = login(&sessions, &format!("guest {n}"));
            let id = issued.session.id();
            block_on(sessions.revoke(id, Reason::SignedOut, Actor::Subject)).unwrap()
        });
    });
}

fn login(sessions: &Sessions, name: &str) -> Issued {
    block_on(async {
        let ticket = sessions.begin_login(&Subject::new(name).unwrap()).await.unwrap();
        sessions.login(&ticket, Login::new("password")).await.unwrap().issued().unwrap()
    })
}

fn resume(sessions: &Sessions, issued: &Issued) {
    let answer = block_on(sessions.resume(&issued.token)).unwrap();
    assert!(matches!(answer, Answer::Live(_)));
}
