//! What is removed, for its age or because its subject asks for it.

use std::num::NonZeroUsize;

use session_core::store::{Order, Purged};
use session_core::{MarkKey, Realm, SessionId, Subject, Timestamp};

use crate::error::Fault;
use crate::keys::{self, Keys, Kind};
use crate::known::{self, Found};
use crate::rows::{self, Summary};
use crate::view::Pending;

/// Removes what is old enough. The entries of the indexes say all that is needed, so that what cannot be read
/// goes with its time as well.
pub(crate) fn purge(
    pending: &mut Pending<'_>,
    realm: &Realm,
    now: Timestamp,
    limit: NonZeroUsize,
) -> Result<Purged, Fault> {
    let keys = Keys::new(realm);
    let mut removal = Removal { pending, keys: &keys };
    let tombstones = removal.first(keys.until(Kind::Tombstones, now), limit)?;
    for (key, value) in &tombstones {
        let Some(id) = keys::id_at_end(key) else { continue };
        // Of a damaged entry the subject is not known; the record may tell.
        let subject = match rows::open_owner(key, value) {
            Ok(subject) => subject,
            Err(_) => removal.owner(id)?,
        };
        removal.session(id, subject.as_ref(), key)?;
    }
    let events = removal.first(keys.until(Kind::OldEvents, now), limit)?;
    let mut last = 0;
    for (key, value) in &events {
        last = last.max(removal.event(key, value)?);
    }
    removal.summarise(|summary| summary.purged = summary.purged.max(last))?;
    Ok(purged(tombstones.len(), events.len(), limit))
}

/// Removes what has ended and what is told of a subject; and his mark, once nothing else is left.
pub(crate) fn erase(
    pending: &mut Pending<'_>,
    realm: &Realm,
    subject: &Subject,
    limit: NonZeroUsize,
) -> Result<Purged, Fault> {
    let keys = Keys::new(realm);
    let mut removal = Removal { pending, keys: &keys };
    let (mut records, mut events) = (0, 0);
    for key in
        known::keys_of(removal.pending.view(), keys.all_of_subject(Kind::OfSubject, subject))?
    {
        let Some(id) = keys::id_at_end(&key) else { continue };
        if records == limit.get() {
            break;
        }
        // One that cannot be read stays: nobody knows whether it has ended.
        if let Found::Session(known) = known::session(removal.pending.view(), &keys, id)?
            && let Some(end) = &known.record.end
        {
            removal.session(id, Some(subject), &keys.tombstone(end.purge_at, id))?;
            records += 1;
        }
    }
    for key in
        known::keys_of(removal.pending.view(), keys.all_of_subject(Kind::EventsOfSubject, subject))?
    {
        let Some(sequence) = keys::sequence_at_end(&key) else { continue };
        if events == limit.get() {
            break;
        }
        removal.event_of(sequence, subject)?;
        events += 1;
    }
    if !removal.has_any(Kind::OfSubject, subject)?
        && !removal.has_any(Kind::EventsOfSubject, subject)?
    {
        removal.mark(subject)?;
    }
    Ok(purged(records, events, limit))
}

fn purged(records: usize, events: usize, limit: NonZeroUsize) -> Purged {
    Purged { records, events, more: records >= limit.get() || events >= limit.get() }
}

struct Removal<'a, 'tree> {
    pending: &'a mut Pending<'tree>,
    keys: &'a Keys,
}

/// A key and its value.
type Entry = (Vec<u8>, Vec<u8>);

impl Removal<'_, '_> {
    fn first(
        &self,
        range: std::ops::Range<Vec<u8>>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Entry>, Fault> {
        self.pending
            .view()
            .scan(range, Order::OldestFirst)
            .take(limit.get())
            .map(|found| found.map(|(key, value)| (key.to_vec(), value.to_vec())))
            .collect()
    }

    fn owner(&self, id: SessionId) -> Result<Option<Subject>, Fault> {
        match known::session(self.pending.view(), self.keys, id)? {
            Found::Session(known) => Ok(known.record.subject),
            Found::Nothing | Found::Unreadable(..) => Ok(None),
        }
    }

    fn session(
        &mut self,
        id: SessionId,
        subject: Option<&Subject>,
        tombstone: &[u8],
    ) -> Result<(), Fault> {
        for kind in [Kind::Data, Kind::Touch] {
            for key in known::keys_of(self.pending.view(), self.keys.all_of_session(kind, id))? {
                self.pending.remove(key);
            }
        }
        if let Some(subject) = subject {
            self.pending.remove(self.keys.of_subject(subject, id));
        }
        self.pending.remove(tombstone.to_vec());
        self.pending.remove(self.keys.record(id));
        Ok(())
    }

    /// Removes an event by its entry among the old ones, and returns its sequence.
    fn event(&mut self, key: &[u8], value: &[u8]) -> Result<u64, Fault> {
        let Some(sequence) = keys::sequence_at_end(key) else { return Ok(0) };
        let links = match rows::open_links(key, value) {
            Ok(links) => links,
            Err(_) => self.links(sequence)?,
        };
        if let Some(session) = links.0 {
            self.pending.remove(self.keys.event_of_session(session, sequence));
        }
        if let Some(subject) = links.1 {
            self.pending.remove(self.keys.event_of_subject(&subject, sequence));
        }
        self.pending.remove(key.to_vec());
        self.pending.remove(self.keys.event(sequence));
        Ok(sequence)
    }

    fn links(&self, sequence: u64) -> Result<(Option<SessionId>, Option<Subject>), Fault> {
        let key = self.keys.event(sequence);
        let Some(value) = self.pending.view().get(&key)? else { return Ok((None, None)) };
        Ok(rows::open_event(&key, sequence, &value)
            .map_or((None, None), |stored| (stored.event.session, stored.event.subject)))
    }

    /// Removes an event of a subject. Of one that cannot be read, the rest goes with its age.
    fn event_of(&mut self, sequence: u64, subject: &Subject) -> Result<(), Fault> {
        let key = self.keys.event(sequence);
        if let Some(value) = self.pending.view().get(&key)?
            && let Ok(stored) = rows::open_event(&key, sequence, &value)
        {
            if let Some(session) = stored.event.session {
                self.pending.remove(self.keys.event_of_session(session, sequence));
            }
            self.pending.remove(self.keys.old_event(stored.event.purge_at, sequence));
        }
        self.pending.remove(self.keys.event_of_subject(subject, sequence));
        self.pending.remove(key);
        Ok(())
    }

    fn has_any(&self, kind: Kind, subject: &Subject) -> Result<bool, Fault> {
        let range = self.keys.all_of_subject(kind, subject);
        Ok(self.pending.view().keys(range).next().transpose()?.is_some())
    }

    fn mark(&mut self, subject: &Subject) -> Result<(), Fault> {
        let key = MarkKey::Subject(subject.clone());
        let Some(mark) = known::stored_mark(self.pending.view(), self.keys, &key)? else {
            return Ok(());
        };
        for kind in [Kind::Mark, Kind::Log, Kind::Unsettled] {
            self.pending.remove(self.keys.mark(kind, &key));
        }
        let floor = mark.version.max(mark.epoch).saturating_add(1);
        self.summarise(|summary| summary.floor = summary.floor.max(floor))
    }

    fn summarise(&mut self, edit: impl FnOnce(&mut Summary)) -> Result<(), Fault> {
        let before = known::summary(self.pending.view(), self.keys)?;
        let mut summary = before;
        edit(&mut summary);
        if summary != before {
            let key = self.keys.summary();
            let value = summary.seal(&key);
            self.pending.put(key, value);
        }
        Ok(())
    }
}
