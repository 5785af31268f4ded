//! Opening a directory: whose it is, and whether it may be used.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::thread;
use std::time::Duration;

use session_core::{StoreError, StoreErrorKind};
use sled::Db;

use crate::digest::{self, Tip};
use crate::error::{self, Fault, guarded};
use crate::files::{self, Files};
use crate::flush;
use crate::migrate;
use crate::options::SledOptions;
use crate::view::{View, Writes};

/// An open database, and the files beside it.
pub(crate) struct Opened {
    pub(crate) db: Db,
    pub(crate) files: Files,
}

/// Opens a directory, and finds out whether it has all that was acknowledged.
pub(crate) fn open(options: &SledOptions) -> Result<Opened, StoreError> {
    let path = &options.path;
    check_path(options)?;
    let lock = lock(path)?;
    let db = database(options)?;
    match look_at(options, &db, lock) {
        Ok(files) => Ok(Opened { db, files }),
        Err(error) => {
            flush::close(db);
            Err(error)
        }
    }
}

/// Whether a database is ours and whole.
fn look_at(options: &SledOptions, db: &Db, lock: File) -> Result<Files, StoreError> {
    let path = &options.path;
    guarded(|| Ok(migrate::migrate(path, db)?)).map_err(|fault| fault.tell(path))?;
    let mut files = Files::open(path, options.durability, lock)
        .map_err(|error| Fault::from(error).tell(path))?;
    complete(options, db, files.noted().unwrap_or(0))?;
    Ok(files)
}

/// Refuses a database that lacks what was acknowledged.
fn complete(options: &SledOptions, db: &Db, noted: u64) -> Result<(), StoreError> {
    let path = &options.path;
    let nothing = Writes::new();
    let view = View { tree: db, over: &nothing };
    let tip = guarded(|| Tip::of(view)).map_err(|fault| fault.tell(path))?;
    if noted > tip.number {
        return Err(error::at(
            StoreErrorKind::Corrupt,
            path,
            format_args!(
                "the end of its log is damaged: the last {} of {noted} groups of writes are missing; restore \
                 it from a copy, or remove the file `{}` in it to go on without them",
                noted - tip.number,
                files::COMMITTED,
            ),
        ));
    }
    if options.verify && guarded(|| digest::sum(view)).map_err(|fault| fault.tell(path))? != tip.sum
    {
        return Err(error::at(
            StoreErrorKind::Corrupt,
            path,
            "its log is damaged, and something of it is missing; restore it from a copy, or make a copy of what \
             is left: open it with `SledOptions::verify(false)`, and use `SledStore::copy_to`",
        ));
    }
    Ok(())
}

/// Opens the database in a directory whose lock is held.
pub(crate) fn database(options: &SledOptions) -> Result<Db, StoreError> {
    let path = &options.path;
    tidy(path).map_err(|error| Fault::from(error).tell(path))?;
    let config = sled::Config::new()
        .path(path)
        .cache_capacity(options.cache)
        .flush_every_ms(Some(FLUSH_EVERY_MS));
    let mut tries = TRIES;
    loop {
        match guarded(|| Ok(config.open()?)) {
            Ok(db) => return Ok(db),
            Err(Fault::Sled(sled::Error::Io(error))) if is_locked(&error) => {
                // Threads of sled's that were about to end may still have it.
                tries -= 1;
                if tries == 0 {
                    return Err(in_use(path).with_source(error));
                }
                thread::sleep(PAUSE);
            }
            Err(fault) => return Err(fault.tell(path)),
        }
    }
}

/// Touches are not flushed by themselves, and are durable within a second.
const FLUSH_EVERY_MS: u64 = 500;

const PAUSE: Duration = Duration::from_millis(10);
const TRIES: u32 = 500;

/// sled tells it in words alone.
fn is_locked(error: &io::Error) -> bool {
    error.kind() == ErrorKind::Other && error.to_string().contains("could not acquire lock")
}

fn in_use(path: &Path) -> StoreError {
    error::at(
        StoreErrorKind::Unavailable,
        path,
        "another process has it open, or this one twice; end it, or give another path",
    )
}

/// A crash while sled writes a snapshot leaves half of one, which it takes for a whole one from then on
/// (spacejam/sled#1527). It is needed for nothing: the one before it is there, and the log from there on.
fn tidy(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("snap.") && name.ends_with(".generating"))
        {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = options.open(path.join(files::LOCK)).map_err(|error| refused(path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(in_use(path)),
        Err(TryLockError::Error(error)) => Err(error::at(
            StoreErrorKind::Unavailable,
            path,
            "it cannot be locked; put it on a local disk",
        )
        .with_source(error)),
    }
}

fn check_path(options: &SledOptions) -> Result<(), StoreError> {
    let path = &options.path;
    let invalid = |what: &str| Err(error::at(StoreErrorKind::Invalid, path, what));
    if path.as_os_str().is_empty() {
        return invalid("this names no directory; for sessions in memory there is MemoryStore");
    }
    match fs::metadata(path) {
        Ok(known) if !known.is_dir() => invalid("this is a file; give the path of a directory"),
        Ok(known) if anybody_may_write(&known) => {
            invalid("anybody on this machine may write to it; run `chmod 700` on it")
        }
        Ok(_) => check_content(options),
        Err(error) if error.kind() == ErrorKind::NotFound && !options.create => Err(error::at(
            StoreErrorKind::Invalid,
            path,
            "there is no such directory, and it is not to be created",
        )
        .with_source(error)),
        Err(error) if error.kind() == ErrorKind::NotFound => create(path),
        Err(error) => Err(refused(path, error)),
    }
}

/// sled would make its files between anything that is there.
fn check_content(options: &SledOptions) -> Result<(), StoreError> {
    let path = &options.path;
    let names = || -> io::Result<Vec<_>> {
        fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
    };
    let names = names().map_err(|error| refused(path, error))?;
    let invalid = |what: &str| Err(error::at(StoreErrorKind::Invalid, path, what));
    let has = |name: &str| names.iter().any(|known| known == name);
    if has(files::LOG) && has("conf") {
        return Ok(());
    }
    // What a first opening leaves that was cut short.
    let made = [files::LOCK, files::LOG, "conf", "blobs"];
    if !names.iter().all(|name| made.iter().any(|made| name == made)) {
        return invalid("this directory holds something else; give another path");
    }
    if !options.create {
        return invalid("there is no store in it, and none is to be created");
    }
    Ok(())
}

#[cfg(unix)]
fn anybody_may_write(directory: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::mode(directory) & 0o002 != 0
}

#[cfg(not(unix))]
fn anybody_may_write(_: &Metadata) -> bool {
    false
}

fn create(path: &Path) -> Result<(), StoreError> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(refused(path, error)),
    }
}

/// The error of a path that cannot be used.
fn refused(path: &Path, error: io::Error) -> StoreError {
    let (kind, advice) = match error.kind() {
        ErrorKind::NotFound => {
            (StoreErrorKind::Invalid, "the directory that it is to be in does not exist; create it")
        }
        ErrorKind::NotADirectory => {
            (StoreErrorKind::Invalid, "a part of this path is a file; give another path")
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            (StoreErrorKind::Invalid, "it may not be written; check the rights of the directory")
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            (StoreErrorKind::StorageFull, "there is no room left; make some")
        }
        _ => (StoreErrorKind::Unavailable, "it cannot be opened; check the disk"),
    };
    error::at(kind, path, advice).with_source(error)
}
