//! The one thread that writes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use futures_channel::oneshot;
use session_core::store::{Outcome, Purged, Touch, Touched};
use session_core::{Change, DataWrite, Realm, StoreError, StoreErrorKind, Subject, Timestamp};

use crate::error::{self, Fault};
use crate::reserve::Room;
use crate::shared::Shared;
use crate::transaction::Transactions;
use crate::view::Pending;
use crate::{commit, purge};

/// The most writes of one batch: enough to share a sync of the disk, few enough that no reader waits long until
/// it is applied.
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
    /// Starts the thread.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        transactions: Transactions,
    ) -> Result<Self, StoreError> {
        let (queue, jobs) = sync_channel(shared.options.queue.get());
        let path = shared.options.path.clone();
        let thread = thread::Builder::new()
            .name("session-sled".to_owned())
            .spawn(move || serve(&jobs, transactions))
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
    Purge {
        now: Timestamp,
        limit: std::num::NonZeroUsize,
    },
    Erase {
        subject: Subject,
        limit: std::num::NonZeroUsize,
    },
    /// Opens the database again, unless that has been tried since.
    Mend {
        tries: u64,
    },
}

/// What became of it, in the same order.
pub(crate) enum Done {
    Commit(Vec<Outcome>),
    Touch(Vec<Touched>),
    Purge(Purged),
    Mend,
}

pub(crate) struct Job {
    realm: Realm,
    work: Work,
    reply: oneshot::Sender<Result<Done, StoreError>>,
}

impl Job {
    /// Works out what it writes.
    pub(crate) fn run(&self, pending: &mut Pending<'_>) -> Result<Done, Fault> {
        let realm = &self.realm;
        Ok(match &self.work {
            Work::Commit(changes) => Done::Commit(
                changes
                    .iter()
                    .map(|change| commit::commit(pending, realm, change))
                    .collect::<Result<_, _>>()?,
            ),
            Work::Touch(touches) => Done::Touch(
                touches
                    .iter()
                    .map(|touch| commit::touch(pending, realm, touch))
                    .collect::<Result<_, _>>()?,
            ),
            Work::Purge { now, limit } => Done::Purge(purge::purge(pending, realm, *now, *limit)?),
            Work::Erase { subject, limit } => {
                Done::Purge(purge::erase(pending, realm, subject, *limit)?)
            }
            Work::Mend { .. } => Done::Mend,
        })
    }

    /// Whether it has to be durable before it is answered.
    pub(crate) fn is_durable(&self) -> bool {
        !matches!(self.work, Work::Touch(_) | Work::Mend { .. })
    }

    /// If it asks for the database to be opened again: how often that had been tried when it was asked.
    pub(crate) fn mends(&self) -> Option<u64> {
        match self.work {
            Work::Mend { tries } => Some(tries),
            _ => None,
        }
    }

    /// How much room there has to be for it.
    pub(crate) fn needs(&self) -> Room {
        let changes = match &self.work {
            Work::Commit(changes) => changes,
            Work::Touch(_) | Work::Purge { .. } | Work::Erase { .. } => return Room::Little,
            Work::Mend { .. } => return Room::None,
        };
        let grows = changes.iter().any(|change| {
            let sets = |data: &DataWrite| matches!(data, DataWrite::Set(_));
            !change.inserts().is_empty()
                || change.replacements().iter().any(|replacement| sets(&replacement.data))
        });
        if grows { Room::Enough } else { Room::Little }
    }

    pub(crate) fn answer(self, done: Result<Done, StoreError>) {
        // Nobody waits any more, or whoever is woken panics: that is no reason to undo the write, nor to leave
        // others without their answer.
        let _ = catch_unwind(AssertUnwindSafe(|| self.reply.send(done)));
    }
}

fn serve(jobs: &Receiver<Job>, mut transactions: Transactions) {
    while let Ok(first) = jobs.recv() {
        let mut group = vec![first];
        group.extend(jobs.try_iter().take(GROUP - 1));
        transactions.carry_out(group);
    }
    transactions.close();
}
