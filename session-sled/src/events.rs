//! Events in the order of their commits, or the reverse.

use session_core::store::{Cursor, EventPage, EventQuery, Events, Order, StoredEvent};
use session_core::{Realm, StoreError};

use crate::error::{Fault, guarded};
use crate::keys::{self, Keys, Kind};
use crate::known;
use crate::rows;
use crate::view::View;

/// How many events are read while nobody may write: a filter may leave out all there are.
const STRETCH: usize = 1_000;

/// How far a page has been read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    /// The last event that was looked at, or the cursor.
    after: Option<u64>,
    events: Vec<StoredEvent>,
}

/// What came of a stretch.
pub(crate) enum Stretch {
    /// There is more to look at.
    On(Reading),
    Done(Events),
}

impl Reading {
    /// Begins at a cursor.
    pub(crate) fn at(cursor: Option<&Cursor>) -> Result<Self, StoreError> {
        let after = cursor.map(sequence_of).transpose()?;
        Ok(Self { after, events: Vec::new() })
    }

    /// Reads on. A view holds only what is durable, and whatever is committed later has a greater number than all
    /// there is, so nothing can precede what is answered.
    pub(crate) fn go_on(
        &self,
        view: View<'_>,
        realm: &Realm,
        query: &EventQuery,
    ) -> Result<Stretch, Fault> {
        let keys = Keys::new(realm);
        let summary = known::summary(view, &keys)?;
        let oldest_first = query.order == Order::OldestFirst;
        if oldest_first && self.after.is_some_and(|after| after < summary.purged) {
            return Ok(Stretch::Done(Events::CursorExpired));
        }
        let mut events = self.events.clone();
        let mut more = false;
        let mut last = self.after;
        for (looked_at, found) in view.scan(self.range(&keys, query), query.order).enumerate() {
            let (key, value) = found?;
            let Some(sequence) = keys::sequence_at_end(&key) else { continue };
            if looked_at == STRETCH {
                return Ok(Stretch::On(Self { after: last, events }));
            }
            last = Some(sequence);
            let by_itself = query.session.is_none() && query.subject.is_none();
            let stored = if by_itself {
                read(&key, sequence, &value)?
            } else {
                by_number(view, &keys, sequence)?
            };
            if !is_wanted(query, &stored) {
                continue;
            }
            if events.len() == query.limit.get() {
                more = true;
                break;
            }
            events.push(stored);
        }
        let reached = match (oldest_first, more) {
            // All that there is has been looked at, wanted or not.
            (true, false) => Some(summary.sequence),
            (false, false) => None,
            _ => events.last().map(|stored| stored.sequence),
        };
        let next = reached.map(|sequence| Cursor::from_bytes(sequence.to_be_bytes()));
        Ok(Stretch::Done(Events::Page(EventPage { events, next, more })))
    }

    /// The keys that are still to be looked at.
    fn range(&self, keys: &Keys, query: &EventQuery) -> std::ops::Range<Vec<u8>> {
        let (mut range, bound) = match (query.session, &query.subject) {
            (Some(session), _) => (
                keys.all_of_session(Kind::EventsOfSession, session),
                self.after.map(|after| keys.event_of_session(session, after)),
            ),
            (None, Some(subject)) => (
                keys.all_of_subject(Kind::EventsOfSubject, subject),
                self.after.map(|after| keys.event_of_subject(subject, after)),
            ),
            (None, None) => (keys.all(Kind::Event), self.after.map(|after| keys.event(after))),
        };
        match (bound, query.order) {
            (Some(bound), Order::OldestFirst) => range.start = keys::after(bound),
            (Some(bound), Order::NewestFirst) => range.end = bound,
            (None, _) => {}
        }
        range
    }
}

fn read(key: &[u8], sequence: u64, value: &[u8]) -> Result<StoredEvent, Fault> {
    match rows::open_event(key, sequence, value) {
        Ok(stored) => Ok(stored),
        Err(error) => Ok(rows::damaged_event(sequence, &error)?),
    }
}

/// The event that an index names.
fn by_number(view: View<'_>, keys: &Keys, sequence: u64) -> Result<StoredEvent, Fault> {
    let key = keys.event(sequence);
    let missing = |why: &str| StoreError::corrupt(format!("event {sequence} {why}"));
    match guarded(|| view.get(&key)) {
        Ok(Some(value)) => read(&key, sequence, &value),
        Ok(None) => Ok(rows::damaged_event(sequence, &missing("is not there"))?),
        Err(Fault::Panic | Fault::Sled(sled::Error::Corruption { .. })) => {
            Ok(rows::damaged_event(sequence, &missing("cannot be read by sled"))?)
        }
        Err(fault) => Err(fault),
    }
}

/// Of a damaged event nothing is known but its place: whoever asks for all kinds is told of it.
fn is_wanted(query: &EventQuery, stored: &StoredEvent) -> bool {
    let event = &stored.event;
    let of_kind = query.kinds.is_empty() || query.kinds.contains(&event.kind);
    if event.kind.code() == rows::DAMAGED && event.detail.contains_key("error") {
        return of_kind;
    }
    of_kind
        && query.session.is_none_or(|session| event.session == Some(session))
        && query.subject.as_ref().is_none_or(|subject| event.subject.as_ref() == Some(subject))
        && query.from.is_none_or(|from| event.at >= from)
        && query.until.is_none_or(|until| event.at < until)
}

fn sequence_of(cursor: &Cursor) -> Result<u64, StoreError> {
    cursor.as_bytes().try_into().map(u64::from_be_bytes).map_err(|_| StoreError::invalid_cursor())
}
