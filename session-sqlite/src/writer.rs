//! The one thread that writes.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use futures_channel::oneshot;
use rusqlite::Connection;
use session_core::store::{Outcome, Purged, Touch, Touched};
use session_core::{Change, Realm, StoreError, StoreErrorKind, Subject, Timestamp};

use crate::error::Fault;
use crate::options::SqliteOptions;
use crate::{commit, error, open, purge};

/// The most writes of one transaction: enough to share a sync of the disk, few enough that nobody else waits
/// long for the file.
const GROUP: usize = 256;

/// Takes writes, and carries them out in groups: those that wait while the disk is synced share the next
/// sync. A lone write waits for nobody.
///
/// A write that was taken is carried out, whether or not somebody still waits for its answer. When this is
/// dropped, what was taken is carried out before the drop returns.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
}

impl Writer {
    /// Starts the thread on the connection that writes.
    pub(crate) fn start(options: &SqliteOptions, db: Connection) -> Result<Self, StoreError> {
        let (queue, jobs) = sync_channel(options.queue.get());
        let options = options.clone();
        let path = options.path.clone();
        let thread = std::thread::Builder::new()
            .name("session-sqlite".to_owned())
            .spawn(move || serve(&jobs, &options, db))
            .map_err(|failed| {
                error::at(StoreErrorKind::Unavailable, &path, "no thread can be started")
                    .with_source(failed)
            })?;
        Ok(Self { queue: Some(queue), thread: Some(thread), path })
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
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
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
        // Nobody waits any more: that is no reason to undo the write.
        let _ = self.reply.send(done);
    }
}

fn serve(jobs: &Receiver<Job>, options: &SqliteOptions, mut db: Connection) {
    while let Ok(first) = jobs.recv() {
        let mut group = vec![first];
        group.extend(jobs.try_iter().take(GROUP - 1));
        carry_out(&options.path, &db, group);
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

/// One transaction for the whole group; if a member fails, one for each, so that it fails alone.
fn carry_out(path: &Path, db: &Connection, mut group: Vec<Job>) {
    match together(path, db, &group) {
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
                carry_out(path, db, vec![job]);
            }
        }
        Err(Failure::OfAll(errors)) => {
            for job in group {
                job.answer(Err(errors()));
            }
        }
    }
}

/// Why a group was not carried out.
enum Failure {
    /// One of its members cannot be.
    Of(StoreError),
    /// The transaction itself failed, for all of them alike.
    OfAll(Box<dyn Fn() -> StoreError>),
}

fn together(path: &Path, db: &Connection, group: &[Job]) -> Result<Vec<Done>, Failure> {
    begin(db).map_err(|failed| of_all(path, error::statement::<Arc<_>>, failed))?;
    let mut done = Vec::with_capacity(group.len());
    for job in group {
        match job.run(db) {
            Ok(one) => done.push(one),
            Err(fault) => {
                take_back(path, db)?;
                return Err(Failure::Of(match fault {
                    Fault::Sqlite(failed) => error::statement(path, failed),
                    Fault::Store(failed) => failed,
                }));
            }
        }
    }
    match db.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])) {
        Ok(_) => Ok(done),
        Err(failed) => {
            take_back(path, db)?;
            Err(of_all(path, error::commit, failed))
        }
    }
}

/// A deferred transaction would fail at its first write, without waiting, if somebody else had written.
fn begin(db: &Connection) -> rusqlite::Result<()> {
    db.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(drop)
}

/// Some errors have taken the transaction back already.
fn take_back(path: &Path, db: &Connection) -> Result<(), Failure> {
    if db.is_autocommit() {
        return Ok(());
    }
    db.execute_batch("ROLLBACK").map_err(|failed| of_all(path, error::commit, failed))
}

fn of_all(
    path: &Path,
    tell: fn(&Path, Arc<rusqlite::Error>) -> StoreError,
    failed: rusqlite::Error,
) -> Failure {
    let (path, failed) = (path.to_owned(), Arc::new(failed));
    Failure::OfAll(Box::new(move || tell(&path, Arc::clone(&failed))))
}
