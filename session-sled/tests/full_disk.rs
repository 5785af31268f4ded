//! No room left on the disk.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use common::{change, data, realm, record, revocation};
use session_core::store::Outcome;
use session_core::{Record, SessionStore, StoreErrorKind, Timestamp};
use session_sled::{SledOptions, SledStore};

/// Inserts until there is no room; returns what was acknowledged.
fn fill(store: &SledStore) -> Vec<Record> {
    let mut acknowledged = Vec::new();
    loop {
        let record = record();
        let insert = change().insert(record.clone(), Some(data(&"x".repeat(20_000))));
        match pollster::block_on(store.commit(&realm(), &insert)) {
            Ok(outcome) => assert!(outcome.is_applied()),
            Err(error) => {
                assert_eq!(error.kind(), StoreErrorKind::StorageFull, "{error:?}");
                assert!(error.to_string().contains("room"), "{error}");
                assert!(pollster::block_on(store.load(&realm(), record.id)).unwrap().is_none());
                return acknowledged;
            }
        }
        acknowledged.push(record);
    }
}

/// The same in groups larger than a segment of sled's log. A group that failed has left nothing.
fn fill_in_groups(store: &SledStore) -> Vec<Record> {
    let mut acknowledged = Vec::new();
    loop {
        let group: Vec<_> = (0..50).map(|_| record()).collect();
        let insert =
            |record: &Record| change().insert(record.clone(), Some(data(&"x".repeat(20_000))));
        let changes: Vec<_> = group.iter().map(insert).collect();
        match pollster::block_on(store.commit_each(&realm(), &changes)) {
            Ok(outcomes) => assert!(outcomes.iter().all(Outcome::is_applied)),
            Err(error) => {
                assert_eq!(error.kind(), StoreErrorKind::StorageFull, "{error:?}");
                for record in group {
                    let left = pollster::block_on(store.load(&realm(), record.id)).unwrap();
                    assert!(left.is_none(), "half a group");
                }
                return acknowledged;
            }
        }
        acknowledged.extend(group);
    }
}

fn check(store: &SledStore, acknowledged: &[Record]) {
    for record in acknowledged {
        let stored = pollster::block_on(store.load(&realm(), record.id)).unwrap().unwrap();
        assert_eq!(stored.record, *record);
    }
}

#[test]
fn room_is_kept_for_what_ends_and_removes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.sled");
    let known = record();
    {
        let store = SledStore::open_with(&SledOptions::new(&path).min_free(0)).unwrap();
        common::insert(&store, &known);
    }
    let store = SledStore::open_with(&SledOptions::new(&path).min_free(u64::MAX)).unwrap();
    assert!(fill(&store).is_empty());
    check(&store, std::slice::from_ref(&known));
    let ended = pollster::block_on(store.commit(&realm(), &revocation(&known)));
    assert!(ended.unwrap().is_applied());
    let limit = 10.try_into().unwrap();
    let purged = pollster::block_on(store.purge(&realm(), Timestamp::MAX, limit)).unwrap();
    assert_eq!(purged.records, 1);
}

const ROUNDS: u32 = 3;

fn change_of(record: &Record) -> session_core::Change {
    change().insert(record.clone(), None)
}

const DISK: &str = "SESSION_SLED_TEST_DISK";

/// What the child process does on its small disk; nothing when the tests are run by themselves.
#[test]
fn child() {
    let Ok(disk) = std::env::var(DISK) else { return };
    let path = Path::new(&disk).join("sessions.sled");
    // Nothing is kept free, so that sled itself runs out of room.
    let options = SledOptions::new(&path).min_free(0);
    let mut store = SledStore::open_with(&options).unwrap();
    let ballast = |number: u32| Path::new(&disk).join(format!("ballast {number}"));
    (0..ROUNDS).for_each(|number| fs::write(ballast(number), vec![7; 6 << 20]).unwrap());
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let filled = if round == 1 { fill_in_groups(&store) } else { fill(&store) };
        acknowledged.extend(filled);
        check(&store, &acknowledged);
        // And again, while there is none.
        acknowledged.extend(fill(&store));
        check(&store, &acknowledged);
        // What ends sessions needs little.
        let ended = acknowledged.pop().unwrap();
        let change = revocation(&ended);
        assert!(pollster::block_on(store.commit(&realm(), &change)).unwrap().is_applied());
        let stored = pollster::block_on(store.load(&realm(), ended.id)).unwrap().unwrap();
        assert!(stored.record.end.is_some() && stored.data.is_none());
        fs::remove_file(ballast(round)).unwrap();
        let late = record();
        let insert = change_of(&late);
        assert!(pollster::block_on(store.commit(&realm(), &insert)).unwrap().is_applied());
        acknowledged.push(late);
        // And opened again, while something else has taken all that was left.
        drop(store);
        assert!(path.join("reserve").exists());
        let crumbs = Path::new(&disk).join("crumbs");
        let mut file = fs::File::create(&crumbs).unwrap();
        while file.write_all(&[7; 1_024]).is_ok() {}
        store = SledStore::open_with(&options).unwrap();
        check(&store, &acknowledged);
        drop(file);
        fs::remove_file(&crumbs).unwrap();
        println!("round {round}: {} sessions", acknowledged.len());
    }
    drop(store);
    check(&SledStore::open(&path).unwrap(), &acknowledged);
    println!("{} sessions, and one more after room was made", acknowledged.len());
}

/// Set where no file system can be mounted, to leave out what needs one.
#[cfg(target_os = "linux")]
const NO_MOUNTS: &str = "SESSION_TEST_NO_MOUNTS";

/// A small disk, in a mount namespace of the child's own: nothing of it is left.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk() {
    let namespaces: [&[&str]; 2] = [&["--user", "--map-root-user", "--mount"], &["--mount"]];
    let works = |namespace: &&&[&str]| {
        let mount = "mount -t tmpfs -o size=4m none /tmp";
        let tried = Command::new("unshare").args(**namespace).args(["sh", "-c", mount]).output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    // Not in silence: whoever runs the tests says that this one is left out.
    if std::env::var_os(NO_MOUNTS).is_some() {
        println!("left out: {NO_MOUNTS} is set");
        return;
    }
    let namespace = namespaces.iter().find(works);
    let namespace = namespace.expect(
        "this machine mounts no small disk (unshare --mount, mount -t tmpfs); \
         set SESSION_TEST_NO_MOUNTS=1 to leave this test out",
    );
    let disk = tempfile::tempdir().unwrap();
    let child = std::env::current_exe().unwrap();
    let output = Command::new("unshare")
        .args(*namespace)
        .args(["sh", "-c"])
        .arg(r#"mount -t tmpfs -o size=40m none "$0" && exec "$1" --exact child --nocapture"#)
        .arg(disk.path())
        .arg(child)
        .env(DISK, disk.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}{errors}");
    assert!(told.contains("and one more after room was made"), "{told}{errors}");
}
