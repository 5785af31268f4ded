//! What is SQLite's own: the files that it refuses, and the rows that it cannot read.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::fs;
use std::path::Path;
use std::time::Duration;

use common::{change, insert, realm, record, record_of};
use rusqlite::Connection;
use session_core::store::{ListQuery, Outcome};
use session_core::{DataWrite, Realm, Replacement, SessionStore, StoreError, StoreErrorKind};
use session_sqlite::{SqliteOptions, SqliteStore};

/// Opens what is not to be opened, and checks that the error names the file.
fn refused(path: &Path) -> StoreError {
    let options = SqliteOptions::new(path).busy_timeout(Duration::from_millis(50));
    let error = SqliteStore::open_with(&options).unwrap_err();
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    error
}

#[test]
fn a_path_that_is_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let error = refused(directory.path());
    assert_eq!(error.kind(), StoreErrorKind::Invalid);
    let error = refused(&directory.path().join("missing").join("sessions.db"));
    assert_eq!(error.kind(), StoreErrorKind::Invalid);
    assert!(error.to_string().contains("directory does not exist"), "{error}");
    assert_eq!(refused(Path::new(":memory:")).kind(), StoreErrorKind::Invalid);
    assert_eq!(refused(Path::new("")).kind(), StoreErrorKind::Invalid);
}

#[test]
fn a_missing_file_that_is_not_to_be_created() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.db");
    let error = SqliteStore::open_with(&SqliteOptions::new(&path).create(false)).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Invalid);
    assert!(!path.exists());
}

#[test]
fn a_path_that_looks_like_a_uri_is_a_path() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file:x?mode=memory");
    drop(SqliteStore::open(&path).unwrap());
    assert!(path.exists());
}

#[test]
fn a_file_that_is_no_database_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("letter.txt");
    let letter = "Dear Sir or Madam, ".repeat(400);
    fs::write(&path, &letter).unwrap();
    assert_eq!(refused(&path).kind(), StoreErrorKind::Corrupt);
    assert_eq!(fs::read_to_string(&path).unwrap(), letter);
}

#[test]
fn a_damaged_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.db");
    drop(SqliteStore::open(&path).unwrap());
    let mut bytes = fs::read(&path).unwrap();
    for byte in &mut bytes[100..4_096] {
        *byte = !*byte;
    }
    fs::write(&path, bytes).unwrap();
    assert_eq!(refused(&path).kind(), StoreErrorKind::Corrupt);
}

#[test]
fn a_database_of_another_application_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    for (name, sql) in [
        ("shop.db", "CREATE TABLE orders (id INTEGER); PRAGMA user_version = 1;"),
        ("named.db", "PRAGMA application_id = 42; CREATE TABLE sessions (id TEXT);"),
    ] {
        let path = directory.path().join(name);
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let before = fs::read(&path).unwrap();
        let error = refused(&path);
        assert_eq!(error.kind(), StoreErrorKind::Invalid);
        assert!(error.to_string().contains("another application"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[test]
fn a_newer_schema_is_refused_by_both_versions() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.db");
    drop(SqliteStore::open(&path).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 7).unwrap();
    let error = refused(&path);
    assert_eq!(error.kind(), StoreErrorKind::Unsupported);
    assert!(error.to_string().contains("version 7"), "{error}");
    assert!(error.to_string().contains("up to 1"), "{error}");
}

#[test]
fn a_file_that_somebody_holds_locked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.db");
    drop(SqliteStore::open(&path).unwrap());
    let holder = Connection::open(&path).unwrap();
    holder.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT;").unwrap();
    let error = refused(&path);
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(error.to_string().contains("locked"), "{error}");
    drop(holder);
    SqliteStore::open(&path).unwrap();
}

#[test]
fn a_writer_elsewhere_makes_writes_wait_and_reads_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.db");
    let options = SqliteOptions::new(&path).busy_timeout(Duration::from_millis(50));
    let store = SqliteStore::open_with(&options).unwrap();
    let known = record();
    insert(&store, &known);
    let holder = Connection::open(&path).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let late = change().insert(record(), None);
    let error = pollster::block_on(store.commit(&realm(), &late)).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(pollster::block_on(store.load(&realm(), known.id)).unwrap().is_some());
    holder.execute_batch("ROLLBACK").unwrap();
    assert!(pollster::block_on(store.commit(&realm(), &late)).unwrap().is_applied());
}

