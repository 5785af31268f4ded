//! What a store must promise.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::change::Version;
use crate::{
    Change, ChangeId, EncodedData, Event, EventKind, MarkKey, Marks, Realm, Record, SessionId,
    StoreError, Subject, Timestamp,
};

/// Keeps records, marks and events, and carries out changes. It decides nothing and reads no clock: every
/// instant that it compares is an argument.
///
/// # Contract
///
/// The test kit of the feature `conformance` checks every clause on any implementation.
///
/// - **Realms.** Everything is within a realm, in every key and every query. What one realm holds, another
///   cannot see, touch or end.
/// - **Untrusted input.** Ids, cursors and subjects come from outside. None of them is an error by itself.
/// - **Whole.** A commit is atomic, and durable once its outcome is [`Outcome::Applied`]: each
///   implementation says what durable means for it. A load that starts after that sees it, or newer. A
///   future dropped half-way leaves everything old or everything new.
/// - **No resurrection.** A replacement never creates, and an insert never overwrites. There is no upsert.
/// - **Values and errors.** Expected outcomes are values. An error says that the system is broken, and
///   nothing was changed unless it says [`OutcomeUnknown`](crate::StoreErrorKind::OutcomeUnknown).
/// - **Rows by themselves.** A row that cannot be read is an error of its own, and harms no other.
/// - **Values as they are.** Texts, instants and data come back as they were written. Durations have whole
///   milliseconds: what is finer may be cut off, and what is longer than `i64::MAX` of them kept as that.
///
/// An implementation that wraps another should be written with
/// `#[deny(clippy::missing_trait_methods)]`. There are no default bodies: each method means something.
///
/// ```
/// use session_core::{MemoryStore, SessionStore};
///
/// let store: Box<dyn SessionStore> = Box::new(MemoryStore::new());
/// ```
#[async_trait]
pub trait SessionStore: fmt::Debug + Send + Sync + 'static {
    /// Finds a session: its record with the touches merged in, its version, its data and both marks, all of
    /// one instant. `None` if there is no such row. One round trip.
    async fn load(&self, realm: &Realm, id: SessionId) -> Result<Option<Stored>, StoreError>;

    /// Reads the mark of the realm, and that of a subject if one is given. A subject's mark that is not there
    /// has the realm's floor for version and epoch: 0, until a mark is erased (see
    /// [`SessionStore::erase`]). One round trip.
    async fn marks(&self, realm: &Realm, subject: Option<&Subject>) -> Result<Marks, StoreError>;

    /// Carries out a change: all of it, or nothing.
    ///
    /// - An insert of an id that exists is [`Outcome::Exists`].
    /// - A replacement of a record that is not there, whose version is not the expected one, or whose
    ///   `last_seen_at` is later than it was decided on, is [`Outcome::Moved`].
    /// - A write of a mark whose version is not the expected one is [`Outcome::Fenced`].
    /// - Several conflicts at once: any of them is the outcome.
    /// - But if any row or mark that the change writes carries the change's own id, it has been carried out
    ///   before, and is [`Outcome::Applied`] without being carried out again.
    ///
    /// `last_seen_at`, of the session and of each scope entry, is never written down: the greater stays. The
    /// touches of a scope entry that the new record no longer has are forgotten. A reschedule whose record
    /// has moved or ended is left out; a settle never lowers. Events are appended in their order.
    async fn commit(&self, realm: &Realm, change: &Change) -> Result<Outcome, StoreError>;

    /// Carries out several changes in one transaction, each atomic by itself and with an outcome of its own,
    /// as if one after the other. An error is that of all.
    async fn commit_each(
        &self,
        realm: &Realm,
        changes: &[Change],
    ) -> Result<Vec<Outcome>, StoreError>;

    /// Records activity: raises the last activity of each named slot to `seen_at`, if the session has not
    /// ended and `if_after < last activity ≤ if_before`. Slot 0 is the session, others its scope entries.
    ///
    /// It commutes with everything: it moves no version, rewrites no data, updates no index, never creates,
    /// and never goes back. It is visible at once and durable within a second: a crash may take it back, which
    /// only ends a session earlier. One answer for each touch, in order.
    async fn touch(&self, realm: &Realm, touches: &[Touch]) -> Result<Vec<Touched>, StoreError>;

    /// Lists sessions in order of their ids, which is that of their creation, without their data.
    async fn list(
        &self,
        realm: &Realm,
        query: &ListQuery,
        after: Option<&Cursor>,
    ) -> Result<Scan, StoreError>;

    /// Finds the sessions that have not ended and whose `due_at` is `now` or before, in its order, without
    /// their data. A touch does not move `due_at`: the caller decides what is found, and reschedules what
    /// still lives.
    async fn due(
        &self,
        realm: &Realm,
        now: Timestamp,
        after: Option<&Cursor>,
        limit: NonZeroUsize,
    ) -> Result<Scan, StoreError>;

    /// Finds the sessions that have not ended and whose epoch is older than that of their mark, without their
    /// data. Marks that are settled at their epoch are passed over, so that the cost grows with what there is
    /// to find. It also names the marks that are not settled.
    async fn below_epoch(
        &self,
        realm: &Realm,
        after: Option<&Cursor>,
        limit: NonZeroUsize,
    ) -> Result<BelowEpoch, StoreError>;

    /// Reads events in their order, oldest or newest first.
    ///
    /// A cursor answers only what nothing can precede any more and what is durable: a reader that follows the
    /// cursors of [`Order::OldestFirst`] misses no event, whatever commits in between.
    async fn events(
        &self,
        realm: &Realm,
        query: &EventQuery,
        after: Option<&Cursor>,
    ) -> Result<Events, StoreError>;

    /// Removes tombstones and events whose `purge_at` is `now` or before, at most `limit` of each.
    async fn purge(
        &self,
        realm: &Realm,
        now: Timestamp,
        limit: NonZeroUsize,
    ) -> Result<Purged, StoreError>;

    /// Removes the ended sessions and the events of a subject, at most `limit` of each; and, when no session
    /// and no event of his is left, his mark.
    ///
    /// So that a ticket or a change from before finds no mark that looks like his, the realm keeps a floor: the
    /// version and epoch of any mark that is not there. It is never lower than what an erased mark had,
    /// plus one.
    async fn erase(
        &self,
        realm: &Realm,
        subject: &Subject,
        limit: NonZeroUsize,
    ) -> Result<Purged, StoreError>;

    /// Whether other processes may use the same sessions while this one does. Costs no I/O.
    fn is_shared(&self) -> bool;
}

