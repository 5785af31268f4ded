//! The one thread that flushes.
//!
//! Not sled's `flush_async`, which locks up under load (spacejam/sled#1308). And not the thread that writes: when
//! a write of sled's fails in one of its own threads, whoever flushes is not always woken to be told. So the
//! flush has a thread of its own, is waited for with patience, and woken by another flush if it takes too long.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel, sync_channel,
};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use session_core::{StoreError, StoreErrorKind};
use sled::Db;

use crate::error::{self, Fault, guarded};
use crate::files::Files;

/// Makes durable what was applied.
pub(crate) struct Flusher {
    disk: Arc<dyn Disk>,
    requests: Option<SyncSender<Request>>,
    thread: Option<JoinHandle<Files>>,
    /// The answer that was not waited for any longer.
    late: Option<Receiver<Answer>>,
}

/// What a flush does; tests have one that fails.
pub(crate) trait Disk: Send + Sync {
    /// Flushes sled.
    fn flush(&self, db: &Db) -> Result<(), Fault> {
        guarded(|| Ok(db.flush().map(drop)?))
    }

    /// Hands to the disk what was flushed.
    fn sync(&self, files: &mut Files) -> io::Result<()> {
        files.sync()
    }

    /// How long a flush may take before it is woken.
    fn wake_after(&self) -> Duration {
        WAKE
    }
}

/// The disk as it is.
pub(crate) struct RealDisk;

impl Disk for RealDisk {}

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
    reply: Sender<Answer>,
}

type Answer = Result<(), Failure>;

/// More than any flush was ever seen to take that came to its end.
pub(crate) const WAKE: Duration = Duration::from_secs(2);

/// How often it is woken before it is given up.
const PATIENCE: u32 = 15;

impl Flusher {
    pub(crate) fn start(
        path: &Path,
        files: Files,
        disk: Arc<dyn Disk>,
    ) -> Result<Self, StoreError> {
        let (requests, taken) = sync_channel(1);
        let its_disk = Arc::clone(&disk);
        let thread = thread::Builder::new()
            .name("session-sled flush".to_owned())
            .spawn(move || serve(&taken, files, &*its_disk))
            .map_err(|failed| {
                error::at(StoreErrorKind::Unavailable, path, "no thread can be started")
                    .with_source(failed)
            })?;
        Ok(Self { disk, requests: Some(requests), thread: Some(thread), late: None })
    }

    /// Returns when all that is applied is durable, and notes the number of the last batch.
    pub(crate) fn flush(&mut self, db: &Db, batch: u64) -> Result<(), Failure> {
        if self.hangs() {
            return Err(Failure::Hangs);
        }
        let (reply, answer) = channel();
        let request = Request { db: db.clone(), batch, reply };
        if self.requests.as_ref().is_none_or(|requests| requests.try_send(request).is_err()) {
            return Err(Failure::Hangs);
        }
        for _ in 0..PATIENCE {
            match answer.recv_timeout(self.disk.wake_after()) {
                Ok(done) => return done,
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => wake(Arc::clone(&self.disk), db.clone()),
            }
        }
        self.late = Some(answer);
        Err(Failure::Hangs)
    }

    /// Whether a flush that was given up has still not come to its end.
    pub(crate) fn hangs(&mut self) -> bool {
        let hangs = |late: &Receiver<Answer>| matches!(late.try_recv(), Err(TryRecvError::Empty));
        self.late.take_if(|late| !hangs(late));
        self.late.is_some()
    }

    /// Ends the thread, and gives back the files. None if it hangs: then it is left behind.
    pub(crate) fn stop(mut self) -> Option<Files> {
        self.end()
    }

    fn end(&mut self) -> Option<Files> {
        drop(self.requests.take());
        let thread = self.thread.take();
        // If it panicked, whoever waited has been told.
        if self.hangs() { None } else { thread?.join().ok() }
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.end();
    }
}

/// A second flush finds the error that the first was not told of, and wakes it.
fn wake(disk: Arc<dyn Disk>, db: Db) {
    // Without a thread the flush is only waited for.
    let _ = thread::Builder::new().spawn(move || disk.flush(&db).is_ok());
}

fn serve(requests: &Receiver<Request>, mut files: Files, disk: &dyn Disk) -> Files {
    while let Ok(Request { db, batch, reply }) = requests.recv() {
        let flushed = disk.flush(&db);
        // Whoever is told may want to close the database, and no handle must be left.
        drop(db);
        let done = match flushed {
            Err(fault) => Err(Failure::Sled(fault)),
            Ok(()) => disk.sync(&mut files).map_err(Failure::Sync),
        };
        if done.is_ok() {
            files.note(batch);
        }
        // Nobody may wait any more.
        let _ = reply.send(done);
    }
    files
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

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use super::*;
    use crate::open;
    use crate::options::SledOptions;

    fn opened() -> (tempfile::TempDir, Db, Files) {
        let directory = tempfile::tempdir().unwrap();
        let opened = open::open(&SledOptions::new(directory.path())).unwrap();
        (directory, opened.db, opened.files)
    }

    /// How many flushes have begun, and how many have to before any comes to its end.
    #[derive(Default)]
    struct Gate {
        begun: Mutex<(u32, u32)>,
        moved: Condvar,
    }

    impl Gate {
        fn opens_at(&self, begun: u32) {
            self.begun.lock().unwrap().1 = begun;
            self.moved.notify_all();
        }
    }

    impl Disk for Gate {
        fn flush(&self, _: &Db) -> Result<(), Fault> {
            let mut begun = self.begun.lock().unwrap();
            begun.0 += 1;
            self.moved.notify_all();
            let _gone = self.moved.wait_while(begun, |(begun, wanted)| begun < wanted).unwrap();
            Ok(())
        }

        fn wake_after(&self) -> Duration {
            match self.begun.lock().unwrap().1 {
                u32::MAX => Duration::from_millis(1),
                2 => Duration::from_millis(100),
                _ => WAKE,
            }
        }
    }

    #[test]
    fn a_flush_that_sleeps_is_woken_by_a_second() {
        let (directory, db, files) = opened();
        let gate = Arc::new(Gate::default());
        gate.opens_at(2);
        let mut flusher = Flusher::start(directory.path(), files, gate.clone()).unwrap();
        assert!(flusher.flush(&db, 7).is_ok());
        assert!(!flusher.hangs());
        let mut files = flusher.stop().unwrap();
        assert_eq!(files.noted().unwrap().batch, 7);
    }

    #[test]
    fn a_flush_that_was_given_up_may_come_to_its_end_all_the_same() {
        let (directory, db, files) = opened();
        let gate = Arc::new(Gate::default());
        gate.opens_at(u32::MAX);
        let mut flusher = Flusher::start(directory.path(), files, gate.clone()).unwrap();
        assert!(matches!(flusher.flush(&db, 1), Err(Failure::Hangs)));
        assert!(flusher.hangs());
        assert!(matches!(flusher.flush(&db, 1), Err(Failure::Hangs)));
        gate.opens_at(0);
        while flusher.hangs() {
            thread::yield_now();
        }
        assert!(flusher.flush(&db, 2).is_ok());
        assert!(flusher.stop().is_some());
    }

    #[test]
    fn one_that_hangs_is_left_behind() {
        let (directory, db, files) = opened();
        let gate = Arc::new(Gate::default());
        gate.opens_at(u32::MAX);
        let mut flusher = Flusher::start(directory.path(), files, gate.clone()).unwrap();
        assert!(matches!(flusher.flush(&db, 1), Err(Failure::Hangs)));
        assert!(flusher.stop().is_none());
        gate.opens_at(0);
    }
}
