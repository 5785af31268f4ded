//! Where a case is run.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use super::harness::{BoxFuture, Corruption, Harness, Runner};
use crate::clock::Patience;
use crate::store::{
    BelowEpoch, Cursor, EventPage, EventQuery, Events, ListQuery, Order, Outcome, Row, Scan,
    Stored, StoredEvent,
};
use crate::{
    Actor, Change, ChangeId, ClassName, DataWrite, EncodedData, End, Epochs, Event, EventKind,
    Fence, Limits, MarkKey, MarkWrite, Random, RandomError, Realm, Reason, ReasonCode, Record,
    Replacement, SecretHash, SessionId, SessionStore, Subject, Timestamp,
};

/// A store, a realm that nobody else uses, and an instant to begin at.
///
/// ```
/// use session_core::conformance::{Bed, Harness};
/// use session_core::{MemoryStore, Timestamp};
///
/// let harness = Harness::new(MemoryStore::new());
/// let bed = Bed::new(&harness, "mine", Timestamp::from_millis(0));
/// # pollster::block_on(async {
/// let record = bed.inserted(bed.record(None)).await;
/// assert_eq!(bed.load(record.id).await.record, record);
/// # });
/// ```
pub struct Bed {
    store: Arc<dyn SessionStore>,
    runner: Arc<dyn Runner>,
    corruption: Corruption,
    realm: Realm,
    elsewhere: Realm,
    base: Timestamp,
    random: Seeded,
    ids: AtomicU64,
}

impl fmt::Debug for Bed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bed")
            .field("store", &self.store)
            .field("realm", &self.realm)
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

/// How long a case goes on asking for what is promised, but not at once.
const PATIENCE: Duration = Duration::from_secs(20);

impl Bed {
    /// A bed in the realm of this name, which begins at `base`.
    ///
    /// # Panics
    /// The name is longer than 60 bytes, or not one of a realm.
    pub fn new(harness: &Harness, name: &str, base: Timestamp) -> Self {
        let realm = Realm::new(name).expect("the name of a case is that of a realm");
        let elsewhere = Realm::new(format!("{name}.not")).expect("there is room for a second one");
        Self {
            store: Arc::clone(&harness.store),
            runner: Arc::clone(&harness.runner),
            corruption: harness.corruption.clone(),
            random: Seeded::new(name),
            ids: AtomicU64::new(1),
            realm,
            elsewhere,
            base,
        }
    }

    /// The store.
    pub fn store(&self) -> &dyn SessionStore {
        &*self.store
    }

    /// The store, to be shared.
    pub fn shared_store(&self) -> Arc<dyn SessionStore> {
        Arc::clone(&self.store)
    }

    /// The case's own realm.
    pub fn realm(&self) -> &Realm {
        &self.realm
    }

    /// Another realm that is the case's own.
    pub fn elsewhere(&self) -> &Realm {
        &self.elsewhere
    }

    /// The instant that many seconds after the case's beginning, or before it.
    pub fn at(&self, seconds: i64) -> Timestamp {
        let by = Duration::from_secs(seconds.unsigned_abs());
        if seconds < 0 { self.base - by } else { self.base + by }
    }

    /// A source of bytes that are the same in every run.
    pub fn random(&self) -> &Seeded {
        &self.random
    }

