//! Directories with damaged files: every question gets what was acknowledged or a typed error, and nothing hangs.
//!
//! `SESSION_SLED_DAMAGES=5000 cargo test -p session-sled --test damage` tries more of them.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use common::{change, data, login, realm, record, record_of, revocation, subject};
use session_core::store::{EventQuery, ListQuery};
use session_core::{Record, SessionStore, StoreError, StoreErrorKind, Timestamp};
use session_sled::{Durability, SledOptions, SledStore, Verify};

/// The same bytes every time (xorshift64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 8
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next()).unwrap() % bound
    }
}

#[test]
fn damaged_bytes_are_errors_at_worst() {
    let directory = tempfile::tempdir().unwrap();
    let (sound, damaged) = (directory.path().join("sound"), directory.path().join("damaged"));
    let records = fill(&sound);
    // Where there is something: most of the log is still empty.
    let written = {
        let log = fs::read(sound.join("db")).unwrap();
        log.iter().rposition(|byte| *byte != 0).unwrap() + 1
    };
    let names: Vec<_> = fs::read_dir(&sound)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| fs::metadata(sound.join(name)).unwrap().len() > 0)
        .filter(|name| sound.join(name).is_file() && name != "reserve")
        .collect();
    assert!(names.len() >= 4, "{names:?}");
    let (mut refused, mut chance) = (0, Chance(0x9e37_79b9_7f4a_7c15));
    let damages = std::env::var("SESSION_SLED_DAMAGES").map_or(200, |most| most.parse().unwrap());
    for number in 0..damages {
        let _ = fs::remove_dir_all(&damaged);
        copy(&sound, &damaged);
        // Mostly the log, and sometimes the others.
        let name = match chance.below(3) {
            0 => names[chance.below(names.len())].clone(),
            _ => "db".into(),
        };
        let mut bytes = fs::read(damaged.join(&name)).unwrap();
        let length = if name == "db" { written } else { bytes.len() };
        match chance.below(8) {
            0 => bytes.truncate(chance.below(length)),
            1 => {
                let from = chance.below(length);
                let to = (from + 4_096).min(bytes.len());
                bytes[from..to].fill(0);
            }
            _ => {
                for _ in 0..=chance.below(4) {
                    let at = chance.below(length);
                    bytes[at] ^= u8::try_from(chance.next() & 0xff).unwrap() | 1;
                }
            }
        }
        fs::write(damaged.join(&name), &bytes).unwrap();
        let well = ask_everything(&damaged, &records, true);
        // Without the look at everything, what is missing may be missed; nothing else goes wrong.
        let _ = fs::remove_dir_all(&damaged);
        copy(&sound, &damaged);
        fs::write(damaged.join(&name), &bytes).unwrap();
        ask_everything(&damaged, &records, false);
        println!("{number} {name:?} {well}");
        refused += usize::from(!well);
    }
    assert!(refused > 0, "no damage was noticed");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if entry.file_name() != "reserve" {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn fill(path: &Path) -> Vec<(Record, bool)> {
    let mut records = Vec::new();
    // Opened again in between, so that there is a snapshot with more behind it.
    for round in 0..2 {
        let store = SledStore::open(path).unwrap();
        for n in 0..40 {
            let record = record_of(&format!("subject {}", n % 8));
            let version = round * 5 + n / 8;
            let done = pollster::block_on(store.commit(&realm(), &login(&record, version)));
            assert!(done.unwrap().is_applied());
            if n % 3 == 0 {
                let done = pollster::block_on(store.commit(&realm(), &revocation(&record)));
                assert!(done.unwrap().is_applied());
            }
            records.push((record, n % 3 == 0));
            let bulky = common::record();
            let insert = change().insert(bulky.clone(), Some(data(&"x".repeat(20_000))));
            assert!(pollster::block_on(store.commit(&realm(), &insert)).unwrap().is_applied());
            records.push((bulky, false));
        }
    }
    records
}

/// Whether every answer was one; an error has to be one that says what is wrong.
fn ask_everything(path: &Path, records: &[(Record, bool)], verify: bool) -> bool {
    let look = if verify { Verify::Always } else { Verify::Never };
    let options = SledOptions::new(path).durability(Durability::Normal).min_free(0).verify(look);
    let store = match SledStore::open_with(&options) {
        Ok(store) => store,
        Err(error) => return sound::<()>(Err(error)).is_some(),
    };
    let (realm, hundred) = (realm(), NonZeroUsize::new(100).unwrap());
    pollster::block_on(async {
        let mut well = true;
        for (record, ended) in records {
            match sound(store.load(&realm, record.id).await) {
                Some(_) if !verify => {}
                Some(stored) => {
                    let stored = stored.expect("what was acknowledged is there");
                    assert_eq!(stored.record.secret, record.secret);
                    assert_eq!(stored.record.end.is_some(), *ended, "what has ended stays so");
                }
                None => well = false,
            }
        }
        let everyone = ListQuery { with_ended: true, ..ListQuery::default() };
        well &= sound(store.list(&realm, &everyone, None).await).is_some();
        well &= sound(store.due(&realm, Timestamp::MAX, None, hundred).await).is_some();
        well &= sound(store.below_epoch(&realm, None, hundred).await).is_some();
        well &= sound(store.events(&realm, &EventQuery::default(), None).await).is_some();
        well &= sound(store.marks(&realm, Some(&subject("subject 1"))).await).is_some();
        well &= sound(store.commit(&realm, &change().insert(record(), None)).await).is_some();
        well &= sound(store.purge(&realm, Timestamp::MAX, hundred).await).is_some();
        well &= sound(store.erase(&realm, &subject("subject 1"), hundred).await).is_some();
        well
    })
}

fn sound<T>(answer: Result<T, StoreError>) -> Option<T> {
    use StoreErrorKind::{Corrupt, Invalid, StorageFull, Unavailable, Unsupported};
    match answer {
        Ok(answer) => Some(answer),
        Err(error) => {
            let kinds = [Corrupt, Invalid, StorageFull, Unavailable, Unsupported];
            assert!(kinds.contains(&error.kind()), "{error:?}");
            assert!(!error.to_string().contains("writer has stopped"), "{error:?}");
            None
        }
    }
}
