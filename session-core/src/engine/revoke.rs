//! Ending sessions on purpose: one, all of a subject, all but the current, everyone's.

use super::{Answer, Error, Session, Sessions, look_again};
use crate::lifecycle::{Command, Decision, decide, raise};
use crate::{Actor, End, Epochs, MarkKey, Reason, SessionId, Subject};

/// What became of a revocation.
///
/// ```
/// use session_core::Revoked;
///
/// assert!(!matches!(Revoked::Absent, Revoked::Now(_)));
/// ```
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// It has ended by this.
    Now(End),
    /// It had ended before, and how. A session that time has ended stays expired.
    Already(End),
    /// There is no such session.
    Absent,
}

impl Sessions {
    /// Ends a session by its id. Reads once, writes once; again when another change wins.
    ///
    /// # Errors
    /// The store fails: the session may still live, and the caller must not tell otherwise.
    pub async fn revoke(
        &self,
        id: SessionId,
        reason: Reason,
        actor: Actor,
    ) -> Result<Revoked, Error> {
        let policy = self.policy();
        let patience = self.patience();
        loop {
            let Some(stored) = self.store().load(self.realm(), id).await? else {
                return Ok(Revoked::Absent);
            };
            let command = Command::Revoke { reason: reason.clone(), actor: actor.clone() };
            match decide(&stored.record, &stored.marks, command, &policy, self.now()) {
                Ok(Decision::Write(write)) => {
                    let end = write.record.end.clone();
                    if self.write(write, stored.version).await?.outcome.is_applied() {
                        return Ok(end.map_or(Revoked::Absent, Revoked::Now));
                    }
                }
                Ok(_) => return Ok(Revoked::Absent),
                Err(ended) => {
                    if let Ok(end) = self.write_end(*ended, stored.version).await? {
                        return Ok(Revoked::Already(end));
                    }
                }
            }
            look_again(patience)?;
        }
    }

    /// Ends a session because its holder signs out.
    ///
    /// # Errors
    /// The store fails: the session may still live, and the caller must not tell otherwise.
    pub async fn sign_out(&self, session: &Session) -> Result<Revoked, Error> {
        self.revoke(session.id(), Reason::SignedOut, Actor::Subject).await
    }

    /// Ends all sessions of a subject, those included that are being issued at this moment. Reads once, writes
    /// once, however many they are; effective at their next resume on every node.
    ///
    /// # Errors
    /// The store fails: the sessions may still live, and the caller must not tell otherwise.
    pub async fn revoke_subject(
        &self,
        subject: &Subject,
        reason: Reason,
        actor: Actor,
    ) -> Result<(), Error> {
        self.raise(MarkKey::Subject(subject.clone()), reason, actor).await
    }

    /// Ends every session of the realm. Reads once, writes once; effective at their next resume on every node.
    ///
    /// # Errors
    /// The store fails: the sessions may still live, and the caller must not tell otherwise.
    pub async fn revoke_everyone(&self, reason: Reason, actor: Actor) -> Result<(), Error> {
        self.raise(MarkKey::Realm, reason, actor).await
    }

    async fn raise(&self, key: MarkKey, reason: Reason, actor: Actor) -> Result<(), Error> {
        let policy = self.policy();
        let patience = self.patience();
        loop {
            let mark = match &key {
                MarkKey::Realm => self.store().marks(self.realm(), None).await?.realm,
                MarkKey::Subject(subject) => {
                    self.store().marks(self.realm(), Some(subject)).await?.subject
                }
            };
            let (write, event) =
                raise(key.clone(), &mark, reason.clone(), actor.clone(), &policy, self.now());
            let change = self.change()?.mark(write).event(event);
            if self.commit(&change).await?.outcome.is_applied() {
                return Ok(());
            }
            look_again(patience)?;
        }
    }

    /// Ends all sessions of the session's subject but this one. Reads once, writes once; effective at their next
    /// resume on every node. An anonymous session has no others.
    ///
    /// # Errors
    /// The store fails: the others may still live, and the caller must not tell otherwise.
    pub async fn revoke_others(
        &self,
        session: &Session,
        reason: Reason,
        actor: Actor,
    ) -> Result<Answer<()>, Error> {
        let policy = self.policy();
        let patience = self.patience();
        loop {
            let Some(stored) = self.open(session.id(), session.secret()).await? else {
                return Ok(Answer::Absent);
            };
            let Some(subject) = stored.record.subject.clone() else { return Ok(Answer::Live(())) };
            let now = self.now();
            // The mark is the one that the record was loaded with: a raise in between makes the write fail.
            let (mark, event) = raise(
                MarkKey::Subject(subject),
                &stored.marks.subject,
                reason.clone(),
                actor.clone(),
                &policy,
                now,
            );
            let epoch = mark.raise.as_ref().map_or(stored.marks.subject.epoch, |raise| raise.epoch);
            let epochs = Epochs { subject: epoch, ..stored.record.epochs };
            match decide(&stored.record, &stored.marks, Command::Restamp { epochs }, &policy, now) {
                Ok(Decision::Write(write)) => {
                    let event = event.with_detail("kept", &session.id().to_string());
                    let change = self.change()?.mark(mark).event(event);
                    let change = write.into_change(change, stored.version);
                    if self.commit(&change).await?.outcome.is_applied() {
                        return Ok(Answer::Live(()));
                    }
                }
                Ok(_) => return Ok(Answer::Absent),
                Err(ended) => {
                    if let Ok(end) = self.write_end(*ended, stored.version).await? {
                        return Ok(Answer::Ended(end));
                    }
                }
            }
            look_again(patience)?;
        }
    }
}
