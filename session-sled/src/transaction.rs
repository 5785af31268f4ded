//! One batch for a group of writes, and what is done when it fails.

use std::sync::Arc;

use session_core::{StoreError, StoreErrorKind};
use sled::Db;

use crate::digest::Tip;
use crate::error::{self, Fault, guarded};
use crate::flush::{self, Failure, Flusher};
use crate::job::{Done, Job};
use crate::options::Verify;
use crate::reserve::{Reserve, no_room};
use crate::shared::Shared;
use crate::view::{self, Pending, View, Writes};
use crate::{keys, migrate, open, undo};

/// Carries out groups of writes, one after the other.
pub(crate) struct Transactions {
    shared: Arc<Shared>,
    flusher: Flusher,
    /// The last batch that is durable.
    tip: Tip,
    /// A batch of which nobody knows whether it was carried out, since the database cannot be opened.
    open_question: Option<Question>,
    reserve: Reserve,
    /// Whether sled has met an error of the disk: from then on it may take no more writes.
    ailing: bool,
    /// Whether nothing has gone wrong since the store was opened, and it was known to be whole then.
    sound: bool,
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
    /// Nobody will ever know.
    Unknown,
    /// It will be known when the database is open again, which it is not for this reason.
    Unseen(Arc<StoreError>),
}

