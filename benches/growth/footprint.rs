//! What a store takes up.

use std::fs::{self, File};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Failure;
use crate::figures::now;

/// Where a store's files are, or its server.
#[derive(Debug)]
pub(crate) struct Footprint {
    places: Vec<PathBuf>,
    postgres: Option<String>,
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
        let postgres = url.starts_with("postgres").then(|| url.to_owned());
        Self { places, postgres }
    }

    /// The bytes on disk; none if it is kept in memory, or nobody knows where.
    pub(crate) fn disk(&self) -> Result<Option<u64>, Failure> {
        let mut bytes = 0;
        for place in self.places.iter().filter(|place| place.exists()) {
            bytes += size(place)?;
        }
        Ok((!self.places.is_empty()).then_some(bytes))
    }

    /// What the disk itself takes at this moment to write a page and sync it: the median of many. None for a store in
    /// memory.
    pub(crate) fn sync(&self) -> Result<Option<Duration>, Failure> {
        let Some(place) = self.places.first() else { return Ok(None) };
        // Beside a file, and not in a directory that is the store's own.
        let mut path = place.clone().into_os_string();
        path.push("-sync");
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
        Ok(Some(took[took.len() / 2]))
    }

    /// Makes of a store that was just filled one that has been in use for a while.
    ///
    /// The disk has what the filling left to be written, and the files are in the system's cache, as far as there is
    /// memory for them. A Postgres server has statistics of its tables, which it gathers by itself within minutes.
    pub(crate) async fn settle(&self) -> Result<(), Failure> {
        if let Some(url) = &self.postgres {
            let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
            let connection = tokio::spawn(connection);
            client.batch_execute("ANALYZE").await?;
            drop(client);
            connection.await??;
        }
        for place in self.places.iter().filter(|place| place.exists()) {
            each_file(place, &mut |file| {
                let mut file = File::open(file)?;
                file.sync_all()?;
                io::copy(&mut file, &mut io::sink()).map(drop)
            })?;
        }
        Ok(())
    }
}

fn size(place: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    each_file(place, &mut |file| {
        bytes += fs::metadata(file)?.len();
        Ok(())
    })?;
    Ok(bytes)
}

fn each_file(place: &Path, visit: &mut impl FnMut(&Path) -> io::Result<()>) -> Result<(), Failure> {
    if place.is_dir() {
        for entry in fs::read_dir(place)? {
            each_file(&entry?.path(), visit)?;
        }
        return Ok(());
    }
    match visit(place) {
        // A server removes files while they are looked at.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        visited => Ok(visited?),
    }
}

/// The memory that this process has resident, where the system tells it as Linux does.
pub(crate) fn resident() -> Result<Option<u64>, Failure> {
    let kilobytes = told("/proc/self/status", "VmRSS:")?;
    Ok(kilobytes.map(|kilobytes| kilobytes * 1024))
}

/// The pages that this process has had read from a disk: not from the system's cache.
pub(crate) fn pages_read() -> Result<Option<u64>, Failure> {
    let bytes = told("/proc/self/io", "read_bytes:")?;
    Ok(bytes.map(|bytes| bytes / 4096))
}

fn told(file: &str, key: &str) -> Result<Option<u64>, Failure> {
    let Ok(text) = fs::read_to_string(file) else { return Ok(None) };
    let Some(line) = text.lines().find_map(|line| line.strip_prefix(key)) else { return Ok(None) };
    Ok(Some(line.trim().trim_end_matches(" kB").parse()?))
}
