//! One realm in memory, and every change of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::ops::Range;

use super::cursors::sequence_cursor;
use crate::change::{MarkWrite, Replacement, Version};
use crate::store::{
    Cursor, EventPage, EventQuery, Events, Order, Outcome, Purged, Scan, Stored, StoredEvent,
    Touch, Touched,
};
use crate::{
    Change, ChangeId, DataWrite, EncodedData, Mark, MarkKey, Marks, RaiseLog, Record, SessionId,
    Stamp, Subject, Timestamp,
};

/// One realm.
#[derive(Default)]
pub(super) struct World {
    pub(super) rows: BTreeMap<SessionId, Row>,
    pub(super) subjects: HashMap<Subject, BTreeSet<SessionId>>,
    /// Of those, the sessions without an end: a login does not pay for the others.
    pub(super) unended: HashMap<Subject, BTreeSet<SessionId>>,
    pub(super) due: BTreeSet<(Timestamp, SessionId)>,
    pub(super) tombstones: BTreeSet<(Timestamp, SessionId)>,
    pub(super) marks: BTreeMap<MarkKey, StoredMark>,
    pub(super) unsettled: BTreeSet<MarkKey>,
    /// The version and the epoch of any mark that is not there.
    pub(super) floor: u64,
    pub(super) events: BTreeMap<u64, StoredEvent>,
    pub(super) events_to_purge: BTreeSet<(Timestamp, u64)>,
    events_of_subjects: HashMap<Subject, BTreeSet<u64>>,
    events_of_sessions: HashMap<SessionId, BTreeSet<u64>>,
    pub(super) last_sequence: u64,
    /// The last event that was removed: a cursor before it has missed some.
    pub(super) removed_up_to: u64,
}

pub(super) struct Row {
    pub(super) record: Record,
    pub(super) version: Version,
    pub(super) data: Option<EncodedData>,
    pub(super) change: ChangeId,
}

pub(super) struct StoredMark {
    pub(super) version: u64,
    pub(super) epoch: u64,
    pub(super) settled: u64,
    pub(super) stamp: Option<Stamp>,
    pub(super) raises: RaiseLog,
    pub(super) change: ChangeId,
}

impl World {
    pub(super) fn stored(&self, row: &Row, with_data: bool) -> Stored {
        let record = &row.record;
        let subject = match &record.subject {
            Some(subject) => self.mark(&MarkKey::Subject(subject.clone()), record.epochs.subject),
            None => Mark::default(),
        };
        Stored {
            record: record.clone(),
            version: row.version,
            data: row.data.clone().filter(|_| with_data),
            marks: Marks { realm: self.mark(&MarkKey::Realm, record.epochs.realm), subject },
        }
    }

    pub(super) fn mark(&self, key: &MarkKey, issued_under: u64) -> Mark {
        match self.marks.get(key) {
            Some(mark) => Mark {
                version: mark.version,
                epoch: mark.epoch,
                stamp: mark.stamp.clone(),
                raise: mark.raises.first_above(issued_under).cloned(),
            },
            None if *key == MarkKey::Realm => Mark::default(),
            None => Mark { version: self.floor, epoch: self.floor, ..Mark::default() },
        }
    }

    pub(super) fn scan(&self, rows: &[&Row], more: bool, cursor: impl Fn(&Row) -> Cursor) -> Scan {
        Scan {
            rows: rows.iter().map(|row| Ok(self.stored(row, false))).collect(),
            next: rows.last().filter(|_| more).map(|row| cursor(row)),
        }
    }

    /// Everything is checked before anything is written.
    pub(super) fn commit(&mut self, change: &Change) -> Outcome {
        if self.carries(change) {
            return Outcome::Applied;
        }
        if let Some(conflict) = self.conflict(change) {
            return conflict;
        }
        for write in change.marks() {
            self.write_mark(write, change.id());
        }
        for insert in change.inserts() {
            let row = Row {
                record: insert.record.clone(),
                version: 1,
                data: insert.data.clone(),
                change: change.id(),
            };
            self.put(row);
        }
        for replacement in change.replacements() {
            self.replace(replacement, change.id());
        }
        for reschedule in change.reschedules() {
            let Some(mut row) = self.rows.remove(&reschedule.id) else { continue };
            self.unlink(&row);
            if row.version == reschedule.expected && row.record.end.is_none() {
                row.record.due_at = reschedule.due_at;
            }
            self.put(row);
        }
        for settle in change.settles() {
            if let Some(mark) = self.marks.get_mut(&settle.key) {
                mark.settled = mark.settled.max(settle.epoch);
                if mark.settled >= mark.epoch {
                    self.unsettled.remove(&settle.key);
                }
            }
        }
        for event in change.events() {
            self.last_sequence += 1;
            let stored = StoredEvent {
                sequence: self.last_sequence,
                change: change.id(),
                event: event.clone(),
            };
            self.tell(stored);
        }
        Outcome::Applied
    }

