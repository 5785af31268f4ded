//! A store that counts what is asked of it, and fails on demand.

use std::num::NonZeroUsize;
use std::sync::Mutex;

use async_trait::async_trait;
use session_engine::store::{
    BelowEpoch, Cursor, EventQuery, Events, ListQuery, Outcome, Purged, Scan, Stored, Touch,
    Touched,
};
use session_engine::{
    Change, Marks, MemoryStore, Realm, SessionId, SessionStore, StoreError, StoreErrorKind,
    Subject, Timestamp,
};

/// A store in memory, watched.
#[derive(Debug, Default)]
pub(crate) struct Spy {
    inner: MemoryStore,
    calls: Mutex<Vec<&'static str>>,
    fault: Mutex<Option<Fault>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// Every call fails.
    Down(StoreErrorKind),
    /// No stamp can be set; everything else goes well.
    #[allow(dead_code, reason = "the adapters set none")]
    Stamps,
    /// No row can be read.
    Damaged,
    /// A commit panics before it is carried out.
    PanicBefore,
    /// A commit panics after it was carried out.
    PanicAfter,
}

impl Spy {
    /// What was asked since the last time.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    pub(crate) fn set(&self, fault: Option<Fault>) {
        *self.fault.lock().unwrap() = fault;
    }

    fn asked(&self, call: &'static str) -> Result<Option<Fault>, StoreError> {
        self.calls.lock().unwrap().push(call);
        let fault = *self.fault.lock().unwrap();
        match (fault, call) {
            (Some(Fault::Down(kind)), _) => Err(StoreError::new(kind, "out of order")),
            (Some(Fault::Damaged), "load") => Err(StoreError::corrupt("out of order")),
            _ => Ok(fault),
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl SessionStore for Spy {
    async fn load(&self, realm: &Realm, id: SessionId) -> Result<Option<Stored>, StoreError> {
        self.asked("load")?;
        self.inner.load(realm, id).await
    }

    async fn marks(&self, realm: &Realm, subject: Option<&Subject>) -> Result<Marks, StoreError> {
        self.asked("marks")?;
        self.inner.marks(realm, subject).await
    }

    async fn commit(&self, realm: &Realm, change: &Change) -> Result<Outcome, StoreError> {
        let fault = self.asked("commit")?;
        assert!(!matches!(fault, Some(Fault::PanicBefore)), "on demand");
        if matches!(fault, Some(Fault::Stamps))
            && change.marks().iter().any(|write| write.stamp.is_some())
        {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "out of order"));
        }
        let outcome = self.inner.commit(realm, change).await;
        assert!(!matches!(fault, Some(Fault::PanicAfter)), "on demand");
        outcome
    }

    async fn commit_each(
        &self,
        realm: &Realm,
        changes: &[Change],
    ) -> Result<Vec<Outcome>, StoreError> {
        self.asked("commit_each")?;
        self.inner.commit_each(realm, changes).await
    }

    async fn touch(&self, realm: &Realm, touches: &[Touch]) -> Result<Vec<Touched>, StoreError> {
        self.asked("touch")?;
        self.inner.touch(realm, touches).await
    }

    async fn list(
        &self,
        realm: &Realm,
        query: &ListQuery,
        after: Option<&Cursor>,
    ) -> Result<Scan, StoreError> {
        self.asked("list")?;
        self.inner.list(realm, query, after).await
    }

    async fn due(
        &self,
        realm: &Realm,
        now: Timestamp,
        after: Option<&Cursor>,
        limit: NonZeroUsize,
    ) -> Result<Scan, StoreError> {
        self.asked("due")?;
        self.inner.due(realm, now, after, limit).await
    }

    async fn below_epoch(
        &self,
        realm: &Realm,
        after: Option<&Cursor>,
        limit: NonZeroUsize,
    ) -> Result<BelowEpoch, StoreError> {
        self.asked("below_epoch")?;
        self.inner.below_epoch(realm, after, limit).await
    }

    async fn events(
        &self,
        realm: &Realm,
        query: &EventQuery,
        after: Option<&Cursor>,
    ) -> Result<Events, StoreError> {
        self.asked("events")?;
        self.inner.events(realm, query, after).await
    }

    async fn purge(
        &self,
        realm: &Realm,
        now: Timestamp,
        limit: NonZeroUsize,
    ) -> Result<Purged, StoreError> {
        self.asked("purge")?;
        self.inner.purge(realm, now, limit).await
    }

    async fn erase(
        &self,
        realm: &Realm,
        subject: &Subject,
        limit: NonZeroUsize,
    ) -> Result<Purged, StoreError> {
        self.asked("erase")?;
        self.inner.erase(realm, subject, limit).await
    }

    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }
}
