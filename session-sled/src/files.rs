//! The files of a store beside sled's own, and handing all of them to the disk.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::options::Durability;

/// Held as long as the store is open.
pub(crate) struct Files {
    path: PathBuf,
    durability: Durability,
    /// Of sled's log. Its own handle cannot be had.
    log: File,
    /// The number of the last batch that is known to be durable.
    committed: File,
    /// Pages too large for the log, each in a file of its own, that were synced.
    blobs: BTreeSet<OsString>,
    _lock: File,
}

/// The file that keeps other processes out. sled has a lock too, but cannot say that somebody else holds it.
pub(crate) const LOCK: &str = "lock";

/// The file with the number of the last batch: sled takes a log whose end is damaged for one that ends there.
pub(crate) const COMMITTED: &str = "committed";

/// sled's log.
pub(crate) const LOG: &str = "db";

impl Files {
    /// Opens them in a directory that sled has opened, and syncs what sled has made.
    pub(crate) fn open(path: &Path, durability: Durability, lock: File) -> io::Result<Self> {
        let read_and_write = |name: &str| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            options.open(path.join(name))
        };
        let mut files = Self {
            path: path.to_owned(),
            durability,
            log: read_and_write(LOG)?,
            committed: read_and_write(COMMITTED)?,
            blobs: BTreeSet::new(),
            _lock: lock,
        };
        for name in ["conf", LOG, COMMITTED] {
            files.sync_file(name)?;
        }
        files.sync()?;
        sync_directory(path)?;
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_directory(parent)?;
        }
        Ok(files)
    }

    /// Hands to the disk what sled has flushed.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if self.durability != Durability::Full {
            return Ok(());
        }
        self.sync_blobs()?;
        self.log.sync_data()
    }

    /// sled writes them before the part of the log that names them, and never syncs them.
    fn sync_blobs(&mut self) -> io::Result<()> {
        let directory = self.path.join("blobs");
        let mut there = BTreeSet::new();
        for entry in fs::read_dir(&directory)? {
            there.insert(entry?.file_name());
        }
        let mut any = false;
        for name in there.difference(&self.blobs) {
            match File::open(directory.join(name)) {
                Ok(file) => file.sync_all()?,
                // It has become superfluous meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            any = true;
        }
        if any {
            sync_directory(&directory)?;
        }
        self.blobs = there;
        Ok(())
    }

    fn sync_file(&self, name: &str) -> io::Result<()> {
        File::open(self.path.join(name))?.sync_all()
    }

    /// Notes that a batch is durable. It is not synced: what is lost of it says less, and never too much. Of a
    /// batch that a crash of the system may take back, nothing is noted.
    pub(crate) fn note(&mut self, batch: u64) {
        if self.durability == Durability::Full {
            // What could not be noted is only not looked for.
            let _ = self.write_number(batch);
        }
    }

    fn write_number(&mut self, batch: u64) -> io::Result<()> {
        let number = batch.to_be_bytes();
        let sum = crc32fast::hash(&number).to_be_bytes();
        let mut bytes = [0; NOTED];
        bytes[..8].copy_from_slice(&number);
        bytes[8..].copy_from_slice(&sum);
        self.committed.seek(SeekFrom::Start(0))?;
        self.committed.write_all(&bytes)
    }

    /// The number that was noted last, if it can be read: batches up to it were durable.
    pub(crate) fn noted(&mut self) -> Option<u64> {
        let mut bytes = [0; NOTED];
        self.committed.seek(SeekFrom::Start(0)).ok()?;
        self.committed.read_exact(&mut bytes).ok()?;
        let (number, sum) = bytes.split_first_chunk::<8>()?;
        (sum == crc32fast::hash(number).to_be_bytes()).then(|| u64::from_be_bytes(*number))
    }
}

const NOTED: usize = 12;

/// The names in a directory are as durable as it is.
#[cfg(unix)]
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(not(unix))]
pub(crate) fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}
