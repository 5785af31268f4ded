//! What is sled's own: the directories that it refuses, and the rows that it cannot read.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use common::{change, event, insert, login, realm, record, record_of, revocation};
use session_core::store::{EventQuery, Events, ListQuery, Outcome};
use session_core::{
    Actor, EventKind, MarkKey, MarkWrite, Raise, Realm, Reason, Record, SessionStore, StoreError,
    StoreErrorKind, SystemRandom, Timestamp,
};
use session_sled::{Durability, SledOptions, SledStore, Verify};

/// Opens what is not to be opened, and checks that the error names the directory.
fn refused(path: &Path) -> StoreError {
    let error = SledStore::open(path).unwrap_err();
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    error
}

fn load(store: &SledStore, record: &Record) -> Option<session_core::store::Stored> {
    pollster::block_on(store.load(&realm(), record.id)).unwrap()
}

#[test]
fn what_was_committed_is_there_when_it_is_opened_again() {
    for durability in [Durability::Full, Durability::Normal] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sessions.sled");
        let options = SledOptions::new(&path).durability(durability).cache(0);
        let (alice, bob) = (record_of("alice"), record_of("bob"));
        for _ in 0..2 {
            let store = SledStore::open_with(&options).unwrap();
            assert_eq!(store.path(), path);
            for record in [&alice, &bob] {
                if load(&store, record).is_none() {
                    let done = pollster::block_on(store.commit(&realm(), &login(record, 0)));
                    assert_eq!(done.unwrap(), Outcome::Applied);
                }
            }
        }
        let store = SledStore::open_with(&options).unwrap();
        let stored = load(&store, &alice).unwrap();
        assert_eq!((&stored.record, stored.version), (&alice, 1));
        assert_eq!(stored.data, Some(common::data("kept")));
        assert_eq!(stored.marks.subject.version, 1);
    }
}

#[test]
fn a_path_that_is_no_directory() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "x").unwrap();
    for (path, words) in [
        (file.clone(), "this is a file"),
        (file.join("sessions.sled"), "a part of this path is a file"),
        (directory.path().join("missing").join("sessions.sled"), "does not exist"),
        (Path::new("").to_owned(), "no directory"),
    ] {
        let error = refused(&path);
        assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_directory_that_holds_something_else_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("letter.txt"), "Dear Sir or Madam").unwrap();
    let error = refused(directory.path());
    assert_eq!(error.kind(), StoreErrorKind::Invalid);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_missing_store_that_is_not_to_be_created() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("sessions.sled");
    for path in [missing.as_path(), directory.path()] {
        let error = SledStore::open_with(&SledOptions::new(path).create(false)).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Invalid);
    }
    assert!(!missing.exists());
    drop(SledStore::open(&missing).unwrap());
    SledStore::open_with(&SledOptions::new(&missing).create(false)).unwrap();
}

#[test]
fn a_database_of_another_application_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    for named in [false, true] {
        let path = directory.path().join(format!("shop {named}"));
        {
            let db = sled::open(&path).unwrap();
            let tree = if named { db.open_tree("orders").unwrap() } else { (*db).clone() };
            tree.insert("order", "1").unwrap();
        }
        let error = refused(&path);
        assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains("another application"), "{error}");
    }
}

#[test]
fn a_newer_layout_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(SledStore::open(directory.path()).unwrap());
    let write = |format: &str| {
        sled::open(directory.path()).unwrap().insert([0, b'F'], format).unwrap();
    };
    write("session-sled 7");
    let error = refused(directory.path());
    assert_eq!(error.kind(), StoreErrorKind::Unsupported);
    assert!(error.to_string().contains("version 7"), "{error}");
    write("session-sled 1");
    SledStore::open(directory.path()).unwrap();
}

#[test]
fn a_log_that_lost_its_end_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let (path, earlier) = (directory.path().join("now"), directory.path().join("earlier"));
    let known = record();
    {
        let store = SledStore::open(&path).unwrap();
        insert(&store, &known);
        store.copy_to(&earlier).unwrap();
        let ended = pollster::block_on(store.commit(&realm(), &revocation(&known)));
        assert!(ended.unwrap().is_applied());
    }
    // The earlier state in the place of the later one: the session would live again.
    fs::copy(path.join("committed"), earlier.join("committed")).unwrap();
    let error = refused(&earlier);
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    assert!(error.to_string().contains("the last 1 of 2"), "{error}");
    fs::remove_file(earlier.join("committed")).unwrap();
    let store = SledStore::open(&earlier).unwrap();
    assert!(load(&store, &known).unwrap().record.end.is_none());
}

