//! A token comes in.

use super::{Answer, Error, Session, Sessions, look_again};
use crate::lifecycle::{Command, Decision, Standing, decide, standing};
use crate::store::{Stored, Touched};
use crate::{End, Policy, SessionToken, Timestamp};

impl Sessions {
    /// Presents a token: the live session that it opens, or the reason why it does not.
    ///
    /// Reads once. Writes nothing, except: the first presentation, which makes the session active; activity,
    /// once in a touch interval; an end by time, which is written down before it is answered.
    ///
    /// # Errors
    /// The store fails. The caller must fail closed, and not go on as if there were no session.
    pub async fn resume(&self, token: &SessionToken) -> Result<Answer<Session>, Error> {
        self.present(token, false).await
    }

    /// The same for a request that is no sign of its user's presence, such as polling or a prefetch: it
    /// records no activity.
    ///
    /// # Errors
    /// The store fails, as for [`Sessions::resume`].
    pub async fn resume_passively(&self, token: &SessionToken) -> Result<Answer<Session>, Error> {
        self.present(token, true).await
    }

    async fn present(&self, token: &SessionToken, passive: bool) -> Result<Answer<Session>, Error> {
        let secret = token.hash(self.realm());
        let policy = self.policy();
        let patience = self.patience();
        loop {
            let Some(mut stored) = self.open(token.id(), &secret).await? else {
                return Ok(Answer::Absent);
            };
            let now = self.now();
            let command = Command::Resume { passive };
            match decide(&stored.record, &stored.marks, command, &policy, now) {
                Ok(Decision::Nothing | Decision::Reschedule(_)) => {
                    return Ok(handle(stored, &policy, now));
                }
                Ok(Decision::Touch(touch)) => {
                    match self.touch(touch).await? {
                        Touched::Touched => stored.record.last_seen_at = touch.seen_at,
                        Touched::Fresh => {}
                        Touched::NotLive => {
                            look_again(patience)?;
                            continue;
                        }
                    }
                    return Ok(handle(stored, &policy, now));
                }
                Ok(Decision::Write(write)) => {
                    let record = write.record.clone();
                    if self.write(write, stored.version).await?.outcome.is_applied() {
                        stored.record = *record;
                        return Ok(handle(stored, &policy, now));
                    }
                }
                Err(ended) => {
                    if let Ok(end) = self.write_end(*ended, stored.version).await? {
                        return Ok(Answer::Ended(end));
                    }
                }
            }
            look_again(patience)?;
        }
    }

    /// Looks at a session again without its token: for a handler that outlives its request. Reads once, writes
    /// nothing.
    ///
    /// It lives whatever its secret is by now; but the handle that is answered holds the same secret as the one
    /// that was passed, and no more authority: what asks for the secret stays closed to it after a rotation.
    ///
    /// # Errors
    /// The store fails.
    pub async fn check(&self, session: &Session) -> Result<Answer<Session>, Error> {
        let Some(mut stored) = self.store().load(self.realm(), session.id()).await? else {
            return Ok(Answer::Absent);
        };
        stored.record.secret = *session.secret();
        Ok(handle(stored, &self.policy(), self.now()))
    }

    /// Tells the holder of a token how its session ended: `None` if it lives, or if it is not his. Answers as
    /// long as the tombstone is kept. Reads once, writes nothing.
    ///
    /// # Errors
    /// The store fails.
    pub async fn why_ended(&self, token: &SessionToken) -> Result<Option<End>, Error> {
        let secret = token.hash(self.realm());
        let Some(stored) = self.open(token.id(), &secret).await? else { return Ok(None) };
        match standing(&stored.record, &stored.marks, &self.policy(), self.now()) {
            Standing::Live { .. } => Ok(None),
            Standing::Ended(end) => Ok(Some(end)),
        }
    }
}

/// The handle of a stored session, or its end.
pub(super) fn handle(stored: Stored, policy: &Policy, now: Timestamp) -> Answer<Session> {
    match standing(&stored.record, &stored.marks, policy, now) {
        Standing::Live { deadlines, .. } => {
            Answer::Live(Session::new(stored.record, deadlines, stored.data))
        }
        Standing::Ended(end) => Answer::Ended(end),
    }
}
