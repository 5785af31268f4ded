//! The reference store, with a defect.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::task::Poll;

use async_trait::async_trait;
use session_core::store::{
    BadRow, BelowEpoch, Cursor, EventQuery, Events, ListQuery, Outcome, Purged, Row, Scan, Stored,
    Touch, Touched,
};
use session_core::{
    Actor, Change, ChangeId, Clock as _, DataWrite, End, Fence, MarkKey, MarkWrite, Marks,
    MemoryStore, Realm, Reason, Record, Replacement, SessionId, SessionStore, StoreError, Subject,
    SystemClock, SystemRandom, Timestamp,
};

/// What a store does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Defect {
    /// A replacement takes whatever version it finds.
    BlindReplace,
    /// A reader of events is not told what was purged.
    CursorNeverExpires,
    /// A page of the list begins one row too late.
    CursorSkips,
    /// A row that cannot be read is an error of the whole scan.
    DamageBlocksScans,
    /// Events are told whether their change is applied or not.
    EventsOfConflicts,
    /// A fence is moved, and not compared.
    FenceIsIgnored,
    /// A fence is compared, and not moved.
    FenceIsNotMoved,
    /// A change that is sent again is another one.
    ForgetsChanges,
    /// An end by idleness does not look at the last activity.
    IdleEndIsBlind,
    /// The last raise is told, whatever the record's epoch.
    LastRaise,
    /// The list is everybody's.
    ListForgetsRealm,
    /// An erasure leaves no floor.
    NoFloor,
    /// A purge removes what is due, ended or not.
    PurgeRemovesLive,
    /// A purge compares with the machine's clock.
    ReadsAClock,
    /// A replacement writes the last activity that it was given.
    ReplaceForgetsTouches,
    /// An insert takes the place of a tombstone.
    ResurrectingInsert,
    /// An insert of an id that exists is told to be applied.
    SilentInsert,
    /// A load answers what was loaded before.
    StaleLoad,
    /// The parts of a change are committed one after the other.
    TornChange,
    /// A touch writes what it is given.
    TouchGoesBack,
    /// A touch moves the version.
    TouchMovesVersion,
    /// A replacement creates what is not there.
    UpsertingReplace,
}

/// The reference store, with a defect or none.
#[derive(Debug)]
pub(crate) struct Broken {
    store: MemoryStore,
    defect: Option<Defect>,
    damaged: Mutex<BTreeSet<(String, SessionId)>>,
    /// Last activities that are answered in place of the right ones.
    seen: Mutex<HashMap<(Realm, SessionId), Timestamp>>,
    /// By how much the versions of marks are answered too low.
    hidden: Mutex<BTreeMap<(String, MarkKey), u64>>,
    /// What was loaded first.
    loaded: Mutex<HashMap<(Realm, SessionId), Stored>>,
}

impl Broken {
    pub(crate) fn new(defect: Option<Defect>) -> Self {
        Self {
            store: MemoryStore::new(),
            defect,
            damaged: Mutex::default(),
            seen: Mutex::default(),
            hidden: Mutex::default(),
            loaded: Mutex::default(),
        }
    }

    /// From now on the session cannot be read.
    #[expect(clippy::needless_pass_by_value, reason = "a harness gives the realm away")]
    pub(crate) fn damage(&self, realm: Realm, id: SessionId) {
        self.damaged.lock().unwrap().insert((realm.as_str().to_owned(), id));
    }