#[test]
fn a_gap_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.sled");
    let (known, other) = (record(), record());
    {
        let store = SledStore::open(&path).unwrap();
        insert(&store, &known);
        insert(&store, &other);
    }
    let key = [&[7][..], b"default", b"R", known.id.as_bytes()].concat();
    sled::open(&path).unwrap().remove(&key).unwrap().unwrap();
    let error = refused(&path);
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    assert!(error.to_string().contains("Verify::Never"), "{error}");
    let copy = directory.path().join("copy");
    {
        let store = SledStore::open_with(&SledOptions::new(&path).verify(Verify::Never)).unwrap();
        assert!(load(&store, &known).is_none());
        // Its indexes still name it.
        let scan = pollster::block_on(store.list(&realm(), &ListQuery::default(), None)).unwrap();
        let (read, unread): (Vec<_>, Vec<_>) = scan.rows.into_iter().partition(Result::is_ok);
        assert_eq!((read.len(), unread.len()), (1, 1));
        assert_eq!(unread[0].as_ref().unwrap_err().id, Some(known.id));
        store.copy_to(&copy).unwrap();
    }
    let store = SledStore::open(&copy).unwrap();
    assert_eq!(load(&store, &other).unwrap().record, other);
}

#[test]
fn an_event_that_cannot_be_read_stands_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.sled");
    let alice = record_of("alice");
    {
        let store = SledStore::open(&path).unwrap();
        for kind in [EventKind::Issued, EventKind::Rotated, EventKind::Activated] {
            let told = change().event(event(&alice, kind));
            assert!(pollster::block_on(store.commit(&realm(), &told)).unwrap().is_applied());
        }
    }
    let key = [&[7][..], b"default", b"E", &2_u64.to_be_bytes()].concat();
    sled::open(&path).unwrap().insert(key, "no event").unwrap();
    let store = SledStore::open_with(&SledOptions::new(&path).verify(Verify::Never)).unwrap();
    for query in [
        EventQuery::default(),
        EventQuery { subject: alice.subject.clone(), ..EventQuery::default() },
        EventQuery { session: Some(alice.id), ..EventQuery::default() },
    ] {
        let answer = pollster::block_on(store.events(&realm(), &query, None)).unwrap();
        let Events::Page(page) = answer else { panic!("nothing was purged") };
        let kinds: Vec<_> = page.events.iter().map(|stored| stored.event.kind.code()).collect();
        assert_eq!(kinds, ["issued", "damaged", "activated"]);
        assert!(page.events[1].event.detail["error"].contains("event 2"));
    }
    let limit = 10.try_into().unwrap();
    let purged = pollster::block_on(store.purge(&realm(), Timestamp::MAX, limit)).unwrap();
    assert_eq!(purged.events, 3);
}

const HOLD: &str = "SESSION_SLED_TEST_HOLD";

/// What a child process does that holds a store; nothing when the tests are run by themselves.
#[test]
fn child() {
    let Ok(path) = std::env::var(HOLD) else { return };
    let _store = SledStore::open(path).unwrap();
    println!("\nopen");
    std::io::stdout().flush().unwrap();
    let _ = std::io::stdin().lines().next();
}

#[test]
fn a_store_that_somebody_holds() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.sled");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(HOLD, &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "open"));
    let error = refused(&path);
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(error.to_string().contains("another process has it open"), "{error}");
    child.kill().unwrap();
    child.wait().unwrap();
    let store = SledStore::open(&path).unwrap();
    assert_eq!(refused(&path).kind(), StoreErrorKind::Unavailable, "this process twice");
    insert(&store, &record());
}

#[test]
fn half_a_snapshot_of_a_crash_is_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.sled");
    let known = record();
    insert(&SledStore::open(&path).unwrap(), &known);
    fs::write(path.join("snap.FFFFFFFFFFFFFFFF.generating"), "half").unwrap();
    assert_eq!(load(&SledStore::open(&path).unwrap(), &known).unwrap().record, known);
}

#[test]
#[cfg(unix)]
fn a_new_directory_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.sled");
    drop(SledStore::open(&path).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    let rights = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    for mode in [0o777, 0o702] {
        rights(mode);
        let error = refused(&path);
        assert_eq!(error.kind(), StoreErrorKind::Invalid);
        assert!(error.to_string().contains("chmod 700"), "{error}");
    }
    for mode in [0o770, 0o755, 0o700] {
        rights(mode);
        SledStore::open(&path).unwrap();
    }
}

const READ_ONLY: &str = "SESSION_SLED_TEST_READ_ONLY";

