//! Whether a change may be carried out, and the order in which it is.

use std::collections::BTreeSet;

use session_core::store::{Outcome, Touch, Touched};
use session_core::{Change, MarkKey, Realm};

use crate::error::Fault;
use crate::keys::Keys;
use crate::known::{self, Found};
use crate::rows;
use crate::view::{Pending, View};
use crate::write::{KnownMark, Write};

/// Carries out a change. Everything is looked at before anything is written, so that a conflict leaves
/// nothing to take back.
pub(crate) fn commit(
    pending: &mut Pending<'_>,
    realm: &Realm,
    change: &Change,
) -> Result<Outcome, Fault> {
    let keys = Keys::new(realm);
    let view = pending.view();
    let marks = each(change.marks(), |write| known_mark(view, &keys, &write.key))?;
    let inserts = each(change.inserts(), |insert| known::session(view, &keys, insert.record.id))?;
    let replaced = each(change.replacements(), |replacement| {
        known::session(view, &keys, replacement.record.id)
    })?;
    if marks.iter().any(|mark| mark.is_of(change.id()))
        || inserts.iter().chain(&replaced).any(|found| found.is_of(change.id()))
    {
        return Ok(Outcome::Applied);
    }
    if let Some(conflict) = conflict(change, &marks, &inserts, &replaced) {
        return Ok(conflict);
    }
    let mut write = Write { pending, keys: &keys, change: change.id() };
    for (mark, known) in change.marks().iter().zip(marks) {
        write.mark(mark, known)?;
    }
    for insert in change.inserts() {
        write.insert(insert);
    }
    for (replacement, found) in change.replacements().iter().zip(&replaced) {
        if let Found::Session(known) = found {
            write.replace(replacement, known)?;
        }
    }
    for reschedule in change.reschedules() {
        write.reschedule(reschedule)?;
    }
    for settle in change.settles() {
        write.settle(settle)?;
    }
    write.events(change.events())?;
    Ok(Outcome::Applied)
}

/// Records activity. A session that cannot be read is told as not live: whoever loads it again is told why.
pub(crate) fn touch(
    pending: &mut Pending<'_>,
    realm: &Realm,
    touch: &Touch,
) -> Result<Touched, Fault> {
    let keys = Keys::new(realm);
    let Found::Session(known) = known::session(pending.view(), &keys, touch.id)? else {
        return Ok(Touched::NotLive);
    };
    let record = &known.record;
    let seen = match touch.slot {
        0 => Some(record.last_seen_at),
        slot => {
            record.scopes.iter().find(|entry| entry.slot == slot).map(|entry| entry.last_seen_at)
        }
    };
    match seen {
        _ if record.end.is_some() => Ok(Touched::NotLive),
        Some(seen) if seen > touch.if_before => Ok(Touched::Fresh),
        Some(seen) if seen > touch.if_after => {
            if touch.seen_at > seen {
                let key = keys.touch(touch.id, touch.slot);
                let value = rows::seal_touch(&key, touch.seen_at);
                pending.put(key, value);
            }
            Ok(Touched::Touched)
        }
        _ => Ok(Touched::NotLive),
    }
}

/// Finds a mark for a change. One that cannot be read has moved, as far as the change knows: whoever reads it
/// again is told why.
fn known_mark(view: View<'_>, keys: &Keys, key: &MarkKey) -> Result<KnownMark, Fault> {
    match known::stored_mark(view, keys, key) {
        Ok(Some(mark)) => Ok(KnownMark::There(mark)),
        Ok(None) if *key == MarkKey::Realm => Ok(KnownMark::Floor(0)),
        Ok(None) => Ok(KnownMark::Floor(known::summary(view, keys)?.floor)),
        Err(Fault::Store(_)) => Ok(KnownMark::Unreadable),
        Err(fault) => Err(fault),
    }
}

fn conflict(
    change: &Change,
    marks: &[KnownMark],
    inserts: &[Found],
    replaced: &[Found],
) -> Option<Outcome> {
    for (write, known) in change.marks().iter().zip(marks) {
        if known.version() != Some(write.expected) {
            return Some(Outcome::Fenced(write.key.clone()));
        }
    }
    let mut inserted = BTreeSet::new();
    for (insert, found) in change.inserts().iter().zip(inserts) {
        let id = insert.record.id;
        if !matches!(found, Found::Nothing) || !inserted.insert(id) {
            return Some(Outcome::Exists(id));
        }
    }
    // In order of their ids, so that two of one id are neighbours.
    let mut before = None;
    for (replacement, found) in change.replacements().iter().zip(replaced) {
        let id = replacement.record.id;
        // Nothing is written over what cannot be read, nor has anybody read it as it is.
        let as_read = matches!(found, Found::Session(known)
            if known.version == replacement.expected
                && known.version < u64::MAX
                && replacement.decided_on.is_none_or(|seen| known.record.last_seen_at <= seen));
        if !as_read || before.replace(id) == Some(id) {
            return Some(Outcome::Moved(id));
        }
    }
    None
}

fn each<T, R>(of: &[T], ask: impl FnMut(&T) -> Result<R, Fault>) -> Result<Vec<R>, Fault> {
    of.iter().map(ask).collect()
}
