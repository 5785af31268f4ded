//! A process that dies between a change and the hook that was to tell of it: who follows the history from a cursor misses
//! nothing.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use postgres_cluster::Schema;
use session_core::store::{Cursor, EventQuery, Events};
use session_core::{Actor, ChangeId, Event, Hook, Login, Realm, Reason, Sessions};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{child, place};

#[test]
fn nothing_is_missed_over_sqlite() {
    let directory = TempDir::new().unwrap();
    let url = format!("sqlite://{}", directory.path().join("sessions.db").display());
    nothing_is_missed(directory.path(), &url);
}

#[test]
fn nothing_is_missed_over_sled() {
    let directory = TempDir::new().unwrap();
    let url = format!("sled://{}", directory.path().join("sessions").display());
    nothing_is_missed(directory.path(), &url);
}

#[test]
fn nothing_is_missed_over_postgres() {
    let directory = TempDir::new().unwrap();
    let schema = Schema::new("subscriber");
    nothing_is_missed(directory.path(), &schema.url());
}

/// How often the process dies.
const DEATHS: usize = 8;

/// Writes down each event that it is told of; but at one of them its process dies before it can.
#[derive(Debug)]
struct Mortal {
    file: PathBuf,
    left: AtomicU64,
}

impl Hook for Mortal {
    fn event(&self, change: ChangeId, event: &Event) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            std::process::abort();
        }
        let mut file = OpenOptions::new().create(true).append(true).open(&self.file).unwrap();
        writeln!(file, "{}", key(change, event)).unwrap();
    }
}

/// What an event is known by that is told twice.
fn key(change: ChangeId, event: &Event) -> String {
    format!("{change:?} {} {:?}", event.kind, event.session)
}

/// What the child does, until it dies.
pub(crate) async fn live(url: &str, file: &str, events: &str) {
    let mortal = Mortal { file: file.into(), left: AtomicU64::new(events.parse().unwrap()) };
    let store = place::open(url).await.unwrap();
    let sessions = Sessions::builder(store).policy(place::policy()).hook(mortal).build();
    let alice = place::subject("alice");
    loop {
        let ticket = sessions.begin_login(&alice).await.unwrap();
        let login = Login::new("password").class(place::one());
        let issued = sessions.login(&ticket, login).await.unwrap().issued().unwrap();
        let _ = sessions.resume(&issued.token).await.unwrap();
        let _ = sessions
            .revoke(issued.session.id(), Reason::EndedByAdministrator, Actor::System)
            .await
            .unwrap();
    }
}

fn nothing_is_missed(directory: &Path, url: &str) {
    let file = directory.join("told");
    let runtime = Runtime::new().unwrap();
    let (mut delivered, mut cursor, mut missed) = (BTreeSet::new(), None, 0);
    for _ in 0..DEATHS {
        std::fs::write(&file, "").unwrap();
        let events = (1 + place::random(25)).to_string();
        let told_in = file.display().to_string();
        let child = child::start("subscribe", url, &[("FILE", &told_in), ("EVENTS", &events)]);
        let ended = child.wait_with_output().unwrap();
        assert!(!ended.status.success(), "it dies at a hook");
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            assert!(delivered.insert(line.to_owned()), "told twice: {line}");
        }
        missed += runtime.block_on(follow(url, &mut cursor, &mut delivered));
    }
    assert!(missed >= DEATHS, "each death has kept one back at least, and {missed} were");
    let mut all = BTreeSet::new();
    runtime.block_on(follow(url, &mut None, &mut all));
    assert_eq!(delivered, all, "all of it, and nothing else");
}

/// Delivers what has happened since the cursor and was not delivered, and says how much that is.
async fn follow(url: &str, cursor: &mut Option<String>, delivered: &mut BTreeSet<String>) -> usize {
    let sessions = place::engine(place::open(url).await.unwrap(), &Realm::default());
    let mut missed = 0;
    loop {
        let after: Option<Cursor> = cursor.as_ref().map(|text| text.parse().unwrap());
        let Events::Page(page) =
            sessions.history(&EventQuery::default(), after.as_ref()).await.unwrap()
        else {
            panic!("nothing was removed");
        };
        for stored in page.events {
            missed += usize::from(delivered.insert(key(stored.change, &stored.event)));
        }
        if let Some(next) = page.next {
            *cursor = Some(next.to_string());
        }
        if !page.more {
            return missed;
        }
    }
}
