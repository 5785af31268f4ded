//! A token comes in.

use super::{Answer, Error, Session, Sessions, look_again};
use crate::lifecycle::{Command, Decision, Renewal, Standing, decide, renewal, standing};
use crate::store::{Stored, Touched};
use crate::{End, Policy, Salt, SessionToken, Timestamp};

/// How a token is presented.
///
/// ```
/// use session_core::Visit;
///
/// // A websocket that asks whether its session still lives, and can carry no cookie.
/// let poll = Visit::default().passive().keeping_token();
/// assert_ne!(poll, Visit::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Visit {
    passive: bool,
    keeps_token: bool,
}

impl Visit {
    /// By a request that is no sign of its user's presence, such as polling or a prefetch: it records no
    /// activity.
    #[must_use]
    pub fn passive(mut self) -> Self {
        self.passive = true;
        self
    }

    pub(super) fn is_passive(self) -> bool {
        self.passive
    }

    /// By a request whose response can carry no new token, such as the opening of a websocket: it is sent none.
    #[must_use]
    pub fn keeping_token(mut self) -> Self {
        self.keeps_token = true;
        self
    }
}

impl Sessions {
    /// Presents a token: the live session that it opens, or the reason why it does not.
    ///
    /// Reads once. Writes nothing, except: the first presentation, which makes the session active; activity,
    /// once in a touch interval; a step of a timed rotation, two in a rotation interval, each with a second
    /// read; an end by time, which is written down before it is answered.
    ///
    /// If the policy's class rotates secrets, look at [`Session::successor`]: a token to send to the client.
    ///
    /// # Errors
    /// The store fails. The caller must fail closed, and not go on as if there were no session.
    pub async fn resume(&self, token: &SessionToken) -> Result<Answer<Session>, Error> {
        self.resume_as(token, Visit::default()).await
    }

    /// The same for a request of another kind.
    ///
    /// # Errors
    /// The store fails, as for [`Sessions::resume`].
    pub async fn resume_as(
        &self,
        token: &SessionToken,
        visit: Visit,
    ) -> Result<Answer<Session>, Error> {
        let secret = token.hash(self.realm());
        let policy = self.policy();
        let patience = self.patience();
        loop {
            let Some((mut stored, by)) = self.open(token.id(), &secret).await? else {
                return Ok(Answer::Absent);
            };
            let now = self.now();
            let renewal = renewal(&stored.record, by, !visit.keeps_token, &policy, now);
            let command = match renewal {
                Renewal::Promote => Command::Promote,
                Renewal::Reused => Command::Reuse,
                Renewal::Keep | Renewal::Mint | Renewal::Resend(_) => {
                    Command::Resume { passive: visit.passive }
                }
            };
            match decide(&stored.record, &stored.marks, command, &policy, now) {
                Ok(Decision::Nothing | Decision::Reschedule(_)) => {
                    if let Some(answer) = self.renewed(token, stored, renewal, &policy, now).await?
                    {
                        return Ok(answer);
                    }
                }
                Ok(Decision::Touch(touch)) => match self.touch(touch).await? {
                    Touched::NotLive => {}
                    touched => {
                        if touched == Touched::Touched {
                            stored.record.last_seen_at = touch.seen_at;
                        }
                        if let Some(answer) =
                            self.renewed(token, stored, renewal, &policy, now).await?
                        {
                            return Ok(answer);
                        }
                    }
                },
                Ok(Decision::Write(write)) => {
                    let record = write.record.clone();
                    if self.write(write, stored.version).await?.outcome.is_applied() {
                        match renewal {
                            // It is the current one now, and what else the request means is decided on that.
                            Renewal::Promote => continue,
                            _ => {
                                stored.record = *record;
                                return Ok(handle(stored, &policy, now));
                            }
                        }
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

    /// The handle of a live session, and with it the new token that is due to its holder. `None` if another
    /// change won.
    async fn renewed(
        &self,
        token: &SessionToken,
        mut stored: Stored,
        renewal: Renewal,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<Option<Answer<Session>>, Error> {
        let salt = match renewal {
            Renewal::Resend(salt) => salt,
            Renewal::Mint => Salt::new(self.random())?,
            Renewal::Keep | Renewal::Promote | Renewal::Reused => {
                return Ok(Some(handle(stored, policy, now)));
            }
        };
        let successor = token.successor(self.realm(), &salt);
        if renewal == Renewal::Mint {
            let command = Command::Mint { secret: successor.hash(self.realm()), salt };
            let Ok(Decision::Write(write)) =
                decide(&stored.record, &stored.marks, command, policy, now)
            else {
                return Ok(None);
            };
            let record = write.record.clone();
            // It leaves this process only when it is written down.
            if !self.write(write, stored.version).await?.outcome.is_applied() {
                return Ok(None);
            }
            stored.record = *record;
        }
        Ok(Some(handle(stored, policy, now).map(|session| session.with_successor(successor))))
    }

    /// Looks at a session again without its token: for a handler that outlives its request. Reads once, writes
    /// nothing.
    ///
    /// It lives whatever its secret is by now; but the handle that is answered has no more authority than the one
    /// that was passed: what a hard rotation has closed to that one stays closed.
    ///
    /// # Errors
    /// The store fails.
    pub async fn check(&self, session: &Session) -> Result<Answer<Session>, Error> {
        let Some(mut stored) = self.store().load(self.realm(), session.id()).await? else {
            return Ok(Answer::Absent);
        };
        stored.record.rotation.generation = session.generation();
        Ok(handle(stored, &self.policy(), self.now()))
    }

    /// Tells the holder of a token how its session ended: `None` if it lives, or if it is not his. Answers as
    /// long as the tombstone is kept. Reads once, writes nothing.
    ///
    /// # Errors
    /// The store fails.
    pub async fn why_ended(&self, token: &SessionToken) -> Result<Option<End>, Error> {
        let secret = token.hash(self.realm());
        let Some((stored, _)) = self.open(token.id(), &secret).await? else { return Ok(None) };
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
