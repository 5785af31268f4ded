//! The contract of a store, clause by clause.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use rusqlite::Connection;
use session_core::conformance::Harness;
use session_sqlite::SqliteStore;

fn in_a_file() -> Harness {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.db");
    let store = SqliteStore::open(&path).unwrap();
    Harness::new(store).keeping(directory).corruptible(move |realm, id| {
        let damaged = Connection::open(&path)
            .unwrap()
            .execute(
                "UPDATE sessions SET class = 'two words' WHERE realm = ?1 AND id = ?2",
                [realm.as_str(), &id.to_string()],
            )
            .unwrap();
        assert_eq!(damaged, 1);
        std::future::ready(())
    })
}

session_core::conformance!(sqlite, in_a_file());
