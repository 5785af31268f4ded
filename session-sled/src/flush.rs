//! The one thread that flushes.
//!
//! Not sled's `flush_async`, which locks up under load (spacejam/sled#1308). And not the thread that writes: when
//! a write of sled's fails in one of its own threads, whoever flushes is not always woken to be told. So the
//! flush has a thread of its own, is waited for with patience, and woken by another flush if it takes too long.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use session_core::{StoreError, StoreErrorKind};
use sled::Db;

use crate::error::{self, Fault, guarded};
use crate::files::Files;

/// Makes durable what was applied.
pub(crate) struct Flusher {
    requests: Option<SyncSender<Request>>,
    thread: Option<JoinHandle<()>>,
    hangs: bool,
}

/// Why a batch is not durable, as far as is known.
pub(crate) enum Failure {
    /// sled could not apply or flush it.
    Sled(Fault),
    /// It was flushed, but not synced: what the disk has nobody knows, not even after a second try.
    Sync(io::Error),
    /// There is no answer.
    Hangs,
}

impl Failure {
    /// Whether nobody can tell what became of the batch: for want of room nothing is lost, and is tried again.
    pub(crate) fn is_for_good(&self) -> bool {
        matches!(self, Self::Sync(error)
            if !matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
    }
}

struct Request {
    db: Db,
    batch: u64,
    reply: Sender<Result<(), Failure>>,
}

/// How long a flush may take before it is woken: more than any that was ever seen to come to its end.
const WAKE: Duration = Duration::from_secs(2);

/// How often it is woken before it is given up.
const PATIENCE: u32 = 15;

impl Flusher {
    pub(crate) fn start(path: &Path, files: Files) -> Result<Self, StoreError> {
        let (requests, taken) = sync_channel(1);
        let thread = thread::Builder::new()
            .name("session-sled flush".to_owned())
            .spawn(move || serve(&taken, files))
            .map_err(|failed| {
                error::at(StoreErrorKind::Unavailable, path, "no thread can be started")
                    .with_source(failed)
            })?;
        Ok(Self { requests: Some(requests), thread: Some(thread), hangs: false })
    }

    /// Returns when all that is applied is durable, and notes the number of the last batch.
    pub(crate) fn flush(&mut self, db: &Db, batch: u64) -> Result<(), Failure> {
        let done = self.ask(db, batch);
        self.hangs |= matches!(done, Err(Failure::Hangs));
        done
    }

    fn ask(&self, db: &Db, batch: u64) -> Result<(), Failure> {
        if self.hangs {
            return Err(Failure::Hangs);
        }
        let (reply, answer) = channel();
        let request = Request { db: db.clone(), batch, reply };
        if self.requests.as_ref().is_none_or(|requests| requests.try_send(request).is_err()) {
            return Err(Failure::Hangs);
        }
        for _ in 0..PATIENCE {
            match answer.recv_timeout(WAKE) {
                Ok(done) => return done,
                Err(RecvTimeoutError::Disconnected) => return Err(Failure::Hangs),
                Err(RecvTimeoutError::Timeout) => wake(db.clone()),
            }
        }
        Err(Failure::Hangs)
    }
}

/// A second flush finds the error that the first was not told of, and wakes it.
fn wake(db: Db) {
    // Without a thread the flush is only waited for.
    let _ = thread::Builder::new().spawn(move || guarded(|| Ok(db.flush()?)).is_ok());
}

impl Drop for Flusher {
    fn drop(&mut self) {
        drop(self.requests.take());
        // One that hangs is left behind.
        if let Some(thread) = self.thread.take().filter(|_| !self.hangs) {
            // If it panicked, whoever waited has been told.
            let _ = thread.join();
        }
    }
}

fn serve(requests: &Receiver<Request>, mut files: Files) {
    while let Ok(Request { db, batch, reply }) = requests.recv() {
        let flushed = guarded(|| Ok(db.flush()?));
        // Whoever is told may want to close the database, and no handle must be left.
        drop(db);
        let done = match flushed {
            Err(fault) => Err(Failure::Sled(fault)),
            Ok(_) => files.sync().map_err(Failure::Sync),
        };
        if done.is_ok() {
            files.note(batch);
        }
        // Nobody waits any more: he has given it up.
        let _ = reply.send(done);
    }
}

/// Closes a database. `false` if that does not come to an end: sled's threads may have panicked.
pub(crate) fn close(db: Db) -> bool {
    let (told, closed) = channel();
    let started = thread::Builder::new().spawn(move || {
        let _ = guarded(|| {
            drop(db);
            Ok(())
        });
        let _ = told.send(());
    });
    started.is_ok() && closed.recv_timeout(WAKE * PATIENCE).is_ok()
}
