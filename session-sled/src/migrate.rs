//! Whose database it is, and the version of its layout.

use std::path::Path;

use session_core::{StoreError, StoreErrorKind};
use sled::Db;

use crate::error;
use crate::keys;

/// The version of the layout that this program writes, and the only one that it reads.
const VERSION: u32 = 1;

/// What stands before the version.
const NAME: &str = "session-sled ";

/// Marks an empty database as ours, and refuses one of another application or of a newer program.
pub(crate) fn migrate(path: &Path, db: &Db) -> Result<(), StoreError> {
    let failed = |error| error::sled(path, error);
    match db.get(keys::FORMAT).map_err(failed)? {
        Some(format) => check(path, &format),
        None if is_empty(db).map_err(failed)? => {
            db.insert(keys::FORMAT, format!("{NAME}{VERSION}").as_bytes()).map_err(failed)?;
            db.flush().map_err(failed)?;
            Ok(())
        }
        None => Err(error::at(
            StoreErrorKind::Invalid,
            path,
            "this is another application's sled database; give another path",
        )),
    }
}

fn is_empty(db: &Db) -> sled::Result<bool> {
    Ok(db.iter().next().transpose()?.is_none() && db.tree_names().len() == 1)
}

fn check(path: &Path, format: &[u8]) -> Result<(), StoreError> {
    let version = std::str::from_utf8(format)
        .ok()
        .and_then(|text| text.strip_prefix(NAME))
        .and_then(|version| version.parse::<u32>().ok());
    match version {
        Some(VERSION) => Ok(()),
        Some(version) => Err(error::at(
            StoreErrorKind::Unsupported,
            path,
            format_args!(
                "its layout has version {version}, this program knows version {VERSION}; use the newer program"
            ),
        )),
        None => Err(error::at(
            StoreErrorKind::Corrupt,
            path,
            "the version of its layout cannot be read; restore it from a copy",
        )),
    }
}
