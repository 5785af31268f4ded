//! The fuzz targets, which build on the stable toolchain: fuzz/.cargo/config.toml holds the flags.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::workspace::{self, Workspace};
use crate::{Failure, machine, run};

/// Runs one target for that many seconds, from what earlier runs have found on.
pub(crate) fn run(target: &str, seconds: u32) -> Result<(), Failure> {
    let workspace = Workspace::read()?;
    let known = targets(&workspace)?;
    if !known.iter().any(|name| name == target) {
        return Err(format!("no fuzz target {target:?}: there are {}", known.join(", ")).into());
    }
    let built = build(&workspace)?;
    fuzz(&workspace, &built, target, seconds)
}

/// Builds all targets, and runs each for a few seconds.
pub(crate) fn smoke(workspace: &Workspace) -> Result<(), Failure> {
    let built = build(workspace)?;
    let targets = targets(workspace)?;
    let failed: Vec<String> = targets
        .iter()
        .filter_map(|target| {
            Some(format!("{target}: {}", fuzz(workspace, &built, target, 5).err()?))
        })
        .collect();
    println!("  {} targets, {} failed", targets.len(), failed.len());
    if failed.is_empty() { Ok(()) } else { Err(failed.join("; ").into()) }
}

/// Cargo in the workspace of the fuzz targets.
pub(crate) fn cargo(workspace: &Workspace) -> Command {
    let mut command = workspace::cargo(&directory(workspace));
    command.env("CARGO_TARGET_DIR", target_directory(workspace));
    // They would take the place of the flags that make the targets fuzzable.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    command
}

/// Builds all targets, and tells where they are.
fn build(workspace: &Workspace) -> Result<PathBuf, Failure> {
    machine::cxx_compiler()?;
    // The machine's own target, but named, so that build scripts stay without the fuzzing flags.
    let version = run::read(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or("rustc does not tell its host")?;
    run::show(cargo(workspace).args(["build", "--release", "--bins", "--target", host]))?;
    Ok(target_directory(workspace).join(host).join("release"))
}

fn fuzz(workspace: &Workspace, built: &Path, target: &str, seconds: u32) -> Result<(), Failure> {
    let directory = directory(workspace);
    let corpus = directory.join("corpus").join(target);
    let artifacts = directory.join("artifacts").join(target);
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&artifacts)?;
    let mut command = Command::new(built.join(target));
    // The first directory receives what is found; the second is only read.
    command.arg(corpus).arg(directory.join("seeds").join(target));
    command.arg(format!("-artifact_prefix={}/", artifacts.display()));
    command.arg(format!("-max_total_time={seconds}"));
    command.args([
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-verbosity=0",
        "-print_funcs=0",
        "-print_final_stats=1",
    ]);
    run::show(&mut command)
}

/// The targets, by the names of their files.
fn targets(workspace: &Workspace) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory(workspace).join("targets"))? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    if names.is_empty() { Err("there are no fuzz targets".into()) } else { Ok(names) }
}

fn directory(workspace: &Workspace) -> PathBuf {
    workspace.root.join("fuzz")
}

fn target_directory(workspace: &Workspace) -> PathBuf {
    workspace.target.join("fuzz")
}
