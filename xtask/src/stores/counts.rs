//! What each operation asks of a backend, counted while it is done.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use postgres_cluster::Cluster;
use serde_json::Value;

use crate::growth::Place;
use crate::workspace::Workspace;
use crate::{Failure, machine, run};

/// The operations, in the order in which they are run and shown.
pub(super) const OPERATIONS: [&str; 9] = [
    "resume",
    "resume with a touch",
    "login",
    "update of one key",
    "revoke",
    "revoke all of a subject",
    "list of a subject",
    "sweep of 100",
    AT_ONCE,
];

/// How many of these share a sync is a matter of timing.
pub(super) const AT_ONCE: &str = "64 logins at once";

/// What one operation costs, on the average of several.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cost {
    pub(super) round_trips: Option<f64>,
    pub(super) syncs: Option<f64>,
}

/// The costs of each operation on one store.
pub(super) type Costs = BTreeMap<String, Cost>;

/// Counts on a store.
pub(super) fn count(workspace: &Workspace, store: &str) -> Result<Costs, Failure> {
    println!("  counting on {store}");
    let program = build(workspace)?;
    let place = Place::new(workspace.target.join("stores"))?;
    match store {
        "memory" => Ok(Costs::new()),
        "postgres" => {
            let server = Cluster::start()?;
            counted(&run::read_secretly(Command::new(program).arg(server.url()))?)
        }
        _ => {
            let url = format!("{store}://{}", place.directory().join("store").display());
            traced(&program, &url, &place.directory().join("trace"))
        }
    }
}

fn build(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let mut build = workspace.cargo();
    build.args(["bench", "--quiet", "--features", "sled,postgres", "--bench", "costs", "--no-run"]);
    let told = run::read(build.arg("--message-format=json"))?;
    let messages = told.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut built = messages.filter(|message| message["target"]["name"] == "costs");
    let program = built.find_map(|message| message["executable"].as_str().map(PathBuf::from));
    program.ok_or_else(|| "cargo does not tell where the benchmark `costs` is".into())
}

/// What the program tells of one operation: how often it ran, and what it has counted itself.
struct Told {
    operation: String,
    times: f64,
    counted: Value,
}

impl Told {
    fn all(text: &str) -> Result<Vec<Self>, Failure> {
        let one = |line: &str| {
            let line: Value = serde_json::from_str(line)?;
            Ok(Self {
                operation: line["operation"].as_str().ok_or("a count of no operation")?.to_owned(),
                times: line["times"].as_f64().ok_or("an operation that was not run")?,
                counted: line["counted"].clone(),
            })
        };
        text.lines().map(one).collect()
    }
}

fn counted(text: &str) -> Result<Costs, Failure> {
    let cost = |told: Told| {
        let each = |name: &str| told.counted[name].as_f64().map(|count| count / told.times);
        let cost = Cost { round_trips: each("round_trips"), syncs: each("syncs") };
        (told.operation, cost)
    };
    Ok(Told::all(text)?.into_iter().map(cost).collect())
}

/// Counts the syncs of all threads between the announcements of an operation.
fn traced(program: &Path, url: &str, trace: &Path) -> Result<Costs, Failure> {
    if machine::found(&["strace"]).is_none() {
        machine::install(&["strace"])?;
    }
    let mut strace = Command::new("strace");
    // Only what is counted stops the program, so that its threads meet as they would without it.
    strace.args(["-f", "--seccomp-bpf", "-e", TRACED]).arg("-o").arg(trace);
    let told = run::read(strace.arg(program).arg(url))?;
    let syncs = syncs(&fs::read_to_string(trace)?);
    let cost = |told: Told| {
        let count = syncs.get(&told.operation).copied().unwrap_or(0.0);
        (told.operation, Cost { round_trips: None, syncs: Some(count / told.times) })
    };
    Ok(Told::all(&told)?.into_iter().map(cost).collect())
}

fn syncs(trace: &str) -> BTreeMap<String, f64> {
    let mut operation = None;
    let mut syncs = BTreeMap::new();
    for call in trace.lines() {
        if let Some((_, name)) = call.split_once("\"costs:begin:") {
            operation = name.split('"').next();
        } else if call.contains("\"costs:end:") {
            operation = None;
        } else if let Some(operation) = operation
            && SYNCS.iter().any(|sync| call.contains(sync))
        {
            *syncs.entry(operation.to_owned()).or_default() += 1.0;
        }
    }
    syncs
}

/// What reaches the disk's own cache: `sync_file_range` does not. A call that another interrupts is told in two
/// lines; only the first has the parenthesis.
const SYNCS: [&str; 3] = ["fsync(", "fdatasync(", "msync("];
const TRACED: &str = "trace=fsync,fdatasync,msync,?statx,?newfstatat,?stat";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syncs_count_for_the_operation_between_its_announcements() {
        let trace = "\
            7 fsync(3) = 0\n\
            7 statx(AT_FDCWD, \"costs:begin:login\", 0, 0, 0x7f) = -1 ENOENT\n\
            8 fdatasync(4 <unfinished ...>\n\
            7 statx(AT_FDCWD, \"elsewhere\", 0, 0, 0x7f) = -1 ENOENT\n\
            8 <... fdatasync resumed>) = 0\n\
            8 fdatasync(4) = 0\n\
            7 statx(AT_FDCWD, \"costs:end:login\", 0, 0, 0x7f) = -1 ENOENT\n\
            8 fdatasync(4) = 0\n";
        assert_eq!(syncs(trace), BTreeMap::from([("login".to_owned(), 2.0)]));
    }
}
