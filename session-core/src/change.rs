//! What the engine asks a store to write: all of it, or nothing.

use std::fmt;

use crate::{
    EncodedData, Event, MarkKey, Raise, Random, RandomError, Record, SessionId, Stamp, Subject,
    Timestamp,
};

/// What a store writes in one step: all or nothing.
///
/// It can be built only in forms that keep the promises of the contract: a session of a subject cannot be
/// inserted without a [`Fence`], and nothing in it can overwrite what it has not read.
///
/// ```
/// use session_core::{Change, ChangeId, Fence, MarkWrite, Subject, SystemRandom};
///
/// let alice = Subject::new("alice").unwrap();
/// let change = Change::new(ChangeId::new(&SystemRandom).unwrap())
///     .mark(MarkWrite::fence(&Fence { subject: alice, version: 3 }));
/// assert_eq!(change.marks()[0].expected, 3);
/// ```
#[derive(Clone, Debug)]
pub struct Change {
    id: ChangeId,
    marks: Vec<MarkWrite>,
    inserts: Vec<Insert>,
    replacements: Vec<Replacement>,
    reschedules: Vec<Reschedule>,
    settles: Vec<Settle>,
    events: Vec<Event>,
}

impl Change {
    /// A change that does nothing yet.
    pub fn new(id: ChangeId) -> Self {
        Self {
            id,
            marks: Vec::new(),
            inserts: Vec::new(),
            replacements: Vec::new(),
            reschedules: Vec::new(),
            settles: Vec::new(),
            events: Vec::new(),
        }
    }

    /// And inserts an anonymous session.
    ///
    /// # Panics
    /// The record has a subject: see [`Change::insert_fenced`].
    #[must_use]
    pub fn insert(mut self, record: Record, data: Option<EncodedData>) -> Self {
        assert!(
            record.subject.is_none(),
            "a session of a subject cannot be inserted without a fence"
        );
        self.inserts.push(Insert { record, data });
        self
    }

    /// And inserts a session of a subject, unless the subject's mark has moved since the fence was read.
    ///
    /// # Panics
    /// The record is of another subject than the fence.
    #[must_use]
    pub fn insert_fenced(
        mut self,
        record: Record,
        data: Option<EncodedData>,
        fence: &Fence,
    ) -> Self {
        assert_eq!(record.subject.as_ref(), Some(&fence.subject), "the fence is another subject's");
        self.inserts.push(Insert { record, data });
        self.mark(MarkWrite::fence(fence))
    }

    /// And writes a mark. Of several writes of one mark the last that says more than a fence counts.
    #[must_use]
    pub fn mark(mut self, write: MarkWrite) -> Self {
        match self.marks.binary_search_by(|known| known.key.cmp(&write.key)) {
            Ok(at) if write.is_fence() => {
                debug_assert_eq!(self.marks[at].expected, write.expected);
            }
            Ok(at) => self.marks[at] = write,
            Err(at) => self.marks.insert(at, write),
        }
        self
    }

    /// And replaces a record.
    #[must_use]
    pub fn replace(mut self, replacement: Replacement) -> Self {
        let id = replacement.record.id;
        let at = self.replacements.partition_point(|known| known.record.id <= id);
        self.replacements.insert(at, replacement);
        self
    }

    /// And moves a record's entry in the index of due sessions forward.
    #[must_use]
    pub fn reschedule(mut self, reschedule: Reschedule) -> Self {
        self.reschedules.push(reschedule);
        self
    }

    /// And notes that nothing is left below an epoch of a mark.
    #[must_use]
    pub fn settle(mut self, settle: Settle) -> Self {
        self.settles.push(settle);
        self
    }

    /// And tells what happened.
    #[must_use]
    pub fn event(mut self, event: Event) -> Self {
        self.events.push(event);
        self
    }

    /// The identity of the change: kept on every row and mark that it writes, so that the same change sent
    /// twice is applied once.
    pub fn id(&self) -> ChangeId {
        self.id
    }

    /// The marks to write, in order of their keys, each once.
    pub fn marks(&self) -> &[MarkWrite] {
        &self.marks
    }

    /// The records to insert.
    pub fn inserts(&self) -> &[Insert] {
        &self.inserts
    }

    /// The records to replace, in order of their ids.
    pub fn replacements(&self) -> &[Replacement] {
        &self.replacements
    }

    /// The entries to move forward. One that cannot be moved is left, and is no conflict.
    pub fn reschedules(&self) -> &[Reschedule] {
        &self.reschedules
    }

    /// The marks to settle. They conflict with nothing.
    pub fn settles(&self) -> &[Settle] {
        &self.settles
    }

    /// The events to append.
    pub fn events(&self) -> &[Event] {
        &self.events
    }
}

