//! What is read: one session, or many in an order.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use session_core::store::{BadRow, BelowEpoch, Cursor, ListQuery, Row, Scan, Stored};
use session_core::{MarkKey, Marks, Realm, SessionId, StoreError, Subject, Timestamp};

use crate::error::Fault;
use crate::keys::{self, Keys, Kind};
use crate::known::{self, Found, Known, MarkReader};
use crate::view::View;

/// How many sessions an answer leaves out before it ends: until it does, nobody may write.
const STRETCH: usize = 1_000;

/// A session by its id.
pub(crate) fn load(view: View<'_>, realm: &Realm, id: SessionId) -> Result<Option<Stored>, Fault> {
    let keys = Keys::new(realm);
    let known = match known::session(view, &keys, id)? {
        Found::Nothing => return Ok(None),
        Found::Unreadable(error, _) => return Err(error.into()),
        Found::Session(known) => known,
    };
    let marks = MarkReader::new(view, &keys).of(&known.record)?;
    let data = known.has_data.then(|| known::data(view, &keys, id)).transpose()?;
    Ok(Some(Stored { record: known.record, version: known.version, data, marks }))
}

/// The mark of a realm, and that of a subject.
pub(crate) fn marks(
    view: View<'_>,
    realm: &Realm,
    subject: Option<&Subject>,
) -> Result<Marks, Fault> {
    let keys = Keys::new(realm);
    MarkReader::new(view, &keys).read(u64::MAX, subject.map(|subject| (subject, u64::MAX)))
}

/// Sessions in order of their ids.
pub(crate) fn list(
    view: View<'_>,
    realm: &Realm,
    query: &ListQuery,
    after: Option<&Cursor>,
) -> Result<Scan, Fault> {
    let keys = Keys::new(realm);
    let after = after.map(id_of).transpose()?;
    let (mut range, first) = match (&query.subject, query.with_ended) {
        (Some(subject), true) => (
            keys.all_of_subject(Kind::OfSubject, subject),
            after.map(|id| keys.of_subject(subject, id)),
        ),
        (Some(subject), false) => (
            keys.all_of_subject(Kind::UnendedOfSubject, subject),
            after.map(|id| keys.unended_of_subject(subject, id)),
        ),
        (None, true) => (keys.all(Kind::Record), after.map(|id| keys.record(id))),
        (None, false) => (keys.all(Kind::Unended), after.map(|id| keys.unended(id))),
    };
    if let Some(first) = first {
        range.start = keys::after(first);
    }
    let mut page = Page::new(view, &keys, query.limit);
    for key in view.keys(range) {
        let Some(id) = keys::id_at_end(&key?) else { continue };
        if page.is_full() {
            break;
        }
        page.read(id, cursor_of(id))?;
    }
    Ok(page.scan)
}

/// Unended sessions whose time may have come.
pub(crate) fn due(
    view: View<'_>,
    realm: &Realm,
    now: Timestamp,
    after: Option<&Cursor>,
    limit: NonZeroUsize,
) -> Result<Scan, Fault> {
    let keys = Keys::new(realm);
    let mut range = keys.until(Kind::Due, now);
    if let Some((due_at, id)) = after.map(due_of).transpose()? {
        range.start = keys::after(keys.due(due_at, id));
    }
    let mut page = Page::new(view, &keys, limit);
    for key in view.keys(range) {
        let key = key?;
        let (Some(due_at), Some(id)) = (keys::instant_before_id(&key), keys::id_at_end(&key))
        else {
            continue;
        };
        if page.is_full() {
            break;
        }
        page.read(id, due_cursor(due_at, id))?;
    }
    Ok(page.scan)
}

/// Unended sessions that a mark has ended.
pub(crate) fn below_epoch(
    view: View<'_>,
    realm: &Realm,
    after: Option<&Cursor>,
    limit: NonZeroUsize,
) -> Result<BelowEpoch, Fault> {
    let keys = Keys::new(realm);
    let first = after.is_none();
    let after = after.map(id_of).transpose()?;
    let unsettled = unsettled(view, &keys)?;
    // The realm's mark is the first in order. Only if it is unsettled can sessions of anybody be found.
    let of_realm = unsettled.first().is_some_and(|(key, _)| *key == MarkKey::Realm);
    let mut page = Page::new(view, &keys, limit);
    if of_realm {
        let mut range = keys.all(Kind::Unended);
        if let Some(id) = after {
            range.start = keys::after(keys.unended(id));
        }
        for (looked_at, key) in view.keys(range).enumerate() {
            let Some(id) = keys::id_at_end(&key?) else { continue };
            if page.read_below(id, &unsettled)? {
                break;
            }
            // Those who have signed in since may be all there are.
            if looked_at + 1 == STRETCH + page.scan.rows.len() {
                page.scan.next = Some(cursor_of(id));
                break;
            }
        }
    } else {
        for id in candidates(view, &keys, &unsettled, after, limit)? {
            if page.read_below(id, &unsettled)? {
                break;
            }
        }
    }
    let named = if first { limit.get() } else { 0 };
    let unsettled = unsettled.into_iter().take(named).collect();
    Ok(BelowEpoch { scan: page.scan, unsettled })
}