    /// A fresh id, greater than those before it.
    pub fn id(&self) -> SessionId {
        let count = self.ids.fetch_add(1, Ordering::SeqCst);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&count.to_be_bytes());
        self.random.fill(&mut bytes[8..]).expect("it cannot fail");
        SessionId::from_bytes(bytes)
    }

    /// The hash of some secret.
    pub fn secret(&self) -> SecretHash {
        let mut bytes = [0; 32];
        self.random.fill(&mut bytes).expect("it cannot fail");
        SecretHash::from_bytes(bytes)
    }

    /// An empty change.
    pub fn change(&self) -> Change {
        Change::new(ChangeId::new(&self.random).expect("it cannot fail"))
    }

    /// A record of a new session, due in half an hour.
    pub fn record(&self, subject: Option<&Subject>) -> Record {
        let limits = Limits {
            idle_timeout: Some(Duration::from_secs(1_800)),
            absolute_timeout: Some(Duration::from_secs(43_200)),
            unclaimed_timeout: None,
        };
        let class = ClassName::new("browser").expect("a name");
        let mut record = Record::new(self.id(), self.secret(), class, limits, self.at(0));
        record.subject = subject.cloned();
        record.due_at = self.at(1_800);
        record
    }

    /// The tombstone of a record: ended at an instant, removable an hour after it.
    pub fn ended(&self, record: &Record, reason: Reason, at: Timestamp) -> Record {
        let mut record = record.clone();
        record.end = Some(End {
            reason,
            actor: Actor::System,
            at,
            observed_at: at,
            purge_at: at + Duration::from_secs(3_600),
        });
        record
    }

    /// An event at the case's beginning, kept for ever.
    pub fn event(&self, kind: EventKind) -> Event {
        Event::new(kind, Actor::System, self.at(0))
    }

    /// Commits, and the store is not broken.
    pub async fn commit(&self, change: &Change) -> Outcome {
        self.store.commit(&self.realm, change).await.expect("a commit is answered")
    }

    /// Commits, and it is applied.
    pub async fn apply(&self, change: &Change) {
        let outcome = self.commit(change).await;
        assert_eq!(outcome, Outcome::Applied, "nothing stands against this change");
    }

    /// Inserts a record without data under the marks of now, and returns it as it was inserted.
    pub async fn inserted(&self, record: Record) -> Record {
        self.inserted_with(record, None).await
    }

    /// Inserts a record under the marks of now, and returns it as it was inserted.
    pub async fn inserted_with(&self, mut record: Record, data: Option<EncodedData>) -> Record {
        loop {
            let change = self.insertion(&self.realm, &mut record, data.clone()).await;
            match self.commit(&change).await {
                Outcome::Applied => return record,
                Outcome::Fenced(_) => {}
                other => panic!("a fresh id is inserted, not {other:?}"),
            }
        }
    }

    /// Inserts a record into the other realm.
    pub async fn inserted_elsewhere(&self, mut record: Record) -> Record {
        let change = self.insertion(&self.elsewhere, &mut record, None).await;
        let outcome = self.store.commit(&self.elsewhere, &change).await.expect("it is answered");
        assert_eq!(outcome, Outcome::Applied, "an id of one realm is free in another");
        record
    }

    /// A change that inserts a record under the marks that a realm has now.
    pub async fn insertion(
        &self,
        realm: &Realm,
        record: &mut Record,
        data: Option<EncodedData>,
    ) -> Change {
        let marks =
            self.store.marks(realm, record.subject.as_ref()).await.expect("marks are answered");
        record.epochs = Epochs { realm: marks.realm.epoch, subject: marks.subject.epoch };
        match record.subject.clone() {
            None => self.change().insert(record.clone(), data),
            Some(subject) => {
                let fence = Fence { subject, version: marks.subject.version };
                self.change().insert_fenced(record.clone(), data, &fence)
            }
        }
    }

    /// Loads a session that is there.
    pub async fn load(&self, id: SessionId) -> Stored {
        self.find(id).await.expect("the session is there")
    }

    /// Loads a session that may be there.
    pub async fn find(&self, id: SessionId) -> Option<Stored> {
        self.store.load(&self.realm, id).await.expect("a load is answered")
    }

    /// Replaces a stored record by what `edit` makes of it.
    pub async fn replace(&self, id: SessionId, edit: impl FnOnce(&mut Record)) -> Record {
        let stored = self.load(id).await;
        let mut replacement = replacement(&stored);
        edit(&mut replacement.record);
        let record = replacement.record.clone();
        self.apply(&self.change().replace(replacement)).await;
        record
    }

    /// Ends a session, removable an hour later.
    pub async fn end(&self, id: SessionId, at: Timestamp) {
        let stored = self.load(id).await;
        let record = self.ended(&stored.record, Reason::SignedOut, at);
        let data = DataWrite::Drop;
        self.apply(&self.change().replace(Replacement { record, data, ..replacement(&stored) }))
            .await;
    }

    /// Raises a mark by one, and returns its new epoch.
    pub async fn raise(&self, key: &MarkKey, reason: Reason, at: Timestamp) -> u64 {
        let write = self.raising(key, reason, at).await;
        let epoch = write.raise.as_ref().map_or(0, |raise| raise.epoch);
        self.apply(&self.change().mark(write)).await;
        epoch
    }

    /// A write that raises a mark by one.
    pub async fn raising(&self, key: &MarkKey, reason: Reason, at: Timestamp) -> MarkWrite {
        let mark = self.mark(key).await;
        let epoch = mark.epoch + 1;
        let raise = crate::Raise { epoch, reason, actor: Actor::System, at };
        MarkWrite { key: key.clone(), expected: mark.version, raise: Some(raise), stamp: None }
    }

    /// Reads a mark.
    pub async fn mark(&self, key: &MarkKey) -> crate::Mark {
        let subject = match key {
            MarkKey::Realm => None,
            MarkKey::Subject(subject) => Some(subject),
        };
        let marks = self.store.marks(&self.realm, subject).await.expect("marks are answered");
        if subject.is_none() { marks.realm } else { marks.subject }
    }

    /// One answer of a list.
    pub async fn list(&self, query: &ListQuery, after: Option<&Cursor>) -> Scan {
        self.store.list(&self.realm, query, after).await.expect("a list is answered")
    }

    /// One answer of the scan of due sessions.
    pub async fn due(&self, now: Timestamp, after: Option<&Cursor>, limit: usize) -> Scan {
        let limit = at_most(limit);
        self.store.due(&self.realm, now, after, limit).await.expect("the due are answered")
    }

    /// One answer of the scan of sessions that a mark has ended.
    pub async fn below_epoch(&self, after: Option<&Cursor>, limit: usize) -> BelowEpoch {
        let limit = at_most(limit);
        let answer = self.store.below_epoch(&self.realm, after, limit).await;
        answer.expect("the sessions below an epoch are answered")
    }

    /// All rows of a list, page by page.
    pub async fn list_all(&self, query: &ListQuery) -> Vec<Stored> {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let scan = self.list(query, after.as_ref()).await;
            assert!(scan.rows.len() <= query.limit.get(), "a page holds at most what was asked");
            all.extend(scan.rows.into_iter().map(readable));
            match scan.next {
                Some(next) => after = Some(next),
                None => return all,
            }
            assert!(all.len() < 100_000, "paging comes to an end");
        }
    }

    /// All due sessions, page by page.
    pub async fn due_all(&self, now: Timestamp, limit: usize) -> Vec<Stored> {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let scan = self.due(now, after.as_ref(), limit).await;
            assert!(scan.rows.len() <= limit, "a page holds at most what was asked");
            all.extend(scan.rows.into_iter().map(readable));
            match scan.next {
                Some(next) => after = Some(next),
                None => return all,
            }
            assert!(all.len() < 100_000, "paging comes to an end");
        }
    }

    /// All sessions that a mark has ended, page by page, and the marks named with the first page.
    pub async fn below_epoch_all(&self, limit: usize) -> (Vec<SessionId>, Vec<(MarkKey, u64)>) {
        let first = self.below_epoch(None, limit).await;
        let unsettled = first.unsettled;
        let mut all = Vec::new();
        let mut scan = first.scan;
        loop {
            assert!(scan.rows.len() <= limit, "a page holds at most what was asked");
            all.extend(scan.rows.into_iter().map(|row| readable(row).record.id));
            let Some(next) = scan.next else { return (all, unsettled) };
            assert!(all.len() < 100_000, "paging comes to an end");
            let answer = self.below_epoch(Some(&next), limit).await;
            assert!(answer.unsettled.is_empty(), "marks are named with the first answer only");
            scan = answer.scan;
        }
    }

    /// One page of events.
    pub async fn events(&self, query: &EventQuery, after: Option<&Cursor>) -> EventPage {
        match self.store.events(&self.realm, query, after).await.expect("events are answered") {
            Events::Page(page) => page,
            Events::CursorExpired => panic!("nothing after this cursor was purged"),
        }
    }

    /// Waits until everything committed so far can be read: a store may answer an event later than its
    /// commit, as long as something else could still precede it.
    pub async fn settle_events(&self) {
        let kind = EventKind::Other(ReasonCode::new(FENCE_POST).expect("a name"));
        let change = self.change().event(self.event(kind.clone()));
        let id = change.id();
        self.apply(&change).await;
        let patience = Patience::new(PATIENCE);
        let query =
            EventQuery { kinds: vec![kind], order: Order::NewestFirst, ..EventQuery::default() };
        while !self.events(&query, None).await.events.iter().any(|stored| stored.change == id) {
            assert!(!patience.is_over(), "an event that was committed can be read, soon");
        }
    }

    /// All events that are there, oldest first, each once.
    pub async fn told(&self) -> Vec<StoredEvent> {
        self.settle_events().await;
        self.told_by(&EventQuery::default()).await
    }

    /// The events of a query, page by page in its order.
    pub async fn told_by(&self, query: &EventQuery) -> Vec<StoredEvent> {
        let mut all: Vec<StoredEvent> = Vec::new();
        let mut after = None;
        loop {
            let page = self.events(query, after.as_ref()).await;
            assert!(page.events.len() <= query.limit.get(), "a page holds at most what was asked");
            all.extend(page.events);
            if !page.more {
                break;
            }
            assert!(page.next.is_some(), "where more follows, there is a place to go on");
            after = page.next;
            assert!(all.len() < 100_000, "paging comes to an end");
        }
        all.retain(|stored| stored.event.kind.code() != FENCE_POST);
        all
    }

    /// Runs one future on a thread of its own each, all at once, and returns what they say, in order.
    pub fn together<'a, T: Send>(&'a self, tasks: Vec<BoxFuture<'a, T>>) -> Vec<T> {
        let start = Barrier::new(tasks.len());
        let slots: Vec<Mutex<Option<T>>> = tasks.iter().map(|_| Mutex::new(None)).collect();
        std::thread::scope(|scope| {
            for (task, slot) in tasks.into_iter().zip(&slots) {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    self.runner.block_on(Box::pin(async move {
                        let said = task.await;
                        *slot.lock().expect("nobody else has it") = Some(said);
                    }));
                });
            }
        });
        slots
            .into_iter()
            .map(|slot| slot.into_inner().expect("it is ours").expect("the runner ran it"))
            .collect()
    }

    /// Damages a stored record. `false`, and a note in the test's output, if the store says that its records
    /// cannot be damaged.
    ///
    /// # Panics
    /// The harness says neither how a record is damaged nor why none can be.
    pub async fn damage(&self, id: SessionId) -> bool {
        match &self.corruption {
            Corruption::By(damage) => {
                damage(self.realm.clone(), id).await;
                true
            }
            Corruption::Impossible(reason) => {
                println!("not applicable: no stored record can be damaged: {reason}");
                false
            }
            Corruption::Unsaid => panic!(
                "say how a record is damaged (Harness::corruptible), or why none can be \
                 (Harness::incorruptible)"
            ),
        }
    }
}

