//! One batch for a group of writes, and what is done when it fails.

use std::sync::Arc;

use session_core::{StoreError, StoreErrorKind};
use sled::Db;

use crate::error::{self, Fault, guarded};
use crate::files::Files;
use crate::flush::{self, Failure, Flusher};
use crate::shared::Shared;
use crate::view::{self, Pending, Writes};
use crate::writer::{Done, Job};
use crate::{keys, migrate, open, rows};

/// Carries out groups of writes, one after the other.
pub(crate) struct Transactions {
    shared: Arc<Shared>,
    flusher: Flusher,
    /// The number of the last batch that is durable.
    batch: u64,
    /// A batch of which nobody knows whether it was carried out, since the database cannot be opened.
    open_question: Option<Question>,
}

/// What a batch was to write, and what stood there before.
struct Question {
    writes: Writes,
    before: Writes,
}

/// What became of a batch that failed.
enum Verdict {
    /// It was carried out all the same.
    Done,
    /// Nothing of it was.
    Nothing,
    Unknown,
}

impl Transactions {
    pub(crate) fn new(shared: &Arc<Shared>, files: Files) -> Result<Self, StoreError> {
        let path = &shared.options.path;
        let batch =
            shared.read(|view| migrate::last_batch(path, view.tree).map_err(Fault::Store))?;
        let flusher = Flusher::start(path, files)?;
        Ok(Self { shared: Arc::clone(shared), flusher, batch, open_question: None })
    }

    /// One batch and one flush for the whole group. A member that cannot be carried out fails alone, before
    /// anything is written; if the batch fails, it fails for all.
    pub(crate) fn carry_out(&mut self, mut group: Vec<Job>) {
        let db = match self.database() {
            Ok(db) => db,
            Err(failed) => {
                let failed = Arc::new(failed);
                for job in group {
                    job.answer(Err(self.closed(&failed)));
                }
                return;
            }
        };
        let (mut writes, done) = self.work_out(&db, &group);
        let durable = group.iter().zip(&done).any(|(job, done)| job.is_durable() && done.is_ok());
        if writes.is_empty() {
            return answer(group, done);
        }
        let batch = self.batch + 1;
        if durable {
            let number = rows::seal(keys::BATCH, &[&batch.to_be_bytes()]);
            writes.insert(keys::BATCH.to_vec(), Some(number.into()));
        }
        let before = match guarded(|| view::before(&db, &writes)) {
            Ok(before) => before,
            // What one of them writes to cannot be read.
            Err(fault) if group.len() == 1 => {
                if let Some(job) = group.pop() {
                    job.answer(Err(fault.tell(&self.shared.options.path)));
                }
                return;
            }
            Err(_) => return group.into_iter().for_each(|job| self.carry_out(vec![job])),
        };
        match self.write(&db, &writes, before, durable.then_some(batch)) {
            Ok(()) => answer(group, done),
            Err(failure) => {
                // No handle may be left when the database is closed.
                drop(db);
                let verdict = self.recover(writes, &failure);
                for (job, done) in group.into_iter().zip(done) {
                    let done = match (&verdict, done) {
                        (_, Err(error)) => Err(error),
                        (Verdict::Done, Ok(done)) => Ok(done),
                        (Verdict::Nothing, Ok(_)) => Err(self.failed(&failure)),
                        (Verdict::Unknown, Ok(_)) => Err(self.unknown()),
                    };
                    job.answer(done);
                }
            }
        }
    }

    /// Closes the database, for good.
    pub(crate) fn close(self) {
        if let Some(db) = self.shared.change(|state| state.db.take()) {
            flush::close(db);
        }
    }

    /// What each member answers, and what all of them write together: each sees what those before it have done.
    fn work_out(&self, db: &Db, group: &[Job]) -> (Writes, Vec<Result<Done, StoreError>>) {
        let options = &self.shared.options;
        // What is not known is no reason to refuse anything.
        let room = fs2::available_space(&options.path).is_ok_and(|free| free < options.min_free);
        let mut pending = Pending::new(db);
        let mut done = Vec::with_capacity(group.len());
        for job in group {
            if room && job.needs_room() {
                done.push(Err(error::at(
                    StoreErrorKind::StorageFull,
                    &options.path,
                    "there is hardly any room left; make some",
                )));
                continue;
            }
            pending.savepoint();
            let one = guarded(|| job.run(&mut pending)).map_err(|fault| fault.tell(&options.path));
            if one.is_err() {
                pending.take_back();
            }
            done.push(one);
        }
        (pending.into_writes(), done)
    }

