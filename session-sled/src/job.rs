//! What the writer is asked for, and what it answers.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_channel::oneshot;
use session_core::store::{Outcome, Purged, Touch, Touched};
use session_core::{Change, DataWrite, Realm, StoreError, Subject, Timestamp};

use crate::error::Fault;
use crate::reserve::Room;
use crate::view::Pending;
use crate::{commit, purge};

/// A write.
pub(crate) enum Work {
    Commit(Vec<Change>),
    Touch(Vec<Touch>),
    Purge {
        now: Timestamp,
        limit: NonZeroUsize,
    },
    Erase {
        subject: Subject,
        limit: NonZeroUsize,
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

/// A write, for whom it is done, and who waits for it.
pub(crate) struct Job {
    realm: Realm,
    work: Work,
    reply: oneshot::Sender<Result<Done, StoreError>>,
}

impl Job {
    pub(crate) fn new(
        realm: &Realm,
        work: Work,
        reply: oneshot::Sender<Result<Done, StoreError>>,
    ) -> Self {
        Self { realm: realm.clone(), work, reply }
    }

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
