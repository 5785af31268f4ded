//! The one thread that writes.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_channel::oneshot;
use rusqlite::Connection;
use session_core::store::{Outcome, Purged, Touch, Touched};
use session_core::{Change, Realm, StoreError, StoreErrorKind, Subject, Timestamp};

use crate::error::Fault;
use crate::options::SqliteOptions;
use crate::{commit, error, migrate, open, purge};

/// The most writes of one transaction: enough to share a sync of the disk, few enough that nobody else waits
/// long for the file.
const GROUP: usize = 256;

/// Takes writes, and carries them out in groups: those that wait while the disk is synced share the next
/// sync. A lone write waits for nobody.
///
/// A write that was taken is carried out, whether or not somebody still waits for its answer. When this is
/// dropped, what was taken is carried out before the drop returns; but for another process that holds the file
/// it waits only once more, and what cannot be written then is refused.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    closing: Arc<AtomicBool>,
    path: PathBuf,
}

impl Writer {
    /// Starts the thread on the connection that writes.
    pub(crate) fn start(options: &SqliteOptions, db: Connection) -> Result<Self, StoreError> {
        let (queue, jobs) = sync_channel(options.queue.get());
        let options = options.clone();
        let path = options.path.clone();
        let closing = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&closing);
        let thread = thread::Builder::new()
            .name("session-sqlite".to_owned())
            .spawn(move || serve(&jobs, &options, db, &told))
            .map_err(|failed| {
                error::at(StoreErrorKind::Unavailable, &path, "no thread can be started")
                    .with_source(failed)
            })?;
        Ok(Self { queue: Some(queue), thread: Some(thread), closing, path })
    }

    /// Hands a write over and waits for its answer.
    pub(crate) async fn write(&self, realm: &Realm, work: Work) -> Result<Done, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Job { realm: realm.clone(), work, reply };
        let at = |kind, what| Err(error::at(kind, &self.path, what));
        match self.queue.as_ref().map(|queue| queue.try_send(job)) {
            Some(Ok(())) => {}
            Some(Err(TrySendError::Full(_))) => {
                return at(StoreErrorKind::Overloaded, "too many writes wait already");
            }
            Some(Err(TrySendError::Disconnected(_))) | None => {
                return at(StoreErrorKind::Unavailable, "its writer has stopped; open it again");
            }
        }
        match answer.await {
            Ok(done) => done,
            Err(oneshot::Canceled) => {
                at(StoreErrorKind::OutcomeUnknown, "its writer has stopped before it answered")
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        drop(self.queue.take());
        // Whoever is woken by an answer may drop the store, and does so in the writer's own thread, which goes on
        // by itself until all is carried out.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            // If it panicked, whoever waited has been told.
            let _ = thread.join();
        }
    }
}

/// A write.
pub(crate) enum Work {
    Commit(Vec<Change>),
    Touch(Vec<Touch>),
    Purge { now: Timestamp, limit: NonZeroUsize },
    Erase { subject: Subject, limit: NonZeroUsize },
}

/// What became of it, in the same order.
pub(crate) enum Done {
    Commit(Vec<Outcome>),
    Touch(Vec<Touched>),
    Purge(Purged),
}

struct Job {
    realm: Realm,
    work: Work,
    reply: oneshot::Sender<Result<Done, StoreError>>,
}

impl Job {
    fn run(&self, db: &Connection) -> Result<Done, Fault> {
        let realm = &self.realm;
        Ok(match &self.work {
            Work::Commit(changes) => Done::Commit(
                changes
                    .iter()
                    .map(|change| commit::commit(db, realm, change))
                    .collect::<Result<_, _>>()?,
            ),
            Work::Touch(touches) => Done::Touch(
                touches
                    .iter()
                    .map(|touch| commit::touch(db, realm, touch))
                    .collect::<Result<_, _>>()?,
            ),
            Work::Purge { now, limit } => Done::Purge(purge::purge(db, realm, *now, *limit)?),
            Work::Erase { subject, limit } => {
                Done::Purge(purge::erase(db, realm, subject, *limit)?)
            }
        })
    }

