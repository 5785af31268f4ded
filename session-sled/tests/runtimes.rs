//! The store needs no runtime, and works under any.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::sync::Arc;

use common::{change, realm, record};
use session_core::SessionStore;
use session_core::store::Touch;
use session_sled::SledStore;

/// Many writes at once, each read back.
async fn exercise(store: Arc<SledStore>) {
    let record = record();
    let inserted = change().insert(record.clone(), None);
    assert!(store.commit(&realm(), &inserted).await.unwrap().is_applied());
    let touch = Touch {
        id: record.id,
        slot: 0,
        seen_at: common::START + std::time::Duration::from_secs(60),
        if_after: session_core::Timestamp::MIN,
        if_before: common::START,
    };
    store.touch(&realm(), &[touch]).await.unwrap();
    let stored = store.load(&realm(), record.id).await.unwrap().unwrap();
    assert_eq!(stored.record.last_seen_at, touch.seen_at);
}

fn store() -> (tempfile::TempDir, Arc<SledStore>) {
    let directory = tempfile::tempdir().unwrap();
    let store = SledStore::open(directory.path().join("sessions.sled")).unwrap();
    (directory, Arc::new(store))
}

#[test]
fn under_tokio() {
    let (_directory, store) = store();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..64).map(|_| tokio::spawn(exercise(Arc::clone(&store)))).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn under_tokio_on_one_thread() {
    let (_directory, store) = store();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..64).map(|_| tokio::spawn(exercise(Arc::clone(&store)))).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn under_smol() {
    let (_directory, store) = store();
    smol::block_on(async {
        let tasks: Vec<_> = (0..64).map(|_| smol::spawn(exercise(Arc::clone(&store)))).collect();
        for task in tasks {
            task.await;
        }
    });
}

#[test]
fn on_plain_threads() {
    let (_directory, store) = store();
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| pollster::block_on(exercise(Arc::clone(&store))));
        }
    });
}

#[test]
fn a_write_whose_future_was_dropped_is_whole_and_dropping_the_store_waits_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.sled");
    let store = SledStore::open(&path).unwrap();
    let (never, started) = (record(), record());
    let (unpolled, polled) =
        (change().insert(never.clone(), None), change().insert(started.clone(), None));
    let realm = realm();
    drop(store.commit(&realm, &unpolled));
    let mut commit = store.commit(&realm, &polled);
    let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
    let _ = commit.as_mut().poll(context);
    drop(commit);
    drop(store);
    let store = SledStore::open(&path).unwrap();
    assert!(pollster::block_on(store.load(&realm, never.id)).unwrap().is_none());
    assert!(pollster::block_on(store.load(&realm, started.id)).unwrap().is_some());
}
