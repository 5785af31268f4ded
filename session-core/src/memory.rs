//! The reference store: everything in this process's memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;

use crate::change::{MarkWrite, Replacement, Version};
use crate::store::{
    BelowEpoch, Cursor, EventPage, EventQuery, Events, ListQuery, Order, Outcome, Purged, Scan,
    Stored, StoredEvent, Touch, Touched,
};
use crate::{
    Change, ChangeId, DataWrite, EncodedData, Mark, MarkKey, Marks, RaiseLog, Realm, Record,
    SessionId, SessionStore, Stamp, StoreError, Subject, Timestamp,
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
            let wanted = |row: &&Row| query.with_ended || row.record.end.is_none();
            let later = |id: &SessionId| after.is_none_or(|after| *id > after);
            let mut rows: Vec<&Row> = match &query.subject {
                None => world
                    .rows
                    .values()
                    .filter(|row| later(&row.record.id))
                    .filter(wanted)
                    .take(query.limit.get().saturating_add(1))
                    .collect(),
                Some(subject) => world
                    .subjects
                    .get(subject)
                    .into_iter()
                    .flatten()
                    .filter(|id| later(id))
                    .map(|id| &world.rows[id])
                    .filter(wanted)
                    .take(query.limit.get().saturating_add(1))
                    .collect(),
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
                .marks
                .iter()
                .filter(|(_, mark)| mark.settled < mark.epoch)
                .map(|(key, mark)| (key.clone(), mark.epoch))
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
            let mut rows: Vec<&Row> = world
                .rows
                .values()
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
            .events
            .iter()
            .filter(|(_, stored)| stored.event.purge_at <= now)
            .take(limit.get())
            .map(|(sequence, _)| *sequence)
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
        let of_subject = |stored: &&StoredEvent| stored.event.subject.as_ref() == Some(subject);
        let sequences: Vec<u64> = world
            .events
            .values()
            .filter(of_subject)
            .take(limit.get())
            .map(|stored| stored.sequence)
            .collect();
        let erased = world.remove(&ids, &sequences, limit);
        if !world.subjects.contains_key(subject)
            && !world.events.values().any(|stored| of_subject(&stored))
            && let Some(mark) = world.marks.remove(&MarkKey::Subject(subject.clone()))
        {
            world.floor = world.floor.max(mark.version + 1).max(mark.epoch + 1);
        }
        Ok(erased)
    }
}

/// One realm.
#[derive(Default)]
struct World {
    rows: BTreeMap<SessionId, Row>,
    subjects: HashMap<Subject, BTreeSet<SessionId>>,
    due: BTreeSet<(Timestamp, SessionId)>,
    tombstones: BTreeSet<(Timestamp, SessionId)>,
    marks: BTreeMap<MarkKey, StoredMark>,
    /// The version and the epoch of any mark that is not there.
    floor: u64,
    events: BTreeMap<u64, StoredEvent>,
    last_sequence: u64,
    /// The last event that was removed: a cursor before it has missed some.
    removed_up_to: u64,
}

struct Row {
    record: Record,
    version: Version,
    data: Option<EncodedData>,
    change: ChangeId,
}

struct StoredMark {
    version: u64,
    epoch: u64,
    settled: u64,
    stamp: Option<Stamp>,
    raises: RaiseLog,
    change: ChangeId,
}

impl World {
    fn stored(&self, row: &Row, with_data: bool) -> Stored {
        let record = &row.record;
        let subject = match &record.subject {
            Some(subject) => self.mark(&MarkKey::Subject(subject.clone()), record.epochs.subject),
            None => Mark::default(),
        };
        Stored {
            record: record.clone(),
            version: row.version,
            data: row.data.clone().filter(|_| with_data),
            marks: Marks { realm: self.mark(&MarkKey::Realm, record.epochs.realm), subject },
        }
    }

    fn mark(&self, key: &MarkKey, issued_under: u64) -> Mark {
        match self.marks.get(key) {
            Some(mark) => Mark {
                version: mark.version,
                epoch: mark.epoch,
                stamp: mark.stamp.clone(),
                raise: mark.raises.first_above(issued_under).cloned(),
            },
            None if *key == MarkKey::Realm => Mark::default(),
            None => Mark { version: self.floor, epoch: self.floor, ..Mark::default() },
        }
    }

    fn scan(&self, rows: &[&Row], more: bool, cursor: impl Fn(&Row) -> Cursor) -> Scan {
        Scan {
            rows: rows.iter().map(|row| Ok(self.stored(row, false))).collect(),
            next: rows.last().filter(|_| more).map(|row| cursor(row)),
        }
    }

