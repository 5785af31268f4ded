//! The store.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use session_core::store::{
    BelowEpoch, Cursor, EventQuery, Events, ListQuery, Outcome, Purged, Scan, Stored, Touch,
    Touched,
};
use session_core::{
    Change, Marks, Realm, SessionId, SessionStore, StoreError, StoreErrorKind, Subject, Timestamp,
};

use crate::error::Fault;
use crate::events::{Reading, Stretch};
use crate::flush::{Disk, Flusher, RealDisk};
use crate::job::{Done, Work};
use crate::open::Opened;
use crate::options::SledOptions;
use crate::shared::Shared;
use crate::transaction::Transactions;
use crate::view::View;
use crate::writer::Writer;
use crate::{copy, error, open, scan};

/// Keeps sessions in a sled database.
///
/// Reads run in the thread that asks and take microseconds. They see what is durable: never a change that a crash
/// could still take back, but for touches. Writes are handed to one thread, which carries out together all that
/// wait, so that they share one sync of the disk. It needs no runtime, and works under any.
///
/// A write that was handed over is carried out even if its future is dropped. Dropping the store carries out
/// what was handed over, and waits for it.
///
/// ```
/// use session_core::{Realm, SessionId, SessionStore};
/// use session_sled::SledStore;
///
/// # pollster::block_on(async {
/// let directory = tempfile::tempdir().unwrap();
/// let store = SledStore::open(directory.path().join("sessions.sled")).unwrap();
/// let nobody = SessionId::from_bytes([0; 16]);
/// assert!(store.load(&Realm::default(), nobody).await.unwrap().is_none());
/// # });
/// ```
pub struct SledStore {
    pub(crate) shared: Arc<Shared>,
    writer: Writer,
    path: PathBuf,
}

impl SledStore {
    /// Opens a directory, created if it is not there, with the defaults of [`SledOptions`].
    ///
    /// # Errors
    /// See [`SledStore::open_with`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::open_with(&SledOptions::new(path))
    }

    /// Opens a directory. Blocks while sled reads what was written since it was opened last; and if it was not closed
    /// in good order, while everything in it is read: see [`Verify`](crate::Verify).
    ///
    /// # Errors
    /// They name the directory and what to do:
    /// - [`Invalid`](StoreErrorKind::Invalid): the path can be no directory of ours, or may not be written, its
    ///   parent does not exist, it holds something else, or anybody on the machine may write to it;
    /// - [`Corrupt`](StoreErrorKind::Corrupt): it is damaged, or lacks what was acknowledged;
    /// - [`Unsupported`](StoreErrorKind::Unsupported): its layout is newer than this program;
    /// - [`Unavailable`](StoreErrorKind::Unavailable): another process has it open, or it cannot be read;
    /// - [`StorageFull`](StoreErrorKind::StorageFull): there is no room for it.
    pub fn open_with(options: &SledOptions) -> Result<Self, StoreError> {
        Self::open_on(options, Arc::new(RealDisk))
    }

    pub(crate) fn open_on(options: &SledOptions, disk: Arc<dyn Disk>) -> Result<Self, StoreError> {
        let Opened { db, files, sound } = open::open(options)?;
        let shared = Arc::new(Shared::new(options, db));
        let flusher = Flusher::start(&options.path, files, disk)?;
        let transactions = Transactions::new(&shared, flusher, sound)?;
        let writer = Writer::start(&shared, transactions)?;
        Ok(Self { shared, writer, path: options.path.clone() })
    }

    /// The path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Copies all that is durable into a new directory at `path`, and returns how many keys it has: a backup, and
    /// the way to make the store small again, because sled hardly ever gives room back.
    ///
    /// The copy is of one instant. Blocks the thread that asks, for some seconds for each million of keys; until it
    /// is done, writes wait, and reads may.
    ///
    /// # Errors
    /// As [`SledStore::open_with`] of the new directory, which must not be there or be empty; or the store cannot
    /// be read. What has been copied until then is left.
    pub fn copy_to(&self, path: impl Into<PathBuf>) -> Result<u64, StoreError> {
        let options =
            SledOptions { path: path.into(), create: true, ..self.shared.options.clone() };
        let copied = self.shared.read(|view| Ok(copy::copy(view, &options)?));
        copied.map_err(|failed| failed.error)
    }

    /// Reads; if the database is closed after an error, or has to be, once more when it is open again.
    async fn read<T>(
        &self,
        realm: &Realm,
        ask: impl Fn(View<'_>) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let failed = match self.shared.read(&ask) {
            Ok(answer) => return Ok(answer),
            Err(failed) => failed,
        };
        let Some(tries) = failed.mend else { return Err(failed.error) };
        match self.writer.write(realm, Work::Mend { tries }).await {
            Ok(_) => self.shared.read(&ask).map_err(|failed| failed.error),
            Err(error) => Err(error),
        }
    }

    async fn commit_all(
        &self,
        realm: &Realm,
        changes: Vec<Change>,
    ) -> Result<Vec<Outcome>, StoreError> {
        match self.writer.write(realm, Work::Commit(changes)).await? {
            Done::Commit(outcomes) => Ok(outcomes),
            Done::Touch(_) | Done::Purge(_) | Done::Mend => Err(self.mixed_up()),
        }
    }

    async fn remove(&self, realm: &Realm, work: Work) -> Result<Purged, StoreError> {
        match self.writer.write(realm, work).await? {
            Done::Purge(purged) => Ok(purged),
            Done::Commit(_) | Done::Touch(_) | Done::Mend => Err(self.mixed_up()),
        }
    }

    fn mixed_up(&self) -> StoreError {
        error::at(StoreErrorKind::OutcomeUnknown, &self.path, "this is another write's answer")
    }
}