/// The marks that are not settled. One that cannot be read is passed: it stays unsettled.
fn unsettled(view: View<'_>, keys: &Keys) -> Result<Vec<(MarkKey, u64)>, Fault> {
    let mut unsettled = Vec::new();
    for key in view.keys(keys.all(Kind::Unsettled)) {
        let Some(mark) = keys.mark_of(&key?) else { continue };
        match known::stored_mark(view, keys, &mark) {
            Ok(Some(stored)) if stored.settled < stored.epoch => {
                unsettled.push((mark, stored.epoch));
            }
            Ok(_) | Err(Fault::Store(_)) => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(unsettled)
}

/// The first unended sessions below the epochs of some subjects' marks: one more than asked for, if there are.
fn candidates(
    view: View<'_>,
    keys: &Keys,
    unsettled: &[(MarkKey, u64)],
    after: Option<SessionId>,
    limit: NonZeroUsize,
) -> Result<BTreeSet<SessionId>, Fault> {
    let mut first = BTreeSet::new();
    for (mark, _) in unsettled {
        let MarkKey::Subject(subject) = mark else { continue };
        let mut range = keys.all_of_subject(Kind::UnendedOfSubject, subject);
        if let Some(id) = after {
            range.start = keys::after(keys.unended_of_subject(subject, id));
        }
        for key in view.keys(range) {
            let Some(id) = keys::id_at_end(&key?) else { continue };
            let full = first.len() > limit.get();
            if full && first.last().is_some_and(|last| id > *last) {
                break;
            }
            if matches!(known::session(view, keys, id)?, Found::Session(known)
                if !is_below(&known.record, unsettled))
            {
                continue;
            }
            first.insert(id);
            if full {
                first.pop_last();
            }
        }
    }
    Ok(first)
}

fn is_below(record: &session_core::Record, unsettled: &[(MarkKey, u64)]) -> bool {
    let below = |key: &MarkKey, epoch: u64| {
        unsettled
            .binary_search_by(|(known, _)| known.cmp(key))
            .is_ok_and(|at| epoch < unsettled[at].1)
    };
    record.end.is_none()
        && (below(&MarkKey::Realm, record.epochs.realm)
            || record.subject.as_ref().is_some_and(|subject| {
                below(&MarkKey::Subject(subject.clone()), record.epochs.subject)
            }))
}

/// The rows of an answer.
struct Page<'a> {
    view: View<'a>,
    keys: &'a Keys,
    marks: MarkReader<'a>,
    limit: NonZeroUsize,
    scan: Scan,
    last: Option<Cursor>,
}

impl<'a> Page<'a> {
    fn new(view: View<'a>, keys: &'a Keys, limit: NonZeroUsize) -> Self {
        let marks = MarkReader::new(view, keys);
        Self { view, keys, marks, limit, scan: Scan::default(), last: None }
    }

    /// Whether there is no room for one more row; then the scan goes on after the last.
    fn is_full(&mut self) -> bool {
        let full = self.scan.rows.len() == self.limit.get();
        if full {
            self.scan.next = self.last.take();
        }
        full
    }

    fn read(&mut self, id: SessionId, cursor: Cursor) -> Result<(), Fault> {
        let found = known::session(self.view, self.keys, id)?;
        self.push(id, found, cursor)
    }

    /// Reads a session if it is below an epoch, or cannot be read. Whether the page was full.
    fn read_below(&mut self, id: SessionId, unsettled: &[(MarkKey, u64)]) -> Result<bool, Fault> {
        let found = known::session(self.view, self.keys, id)?;
        if matches!(&found, Found::Session(known) if !is_below(&known.record, unsettled)) {
            return Ok(false);
        }
        if self.is_full() {
            return Ok(true);
        }
        self.push(id, found, cursor_of(id))?;
        Ok(false)
    }

    fn push(&mut self, id: SessionId, found: Found, cursor: Cursor) -> Result<(), Fault> {
        let row = self.row(id, found)?;
        self.scan.rows.push(row);
        self.last = Some(cursor);
        Ok(())
    }

    fn row(&mut self, id: SessionId, found: Found) -> Result<Row, Fault> {
        let bad = |error| Ok(Err(BadRow { id: Some(id), error }));
        match found {
            Found::Session(known) => match self.marks.of(&known.record) {
                Ok(marks) => {
                    let Known { record, version, .. } = *known;
                    Ok(Ok(Stored { record, version, data: None, marks }))
                }
                Err(Fault::Store(error)) => bad(error),
                Err(fault) => Err(fault),
            },
            Found::Unreadable(error, _) => bad(error),
            Found::Nothing => {
                bad(StoreError::corrupt(format!("an index names session {id}, which is not there")))
            }
        }
    }
}

fn cursor_of(id: SessionId) -> Cursor {
    Cursor::from_bytes(*id.as_bytes())
}

fn id_of(cursor: &Cursor) -> Result<SessionId, StoreError> {
    cursor
        .as_bytes()
        .try_into()
        .map(SessionId::from_bytes)
        .map_err(|_| StoreError::invalid_cursor())
}

fn due_cursor(due_at: Timestamp, id: SessionId) -> Cursor {
    let mut bytes = keys::instant(due_at).to_vec();
    bytes.extend(id.as_bytes());
    Cursor::from_bytes(bytes)
}

fn due_of(cursor: &Cursor) -> Result<(Timestamp, SessionId), StoreError> {
    let invalid = StoreError::invalid_cursor;
    let (due_at, id) = cursor.as_bytes().split_first_chunk().ok_or_else(invalid)?;
    let id = id.try_into().map_err(|_| invalid())?;
    Ok((keys::instant_of(*due_at), SessionId::from_bytes(id)))
}
