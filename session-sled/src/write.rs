//! What a change writes, after everything has been looked at.

use session_core::{
    ChangeId, DataWrite, EncodedData, Event, Insert, MarkKey, MarkWrite, Record, Replacement,
    Reschedule, SessionId, Settle,
};

use crate::error::Fault;
use crate::keys::{Keys, Kind};
use crate::known::{self, Found, Known};
use crate::rows::{self, StoredMark, StoredRecord};
use crate::view::Pending;

/// A mark as a change finds it.
pub(crate) enum KnownMark {
    There(StoredMark),
    /// None is there: it has this version and epoch.
    Floor(u64),
    Unreadable,
}

impl KnownMark {
    /// Its version, if it can be moved on.
    pub(crate) fn version(&self) -> Option<u64> {
        let version = match self {
            Self::There(mark) => mark.version,
            Self::Floor(floor) => *floor,
            Self::Unreadable => return None,
        };
        (version < u64::MAX).then_some(version)
    }

    pub(crate) fn is_of(&self, change: ChangeId) -> bool {
        matches!(self, Self::There(mark) if mark.change == change)
    }
}

/// Writes for a change.
pub(crate) struct Write<'a, 'tree> {
    pub(crate) pending: &'a mut Pending<'tree>,
    pub(crate) keys: &'a Keys,
    pub(crate) change: ChangeId,
}

impl Write<'_, '_> {
    pub(crate) fn mark(&mut self, write: &MarkWrite, known: KnownMark) -> Result<(), Fault> {
        let mut mark = match known {
            KnownMark::There(mark) => mark,
            KnownMark::Floor(floor) => StoredMark {
                version: floor,
                epoch: floor,
                settled: floor,
                change: self.change,
                stamp: None,
            },
            KnownMark::Unreadable => return Ok(()),
        };
        mark.version = mark.version.saturating_add(1);
        mark.change = self.change;
        if let Some(raise) = &write.raise {
            // The log only tells why. A raise has to win, so one that cannot be read is begun anew.
            let mut log = match known::log(self.pending.view(), self.keys, &write.key) {
                Err(fault) if fault.is_of_the_disk() => return Err(fault),
                log => log.unwrap_or_default(),
            };
            log.push(raise.clone());
            let key = self.keys.mark(Kind::Log, &write.key);
            let value = rows::seal_log(&key, &log)?;
            self.pending.put(key, value);
            mark.epoch = raise.epoch;
        }
        if let Some(stamp) = &write.stamp {
            mark.stamp = Some(stamp.clone());
        }
        self.put_mark(&write.key, &mark)
    }

