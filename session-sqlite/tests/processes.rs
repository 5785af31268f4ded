//! A process that is killed while it writes leaves a whole file, whose tables agree.
//!
//! What such a process was promised, and what two of them do over one file, is shown for every store by the tests of
//! faults of the workspace.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::{login, realm, record_of, revocation, subject};
use rusqlite::Connection;
use session_core::store::{ListQuery, Outcome};
use session_core::{Random, SessionStore, SystemRandom};
use session_sqlite::SqliteStore;

const FILE: &str = "SESSION_SQLITE_TEST_FILE";
const WRITERS: usize = 4;
const KILLS: usize = 10;

/// What a child process does; nothing when the tests are run by themselves.
#[test]
fn child() {
    let Ok(file) = std::env::var(FILE) else { return };
    let store = SqliteStore::open(file).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = &store;
            scope.spawn(move || replace_for_ever(store, &format!("writer {writer}")));
        }
    });
}

fn start(file: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(FILE, file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Logs in again and again: each login ends the session before, in the same change.
fn replace_for_ever(store: &SqliteStore, name: &str) {
    loop {
        let marks = pollster::block_on(store.marks(&realm(), Some(&subject(name)))).unwrap();
        let query = ListQuery { subject: Some(subject(name)), ..ListQuery::default() };
        let scan = pollster::block_on(store.list(&realm(), &query, None)).unwrap();
        let mut change = login(&record_of(name), marks.subject.version);
        if let Some(before) = scan.rows.into_iter().next() {
            let ended = revocation(&before.unwrap().record);
            change =
                change.replace(ended.replacements()[0].clone()).event(ended.events()[0].clone());
        }
        assert_eq!(pollster::block_on(store.commit(&realm(), &change)).unwrap(), Outcome::Applied);
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nwritten").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn the_file_is_whole_after_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sessions.db");
    for kill in 0..KILLS {
        let mut child = start(&file);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut bytes = [0; 1];
        SystemRandom.fill(&mut bytes).unwrap();
        let written = lines.map_while(Result::ok).filter(|line| line == "written");
        assert!(written.take(usize::from(bytes[0]) + 1).count() > 0);
        child.kill().unwrap();
        child.wait().unwrap();
        check(&file, kill);
    }
}

fn check(file: &Path, kill: usize) {
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