impl fmt::Debug for SledStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledStore").field("path", &self.path).finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionStore for SledStore {
    async fn load(&self, realm: &Realm, id: SessionId) -> Result<Option<Stored>, StoreError> {
        self.read(realm, |view| scan::load(view, realm, id)).await
    }

    async fn marks(&self, realm: &Realm, subject: Option<&Subject>) -> Result<Marks, StoreError> {
        self.read(realm, |view| scan::marks(view, realm, subject)).await
    }

    async fn commit(&self, realm: &Realm, change: &Change) -> Result<Outcome, StoreError> {
        let mut outcomes = self.commit_all(realm, vec![change.clone()]).await?;
        outcomes.pop().ok_or_else(|| self.mixed_up())
    }

    async fn commit_each(
        &self,
        realm: &Realm,
        changes: &[Change],
    ) -> Result<Vec<Outcome>, StoreError> {
        self.commit_all(realm, changes.to_vec()).await
    }

    async fn touch(&self, realm: &Realm, touches: &[Touch]) -> Result<Vec<Touched>, StoreError> {
        match self.writer.write(realm, Work::Touch(touches.to_vec())).await? {
            Done::Touch(touched) => Ok(touched),
            Done::Commit(_) | Done::Purge(_) | Done::Mend => Err(self.mixed_up()),
        }
    }

    async fn list(
        &self,
        realm: &Realm,
        query: &ListQuery,
        after: Option<&Cursor>,
    ) -> Result<Scan, StoreError> {
        self.read(realm, |view| scan::list(view, realm, query, after)).await
    }

    async fn due(
        &self,
        realm: &Realm,
        now: Timestamp,
        after: Option<&Cursor>,
        limit: NonZeroUsize,
    ) -> Result<Scan, StoreError> {
        self.read(realm, |view| scan::due(view, realm, now, after, limit)).await
    }

    async fn below_epoch(
        &self,
        realm: &Realm,
        after: Option<&Cursor>,
        limit: NonZeroUsize,
    ) -> Result<BelowEpoch, StoreError> {
        self.read(realm, |view| scan::below_epoch(view, realm, after, limit)).await
    }

    async fn events(
        &self,
        realm: &Realm,
        query: &EventQuery,
        after: Option<&Cursor>,
    ) -> Result<Events, StoreError> {
        let mut reading = Reading::at(after)?;
        loop {
            match self.read(realm, |view| reading.go_on(view, realm, query)).await? {
                Stretch::On(further) => reading = further,
                Stretch::Done(events) => return Ok(events),
            }
        }
    }

    async fn purge(
        &self,
        realm: &Realm,
        now: Timestamp,
        limit: NonZeroUsize,
    ) -> Result<Purged, StoreError> {
        self.remove(realm, Work::Purge { now, limit }).await
    }

    async fn erase(
        &self,
        realm: &Realm,
        subject: &Subject,
        limit: NonZeroUsize,
    ) -> Result<Purged, StoreError> {
        self.remove(realm, Work::Erase { subject: subject.clone(), limit }).await
    }

    fn is_shared(&self) -> bool {
        false
    }
}