/// A session as a load finds it.
///
/// ```
/// use session_core::store::Stored;
///
/// fn epoch_is_old(stored: &Stored) -> bool {
///     stored.record.epochs.realm < stored.marks.realm.epoch
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The record, with the touches merged into its last activity.
    pub record: Record,
    /// Its version, for the next replacement.
    pub version: Version,
    /// Its data. `None` if it has none, and in scans, which do not read it.
    pub data: Option<EncodedData>,
    /// The marks it lives under, each with the raise that first passed the record's epoch, if any has.
    pub marks: Marks,
}

/// What became of a change.
///
/// ```
/// use session_core::store::Outcome;
///
/// assert!(Outcome::Applied.is_applied());
/// ```
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out, now or when it was sent before.
    Applied,
    /// It would insert a session that exists.
    Exists(SessionId),
    /// It would replace a session that is not there, or not as it was read.
    Moved(SessionId),
    /// It was decided on a mark that has moved.
    Fenced(MarkKey),
}

impl Outcome {
    /// Whether the change was carried out.
    pub fn is_applied(&self) -> bool {
        matches!(self, Self::Applied)
    }
}

/// One record of activity.
///
/// ```
/// use std::time::Duration;
/// use session_core::store::Touch;
/// use session_core::{SessionId, Timestamp};
///
/// let now = Timestamp::from_millis(3_600_000);
/// let touch = Touch {
///     id: SessionId::from_bytes([0; 16]),
///     slot: 0,
///     seen_at: now,
///     if_after: now - Duration::from_secs(1_800),
///     if_before: now - Duration::from_secs(60),
/// };
/// assert!(touch.if_after < touch.if_before);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    /// Of which session.
    pub id: SessionId,
    /// 0 for the session, else the number of the scope entry.
    pub slot: u32,
    /// The activity.
    pub seen_at: Timestamp,
    /// Only if the last activity was after this: else the session has been idle for too long.
    pub if_after: Timestamp,
    /// Only if the last activity was at this or before: else it is recorded well enough.
    pub if_before: Timestamp,
}

/// What became of a touch.
///
/// ```
/// assert_ne!(session_core::store::Touched::Fresh, session_core::store::Touched::NotLive);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touched {
    /// It was recorded.
    Touched,
    /// Somebody has recorded later activity.
    Fresh,
    /// There is no such session or entry, it has ended, or it has been idle for too long.
    NotLive,
}

/// Which sessions to list.
///
/// ```
/// use session_core::store::ListQuery;
///
/// let everyone = ListQuery::default();
/// assert!(!everyone.with_ended);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListQuery {
    /// Only those of this subject.
    pub subject: Option<Subject>,
    /// Also those whose end is written down.
    pub with_ended: bool,
    /// The most rows in one answer.
    pub limit: NonZeroUsize,
}

/// The unended sessions of everybody, a hundred at a time.
impl Default for ListQuery {
    fn default() -> Self {
        Self { subject: None, with_ended: false, limit: const { NonZeroUsize::new(100).unwrap() } }
    }
}

/// One answer of a scan: rows, and where to go on.
///
/// ```
/// assert!(session_core::store::Scan::default().next.is_none());
/// ```
#[derive(Debug, Default)]
pub struct Scan {
    /// The rows, each readable or not.
    pub rows: Vec<Row>,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
}

