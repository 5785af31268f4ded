//! The machine that figures come from: what it is, not whose and where.

use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use postgres_cluster::Programs;
use serde_json::{Value, json};

use crate::workspace::root;
use crate::{Failure, run};

/// What a reader has to know of a machine to judge its figures.
#[derive(Debug)]
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    gigabytes: u64,
    system: String,
    file_system: String,
    sync: Duration,
    versions: Vec<String>,
}

impl Machine {
    /// Looks at this machine, and at the disk that a directory is on.
    pub(crate) fn look(directory: &Path) -> Result<Self, Failure> {
        Ok(Self {
            processor: line_of("/proc/cpuinfo", "model name").unwrap_or("unknown".into()),
            cores: thread::available_parallelism()?.get(),
            gigabytes: memory().unwrap_or(0),
            system: run::read(Command::new("uname").arg("-sr"))?.trim().to_owned(),
            file_system: file_system(directory).unwrap_or("unknown".into()),
            sync: sync(directory)?,
            versions: versions()?,
        })
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "processor": self.processor,
            "cores": self.cores,
            "memory_gb": self.gigabytes,
            "system": self.system,
            "file_system": self.file_system,
            "sync_us": self.sync.as_micros() as u64,
            "versions": self.versions,
        })
    }
}

fn memory() -> Option<u64> {
    let kilobytes = line_of("/proc/meminfo", "MemTotal")?;
    let kilobytes: u64 = kilobytes.trim_end_matches(" kB").parse().ok()?;
    Some((kilobytes * 1024).div_ceil(1_000_000_000))
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

/// How long this disk takes to keep a page: the median of many.
fn sync(directory: &Path) -> Result<Duration, Failure> {
    let path = directory.join("sync");
    let mut file = File::create(&path)?;
    let mut took = Vec::new();
    for _ in 0..200 {
        let begun = now();
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        took.push(begun.elapsed());
    }
    fs::remove_file(&path)?;
    took.sort_unstable();
    Ok(took[took.len() / 2])
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

#[expect(clippy::disallowed_methods, reason = "how long a disk takes is asked of a real clock")]
fn now() -> Instant {
    Instant::now()
}