    pub(crate) fn settle(&mut self, settle: &Settle) -> Result<(), Fault> {
        match known::stored_mark(self.pending.view(), self.keys, &settle.key) {
            Ok(Some(mark)) if mark.settled < settle.epoch => {
                self.put_mark(&settle.key, &StoredMark { settled: settle.epoch, ..mark })
            }
            Ok(_) | Err(Fault::Store(_)) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    fn put_mark(&mut self, key: &MarkKey, mark: &StoredMark) -> Result<(), Fault> {
        let unsettled = self.keys.mark(Kind::Unsettled, key);
        let listed = self.pending.view().contains(&unsettled)?;
        match (mark.settled < mark.epoch, listed) {
            (true, false) => self.pending.put(unsettled, &[]),
            (false, true) => self.pending.remove(unsettled),
            _ => {}
        }
        let key = self.keys.mark(Kind::Mark, key);
        let value = mark.seal(&key);
        self.pending.put(key, value);
        Ok(())
    }

    pub(crate) fn insert(&mut self, insert: &Insert) {
        let record = &insert.record;
        self.put_record(record, 1, self.change, insert.data.is_some());
        if let Some(subject) = &record.subject {
            self.pending.put(self.keys.of_subject(subject, record.id), &[]);
        }
        self.link(record);
        if let Some(data) = &insert.data {
            self.put_data(record.id, data);
        }
    }

    pub(crate) fn replace(
        &mut self,
        replacement: &Replacement,
        known: &Known,
    ) -> Result<(), Fault> {
        let mut record = replacement.record.clone();
        record.last_seen_at = record.last_seen_at.max(known.record.last_seen_at);
        for entry in &mut record.scopes {
            if let Some(known) = known.record.scopes.iter().find(|known| known.slot == entry.slot) {
                entry.last_seen_at = entry.last_seen_at.max(known.last_seen_at);
            }
        }
        let id = record.id;
        // They are in the record from now on, those of scope entries that were left in none.
        self.remove_all(self.keys.all_of_session(Kind::Touch, id))?;
        if linked(&record) != linked(&known.record) {
            self.unlink(&known.record);
            self.link(&record);
        }
        let has_data = match &replacement.data {
            DataWrite::Keep => known.has_data,
            DataWrite::Set(_) => true,
            DataWrite::Drop => false,
        };
        self.put_record(&record, known.version.saturating_add(1), self.change, has_data);
        match &replacement.data {
            DataWrite::Keep => {}
            DataWrite::Set(data) => {
                self.remove_all(self.keys.all_of_session(Kind::Data, id))?;
                self.put_data(id, data);
            }
            DataWrite::Drop => self.remove_all(self.keys.all_of_session(Kind::Data, id))?,
        }
        Ok(())
    }

    pub(crate) fn reschedule(&mut self, reschedule: &Reschedule) -> Result<(), Fault> {
        let found = known::session(self.pending.view(), self.keys, reschedule.id)?;
        let Found::Session(mut known) = found else { return Ok(()) };
        if known.version != reschedule.expected || known.record.end.is_some() {
            return Ok(());
        }
        self.unlink(&known.record);
        known.record.due_at = reschedule.due_at;
        self.link(&known.record);
        self.put_record(&known.record, known.version, known.change, known.has_data);
        Ok(())
    }

    pub(crate) fn events(&mut self, events: &[Event]) -> Result<(), Fault> {
        if events.is_empty() {
            return Ok(());
        }
        let mut summary = known::summary(self.pending.view(), self.keys)?;
        for event in events {
            summary.sequence += 1;
            let sequence = summary.sequence;
            let key = self.keys.event(sequence);
            let value = rows::seal_event(&key, self.change, event)?;
            self.pending.put(key, value);
            if let Some(session) = event.session {
                self.pending.put(self.keys.event_of_session(session, sequence), &[]);
            }
            if let Some(subject) = &event.subject {
                self.pending.put(self.keys.event_of_subject(subject, sequence), &[]);
            }
            let key = self.keys.old_event(event.purge_at, sequence);
            let value = rows::seal_links(&key, event);
            self.pending.put(key, value);
        }
        let key = self.keys.summary();
        let value = summary.seal(&key);
        self.pending.put(key, value);
        Ok(())
    }

    fn put_record(&mut self, record: &Record, version: u64, change: ChangeId, has_data: bool) {
        let key = self.keys.record(record.id);
        let value = StoredRecord::seal(&key, version, change, has_data, record);
        self.pending.put(key, value);
    }

    fn put_data(&mut self, id: SessionId, data: &EncodedData) {
        for (number, part) in rows::parts(data) {
            let key = self.keys.data(id, number);
            let value = rows::seal(&key, &[&part]);
            self.pending.put(key, value);
        }
    }

    /// Enters a record into the indexes of its instants: those of the living, or that of the tombstones.
    fn link(&mut self, record: &Record) {
        match &record.end {
            None => {
                self.pending.put(self.keys.unended(record.id), &[]);
                if let Some(subject) = &record.subject {
                    self.pending.put(self.keys.unended_of_subject(subject, record.id), &[]);
                }
                self.pending.put(self.keys.due(record.due_at, record.id), &[]);
            }
            Some(end) => {
                let key = self.keys.tombstone(end.purge_at, record.id);
                let value = rows::seal_owner(&key, record.subject.as_ref());
                self.pending.put(key, value);
            }
        }
    }

    fn unlink(&mut self, record: &Record) {
        match &record.end {
            None => {
                self.pending.remove(self.keys.unended(record.id));
                if let Some(subject) = &record.subject {
                    self.pending.remove(self.keys.unended_of_subject(subject, record.id));
                }
                self.pending.remove(self.keys.due(record.due_at, record.id));
            }
            Some(end) => self.pending.remove(self.keys.tombstone(end.purge_at, record.id)),
        }
    }

    fn remove_all(&mut self, range: std::ops::Range<Vec<u8>>) -> Result<(), Fault> {
        for key in known::keys_of(self.pending.view(), range)? {
            self.pending.remove(key);
        }
        Ok(())
    }
}

/// What of a record is in the indexes of its instants.
fn linked(record: &Record) -> (bool, session_core::Timestamp) {
    match &record.end {
        None => (false, record.due_at),
        Some(end) => (true, end.purge_at),
    }
}
