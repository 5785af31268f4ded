//! Where everything is kept: the keys of the one tree, in the order in which they are read.
//!
//! ```text
//! length of the realm's name    its name    kind      the rest
//! 1 byte                        1–64        1 byte    by kind, see `Kind`
//! ```
//!
//! A length of 0 is no realm's: under it stand the keys of the store itself. Numbers are big-endian, instants
//! with their sign turned, so that the order of the bytes is theirs. A subject is preceded by its length, unless
//! it ends the key.

use std::ops::Range;

use session_core::{MarkKey, Realm, SessionId, Subject, Timestamp};

/// What a key is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// `D` id, number of the part: a part of a session's data.
    Data = b'D',
    /// `E` sequence: an event.
    Event = b'E',
    /// `L` mark: the raises of a mark.
    Log = b'L',
    /// `M` mark: a mark.
    Mark = b'M',
    /// `R` id: a record.
    Record = b'R',
    /// `S`: what a realm counts.
    Summary = b'S',
    /// `T` id, slot: activity later than the record tells.
    Touch = b'T',
    /// `d` due_at, id: unended sessions by their due time.
    Due = b'd',
    /// `i` id, sequence: events by session.
    EventsOfSession = b'i',
    /// `o` purge_at, sequence: events by their age. The value says in which other indexes the event is.
    OldEvents = b'o',
    /// `p` purge_at, id: tombstones by their age. The value is the subject.
    Tombstones = b'p',
    /// `s` subject, id: sessions by subject.
    OfSubject = b's',
    /// `t` subject, sequence: events by subject.
    EventsOfSubject = b't',
    /// `u` id: unended sessions.
    Unended = b'u',
    /// `v` subject, id: unended sessions by subject, so that a login does not pay for those that have ended.
    UnendedOfSubject = b'v',
    /// `w` mark: marks that are not settled.
    Unsettled = b'w',
}

/// The layout that this program writes, and the only one that it reads.
pub(crate) const FORMAT: &[u8] = &[0, b'F'];

/// The number of the last batch.
pub(crate) const BATCH: &[u8] = &[0, b'B'];

/// The keys of a realm.
pub(crate) struct Keys {
    prefix: Vec<u8>,
}

impl Keys {
    pub(crate) fn new(realm: &Realm) -> Self {
        let mut prefix = Vec::with_capacity(1 + realm.as_str().len());
        push_text(&mut prefix, realm.as_str());
        Self { prefix }
    }

    pub(crate) fn record(&self, id: SessionId) -> Vec<u8> {
        self.key(Kind::Record, &[id.as_bytes()])
    }

    pub(crate) fn data(&self, id: SessionId, part: u32) -> Vec<u8> {
        self.key(Kind::Data, &[id.as_bytes(), &part.to_be_bytes()])
    }

    pub(crate) fn touch(&self, id: SessionId, slot: u32) -> Vec<u8> {
        self.key(Kind::Touch, &[id.as_bytes(), &slot.to_be_bytes()])
    }

    pub(crate) fn summary(&self) -> Vec<u8> {
        self.key(Kind::Summary, &[])
    }

    /// The key of a mark, of its log or of its entry among the unsettled.
    pub(crate) fn mark(&self, kind: Kind, mark: &MarkKey) -> Vec<u8> {
        match mark {
            MarkKey::Realm => self.key(kind, &[]),
            MarkKey::Subject(subject) => self.key(kind, &[subject.as_str().as_bytes()]),
        }
    }

    pub(crate) fn unended(&self, id: SessionId) -> Vec<u8> {
        self.key(Kind::Unended, &[id.as_bytes()])
    }

    pub(crate) fn unended_of_subject(&self, subject: &Subject, id: SessionId) -> Vec<u8> {
        self.of(Kind::UnendedOfSubject, subject, id.as_bytes())
    }

    pub(crate) fn due(&self, due_at: Timestamp, id: SessionId) -> Vec<u8> {
        self.key(Kind::Due, &[&instant(due_at), id.as_bytes()])
    }

    pub(crate) fn tombstone(&self, purge_at: Timestamp, id: SessionId) -> Vec<u8> {
        self.key(Kind::Tombstones, &[&instant(purge_at), id.as_bytes()])
    }

    pub(crate) fn of_subject(&self, subject: &Subject, id: SessionId) -> Vec<u8> {
        self.of(Kind::OfSubject, subject, id.as_bytes())
    }

    pub(crate) fn event(&self, sequence: u64) -> Vec<u8> {
        self.key(Kind::Event, &[&sequence.to_be_bytes()])
    }

    pub(crate) fn event_of_session(&self, id: SessionId, sequence: u64) -> Vec<u8> {
        self.key(Kind::EventsOfSession, &[id.as_bytes(), &sequence.to_be_bytes()])
    }

    pub(crate) fn event_of_subject(&self, subject: &Subject, sequence: u64) -> Vec<u8> {
        self.of(Kind::EventsOfSubject, subject, &sequence.to_be_bytes())
    }

    pub(crate) fn old_event(&self, purge_at: Timestamp, sequence: u64) -> Vec<u8> {
        self.key(Kind::OldEvents, &[&instant(purge_at), &sequence.to_be_bytes()])
    }

    /// All keys of a kind.
    pub(crate) fn all(&self, kind: Kind) -> Range<Vec<u8>> {
        under(self.key(kind, &[]))
    }

