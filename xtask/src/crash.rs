//! Processes that are killed while they write.

use crate::workspace::Workspace;
use crate::{Failure, run};

/// Kills a process that writes to SQLite that often, and checks after each kill that all it was promised is
/// there and that nothing it ended lives. Prints how much was acknowledged.
pub(crate) fn run(kills: u32) -> Result<(), Failure> {
    let workspace = Workspace::read()?;
    let mut test = workspace.cargo();
    test.env("SESSION_SQLITE_KILLS", kills.to_string());
    test.args(["test", "-p", "session-sqlite", "--test", "processes", "--"]);
    test.args(["--exact", "what_was_acknowledged_survives_a_kill", "--nocapture"]);
    run::show(&mut test)
}
