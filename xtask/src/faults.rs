//! Every fault at full length, with its figures printed and written down.
//!
//! What has held is below `target/faults`: one file a fault and store, `FAULT-STORE.json`, each with one JSON object
//! on one line. `tests/faults/report.rs` describes its fields. A fault that has not held leaves none.

use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::postgres::Postgres;
use crate::run::{self, Steps};
use crate::workspace::Workspace;
use crate::{Failure, machine};

/// The tests of faults. What follows goes to their harness.
pub(crate) fn test(workspace: &Workspace) -> Command {
    let mut test = workspace.cargo();
    test.env("SESSION_FAULT_REPORTS", reports(workspace));
    test.args(["test", "--test=faults", "--all-features", "--", "--nocapture", "--test-threads=1"]);
    test
}

fn reports(workspace: &Workspace) -> PathBuf {
    workspace.target.join("faults")
}

/// The stores that a disk can be too small for, and their crates: each has a test of it.
const FULL_DISKS: [(&str, &str); 2] = [("sqlite", "session-sqlite"), ("sled", "session-sled")];

/// Runs all of them, killing that often.
pub(crate) fn run(kills: u32) -> Result<(), Failure> {
    let mut steps = Steps::new();
    let prepared = steps.step("workspace and Postgres server", || {
        let workspace = Workspace::read()?;
        // What an earlier run has shown does not speak for this one.
        let reports = reports(&workspace);
        if reports.exists() {
            std::fs::remove_dir_all(&reports)?;
        }
        std::fs::create_dir_all(&reports)?;
        Ok((workspace, Postgres::provide()?))
    });
    let Some((workspace, postgres)) = prepared else { return steps.finish() };
    for (name, tests) in [
        ("processes and servers killed", "crash::"),
        ("Postgres restarted under load", "restarts::"),
        ("the network cut, hung and left", "net::"),
        ("two processes over one store", "processes::"),
    ] {
        steps.step(name, || {
            let mut test = test(&workspace);
            postgres.tell(&mut test);
            test.env("SESSION_FAULT_KILLS", kills.to_string());
            test.env("SESSION_FAULT_RESTARTS", "20").env("SESSION_FAULT_EVERY_BYTE", "1");
            run::show(test.arg(tests))
        });
    }
    if machine::mounts_a_disk() {
        steps.step("a full disk", || {
            FULL_DISKS.iter().try_for_each(|(store, package)| full_disk(&workspace, store, package))
        });
    } else {
        steps.leave_out("a full disk", "this machine mounts no small disk");
    }
    steps.step("Postgres server, stopped", || postgres.stop());
    println!("what has held is told in {}", reports(&workspace).display());
    steps.finish()
}

/// The test stands in the store's own crate, which knows how its database says that there is no room.
fn full_disk(workspace: &Workspace, store: &str, package: &str) -> Result<(), Failure> {
    let mut test = workspace.cargo();
    test.args(["test", "-p", package, "--all-features", "--test=full_disk", "--", "--nocapture"]);
    run::show(&mut test)?;
    let outcome =
        "typed errors and no panic; nothing acknowledged is lost; writes go on once there is room";
    let line = json!({ "store": store, "fault": "full-disk", "outcome": outcome, "figures": {} });
    std::fs::write(
        reports(workspace).join(format!("full-disk-{store}.json")),
        format!("{line}\n"),
    )?;
    Ok(())
}
