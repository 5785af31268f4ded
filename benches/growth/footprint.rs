//! What a store takes up.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Failure;

/// Where a store's files are.
#[derive(Debug)]
pub(crate) struct Footprint {
    places: Vec<PathBuf>,
}

impl Footprint {
    /// Of a store by its URL; of a server's, by the directory that the server keeps it in.
    pub(crate) fn of(url: &str, server: Option<PathBuf>) -> Self {
        let places = match url.split_once("://") {
            Some(("sqlite", file)) => {
                ["", "-wal", "-shm"].iter().map(|suffix| format!("{file}{suffix}").into()).collect()
            }
            Some(("sled", directory)) => vec![directory.into()],
            _ => server.into_iter().collect(),
        };
        Self { places }
    }

    /// The bytes on disk; none if it is kept in memory, or nobody knows where.
    pub(crate) fn disk(&self) -> Result<Option<u64>, Failure> {
        let mut bytes = 0;
        for place in self.places.iter().filter(|place| place.exists()) {
            bytes += size(place)?;
        }
        Ok((!self.places.is_empty()).then_some(bytes))
    }
}

fn size(place: &Path) -> Result<u64, Failure> {
    if !place.is_dir() {
        return Ok(fs::metadata(place)?.len());
    }
    let mut bytes = 0;
    for entry in fs::read_dir(place)? {
        match size(&entry?.path()) {
            Ok(more) => bytes += more,
            // A server removes files while they are counted.
            Err(gone) if gone.downcast_ref().is_some_and(is_not_found) => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(bytes)
}

fn is_not_found(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::NotFound
}

/// The memory that this process has resident, where the system tells it as Linux does.
pub(crate) fn resident() -> Result<Option<u64>, Failure> {
    let Ok(status) = fs::read_to_string("/proc/self/status") else { return Ok(None) };
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let Some(line) = line else { return Ok(None) };
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(Some(kilobytes * 1024))
}