/// What a child process without rights does; nothing when the tests are run by themselves.
#[test]
fn child_without_rights() {
    let Ok(path) = std::env::var(READ_ONLY) else { return };
    let error = refused(Path::new(&path));
    assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("rights"), "{error}");
    println!("refused");
}

#[test]
#[cfg(unix)]
fn a_directory_that_may_not_be_written() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.sled");
    drop(SledStore::open(&path).unwrap());
    let rights =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    rights(&path, 0o555);
    rights(&path.join("lock"), 0o444);
    rights(directory.path(), 0o555);
    // Where nobody else may go, the child could not start.
    let child = directory.path().join("child");
    rights(directory.path(), 0o755);
    fs::copy(std::env::current_exe().unwrap(), &child).unwrap();
    for path in [path.clone(), directory.path().join("new.sled")] {
        let mut command = Command::new(&child);
        command.args(["--exact", "child_without_rights", "--nocapture"]).env(READ_ONLY, path);
        if fs::metadata(directory.path()).unwrap().uid() == 0 {
            // Rights do not stop the superuser: 65534 is nobody.
            command.uid(65_534).gid(65_534);
        } else {
            rights(directory.path(), 0o555);
        }
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && told.contains("refused"), "{told}{errors}");
    }
    rights(directory.path(), 0o755);
    rights(&path, 0o755);
}

#[test]
fn a_copy_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let (path, copy) = (directory.path().join("sessions.sled"), directory.path().join("copy"));
    let store =
        SledStore::open_with(&SledOptions::new(&path).durability(Durability::Normal)).unwrap();
    let sessions: Vec<_> = (0..50).map(|number| record_of(&format!("user {number}"))).collect();
    for record in &sessions {
        let done = pollster::block_on(store.commit(&realm(), &login(record, 0)));
        assert!(done.unwrap().is_applied());
    }
    assert!(store.copy_to(&copy).unwrap() > 400);
    let again = store.copy_to(&copy).unwrap_err();
    assert_eq!(again.kind(), StoreErrorKind::Invalid, "{again}");
    assert_eq!(store.copy_to(&path).unwrap_err().kind(), StoreErrorKind::Invalid);
    drop(store);
    let copied = SledStore::open(&copy).unwrap();
    for record in &sessions {
        assert_eq!(load(&copied, record).unwrap().record, *record);
    }
}

#[test]
fn a_change_that_writes_a_session_twice() {
    let directory = tempfile::tempdir().unwrap();
    let store = SledStore::open(directory.path().join("sessions.sled")).unwrap();
    let [known, other, new] = [record(), record(), record()];
    insert(&store, &known);
    insert(&store, &other);
    let replace = |record| revocation(record).replacements()[0].clone();
    let twice = change().replace(replace(&known)).replace(replace(&other)).replace(replace(&known));
    let outcome = pollster::block_on(store.commit(&realm(), &twice)).unwrap();
    assert_eq!(outcome, Outcome::Moved(known.id));
    let twice = change().insert(new.clone(), None).insert(record(), None).insert(new.clone(), None);
    let outcome = pollster::block_on(store.commit(&realm(), &twice)).unwrap();
    assert_eq!(outcome, Outcome::Exists(new.id));
}

#[test]
fn nothing_but_the_hash_of_a_secret_is_in_the_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.sled");
    let store = SledStore::open(&path).unwrap();
    let mut record = record();
    let token = session_core::SessionToken::new(record.id, &SystemRandom).unwrap();
    record.secret = token.hash(&Realm::default());
    insert(&store, &record);
    drop(store);
    let file = fs::read(path.join("db")).unwrap();
    let text = token.expose();
    assert!(!file.windows(24).any(|window| window == &text.as_bytes()[text.len() - 24..]));
    assert!(file.windows(32).any(|window| window == record.secret.as_bytes()));
}

#[test]
fn the_note_of_the_last_write_is_damaged_or_gone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.sled");
    let known = record();
    insert(&SledStore::open(&path).unwrap(), &known);
    let note = path.join("committed");
    let mut bytes = fs::read(&note).unwrap();
    bytes[3] ^= 1;
    for damaged in [&bytes[..], &bytes[..5], b"a letter"] {
        fs::write(&note, damaged).unwrap();
        let error = refused(&path);
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        assert!(error.to_string().contains("`committed`"), "{error}");
    }
    fs::remove_file(&note).unwrap();
    assert_eq!(load(&SledStore::open(&path).unwrap(), &known).unwrap().record, known);
}

#[test]
fn a_store_whose_log_is_gone_is_not_begun_anew() {
    for gone in ["db", "conf"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sessions.sled");
        insert(&SledStore::open(&path).unwrap(), &record());
        fs::remove_file(path.join(gone)).unwrap();
        let error = refused(&path);
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        assert!(error.to_string().contains("is gone"), "{error}");
    }
}

