//! From SQLite's errors to the store's.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use rusqlite::ErrorCode;
use session_core::{StoreError, StoreErrorKind};

/// What goes wrong in a transaction.
pub(crate) enum Fault {
    /// SQLite refused.
    Sqlite(rusqlite::Error),
    /// What is stored, or asked, cannot be.
    Store(StoreError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// An error of a statement that changed nothing. It names the file and what to do.
pub(crate) fn statement<E: Into<Arc<rusqlite::Error>>>(path: &Path, error: E) -> StoreError {
    let error = error.into();
    let (kind, advice) = classify(&error);
    at(kind, path, advice).with_source(error)
}

/// An error of a commit: unless SQLite says why it refused, the group may be on the disk or not.
pub(crate) fn commit(path: &Path, error: Arc<rusqlite::Error>) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            statement(path, error)
        }
        _ => at(StoreErrorKind::OutcomeUnknown, path, "a commit failed").with_source(error),
    }
}

/// An error of a kind that names the file.
pub(crate) fn at(kind: StoreErrorKind, path: &Path, what: impl Display) -> StoreError {
    StoreError::new(kind, format!("{}: {what}", path.display()))
}

fn classify(error: &rusqlite::Error) -> (StoreErrorKind, &'static str) {
    use StoreErrorKind::{Corrupt, Invalid, StorageFull, Unavailable};
    let (code, extended_code) = match error {
        rusqlite::Error::SqliteFailure(failure, _) => (failure.code, failure.extended_code),
        rusqlite::Error::InvalidPath(_) | rusqlite::Error::NulError(_) => {
            return (Invalid, "this cannot be a path");
        }
        _ => {
            return (
                Corrupt,
                "what is stored is not what the schema says; restore it from a backup",
            );
        }
    };
    // The index of the log is the one file that SQLite cannot grow without room, and calls that an I/O error.
    if extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE {
        return (StorageFull, "there is no room left; make some");
    }
    match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            (Unavailable, "another process holds the file locked; end it, or wait longer")
        }
        ErrorCode::DiskFull => (StorageFull, "there is no room left; make some"),
        ErrorCode::NotADatabase => {
            (Corrupt, "this is not an SQLite database; give another path, or restore it")
        }
        ErrorCode::DatabaseCorrupt => {
            (Corrupt, "the file is damaged; restore it from a backup, or try `sqlite3 … .recover`")
        }
        ErrorCode::ReadOnly
        | ErrorCode::PermissionDenied
        | ErrorCode::AuthorizationForStatementDenied => {
            (Unavailable, "the file cannot be written; check its rights and those of its directory")
        }
        ErrorCode::CannotOpen => {
            (Unavailable, "the file cannot be opened; check its rights and those of its directory")
        }
        ErrorCode::SystemIoFailure => {
            (Unavailable, "the file cannot be read or written; check the disk")
        }
        ErrorCode::SchemaChanged => (Corrupt, "the schema is not that of its version"),
        ErrorCode::Unknown => (Corrupt, "a statement does not fit the schema of the file"),
        _ => (Unavailable, "SQLite failed"),
    }
}