    fn answer(self, done: Result<Done, StoreError>) {
        // Nobody waits any more, or whoever is woken panics: that is no reason to undo the write, nor to leave
        // others without their answer.
        let _ = catch_unwind(AssertUnwindSafe(|| self.reply.send(done)));
    }
}

fn serve(jobs: &Receiver<Job>, options: &SqliteOptions, mut db: Connection, closing: &AtomicBool) {
    while let Ok(first) = jobs.recv() {
        let mut group = vec![first];
        group.extend(jobs.try_iter().take(GROUP - 1));
        Writing { path: &options.path, db: &db, closing }.carry_out(group);
        if !db.is_autocommit() {
            // A transaction that cannot be taken back keeps everybody out: only closing the file ends it.
            match open::writer(options) {
                Ok(fresh) => db = fresh,
                Err(_) => return,
            }
        }
    }
    // Closing the file does this too, unless another process has it open.
    let _ = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
}

/// Why a group was not carried out.
enum Failure {
    /// One of its members cannot be.
    Of(StoreError),
    /// The transaction itself failed, for all of them alike.
    OfAll(Box<dyn Fn() -> StoreError>),
}

struct Writing<'a> {
    path: &'a Path,
    db: &'a Connection,
    closing: &'a AtomicBool,
}

impl Writing<'_> {
    /// One transaction for the whole group; if a member fails, one for each, so that it fails alone.
    fn carry_out(&self, mut group: Vec<Job>) {
        match self.together(&group) {
            Ok(done) => {
                for (job, done) in group.into_iter().zip(done) {
                    job.answer(Ok(done));
                }
            }
            Err(Failure::Of(error)) if group.len() == 1 => {
                if let Some(job) = group.pop() {
                    job.answer(Err(error));
                }
            }
            Err(Failure::Of(_)) => {
                for job in group {
                    self.carry_out(vec![job]);
                }
            }
            Err(Failure::OfAll(errors)) => {
                for job in group {
                    job.answer(Err(errors()));
                }
            }
        }
    }

    fn together(&self, group: &[Job]) -> Result<Vec<Done>, Failure> {
        self.begin()?;
        let mut done = Vec::with_capacity(group.len());
        for job in group {
            match job.run(self.db) {
                Ok(one) => done.push(one),
                Err(fault) => {
                    self.take_back()?;
                    return Err(Failure::Of(match fault {
                        Fault::Sqlite(failed) => error::statement(self.path, failed),
                        Fault::Store(failed) => failed,
                    }));
                }
            }
        }
        match self.db.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])) {
            Ok(_) => Ok(done),
            Err(failed) => {
                self.take_back()?;
                Err(self.of_all(error::commit, failed))
            }
        }
    }

    /// A deferred transaction would fail at its first write, without waiting, if somebody else had written.
    fn begin(&self) -> Result<(), Failure> {
        let begun =
            self.db.prepare_cached("BEGIN IMMEDIATE").and_then(|mut begin| begin.execute([]));
        if let Err(failed) = begun {
            if self.closing.load(Ordering::Relaxed) && open::is_busy(&failed) {
                // Whoever drops the store has waited once: what else was taken is tried, and waits no more.
                let _ = self.db.busy_timeout(Duration::ZERO);
            }
            return Err(self.of_all(error::statement, failed));
        }
        let version = migrate::version(self.db).map_err(|failed| {
            let failure = self.of_all(error::statement, failed);
            self.take_back().err().unwrap_or(failure)
        })?;
        if migrate::is_ours(version) {
            return Ok(());
        }
        self.take_back()?;
        let path = self.path.to_owned();
        Err(Failure::OfAll(Box::new(move || migrate::changed(&path, version))))
    }

    /// Some errors have taken the transaction back already.
    fn take_back(&self) -> Result<(), Failure> {
        if self.db.is_autocommit() {
            return Ok(());
        }
        self.db.execute_batch("ROLLBACK").map_err(|failed| self.of_all(error::commit, failed))
    }

    fn of_all(
        &self,
        tell: fn(&Path, Arc<rusqlite::Error>) -> StoreError,
        failed: rusqlite::Error,
    ) -> Failure {
        let (path, failed) = (self.path.to_owned(), Arc::new(failed));
        Failure::OfAll(Box::new(move || tell(&path, Arc::clone(&failed))))
    }
}