#[test]
fn more_writes_than_may_wait() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.db");
    let options = SqliteOptions::new(&path).queue(2.try_into().unwrap());
    let store = SqliteStore::open_with(&options).unwrap();
    let holder = Connection::open(&path).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let changes: Vec<_> = (0..400).map(|_| change().insert(record(), None)).collect();
    let (default, context) =
        (realm(), &mut std::task::Context::from_waker(std::task::Waker::noop()));
    let mut waiting = Vec::new();
    let mut refused = 0;
    for one in &changes {
        let mut commit = store.commit(&default, one);
        match commit.as_mut().poll(context) {
            std::task::Poll::Pending => waiting.push(commit),
            std::task::Poll::Ready(answer) => {
                assert_eq!(answer.unwrap_err().kind(), StoreErrorKind::Overloaded);
                refused += 1;
            }
        }
    }
    assert!(refused > 0);
    holder.execute_batch("ROLLBACK").unwrap();
    for commit in waiting {
        assert!(pollster::block_on(commit).unwrap().is_applied());
    }
}

const READ_ONLY: &str = "SESSION_SQLITE_TEST_READ_ONLY";

/// What a child process without rights does; nothing when the tests are run by themselves.
#[test]
fn child() {
    let Ok(path) = std::env::var(READ_ONLY) else { return };
    let error = refused(Path::new(&path));
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(error.to_string().contains("rights"), "{error}");
    println!("refused: {error}");
}

#[test]
#[cfg(unix)]
fn a_file_or_directory_that_is_read_only() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    let directory = tempfile::tempdir().unwrap();
    let made = directory.path().join("made.db");
    drop(SqliteStore::open(&made).unwrap());
    let child = directory.path().join("child");
    fs::copy(std::env::current_exe().unwrap(), &child).unwrap();
    let rights = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    rights(&made, 0o444);
    rights(&child, 0o555);
    rights(directory.path(), 0o555);
    for path in [&made, &directory.path().join("new.db")] {
        let mut command = std::process::Command::new(&child);
        command.args(["--exact", "child", "--nocapture"]).env(READ_ONLY, path);
        if fs::metadata(directory.path()).unwrap().uid() == 0 {
            // Rights do not stop the superuser: 65534 is nobody.
            command.uid(65_534).gid(65_534);
        }
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && told.contains("refused"), "{told}{errors}");
    }
    rights(directory.path(), 0o755);
}