/// The kind of the events that are only written to be waited for.
const FENCE_POST: &str = "x_fence_post";

/// A replacement of a stored record by itself.
pub(super) fn replacement(stored: &Stored) -> Replacement {
    Replacement {
        record: stored.record.clone(),
        expected: stored.version,
        data: DataWrite::Keep,
        decided_on: None,
    }
}

/// A row that can be read.
pub(super) fn readable(row: Row) -> Stored {
    row.unwrap_or_else(|bad| panic!("a row that nobody damaged can be read: {:?}", bad.error))
}

pub(super) fn at_most(limit: usize) -> NonZeroUsize {
    NonZeroUsize::new(limit).expect("a limit is not 0")
}

pub(super) fn subject(name: &str) -> Subject {
    Subject::new(name).expect("a subject")
}

pub(super) fn ids(rows: &[Stored]) -> Vec<SessionId> {
    rows.iter().map(|stored| stored.record.id).collect()
}

/// A generator whose bytes follow from its seed: for tests, never for secrets.
///
/// ```
/// use session_core::Random;
/// use session_core::conformance::Seeded;
///
/// let (mut a, mut b) = ([0; 8], [0; 8]);
/// Seeded::new("seed").fill(&mut a).unwrap();
/// Seeded::new("seed").fill(&mut b).unwrap();
/// assert_eq!(a, b);
/// ```
#[derive(Debug)]
pub struct Seeded {
    state: AtomicU64,
}

impl Seeded {
    /// A generator with a seed.
    pub fn new(seed: &str) -> Self {
        let fnv = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self { state: AtomicU64::new(seed.bytes().fold(0xcbf2_9ce4_8422_2325, fnv)) }
    }

    /// SplitMix64 (Steele, Lea and Flood, 2014).
    pub(super) fn next(&self) -> u64 {
        let step = 0x9e37_79b9_7f4a_7c15_u64;
        let mut z = self.state.fetch_add(step, Ordering::SeqCst).wrapping_add(step);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Random for Seeded {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}
