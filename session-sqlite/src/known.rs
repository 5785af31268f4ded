//! What a change finds: sessions and marks as they are, before anything is written.

use rusqlite::{Connection, OptionalExtension, params};
use session_core::{ChangeId, MarkKey, RaiseLog, SessionId};

use crate::error::Fault;
use crate::rows;

/// A session as a change finds it.
pub(crate) struct Known {
    pub(crate) no: i64,
    pub(crate) format: i64,
    pub(crate) version: i64,
    pub(crate) ours: bool,
    pub(crate) seen_at: Option<i64>,
    pub(crate) due_at: i64,
    pub(crate) ended: bool,
    pub(crate) in_scopes: bool,
}

impl Known {
    /// Whether it can be read. Nothing is written over what cannot, nor has anybody read it as it is: to the
    /// change it has moved, so that those beside it are carried out.
    pub(crate) fn is_sound(&self) -> bool {
        self.format == rows::FORMAT && self.seen_at.is_some() && self.version < i64::MAX
    }
}

/// A mark as a change finds it, or the floor in its place.
pub(crate) struct KnownMark {
    pub(crate) version: u64,
    pub(crate) epoch: u64,
    pub(crate) exists: bool,
    /// Whether it can be read, and version and epoch be moved on. If not, to the change it has moved.
    pub(crate) sound: bool,
    pub(crate) ours: bool,
    pub(crate) raises: RaiseLog,
}

/// Finds a session for a change.
pub(crate) fn known(
    db: &Connection,
    realm: &str,
    id: SessionId,
    change: ChangeId,
) -> Result<Option<Known>, Fault> {
    let known = db
        .prepare_cached(
            "SELECT s.no, s.format, s.version, s.change_id = ?3, t.seen_at, s.due_at, \
             s.ended_at IS NOT NULL, s.scopes IS NOT NULL \
             FROM sessions s LEFT JOIN touches t ON t.session = s.no AND t.slot = 0 \
             WHERE s.realm = ?1 AND s.id = ?2",
        )?
        .query_row(params![realm, id.to_string(), change.as_bytes()], |row| {
            Ok(Known {
                no: row.get(0)?,
                format: row.get(1)?,
                version: row.get(2)?,
                ours: row.get(3)?,
                seen_at: row.get(4)?,
                due_at: row.get(5)?,
                ended: row.get(6)?,
                in_scopes: row.get(7)?,
            })
        })
        .optional()?;
    Ok(known)
}

/// Finds a mark for a change.
pub(crate) fn known_mark(
    db: &Connection,
    realm: &str,
    key: &MarkKey,
    change: ChangeId,
) -> Result<KnownMark, Fault> {
    let mut statement = db.prepare_cached(
        "SELECT version, epoch, change_id = ?3, raises FROM marks WHERE realm = ?1 AND subject = ?2",
    )?;
    let mut found = statement.query(params![realm, subject_of(key), change.as_bytes()])?;
    if let Some(row) = found.next()? {
        let mut columns = rows::Columns::new(row);
        let (version, epoch): (i64, i64) = (columns.value()?, columns.value()?);
        return Ok(KnownMark {
            version: version.unsigned_abs(),
            epoch: epoch.unsigned_abs(),
            exists: true,
            sound: [version, epoch].iter().all(|number| (0..i64::MAX).contains(number)),
            ours: columns.value()?,
            // The log only tells why. A raise has to win, so one that cannot be read is begun anew.
            raises: columns.json().unwrap_or_default(),
        });
    }
    let floor = match key {
        MarkKey::Realm => 0,
        MarkKey::Subject(_) => floor(db, realm)?,
    };
    let raises = RaiseLog::default();
    let sound = floor < i64::MAX.unsigned_abs();
    Ok(KnownMark { version: floor, epoch: floor, exists: false, sound, ours: false, raises })
}

/// The version and epoch of a subject's mark that is not there.
fn floor(db: &Connection, realm: &str) -> rusqlite::Result<u64> {
    let floor: Option<i64> = db
        .prepare_cached("SELECT floor FROM realms WHERE realm = ?1")?
        .query_row([realm], |row| row.get(0))
        .optional()?;
    Ok(floor.map_or(0, i64::unsigned_abs))
}

/// The text of the column `subject` of a mark. No subject is empty.
pub(crate) fn subject_of(key: &MarkKey) -> &str {
    match key {
        MarkKey::Realm => "",
        MarkKey::Subject(subject) => subject.as_str(),
    }
}
