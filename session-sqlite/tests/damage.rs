//! Files with damaged bytes: every question gets an answer or a typed error, and the writer lives on.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use common::{change, login, realm, record, record_of, revocation, subject};
use session_core::store::{EventQuery, ListQuery};
use session_core::{Record, SessionStore, StoreError, StoreErrorKind, Timestamp};
use session_sqlite::{Durability, SqliteOptions, SqliteStore};

const DAMAGES: u64 = 400;

#[test]
fn damaged_bytes_are_errors_at_worst() {
    let directory = tempfile::tempdir().unwrap();
    let (sound, damaged) = (directory.path().join("sound.db"), directory.path().join("damaged.db"));
    let records = fill(&sound);
    let bytes = fs::read(&sound).unwrap();
    let (mut refused, mut chance) = (0, 0x9e37_79b9_7f4a_7c15_u64);
    for _ in 0..DAMAGES {
        let mut bytes = bytes.clone();
        for _ in 0..4 {
            // The same damages every time (xorshift64).
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            let at = usize::try_from(chance >> 8).unwrap() % bytes.len();
            bytes[at] ^= u8::try_from(chance & 0xff).unwrap() | 1;
        }
        for beside in ["damaged.db-wal", "damaged.db-shm"] {
            let _ = fs::remove_file(directory.path().join(beside));
        }
        fs::write(&damaged, &bytes).unwrap();
        refused += usize::from(!ask_everything(&damaged, &records));
    }
    assert!(refused > 0, "no damage was noticed");
}

fn fill(path: &Path) -> Vec<Record> {
    let store = SqliteStore::open(path).unwrap();
    let records: Vec<Record> = (0..40).map(|n| record_of(&format!("subject {}", n % 8))).collect();
    for (n, record) in records.iter().enumerate() {
        let version = u64::try_from(n / 8).unwrap();
        let done = pollster::block_on(store.commit(&realm(), &login(record, version)));
        assert!(done.unwrap().is_applied());
        if n % 3 == 0 {
            let done = pollster::block_on(store.commit(&realm(), &revocation(record)));
            assert!(done.unwrap().is_applied());
        }
    }
    records
}

/// Whether every answer was one; an error has to be one that says what is wrong.
fn ask_everything(path: &Path, records: &[Record]) -> bool {
    let options = SqliteOptions::new(path).durability(Durability::Normal);
    let store = match SqliteStore::open_with(&options) {
        Ok(store) => store,
        Err(error) => return sound::<()>(Err(error)),
    };
    let (realm, hundred) = (realm(), NonZeroUsize::new(100).unwrap());
    pollster::block_on(async {
        let mut well = true;
        for record in records {
            well &= sound(store.load(&realm, record.id).await);
        }
        let everyone = ListQuery { with_ended: true, ..ListQuery::default() };
        well &= sound(store.list(&realm, &everyone, None).await);
        well &= sound(store.due(&realm, Timestamp::MAX, None, hundred).await);
        well &= sound(store.below_epoch(&realm, None, hundred).await);
        well &= sound(store.events(&realm, &EventQuery::default(), None).await);
        well &= sound(store.marks(&realm, Some(&subject("subject 1"))).await);
        well &= sound(store.commit(&realm, &change().insert(record(), None)).await);
        well &= sound(store.purge(&realm, Timestamp::MAX, hundred).await);
        well &= sound(store.erase(&realm, &subject("subject 1"), hundred).await);
        well
    })
}

fn sound<T>(answer: Result<T, StoreError>) -> bool {
    use StoreErrorKind::{Corrupt, Invalid, StorageFull, Unavailable, Unsupported};
    match answer {
        Ok(_) => true,
        Err(error) => {
            let kinds = [Corrupt, Invalid, StorageFull, Unavailable, Unsupported];
            assert!(kinds.contains(&error.kind()), "{error:?}");
            assert!(!error.to_string().contains("writer has stopped"), "{error:?}");
            false
        }
    }
}
