//! The connection is cut after every byte of every exchange with the server.
//!
//! Whatever is answered has to be so: a success was done; what is unavailable did nothing; what is unknown may be
//! either, and sent again it is done once.

use std::sync::Arc;

use session_core::{SessionStore, StoreErrorKind};
use session_postgres::PostgresStore;
use tokio::task::JoinSet;

use super::kinds::{Case, Kind};
use super::proxy::Way;
use super::rig::Rig;
use crate::report::Report;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_exchange_is_cut_everywhere() {
    cut_all("cut", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_exchange_is_cut_everywhere_without_prepared_statements() {
    cut_all("cut-pooled", true).await;
}

/// Where an exchange of so many bytes each way is cut: at its ends, and in between once in so many bytes as the
/// length of the run asks for.
pub(crate) fn places([there, back]: [u64; 2], in_a_long_run: u64) -> Vec<(Way, u64)> {
    let long = std::env::var_os("SESSION_FAULT_EVERY_BYTE").is_some();
    let every = if long { in_a_long_run } else { 37 };
    let places = |way, bytes: u64| {
        let chosen = move |at: &u64| *at < 4 || at + 4 > bytes || at.is_multiple_of(every);
        (0..=bytes).filter(chosen).map(move |at| (way, at))
    };
    places(Way::ToServer, there).chain(places(Way::ToClient, back)).collect()
}

/// How much has gone each way since then.
pub(crate) fn since(before: [u64; 2], now: [u64; 2]) -> [u64; 2] {
    [now[0] - before[0], now[1] - before[1]]
}

#[derive(Debug, Default)]
struct Tally {
    cases: u64,
    bytes: u64,
    succeeded: u64,
    unavailable: u64,
    unknown: u64,
    unknown_done: u64,
}

async fn cut_all(fault: &'static str, transaction_pooler: bool) {
    let mut report = Report::new("postgres", fault);
    let mut kinds = JoinSet::new();
    for kind in Kind::ALL {
        kinds.spawn(cut_kind(kind, transaction_pooler));
    }
    let mut all = Tally::default();
    while let Some(tally) = kinds.join_next().await {
        let Tally { cases, bytes, succeeded, unavailable, unknown, unknown_done } = tally.unwrap();
        all.cases += cases;
        all.bytes += bytes;
        all.succeeded += succeeded;
        all.unavailable += unavailable;
        all.unknown += unknown;
        all.unknown_done += unknown_done;
    }
    report.figure("cuts", all.cases);
    report.figure("statements", Kind::ALL.len());
    report.figure("bytes of their exchanges", all.bytes);
    report.figure("answered all the same", all.succeeded);
    report.figure("unavailable, and nothing done", all.unavailable);
    report.figure("unknown", all.unknown);
    report.figure("unknown, and done", all.unknown_done);
    report.figure("wrong", 0_u64);
    report.print();
    report.held(
        "what is answered as done is done, what is unknown says so, and sent again is done once",
    );
}

async fn cut_kind(kind: Kind, transaction_pooler: bool) -> Tally {
    let rig = Rig::new(&format!("{kind:?}").to_lowercase()).await;
    let options = rig.options().transaction_pooler(transaction_pooler);
    let store: Arc<dyn SessionStore> = Arc::new(PostgresStore::open_with(&options).await.unwrap());
    let mut bench = Bench { rig, store, kind, number: 0, tally: Tally::default() };

    let mut warm = bench.case().await;
    assert!(warm.ask(&*bench.store, false).await.unwrap(), "{kind:?}");
    let case = bench.case().await;
    let before = bench.rig.passed();
    assert!(case.ask(&*bench.store, false).await.unwrap(), "{kind:?}");
    let exchanged = since(before, bench.rig.passed());
    for (way, after) in places(exchanged, 1) {
        warm = bench.cut(&warm, way, after).await;
    }
    bench.tally.bytes = exchanged.iter().sum();
    let Bench { rig, tally, store, .. } = bench;
    drop(store);
    rig.end().await;
    println!(
        "{kind:?}: {} bytes there, {} back, {} cuts: {} answered, {} unavailable, {} unknown, of which {} done",
        exchanged[0],
        exchanged[1],
        tally.cases,
        tally.succeeded,
        tally.unavailable,
        tally.unknown,
        tally.unknown_done
    );
    tally
}

struct Bench {
    rig: Rig,
    store: Arc<dyn SessionStore>,
    kind: Kind,
    number: usize,
    tally: Tally,
}

impl Bench {
    async fn case(&mut self) -> Case {
        self.number += 1;
        Case::prepare(self.kind, self.number, &*self.rig.direct).await
    }

    /// Cuts one exchange, and gives its case back, which is done by then.
    async fn cut(&mut self, warm: &Case, way: Way, after: u64) -> Case {
        let case = self.case().await;
        let what = format!("{:?} cut after {after} bytes {way:?}", self.kind);
        self.warm(warm, &what).await;
        self.rig.proxy.cut_after(way, after);
        let answer = case.ask(&*self.store, false).await;
        if let Some(port) = self.rig.proxy.was_cut() {
            self.rig.gone(port).await;
        }
        let done = case.done(&*self.rig.direct).await;
        let done = done.unwrap_or_else(|| panic!("{what}: half of it is done"));
        self.tally.cases += 1;
        match answer {
            Ok(right) => {
                assert!(right, "{what}: a wrong answer");
                assert!(done, "{what}: a success that was not done");
                self.tally.succeeded += 1;
            }
            Err(error) => match error.kind() {
                StoreErrorKind::Unavailable => {
                    assert!(!(self.kind.writes() && done), "{what}: done, and {error}");
                    self.tally.unavailable += 1;
                }
                StoreErrorKind::OutcomeUnknown if self.kind.writes() => {
                    self.tally.unknown += 1;
                    self.tally.unknown_done += u64::from(done);
                }
                _ => panic!("{what}: {error}"),
            },
        }
        self.warm(&case, &what).await;
        assert_eq!(case.done(&*self.rig.direct).await, Some(true), "{what}, sent again");
        case
    }

    /// Asks what may be asked again. A connection whose end nobody has noticed yet may cost one failure.
    async fn warm(&self, case: &Case, what: &str) {
        let mut answer = case.ask(&*self.store, true).await;
        if answer.is_err() {
            answer = case.ask(&*self.store, true).await;
        }
        assert!(answer.unwrap_or_else(|error| panic!("after {what}: {error}")), "after {what}");
    }
}
