//! The store.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use rusqlite::Connection;
use session_core::store::{
    BelowEpoch, Cursor, EventQuery, Events, ListQuery, Outcome, Purged, Scan, Stored, Touch,
    Touched,
};
use session_core::{
    Change, Marks, Realm, SessionId, SessionStore, StoreError, StoreErrorKind, Subject, Timestamp,
};

use crate::error::Fault;
use crate::options::SqliteOptions;
use crate::reader::Readers;
use crate::writer::{Done, Work, Writer};
use crate::{error, open, scan};

/// Keeps sessions in an SQLite file.
///
/// Reads run in the thread that asks, on a few connections of their own, and take microseconds. Writes are
/// handed to one thread, which carries out together all that wait, so that they share one sync of the disk. It
/// needs no runtime, and works under any.
///
/// A write that was handed over is carried out even if its future is dropped. Dropping the store carries out
/// what was handed over, and waits for it; but while another process holds the file, for hardly longer than the
/// busy timeout: what cannot be written then is answered by an error, and is not.
///
/// ```
/// use session_core::{Realm, SessionId, SessionStore};
/// use session_sqlite::SqliteStore;
///
/// # pollster::block_on(async {
/// let directory = tempfile::tempdir().unwrap();
/// let store = SqliteStore::open(directory.path().join("sessions.db")).unwrap();
/// let nobody = SessionId::from_bytes([0; 16]);
/// assert!(store.load(&Realm::default(), nobody).await.unwrap().is_none());
/// # });
/// ```
pub struct SqliteStore {
    // The readers close first, so that the writer is the last to close the file and tidies up.
    readers: Readers,
    writer: Writer,
    path: PathBuf,
}

impl SqliteStore {
    /// Opens a file, created if it is not there, with the defaults of [`SqliteOptions`].
    ///
    /// # Errors
    /// See [`SqliteStore::open_with`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::open_with(&SqliteOptions::new(path))
    }

    /// Opens a file, and brings its schema up to date. Blocks for some milliseconds, and if another process
    /// holds the file, for the busy timeout.
    ///
    /// # Errors
    /// They name the file and what to do:
    /// - [`Invalid`](StoreErrorKind::Invalid): the path can be no file of ours, its directory does not exist,
    ///   it is a database of another application, or anybody on the machine may write to it;
    /// - [`Corrupt`](StoreErrorKind::Corrupt): it is no database, or a damaged one;
    /// - [`Unsupported`](StoreErrorKind::Unsupported): its schema is newer than this program, or the SQLite
    ///   linked is older than 3.51.3;
    /// - [`Unavailable`](StoreErrorKind::Unavailable): it cannot be read and written, or is locked;
    /// - [`StorageFull`](StoreErrorKind::StorageFull): there is no room for it.
    pub fn open_with(options: &SqliteOptions) -> Result<Self, StoreError> {
        let db = open::writer(options)?;
        let readers = Readers::open(options)?;
        let writer = Writer::start(options, db)?;
        Ok(Self { readers, writer, path: options.path.clone() })
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read<T>(&self, ask: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, StoreError> {
        ask(&self.readers.get()).map_err(|fault| match fault {
            Fault::Sqlite(failed) => error::statement(&self.path, failed),
            Fault::Store(failed) => failed,
        })
    }

    async fn commit_all(
        &self,
        realm: &Realm,
        changes: Vec<Change>,
    ) -> Result<Vec<Outcome>, StoreError> {
        match self.writer.write(realm, Work::Commit(changes)).await? {
            Done::Commit(outcomes) => Ok(outcomes),
            Done::Touch(_) | Done::Purge(_) => Err(self.mixed_up()),
        }
    }

    async fn remove(&self, realm: &Realm, work: Work) -> Result<Purged, StoreError> {
        match self.writer.write(realm, work).await? {
            Done::Purge(purged) => Ok(purged),
            Done::Commit(_) | Done::Touch(_) => Err(self.mixed_up()),
        }
    }

    fn mixed_up(&self) -> StoreError {
        error::at(StoreErrorKind::OutcomeUnknown, &self.path, "this is another write's answer")
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionStore for SqliteStore {
    async fn load(&self, realm: &Realm, id: SessionId) -> Result<Option<Stored>, StoreError> {
        self.read(|db| scan::load(db, realm, id))
    }

    async fn marks(&self, realm: &Realm, subject: Option<&Subject>) -> Result<Marks, StoreError> {
        self.read(|db| scan::marks(db, realm, subject))
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
            Done::Commit(_) | Done::Purge(_) => Err(self.mixed_up()),
        }
    }

    async fn list(
        &self,
        realm: &Realm,
        query: &ListQuery,
        after: Option<&Cursor>,
    ) -> Result<Scan, StoreError> {
        self.read(|db| scan::list(db, realm, query, after))
    }

    async fn due(
        &self,
        realm: &Realm,
        now: Timestamp,
        after: Option<&Cursor>,
        limit: NonZeroUsize,
    ) -> Result<Scan, StoreError> {
        self.read(|db| scan::due(db, realm, now, after, limit))
    }

    async fn below_epoch(
        &self,
        realm: &Realm,
        after: Option<&Cursor>,
        limit: NonZeroUsize,
    ) -> Result<BelowEpoch, StoreError> {
        self.read(|db| scan::below_epoch(db, realm, after, limit))
    }

    async fn events(
        &self,
        realm: &Realm,
        query: &EventQuery,
        after: Option<&Cursor>,
    ) -> Result<Events, StoreError> {
        self.read(|db| scan::events(db, realm, query, after))
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
        true
    }
}
