//! Which crate may depend on which, and how many there are.

use std::collections::BTreeSet;

use crate::workspace::{FACADE, Package, Workspace};
use crate::{Failure, run};

/// The crates of an application that takes the default features stay fewer than this.
const MOST_CRATES: usize = 60;

/// What the core must never link: runtimes, HTTP, and anything else that waits for the world.
const NOT_IN_THE_CORE: [&str; 12] = [
    "actix-rt",
    "async-io",
    "async-std",
    "axum",
    "http",
    "hyper",
    "mio",
    "rusqlite",
    "smol",
    "socket2",
    "tokio",
    "tower",
];

/// What only tests and this tool may depend on.
const FOR_TESTS: [&str; 1] = ["postgres-cluster"];

/// All arrows point at the core: a backend knows nothing else of ours, and nothing knows the facade.
pub(crate) fn directions(workspace: &Workspace) -> Result<(), Failure> {
    let mut wrong = Vec::new();
    let ours = |name: &str| workspace.packages.iter().any(|package| package.name == name);
    for package in workspace.packages.iter().filter(|package| package.name != FACADE) {
        for dependency in package.dependencies.iter().filter(|to| ours(&to.name)) {
            let to_the_core = dependency.name == "session-core" && package.name != "session-core";
            let to_itself = dependency.name == package.name && !dependency.normal;
            let to_a_test_bed = FOR_TESTS.contains(&&*dependency.name)
                && (!dependency.normal || package.name == "xtask");
            if !to_the_core && !to_itself && !to_a_test_bed {
                wrong.push(format!("{} depends on {}", package.name, dependency.name));
            }
        }
    }
    for linked in linked(workspace, "session-core", &["--all-features", "--edges=normal"])? {
        let name = linked.split(' ').next().unwrap_or_default();
        if NOT_IN_THE_CORE.contains(&name) {
            wrong.push(format!("session-core links {linked}"));
        }
    }
    let names: Vec<&str> = workspace.packages.iter().map(|package| &*package.name).collect();
    println!("  {} members: {}", names.len(), names.join(", "));
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ").into()) }
}

/// Counts what an application links that takes the default features.
pub(crate) fn count(workspace: &Workspace) -> Result<(), Failure> {
    let count = linked(workspace, FACADE, &["--edges=no-dev"])?.len();
    println!("  the default features are {count} crates, of fewer than {MOST_CRATES} allowed");
    if count < MOST_CRATES { Ok(()) } else { Err(format!("{count} crates are too many").into()) }
}

/// Every feature of a package by itself, and none: what an application may choose must compile.
pub(crate) fn feature_matrix(workspace: &Workspace) -> Result<(), Failure> {
    let mut failed = Vec::new();
    for package in workspace.packages.iter().filter(|package| package.is_library) {
        let alone = package.features.iter().map(Some);
        for feature in std::iter::once(None).chain(alone) {
            failed.extend(lint(workspace, package, feature).err().map(|error| error.to_string()));
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("; ").into()) }
}

fn lint(workspace: &Workspace, package: &Package, feature: Option<&String>) -> Result<(), Failure> {
    let mut command = workspace.cargo();
    command.args(["clippy", "--quiet", "--lib", "--no-default-features", "-p", &package.name]);
    command.args(feature.map(|feature| format!("--features={feature}")));
    run::show(command.args(["--", "-D", "warnings"]))
}

/// The crates that a package links, itself included, each named with its version.
fn linked(
    workspace: &Workspace,
    package: &str,
    arguments: &[&str],
) -> Result<BTreeSet<String>, Failure> {
    let mut command = workspace.cargo();
    command.args(["tree", "-p", package, "--prefix=none", "--format={p}"]).args(arguments);
    let tree = run::read(&mut command)?;
    let version = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    Ok(tree.lines().filter(|line| !line.is_empty()).map(version).collect())
}
