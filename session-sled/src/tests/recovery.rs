//! A database that was closed after an error.

use session_core::SessionStore;

use super::check;
use super::common::{change, insert, login, realm, record, record_of};
use crate::SledStore;

/// As after an error of sled's.
fn closed() -> (tempfile::TempDir, SledStore, session_core::Record) {
    let directory = tempfile::tempdir().unwrap();
    let store = SledStore::open(directory.path().join("sessions.sled")).unwrap();
    let known = record();
    insert(&store, &known);
    let db = store.shared.change(|state| state.db.take());
    assert!(crate::flush::close(db.unwrap()));
    (directory, store, known)
}

#[test]
fn a_write_opens_it_again() {
    let (_directory, store, known) = closed();
    let late = record();
    let written = change().insert(late.clone(), None);
    assert!(pollster::block_on(store.commit(&realm(), &written)).unwrap().is_applied());
    for id in [known.id, late.id] {
        assert!(pollster::block_on(store.load(&realm(), id)).unwrap().is_some());
    }
    check(&store, &realm());
}

#[test]
fn a_read_opens_it_again() {
    let (_directory, store, known) = closed();
    let stored = pollster::block_on(store.load(&realm(), known.id)).unwrap().unwrap();
    assert_eq!(stored.record, known);
    let alice = record_of("alice");
    assert!(pollster::block_on(store.commit(&realm(), &login(&alice, 0))).unwrap().is_applied());
    check(&store, &realm());
}

#[test]
fn while_it_cannot_be_opened_everything_is_an_error_and_then_it_goes_on() {
    let (directory, store, known) = closed();
    let (path, aside) = (directory.path().join("sessions.sled"), directory.path().join("aside"));
    std::fs::rename(&path, &aside).unwrap();
    let written = change().insert(record(), None);
    for _ in 0..3 {
        pollster::block_on(store.load(&realm(), known.id)).unwrap_err();
        pollster::block_on(store.commit(&realm(), &written)).unwrap_err();
    }
    std::fs::rename(&aside, &path).unwrap();
    assert!(pollster::block_on(store.load(&realm(), known.id)).unwrap().is_some());
    assert!(pollster::block_on(store.commit(&realm(), &written)).unwrap().is_applied());
    check(&store, &realm());
}