#[test]
#[cfg(unix)]
fn a_new_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.db");
    let store = SqliteStore::open(&path).unwrap();
    insert(&store, &record());
    for name in ["sessions.db", "sessions.db-wal", "sessions.db-shm"] {
        let mode = fs::metadata(directory.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
#[cfg(unix)]
fn a_file_that_anybody_may_write_to_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.db");
    drop(SqliteStore::open(&path).unwrap());
    let rights = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    for mode in [0o666, 0o602] {
        rights(mode);
        let error = refused(&path);
        assert_eq!(error.kind(), StoreErrorKind::Invalid);
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
    for mode in [0o660, 0o644, 0o600] {
        rights(mode);
        SqliteStore::open(&path).unwrap();
    }
}

#[test]
fn a_row_that_cannot_be_read_harms_only_its_session() {
    for damage in [
        "class = 'two words'",
        "scopes = 'no list'",
        "authentications = '[{}]'",
        "version = -1",
        "secret_hash = x'00'",
        "end_reason = 'signed_out'",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sessions.db");
        let store = SqliteStore::open(&path).unwrap();
        let (bad, good) = (record(), record());
        insert(&store, &bad);
        insert(&store, &good);
        let raw = Connection::open(&path).unwrap();
        let damaged = format!("UPDATE sessions SET {damage} WHERE id = ?1");
        assert_eq!(raw.execute(&damaged, [bad.id.to_string()]).unwrap(), 1, "{damage}");
        let error = pollster::block_on(store.load(&realm(), bad.id)).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{damage}: {error}");
        assert!(error.to_string().contains(&bad.id.to_string()), "{damage}: {error}");
        let stored = pollster::block_on(store.load(&realm(), good.id)).unwrap().unwrap();
        assert_eq!(stored.record, good, "{damage}");
        let scan = pollster::block_on(store.list(&realm(), &ListQuery::default(), None)).unwrap();
        let (read, unread): (Vec<_>, Vec<_>) = scan.rows.into_iter().partition(Result::is_ok);
        assert_eq!(read.len(), 1, "{damage}");
        assert_eq!(unread[0].as_ref().unwrap_err().id, Some(bad.id), "{damage}");
    }
}

#[test]
fn a_row_of_a_newer_format_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.db");
    let store = SqliteStore::open(&path).unwrap();
    let newer = record();
    insert(&store, &newer);
    let raw = Connection::open(&path).unwrap();
    raw.execute("UPDATE sessions SET format = 2", []).unwrap();
    let error = pollster::block_on(store.load(&realm(), newer.id)).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unsupported);
    assert!(error.to_string().contains("format 2"), "{error}");
    let over = change().replace(Replacement {
        record: newer.clone(),
        expected: 1,
        data: DataWrite::Drop,
        decided_on: None,
    });
    let other = record();
    let neighbour = change().insert(other.clone(), None);
    let outcome = pollster::block_on(store.commit(&realm(), &over)).unwrap();
    assert_eq!(outcome, Outcome::Moved(newer.id));
    assert!(pollster::block_on(store.commit(&realm(), &neighbour)).unwrap().is_applied());
    raw.execute("UPDATE sessions SET format = 1", []).unwrap();
    let stored = pollster::block_on(store.load(&realm(), newer.id)).unwrap().unwrap();
    assert_eq!((stored.record, stored.version), (newer, 1));
    assert!(stored.data.is_some());
}

#[test]
fn a_change_that_writes_a_session_twice() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path().join("sessions.db")).unwrap();
    let [known, other, new] = [record(), record(), record()];
    insert(&store, &known);
    insert(&store, &other);
    let replace = |record| common::revocation(record).replacements()[0].clone();
    let twice = change().replace(replace(&known)).replace(replace(&other)).replace(replace(&known));
    let outcome = pollster::block_on(store.commit(&realm(), &twice)).unwrap();
    assert_eq!(outcome, Outcome::Moved(known.id));
    let twice = change().insert(new.clone(), None).insert(record(), None).insert(new.clone(), None);
    let outcome = pollster::block_on(store.commit(&realm(), &twice)).unwrap();
    assert_eq!(outcome, Outcome::Exists(new.id));
}