    /// Everything is checked before anything is written.
    fn commit(&mut self, change: &Change) -> Outcome {
        if self.carries(change) {
            return Outcome::Applied;
        }
        if let Some(conflict) = self.conflict(change) {
            return conflict;
        }
        for write in change.marks() {
            self.write_mark(write, change.id());
        }
        for insert in change.inserts() {
            let row = Row {
                record: insert.record.clone(),
                version: 1,
                data: insert.data.clone(),
                change: change.id(),
            };
            self.put(row);
        }
        for replacement in change.replacements() {
            self.replace(replacement, change.id());
        }
        for reschedule in change.reschedules() {
            let Some(mut row) = self.rows.remove(&reschedule.id) else { continue };
            self.unlink(&row);
            if row.version == reschedule.expected && row.record.end.is_none() {
                row.record.due_at = reschedule.due_at;
            }
            self.put(row);
        }
        for settle in change.settles() {
            if let Some(mark) = self.marks.get_mut(&settle.key) {
                mark.settled = mark.settled.max(settle.epoch);
            }
        }
        for event in change.events() {
            self.last_sequence += 1;
            let stored = StoredEvent {
                sequence: self.last_sequence,
                change: change.id(),
                event: event.clone(),
            };
            self.events.insert(self.last_sequence, stored);
        }
        Outcome::Applied
    }

    fn carries(&self, change: &Change) -> bool {
        let row = |id| self.rows.get(id).is_some_and(|row| row.change == change.id());
        change
            .marks()
            .iter()
            .any(|write| self.marks.get(&write.key).is_some_and(|mark| mark.change == change.id()))
            || change.inserts().iter().any(|insert| row(&insert.record.id))
            || change.replacements().iter().any(|replacement| row(&replacement.record.id))
    }

    fn conflict(&self, change: &Change) -> Option<Outcome> {
        for write in change.marks() {
            if self.mark(&write.key, u64::MAX).version != write.expected {
                return Some(Outcome::Fenced(write.key.clone()));
            }
        }
        for insert in change.inserts() {
            if self.rows.contains_key(&insert.record.id) {
                return Some(Outcome::Exists(insert.record.id));
            }
        }
        for replacement in change.replacements() {
            let id = replacement.record.id;
            let as_read = self.rows.get(&id).is_some_and(|row| {
                row.version == replacement.expected
                    && replacement.decided_on.is_none_or(|seen| row.record.last_seen_at <= seen)
            });
            if !as_read {
                return Some(Outcome::Moved(id));
            }
        }
        None
    }

    fn write_mark(&mut self, write: &MarkWrite, change: ChangeId) {
        let known = self.mark(&write.key, u64::MAX);
        let mark = self.marks.entry(write.key.clone()).or_insert_with(|| StoredMark {
            version: known.version,
            epoch: known.epoch,
            settled: known.epoch,
            stamp: None,
            raises: RaiseLog::default(),
            change,
        });
        mark.version += 1;
        mark.change = change;
        if let Some(raise) = &write.raise {
            mark.epoch = raise.epoch;
            mark.raises.push(raise.clone());
        }
        if let Some(stamp) = &write.stamp {
            mark.stamp = Some(stamp.clone());
        }
    }

    fn replace(&mut self, replacement: &Replacement, change: ChangeId) {
        let Some(old) = self.rows.remove(&replacement.record.id) else { return };
        self.unlink(&old);
        let mut record = replacement.record.clone();
        record.last_seen_at = record.last_seen_at.max(old.record.last_seen_at);
        for entry in &mut record.scopes {
            if let Some(known) = old.record.scopes.iter().find(|known| known.slot == entry.slot) {
                entry.last_seen_at = entry.last_seen_at.max(known.last_seen_at);
            }
        }
        let data = match &replacement.data {
            DataWrite::Keep => old.data,
            DataWrite::Set(data) => Some(data.clone()),
            DataWrite::Drop => None,
        };
        self.put(Row { record, version: old.version + 1, data, change });
    }

    fn touch(&mut self, touch: &Touch) -> Touched {
        let Some(row) = self.rows.get_mut(&touch.id) else { return Touched::NotLive };
        if row.record.end.is_some() {
            return Touched::NotLive;
        }
        let seen = match touch.slot {
            0 => Some(&mut row.record.last_seen_at),
            slot => row
                .record
                .scopes
                .iter_mut()
                .find(|entry| entry.slot == slot)
                .map(|entry| &mut entry.last_seen_at),
        };
        match seen {
            Some(seen) if *seen > touch.if_before => Touched::Fresh,
            Some(seen) if *seen > touch.if_after => {
                *seen = touch.seen_at.max(*seen);
                Touched::Touched
            }
            _ => Touched::NotLive,
        }
    }