impl Transactions {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        flusher: Flusher,
        sound: bool,
    ) -> Result<Self, StoreError> {
        let tip = shared.read(Tip::of).map_err(|failed| failed.error)?;
        let reserve = Reserve::new(&shared.options.path);
        let shared = Arc::clone(shared);
        Ok(Self { shared, flusher, tip, open_question: None, reserve, ailing: false, sound })
    }

    /// One batch and one flush for the whole group. A member that cannot be carried out fails alone, before
    /// anything is written; if the batch fails, it fails for all.
    pub(crate) fn carry_out(&mut self, mut group: Vec<Job>) {
        let db = match self.database(&group) {
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
        if durable {
            // What stands there before is asked for with the rest.
            writes.insert(keys::BATCH.to_vec(), None);
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
            Err(_) => {
                // No handle may be left when the database is closed.
                drop(db);
                return group.into_iter().for_each(|job| self.carry_out(vec![job]));
            }
        };
        let tip = durable.then(|| self.tip.after(&writes, &before));
        if let Some(tip) = tip {
            writes.insert(keys::BATCH.to_vec(), Some(tip.seal().into()));
        }
        match self.write(&db, &writes, before, tip) {
            Ok(()) => answer(group, done),
            Err(failure) => {
                drop(db);
                let verdict = self.recover(writes, &failure);
                for (job, done) in group.into_iter().zip(done) {
                    let done = match (&verdict, done) {
                        (_, Err(error)) => Err(error),
                        (Verdict::Done, Ok(done)) => Ok(done),
                        (Verdict::Nothing, Ok(_)) => Err(self.failed(&failure)),
                        (Verdict::Unknown, Ok(_)) => Err(self.unknown()),
                        (Verdict::Unseen(why), Ok(_)) => {
                            Err(self.unknown().with_source(Arc::clone(why)))
                        }
                    };
                    job.answer(done);
                }
            }
        }
    }

    /// Closes the database, for good.
    pub(crate) fn close(self) {
        let db = self.shared.change(|state| state.db.take());
        let sound = db.is_some_and(flush::close) && self.sound;
        if let Some(mut files) = self.flusher.stop()
            && sound
        {
            // Without this note, everything is read when it is opened again.
            let _ = files.end(self.tip);
        }
    }

    /// What each member answers, and what all of them write together: each sees what those before it have done.
    fn work_out(&mut self, db: &Db, group: &[Job]) -> (Writes, Vec<Result<Done, StoreError>>) {
        let path = &self.shared.options.path;
        let room = self.reserve.room(&self.shared.options);
        let mut pending = Pending::new(db);
        let mut done = Vec::with_capacity(group.len());
        for job in group {
            if job.needs() > room {
                done.push(Err(no_room(path)));
                continue;
            }
            pending.savepoint();
            let one = guarded(|| job.run(&mut pending));
            if let Err(fault) = &one {
                pending.take_back();
                self.ailing |= fault.is_of_the_disk();
            }
            done.push(one.map_err(|fault| fault.tell(path)));
        }
        (pending.into_writes(), done)
    }

    /// Applies a batch, and makes it durable if it has a tip. Until then, readers see what was before.
    fn write(
        &mut self,
        db: &Db,
        writes: &Writes,
        before: Writes,
        tip: Option<Tip>,
    ) -> Result<(), Failure> {
        let batch = view::batch(writes);
        self.shared.change(|state| {
            state.before = before;
            guarded(|| Ok(db.apply_batch(batch)?)).map_err(Failure::Sled)?;
            if tip.is_none() {
                state.before.clear();
            }
            Ok(())
        })?;
        if let Some(tip) = tip {
            self.flusher.flush(db, tip.number)?;
            self.tip = tip;
            let before = self.shared.change(|state| std::mem::take(&mut state.before));
            drop(before);
        }
        Ok(())
    }

    /// sled takes no more writes after an error, until it is opened again. Then it is seen what became of the
    /// batch; and as an error in the midst of it may have left a part, the rest is taken back.
    fn recover(&mut self, writes: Writes, failure: &Failure) -> Verdict {
        let before = self.shut();
        if self.failed(failure).kind() == StoreErrorKind::StorageFull {
            self.reserve.spend();
        }
        undo::keep(&self.shared.options.path, &before);
        self.open_question = Some(Question { writes, before });
        match self.reopen() {
            // A sync that failed once may answer well the next time, with nothing on the disk.
            _ if failure.is_for_good() => Verdict::Unknown,
            Ok(true) => Verdict::Done,
            Ok(false) => Verdict::Nothing,
            Err(why) => Verdict::Unseen(Arc::new(why)),
        }
    }

    /// The database. After an error it is opened again, for whoever writes; and for a reader who has met an error,
    /// unless that has been tried since.
    fn database(&mut self, group: &[Job]) -> Result<Db, StoreError> {
        let (db, tries) = self.shared.change(|state| (state.db.clone(), state.tries));
        let to_mend = self.ailing || group.iter().any(|job| job.mends() == Some(tries));
        match db {
            Some(db) if !to_mend => return Ok(db),
            None if !to_mend && group.iter().all(|job| job.mends().is_some()) => {
                return Err(self.not_yet());
            }
            // No handle may be left when the database is closed.
            db => drop(db),
        }
        self.shut();
        self.reopen()?;
        self.shared.change(|state| state.db.clone()).ok_or_else(|| self.not_yet())
    }

    /// Closes the database, to be opened again, and returns what readers were shown instead of what is in it.
    fn shut(&mut self) -> Writes {
        self.sound = false;
        let (db, before) = self.shared.change(|state| {
            state.tries += 1;
            (state.db.take(), std::mem::take(&mut state.before))
        });
        if let Some(db) = db {
            flush::close(db);
        }
        before
    }

    /// Opens the database and answers the open question: whether that batch was carried out.
    fn reopen(&mut self) -> Result<bool, StoreError> {
        match self.try_to_open() {
            Err(error) if error.kind() == StoreErrorKind::StorageFull && self.reserve.spend() => {
                self.try_to_open()
            }
            opened => opened,
        }
    }

    fn try_to_open(&mut self) -> Result<bool, StoreError> {
        if self.flusher.hangs() {
            return Err(self.failed(&Failure::Hangs));
        }
        let db = open::database(&self.shared.options)?;
        match self.look_at(&db) {
            Ok((carried_out, tip)) => {
                self.tip = tip;
                self.open_question = None;
                undo::forget(&self.shared.options.path);
                self.ailing = false;
                self.shared.change(|state| {
                    state.before.clear();
                    state.db = Some(db);
                });
                Ok(carried_out)
            }
            Err(error) => {
                flush::close(db);
                Err(error)
            }
        }
    }

    /// Whether a database that was opened again is ours and whole, and what became of the batch in question.
    fn look_at(&mut self, db: &Db) -> Result<(bool, Tip), StoreError> {
        let path = self.shared.options.path.clone();
        guarded(|| Ok(migrate::migrate(&path, db)?)).map_err(|fault| fault.tell(&path))?;
        let carried_out = match &self.open_question {
            None => Ok(false),
            Some(question) => guarded(|| question.answer(db)),
        };
        let carried_out = carried_out.map_err(|fault| fault.tell(&path))?;
        let nothing = Writes::new();
        let view = View { tree: db, over: &nothing };
        let tip = guarded(|| Tip::of(view)).map_err(|fault| fault.tell(&path))?;
        if tip.number < self.tip.number {
            return Err(error::at(
                StoreErrorKind::Corrupt,
                &path,
                "it lacks what was acknowledged; restore it from a copy",
            ));
        }
        if self.shared.options.verify != Verify::Never {
            open::check_sum(&path, view, tip)?;
        }
        self.flusher.flush(db, tip.number).map_err(|failure| self.failed(&failure))?;
        Ok((carried_out, tip))
    }

    fn closed(&self, why: &Arc<StoreError>) -> StoreError {
        error::at(why.kind(), &self.shared.options.path, error::NOT_YET)
            .with_source(Arc::clone(why))
    }

    fn not_yet(&self) -> StoreError {
        error::at(StoreErrorKind::Unavailable, &self.shared.options.path, error::NOT_YET)
    }

    fn unknown(&self) -> StoreError {
        error::at(
            StoreErrorKind::OutcomeUnknown,
            &self.shared.options.path,
            "a write failed, and what became of it cannot be seen",
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
                "a write does not come to its end; check the disk, and restart the program if that does not help",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_half_a_batch_the_rest_is_taken_back() {
        let directory = tempfile::tempdir().unwrap();
        let db = open::database(&crate::SledOptions::new(directory.path())).unwrap();
        let of = |pairs: &[(&str, Option<&str>)]| -> Writes {
            let pair = |(key, value): &(&str, Option<&str>)| {
                (key.as_bytes().to_vec(), value.map(|value| value.as_bytes().into()))
            };
            pairs.iter().map(pair).collect()
        };
        let before = of(&[("a", Some("old")), ("b", None), ("c", Some("old"))]);
        let writes = of(&[("a", Some("new")), ("b", Some("new")), ("c", None)]);
        let question = Question { writes: writes.clone(), before: before.clone() };
        db.apply_batch(view::batch(&before)).unwrap();
        assert!(matches!(question.answer(&db), Ok(false)));
        for half in [of(&[("a", Some("new"))]), of(&[("b", Some("new")), ("c", None)])] {
            db.apply_batch(view::batch(&half)).unwrap();
            assert!(matches!(question.answer(&db), Ok(false)));
            assert!(matches!(view::holds(&db, &before), Ok(true)));
        }
        db.apply_batch(view::batch(&writes)).unwrap();
        assert!(matches!(question.answer(&db), Ok(true)));
        assert!(matches!(view::holds(&db, &writes), Ok(true)));
    }
}
