//! The thread that writes: what it does together, what stops it, and what does not.

use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use session_core::store::Touch;
use session_core::{SessionStore, StoreErrorKind};

use super::common::{START, change, insert, realm, record, revocation};
use crate::digest::Tip;
use crate::keys::Keys;
use crate::{SledOptions, SledStore};

fn store() -> (tempfile::TempDir, SledStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = SledStore::open(directory.path().join("sessions.sled")).unwrap();
    (directory, store)
}

fn batches(store: &SledStore) -> u64 {
    store.shared.read(Tip::of).map_err(|failed| failed.error).unwrap().number
}

#[test]
fn writes_that_wait_share_a_batch_and_its_flush() {
    let (_directory, store) = store();
    let (realm, before) = (realm(), batches(&store));
    let changes: Vec<_> = (0..100).map(|_| change().insert(record(), None)).collect();
    // The writer waits as long as somebody changes the state.
    let commits: Vec<_> = store.shared.change(|_| {
        let context = &mut Context::from_waker(Waker::noop());
        let poll = |one| {
            let mut commit = store.commit(&realm, one);
            assert!(commit.as_mut().poll(context).is_pending());
            commit
        };
        changes.iter().map(poll).collect()
    });
    for commit in commits {
        assert!(pollster::block_on(commit).unwrap().is_applied());
    }
    let used = batches(&store) - before;
    assert!(used <= 2, "{used} batches for what waited");
}

#[test]
fn a_touch_alone_makes_no_flush_and_is_seen_at_once() {
    let (_directory, store) = store();
    let known = record();
    insert(&store, &known);
    let before = batches(&store);
    let seen_at = START + Duration::from_secs(60);
    let touch = Touch {
        id: known.id,
        slot: 0,
        seen_at,
        if_after: START - Duration::from_secs(1),
        if_before: START,
    };
    pollster::block_on(store.touch(&realm(), &[touch])).unwrap();
    let stored = pollster::block_on(store.load(&realm(), known.id)).unwrap().unwrap();
    assert_eq!(stored.record.last_seen_at, seen_at);
    assert_eq!(batches(&store), before);
}

#[test]
fn more_writes_than_may_wait() {
    let directory = tempfile::tempdir().unwrap();
    let options =
        SledOptions::new(directory.path().join("sessions.sled")).queue(2.try_into().unwrap());
    let store = SledStore::open_with(&options).unwrap();
    let realm = realm();
    let changes: Vec<_> = (0..400).map(|_| change().insert(record(), None)).collect();
    let mut waiting = Vec::new();
    let refused = store.shared.change(|_| {
        let context = &mut Context::from_waker(Waker::noop());
        let mut refused = 0;
        for one in &changes {
            let mut commit = store.commit(&realm, one);
            match commit.as_mut().poll(context) {
                Poll::Pending => waiting.push(commit),
                Poll::Ready(answer) => {
                    assert_eq!(answer.unwrap_err().kind(), StoreErrorKind::Overloaded);
                    refused += 1;
                }
            }
        }
        refused
    });
    assert!(refused > 0);
    for commit in waiting {
        assert!(pollster::block_on(commit).unwrap().is_applied());
    }
}

#[test]
fn nobody_reads_what_is_not_durable() {
    let (_directory, store) = store();
    let known = record();
    let inserted = change().insert(known.clone(), None);
    assert!(pollster::block_on(store.commit(&realm(), &inserted)).unwrap().is_applied());
    let key = Keys::new(&realm()).record(known.id);
    let before = store.shared.change(|state| state.db.as_ref().unwrap().get(&key).unwrap());
    let end = revocation(&known);
    assert!(pollster::block_on(store.commit(&realm(), &end)).unwrap().is_applied());
    let ended = || {
        let stored = pollster::block_on(store.load(&realm(), known.id)).unwrap().unwrap();
        stored.record.end.is_some()
    };
    assert!(ended());
    // As while it is flushed.
    store.shared.change(|state| state.before.insert(key.clone(), before));
    assert!(!ended());
    store.shared.change(|state| state.before.clear());
    assert!(ended());
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics");
    }
}

#[test]
fn a_waker_that_panics_stops_nothing() {
    let (_directory, store) = store();
    let (realm, first, second) =
        (realm(), change().insert(record(), None), change().insert(record(), None));
    let (panicking, beside) = store.shared.change(|_| {
        let mut panicking = store.commit(&realm, &first);
        let waker = Waker::from(Arc::new(Panics));
        assert!(panicking.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let mut beside = store.commit(&realm, &second);
        assert!(beside.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        (panicking, beside)
    });
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
    let (_directory, store) = store();
    let shared = Arc::clone(&store.shared);
    let one = record();
    let task = Box::pin(async move {
        let _ = store.commit(&realm(), &change().insert(one, None)).await;
    });
    let (dropped, told) = mpsc::channel();
    let drops = Arc::new(Drops { task: Mutex::new(Some(task)), dropped });
    let waker = Waker::from(Arc::clone(&drops));
    shared.change(|_| {
        let mut task = drops.task.lock().unwrap();
        let polled = task.as_mut().unwrap().as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    });
    told.recv_timeout(Duration::from_secs(20)).unwrap();
}

/// A filter that leaves out more than is read at once.
#[test]
fn events_are_read_in_stretches() {
    use session_core::store::{EventQuery, Events, Order};
    use session_core::{Actor, Event, EventKind};
    let (_directory, store) = store();
    for round in 0..3 {
        let kinds = [EventKind::Issued, EventKind::Ended];
        let told = (0..1_500).fold(change(), |change, number: usize| {
            let kind = kinds[usize::from(number == 700)].clone();
            change.event(Event::new(kind, Actor::System, START + Duration::from_secs(round)))
        });
        assert!(pollster::block_on(store.commit(&realm(), &told)).unwrap().is_applied());
    }
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let query = EventQuery {
            kinds: vec![EventKind::Ended],
            limit: 2.try_into().unwrap(),
            order,
            ..EventQuery::default()
        };
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let answer = pollster::block_on(store.events(&realm(), &query, after.as_ref()));
            let Events::Page(page) = answer.unwrap() else { panic!("nothing was purged") };
            found.extend(page.events.into_iter().map(|stored| stored.sequence));
            after = page.next;
            if !page.more {
                break;
            }
        }
        if order == Order::NewestFirst {
            found.reverse();
        }
        assert_eq!(found, [701, 2_201, 3_701]);
    }
}
