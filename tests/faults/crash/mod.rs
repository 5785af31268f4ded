//! A process writes through the engine and is killed, again and again; or the server under it is.
//!
//! After each kill the store is opened again, and everything in it compared with what had been acknowledged.
//! `cargo xtask crash --store sqlite --kills 1000` does it more often than the tests.

mod doubt;
mod ledger;
mod said;
mod writers;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::Child;

use postgres_cluster::{Cluster, Mode};
use session_core::store::Purged;
use session_core::{Realm, Reason, SessionStore, Timestamp};
use tempfile::TempDir;

use crate::look::Found;
use crate::report::Report;
use crate::{child, place, server};
use ledger::{Ledger, Tally};
use said::Said;
pub(crate) use writers::run as write;

/// The ends of a session, told apart by their reasons.
const ENDED: Reason = Reason::EndedByAdministrator;
const RAISED: Reason = Reason::CredentialsChanged;
const OTHERS: Reason = Reason::EndedByOwner;

#[test]
fn sqlite_whose_process_is_killed() {
    let directory = TempDir::new().unwrap();
    let url = format!("sqlite://{}", directory.path().join("sessions.db").display());
    Loop::new("sqlite", "killed", url).run(kills(), &mut Process);
}

#[test]
fn sled_whose_process_is_killed() {
    let directory = TempDir::new().unwrap();
    let url = format!("sled://{}", directory.path().join("sessions").display());
    Loop::new("sled", "killed", url).run(kills(), &mut Process);
}

#[test]
fn postgres_whose_client_is_killed() {
    let server = Cluster::start().unwrap();
    let mut client = Client { url: server.url() };
    Loop::new("postgres", "killed", server.url()).run(kills().div_ceil(3), &mut client);
}

#[test]
fn postgres_whose_server_is_killed() {
    let mut server = Server { cluster: Cluster::start().unwrap(), by: By::Kill };
    let url = server.cluster.url();
    Loop::new("postgres", "server-killed", url).run(kills().div_ceil(3), &mut server);
}

#[test]
fn postgres_whose_server_is_stopped_at_once() {
    let mut server = Server { cluster: Cluster::start().unwrap(), by: By::ImmediateStop };
    let url = server.cluster.url();
    Loop::new("postgres", "server-stopped", url).run(kills().div_ceil(3), &mut server);
}

/// For Postgres its three ways to go down share them.
fn kills() -> usize {
    std::env::var("SESSION_FAULT_KILLS").map_or(20, |kills| kills.parse().unwrap())
}

/// What is struck down while it works.
trait Victim {
    /// Strikes. The writing process ends by it, sooner or later.
    fn strike(&mut self, writer: &mut Child);
    /// Brings back what the writing process needs.
    fn restore(&mut self);
    /// Whether a process that has ended by itself, as one does whose store fails, ends well.
    fn ends_by_itself(&self) -> bool;
}

/// The process that writes.
struct Process;

impl Victim for Process {
    fn strike(&mut self, writer: &mut Child) {
        writer.kill().unwrap();
    }

    fn restore(&mut self) {}

    fn ends_by_itself(&self) -> bool {
        false
    }
}

/// The process that writes to a server.
struct Client {
    url: String,
}

impl Victim for Client {
    fn strike(&mut self, writer: &mut Child) {
        writer.kill().unwrap();
    }

    /// What it had sent the server still carries out.
    fn restore(&mut self) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(server::is_alone(&self.url));
    }

    fn ends_by_itself(&self) -> bool {
        false
    }
}

/// The server that it writes to.
struct Server {
    cluster: Cluster,
    by: By,
}

enum By {
    Kill,
    ImmediateStop,
}

impl Victim for Server {
    fn strike(&mut self, _: &mut Child) {
        match self.by {
            By::Kill => self.cluster.kill().unwrap(),
            By::ImmediateStop => self.cluster.stop(Mode::Immediate).unwrap(),
        }
    }

    fn restore(&mut self) {
        self.cluster.start_again().unwrap();
    }

    fn ends_by_itself(&self) -> bool {
        true
    }
}

/// So many kills share a realm: what the next check has to read stays small.
const KILLS_PER_REALM: usize = 10;

/// The most acknowledgements before a kill.
const ACKNOWLEDGED: u64 = 128;

struct Loop {
    store: &'static str,
    url: String,
    report: Report,
    ledgers: BTreeMap<usize, Ledger>,
    tally: Tally,
}

