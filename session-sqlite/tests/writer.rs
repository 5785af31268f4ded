//! The thread that writes: what stops it, and what does not.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use common::{change, insert, realm, record};
use rusqlite::Connection;
use session_core::{SessionStore, StoreErrorKind};
use session_sqlite::{SqliteOptions, SqliteStore};

/// Keeps everybody else from writing until it is dropped.
fn hold(path: &Path) -> Connection {
    let holder = Connection::open(path).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    holder
}

#[test]
fn nothing_is_written_to_a_schema_that_another_process_has_made_newer() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.db");
    let store = SqliteStore::open(&path).unwrap();
    let known = record();
    insert(&store, &known);
    let other = Connection::open(&path).unwrap();
    for (version, words) in [(7, ["version 7", "version 1"]), (0, ["version 0", "version 1"])] {
        other.pragma_update(None, "user_version", version).unwrap();
        let late = record();
        let write = change().insert(late.clone(), None);
        let error = pollster::block_on(store.commit(&realm(), &write)).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unsupported);
        for word in words {
            assert!(error.to_string().contains(word), "{error}");
        }
        assert!(pollster::block_on(store.load(&realm(), late.id)).unwrap().is_none());
    }
    other.pragma_update(None, "user_version", 1).unwrap();
    insert(&store, &record());
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics");
    }
}

#[test]
fn a_waker_that_panics_stops_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.db");
    let store = SqliteStore::open(&path).unwrap();
    let (default, first, second) =
        (realm(), change().insert(record(), None), change().insert(record(), None));
    let holder = hold(&path);
    let mut panicking = store.commit(&default, &first);
    let waker = Waker::from(Arc::new(Panics));
    assert!(panicking.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let mut beside = store.commit(&default, &second);
    assert!(beside.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(holder);
    assert!(pollster::block_on(beside).unwrap().is_applied());
    assert!(pollster::block_on(panicking).unwrap().is_applied());
    insert(&store, &record());
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Drops what it is to wake, in the thread that wakes.
struct Drops {
    task: Mutex<Option<Task>>,
    dropped: mpsc::Sender<()>,
}

impl Wake for Drops {
    fn wake(self: Arc<Self>) {
        drop(self.task.lock().unwrap().take());
        self.dropped.send(()).unwrap();
    }
}

#[test]
fn a_store_may_be_dropped_by_its_own_writer() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.db");
    let store = SqliteStore::open(&path).unwrap();
    let one = record();
    let id = one.id;
    let holder = hold(&path);
    let task = Box::pin(async move {
        let _ = store.commit(&realm(), &change().insert(one, None)).await;
    });
    let (dropped, told) = mpsc::channel();
    let drops = Arc::new(Drops { task: Mutex::new(Some(task)), dropped });
    let waker = Waker::from(Arc::clone(&drops));
    let polled = drops
        .task
        .lock()
        .unwrap()
        .as_mut()
        .unwrap()
        .as_mut()
        .poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    drop(holder);
    told.recv_timeout(Duration::from_secs(20)).unwrap();
    let store = SqliteStore::open(&path).unwrap();
    assert!(pollster::block_on(store.load(&realm(), id)).unwrap().is_some());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long a drop blocks is real time")]
fn dropping_a_store_waits_for_another_process_only_once() {
    const TIMEOUT: Duration = Duration::from_millis(400);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.db");
    let store = SqliteStore::open_with(&SqliteOptions::new(&path).busy_timeout(TIMEOUT)).unwrap();
    let holder = hold(&path);
    let default = realm();
    for _ in 0..4_000 {
        let write = change().insert(record(), None);
        let mut commit = store.commit(&default, &write);
        assert!(commit.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    let begun = Instant::now();
    drop(store);
    assert!(begun.elapsed() < TIMEOUT * 6, "{:?}", begun.elapsed());
    drop(holder);
}
