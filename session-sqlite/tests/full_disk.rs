//! No room left: in the file, and on the disk.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{change, data, realm, record, revocation};
use session_core::{Record, SessionStore, StoreErrorKind, Timestamp};
use session_sqlite::{SqliteOptions, SqliteStore};

/// Inserts until there is no room; returns what was acknowledged.
fn fill(store: &SqliteStore) -> Vec<Record> {
    let mut acknowledged = Vec::new();
    loop {
        let record = record();
        let insert = change().insert(record.clone(), Some(data(&"x".repeat(20_000))));
        match pollster::block_on(store.commit(&realm(), &insert)) {
            Ok(outcome) => assert!(outcome.is_applied()),
            Err(error) => {
                assert_eq!(error.kind(), StoreErrorKind::StorageFull, "{error}");
                assert!(error.to_string().contains("no room"), "{error}");
                assert!(pollster::block_on(store.load(&realm(), record.id)).unwrap().is_none());
                return acknowledged;
            }
        }
        acknowledged.push(record);
    }
}

fn check(store: &SqliteStore, acknowledged: &[Record]) {
    for record in acknowledged {
        let stored = pollster::block_on(store.load(&realm(), record.id)).unwrap().unwrap();
        assert_eq!(stored.record, *record);
    }
}

#[test]
fn a_file_that_may_not_grow() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.db");
    let store = SqliteStore::open_with(&SqliteOptions::new(&path).max_size(1 << 20)).unwrap();
    let acknowledged = fill(&store);
    check(&store, &acknowledged);
    assert!(fs::metadata(&path).unwrap().len() <= 1 << 20);
    // Ending a session drops its data, so that it needs no room.
    for record in &acknowledged {
        let ended = pollster::block_on(store.commit(&realm(), &revocation(record)));
        assert!(ended.unwrap().is_applied());
    }
    let limit = 1_000.try_into().unwrap();
    let purged = pollster::block_on(store.purge(&realm(), Timestamp::MAX, limit)).unwrap();
    assert_eq!(purged.records, acknowledged.len());
    assert!(fill(&store).len() >= acknowledged.len() / 2);
}

const DISK: &str = "SESSION_SQLITE_TEST_DISK";

/// What the child process does on its small disk; nothing when the tests are run by themselves.
#[test]
fn child() {
    let Ok(disk) = std::env::var(DISK) else { return };
    let path = Path::new(&disk).join("sessions.db");
    let store = SqliteStore::open(&path).unwrap();
    let ballast = Path::new(&disk).join("ballast");
    fs::write(&ballast, vec![7; 1 << 20]).unwrap();
    let mut acknowledged = fill(&store);
    check(&store, &acknowledged);
    fs::remove_file(&ballast).unwrap();
    let late = record();
    let insert = change().insert(late.clone(), None);
    assert!(pollster::block_on(store.commit(&realm(), &insert)).unwrap().is_applied());
    acknowledged.push(late);
    drop(store);
    check(&SqliteStore::open(&path).unwrap(), &acknowledged);
    println!("{} sessions, and one more after room was made", acknowledged.len() - 1);
}

/// Set where no file system can be mounted, to leave out what needs one.
#[cfg(target_os = "linux")]
const NO_MOUNTS: &str = "SESSION_TEST_NO_MOUNTS";

/// A disk of four megabytes, in a mount namespace of the child's own: nothing of it is left.
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
        .arg(r#"mount -t tmpfs -o size=4m none "$0" && exec "$1" --exact child --nocapture"#)
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