#[test]
#[cfg(unix)]
fn nothing_is_written_through_a_link() {
    let directory = tempfile::tempdir().unwrap();
    let victim = directory.path().join("victim");
    fs::write(&victim, "Dear Sir or Madam").unwrap();
    let path = directory.path().join("sessions.sled");
    drop(SledStore::open(&path).unwrap());
    for name in ["db", "committed", "lock", "reserve", "conf", "blobs", "snap.0.generating"] {
        let (file, aside) = (path.join(name), directory.path().join("aside"));
        let there = fs::rename(&file, &aside).is_ok();
        std::os::unix::fs::symlink(&victim, &file).unwrap();
        let error = refused(&path);
        assert_eq!(error.kind(), StoreErrorKind::Invalid, "{name}: {error}");
        assert!(error.to_string().contains(name), "{error}");
        fs::remove_file(&file).unwrap();
        if there {
            fs::rename(&aside, &file).unwrap();
        }
        let store = SledStore::open(&path).unwrap();
        insert(&store, &record());
    }
    assert_eq!(fs::read(&victim).unwrap(), b"Dear Sir or Madam");
}

#[test]
#[cfg(unix)]
fn files_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.sled");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let store = SledStore::open(&path).unwrap();
    insert(&store, &record());
    for name in ["db", "committed", "lock", "reserve", "blobs"] {
        let mode = fs::metadata(path.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
    }
}

#[test]
fn data_that_are_gone_are_not_taken_for_none() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.sled");
    let (known, bare) = (record(), record());
    {
        let store = SledStore::open(&path).unwrap();
        insert(&store, &known);
        let inserted = change().insert(bare.clone(), None);
        assert!(pollster::block_on(store.commit(&realm(), &inserted)).unwrap().is_applied());
    }
    let key = [&[7][..], b"default", b"D", known.id.as_bytes(), &[0; 4]].concat();
    sled::open(&path).unwrap().remove(&key).unwrap().unwrap();
    let store = SledStore::open_with(&SledOptions::new(&path).verify(Verify::Never)).unwrap();
    let error = pollster::block_on(store.load(&realm(), known.id)).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
    assert_eq!(load(&store, &bare).unwrap().data, None);
}

#[test]
fn a_look_for_what_a_mark_has_ended_holds_up_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let store = SledStore::open(directory.path().join("sessions.sled")).unwrap();
    let old = record();
    insert(&store, &old);
    let raise = Raise {
        epoch: 1,
        at: common::START,
        reason: Reason::EveryoneRevoked,
        actor: Actor::System,
    };
    let raised = change().mark(MarkWrite {
        key: MarkKey::Realm,
        expected: 0,
        raise: Some(raise),
        stamp: None,
    });
    assert!(pollster::block_on(store.commit(&realm(), &raised)).unwrap().is_applied());
    let since = (0..1_500).map(|_| {
        let mut record = record();
        record.epochs.realm = 1;
        change().insert(record, None)
    });
    let since: Vec<_> = since.collect();
    for outcome in pollster::block_on(store.commit_each(&realm(), &since)).unwrap() {
        assert!(outcome.is_applied());
    }
    let (limit, mut after, mut answers, mut found) = (10.try_into().unwrap(), None, 0, Vec::new());
    loop {
        let answer =
            pollster::block_on(store.below_epoch(&realm(), after.as_ref(), limit)).unwrap();
        found.extend(answer.scan.rows.into_iter().map(|row| row.unwrap().record.id));
        answers += 1;
        after = answer.scan.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((answers, found), (2, vec![old.id]));
}

#[test]
fn of_two_that_open_a_store_at_once_one_has_it() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..20 {
        // A new directory, and one that is there.
        let path = directory.path().join(format!("{}.sled", round / 2));
        let begin = std::sync::Barrier::new(3);
        let end = std::sync::Barrier::new(3);
        let won = std::thread::scope(|scope| {
            let opens = || {
                begin.wait();
                let opened = SledStore::open(&path);
                end.wait();
                opened.map(drop).map_err(|error| error.to_string())
            };
            let threads = [(); 3].map(|()| scope.spawn(opens));
            let won = |thread: std::thread::ScopedJoinHandle<'_, Result<(), String>>| match thread
                .join()
                .unwrap()
            {
                Ok(()) => 1,
                Err(error) => {
                    assert!(error.contains("another process has it open"), "{error}");
                    0
                }
            };
            threads.map(won).iter().sum::<u32>()
        });
        assert_eq!(won, 1, "round {round}");
    }
}
