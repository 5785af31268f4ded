//! A disk that fails or does not answer.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use session_core::{SessionStore, StoreErrorKind};

use super::check;
use super::common::{change, data, insert, realm, record};
use crate::error::{Fault, guarded};
use crate::files::Files;
use crate::flush::{Disk, WAKE};
use crate::open::database;
use crate::{SledOptions, SledStore, Verify};

/// Does what it is told.
#[derive(Default)]
struct Told {
    /// Whether flushes find no room.
    full: Mutex<bool>,
    /// The next syncs fail in these ways, the last one first.
    syncs: Mutex<Vec<io::ErrorKind>>,
    hangs: Mutex<bool>,
    moved: Condvar,
}

impl Told {
    fn fails(&self, kinds: &[io::ErrorKind]) {
        *self.syncs.lock().unwrap() = kinds.to_vec();
    }

    fn hangs(&self, hangs: bool) {
        *self.hangs.lock().unwrap() = hangs;
        self.moved.notify_all();
    }
}

impl Disk for Told {
    fn flush(&self, db: &sled::Db) -> Result<(), Fault> {
        let hangs = self.hangs.lock().unwrap();
        drop(self.moved.wait_while(hangs, |hangs| *hangs).unwrap());
        if *self.full.lock().unwrap() {
            return Err(io::Error::from(io::ErrorKind::StorageFull).into());
        }
        guarded(|| Ok(db.flush().map(drop)?))
    }

    fn sync(&self, files: &mut Files) -> io::Result<()> {
        match self.syncs.lock().unwrap().pop() {
            Some(kind) => Err(kind.into()),
            None => files.sync(),
        }
    }

    /// Nobody waits long for what is known to hang.
    fn wake_after(&self) -> Duration {
        if *self.hangs.lock().unwrap() { Duration::from_millis(1) } else { WAKE }
    }
}

fn store() -> (tempfile::TempDir, SledStore, Arc<Told>) {
    let directory = tempfile::tempdir().unwrap();
    let disk = Arc::new(Told::default());
    let options = SledOptions::new(directory.path().join("sessions.sled"));
    let store = SledStore::open_on(&options, disk.clone()).unwrap();
    (directory, store, disk)
}

/// Whether a store says of itself that it was closed in good order.
fn is_closed(path: &Path) -> bool {
    std::fs::read(path.join("committed")).unwrap()[8..16] != [0; 8]
}

#[test]
fn a_sync_that_fails_leaves_the_outcome_unknown() {
    let (_directory, store, disk) = store();
    let known = record();
    let written = change().insert(known.clone(), None);
    disk.fails(&[io::ErrorKind::Other]);
    let error = pollster::block_on(store.commit(&realm(), &written)).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::OutcomeUnknown, "{error}");
    assert!(pollster::block_on(store.commit(&realm(), &written)).unwrap().is_applied());
    assert_eq!(check(&store, &realm()), 1);
    let path = store.path().to_owned();
    drop(store);
    assert!(!is_closed(&path), "the disk may have lost something");
    let store = SledStore::open(&path).unwrap();
    assert!(pollster::block_on(store.load(&realm(), known.id)).unwrap().is_some());
    drop(store);
    assert!(is_closed(&path), "everything was looked at");
}

#[test]
fn a_sync_that_finds_no_room_is_tried_again() {
    let (_directory, store, disk) = store();
    disk.fails(&[io::ErrorKind::StorageFull]);
    insert(&store, &record());
    // And once more when the store is opened again for it.
    let late = record();
    let written = change().insert(late.clone(), None);
    disk.fails(&[io::ErrorKind::StorageFull, io::ErrorKind::StorageFull]);
    match pollster::block_on(store.commit(&realm(), &written)) {
        Ok(outcome) => assert!(outcome.is_applied()),
        Err(error) => assert_eq!(error.kind(), StoreErrorKind::OutcomeUnknown, "{error}"),
    }
    assert!(pollster::block_on(store.commit(&realm(), &written)).unwrap().is_applied());
    assert_eq!(check(&store, &realm()), 2);
}