    pub(super) fn carries(&self, change: &Change) -> bool {
        let row = |id| self.rows.get(id).is_some_and(|row| row.change == change.id());
        change
            .marks()
            .iter()
            .any(|write| self.marks.get(&write.key).is_some_and(|mark| mark.change == change.id()))
            || change.inserts().iter().any(|insert| row(&insert.record.id))
            || change.replacements().iter().any(|replacement| row(&replacement.record.id))
    }

    pub(super) fn conflict(&self, change: &Change) -> Option<Outcome> {
        for write in change.marks() {
            if self.mark(&write.key, u64::MAX).version != write.expected {
                return Some(Outcome::Fenced(write.key.clone()));
            }
        }
        for insert in change.inserts() {
            if self.rows.contains_key(&insert.record.id) {
                return Some(Outcome::Exists(insert.record.id));
            }
        }
        for replacement in change.replacements() {
            let id = replacement.record.id;
            let as_read = self.rows.get(&id).is_some_and(|row| {
                row.version == replacement.expected
                    && replacement.decided_on.is_none_or(|seen| row.record.last_seen_at <= seen)
            });
            if !as_read {
                return Some(Outcome::Moved(id));
            }
        }
        None
    }

    pub(super) fn write_mark(&mut self, write: &MarkWrite, change: ChangeId) {
        let known = self.mark(&write.key, u64::MAX);
        let mark = self.marks.entry(write.key.clone()).or_insert_with(|| StoredMark {
            version: known.version,
            epoch: known.epoch,
            settled: known.epoch,
            stamp: None,
            raises: RaiseLog::default(),
            change,
        });
        mark.version += 1;
        mark.change = change;
        if let Some(raise) = &write.raise {
            mark.epoch = raise.epoch;
            mark.raises.push(raise.clone());
            if mark.settled < mark.epoch {
                self.unsettled.insert(write.key.clone());
            }
        }
        if let Some(stamp) = &write.stamp {
            mark.stamp = Some(stamp.clone());
        }
    }

    pub(super) fn replace(&mut self, replacement: &Replacement, change: ChangeId) {
        let Some(old) = self.rows.remove(&replacement.record.id) else { return };
        self.unlink(&old);
        let mut record = replacement.record.clone();
        record.last_seen_at = record.last_seen_at.max(old.record.last_seen_at);
        for entry in &mut record.scopes {
            if let Some(known) = old.record.scopes.iter().find(|known| known.slot == entry.slot) {
                entry.last_seen_at = entry.last_seen_at.max(known.last_seen_at);
            }
        }
        let data = match &replacement.data {
            DataWrite::Keep => old.data,
            DataWrite::Set(data) => Some(data.clone()),
            DataWrite::Drop => None,
        };
        self.put(Row { record, version: old.version + 1, data, change });
    }

    pub(super) fn touch(&mut self, touch: &Touch) -> Touched {
        let Some(row) = self.rows.get_mut(&touch.id) else { return Touched::NotLive };
        if row.record.end.is_some() {
            return Touched::NotLive;
        }
        let seen = match touch.slot {
            0 => Some(&mut row.record.last_seen_at),
            slot => row
                .record
                .scopes
                .iter_mut()
                .find(|entry| entry.slot == slot)
                .map(|entry| &mut entry.last_seen_at),
        };
        match seen {
            Some(seen) if *seen > touch.if_before => Touched::Fresh,
            Some(seen) if *seen > touch.if_after => {
                *seen = touch.seen_at.max(*seen);
                Touched::Touched
            }
            _ => Touched::NotLive,
        }
    }

