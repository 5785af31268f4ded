//! From sled's errors to the store's.

use std::fmt::Display;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use session_core::{StoreError, StoreErrorKind};

/// What goes wrong in a read or a write.
pub(crate) enum Fault {
    /// sled refused.
    Sled(sled::Error),
    /// sled panicked: it does so on what it does not expect to find. What it says may hold what is stored.
    Panic,
    /// What is stored, or asked, cannot be.
    Store(StoreError),
}

impl From<sled::Error> for Fault {
    fn from(error: sled::Error) -> Self {
        Self::Sled(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::Sled(sled::Error::Io(error))
    }
}

impl Fault {
    /// Whether a file could not be read or written.
    pub(crate) fn is_of_the_disk(&self) -> bool {
        matches!(self, Self::Sled(sled::Error::Io(_)))
    }

    /// The error for whoever asked. It names the directory and what to do.
    pub(crate) fn tell(self, path: &Path) -> StoreError {
        match self {
            Self::Sled(error) => sled(path, error),
            Self::Panic => at(StoreErrorKind::Corrupt, path, DAMAGED),
            Self::Store(error) => error,
        }
    }
}

/// Runs what calls sled, and makes a panic of it a fault.
pub(crate) fn guarded<T>(call: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or(Err(Fault::Panic))
}

/// An error of sled's.
pub(crate) fn sled(path: &Path, error: sled::Error) -> StoreError {
    let (kind, advice) = classify(&error);
    at(kind, path, advice).with_source(error)
}

/// An error of a kind that names the directory.
pub(crate) fn at(kind: StoreErrorKind, path: &Path, what: impl Display) -> StoreError {
    StoreError::new(kind, format!("{}: {what}", path.display()))
}

const DAMAGED: &str = "the files are damaged; restore them from a copy";

fn classify(error: &sled::Error) -> (StoreErrorKind, &'static str) {
    use StoreErrorKind::{Corrupt, StorageFull, Unavailable, Unsupported};
    match error {
        sled::Error::Io(error) => match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                (StorageFull, "there is no room left; make some")
            }
            ErrorKind::UnexpectedEof => (Corrupt, "a file is cut off; restore it from a copy"),
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => (
                Unavailable,
                "it cannot be written; check the rights of the directory and its files",
            ),
            _ => (Unavailable, "it cannot be read or written; check the disk"),
        },
        sled::Error::Corruption { .. } => (Corrupt, DAMAGED),
        sled::Error::Unsupported(_) => {
            (Unsupported, "it was made by a version of sled that does not fit; use sled 0.34")
        }
        _ => (Unavailable, "sled failed; open the store again"),
    }
}

/// What is said while it cannot be opened again.
pub(crate) const NOT_YET: &str = "it was closed after an error, and cannot be opened again yet";