/// Rows of marks with different logs, of one that is damaged, and of no raise at all, one after the other.
#[test]
fn a_list_tells_of_each_session_the_raise_that_a_load_tells() {
    use session_core::{Actor, MarkKey, MarkWrite, Raise, Reason};
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.db");
    let store = SqliteStore::open(&path).unwrap();
    let log_in = |name, version, epoch| {
        let mut record = record_of(name);
        record.epochs.subject = epoch;
        let login = common::login(&record, version);
        assert!(pollster::block_on(store.commit(&realm(), &login)).unwrap().is_applied());
    };
    for (turn, reason) in [(0, Reason::RoleChanged), (1, Reason::SignedOut)] {
        for name in ["alice", "bob", "carol", "dave"] {
            log_in(name, 2 * turn, turn);
            let raise = Raise {
                epoch: turn + 1,
                reason: reason.clone(),
                actor: Actor::System,
                at: common::START,
            };
            let raise = (name != "dave").then_some(raise);
            let key = MarkKey::Subject(common::subject(name));
            let raised =
                change().mark(MarkWrite { key, expected: 2 * turn + 1, raise, stamp: None });
            assert!(pollster::block_on(store.commit(&realm(), &raised)).unwrap().is_applied());
        }
    }
    let raw = Connection::open(&path).unwrap();
    raw.execute("UPDATE marks SET raises = '[' WHERE subject = 'carol'", []).unwrap();
    let scan = pollster::block_on(store.list(&realm(), &ListQuery::default(), None)).unwrap();
    assert_eq!(scan.rows.len(), 8);
    for row in scan.rows {
        match row {
            Ok(listed) => {
                let loaded = pollster::block_on(store.load(&realm(), listed.record.id));
                assert_eq!(listed.marks, loaded.unwrap().unwrap().marks);
            }
            Err(bad) => {
                let loaded = pollster::block_on(store.load(&realm(), bad.id.unwrap()));
                assert_eq!(loaded.unwrap_err().to_string(), bad.error.to_string());
            }
        }
    }
}

#[test]
fn nothing_but_the_hash_of_a_secret_is_in_the_file() {
    use session_core::{SessionToken, SystemRandom};
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.db");
    let store = SqliteStore::open(&path).unwrap();
    let mut record = record();
    let token = SessionToken::new(record.id, &SystemRandom).unwrap();
    record.secret = token.hash(&Realm::default());
    insert(&store, &record);
    drop(store);
    let file = fs::read(&path).unwrap();
    let text = token.expose();
    assert!(!file.windows(24).any(|window| window == &text.as_bytes()[text.len() - 24..]));
    assert!(file.windows(32).any(|window| window == record.secret.as_bytes()));
}

/// What was replaced, dropped with an end, purged or erased; small, or over many pages.
#[test]
fn nothing_that_was_removed_is_left_in_the_file() {
    use session_core::Timestamp;
    for size in [1, 100_000] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sessions.db");
        let store = SqliteStore::open(&path).unwrap();
        let [ended, erased, kept] = ["alice", "bob", "carol"].map(record_of);
        let note = |name: &str| common::data(&format!("{}{name}", "private ".repeat(size)));
        for (record, name) in [(&ended, "of alice"), (&erased, "of bob"), (&kept, "of carol")] {
            let fence =
                session_core::Fence { subject: record.subject.clone().unwrap(), version: 0 };
            let login = change().insert_fenced(record.clone(), Some(note(name)), &fence);
            assert!(pollster::block_on(store.commit(&realm(), &login)).unwrap().is_applied());
        }
        let replaced = change().replace(Replacement {
            record: erased.clone(),
            expected: 1,
            data: DataWrite::Set(common::data("little")),
            decided_on: None,
        });
        let hundred = 100.try_into().unwrap();
        pollster::block_on(async {
            for change in [common::revocation(&ended), replaced] {
                assert!(store.commit(&realm(), &change).await.unwrap().is_applied());
            }
            store.purge(&realm(), Timestamp::MAX, hundred).await.unwrap();
        });
        drop(store);
        let file = fs::read(&path).unwrap();
        let has = |text: &[u8]| file.windows(text.len()).any(|window| window == text);
        assert!(has(b"of carol") && !has(b"of alice") && !has(b"of bob"), "{size}");
        let text = String::from_utf8_lossy(&file);
        // The data of the one that was kept, and nobody else's.
        assert!(text.matches("private ").count() <= size, "{size}");
    }
}

#[test]
fn people_can_read_the_view() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.db");
    let store = SqliteStore::open(&path).unwrap();
    let login = common::login(&record_of("alice"), 0);
    assert!(pollster::block_on(store.commit(&realm(), &login)).unwrap().is_applied());
    let (subject, created): (String, String) = Connection::open(&path)
        .unwrap()
        .query_row("SELECT subject, created FROM sessions_for_humans", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!((subject.as_str(), created.as_str()), ("alice", "2027-01-15 08:00:00"));
}
