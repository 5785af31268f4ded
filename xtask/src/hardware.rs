//! The machine that figures come from: what it is, not whose and where.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use postgres_cluster::Programs;
use serde_json::{Value, json};

use crate::workspace::root;
use crate::{Failure, run};

/// What a reader has to know of a machine to judge its figures.
#[derive(Debug)]
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    gibibytes: u64,
    system: String,
    file_system: String,
    versions: Vec<String>,
}

impl Machine {
    /// Looks at this machine, and at the disk that a directory is on.
    pub(crate) fn look(directory: &Path) -> Result<Self, Failure> {
        Ok(Self {
            processor: line_of("/proc/cpuinfo", "model name").unwrap_or("unknown".into()),
            cores: thread::available_parallelism()?.get(),
            gibibytes: memory().unwrap_or(0),
            system: system()?,
            file_system: file_system(directory).unwrap_or("unknown".into()),
            versions: versions()?,
        })
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "processor": self.processor,
            "cores": self.cores,
            "memory_gib": self.gibibytes,
            "system": self.system,
            "file_system": self.file_system,
            "versions": self.versions,
        })
    }
}

/// Its name and version, without what its builder has added.
fn system() -> Result<String, Failure> {
    let told = run::read(Command::new("uname").arg("-sr"))?;
    Ok(told.trim().split('-').next().unwrap_or_default().to_owned())
}

fn memory() -> Option<u64> {
    let kilobytes = line_of("/proc/meminfo", "MemTotal")?;
    let kilobytes: u64 = kilobytes.trim_end_matches(" kB").parse().ok()?;
    // What the system keeps for itself is not told: the next whole number is what is built in.
    Some(kilobytes.div_ceil(1 << 20))
}

fn line_of(file: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn file_system(directory: &Path) -> Option<String> {
    let kind = Command::new("df").arg("--output=fstype").arg(directory).output().ok()?;
    String::from_utf8(kind.stdout).ok()?.lines().nth(1).map(|kind| kind.trim().to_owned())
}

/// Of what stands below the stores.
fn versions() -> Result<Vec<String>, Failure> {
    let mut versions = vec![run::read(Command::new("rustc").arg("--version"))?.trim().to_owned()];
    let lock = fs::read_to_string(root()?.join("Cargo.lock"))?;
    for name in ["sled", "rusqlite", "libsqlite3-sys", "tokio-postgres"] {
        let wanted = format!("name = \"{name}\"");
        let mut lines = lock.lines().skip_while(|line| **line != *wanted);
        if let Some(version) = lines.nth(1) {
            let version = version.trim_start_matches("version = ").trim_matches('"');
            versions.push(format!("{name} {version}"));
        }
    }
    if let Ok(programs) = Programs::find() {
        versions.push(programs.version()?.trim().to_owned());
    }
    Ok(versions)
}