/// A row of a scan: a session, or why it cannot be read.
pub type Row = Result<Stored, BadRow>;

/// A row that cannot be read.
///
/// ```
/// use session_core::store::BadRow;
/// use session_core::{StoreError, StoreErrorKind};
///
/// let error = StoreError::new(StoreErrorKind::Corrupt, "the class is not a name");
/// let row = BadRow { id: None, error };
/// assert_eq!(row.to_string(), "a stored session cannot be read");
/// ```
#[derive(Debug, thiserror::Error)]
#[error("a stored session cannot be read")]
pub struct BadRow {
    /// Its id, if that can be read.
    pub id: Option<SessionId>,
    /// What is wrong.
    #[source]
    pub error: StoreError,
}

/// One answer of [`SessionStore::below_epoch`].
///
/// ```
/// assert!(session_core::store::BelowEpoch::default().unsettled.is_empty());
/// ```
#[derive(Debug, Default)]
pub struct BelowEpoch {
    /// The sessions that a mark has ended.
    pub scan: Scan,
    /// With the first answer of a scan: marks that are not settled, with their epochs. At most `limit`.
    pub unsettled: Vec<(MarkKey, u64)>,
}

/// A place in a scan or in the events: opaque, made by the store that reads it.
///
/// Its text can stand in a URL. One that a store did not make is an
/// [`Invalid`](crate::StoreErrorKind::Invalid) error or an odd place, never more.
///
/// ```
/// use session_core::store::Cursor;
///
/// let cursor = Cursor::from_bytes([1, 2, 3]);
/// assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cursor(Box<[u8]>);

impl Cursor {
    /// A cursor of the store's own bytes.
    pub fn from_bytes(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The store's own bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(&self.0))
    }
}

impl FromStr for Cursor {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        if text.len() > 1_024 {
            return Err(StoreError::invalid_cursor());
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| StoreError::invalid_cursor())?;
        Ok(Self(bytes.into_boxed_slice()))
    }
}

/// Which events to read.
///
/// ```
/// use session_core::store::{EventQuery, Order};
///
/// let tail = EventQuery::default();
/// assert_eq!(tail.order, Order::OldestFirst);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventQuery {
    /// Only those of this session.
    pub session: Option<SessionId>,
    /// Only those of this subject.
    pub subject: Option<Subject>,
    /// Only those of these kinds; of all if empty.
    pub kinds: Vec<EventKind>,
    /// Only those that happened at this instant or later.
    pub from: Option<Timestamp>,
    /// Only those that happened before this instant.
    pub until: Option<Timestamp>,
    /// In which order.
    pub order: Order,
    /// The most events in one answer.
    pub limit: NonZeroUsize,
}

/// All events, oldest first, a hundred at a time.
impl Default for EventQuery {
    fn default() -> Self {
        Self {
            session: None,
            subject: None,
            kinds: Vec::new(),
            from: None,
            until: None,
            order: Order::OldestFirst,
            limit: const { NonZeroUsize::new(100).unwrap() },
        }
    }
}

/// The order of events: that in which they were committed, or the reverse.
///
/// ```
/// use session_core::store::Order;
///
/// assert_eq!(Order::default(), Order::OldestFirst);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// To follow along.
    #[default]
    OldestFirst,
    /// To look back.
    NewestFirst,
}

/// What a reader of events is answered.
///
/// ```
/// use session_core::store::Events;
///
/// fn count(events: &Events) -> usize {
///     match events {
///         Events::Page(page) => page.events.len(),
///         Events::CursorExpired => 0,
///     }
/// }
/// ```
#[derive(Debug)]
pub enum Events {
    /// Events.
    Page(EventPage),
    /// Events after the cursor have been purged since: the reader has missed some. Only for
    /// [`Order::OldestFirst`]; what was erased is not to be read by anybody, and expires no cursor.
    CursorExpired,
}

/// Some events, and where to go on.
///
/// ```
/// assert!(!session_core::store::EventPage::default().more);
/// ```
#[derive(Debug, Default)]
pub struct EventPage {
    /// The events.
    pub events: Vec<StoredEvent>,
    /// Where to go on: always, when following along; `None` when there is nothing further back.
    pub next: Option<Cursor>,
    /// Whether something follows already.
    pub more: bool,
}

/// An event as a store keeps it.
///
/// ```
/// use session_core::store::StoredEvent;
///
/// fn line(stored: &StoredEvent) -> String {
///     format!("{} {} {}", stored.sequence, stored.event.at, stored.event.kind)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its place among the events of its store: growing, with gaps.
    pub sequence: u64,
    /// The change that it came with.
    pub change: ChangeId,
    /// The event.
    pub event: Event,
}

/// How much was removed.
///
/// ```
/// assert_eq!(session_core::store::Purged::default().records, 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Tombstones.
    pub records: usize,
    /// Events.
    pub events: usize,
    /// Whether a limit was reached, so that there may be more to remove.
    pub more: bool,
}
