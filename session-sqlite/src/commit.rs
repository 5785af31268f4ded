//! Whether a change may be carried out, and the order in which it is.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params};
use session_core::store::{Outcome, Touch, Touched};
use session_core::{Change, Realm, Timestamp};

use crate::error::Fault;
use crate::known::{Known, KnownMark, known, known_mark, subject_of};
use crate::write::{Write, int};

/// Carries out a change. Everything is looked at before anything is written, so that a conflict leaves
/// nothing to take back.
pub(crate) fn commit(db: &Connection, realm: &Realm, change: &Change) -> Result<Outcome, Fault> {
    let write = Write { db, realm: realm.as_str(), change: change.id() };
    let marks = each(change.marks(), |mark| known_mark(db, write.realm, &mark.key, write.change))?;
    let inserts =
        each(change.inserts(), |insert| known(db, write.realm, insert.record.id, write.change))?;
    let replaced = each(change.replacements(), |replacement| {
        known(db, write.realm, replacement.record.id, write.change)
    })?;
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

fn each<T, R>(of: &[T], ask: impl FnMut(&T) -> Result<R, Fault>) -> Result<Vec<R>, Fault> {
    of.iter().map(ask).collect()
}