    fn events(&self, query: &EventQuery, after: Option<u64>) -> Events {
        // Looking back misses nothing that is still there; following along must not miss what is gone.
        if query.order == Order::OldestFirst
            && after.is_some_and(|after| after < self.removed_up_to)
        {
            return Events::CursorExpired;
        }
        let wanted = |stored: &&StoredEvent| {
            let event = &stored.event;
            query.session.is_none_or(|session| event.session == Some(session))
                && query
                    .subject
                    .as_ref()
                    .is_none_or(|subject| event.subject.as_ref() == Some(subject))
                && (query.kinds.is_empty() || query.kinds.contains(&event.kind))
                && query.from.is_none_or(|from| event.at >= from)
                && query.until.is_none_or(|until| event.at < until)
        };
        let take = query.limit.get().saturating_add(1);
        let mut events: Vec<StoredEvent> = match (query.order, after) {
            (Order::OldestFirst, after) => {
                let later = after.map_or(0, |after| after.saturating_add(1))..;
                self.events
                    .range(later)
                    .map(|(_, stored)| stored)
                    .filter(wanted)
                    .take(take)
                    .cloned()
                    .collect()
            }
            (Order::NewestFirst, after) => {
                let earlier = ..after.unwrap_or(u64::MAX);
                self.events
                    .range(earlier)
                    .rev()
                    .map(|(_, stored)| stored)
                    .filter(wanted)
                    .take(take)
                    .cloned()
                    .collect()
            }
        };
        let more = events.len() > query.limit.get();
        events.truncate(query.limit.get());
        let reached = match (query.order, more) {
            // All that there is has been looked at, wanted or not.
            (Order::OldestFirst, false) => Some(self.last_sequence),
            (Order::NewestFirst, false) => None,
            _ => events.last().map(|stored| stored.sequence).or(after),
        };
        Events::Page(EventPage { events, next: reached.map(sequence_cursor), more })
    }

    fn remove(&mut self, ids: &[SessionId], sequences: &[u64], limit: NonZeroUsize) -> Purged {
        for id in ids {
            if let Some(row) = self.rows.remove(id) {
                self.unlink(&row);
            }
        }
        for sequence in sequences {
            self.events.remove(sequence);
        }
        let full = |count: usize| count >= limit.get();
        Purged {
            records: ids.len(),
            events: sequences.len(),
            more: full(ids.len()) || full(sequences.len()),
        }
    }

    fn put(&mut self, row: Row) {
        let id = row.record.id;
        match &row.record.end {
            None => self.due.insert((row.record.due_at, id)),
            Some(end) => self.tombstones.insert((end.purge_at, id)),
        };
        if let Some(subject) = &row.record.subject {
            self.subjects.entry(subject.clone()).or_default().insert(id);
        }
        self.rows.insert(id, row);
    }

    /// Takes a row out of every index.
    fn unlink(&mut self, row: &Row) {
        let id = row.record.id;
        match &row.record.end {
            None => self.due.remove(&(row.record.due_at, id)),
            Some(end) => self.tombstones.remove(&(end.purge_at, id)),
        };
        if let Some(subject) = &row.record.subject
            && let Some(ids) = self.subjects.get_mut(subject)
        {
            ids.remove(&id);
            if ids.is_empty() {
                self.subjects.remove(subject);
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
    let mut bytes = due_at.as_millis().to_be_bytes().to_vec();
    bytes.extend(id.as_bytes());
    Cursor::from_bytes(bytes)
}

fn due_of(cursor: &Cursor) -> Result<(Timestamp, SessionId), StoreError> {
    let bytes: [u8; 24] = cursor.as_bytes().try_into().map_err(|_| StoreError::invalid_cursor())?;
    let (due_at, id) = bytes.split_at(8);
    let due_at =
        due_at.try_into().map(i64::from_be_bytes).map_err(|_| StoreError::invalid_cursor())?;
    let id = id.try_into().map(SessionId::from_bytes).map_err(|_| StoreError::invalid_cursor())?;
    Ok((Timestamp::from_millis(due_at), id))
}

fn sequence_cursor(sequence: u64) -> Cursor {
    Cursor::from_bytes(sequence.to_be_bytes())
}

fn sequence_of(cursor: &Cursor) -> Result<u64, StoreError> {
    cursor.as_bytes().try_into().map(u64::from_be_bytes).map_err(|_| StoreError::invalid_cursor())
}
