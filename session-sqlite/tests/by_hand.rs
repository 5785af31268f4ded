//! Files that somebody has changed with SQL: what is harmed is no more than what was changed.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::path::{Path, PathBuf};

use common::{change, insert, realm, record};
use rusqlite::Connection;
use session_core::SessionStore;
use session_sqlite::SqliteStore;
use tempfile::TempDir;

fn opened() -> (TempDir, PathBuf, SqliteStore) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.db");
    let store = SqliteStore::open(&path).unwrap();
    (directory, path, store)
}

fn by_hand(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn a_new_session_inherits_nothing_of_one_that_was_deleted() {
    for keep in ["", "DROP TRIGGER sessions_deleted;"] {
        let (_directory, path, store) = opened();
        let alice = record();
        insert(&store, &alice);
        by_hand(&path, &format!("{keep} DELETE FROM sessions;"));
        let bob = record();
        let inserted =
            pollster::block_on(store.commit(&realm(), &change().insert(bob.clone(), None)));
        assert!(inserted.unwrap().is_applied());
        let stored = pollster::block_on(store.load(&realm(), bob.id)).unwrap().unwrap();
        assert_eq!((stored.data, stored.record), (None, bob), "{keep}");
    }
}

#[test]
fn what_is_deleted_takes_its_data_and_activity_along() {
    let (_directory, path, store) = opened();
    insert(&store, &record());
    let left = record();
    insert(&store, &left);
    let db = Connection::open(&path).unwrap();
    db.execute("DELETE FROM sessions WHERE id <> ?1", [left.id.to_string()]).unwrap();
    for table in ["session_data", "touches"] {
        let count = format!("SELECT count(*) FROM {table}");
        assert_eq!(db.query_row(&count, [], |row| row.get::<_, i64>(0)).unwrap(), 1, "{table}");
    }
    assert!(pollster::block_on(store.load(&realm(), left.id)).unwrap().unwrap().data.is_some());
}
