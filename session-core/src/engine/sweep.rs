//! Writing down what time and marks have ended, and removing what has been kept long enough.

use std::num::NonZeroUsize;

use super::{Error, Sessions};
use crate::lifecycle::{Command, Decision, Standing, decide, standing};
use crate::store::{BadRow, Outcome, Row, Scan};
use crate::{Change, Policy, Reschedule, Settle, Timestamp};

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
    /// Rows that cannot be read.
    pub damaged: Vec<BadRow>,
    /// Whether the limit was reached, so that there may be more to do.
    pub more: bool,
}

/// Rows that are read and changed at once.
const BATCH: usize = 500;

impl Sessions {
    /// Writes down the ends that time and marks have brought, and removes tombstones and events that have been
    /// kept long enough: at most `limit` rows of each kind. Any number of nodes may sweep at once. To be called
    /// now and then; nothing is alive because it was not.
    ///
    /// It waits for the policy's `max_clock_skew`, so that no node's fast clock ends what lives by another's.
    /// A row that cannot be read is reported and blocks nothing. Two reads and a write for each 500 rows, and
    /// one write to purge.
    ///
    /// # Errors
    /// The store fails. What was done so far stays done.
    pub async fn sweep(&self, limit: NonZeroUsize) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        self.sweep_due(limit, &mut swept).await?;
        self.sweep_marks(limit, &mut swept).await?;
        let purged = self.store().purge(self.realm(), self.now(), limit).await?;
        swept.purged = purged.records;
        swept.purged_events = purged.events;
        swept.more |= purged.more;
        Ok(swept)
    }

    async fn sweep_due(&self, limit: NonZeroUsize, swept: &mut Swept) -> Result<(), Error> {
        let policy = self.policy();
        let mut after = None;
        let mut left = limit.get();
        while let Some(batch) = NonZeroUsize::new(left.min(BATCH)) {
            let by = self.now() - policy.max_clock_skew();
            let scan = self.store().due(self.realm(), by, after.as_ref(), batch).await?;
            left = left.saturating_sub(readable(&scan.rows));
            after.clone_from(&scan.next);
            self.settle_rows(scan.rows, by, &policy, swept).await?;
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
            left = left.saturating_sub(readable(&rows));
            let by = self.now() - policy.max_clock_skew();
            self.settle_rows(rows, by, &policy, swept).await?;
            after = next;
            if after.is_none() {
                // Only a walk that ended everything it found may say that nothing is left.
                if swept.left + swept.damaged.len() == missed_before && !unsettled.is_empty() {
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

    /// Ends what has ended by `by`, and reschedules what still lives.
    async fn settle_rows(
        &self,
        rows: Vec<Row>,
        by: Timestamp,
        policy: &Policy,
        swept: &mut Swept,
    ) -> Result<(), Error> {
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
                        ends.push(tombstone.into_change(self.change()?, version));
                    }
                }
                Standing::Live { .. } => {
                    if let Ok(Decision::Reschedule(due_at)) =
                        decide(&stored.record, &stored.marks, Command::Expire, policy, by)
                    {
                        let reschedule = Reschedule { id, expected: version, due_at };
                        moves.push(self.change()?.reschedule(reschedule));
                    }
                }
            }
        }
        let ending = ends.len();
        let changes: Vec<Change> = ends.into_iter().chain(moves).collect();
        if changes.is_empty() {
            return Ok(());
        }
        let outcomes = self.store().commit_each(self.realm(), &changes).await?;
        let applied = |some: &[Outcome]| some.iter().filter(|one| one.is_applied()).count();
        let (ended, kept) = outcomes.split_at(ending.min(outcomes.len()));
        swept.ended += applied(ended);
        swept.kept += applied(kept);
        swept.left += outcomes.len() - applied(&outcomes);
        Ok(())
    }
}

/// Rows that cannot be read stay where they are: if they counted, as many as the limit would block what is behind
/// them for ever.
fn readable(rows: &[Row]) -> usize {
    rows.iter().filter(|row| row.is_ok()).count()
}
