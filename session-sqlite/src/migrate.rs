//! The versions of the schema.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};
use session_core::{StoreError, StoreErrorKind};

use crate::error;

/// What makes one version of the schema the next: the first makes version 1 of nothing. A step that was
/// released is never changed again.
const STEPS: [&str; 1] = [include_str!("schema.sql")];

/// `SesE`, in the header of the file: `PRAGMA application_id`.
const APPLICATION: i32 = 0x5365_7345;

/// Brings the schema up to date, step by step, all in one transaction. Of several processes that do so at
/// once, one does, and the others wait for it.
pub(crate) fn migrate(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    let failed = |error| error::statement(path, error);
    if schema(path, connection)? == STEPS.len() {
        return Ok(());
    }
    let transaction =
        rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
            .map_err(failed)?;
    check_owner(path, &transaction)?;
    let known = schema(path, &transaction)?;
    for step in &STEPS[known..] {
        transaction.execute_batch(step).map_err(failed)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION).map_err(failed)?;
    transaction.pragma_update(None, "user_version", STEPS.len() as i64).map_err(failed)?;
    transaction.commit().map_err(failed)
}

/// Refuses a database of another application before anything is written to it.
pub(crate) fn check_owner(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    let failed = |error| error::statement(path, error);
    let (owner, objects): (i32, i64) = connection
        .query_row(
            "SELECT (SELECT application_id FROM pragma_application_id), (SELECT count(*) FROM sqlite_schema)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .map_err(failed)?;
    match (owner, objects) {
        (APPLICATION, _) | (0, 0) => schema(path, connection).map(drop),
        (0, _) => Err(error::at(
            StoreErrorKind::Invalid,
            path,
            "this is another application's database: it has tables that are not ours; give another path",
        )),
        (other, _) => Err(error::at(
            StoreErrorKind::Invalid,
            path,
            format_args!(
                "this is another application's database: its application_id is {other:#010x}, not \
                 {APPLICATION:#010x}; give another path"
            ),
        )),
    }
}

/// The version of the schema, 0 of an empty file.
fn schema(path: &Path, connection: &Connection) -> Result<usize, StoreError> {
    let version = version(connection).map_err(|error| error::statement(path, error))?;
    match usize::try_from(version) {
        Ok(version) if version <= STEPS.len() => Ok(version),
        _ => Err(error::at(
            StoreErrorKind::Unsupported,
            path,
            format_args!(
                "its schema has version {version}, this program knows versions up to {}; \
                 use the newer program",
                STEPS.len()
            ),
        )),
    }
}

/// What the file says of its schema.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA user_version")?.query_row([], |row| row.get(0))
}

/// Whether this program may write to a file of this version.
pub(crate) fn is_ours(version: i64) -> bool {
    usize::try_from(version) == Ok(STEPS.len())
}

/// The error of a file whose schema has another version than when it was opened.
pub(crate) fn changed(path: &Path, version: i64) -> StoreError {
    error::at(
        StoreErrorKind::Unsupported,
        path,
        format_args!(
            "another process has given its schema version {version}, this program writes version {}; \
             restart with the program of that version",
            STEPS.len()
        ),
    )
}
