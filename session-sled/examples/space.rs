//! How much of the disk sled takes while sessions come and go.
//!
//! `cargo run --release -p session-sled --example space -- [CYCLES] [LIVING] [DIRECTORY]`
//!
//! A cycle is a login and the end of the oldest session, each with its event, and the removal of what is an hour
//! old: a cycle is as long as it takes to have LIVING sessions in half an hour. Prints a table.

use std::collections::VecDeque;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Duration;

use session_core::{
    Actor, Change, ChangeId, ClassName, Data, DataLimits, DataWrite, End, Event, EventKind, Fence,
    Limits, Realm, Reason, Record, Replacement, SecretHash, SessionId, SessionStore, Subject,
    SystemRandom, Timestamp,
};
use session_sled::{Durability, SledOptions, SledStore};

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const HALF_AN_HOUR: Duration = Duration::from_secs(1_800);
const TOGETHER: u64 = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let cycles: u64 = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let living: u64 = arguments.next().map_or(Ok(10_000), |text| text.parse())?;
    let temporary = std::env::temp_dir().join(format!("session-sled-space-{}", std::process::id()));
    let directory = arguments.next().map_or(temporary, Into::into);
    let path = directory.join("sessions.sled");
    fs::create_dir_all(&directory)?;
    // What it costs in room is the same without a sync.
    let options = SledOptions::new(&path).durability(Durability::Normal).min_free(0);
    let mut store = SledStore::open_with(&options)?;
    let mut traffic = Traffic { living, ..Traffic::default() };
    println!("{living} living sessions, and as many dead ones and their events");
    println!("{:>10}  {:>12}  {:>12}", "cycles", "in use, MiB", "reopened");
    let step = (cycles / 10).max(TOGETHER);
    while traffic.cycles < cycles {
        for _ in 0..step / TOGETHER {
            pollster::block_on(traffic.go_on(&store))?;
        }
        let used = size(&path)?;
        drop(store);
        store = SledStore::open_with(&options)?;
        println!("{:>10}  {:>12.1}  {:>12.1}", traffic.cycles, used, size(&path)?);
    }
    let copy = directory.join("copy.sled");
    let keys = store.copy_to(&copy)?;
    println!("a copy of its {keys} keys takes {:.1} MiB", size(&copy)?);
    drop(store);
    fs::remove_dir_all(&path)?;
    fs::remove_dir_all(&copy)?;
    Ok(())
}

#[derive(Default)]
struct Traffic {
    living: u64,
    cycles: u64,
    sessions: VecDeque<Record>,
}

impl Traffic {
    fn now(&self) -> Timestamp {
        let millis = HALF_AN_HOUR.as_millis() as u64 * self.cycles / self.living.max(1);
        START + Duration::from_millis(millis)
    }

    /// Some cycles, handed over at once as by so many callers.
    async fn go_on(&mut self, store: &SledStore) -> Result<(), Box<dyn Error>> {
        let (realm, now) = (Realm::default(), self.now());
        let mut changes = Vec::new();
        for _ in 0..TOGETHER {
            let subject = Subject::new(format!("user-{}", self.cycles % self.living.max(1)))?;
            let version = store.marks(&realm, Some(&subject)).await?.subject.version;
            let record = record(subject.clone(), now)?;
            let mut data = Data::default();
            data.set("basket", "some two hundred bytes, ".repeat(8))?;
            let data = data.encode(&DataLimits::default())?;
            let change = Change::new(ChangeId::new(&SystemRandom)?)
                .insert_fenced(record.clone(), Some(data), &Fence { subject, version })
                .event(event(&record, EventKind::LoggedIn, now));
            changes.push(change);
            self.sessions.push_back(record);
            if self.sessions.len() as u64 > self.living
                && let Some(oldest) = self.sessions.pop_front()
            {
                changes.push(end(oldest, now)?);
            }
            self.cycles += 1;
        }
        for outcome in store.commit_each(&realm, &changes).await? {
            if !outcome.is_applied() {
                return Err(format!("{outcome:?}").into());
            }
        }
        store.purge(&realm, now, std::num::NonZeroUsize::MAX).await?;
        Ok(())
    }
}

fn record(subject: Subject, now: Timestamp) -> Result<Record, Box<dyn Error>> {
    let limits = Limits { idle_timeout: Some(HALF_AN_HOUR), ..Limits::NONE };
    let id = SessionId::new(now, &SystemRandom)?;
    let secret = SecretHash::from_bytes([7; 32]);
    let mut record = Record::new(id, secret, ClassName::new("browser")?, limits, now);
    record.subject = Some(subject);
    record.due_at = now + HALF_AN_HOUR;
    Ok(record)
}

fn end(record: Record, now: Timestamp) -> Result<Change, Box<dyn Error>> {
    let purge_at = now + HALF_AN_HOUR;
    let (reason, actor) = (Reason::SignedOut, Actor::Subject);
    let told = event(&record, EventKind::Ended, now);
    let end = End { reason, actor, at: now, observed_at: now, purge_at };
    let replacement = Replacement {
        record: Record { end: Some(end), ..record },
        expected: 1,
        data: DataWrite::Drop,
        decided_on: None,
    };
    Ok(Change::new(ChangeId::new(&SystemRandom)?).replace(replacement).event(told))
}

fn event(record: &Record, kind: EventKind, now: Timestamp) -> Event {
    Event {
        session: Some(record.id),
        subject: record.subject.clone(),
        purge_at: now + 2 * HALF_AN_HOUR,
        ..Event::new(kind, Actor::Subject, now)
    }
}

/// Of all files in a directory, in MiB.
fn size(directory: &Path) -> std::io::Result<f64> {
    let mut total = 0.0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let known = entry.metadata()?;
        total += if known.is_dir() {
            size(&entry.path())?
        } else if entry.file_name() == "reserve" {
            0.0
        } else {
            known.len() as f64 / f64::from(1 << 20)
        };
    }
    Ok(total)
}
