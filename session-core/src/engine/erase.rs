//! All that is kept about a subject: taken out, or removed.

use std::num::NonZeroUsize;

use super::{Error, SessionInfo, Sessions, Swept, look_again};
use crate::lifecycle::standing;
use crate::store::{BadRow, EventQuery, Events, ListQuery, StoredEvent};
use crate::{Actor, EncodedData, Reason, Subject};

/// What was removed of a subject.
///
/// ```
/// assert!(session_core::Erased::default().damaged.is_empty());
/// ```
#[derive(Debug, Default)]
pub struct Erased {
    /// Sessions that lived until then.
    pub ended: usize,
    /// Sessions that were removed.
    pub sessions: usize,
    /// Events that were removed.
    pub events: usize,
    /// Sessions that cannot be read, and are still there: mend or remove them by hand.
    pub damaged: Vec<BadRow>,
}

/// All that is kept about a subject.
///
/// ```
/// assert!(session_core::Export::default().sessions.is_empty());
/// ```
#[derive(Debug, Default)]
pub struct Export {
    /// His sessions, those included whose tombstones are still kept; each with its data as JSON, if it has any.
    pub sessions: Vec<(SessionInfo, Option<EncodedData>)>,
    /// His events, oldest first.
    pub events: Vec<StoredEvent>,
    /// Sessions that cannot be read.
    pub damaged: Vec<BadRow>,
}

/// Rows that are read or removed at once.
const BATCH: NonZeroUsize = const { NonZeroUsize::new(500).unwrap() };

impl Sessions {
    /// Ends all sessions of a subject, and removes them, his events and his mark: all that is kept about him. A
    /// login whose credential was checked before it fails; one that begins later is kept like any other.
    ///
    /// Not removed is what names him elsewhere: as the operator in another's events. What the store's own log and
    /// backups hold, and for how long, its documentation says.
    ///
    /// Reads and writes in proportion to what there is, 500 rows at a time.
    ///
    /// # Errors
    /// The store fails. What was removed until then stays removed; call it again.
    pub async fn erase(&self, subject: &Subject, actor: Actor) -> Result<Erased, Error> {
        let mut erased = Erased::default();
        self.revoke_subject(subject, Reason::SubjectDisabled, actor).await?;
        let patience = self.patience();
        loop {
            let mut swept = Swept::default();
            self.write_ends(subject, &mut swept).await?;
            erased.ended += swept.ended;
            erased.damaged = swept.damaged;
            if swept.left == 0 {
                break;
            }
            // Another change got hold of some of them first: they are looked at again.
            look_again(patience)?;
        }
        loop {
            let removed = self.store().erase(self.realm(), subject, BATCH).await?;
            erased.sessions += removed.records;
            erased.events += removed.events;
            if !removed.more {
                return Ok(erased);
            }
        }
    }

    /// Writes down the ends of a subject's sessions that have ended.
    async fn write_ends(&self, subject: &Subject, swept: &mut Swept) -> Result<(), Error> {
        let policy = self.policy();
        let query =
            ListQuery { subject: Some(subject.clone()), limit: BATCH, ..ListQuery::default() };
        let mut after = None;
        loop {
            let scan = self.store().list(self.realm(), &query, after.as_ref()).await?;
            self.settle_rows(scan.rows, self.now(), &policy, swept).await?;
            after = scan.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Takes out all that is kept about a subject: his sessions with their data, and his events. Nothing in it
    /// opens a session.
    ///
    /// Reads in proportion to what there is: each session once, and 500 rows at a time. It is no snapshot: what
    /// changes meanwhile may be in it or not.
    ///
    /// # Errors
    /// The store fails.
    pub async fn export(&self, subject: &Subject) -> Result<Export, Error> {
        let policy = self.policy();
        let mut export = Export::default();
        let query = ListQuery { subject: Some(subject.clone()), with_ended: true, limit: BATCH };
        let mut after = None;
        loop {
            let scan = self.store().list(self.realm(), &query, after.as_ref()).await?;
            for row in scan.rows {
                let id = match row {
                    Ok(stored) => stored.record.id,
                    Err(bad) => {
                        export.damaged.push(bad);
                        continue;
                    }
                };
                if let Some(stored) = self.store().load(self.realm(), id).await? {
                    let stands = standing(&stored.record, &stored.marks, &policy, self.now());
                    let info = SessionInfo::of(stored.record, stands);
                    export.sessions.push((info, stored.data));
                }
            }
            after = scan.next;
            if after.is_none() {
                break;
            }
        }
        let query =
            EventQuery { subject: Some(subject.clone()), limit: BATCH, ..EventQuery::default() };
        let mut after = None;
        loop {
            match self.store().events(self.realm(), &query, after.as_ref()).await? {
                Events::Page(page) => {
                    export.events.extend(page.events);
                    after = page.next;
                    if !page.more {
                        return Ok(export);
                    }
                }
                // Some were purged meanwhile, at their age: the rest is read from the start.
                Events::CursorExpired => {
                    export.events.clear();
                    after = None;
                }
            }
        }
    }
}
