//! The reference store: everything in this process's memory.

mod cursors;
mod world;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;

use self::cursors::{cursor_of, due_cursor, due_of, id_of, sequence_of};
use self::world::{Row, World};
use crate::store::{
    BelowEpoch, Cursor, EventQuery, Events, ListQuery, Outcome, Purged, Scan, Stored, Touch,
    Touched,
};
use crate::{
    Change, Mark, MarkKey, Marks, Realm, SessionId, SessionStore, StoreError, Subject, Timestamp,
};

/// Keeps everything in this process's memory, behind one lock: the contract in its plainest form.
///
/// Durable means: as long as the process lives. It is the reference that the other stores are compared with,
/// and right for tests and for applications whose sessions may end with the process.
///
/// ```
/// use session_core::{MemoryStore, Realm, SessionId, SessionStore};
///
/// # pollster::block_on(async {
/// let store = MemoryStore::new();
/// let nobody = SessionId::from_bytes([0; 16]);
/// assert!(store.load(&Realm::default(), nobody).await.unwrap().is_none());
/// # });
/// ```
#[derive(Default)]
pub struct MemoryStore {
    realms: RwLock<HashMap<Realm, World>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    // A panic elsewhere cannot have left a world half-changed: changes are checked before the first write.
    fn read(&self) -> RwLockReadGuard<'_, HashMap<Realm, World>> {
        self.realms.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<Realm, World>> {
        self.realms.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_world<T>(&self, realm: &Realm, ask: impl FnOnce(&World) -> T) -> T {
        match self.read().get(realm) {
            Some(world) => ask(world),
            None => ask(&World::default()),
        }
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn load(&self, realm: &Realm, id: SessionId) -> Result<Option<Stored>, StoreError> {
        Ok(self.with_world(realm, |world| world.rows.get(&id).map(|row| world.stored(row, true))))
    }

    async fn marks(&self, realm: &Realm, subject: Option<&Subject>) -> Result<Marks, StoreError> {
        Ok(self.with_world(realm, |world| Marks {
            realm: world.mark(&MarkKey::Realm, u64::MAX),
            subject: subject.map_or_else(Mark::default, |subject| {
                world.mark(&MarkKey::Subject(subject.clone()), u64::MAX)
            }),
        }))
    }

    async fn commit(&self, realm: &Realm, change: &Change) -> Result<Outcome, StoreError> {
        Ok(self.write().entry(realm.clone()).or_default().commit(change))
    }

    async fn commit_each(
        &self,
        realm: &Realm,
        changes: &[Change],
    ) -> Result<Vec<Outcome>, StoreError> {
        let mut realms = self.write();
        let world = realms.entry(realm.clone()).or_default();
        Ok(changes.iter().map(|change| world.commit(change)).collect())
    }

    async fn touch(&self, realm: &Realm, touches: &[Touch]) -> Result<Vec<Touched>, StoreError> {
        let mut realms = self.write();
        let world = realms.entry(realm.clone()).or_default();
        Ok(touches.iter().map(|touch| world.touch(touch)).collect())
    }

    async fn list(
        &self,
        realm: &Realm,
        query: &ListQuery,
        after: Option<&Cursor>,
    ) -> Result<Scan, StoreError> {
        let after = after.map(id_of).transpose()?;
        Ok(self.with_world(realm, |world| {
            let from = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
            let room = query.limit.get().saturating_add(1);
            let mut rows: Vec<&Row> = match &query.subject {
                None => world
                    .rows
                    .range(from)
                    .map(|(_, row)| row)
                    .filter(|row| query.with_ended || row.record.end.is_none())
                    .take(room)
                    .collect(),
                Some(subject) => {
                    let of = if query.with_ended { &world.subjects } else { &world.unended };
                    let ids = of.get(subject).into_iter().flat_map(|ids| ids.range(from));
                    ids.map(|id| &world.rows[id]).take(room).collect()
                }
            };
            let more = rows.len() > query.limit.get();
            rows.truncate(query.limit.get());
            world.scan(&rows, more, |row| cursor_of(row.record.id))
        }))
    }

    async fn due(
        &self,
        realm: &Realm,
        now: Timestamp,
        after: Option<&Cursor>,
        limit: NonZeroUsize,
    ) -> Result<Scan, StoreError> {
        let after = after.map(due_of).transpose()?;
        Ok(self.with_world(realm, |world| {
            let mut rows: Vec<&Row> = world
                .due
                .iter()
                .filter(|entry| after.is_none_or(|after| **entry > after))
                .take_while(|(due_at, _)| *due_at <= now)
                .take(limit.get().saturating_add(1))
                .map(|(_, id)| &world.rows[id])
                .collect();
            let more = rows.len() > limit.get();
            rows.truncate(limit.get());
            world.scan(&rows, more, |row| due_cursor(row.record.due_at, row.record.id))
        }))
    }

    async fn below_epoch(
        &self,
        realm: &Realm,
        after: Option<&Cursor>,
        limit: NonZeroUsize,
    ) -> Result<BelowEpoch, StoreError> {
        let first = after.is_none();
        let after = after.map(id_of).transpose()?;
        Ok(self.with_world(realm, |world| {
            let unsettled: Vec<(MarkKey, u64)> = world
                .unsettled
                .iter()
                .filter_map(|key| Some((key.clone(), world.marks.get(key)?.epoch)))
                .collect();
            let ended = |row: &&Row| {
                let epochs = row.record.epochs;
                row.record.end.is_none()
                    && unsettled.iter().any(|(key, epoch)| match key {
                        MarkKey::Realm => epochs.realm < *epoch,
                        MarkKey::Subject(subject) => {
                            row.record.subject.as_ref() == Some(subject) && epochs.subject < *epoch
                        }
                    })
            };
            // The realm's mark is the first in order. Only if it is unsettled can sessions of anybody be found.
            let of_realm = unsettled.first().is_some_and(|(key, _)| *key == MarkKey::Realm);
            let among: Box<dyn Iterator<Item = &Row>> = if of_realm {
                Box::new(world.rows.values())
            } else {
                let of_subjects = unsettled.iter().filter_map(|(key, _)| match key {
                    MarkKey::Realm => None,
                    MarkKey::Subject(subject) => world.unended.get(subject),
                });
                let ids: BTreeSet<&SessionId> = of_subjects.flatten().collect();
                Box::new(ids.into_iter().map(|id| &world.rows[id]))
            };
            let mut rows: Vec<&Row> = among
                .filter(|row| after.is_none_or(|after| row.record.id > after))
                .filter(ended)
                .take(limit.get().saturating_add(1))
                .collect();
            let more = rows.len() > limit.get();
            rows.truncate(limit.get());
            let scan = world.scan(&rows, more, |row| cursor_of(row.record.id));
            let named = if first { limit.get() } else { 0 };
            BelowEpoch { scan, unsettled: unsettled.into_iter().take(named).collect() }
        }))
    }

    async fn events(
        &self,
        realm: &Realm,
        query: &EventQuery,
        after: Option<&Cursor>,
    ) -> Result<Events, StoreError> {
        let after = after.map(sequence_of).transpose()?;
        Ok(self.with_world(realm, |world| world.events(query, after)))
    }

    async fn purge(
        &self,
        realm: &Realm,
        now: Timestamp,
        limit: NonZeroUsize,
    ) -> Result<Purged, StoreError> {
        let mut realms = self.write();
        let world = realms.entry(realm.clone()).or_default();
        let ids: Vec<SessionId> = world
            .tombstones
            .iter()
            .take_while(|(at, _)| *at <= now)
            .take(limit.get())
            .map(|(_, id)| *id)
            .collect();
        let sequences: Vec<u64> = world
            .events_to_purge
            .iter()
            .take_while(|(at, _)| *at <= now)
            .take(limit.get())
            .map(|(_, sequence)| *sequence)
            .collect();
        // Only what its age removes is missed by a reader; what is erased is not to be read by anybody.
        let gone = sequences.iter().max().copied().unwrap_or(0);
        world.removed_up_to = world.removed_up_to.max(gone);
        Ok(world.remove(&ids, &sequences, limit))
    }

    async fn erase(
        &self,
        realm: &Realm,
        subject: &Subject,
        limit: NonZeroUsize,
    ) -> Result<Purged, StoreError> {
        let mut realms = self.write();
        let world = realms.entry(realm.clone()).or_default();
        let ids: Vec<SessionId> = world
            .subjects
            .get(subject)
            .into_iter()
            .flatten()
            .filter(|id| world.rows[id].record.end.is_some())
            .take(limit.get())
            .copied()
            .collect();
        let sequences: Vec<u64> = world.sequences_of(subject).take(limit.get()).collect();
        let erased = world.remove(&ids, &sequences, limit);
        if !world.subjects.contains_key(subject)
            && world.sequences_of(subject).next().is_none()
            && let Some(mark) = world.marks.remove(&MarkKey::Subject(subject.clone()))
        {
            world.unsettled.remove(&MarkKey::Subject(subject.clone()));
            world.floor = world.floor.max(mark.version + 1).max(mark.epoch + 1);
        }
        Ok(erased)
    }

    fn is_shared(&self) -> bool {
        false
    }
}
