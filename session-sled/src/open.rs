//! Opening a directory: whose it is, and whether it may be used.

use std::fs::{self, File, Metadata, TryLockError};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use session_core::{StoreError, StoreErrorKind};
use sled::Db;

use crate::digest::{self, Tip};
use crate::error::{self, Fault, guarded};
use crate::files::{self, Files};
use crate::flush;
use crate::migrate;
use crate::noted::LogFile;
use crate::options::{SledOptions, Verify};
use crate::reserve::Reserve;
use crate::undo;
use crate::view::{View, Writes};

/// An open database, and the files beside it.
pub(crate) struct Opened {
    pub(crate) db: Db,
    pub(crate) files: Files,
    /// Whether it is known to have everything, and not only believed.
    pub(crate) sound: bool,
}

/// Opens a directory, and finds out whether it has all that was acknowledged.
pub(crate) fn open(options: &SledOptions) -> Result<Opened, StoreError> {
    let path = &options.path;
    check_path(options)?;
    let lock = Arc::new(lock(path)?);
    match open_once(options, &lock) {
        // The process may have ended because its disk was full.
        Err(error) if error.kind() == StoreErrorKind::StorageFull && Reserve::new(path).spend() => {
            open_once(options, &lock)
        }
        opened => opened,
    }
}

fn open_once(options: &SledOptions, lock: &Arc<File>) -> Result<Opened, StoreError> {
    let path = &options.path;
    // Before sled writes to it.
    let log = log_file(path).map_err(|error| refused(path, error))?;
    let db = database(options)?;
    match look_at(options, &db, Arc::clone(lock), log) {
        Ok((files, sound)) => Ok(Opened { db, files, sound }),
        Err(error) => {
            flush::close(db);
            Err(error)
        }
    }
}

/// sled's log. It and the directory of what is too large for it are made for their owner alone if they are not
/// there: sled would let everybody read them.
fn log_file(path: &Path) -> io::Result<LogFile> {
    let log = path.join(files::LOG);
    drop(files::private().open(&log)?);
    match private_directory().create(path.join(files::BLOBS)) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    LogFile::of(&log)
}

fn private_directory() -> fs::DirBuilder {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

/// Whether a database is ours and whole.
fn look_at(
    options: &SledOptions,
    db: &Db,
    lock: Arc<File>,
    log: LogFile,
) -> Result<(Files, bool), StoreError> {
    let path = &options.path;
    guarded(|| Ok(migrate::migrate(path, db)?)).map_err(|fault| fault.tell(path))?;
    guarded(|| undo::take_back(path, db)).map_err(|fault| fault.tell(path))?;
    let failed = |error| Fault::from(error).tell(path);
    let mut files = Files::open(path, options.durability, lock).map_err(failed)?;
    let noted = files.noted()?;
    let nothing = Writes::new();
    let view = View { tree: db, over: &nothing };
    let tip = guarded(|| Tip::of(view)).map_err(|fault| fault.tell(path))?;
    check_end(path, noted.batch, tip)?;
    let closed = noted.is_closed(tip, log);
    let look = match options.verify {
        Verify::Always => true,
        Verify::Unclean => !closed,
        Verify::Never => false,
    };
    if look {
        check_sum(path, view, tip)?;
    }
    files.begin(tip).map_err(failed)?;
    undo::forget(path);
    Ok((files, look || closed))
}

/// Refuses a database whose last batches are not there.
fn check_end(path: &Path, noted: u64, tip: Tip) -> Result<(), StoreError> {
    if noted <= tip.number {
        return Ok(());
    }
    Err(error::at(
        StoreErrorKind::Corrupt,
        path,
        format_args!(
            "the end of its log is damaged: the last {} of {noted} groups of writes are missing; restore it from \
             a copy, or remove the file `{}` in it to go on without them",
            noted - tip.number,
            files::COMMITTED,
        ),
    ))
}

/// Reads everything, and refuses a database of which something is missing.
pub(crate) fn check_sum(path: &Path, view: View<'_>, tip: Tip) -> Result<(), StoreError> {
    if guarded(|| digest::sum(view)).map_err(|fault| fault.tell(path))? == tip.sum {
        return Ok(());
    }
    Err(error::at(
        StoreErrorKind::Corrupt,
        path,
        "its log is damaged, and something of it is missing; restore it from a copy, or make a copy of what is \
         left: open it with `SledOptions::verify(Verify::Never)`, and use `SledStore::copy_to`",
    ))
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
    let file = files::private().open(path.join(files::LOCK));
    let file = file.map_err(|error| refused(path, error))?;
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
    let invalid = |what: &str| Err(error::at(StoreErrorKind::Invalid, path, what));
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| refused(path, error))? {
        let entry = entry.map_err(|error| refused(path, error))?;
        let kind = entry.file_type().map_err(|error| refused(path, error))?;
        if !kind.is_file() && !kind.is_dir() {
            // What is written to it would go elsewhere.
            let what = format!("`{}` in it is no file", entry.file_name().display());
            return invalid(&format!("{what}, but a link or the like; remove that"));
        }
        names.push(entry.file_name());
    }
    let has = |name: &str| names.iter().any(|known| known == name);
    if has(files::LOG) && has(CONF) {
        return Ok(());
    }
    if has(files::COMMITTED) {
        return Err(error::at(
            StoreErrorKind::Corrupt,
            path,
            format_args!(
                "the file `{}` or `{CONF}` in it is gone; restore it from a copy",
                files::LOG
            ),
        ));
    }
    // What a first opening leaves that was cut short.
    let made = [files::LOCK, files::LOG, files::BLOBS, CONF];
    if !names.iter().all(|name| made.iter().any(|made| name == made)) {
        return invalid("this directory holds something else; give another path");
    }
    if !options.create {
        return invalid("there is no store in it, and none is to be created");
    }
    Ok(())
}

/// What sled keeps of its configuration.
const CONF: &str = "conf";

#[cfg(unix)]
fn anybody_may_write(directory: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::mode(directory) & 0o002 != 0
}

#[cfg(not(unix))]
fn anybody_may_write(_: &Metadata) -> bool {
    false
}

fn create(path: &Path) -> Result<(), StoreError> {
    match private_directory().create(path) {
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