    pub(super) fn events(&self, query: &EventQuery, after: Option<u64>) -> Events {
        // Looking back misses nothing that is still there; following along must not miss what is gone.
        if query.order == Order::OldestFirst
            && after.is_some_and(|after| after < self.removed_up_to)
        {
            return Events::CursorExpired;
        }
        let wanted = |stored: &&StoredEvent| {
            let event = &stored.event;
            query.session.is_none_or(|session| event.session == Some(session))
                && query
                    .subject
                    .as_ref()
                    .is_none_or(|subject| event.subject.as_ref() == Some(subject))
                && (query.kinds.is_empty() || query.kinds.contains(&event.kind))
                && query.from.is_none_or(|from| event.at >= from)
                && query.until.is_none_or(|until| event.at < until)
        };
        let from = match (query.order, after) {
            (Order::OldestFirst, after) => after.map_or(0, |after| after.saturating_add(1)),
            (Order::NewestFirst, _) => 0,
        };
        let until = match (query.order, after) {
            (Order::OldestFirst, _) => u64::MAX,
            (Order::NewestFirst, after) => after.unwrap_or(u64::MAX),
        };
        let take = query.limit.get().saturating_add(1);
        let mut events: Vec<StoredEvent> = match query.order {
            Order::OldestFirst => {
                self.told(query, from..until).filter(wanted).take(take).cloned().collect()
            }
            Order::NewestFirst => {
                self.told(query, from..until).rev().filter(wanted).take(take).cloned().collect()
            }
        };
        let more = events.len() > query.limit.get();
        events.truncate(query.limit.get());
        let reached = match (query.order, more) {
            // All that there is has been looked at, wanted or not.
            (Order::OldestFirst, false) => Some(self.last_sequence),
            (Order::NewestFirst, false) => None,
            _ => events.last().map(|stored| stored.sequence).or(after),
        };
        Events::Page(EventPage { events, next: reached.map(sequence_cursor), more })
    }

    /// The events of a range of sequences among which those that a query wants are to be looked for.
    fn told<'a>(
        &'a self,
        query: &EventQuery,
        range: Range<u64>,
    ) -> Box<dyn DoubleEndedIterator<Item = &'a StoredEvent> + 'a> {
        let of_session = query.session.map(|session| self.events_of_sessions.get(&session));
        let of_subject = query.subject.as_ref().map(|subject| self.events_of_subjects.get(subject));
        match of_session.or(of_subject) {
            Some(Some(known)) => {
                Box::new(known.range(range).filter_map(|sequence| self.events.get(sequence)))
            }
            Some(None) => Box::new(std::iter::empty()),
            None => Box::new(self.events.range(range).map(|(_, stored)| stored)),
        }
    }

    fn tell(&mut self, stored: StoredEvent) {
        let StoredEvent { sequence, event, .. } = &stored;
        self.events_to_purge.insert((event.purge_at, *sequence));
        if let Some(subject) = &event.subject {
            self.events_of_subjects.entry(subject.clone()).or_default().insert(*sequence);
        }
        if let Some(session) = event.session {
            self.events_of_sessions.entry(session).or_default().insert(*sequence);
        }
        self.events.insert(*sequence, stored);
    }

    fn forget(&mut self, sequence: u64) {
        let Some(StoredEvent { event, .. }) = self.events.remove(&sequence) else { return };
        self.events_to_purge.remove(&(event.purge_at, sequence));
        if let Some(subject) = &event.subject {
            forget_of(&mut self.events_of_subjects, subject, &sequence);
        }
        if let Some(session) = &event.session {
            forget_of(&mut self.events_of_sessions, session, &sequence);
        }
    }

    /// The first events of a subject.
    pub(super) fn sequences_of(&self, subject: &Subject) -> impl Iterator<Item = u64> {
        self.events_of_subjects.get(subject).into_iter().flatten().copied()
    }

    pub(super) fn remove(
        &mut self,
        ids: &[SessionId],
        sequences: &[u64],
        limit: NonZeroUsize,
    ) -> Purged {
        for id in ids {
            if let Some(row) = self.rows.remove(id) {
                self.unlink(&row);
            }
        }
        for sequence in sequences {
            self.forget(*sequence);
        }
        let full = |count: usize| count >= limit.get();
        Purged {
            records: ids.len(),
            events: sequences.len(),
            more: full(ids.len()) || full(sequences.len()),
        }
    }

    pub(super) fn put(&mut self, row: Row) {
        let id = row.record.id;
        match &row.record.end {
            None => self.due.insert((row.record.due_at, id)),
            Some(end) => self.tombstones.insert((end.purge_at, id)),
        };
        if let Some(subject) = &row.record.subject {
            self.subjects.entry(subject.clone()).or_default().insert(id);
            if row.record.end.is_none() {
                self.unended.entry(subject.clone()).or_default().insert(id);
            }
        }
        self.rows.insert(id, row);
    }

    /// Takes a row out of every index.
    pub(super) fn unlink(&mut self, row: &Row) {
        let id = row.record.id;
        match &row.record.end {
            None => self.due.remove(&(row.record.due_at, id)),
            Some(end) => self.tombstones.remove(&(end.purge_at, id)),
        };
        if let Some(subject) = &row.record.subject {
            forget_of(&mut self.subjects, subject, &id);
            forget_of(&mut self.unended, subject, &id);
        }
    }
}

fn forget_of<K: Eq + Hash, V: Ord>(of: &mut HashMap<K, BTreeSet<V>>, key: &K, value: &V) {
    if let Some(known) = of.get_mut(key) {
        known.remove(value);
        if known.is_empty() {
            of.remove(key);
        }
    }
}