impl Loop {
    fn new(store: &'static str, fault: &'static str, url: String) -> Self {
        let report = Report::new(store, fault);
        Self { store, url, report, ledgers: BTreeMap::new(), tally: Tally::default() }
    }

    fn run(mut self, kills: usize, victim: &mut dyn Victim) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        for kill in 0..kills {
            let number = kill / KILLS_PER_REALM;
            self.kill_once(number, victim);
            runtime.block_on(self.check(number));
            self.stop_if_wrong(kill + 1);
        }
        // No later kill has harmed what an earlier one had left, and everything can be removed.
        for number in self.ledgers.keys().copied().collect::<Vec<_>>() {
            runtime.block_on(self.check(number));
        }
        runtime.block_on(self.remove_all());
        self.stop_if_wrong(kills);
        self.count(kills);
        self.report.print();
        self.report.held(
            "no acknowledged change is lost, none is half done, and nothing that ended lives",
        );
    }

    fn kill_once(&mut self, number: usize, victim: &mut dyn Victim) {
        let mut writer = child::start("write", &self.url, &[("REALM", &realm_name(number))]);
        let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        let ledger = self.ledgers.entry(number).or_default();
        let mut struck = false;
        // One in eight dies while it opens the store: so it may have to recover twice.
        let mut left = if place::random(8) == 0 { 0 } else { place::random(ACKNOWLEDGED) + 1 };
        for line in lines {
            // What it had said before it died was acknowledged too. Its last line may be cut.
            let Some(said) = line.ok().and_then(|line| Said::read(&line)) else { continue };
            let strikes = match said {
                Said::Opening => left == 0,
                Said::Done { .. } => {
                    left = left.saturating_sub(1);
                    left == 0
                }
                _ => false,
            };
            ledger.note(said, &mut self.tally);
            if strikes && !struck {
                victim.strike(&mut writer);
                struck = true;
            }
        }
        let status = writer.wait().unwrap();
        assert!(struck, "{}: the process ended by itself: {status}", self.store);
        if victim.ends_by_itself() {
            assert!(status.success(), "{}: the process failed: {status}", self.store);
        }
        victim.restore();
    }

    async fn check(&mut self, number: usize) {
        let store = place::open(&self.url).await.unwrap();
        let realm: Realm = place::realm(&realm_name(number));
        let found = Found::look(&*store, &realm).await.unwrap();
        self.ledgers.entry(number).or_default().check(&found, &mut self.tally);
    }

    /// When everything is past its time everything goes, and nothing is left in any index.
    async fn remove_all(&mut self) {
        let store = place::open(&self.url).await.unwrap();
        for number in self.ledgers.keys() {
            let realm = place::realm(&realm_name(*number));
            let found = Found::look(&*store, &realm).await.unwrap();
            let ended = found.rows.values().filter(|row| row.record.end.is_some()).count();
            let expected = (ended, found.events.len());
            let purged = purge(&*store, &realm).await;
            if (purged.records, purged.events) != expected {
                self.tally.half.push(format!("removed {purged:?} of {expected:?}"));
            }
        }
    }

    fn stop_if_wrong(&mut self, kills: usize) {
        let Tally { lost, revived, half, .. } = &self.tally;
        if !(lost.is_empty() && revived.is_empty() && half.is_empty()) {
            self.count(kills);
            self.report.print();
            panic!(
                "lost: {:#?}\nrevived: {:#?}\nhalf: {:#?}",
                self.tally.lost, self.tally.revived, self.tally.half
            );
        }
    }

    fn count(&mut self, kills: usize) {
        let Tally { logins, updates, rotations, ends, raises, lost, revived, half } = &self.tally;
        for (name, number) in [
            ("kills", kills as u64),
            ("acknowledged logins", *logins),
            ("acknowledged updates", *updates),
            ("acknowledged rotations", *rotations),
            ("acknowledged ends", *ends),
            ("acknowledged ends of all of a subject", *raises),
            ("lost", lost.len() as u64),
            ("revived", revived.len() as u64),
            ("half done", half.len() as u64),
        ] {
            self.report.figure(name, number);
        }
    }
}

fn realm_name(number: usize) -> String {
    format!("realm-{number}")
}

async fn purge(store: &dyn SessionStore, realm: &Realm) -> Purged {
    let limit = 1_000.try_into().unwrap();
    let mut all = Purged::default();
    loop {
        let purged = store.purge(realm, Timestamp::MAX, limit).await.unwrap();
        all.records += purged.records;
        all.events += purged.events;
        if !purged.more {
            return all;
        }
    }
}