    fn is(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    fn is_damaged(&self, realm: &Realm, id: SessionId) -> bool {
        self.damaged.lock().unwrap().contains(&(realm.as_str().to_owned(), id))
    }

    fn scanned(&self, realm: &Realm, mut scan: Scan) -> Result<Scan, StoreError> {
        for row in &mut scan.rows {
            if let Ok(stored) = row
                && self.is_damaged(realm, stored.record.id)
            {
                if self.is(Defect::DamageBlocksScans) {
                    return Err(damage());
                }
                *row = Err(BadRow { id: Some(stored.record.id), error: damage() });
            } else if let Ok(stored) = row {
                self.disguise(realm, stored);
            }
        }
        Ok(scan)
    }

    fn disguise(&self, realm: &Realm, stored: &mut Stored) {
        if let Some(seen) = self.seen.lock().unwrap().get(&(realm.clone(), stored.record.id)) {
            stored.record.last_seen_at = *seen;
        }
        if let Some(raise) = &mut stored.marks.subject.raise
            && self.is(Defect::LastRaise)
        {
            raise.epoch = stored.marks.subject.epoch;
        }
        if let Some(subject) = stored.record.subject.clone() {
            self.hide(realm, subject, &mut stored.marks);
        }
    }

    fn hide(&self, realm: &Realm, subject: Subject, marks: &mut Marks) {
        marks.subject.version -= self.hidden_of(realm, &MarkKey::Subject(subject));
    }

    fn hidden_of(&self, realm: &Realm, key: &MarkKey) -> u64 {
        let key = (realm.as_str().to_owned(), key.clone());
        self.hidden.lock().unwrap().get(&key).copied().unwrap_or(0)
    }

    /// The change as the reference store is to see it.
    async fn bent(&self, realm: &Realm, change: &Change) -> Result<Change, StoreError> {
        let forgets = self.is(Defect::ForgetsChanges);
        let mut copy = if forgets { fresh() } else { Change::new(change.id()) };
        let mut versions = BTreeMap::new();
        for write in change.marks() {
            let version = match &write.key {
                MarkKey::Subject(subject) if self.is(Defect::FenceIsIgnored) => {
                    self.store.marks(realm, Some(subject)).await?.subject.version
                }
                key => write.expected.saturating_add(self.hidden_of(realm, key)),
            };
            versions.insert(write.key.clone(), version);
            copy = copy.mark(MarkWrite { expected: version, ..write.clone() });
        }
        for insert in change.inserts() {
            let (record, data) = (insert.record.clone(), insert.data.clone());
            copy = match record.subject.clone() {
                None => copy.insert(record, data),
                Some(subject) => {
                    let version = versions[&MarkKey::Subject(subject.clone())];
                    copy.insert_fenced(record, data, &Fence { subject, version })
                }
            };
        }
        for write in change.replacements() {
            let mut write = write.clone();
            if self.is(Defect::IdleEndIsBlind) {
                write.decided_on = None;
            }
            if self.is(Defect::BlindReplace)
                && let Some(stored) = self.store.load(realm, write.record.id).await?
            {
                write.expected = stored.version;
            }
            copy = copy.replace(write);
        }
        let copy = change.reschedules().iter().copied().fold(copy, Change::reschedule);
        let copy = change.settles().iter().cloned().fold(copy, Change::settle);
        Ok(change.events().iter().cloned().fold(copy, Change::event))
    }

    /// What goes wrong before the change is looked at.
    async fn before(&self, realm: &Realm, change: &Change) -> Result<(), StoreError> {
        for write in change.replacements() {
            let stored = self.store.load(realm, write.record.id).await?;
            if self.is(Defect::UpsertingReplace) && stored.is_none() {
                let record = Record { subject: None, ..write.record.clone() };
                self.force(realm, fresh().insert(record, None)).await?;
            }
            if self.is(Defect::TornChange) && stored.is_some_and(|it| it.version == write.expected)
            {
                self.force(realm, fresh().replace(write.clone())).await?;
                once_pending().await;
            }
        }
        Ok(())
    }

    /// What goes wrong after it, and what is told of it.
    async fn after(
        &self,
        realm: &Realm,
        change: &Change,
        outcome: Outcome,
    ) -> Result<Outcome, StoreError> {
        match (self.defect, &outcome) {
            (Some(Defect::FenceIsNotMoved), Outcome::Applied) => {
                for write in change.marks().iter().filter(|write| write.is_fence()) {
                    let key = (realm.as_str().to_owned(), write.key.clone());
                    *self.hidden.lock().unwrap().entry(key).or_default() += 1;
                }
            }
            (Some(Defect::ReplaceForgetsTouches), Outcome::Applied) => {
                for write in change.replacements() {
                    let key = (realm.clone(), write.record.id);
                    self.seen.lock().unwrap().insert(key, write.record.last_seen_at);
                }
            }
            (Some(Defect::EventsOfConflicts), Outcome::Moved(_)) => {
                let events = change.events().iter().cloned().fold(fresh(), Change::event);
                self.force(realm, events).await?;
            }
            (Some(Defect::SilentInsert), Outcome::Exists(_)) => return Ok(Outcome::Applied),
            (Some(Defect::ResurrectingInsert), Outcome::Exists(id)) => {
                self.overwrite(realm, *id, |record| record.end = None).await?;
                return Ok(Outcome::Applied);
            }
            _ => {}
        }
        Ok(outcome)
    }

    async fn overwrite(
        &self,
        realm: &Realm,
        id: SessionId,
        edit: impl FnOnce(&mut Record) + Send,
    ) -> Result<(), StoreError> {
        let Some(stored) = self.store.load(realm, id).await? else { return Ok(()) };
        let mut record = stored.record;
        edit(&mut record);
        let (expected, data) = (stored.version, DataWrite::Keep);
        let write = Replacement { record, expected, data, decided_on: None };
        self.force(realm, fresh().replace(write)).await
    }

    async fn force(&self, realm: &Realm, change: Change) -> Result<(), StoreError> {
        let outcome = self.store.commit(realm, &change).await?;
        assert!(outcome.is_applied(), "a defect is carried out: {outcome:?}");
        Ok(())
    }
}

fn damage() -> StoreError {
    StoreError::corrupt("it was damaged")
}

fn fresh() -> Change {
    Change::new(ChangeId::new(&SystemRandom).unwrap())
}

async fn once_pending() {
    let mut waited = false;
    std::future::poll_fn(|context| {
        if waited {
            return Poll::Ready(());
        }
        waited = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl SessionStore for Broken {
    async fn load(&self, realm: &Realm, id: SessionId) -> Result<Option<Stored>, StoreError> {
        if self.is_damaged(realm, id) {
            return Err(damage());
        }
        let Some(mut stored) = self.store.load(realm, id).await? else { return Ok(None) };
        self.disguise(realm, &mut stored);
        if self.is(Defect::StaleLoad) {
            let mut loaded = self.loaded.lock().unwrap();
            return Ok(Some(loaded.entry((realm.clone(), id)).or_insert(stored).clone()));
        }
        Ok(Some(stored))
    }

    async fn marks(&self, realm: &Realm, subject: Option<&Subject>) -> Result<Marks, StoreError> {
        let mut marks = self.store.marks(realm, subject).await?;
        if let Some(subject) = subject {
            self.hide(realm, subject.clone(), &mut marks);
        }
        Ok(marks)
    }

    async fn commit(&self, realm: &Realm, change: &Change) -> Result<Outcome, StoreError> {
        self.before(realm, change).await?;
        let bent = self.bent(realm, change).await?;
        let outcome = self.store.commit(realm, &bent).await?;
        self.after(realm, change, outcome).await
    }

    async fn commit_each(
        &self,
        realm: &Realm,
        changes: &[Change],
    ) -> Result<Vec<Outcome>, StoreError> {
        self.store.commit_each(realm, changes).await
    }

    async fn touch(&self, realm: &Realm, touches: &[Touch]) -> Result<Vec<Touched>, StoreError> {
        let answers = self.store.touch(realm, touches).await?;
        for (touch, answer) in touches.iter().zip(&answers) {
            let key = (realm.clone(), touch.id);
            self.seen.lock().unwrap().remove(&key);
            if *answer != Touched::Touched {
                continue;
            }
            if self.is(Defect::TouchGoesBack) {
                self.seen.lock().unwrap().insert(key, touch.seen_at);
            }
            if self.is(Defect::TouchMovesVersion) {
                self.overwrite(realm, touch.id, |_| {}).await?;
            }
        }
        Ok(answers)
    }

    async fn list(
        &self,
        realm: &Realm,
        query: &ListQuery,
        after: Option<&Cursor>,
    ) -> Result<Scan, StoreError> {
        let mut asked = realm.clone();
        if self.is(Defect::ListForgetsRealm) {
            asked = Realm::new(realm.as_str().trim_end_matches(".not")).unwrap();
        }
        let mut scan = self.store.list(&asked, query, after).await?;
        if self.is(Defect::CursorSkips) && after.is_some() && !scan.rows.is_empty() {
            let _: Row = scan.rows.remove(0);
        }
        self.scanned(&asked, scan)
    }

    async fn due(
        &self,
        realm: &Realm,
        now: Timestamp,
        after: Option<&Cursor>,
        limit: NonZeroUsize,
    ) -> Result<Scan, StoreError> {
        let scan = self.store.due(realm, now, after, limit).await?;
        self.scanned(realm, scan)
    }

    async fn below_epoch(
        &self,
        realm: &Realm,
        after: Option<&Cursor>,
        limit: NonZeroUsize,
    ) -> Result<BelowEpoch, StoreError> {
        let below = self.store.below_epoch(realm, after, limit).await?;
        let scan = self.scanned(realm, below.scan)?;
        Ok(BelowEpoch { scan, ..below })
    }

    async fn events(
        &self,
        realm: &Realm,
        query: &EventQuery,
        after: Option<&Cursor>,
    ) -> Result<Events, StoreError> {
        match self.store.events(realm, query, after).await? {
            Events::CursorExpired if self.is(Defect::CursorNeverExpires) => {
                self.store.events(realm, query, None).await
            }
            answer => Ok(answer),
        }
    }

    async fn purge(
        &self,
        realm: &Realm,
        now: Timestamp,
        limit: NonZeroUsize,
    ) -> Result<Purged, StoreError> {
        if self.is(Defect::PurgeRemovesLive) {
            for row in self.store.due(realm, now, None, limit).await?.rows {
                let end = End {
                    reason: Reason::IdleTimeout,
                    actor: Actor::System,
                    at: now,
                    observed_at: now,
                    purge_at: now,
                };
                let id = row.unwrap().record.id;
                self.overwrite(realm, id, |record| record.end = Some(end)).await?;
            }
        }
        let now = if self.is(Defect::ReadsAClock) { SystemClock.now() } else { now };
        self.store.purge(realm, now, limit).await
    }

    async fn erase(
        &self,
        realm: &Realm,
        subject: &Subject,
        limit: NonZeroUsize,
    ) -> Result<Purged, StoreError> {
        let erased = self.store.erase(realm, subject, limit).await?;
        if self.is(Defect::NoFloor) {
            let version = self.store.marks(realm, Some(subject)).await?.subject.version;
            let key = (realm.as_str().to_owned(), MarkKey::Subject(subject.clone()));
            self.hidden.lock().unwrap().insert(key, version);
        }
        Ok(erased)
    }

    fn is_shared(&self) -> bool {
        self.store.is_shared()
    }
}
