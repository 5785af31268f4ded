//! Several processes on one file, and processes that are killed while they write.
//!
//! `SESSION_SQLITE_KILLS=1000 cargo test -p session-sqlite --test processes` kills more of them.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::{login, realm, record_of, revocation, subject};
use rusqlite::Connection;
use session_core::store::{ListQuery, Outcome};
use session_core::{Random, Record, SessionId, SessionStore, SystemRandom};
use session_sqlite::SqliteStore;

const FILE: &str = "SESSION_SQLITE_TEST_FILE";
const TASK: &str = "SESSION_SQLITE_TEST_TASK";
const WRITERS: usize = 4;
const LOGINS: u64 = 50;

/// What a child process does; nothing when the tests are run by themselves.
#[test]
fn child() {
    let (Ok(file), Ok(task)) = (std::env::var(FILE), std::env::var(TASK)) else { return };
    let store = SqliteStore::open(file).unwrap();
    match task.as_str() {
        "until killed" => std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let store = &store;
                scope.spawn(move || replace_for_ever(store, &format!("writer {writer}")));
            }
        }),
        "share" => std::thread::scope(|scope| {
            for _ in 0..WRITERS {
                scope.spawn(|| (0..LOGINS).for_each(|_| log_in(&store, "everybody")));
            }
        }),
        other => panic!("no such task: {other}"),
    }
}

fn start(file: &Path, task: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(FILE, file)
        .env(TASK, task)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Logs in again and again: each login ends the session before, in the same change. Tells what was
/// acknowledged.
fn replace_for_ever(store: &SqliteStore, name: &str) {
    loop {
        let version = marks_version(store, name);
        let query = ListQuery { subject: Some(subject(name)), ..ListQuery::default() };
        let scan = pollster::block_on(store.list(&realm(), &query, None)).unwrap();
        let before = scan.rows.into_iter().next().map(|row| row.unwrap().record);
        let record = record_of(name);
        let mut change = login(&record, version);
        if let Some(before) = &before {
            let ended = revocation(before);
            change =
                change.replace(ended.replacements()[0].clone()).event(ended.events()[0].clone());
        }
        assert_eq!(pollster::block_on(store.commit(&realm(), &change)).unwrap(), Outcome::Applied);
        let ended = before.map(|before: Record| before.id.to_string()).unwrap_or_default();
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nacknowledged {} {ended}", record.id).unwrap();
        out.flush().unwrap();
    }
}

/// Logs in, however often others are quicker.
fn log_in(store: &SqliteStore, name: &str) {
    loop {
        let change = login(&record_of(name), marks_version(store, name));
        match pollster::block_on(store.commit(&realm(), &change)).unwrap() {
            Outcome::Applied => return,
            Outcome::Fenced(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn marks_version(store: &SqliteStore, name: &str) -> u64 {
    pollster::block_on(store.marks(&realm(), Some(&subject(name)))).unwrap().subject.version
}

#[test]
fn several_processes_share_a_file() {
    const PROCESSES: u64 = 3;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sessions.db");
    let children: Vec<_> = (0..PROCESSES).map(|_| start(&file, "share")).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    let store = SqliteStore::open(&file).unwrap();
    let logins = PROCESSES * WRITERS as u64 * LOGINS;
    assert_eq!(marks_version(&store, "everybody"), logins);
    let sessions: i64 = one(&file, "SELECT count(*) FROM sessions");
    assert_eq!(sessions.unsigned_abs(), logins);
    assert_eq!(one::<String>(&file, "PRAGMA integrity_check"), "ok");
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let kills: usize =
        std::env::var("SESSION_SQLITE_KILLS").map_or(20, |kills| kills.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sessions.db");
    let (mut begun, mut ended) = (BTreeSet::new(), BTreeSet::new());
    for kill in 0..kills {
        let mut child = start(&file, "until killed");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut bytes = [0; 1];
        SystemRandom.fill(&mut bytes).unwrap();
        let mut left = usize::from(bytes[0]);
        for line in lines.by_ref() {
            left -= usize::from(note(&line.unwrap(), &mut begun, &mut ended)).min(left);
            if left == 0 {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had said before it died was acknowledged too. Its last line may be cut.
        for line in lines.map_while(Result::ok) {
            note(&line, &mut begun, &mut ended);
        }
        check(&file, &begun, &ended, kill);
    }
    println!("{kills} kills, {} logins and {} ends acknowledged", begun.len(), ended.len());
}

fn note(line: &str, begun: &mut BTreeSet<SessionId>, ended: &mut BTreeSet<SessionId>) -> bool {
    let Some(rest) = line.strip_prefix("acknowledged ") else { return false };
    let Some((new, old)) = rest.split_once(' ') else { return false };
    begun.insert(new.parse().unwrap());
    if let Ok(old) = old.parse() {
        ended.insert(old);
    }
    true
}

fn check(file: &Path, begun: &BTreeSet<SessionId>, ended: &BTreeSet<SessionId>, kill: usize) {
    let store = SqliteStore::open(file).unwrap();
    for id in begun {
        let stored = pollster::block_on(store.load(&realm(), *id)).unwrap();
        let stored = stored.unwrap_or_else(|| panic!("kill {kill}: the login of {id} is lost"));
        if ended.contains(id) {
            assert!(stored.record.end.is_some(), "kill {kill}: {id} lives again");
        }
    }
    // Each login wrote a session, its data, its activity, its event and its mark, and ended the one before.
    for (what, wrong) in [
        (
            "two live sessions",
            "SELECT count(*) FROM (SELECT 1 FROM sessions WHERE ended_at IS NULL \
           GROUP BY subject HAVING count(*) > 1)",
        ),
        (
            "a mark that does not count",
            "SELECT count(*) FROM marks m WHERE version <> \
           (SELECT count(*) FROM sessions s WHERE s.subject = m.subject)",
        ),
        (
            "a login without its event",
            "SELECT (SELECT count(*) FROM sessions) <> \
           (SELECT count(*) FROM events WHERE kind = 'logged_in')",
        ),
        (
            "an end without its event",
            "SELECT (SELECT count(*) FROM sessions WHERE ended_at IS NOT NULL) \
           <> (SELECT count(*) FROM events WHERE kind = 'ended')",
        ),
        (
            "a session without activity",
            "SELECT count(*) FROM sessions WHERE no NOT IN \
           (SELECT session FROM touches)",
        ),
        (
            "data without a live session, or the reverse",
            "SELECT count(*) FROM sessions \
           WHERE (ended_at IS NULL) <> (no IN (SELECT session FROM session_data))",
        ),
    ] {
        assert_eq!(one::<i64>(file, wrong), 0, "kill {kill}: {what}");
    }
    assert_eq!(one::<String>(file, "PRAGMA integrity_check"), "ok", "kill {kill}");
}

fn one<T: rusqlite::types::FromSql>(file: &Path, sql: &str) -> T {
    Connection::open(file).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}