/// The identity of a change: 128 random bits.
///
/// ```
/// use session_core::{ChangeId, SystemRandom};
///
/// assert_ne!(ChangeId::new(&SystemRandom).unwrap(), ChangeId::new(&SystemRandom).unwrap());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChangeId([u8; 16]);

impl ChangeId {
    /// A fresh identity.
    ///
    /// # Errors
    /// The source of randomness failed.
    pub fn new(random: &dyn Random) -> Result<Self, RandomError> {
        let mut bytes = [0; 16];
        random.fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The identity with these bytes, as a store has kept them.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&uuid::Uuid::from_bytes(self.0), f)
    }
}

/// The version of a record: 1 when inserted, one more with each replacement. A touch does not move it.
pub type Version = u64;

/// A record to insert. It fails if its id exists.
///
/// ```
/// use session_core::Change;
///
/// fn ids(change: &Change) -> Vec<String> {
///     change.inserts().iter().map(|insert| insert.record.id.to_string()).collect()
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Insert {
    /// The record.
    pub record: Record,
    /// Its data, if it has any.
    pub data: Option<EncodedData>,
}

/// A record to write in the place of one that was read. It fails unless the stored version is the expected
/// one, and never creates.
///
/// ```
/// use session_core::{DataWrite, Record, Replacement};
///
/// fn same_data(record: Record, version: u64) -> Replacement {
///     Replacement { record, expected: version, data: DataWrite::Keep, decided_on: None }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Replacement {
    /// What the record is from now on. Of the stored and the given `last_seen_at` the greater stays, of the
    /// session's and of each scope entry's.
    pub record: Record,
    /// The version that was read.
    pub expected: Version,
    /// What becomes of the data.
    pub data: DataWrite,
    /// For an end by idleness: the `last_seen_at` that it was decided on. A stored one that is newer makes
    /// the replacement fail.
    pub decided_on: Option<Timestamp>,
}

/// What a replacement does to the data.
///
/// ```
/// assert_ne!(session_core::DataWrite::Keep, session_core::DataWrite::Drop);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataWrite {
    /// Leaves it untouched, and unread.
    Keep,
    /// Puts this in its place.
    Set(EncodedData),
    /// Removes it.
    Drop,
}

/// The version of a subject's mark, as it was read before a decision. A change with a fence fails if the mark
/// has moved, and moves it: of two fenced changes decided on the same state one wins.
///
/// ```
/// use session_core::{Fence, Subject};
///
/// let fence = Fence { subject: Subject::new("alice").unwrap(), version: 0 };
/// assert_eq!(fence.version, 0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// Whose mark.
    pub subject: Subject,
    /// The version that was read.
    pub version: u64,
}

/// A write of a mark. It fails unless the mark's version is the expected one, and moves the version by one.
///
/// ```
/// use session_core::{MarkKey, MarkWrite};
///
/// let write = MarkWrite { key: MarkKey::Realm, expected: 0, raise: None, stamp: None };
/// assert!(write.is_fence());
/// ```
#[derive(Clone, Debug)]
pub struct MarkWrite {
    /// Which mark.
    pub key: MarkKey,
    /// The version that was read.
    pub expected: u64,
    /// The raise, if the epoch is raised: to the epoch that it names.
    pub raise: Option<Raise>,
    /// The stamp, if it is set.
    pub stamp: Option<Stamp>,
}

impl MarkWrite {
    /// A write that only compares and moves the version.
    pub fn fence(fence: &Fence) -> Self {
        Self {
            key: MarkKey::Subject(fence.subject.clone()),
            expected: fence.version,
            raise: None,
            stamp: None,
        }
    }

    /// Whether this only compares and moves the version.
    pub fn is_fence(&self) -> bool {
        self.raise.is_none() && self.stamp.is_none()
    }
}

/// A new place in the index of due sessions. It is carried out if the record's version is still the expected
/// one and the record has not ended; it moves no version.
///
/// ```
/// use session_core::{Reschedule, SessionId, Timestamp};
///
/// let due_at = Timestamp::from_millis(60_000);
/// let reschedule = Reschedule { id: SessionId::from_bytes([0; 16]), expected: 1, due_at };
/// assert_eq!(reschedule.expected, 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reschedule {
    /// Of which session.
    pub id: SessionId,
    /// The version that was read.
    pub expected: Version,
    /// When to look at it next.
    pub due_at: Timestamp,
}

/// Notes that the sweep has found no session left below an epoch: [`below_epoch`] need not look there again
/// until the mark is raised further.
///
/// [`below_epoch`]: crate::store::SessionStore::below_epoch
///
/// ```
/// use session_core::{MarkKey, Settle};
///
/// let settle = Settle { key: MarkKey::Realm, epoch: 2 };
/// assert_eq!(settle.epoch, 2);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settle {
    /// Which mark.
    pub key: MarkKey,
    /// The epoch below which nothing is left.
    pub epoch: u64,
}