    /// All keys of a kind that begin with an id.
    pub(crate) fn all_of_session(&self, kind: Kind, id: SessionId) -> Range<Vec<u8>> {
        under(self.key(kind, &[id.as_bytes()]))
    }

    /// All keys of a kind that begin with a subject.
    pub(crate) fn all_of_subject(&self, kind: Kind, subject: &Subject) -> Range<Vec<u8>> {
        under(self.of(kind, subject, &[]))
    }

    /// All keys of a kind that begin with an instant, up to this one.
    pub(crate) fn until(&self, kind: Kind, last: Timestamp) -> Range<Vec<u8>> {
        let start = self.key(kind, &[]);
        let end = under(self.key(kind, &[&instant(last)])).end;
        start..end
    }

    /// The subject or nothing that ends the key of a mark.
    pub(crate) fn mark_of(&self, key: &[u8]) -> Option<MarkKey> {
        match key.get(self.prefix.len() + 1..)? {
            [] => Some(MarkKey::Realm),
            subject => {
                let subject = std::str::from_utf8(subject).ok()?;
                Subject::new(subject).ok().map(MarkKey::Subject)
            }
        }
    }

    fn of(&self, kind: Kind, subject: &Subject, rest: &[u8]) -> Vec<u8> {
        let mut key = self.key(kind, &[]);
        push_text(&mut key, subject.as_str());
        key.extend_from_slice(rest);
        key
    }

    fn key(&self, kind: Kind, rest: &[&[u8]]) -> Vec<u8> {
        let length = rest.iter().map(|part| part.len()).sum::<usize>();
        let mut key = Vec::with_capacity(self.prefix.len() + 1 + length);
        key.extend_from_slice(&self.prefix);
        key.push(kind as u8);
        for part in rest {
            key.extend_from_slice(part);
        }
        key
    }
}

/// What follows a key: the same key and all that it begins are before it.
pub(crate) fn after(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

/// The kind of a key of a realm; none of the store's own keys.
pub(crate) fn kind_of(key: &[u8]) -> Option<u8> {
    match key.first()? {
        0 => None,
        length => key.get(1 + usize::from(*length)).copied(),
    }
}

/// The id that ends a key.
pub(crate) fn id_at_end(key: &[u8]) -> Option<SessionId> {
    key.last_chunk().map(|id| SessionId::from_bytes(*id))
}

/// The sequence that ends a key.
pub(crate) fn sequence_at_end(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|sequence| u64::from_be_bytes(*sequence))
}

/// The instant before the id that ends a key.
pub(crate) fn instant_before_id(key: &[u8]) -> Option<Timestamp> {
    let (before, _) = key.split_last_chunk::<16>()?;
    before.last_chunk().map(|bytes| instant_of(*bytes))
}

/// An instant as bytes in its order.
pub(crate) fn instant(at: Timestamp) -> [u8; 8] {
    (at.as_millis().cast_unsigned() ^ SIGN).to_be_bytes()
}

/// The instant of such bytes.
pub(crate) fn instant_of(bytes: [u8; 8]) -> Timestamp {
    Timestamp::from_millis((u64::from_be_bytes(bytes) ^ SIGN).cast_signed())
}

const SIGN: u64 = 1 << 63;

/// A text after its length. Neither realms nor subjects are longer than 255 bytes.
fn push_text(key: &mut Vec<u8>, text: &str) {
    key.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    key.extend_from_slice(text.as_bytes());
}

/// All keys that begin with a prefix.
fn under(prefix: Vec<u8>) -> Range<Vec<u8>> {
    let mut end = prefix.clone();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    prefix..end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(name: &str) -> Subject {
        Subject::new(name).unwrap()
    }

    #[test]
    fn instants_keep_their_order() {
        let all = [i64::MIN, -2, -1, 0, 1, 2, i64::MAX].map(Timestamp::from_millis);
        assert!(all.map(instant).is_sorted());
        assert_eq!(all.map(|at| instant_of(instant(at))), all);
    }

    #[test]
    fn no_subject_and_no_realm_is_another_ones_beginning() {
        let short = Keys::new(&Realm::new("a").unwrap());
        let long = Keys::new(&Realm::new("ab").unwrap());
        let id = SessionId::from_bytes([0xff; 16]);
        for (of, other) in [("x", "xy"), ("xy", "x"), ("x", "x\u{1}")] {
            let range = short.all_of_subject(Kind::OfSubject, &subject(of));
            assert!(range.contains(&short.of_subject(&subject(of), id)));
            assert!(!range.contains(&short.of_subject(&subject(other), id)));
            assert!(!range.contains(&long.of_subject(&subject(of), id)));
        }
        assert!(!short.all(Kind::Record).contains(&long.record(id)));
        assert!(short.all(Kind::Record).contains(&short.record(id)));
    }

    #[test]
    fn an_instant_belongs_to_what_is_until_it() {
        let keys = Keys::new(&Realm::default());
        let id = SessionId::from_bytes([0xff; 16]);
        for at in [Timestamp::MIN, Timestamp::from_millis(-1), Timestamp::MAX] {
            let key = keys.due(at, id);
            assert!(keys.until(Kind::Due, at).contains(&key));
            assert_eq!(instant_before_id(&key), Some(at));
            assert_eq!(id_at_end(&key), Some(id));
        }
        let later = keys.due(Timestamp::from_millis(1), id);
        assert!(!keys.until(Kind::Due, Timestamp::from_millis(0)).contains(&later));
    }
}
