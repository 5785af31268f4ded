//! The server does not answer: nobody waits for longer than was agreed, and all goes on when it does again.

use std::sync::Arc;
use std::time::Duration;

use session_core::{SessionStore, StoreErrorKind};
use session_postgres::PostgresStore;

use super::kinds::{Case, Kind};
use super::proxy::Mode;
use super::rig::Rig;
use crate::report::Report;

/// For a connection, for a place among the connections, and for an answer.
const LIMIT: Duration = Duration::from_millis(500);

/// A read is asked once more on a fresh connection, so that every limit may count twice; the rest is for a machine
/// that is busy.
const BOUND: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_server_that_hangs() {
    let mut report = Report::new("postgres", "hangs");
    let rig = Rig::new("hangs").await;
    let options = rig.options().connect_timeout(LIMIT).connection_wait(LIMIT).answer_timeout(LIMIT);
    let store: Arc<dyn SessionStore> = Arc::new(PostgresStore::open_with(&options).await.unwrap());
    let (mut number, mut unknown) = (0, 0);
    for mode in [Mode::Hang, Mode::SwallowAnswers] {
        for kind in Kind::ALL {
            number += 1;
            let case = Case::prepare(kind, number, &*rig.direct).await;
            // Over a connection that is open, and over one that has to be opened first: each kind in one mode.
            if (number % 2 == 0) == (mode == Mode::Hang) {
                rig.proxy.sever();
                rig.settled_at(0).await;
            }
            rig.proxy.set(mode);
            let asked = tokio::time::timeout(BOUND, case.ask(&*store, false)).await;
            let asked = asked.unwrap_or_else(|_| panic!("{kind:?} waits for {mode:?}"));
            let error = asked.expect_err("nobody has answered");
            match error.kind() {
                StoreErrorKind::Unavailable => {
                    let nothing = case.done(&*rig.direct).await == Some(false);
                    assert!(!kind.writes() || nothing, "{kind:?}, {mode:?}: done, and {error}");
                }
                StoreErrorKind::OutcomeUnknown => {
                    assert!(kind.writes(), "{kind:?}: {error}");
                    unknown += 1;
                }
                _ => panic!("{kind:?}: {error}"),
            }
            // What is still on its way is lost with the network that held it.
            rig.proxy.sever();
            rig.proxy.set(Mode::Pass);
            assert!(answer(&case, &*store).await, "{kind:?} after {mode:?}");
            assert_eq!(case.done(&*rig.direct).await, Some(true), "{kind:?} after {mode:?}");
        }
    }
    drop(store);
    // An answer that is late, and not too late, is an answer.
    let store = PostgresStore::open_with(&rig.options()).await.unwrap();
    rig.proxy.set(Mode::Late(Duration::from_millis(20)));
    for kind in Kind::ALL {
        number += 1;
        let case = Case::prepare(kind, number, &*rig.direct).await;
        assert!(case.ask(&store, false).await.unwrap(), "{kind:?}");
    }
    drop(store);
    rig.end().await;
    report.figure("calls to a server that hangs", 2 * Kind::ALL.len());
    report.figure("unknown", unknown as u64);
    report.figure("limit of each wait, in milliseconds", LIMIT.as_millis());
    report.print();
    report.held("every call ends by its limits, and the next one works once the server answers");
}

/// Asks until there is an answer: limits as short as these may be too short for a busy machine's first connection.
async fn answer(case: &Case, store: &dyn SessionStore) -> bool {
    let answer = async {
        loop {
            if let Ok(right) = case.ask(store, true).await {
                return right;
            }
        }
    };
    tokio::time::timeout(BOUND, answer).await.expect("an answer, as before")
}