#[test]
fn a_disk_that_does_not_answer_for_long_is_an_error_until_it_does() {
    let (_directory, store, disk) = store();
    let known = record();
    insert(&store, &known);
    disk.hangs(true);
    let written = change().insert(record(), None);
    let error = pollster::block_on(store.commit(&realm(), &written)).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::OutcomeUnknown, "{error}");
    for _ in 0..3 {
        let error = pollster::block_on(store.load(&realm(), known.id)).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
        pollster::block_on(store.commit(&realm(), &written)).unwrap_err();
    }
    disk.hangs(false);
    while pollster::block_on(store.commit(&realm(), &written)).is_err() {
        std::thread::yield_now();
    }
    assert!(pollster::block_on(store.load(&realm(), known.id)).unwrap().is_some());
    assert_eq!(check(&store, &realm()), 2);
}

#[test]
fn a_store_that_is_dropped_while_the_disk_does_not_answer() {
    let (_directory, store, disk) = store();
    let path = store.path().to_owned();
    disk.hangs(true);
    pollster::block_on(store.commit(&realm(), &change().insert(record(), None))).unwrap_err();
    drop(store);
    let error = SledStore::open(&path).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    assert!(!is_closed(&path));
    disk.hangs(false);
    let store = loop {
        match SledStore::open(&path) {
            Ok(store) => break store,
            Err(error) => assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}"),
        }
        std::thread::yield_now();
    };
    check(&store, &realm());
}

#[test]
fn it_is_noted_whether_a_store_was_closed_in_good_order() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.sled");
    let store = SledStore::open(&path).unwrap();
    insert(&store, &record());
    assert!(!is_closed(&path));
    let copy = directory.path().join("copy");
    store.copy_to(&copy).unwrap();
    assert!(is_closed(&copy));
    drop(store);
    assert!(is_closed(&path));
    let store = SledStore::open(&path).unwrap();
    assert!(!is_closed(&path), "before anything is written");
    drop(store);
    assert!(is_closed(&path));
}

/// Nothing is missing in what was not looked at, as far as anybody knows: that is not enough.
#[test]
fn what_was_not_looked_at_is_not_said_to_be_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.sled");
    let known = record();
    insert(&SledStore::open(&path).unwrap(), &known);
    let key = crate::keys::Keys::new(&realm()).record(known.id);
    database(&SledOptions::new(&path)).unwrap().remove(key).unwrap().unwrap();
    drop(SledStore::open_with(&SledOptions::new(&path).verify(Verify::Never)).unwrap());
    assert!(!is_closed(&path));
    let error = SledStore::open(&path).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
}

/// The store cannot be opened again after an error, and the process ends.
#[test]
fn half_a_batch_is_taken_back_by_the_next_process() {
    let (_directory, store, disk) = store();
    let path = store.path().to_owned();
    let (known, lost) = (record(), record());
    insert(&store, &known);
    *disk.full.lock().unwrap() = true;
    let written = change().insert(lost.clone(), Some(data("lost")));
    let error = pollster::block_on(store.commit(&realm(), &written)).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::OutcomeUnknown, "{error}");
    drop(store);
    assert!(path.join("undo").exists());
    let key = crate::keys::Keys::new(&realm()).data(lost.id, 0);
    database(&SledOptions::new(&path)).unwrap().remove(key).unwrap().unwrap();
    let store = SledStore::open(&path).unwrap();
    assert!(!path.join("undo").exists());
    assert!(pollster::block_on(store.load(&realm(), lost.id)).unwrap().is_none());
    assert!(pollster::block_on(store.load(&realm(), known.id)).unwrap().is_some());
    assert_eq!(check(&store, &realm()), 1);
    assert!(pollster::block_on(store.commit(&realm(), &written)).unwrap().is_applied());
}
