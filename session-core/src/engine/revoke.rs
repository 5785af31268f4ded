//! Ending sessions on purpose: one, all of a subject, all but the current, everyone's.

use super::{Answer, Error, Session, Sessions};
use crate::lifecycle::{Command, Decision, decide, raise, state};
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
    /// Ends a session by its id: the administrator's call. Reads once, writes once; again when another change
    /// wins.
    ///
    /// An id is no secret, and nothing here asks whose session it is: check who asks. To end a session for its
    /// owner, use [`Sessions::end_own`].
    ///
    /// # Errors
    /// The reason is none to revoke a session. The store fails: the session may still live, and the caller must not tell otherwise.
    pub async fn revoke(
        &self,
        id: SessionId,
        reason: Reason,
        actor: Actor,
    ) -> Result<Revoked, Error> {
        check(&reason)?;
        let policy = self.policy();
        let mut tries = self.tries();
        let answer = async {
            loop {
                let Some(stored) = self.store().load(self.realm(), id).await? else {
                    return Ok(Revoked::Absent);
                };
                let command = Command::Revoke { reason: reason.clone(), actor: actor.clone() };
                match decide(&stored.record, &stored.marks, command, &policy, self.now()) {
                    Ok(Decision::Write(write)) => {
                        let end = write.record.end.clone();
                        if tries.applied(self.write(write, stored.version).await?) {
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
                tries.look_again()?;
            }
        }
        .await;
        tries.conclude(answer)
    }

    /// Ends a session because its holder signs out.
    ///
    /// # Errors
    /// The store fails: the session may still live, and the caller must not tell otherwise.
    pub async fn sign_out(&self, session: &Session) -> Result<Revoked, Error> {
        self.revoke(session.id(), Reason::SignedOut, Actor::Subject).await
    }

    /// Ends a session for its owner, who holds another one or this one: from a list of his devices.
    ///
    /// Answers [`Revoked::Absent`] if his own session does not live any more, and if the other is not of his
    /// subject: which of both is nobody's business. An anonymous session has no others. Reads three times,
    /// writes once; again when another change wins.
    ///
    /// # Errors
    /// The store fails: the session may still live, and the caller must not tell otherwise.
    pub async fn end_own(&self, session: &Session, id: SessionId) -> Result<Revoked, Error> {
        let Some(own) = self.reopen(session).await? else {
            return Ok(Revoked::Absent);
        };
        if !state(&own.record, &own.marks, &self.policy(), self.now()).is_live() {
            return Ok(Revoked::Absent);
        }
        if id != session.id() {
            // Whose a session is never changes: what is true of it here is true when it ends.
            let other = self.store().load(self.realm(), id).await?;
            let subject = other.and_then(|other| other.record.subject);
            if subject.is_none() || subject != own.record.subject {
                return Ok(Revoked::Absent);
            }
        }
        self.revoke(id, Reason::EndedByOwner, Actor::Subject).await
    }

    /// Ends all sessions of a subject, those included that are being issued at this moment. Reads once, writes
    /// once, however many they are; effective at their next resume on every node.
    ///
    /// # Errors
    /// The reason is none to revoke a session. The store fails: the sessions may still live, and the caller must not tell otherwise.
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
    /// The reason is none to revoke a session. The store fails: the sessions may still live, and the caller must not tell otherwise.
    pub async fn revoke_everyone(&self, reason: Reason, actor: Actor) -> Result<(), Error> {
        self.raise(MarkKey::Realm, reason, actor).await
    }

    /// Ends every session of the realm because the application has started again and keeps none over a restart: to be
    /// called when it starts, before the first request. Sessions survive a restart otherwise, on every store that is
    /// durable. Reads once, writes once.
    ///
    /// It is for a store that one process has for itself. Where several share one, the restart of one of them is no
    /// reason to sign out the users of the others: let an operator's command call [`Sessions::revoke_everyone`] with
    /// [`Reason::Restarted`] instead.
    ///
    /// # Errors
    /// [`Error::SharedStore`] if [`SessionStore::is_shared`](crate::SessionStore::is_shared), and nothing was changed. The
    /// store fails: sessions from before may still live, and the application must not start.
    pub async fn end_all_of_last_run(&self) -> Result<(), Error> {
        if self.store().is_shared() {
            return Err(Error::SharedStore);
        }
        self.revoke_everyone(Reason::Restarted, Actor::System).await
    }

    async fn raise(&self, key: MarkKey, reason: Reason, actor: Actor) -> Result<(), Error> {
        check(&reason)?;
        let policy = self.policy();
        let mut tries = self.tries();
        let answer = async {
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
                if tries.applied(self.commit(&change).await?) {
                    return Ok(());
                }
                tries.look_again()?;
            }
        }
        .await;
        tries.conclude(answer)
    }

    /// Ends all sessions of the session's subject but this one. Reads once, writes once; effective at their next
    /// resume on every node. An anonymous session has no others.
    ///
    /// # Errors
    /// The reason is none to revoke a session. The store fails: the others may still live, and the caller must not tell otherwise.
    pub async fn revoke_others(
        &self,
        session: &Session,
        reason: Reason,
        actor: Actor,
    ) -> Result<Answer<()>, Error> {
        check(&reason)?;
        let policy = self.policy();
        let mut tries = self.tries();
        let answer = async {
            loop {
                let Some(stored) = self.reopen(session).await? else {
                    return Ok(Answer::Absent);
                };
                let Some(subject) = stored.record.subject.clone() else {
                    return Ok(Answer::Live(()));
                };
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
                let epoch =
                    mark.raise.as_ref().map_or(stored.marks.subject.epoch, |raise| raise.epoch);
                let epochs = Epochs { subject: epoch, ..stored.record.epochs };
                match decide(
                    &stored.record,
                    &stored.marks,
                    Command::Restamp { epochs, secret: None },
                    &policy,
                    now,
                ) {
                    Ok(Decision::Write(write)) => {
                        let event = event.with_detail("kept", &session.id().to_string());
                        let change = self.change()?.mark(mark).event(event);
                        let change = write.into_change(change, stored.version);
                        if tries.applied(self.commit(&change).await?) {
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
                tries.look_again()?;
            }
        }
        .await;
        tries.conclude(answer)
    }
}

/// Checks a reason before anything is read: what time brings cannot be told of what time has not ended.
pub(super) fn check(reason: &Reason) -> Result<(), Error> {
    if reason.revokes() { Ok(()) } else { Err(Error::NotARevocation(reason.clone())) }
}
