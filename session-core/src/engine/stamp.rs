//! When a password or a role changes: the other sessions end, and the one at hand goes on with a new secret.

use super::{Error, Issued, Session, Sessions};
use crate::engine::resume::handle;
use crate::lifecycle::{Command, Decision, decide, raise};
use crate::store::Stored;
use crate::{
    Actor, Answer, Change, Epochs, MarkKey, Marks, Policy, Reason, SessionToken, Stamp, Subject,
    Timestamp,
};

/// What became of a stamp.
///
/// ```
/// use session_core::Stamped;
///
/// assert!(matches!(Stamped::Unchanged, Stamped::Unchanged));
/// ```
#[must_use]
#[derive(Clone, Debug)]
pub enum Stamped {
    /// The subject had it already: nothing was done.
    Unchanged,
    /// All sessions of the subject have ended; but the kept one, if there was one to keep: it has a new token, and
    /// the old ones open nothing any more.
    Changed(Option<Box<Issued>>),
}

impl Sessions {
    /// Sets a subject's credential stamp: bytes that the application derives from the password hash, the roles, the
    /// version of a key, or whatever a session must not outlive. If it differs from the one before, all sessions of
    /// the subject end at their next resume, on every node, for this reason; and so does a login whose credential
    /// was verified before. The first stamp of a subject differs from none.
    ///
    /// The session in `keep`, the one in which the password was changed, goes on, with a new token
    /// ([`Stamped::Changed`]). If it is another subject's, or does not live any more, none is kept.
    ///
    /// Call it in the application's transaction that changes the credential, or right after: until it is done, the
    /// old sessions live. Called at each login, *before* [`Sessions::begin_login`], it also catches changes that were
    /// made behind the application's back. Reads once, writes once if the stamp differs, whatever the number of
    /// sessions; again when another change wins.
    ///
    /// # Errors
    /// The reason is none to revoke a session. The store or the source of randomness fails: the sessions may still
    /// live, and the caller must not tell otherwise.
    pub async fn set_stamp(
        &self,
        subject: &Subject,
        stamp: &Stamp,
        reason: Reason,
        actor: Actor,
        keep: Option<&Session>,
    ) -> Result<Stamped, Error> {
        super::revoke::check(&reason)?;
        let policy = self.policy();
        let patience = self.patience();
        loop {
            let kept = match keep {
                Some(session) => self.reopen(session).await?,
                None => None,
            };
            let kept = kept.filter(|stored| stored.record.subject.as_ref() == Some(subject));
            // The marks are those that the record was loaded with: a raise in between makes the write fail.
            let marks = match &kept {
                Some(stored) => stored.marks.clone(),
                None => self.store().marks(self.realm(), Some(subject)).await?,
            };
            if marks.subject.stamp.as_ref() == Some(stamp) {
                return Ok(Stamped::Unchanged);
            }
            let now = self.now();
            let key = MarkKey::Subject(subject.clone());
            let (reason, actor) = (reason.clone(), actor.clone());
            let (mut write, event) = raise(key, &marks.subject, reason, actor, &policy, now);
            write.stamp = Some(stamp.clone());
            let epoch = write.raise.as_ref().map_or(marks.subject.epoch, |raise| raise.epoch);
            let change = self.change()?.mark(write);
            let (change, issued) = match kept {
                Some(stored) => {
                    let event = event.with_detail("kept", &stored.record.id.to_string());
                    self.keep(change.event(event), stored, &marks, epoch, &policy, now)?
                }
                None => (change.event(event), None),
            };
            if self.commit(&change).await?.decided_once()?.is_applied() {
                return Ok(Stamped::Changed(issued.map(Box::new)));
            }
            super::look_again(patience)?;
        }
    }

    /// Issues the kept session anew in the same change, if it lives.
    fn keep(
        &self,
        change: Change,
        mut stored: Stored,
        marks: &Marks,
        epoch: u64,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<(Change, Option<Issued>), Error> {
        let token = SessionToken::new(stored.record.id, self.random())?;
        let command = Command::Restamp {
            epochs: Epochs { subject: epoch, ..stored.record.epochs },
            secret: Some(token.hash(self.realm())),
        };
        let Ok(Decision::Write(write)) = decide(&stored.record, marks, command, policy, now) else {
            return Ok((change, None));
        };
        stored.record = (*write.record).clone();
        stored.marks.subject.epoch = epoch;
        let change = write.into_change(change, stored.version);
        let session = match handle(stored, policy, now) {
            Answer::Live(session) => session,
            Answer::Ended(_) | Answer::Absent => return Ok((change, None)),
        };
        Ok((change, Some(Issued { token, session })))
    }
}
