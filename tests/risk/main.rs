//! Devices and anomalies, on every store.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use pollster::block_on;
use session_engine::postgres::{PostgresOptions, PostgresStore};
use session_engine::risk::{Agent, Baseline, Mode, Network, Sight, Signals, Verdict, Watch};
use session_engine::store::{EventQuery, Events};
use session_engine::{
    Login, ManualClock, Policy, Realm, Session, SessionStore, SessionToken, Sessions, Subject,
    Timestamp, open,
};

const START: Timestamp = Timestamp::from_millis(1_893_456_000_000);

fn seen(system: &str) -> Sight {
    let agent = Agent { browser: "Firefox".into(), system: system.into(), ..Agent::default() };
    Sight {
        network: Some(Network::of("192.0.2.7".parse().unwrap())),
        agent: Some(agent),
        device: Some(format!("192.0.2.7/{system}")),
        ..Sight::default()
    }
}

fn live(sessions: &Sessions, token: &SessionToken) -> Session {
    block_on(sessions.resume(token)).unwrap().live().unwrap()
}

fn told(sessions: &Sessions, session: &Session) -> Vec<String> {
    let limit = NonZeroUsize::new(100).unwrap();
    let query = EventQuery { session: Some(session.id()), limit, ..EventQuery::default() };
    let Events::Page(page) = block_on(sessions.history(&query, None)).unwrap() else {
        panic!("no cursor was given");
    };
    let kinds = page.events.into_iter().map(|stored| stored.event.kind.code().to_owned());
    kinds.filter(|kind| kind == "device_seen" || kind == Watch::NOTICED).collect()
}

/// A cookie that turns up on another system: it is told once, what was asked for stays asked for, and a proof
/// gives it.
fn a_moved_cookie_is_noticed(store: Arc<dyn SessionStore>) {
    let clock = ManualClock::at(START);
    let sessions = Sessions::builder(store)
        .policy(Policy::default())
        .realm(Realm::new(format!("risk.{}", std::process::id())).unwrap())
        .clock(clock.clone())
        .build();
    let ticket = block_on(sessions.begin_login(&Subject::new("alice").unwrap())).unwrap();
    let token = block_on(sessions.login(&ticket, Login::new("password"))).unwrap().issued();
    let token = token.unwrap().token;
    let watch = Watch::new(Signals::default()).mode(Mode::Enforce);
    let look = |system: &str| {
        clock.advance(Duration::from_secs(1));
        let session = live(&sessions, &token);
        block_on(watch.look(&sessions, &session, &seen(system))).unwrap().live().unwrap()
    };
    assert_eq!(look("Linux").1.verdict, Verdict::Allow);
    assert_eq!(look("Windows").1.verdict, Verdict::StepUp);
    assert_eq!(look("Windows").1.verdict, Verdict::StepUp);
    let (session, step) = look("Linux");
    assert_eq!(step.verdict, Verdict::StepUp, "nobody gets rid of it by going back");
    assert_eq!(told(&sessions, &session), ["device_seen", "device_seen", Watch::NOTICED]);
    let renewed = block_on(watch.renew(&sessions, &session, &seen("Windows"))).unwrap();
    let kept = Baseline::read(renewed.live().unwrap().data().unwrap()).unwrap().unwrap();
    assert_eq!(kept.asked_at(), None);
    assert_eq!(look("Windows").1.verdict, Verdict::Allow, "it was proved there");
}

#[test]
fn a_moved_cookie_is_noticed_in_memory() {
    a_moved_cookie_is_noticed(block_on(open("memory://")).unwrap());
}

#[test]
fn a_moved_cookie_is_noticed_in_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("a.db").display());
    a_moved_cookie_is_noticed(block_on(open(&url)).unwrap());
}

#[test]
fn a_moved_cookie_is_noticed_in_sled() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sled://{}", directory.path().join("a").display());
    a_moved_cookie_is_noticed(block_on(open(&url)).unwrap());
}

/// In a schema of its own, which is gone afterwards.
#[test]
fn a_moved_cookie_is_noticed_in_postgres() {
    let server = std::env::var("SESSION_TEST_POSTGRES")
        .expect("set SESSION_TEST_POSTGRES to the URL of a Postgres server to play with");
    let schema = format!("risk_{}", std::process::id());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    // What the store spawns runs beside the test.
    let _inside = runtime.enter();
    let options = PostgresOptions::new(&server).unwrap().schema(&schema);
    let store = Arc::new(block_on(PostgresStore::open_with(&options)).unwrap());
    let told = catch_unwind(AssertUnwindSafe(|| a_moved_cookie_is_noticed(store)));
    block_on(async {
        let (client, connection) =
            tokio_postgres::connect(&server, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(&format!("DROP SCHEMA {schema} CASCADE")).await.unwrap();
    });
    assert!(told.is_ok(), "on Postgres");
}
