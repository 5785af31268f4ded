//! Processes that are killed while they write.
//!
//! `SESSION_SLED_KILLS=1000 cargo test -p session-sled --lib kill` kills more of them.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use session_core::store::{EventQuery, Events, ListQuery, Outcome};
use session_core::{EventKind, Random, Record, SessionId, SessionStore, SystemRandom};

use super::check;
use super::common::{login, realm, record_of, revocation, subject};
use crate::SledStore;

const DIRECTORY: &str = "SESSION_SLED_TEST_KILLED";
const WRITERS: usize = 4;

/// What a child process does; nothing when the tests are run by themselves.
#[test]
fn killed_child() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let store = SledStore::open(directory).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = &store;
            scope.spawn(move || replace_for_ever(store, &format!("writer {writer}")));
        }
    });
}

fn start(directory: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::kills::killed_child", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Logs in again and again: each login ends the session before, in the same change. Tells what was
/// acknowledged.
fn replace_for_ever(store: &SledStore, name: &str) {
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

fn marks_version(store: &SledStore, name: &str) -> u64 {
    pollster::block_on(store.marks(&realm(), Some(&subject(name)))).unwrap().subject.version
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let kills: usize =
        std::env::var("SESSION_SLED_KILLS").map_or(20, |kills| kills.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.sled");
    let (mut begun, mut ended) = (BTreeSet::new(), BTreeSet::new());
    for kill in 0..kills {
        let mut child = start(&path);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut bytes = [0; 1];
        SystemRandom.fill(&mut bytes).unwrap();
        // Some are killed while they open the store: the test's harness has just said that it begins.
        let early = bytes[0] % 4 == 0;
        let mut left = if early { 0 } else { usize::from(bytes[0] >> 1) };
        if early {
            assert!(lines.by_ref().any(|line| line.unwrap() == "running 1 test"));
        }
        while left > 0
            && let Some(line) = lines.next()
        {
            left -= usize::from(note(&line.unwrap(), &mut begun, &mut ended));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had said before it died was acknowledged too. Its last line may be cut.
        for line in lines.map_while(Result::ok) {
            note(&line, &mut begun, &mut ended);
        }
        whole(&path, &begun, &ended, kill);
    }
    println!("{kills} kills, {} logins and {} ends acknowledged", begun.len(), ended.len());
}

fn note(line: &str, begun: &mut BTreeSet<SessionId>, ended: &mut BTreeSet<SessionId>) -> bool {
    let Some(rest) = line.strip_prefix("acknowledged ") else { return false };
    let Some((new, old)) = rest.split_once(' ') else { return false };
    let Ok(new) = new.parse() else { return false };
    begun.insert(new);
    if let Ok(old) = old.parse() {
        ended.insert(old);
    }
    true
}

fn whole(path: &Path, begun: &BTreeSet<SessionId>, ended: &BTreeSet<SessionId>, kill: usize) {
    let store = SledStore::open(path).unwrap();
    for id in begun {
        let stored = pollster::block_on(store.load(&realm(), *id)).unwrap();
        let stored = stored.unwrap_or_else(|| panic!("kill {kill}: the login of {id} is lost"));
        if ended.contains(id) {
            assert!(stored.record.end.is_some(), "kill {kill}: {id} lives again");
        }
        let living = stored.record.end.is_none();
        assert_eq!(living, stored.data.is_some(), "kill {kill}: data go with the session");
    }
    // Each login wrote a session, its event and its mark, and ended the one before.
    let sessions = check(&store, &realm());
    let mut counted = 0;
    for writer in 0..WRITERS {
        let name = format!("writer {writer}");
        let query = ListQuery { subject: Some(subject(&name)), ..ListQuery::default() };
        let living = pollster::block_on(store.list(&realm(), &query, None)).unwrap().rows.len();
        assert!(living <= 1, "kill {kill}: {living} live sessions of {name}");
        counted += marks_version(&store, &name);
        assert_eq!(told(&store, &name, EventKind::LoggedIn), marks_version(&store, &name));
        let ends = told(&store, &name, EventKind::Ended);
        assert_eq!(ends, marks_version(&store, &name).saturating_sub(1), "kill {kill}: {name}");
    }
    assert_eq!(counted, sessions as u64, "kill {kill}: each login is counted");
}

fn told(store: &SledStore, name: &str, kind: EventKind) -> u64 {
    let limit = 1_000_000.try_into().unwrap();
    let query = EventQuery {
        subject: Some(subject(name)),
        kinds: vec![kind],
        limit,
        ..EventQuery::default()
    };
    match pollster::block_on(store.events(&realm(), &query, None)).unwrap() {
        Events::Page(page) => page.events.len() as u64,
        Events::CursorExpired => panic!("nothing was purged"),
    }
}
