//! Files that somebody has changed with SQL: what is harmed is no more than what was changed.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use common::{change, insert, login, realm, record, record_of, revocation, subject};
use rusqlite::Connection;
use session_core::store::{EventQuery, Events, Order, Outcome};
use session_core::{Actor, MarkKey, MarkWrite, Raise, Reason, SessionStore, StoreErrorKind};
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

/// Two changes of one batch: the first replaces what has been damaged, the second is sound.
#[test]
fn a_damaged_row_or_mark_fails_none_of_its_neighbours() {
    for (damage, expected) in [
        ("UPDATE sessions SET version = 9223372036854775807", i64::MAX.unsigned_abs()),
        ("UPDATE sessions SET version = -1", 1),
        ("UPDATE sessions SET format = 2", 1),
        ("DELETE FROM touches", 1),
    ] {
        let (_directory, path, store) = opened();
        let damaged = record();
        insert(&store, &damaged);
        by_hand(&path, damage);
        let mut over = revocation(&damaged).replacements()[0].clone();
        over.expected = expected;
        let batch = [change().replace(over), change().insert(record(), None)];
        let outcomes = pollster::block_on(store.commit_each(&realm(), &batch)).unwrap();
        assert_eq!(outcomes, [Outcome::Moved(damaged.id), Outcome::Applied], "{damage}");
        let error = pollster::block_on(store.load(&realm(), damaged.id)).unwrap_err();
        assert!(error.to_string().contains(&damaged.id.to_string()), "{damage}: {error}");
    }
    for (damage, expected) in [
        ("version = 9223372036854775807", i64::MAX.unsigned_abs()),
        ("version = -1", 1),
        ("epoch = -1", 1),
        ("epoch = 9223372036854775807", 1),
    ] {
        let (_directory, path, store) = opened();
        let first = login(&record_of("alice"), 0);
        assert!(pollster::block_on(store.commit(&realm(), &first)).unwrap().is_applied());
        by_hand(&path, &format!("UPDATE marks SET {damage}"));
        let batch = [login(&record_of("alice"), expected), login(&record_of("bob"), 0)];
        let outcomes = pollster::block_on(store.commit_each(&realm(), &batch)).unwrap();
        let alice = MarkKey::Subject(subject("alice"));
        assert_eq!(outcomes, [Outcome::Fenced(alice), Outcome::Applied], "{damage}");
        // Whoever looks again is told what is wrong, instead of losing again and again.
        let error = pollster::block_on(store.marks(&realm(), Some(&subject("alice")))).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{damage}: {error}");
    }
}

#[test]
fn a_damaged_mark_hides_no_other_that_is_unsettled() {
    for damage in [
        "subject = printf('%01000d', 0)",
        "subject = CAST(x'30ff' AS TEXT)",
        "epoch = -1, settled = -2",
    ] {
        let (_directory, path, store) = opened();
        for name in ["alice", "bob"] {
            raise(&store, MarkKey::Subject(subject(name)), 0, 1);
        }
        by_hand(&path, &format!("UPDATE marks SET {damage} WHERE subject = 'alice'"));
        let below = pollster::block_on(async {
            store.below_epoch(&realm(), None, NonZeroUsize::MIN).await
        });
        let unsettled = below.unwrap().unsettled;
        assert_eq!(unsettled, [(MarkKey::Subject(subject("bob")), 1)], "{damage}");
    }
}

#[test]
fn a_raise_wins_over_a_damaged_log() {
    for key in [MarkKey::Realm, MarkKey::Subject(subject("alice"))] {
        let (_directory, path, store) = opened();
        let alice = record_of("alice");
        assert!(
            pollster::block_on(store.commit(&realm(), &login(&alice, 0))).unwrap().is_applied()
        );
        let version = u64::from(key != MarkKey::Realm);
        raise(&store, key.clone(), version, 1);
        by_hand(&path, "UPDATE marks SET raises = '[{\"epoch\":' WHERE raises IS NOT NULL");
        raise(&store, key.clone(), version + 1, 2);
        let stored = pollster::block_on(store.load(&realm(), alice.id)).unwrap().unwrap();
        let mark = if key == MarkKey::Realm { stored.marks.realm } else { stored.marks.subject };
        assert_eq!((mark.epoch, mark.raise.map(|raise| raise.epoch)), (2, Some(2)), "{key:?}");
    }
}

fn raise(store: &SqliteStore, key: MarkKey, expected: u64, epoch: u64) {
    let raise =
        Raise { epoch, reason: Reason::RoleChanged, actor: Actor::System, at: common::START };
    let write = MarkWrite { key, expected, raise: Some(raise), stamp: None };
    let raised = pollster::block_on(store.commit(&realm(), &change().mark(write)));
    assert_eq!(raised.unwrap(), Outcome::Applied);
}

#[test]
fn an_event_that_cannot_be_read_is_answered_as_damaged_and_hides_no_other() {
    for (damage, column) in [
        ("actor = 'nobody'", "actor"),
        ("kind = 'two words'", "kind"),
        ("session = 'x'", "session"),
        ("change_id = x'00'", "change_id"),
        ("detail = '{'", "detail"),
        ("reason = CAST(x'ff' AS TEXT)", "reason"),
    ] {
        let (_directory, path, store) = opened();
        for name in ["a", "b", "c"] {
            let login = login(&record_of(name), 0);
            assert!(pollster::block_on(store.commit(&realm(), &login)).unwrap().is_applied());
        }
        by_hand(&path, &format!("UPDATE events SET {damage} WHERE seq = 2"));
        for order in [Order::OldestFirst, Order::NewestFirst] {
            let (mut events, mut after) = (Vec::new(), None);
            loop {
                let query = EventQuery { order, limit: NonZeroUsize::MIN, ..EventQuery::default() };
                let page = pollster::block_on(store.events(&realm(), &query, after.as_ref()));
                let Events::Page(page) = page.unwrap() else { panic!("no page") };
                events.extend(page.events);
                after = page.next;
                if !page.more {
                    break;
                }
            }
            events.sort_by_key(|stored| stored.sequence);
            let kinds: Vec<&str> = events.iter().map(|stored| stored.event.kind.code()).collect();
            assert_eq!(kinds, ["logged_in", "damaged", "logged_in"], "{damage}");
            let damaged = &events[1].event;
            assert_eq!((events[1].sequence, damaged.at), (2, common::START), "{damage}");
            assert!(damaged.detail["error"].contains(column), "{damage}: {:?}", damaged.detail);
            assert_eq!(damaged.subject, Some(subject("b")), "{damage}");
        }
    }
}
