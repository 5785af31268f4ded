//! Whether a change may be carried out, and the order in which it is.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params};
use session_core::store::{Outcome, Touch, Touched};
use session_core::{Change, MarkKey, RaiseLog, Realm, SessionId, Timestamp};

use crate::error::Fault;
use crate::rows;
use crate::write::{Write, floor, int, subject_of};

/// Carries out a change. Everything is looked at before anything is written, so that a conflict leaves
/// nothing to take back.
pub(crate) fn commit(db: &Connection, realm: &Realm, change: &Change) -> Result<Outcome, Fault> {
    let write = Write { db, realm: realm.as_str(), change: change.id() };
    let marks = each(change.marks(), |mark| known_mark(&write, &mark.key))?;
    let inserts = each(change.inserts(), |insert| known(&write, insert.record.id))?;
    let replaced = each(change.replacements(), |replacement| known(&write, replacement.record.id))?;
    if marks.iter().any(|mark| mark.ours)
        || inserts.iter().chain(&replaced).flatten().any(|known| known.ours)
    {
        return Ok(Outcome::Applied);
    }
    if let Some(conflict) = conflict(change, &marks, &inserts, &replaced) {
        return Ok(conflict);
    }
    for (mark, known) in change.marks().iter().zip(marks) {
        write.mark(mark, known)?;
    }
    for insert in change.inserts() {
        write.insert(insert)?;
    }
    for (replacement, known) in change.replacements().iter().zip(replaced.iter().flatten()) {
        write.replace(replacement, known)?;
    }
    for reschedule in change.reschedules() {
        db.prepare_cached(
            "UPDATE sessions SET due_at = ?1 \
             WHERE realm = ?2 AND id = ?3 AND version = ?4 AND ended_at IS NULL",
        )?
        .execute(params![
            reschedule.due_at.as_millis(),
            write.realm,
            reschedule.id.to_string(),
            int(reschedule.expected)?
        ])?;
    }
    for settle in change.settles() {
        db.prepare_cached(
            "UPDATE marks SET settled = ?1 WHERE realm = ?2 AND subject = ?3 AND settled < ?1",
        )?
        .execute(params![int(settle.epoch)?, write.realm, subject_of(&settle.key)])?;
    }
    for event in change.events() {
        write.event(event)?;
    }
    Ok(Outcome::Applied)
}

/// Records activity.
pub(crate) fn touch(db: &Connection, realm: &Realm, touch: &Touch) -> Result<Touched, Fault> {
    let known: Option<(i64, bool, Option<i64>)> = db
        .prepare_cached(
            "SELECT s.no, s.ended_at IS NOT NULL, t.seen_at FROM sessions s \
             LEFT JOIN touches t ON t.session = s.no AND t.slot = ?3 WHERE s.realm = ?1 AND s.id = ?2",
        )?
        .query_row(params![realm.as_str(), touch.id.to_string(), touch.slot], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let Some((no, false, Some(seen))) = known else { return Ok(Touched::NotLive) };
    let seen = Timestamp::from_millis(seen);
    if seen > touch.if_before {
        return Ok(Touched::Fresh);
    }
    if seen <= touch.if_after {
        return Ok(Touched::NotLive);
    }
    if touch.seen_at > seen {
        db.prepare_cached("UPDATE touches SET seen_at = ?1 WHERE session = ?2 AND slot = ?3")?
            .execute(params![touch.seen_at.as_millis(), no, touch.slot])?;
    }
    Ok(Touched::Touched)
}

fn conflict(
    change: &Change,
    marks: &[KnownMark],
    inserts: &[Option<Known>],
    replaced: &[Option<Known>],
) -> Option<Outcome> {
    for (write, known) in change.marks().iter().zip(marks) {
        if !known.sound || known.version != write.expected {
            return Some(Outcome::Fenced(write.key.clone()));
        }
    }
    let mut inserted = BTreeSet::new();
    for (insert, known) in change.inserts().iter().zip(inserts) {
        let id = insert.record.id;
        if known.is_some() || !inserted.insert(id) {
            return Some(Outcome::Exists(id));
        }
    }
    // In order of their ids, so that two of one id are neighbours.
    let mut before = None;
    for (replacement, known) in change.replacements().iter().zip(replaced) {
        let id = replacement.record.id;
        let as_read = known.as_ref().is_some_and(|known| {
            known.is_sound()
                && u64::try_from(known.version) == Ok(replacement.expected)
                && replacement.decided_on.is_none_or(|seen| known.seen_at <= Some(seen.as_millis()))
        });
        if !as_read || before.replace(id) == Some(id) {
            return Some(Outcome::Moved(id));
        }
    }
    None
}

/// A session as a change finds it.
pub(crate) struct Known {
    pub(crate) no: i64,
    format: i64,
    version: i64,
    ours: bool,
    seen_at: Option<i64>,
    pub(crate) due_at: i64,
    pub(crate) ended: bool,
    pub(crate) in_scopes: bool,
}

impl Known {
    /// Whether it can be read. Nothing is written over what cannot, nor has anybody read it as it is: to the
    /// change it has moved, so that those beside it are carried out.
    fn is_sound(&self) -> bool {
        self.format == rows::FORMAT && self.seen_at.is_some() && self.version < i64::MAX
    }
}

/// A mark as a change finds it, or the floor in its place.
pub(crate) struct KnownMark {
    pub(crate) version: u64,
    pub(crate) epoch: u64,
    pub(crate) exists: bool,
    /// Whether it can be read, and version and epoch be moved on. If not, to the change it has moved.
    sound: bool,
    ours: bool,
    pub(crate) raises: RaiseLog,
}

fn known(write: &Write<'_>, id: SessionId) -> Result<Option<Known>, Fault> {
    let known = write
        .db
        .prepare_cached(
            "SELECT s.no, s.format, s.version, s.change_id = ?3, t.seen_at, s.due_at, \
             s.ended_at IS NOT NULL, s.scopes IS NOT NULL \
             FROM sessions s LEFT JOIN touches t ON t.session = s.no AND t.slot = 0 \
             WHERE s.realm = ?1 AND s.id = ?2",
        )?
        .query_row(params![write.realm, id.to_string(), write.change.as_bytes()], |row| {
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

fn known_mark(write: &Write<'_>, key: &MarkKey) -> Result<KnownMark, Fault> {
    let mut statement = write.db.prepare_cached(
        "SELECT version, epoch, change_id = ?3, raises FROM marks WHERE realm = ?1 AND subject = ?2",
    )?;
    let mut found =
        statement.query(params![write.realm, subject_of(key), write.change.as_bytes()])?;
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
        MarkKey::Subject(_) => floor(write.db, write.realm)?,
    };
    let raises = RaiseLog::default();
    let sound = floor < i64::MAX.unsigned_abs();
    Ok(KnownMark { version: floor, epoch: floor, exists: false, sound, ours: false, raises })
}

fn each<T, R>(of: &[T], ask: impl FnMut(&T) -> Result<R, Fault>) -> Result<Vec<R>, Fault> {
    of.iter().map(ask).collect()
}
