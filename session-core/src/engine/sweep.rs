//! Writing down what time and marks have ended, and removing what has been kept long enough.

use std::num::NonZeroUsize;

use super::{Error, Sessions};
use crate::lifecycle::{Command, Decision, Standing, decide, standing};
use crate::store::{BadRow, Outcome, Row, Scan};
use crate::{Change, Policy, Reschedule, SessionId, Settle, StoreErrorKind, Timestamp};

/// What a sweep has done.
///
/// ```
/// assert!(!session_core::Swept::default().more);
/// ```
#[derive(Debug, Default)]
pub struct Swept {
    /// Sessions whose end was written down.
    pub ended: usize,
    /// Sessions that were due, and that use has kept alive.
    pub kept: usize,
    /// Sessions that another change got hold of first.
    pub left: usize,
    /// Tombstones that were removed.
    pub purged: usize,
    /// Events that were removed.
    pub purged_events: usize,
    /// Rows that cannot be read, or that the store does not write.
    pub damaged: Vec<BadRow>,
    /// Whether the limit was reached, so that there may be more to do.
    pub more: bool,
}

/// Rows that are read and changed at once.
const BATCH: usize = 500;

impl Sessions {
    /// Removes tombstones and events that have been kept long enough, and writes down the ends that time and
    /// marks have brought: at most `limit` rows of each kind.
    ///
    /// The application calls it, once a minute for example, on any number of nodes at once; nothing else does.
    /// No session is alive because it was not called; but until it is, nothing is removed, and an end that nobody
    /// comes upon is not told of.
    ///
    /// It waits for the policy's `max_clock_skew`, so that no node's fast clock ends what lives by another's.
    /// A row that cannot be read or written is reported, counts for nothing and blocks nothing. One write to
    /// purge, two reads and a write for each 500 rows, one write for each of them if the store refuses one,
    /// and one to note that nothing is left of what marks have ended.
    ///
    /// # Errors
    /// The store fails, or refuses all of up to 500 rows that it was to write. Each of the three parts is tried
    /// even so; what was done stays done, and the first error is answered.
    pub async fn sweep(&self, limit: NonZeroUsize) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        // A full store takes no more ends until something is removed.
        let purged = self.purge(limit, &mut swept).await;
        let due = self.sweep_due(limit, &mut swept).await;
        let marks = self.sweep_marks(limit, &mut swept).await;
        purged.and(due).and(marks)?;
        Ok(swept)
    }

    async fn purge(&self, limit: NonZeroUsize, swept: &mut Swept) -> Result<(), Error> {
        let purged = self.store().purge(self.realm(), self.now(), limit).await?;
        swept.purged = purged.records;
        swept.purged_events = purged.events;
        swept.more |= purged.more;
        Ok(())
    }

    async fn sweep_due(&self, limit: NonZeroUsize, swept: &mut Swept) -> Result<(), Error> {
        let policy = self.policy();
        let mut after = None;
        let mut left = limit.get();
        while let Some(batch) = NonZeroUsize::new(left.min(BATCH)) {
            let by = self.now() - policy.max_clock_skew();
            let scan = self.store().due(self.realm(), by, after.as_ref(), batch).await?;
            after.clone_from(&scan.next);
            left = left.saturating_sub(self.settle_rows(scan.rows, by, &policy, swept).await?);
            if after.is_none() {
                return Ok(());
            }
        }
        swept.more = true;
        Ok(())
    }

    async fn sweep_marks(&self, limit: NonZeroUsize, swept: &mut Swept) -> Result<(), Error> {
        let policy = self.policy();
        let mut after = None;
        let mut unsettled = Vec::new();
        let mut left = limit.get();
        let missed_before = swept.left + swept.damaged.len();
        while let Some(batch) = NonZeroUsize::new(left.min(BATCH)) {
            let found = self.store().below_epoch(self.realm(), after.as_ref(), batch).await?;
            unsettled.extend(found.unsettled);
            let Scan { rows, next } = found.scan;
            let by = self.now() - policy.max_clock_skew();
            left = left.saturating_sub(self.settle_rows(rows, by, &policy, swept).await?);
            after = next;
            if after.is_none() {
                // Only a walk that ended everything it found may say that nothing is left.
                if swept.left + swept.damaged.len() == missed_before && !unsettled.is_empty() {
                    swept.more |= unsettled.len() >= limit.get().min(BATCH);
                    let settles = unsettled.into_iter().map(|(key, epoch)| Settle { key, epoch });
                    let change = settles.fold(self.change()?, Change::settle);
                    self.commit(&change).await?;
                }
                return Ok(());
            }
        }
        swept.more = true;
        Ok(())
    }

    /// Ends what has ended by `by`, and reschedules what still lives. Answers how many rows count: damaged ones
    /// stay where they are, and if they counted, as many as the limit would block what is behind them for ever.
    pub(super) async fn settle_rows(
        &self,
        rows: Vec<Row>,
        by: Timestamp,
        policy: &Policy,
        swept: &mut Swept,
    ) -> Result<usize, Error> {
        let (found, damaged) = (rows.len(), swept.damaged.len());
        let mut ends = Vec::new();
        let mut moves = Vec::new();
        for row in rows {
            let stored = match row {
                Ok(stored) => stored,
                Err(bad) => {
                    swept.damaged.push(bad);
                    continue;
                }
            };
            let (id, version) = (stored.record.id, stored.version);
            match standing(&stored.record, &stored.marks, policy, by) {
                Standing::Ended(_) => {
                    let decided =
                        decide(&stored.record, &stored.marks, Command::Expire, policy, self.now());
                    if let Err(ended) = decided
                        && let Some(tombstone) = ended.tombstone
                    {
                        ends.push((id, tombstone.into_change(self.change()?, version)));
                    }
                }
                Standing::Live { .. } => {
                    if let Ok(Decision::Reschedule(due_at)) =
                        decide(&stored.record, &stored.marks, Command::Expire, policy, by)
                    {
                        let reschedule = Reschedule { id, expected: version, due_at };
                        moves.push((id, self.change()?.reschedule(reschedule)));
                    }
                }
            }
        }
        let ending = ends.len();
        let (ids, changes): (Vec<_>, Vec<_>) = ends.into_iter().chain(moves).unzip();
        if !changes.is_empty() {
            let outcomes = self.commit_all(&ids, &changes, swept).await?;
            let applied = |some: &[Option<Outcome>]| {
                some.iter().flatten().filter(|outcome| outcome.is_applied()).count()
            };
            let (ended, kept) = outcomes.split_at(ending.min(outcomes.len()));
            swept.ended += applied(ended);
            swept.kept += applied(kept);
            swept.left += outcomes.iter().flatten().count() - applied(&outcomes);
        }
        Ok(found - (swept.damaged.len() - damaged))
    }

    /// Carries out each change, and each alone if the store refuses them together for what a row holds: one that
    /// it refuses even so is damaged, and has no outcome. If it refuses all of them, it is not for one row.
    async fn commit_all(
        &self,
        ids: &[SessionId],
        changes: &[Change],
        swept: &mut Swept,
    ) -> Result<Vec<Option<Outcome>>, Error> {
        match self.store().commit_each(self.realm(), changes).await {
            Ok(outcomes) => {
                for (change, outcome) in changes.iter().zip(&outcomes) {
                    if outcome.is_applied() {
                        self.inner.hooks.tell(change);
                    }
                }
                return Ok(outcomes.into_iter().map(Some).collect());
            }
            Err(error) if changes.len() == 1 || !is_of_a_row(error.kind()) => {
                return Err(error.into());
            }
            Err(_) => {}
        }
        let mut outcomes = Vec::with_capacity(changes.len());
        let mut refused = Vec::new();
        for (id, change) in ids.iter().zip(changes) {
            match self.commit(change).await {
                Ok(sent) => outcomes.push(Some(sent.outcome)),
                Err(Error::Store(error)) if is_of_a_row(error.kind()) => {
                    outcomes.push(None);
                    refused.push(BadRow { id: Some(*id), error });
                }
                Err(error) => return Err(error),
            }
        }
        if refused.len() == changes.len()
            && let Some(BadRow { error, .. }) = refused.pop()
        {
            return Err(error.into());
        }
        swept.damaged.extend(refused);
        Ok(outcomes)
    }
}

/// Whether a failure may be that of one row: all others are the store's own, and trying each row would not help.
fn is_of_a_row(kind: StoreErrorKind) -> bool {
    matches!(kind, StoreErrorKind::Corrupt | StoreErrorKind::Unsupported | StoreErrorKind::Invalid)
}
