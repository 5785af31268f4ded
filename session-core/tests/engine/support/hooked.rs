//! A store with a hook before and after each call: to count, to fail, to wait, or to let others in.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;
use session_core::store::{
    BadRow, BelowEpoch, Cursor, EventQuery, Events, ListQuery, Outcome, Purged, Scan, Stored,
    Touch, Touched,
};
use session_core::{
    Change, Marks, MemoryStore, Realm, SessionId, SessionStore, StoreError, Subject, Timestamp,
};

/// What is done at each call of a store.
#[async_trait]
pub(crate) trait Hook: fmt::Debug + Send + Sync + 'static {
    /// Before the store carries it out; an error, and it does not.
    async fn before(&self, call: Call) -> Result<(), StoreError>;
    /// After the store has carried it out; an error takes the place of its answer.
    async fn after(&self, call: Call) -> Result<(), StoreError>;

    /// Whether the store refuses a change, and with which error.
    fn refuses(&self, _: &Change) -> Option<StoreError> {
        None
    }

    /// What is wrong with the row of a session.
    fn damage(&self) -> StoreError {
        StoreError::corrupt("on purpose")
    }

    /// Whether the row of a session cannot be read.
    fn damages(&self, _: SessionId) -> bool {
        false
    }
}

/// A method of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    Load,
    Marks,
    Commit,
    CommitEach,
    Touch,
    List,
    Due,
    BelowEpoch,
    Events,
    Purge,
    Erase,
}

impl Call {
    /// Whether its answer can be lost with its outcome unknown.
    pub(crate) fn writes(self) -> bool {
        matches!(self, Self::Commit | Self::CommitEach | Self::Touch | Self::Purge | Self::Erase)
    }
}

/// A store, and its hook.
#[derive(Debug)]
pub(crate) struct Hooked<H> {
    pub(crate) inner: Arc<MemoryStore>,
    pub(crate) hook: Arc<H>,
}

impl<H: Hook> Hooked<H> {
    async fn call<T>(
        &self,
        call: Call,
        carry_out: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.hook.before(call).await?;
        let answer = carry_out.await?;
        self.hook.after(call).await?;
        Ok(answer)
    }

    fn accept<'c>(&self, changes: impl IntoIterator<Item = &'c Change>) -> Result<(), StoreError> {
        let refused = changes.into_iter().find_map(|change| self.hook.refuses(change));
        refused.map_or(Ok(()), Err)
    }

    fn damage(&self, scan: Scan) -> Scan {
        let damage = |stored: Stored| {
            let id = stored.record.id;
            if self.hook.damages(id) {
                return Err(BadRow { id: Some(id), error: self.hook.damage() });
            }
            Ok(stored)
        };
        Scan { rows: scan.rows.into_iter().map(|row| row.and_then(damage)).collect(), ..scan }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<H: Hook> SessionStore for Hooked<H> {
    async fn load(&self, realm: &Realm, id: SessionId) -> Result<Option<Stored>, StoreError> {
        let stored = self.call(Call::Load, self.inner.load(realm, id)).await?;
        if stored.is_some() && self.hook.damages(id) {
            return Err(self.hook.damage());
        }
        Ok(stored)
    }

    async fn marks(&self, realm: &Realm, subject: Option<&Subject>) -> Result<Marks, StoreError> {
        self.call(Call::Marks, self.inner.marks(realm, subject)).await
    }

    async fn commit(&self, realm: &Realm, change: &Change) -> Result<Outcome, StoreError> {
        self.accept([change])?;
        self.call(Call::Commit, self.inner.commit(realm, change)).await
    }

    async fn commit_each(
        &self,
        realm: &Realm,
        changes: &[Change],
    ) -> Result<Vec<Outcome>, StoreError> {
        self.accept(changes)?;
        self.call(Call::CommitEach, self.inner.commit_each(realm, changes)).await
    }

    async fn touch(&self, realm: &Realm, touches: &[Touch]) -> Result<Vec<Touched>, StoreError> {
        self.call(Call::Touch, self.inner.touch(realm, touches)).await
    }

    async fn list(
        &self,
        realm: &Realm,
        query: &ListQuery,
        after: Option<&Cursor>,
    ) -> Result<Scan, StoreError> {
        Ok(self.damage(self.call(Call::List, self.inner.list(realm, query, after)).await?))
    }

    async fn due(
        &self,
        realm: &Realm,
        now: Timestamp,
        after: Option<&Cursor>,
        limit: NonZeroUsize,
    ) -> Result<Scan, StoreError> {
        Ok(self.damage(self.call(Call::Due, self.inner.due(realm, now, after, limit)).await?))
    }

    async fn below_epoch(
        &self,
        realm: &Realm,
        after: Option<&Cursor>,
        limit: NonZeroUsize,
    ) -> Result<BelowEpoch, StoreError> {
        let below = self.inner.below_epoch(realm, after, limit);
        let found = self.call(Call::BelowEpoch, below).await?;
        Ok(BelowEpoch { scan: self.damage(found.scan), ..found })
    }

    async fn events(
        &self,
        realm: &Realm,
        query: &EventQuery,
        after: Option<&Cursor>,
    ) -> Result<Events, StoreError> {
        self.call(Call::Events, self.inner.events(realm, query, after)).await
    }

    async fn purge(
        &self,
        realm: &Realm,
        now: Timestamp,
        limit: NonZeroUsize,
    ) -> Result<Purged, StoreError> {
        self.call(Call::Purge, self.inner.purge(realm, now, limit)).await
    }

    async fn erase(
        &self,
        realm: &Realm,
        subject: &Subject,
        limit: NonZeroUsize,
    ) -> Result<Purged, StoreError> {
        self.call(Call::Erase, self.inner.erase(realm, subject, limit)).await
    }

    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }
}
