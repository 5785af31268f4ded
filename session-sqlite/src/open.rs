//! Opening a file: whose it is, and whether it may be used.

use std::fs::{Metadata, OpenOptions};
use std::io::ErrorKind;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use session_core::{StoreError, StoreErrorKind};

use crate::options::{Durability, SqliteOptions};
use crate::{error, migrate};

/// Versions 3.7.0 to 3.51.2 may corrupt a file in WAL mode that two connections write at once: the WAL-reset
/// bug, <https://sqlite.org/wal.html#walresetbug>.
const OLDEST_SQLITE: i32 = 3_051_003;

/// Opens the connection that writes: finds out whose file it is, and brings its schema up to date.
pub(crate) fn writer(options: &SqliteOptions) -> Result<Connection, StoreError> {
    check_library(rusqlite::version_number(), rusqlite::version())?;
    let path = &options.path;
    check_path(options)?;
    let connection = connect(options)?;
    migrate::check_owner(path, &connection)?;
    enter_wal(options, &connection)?;
    migrate::migrate(path, &connection)?;
    limit_size(options, &connection).map_err(|error| error::statement(path, error))?;
    Ok(connection)
}

/// Opens a connection that only reads. Not as SQLite's read-only mode: a reader of a WAL takes part in its
/// recovery.
pub(crate) fn reader(options: &SqliteOptions) -> Result<Connection, StoreError> {
    let connection = connect(options)?;
    let failed = |error| error::statement(&options.path, error);
    connection.execute_batch(include_str!("views.sql")).map_err(failed)?;
    connection.pragma_update(None, "query_only", true).map_err(failed)?;
    Ok(connection)
}

fn check_library(number: i32, version: &str) -> Result<(), StoreError> {
    if number >= OLDEST_SQLITE {
        return Ok(());
    }
    Err(StoreError::new(
        StoreErrorKind::Unsupported,
        format!(
            "SQLite {version} is linked, which can corrupt a file that two connections write: 3.51.3 or newer \
             is needed; use rusqlite 0.39 or newer with its feature `bundled`, or a newer system library"
        ),
    ))
}

fn check_path(options: &SqliteOptions) -> Result<(), StoreError> {
    let path = &options.path;
    let invalid = |what: &str| Err(error::at(StoreErrorKind::Invalid, path, what));
    if path.as_os_str().is_empty() || path.as_os_str() == ":memory:" {
        return invalid("this names no file; for sessions in memory there is MemoryStore");
    }
    if path.is_dir() {
        return invalid("this is a directory; give the path of a file");
    }
    if let Ok(file) = path.metadata() {
        if anybody_may_write(&file) {
            return invalid("anybody on this machine may write to it; run `chmod 600` on it");
        }
        return Ok(());
    }
    if !options.create {
        return invalid("there is no such file, and it is not to be created");
    }
    match create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(error::at(StoreErrorKind::Invalid, path, "its directory does not exist; create it")
                .with_source(error))
        }
        Err(error) if error.kind() == ErrorKind::StorageFull => {
            Err(error::at(StoreErrorKind::StorageFull, path, "there is no room left; make some")
                .with_source(error))
        }
        Err(error) => Err(error::at(
            StoreErrorKind::Unavailable,
            path,
            "the file cannot be created; check the rights of its directory",
        )
        .with_source(error)),
    }
}

#[cfg(unix)]
fn anybody_may_write(file: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::mode(file) & 0o002 != 0
}

#[cfg(not(unix))]
fn anybody_may_write(_: &Metadata) -> bool {
    false
}

/// SQLite gives the files beside it the same rights.
fn create(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn connect(options: &SqliteOptions) -> Result<Connection, StoreError> {
    let failed = |error| error::statement(&options.path, error);
    // Without SQLITE_OPEN_URI, a path that looks like a URI is a path.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&options.path, flags).map_err(failed)?;
    let longest = Duration::from_millis(i32::MAX as u64);
    connection.busy_timeout(options.busy_timeout.min(longest)).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(64);
    // Otherwise SQLite plans a statement anew for every new value that is bound, which takes ten times as long
    // as to run it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(failed)?;
    // Set on every connection, because what a build of SQLite has for a default is not the same everywhere.
    let synchronous = match options.durability {
        Durability::Full => "FULL",
        Durability::Normal => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous).map_err(failed)?;
    // A mapped file that another process cuts short is a fault that no error can tell.
    connection.pragma_update(None, "mmap_size", 0).map_err(failed)?;
    connection.pragma_update(None, "temp_store", "MEMORY").map_err(failed)?;
    connection.pragma_update(None, "trusted_schema", false).map_err(failed)?;
    // What is deleted or replaced is overwritten with zeros, also where the page becomes free.
    connection.pragma_update_and_check(None, "secure_delete", true, |_| Ok(())).map_err(failed)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES).map_err(failed)?;
    connection.pragma_update(None, "journal_size_limit", JOURNAL_BYTES).map_err(failed)?;
    Ok(connection)
}

/// SQLite does not take a limit below what there is already.
fn limit_size(options: &SqliteOptions, connection: &Connection) -> rusqlite::Result<()> {
    let Some(bytes) = options.max_size else { return Ok(()) };
    let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let pages = (bytes / page.unsigned_abs().max(1)).clamp(1, u64::from(u32::MAX));
    connection.pragma_update_and_check(None, "max_page_count", pages.cast_signed(), |_| Ok(()))
}

const CHECKPOINT_PAGES: i64 = 4_000;
const JOURNAL_BYTES: i64 = 64 << 20;

/// SQLite does not wait by itself for others that open the file at the same moment.
fn enter_wal(options: &SqliteOptions, connection: &Connection) -> Result<(), StoreError> {
    const PAUSE: Duration = Duration::from_millis(10);
    let mut tries = options.busy_timeout.as_millis() / PAUSE.as_millis();
    loop {
        let mode =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0));
        match mode.map(|mode: String| mode.to_ascii_lowercase()) {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => {
                return Err(error::at(
                    StoreErrorKind::Unavailable,
                    &options.path,
                    format_args!(
                        "this place allows no write-ahead log, only the journal mode `{mode}`; \
                         put the file on a local disk"
                    ),
                ));
            }
            Err(error) if is_busy(&error) && tries > 0 => {
                tries -= 1;
                thread::sleep(PAUSE);
            }
            Err(error) => return Err(error::statement(&options.path, error)),
        }
    }
}

pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_with_the_wal_reset_bug_is_refused() {
        for (number, version) in
            [(3_007_000, "3.7.0"), (3_046_000, "3.46.0"), (3_051_002, "3.51.2")]
        {
            let error = check_library(number, version).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Unsupported);
            assert!(error.to_string().contains(version), "{error}");
        }
        check_library(3_051_003, "3.51.3").unwrap();
    }
}