    /// Applies a batch, and makes it durable if it has a number. Until then, readers see what was before.
    fn write(
        &mut self,
        db: &Db,
        writes: &Writes,
        before: Writes,
        number: Option<u64>,
    ) -> Result<(), Failure> {
        let batch = view::batch(writes);
        self.shared.change(|state| {
            state.before = before;
            guarded(|| Ok(db.apply_batch(batch)?)).map_err(Failure::Sled)?;
            if number.is_none() {
                state.before.clear();
            }
            Ok(())
        })?;
        if let Some(number) = number {
            self.flusher.flush(db, number)?;
            self.batch = number;
            let before = self.shared.change(|state| std::mem::take(&mut state.before));
            drop(before);
        }
        Ok(())
    }

    /// sled takes no more writes after an error, until it is opened again. Then it is seen what became of the
    /// batch; and as an error in the midst of it may have left a part, the rest is taken back.
    fn recover(&mut self, writes: Writes, failure: &Failure) -> Verdict {
        let (db, before) =
            self.shared.change(|state| (state.db.take(), std::mem::take(&mut state.before)));
        if let Some(db) = db {
            flush::close(db);
        }
        self.open_question = Some(Question { writes, before });
        match self.reopen() {
            // A sync that failed once may answer well the next time, with nothing on the disk.
            _ if failure.is_for_good() => Verdict::Unknown,
            Ok(true) => Verdict::Done,
            Ok(false) => Verdict::Nothing,
            Err(_) => Verdict::Unknown,
        }
    }

    /// The database; opened again, if it was closed after an error.
    fn database(&mut self) -> Result<Db, StoreError> {
        let open = |shared: &Shared| shared.change(|state| state.db.clone());
        if let Some(db) = open(&self.shared) {
            return Ok(db);
        }
        self.reopen()?;
        open(&self.shared).ok_or_else(|| self.unknown())
    }

    /// Opens the database and answers the open question: whether that batch was carried out.
    fn reopen(&mut self) -> Result<bool, StoreError> {
        let path = self.shared.options.path.clone();
        let db = open::database(&self.shared.options)?;
        migrate::migrate(&path, &db)?;
        let carried_out = match &self.open_question {
            None => Ok(false),
            Some(question) => guarded(|| question.answer(&db)),
        };
        let carried_out = carried_out.map_err(|fault| fault.tell(&path))?;
        let number = migrate::last_batch(&path, &db)?;
        match self.flusher.flush(&db, number) {
            Ok(()) => {}
            Err(failure) => {
                flush::close(db);
                return Err(self.failed(&failure));
            }
        }
        self.batch = number;
        self.open_question = None;
        self.shared.change(|state| {
            state.before.clear();
            state.db = Some(db);
        });
        Ok(carried_out)
    }

    fn closed(&self, why: &Arc<StoreError>) -> StoreError {
        error::at(
            why.kind(),
            &self.shared.options.path,
            "it was closed after an error, and cannot be opened again yet",
        )
        .with_source(Arc::clone(why))
    }

    fn unknown(&self) -> StoreError {
        error::at(
            StoreErrorKind::OutcomeUnknown,
            &self.shared.options.path,
            "a write failed, and what became of it cannot be seen yet",
        )
    }

    fn failed(&self, failure: &Failure) -> StoreError {
        let path = &self.shared.options.path;
        match failure {
            Failure::Sled(Fault::Sled(failed)) => error::sled(path, failed.clone()),
            Failure::Sled(_) => Fault::Panic.tell(path),
            Failure::Sync(failed) => {
                Fault::from(std::io::Error::new(failed.kind(), failed.to_string())).tell(path)
            }
            Failure::Hangs => error::at(
                StoreErrorKind::Unavailable,
                path,
                "sled does not come to an end with a write; restart the program",
            ),
        }
    }
}

impl Question {
    /// Whether the batch was carried out. If only a part of it was, that is taken back.
    fn answer(&self, db: &Db) -> Result<bool, Fault> {
        if view::holds(db, &self.writes)? {
            return Ok(true);
        }
        if !view::holds(db, &self.before)? {
            db.apply_batch(view::batch(&self.before))?;
        }
        Ok(false)
    }
}

fn answer(group: Vec<Job>, done: Vec<Result<Done, StoreError>>) {
    for (job, done) in group.into_iter().zip(done) {
        job.answer(done);
    }
}
