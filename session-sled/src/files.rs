//! The files of a store beside sled's own, and handing all of them to the disk.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use session_core::{StoreError, StoreErrorKind};

use crate::digest::Tip;
use crate::error::{self, Fault};
use crate::noted::{self, LogFile, Noted};
use crate::options::Durability;

/// Held as long as the store is open.
pub(crate) struct Files {
    path: PathBuf,
    durability: Durability,
    /// Of sled's log. Its own handle cannot be had.
    log: File,
    committed: File,
    /// Pages too large for the log, each in a file of its own, that were synced.
    blobs: BTreeSet<OsString>,
    _lock: Arc<File>,
}

/// The file that keeps other processes out. sled has a lock too, but cannot say that somebody else holds it.
pub(crate) const LOCK: &str = "lock";

/// The file with the number of the last batch: sled takes a log whose end is damaged for one that ends there. It
/// also says whether the store was closed in good order.
pub(crate) const COMMITTED: &str = "committed";

/// sled's log.
pub(crate) const LOG: &str = "db";

/// Where sled puts what is too large for it.
pub(crate) const BLOBS: &str = "blobs";

impl Files {
    /// Opens them in a directory that sled has opened, and syncs what sled has made.
    pub(crate) fn open(path: &Path, durability: Durability, lock: Arc<File>) -> io::Result<Self> {
        let mut files = Self {
            path: path.to_owned(),
            durability,
            log: private().open(path.join(LOG))?,
            committed: private().open(path.join(COMMITTED))?,
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
        self.sync_log()
    }

    fn sync_log(&mut self) -> io::Result<()> {
        self.sync_blobs()?;
        self.log.sync_data()
    }

    /// sled writes them before the part of the log that names them, and never syncs them.
    fn sync_blobs(&mut self) -> io::Result<()> {
        let directory = self.path.join(BLOBS);
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
            let _ = self.write(Noted::open(batch));
        }
    }

    /// Notes that the store is open, of which all up to its tip was synced. From here on nothing says any more that
    /// it was closed in good order, not even after a crash of the system.
    pub(crate) fn begin(&mut self, tip: Tip) -> io::Result<()> {
        self.write(Noted::open(tip.number))?;
        self.committed.sync_all()
    }

    /// Notes that the store was closed in good order, when sled has closed it.
    pub(crate) fn end(&mut self, tip: Tip) -> io::Result<()> {
        self.sync_log()?;
        sync_directory(&self.path)?;
        self.write(Noted::closed(tip, LogFile::of(&self.path.join(LOG))?))?;
        self.committed.sync_all()
    }

    fn write(&mut self, noted: Noted) -> io::Result<()> {
        self.committed.seek(SeekFrom::Start(0))?;
        self.committed.write_all(&noted.to_bytes())
    }

    /// What was noted last.
    pub(crate) fn noted(&mut self) -> Result<Noted, StoreError> {
        let mut bytes = Vec::new();
        self.committed
            .seek(SeekFrom::Start(0))
            .and_then(|_| (&self.committed).take(MOST).read_to_end(&mut bytes))
            .map_err(|failed| Fault::from(failed).tell(&self.path))?;
        Noted::from_bytes(&bytes).ok_or_else(|| {
            error::at(
                StoreErrorKind::Corrupt,
                &self.path,
                format_args!(
                    "the file `{COMMITTED}` in it is damaged, so that nobody knows whether the last writes are there; \
                     restore it from a copy, or remove that file to go on"
                ),
            )
        })
    }
}

/// More than is ever written to it.
const MOST: u64 = 2 * noted::LENGTH as u64;

/// Creates files for their owner alone.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// The names in a directory are as durable as it is.
#[cfg(unix)]
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(not(unix))]
pub(crate) fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}
