//! The one thread that writes.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use futures_channel::oneshot;
use session_core::{Realm, StoreError, StoreErrorKind};

use crate::error;
use crate::job::{Done, Job, Work};
use crate::shared::Shared;
use crate::transaction::Transactions;

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
        let job = Job::new(realm, work, reply);
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

fn serve(jobs: &Receiver<Job>, mut transactions: Transactions) {
    while let Ok(first) = jobs.recv() {
        let mut group = vec![first];
        group.extend(jobs.try_iter().take(GROUP - 1));
        transactions.carry_out(group);
    }
    transactions.close();
}
