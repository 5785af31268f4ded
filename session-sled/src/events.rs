//! Events in the order of their commits, or the reverse.

use session_core::store::{Cursor, EventPage, EventQuery, Events, Order, StoredEvent};
use session_core::{Realm, StoreError};

use crate::error::{Fault, guarded};
use crate::keys::{self, Keys, Kind};
use crate::known;
use crate::rows;
use crate::view::View;

/// Reads a page. A view holds only what is durable, and whatever is committed later has a greater number than
/// all there is, so nothing can precede what is answered.
pub(crate) fn events(
    view: View<'_>,
    realm: &Realm,
    query: &EventQuery,
    after: Option<&Cursor>,
) -> Result<Events, Fault> {
    let after = after.map(sequence_of).transpose()?;
    let keys = Keys::new(realm);
    let summary = known::summary(view, &keys)?;
    let oldest_first = query.order == Order::OldestFirst;
    if oldest_first && after.is_some_and(|after| after < summary.purged) {
        return Ok(Events::CursorExpired);
    }
    let (mut range, bound) = match (query.session, &query.subject) {
        (Some(session), _) => (
            keys.all_of_session(Kind::EventsOfSession, session),
            after.map(|after| keys.event_of_session(session, after)),
        ),
        (None, Some(subject)) => (
            keys.all_of_subject(Kind::EventsOfSubject, subject),
            after.map(|after| keys.event_of_subject(subject, after)),
        ),
        (None, None) => (keys.all(Kind::Event), after.map(|after| keys.event(after))),
    };
    match bound {
        Some(bound) if oldest_first => range.start = keys::after(bound),
        Some(bound) => range.end = bound,
        None => {}
    }
    let mut page = EventPage::default();
    for found in view.scan(range, query.order) {
        let (key, value) = found?;
        let Some(sequence) = keys::sequence_at_end(&key) else { continue };
        let by_itself = query.session.is_none() && query.subject.is_none();
        let stored = if by_itself {
            read(&key, sequence, &value)?
        } else {
            by_number(view, &keys, sequence)?
        };
        if !is_wanted(query, &stored) {
            continue;
        }
        if page.events.len() == query.limit.get() {
            page.more = true;
            break;
        }
        page.events.push(stored);
    }
    let reached = match (oldest_first, page.more) {
        // All that there is has been looked at, wanted or not.
        (true, false) => Some(summary.sequence),
        (false, false) => None,
        _ => page.events.last().map(|stored| stored.sequence),
    };
    page.next = reached.map(|sequence| Cursor::from_bytes(sequence.to_be_bytes()));
    Ok(Events::Page(page))
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
