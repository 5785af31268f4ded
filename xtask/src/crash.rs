//! Processes and servers that are killed while they work.

use crate::workspace::Workspace;
use crate::{Failure, faults, postgres, run};

/// The tests of one store that kill something. Those of Postgres share its kills.
const LOOPS: [(&str, &[&str]); 3] = [
    ("sqlite", &["crash::sqlite_whose_process_is_killed"]),
    ("sled", &["crash::sled_whose_process_is_killed"]),
    (
        "postgres",
        &[
            "crash::postgres_whose_client_is_killed",
            "crash::postgres_whose_server_is_killed",
            "crash::postgres_whose_server_is_stopped_at_once",
        ],
    ),
];

/// Kills what writes to a store that often, and checks after each kill that all it was promised is there and that
/// nothing it ended lives. Prints how much was acknowledged.
pub(crate) fn run(store: &str, kills: u32) -> Result<(), Failure> {
    let loops: Vec<&str> = LOOPS
        .iter()
        .filter(|(name, _)| store == "all" || store == *name)
        .flat_map(|(_, loops)| loops.iter().copied())
        .collect();
    if loops.is_empty() {
        return Err(format!("no store {store:?}: there are sqlite, sled, postgres, and all").into());
    }
    let workspace = Workspace::read()?;
    if matches!(store, "postgres" | "all") {
        postgres::programs()?;
    }
    // One after the other: each measures and kills by itself.
    for one in loops {
        let mut test = faults::test(&workspace);
        test.env("SESSION_FAULT_KILLS", kills.to_string());
        run::show(test.args(["--exact", one]))?;
    }
    Ok(())
}
