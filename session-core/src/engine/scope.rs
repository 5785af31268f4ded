//! What is sensitive: scopes inside a session, and how fresh a sign-in has to be.

use std::time::Duration;

use super::resume::handle;
use super::{Answer, Error, Session, Sessions, Visit, look_again};
use crate::lifecycle::{
    Command, Deadlines, Decision, ScopeStanding, Standing, decide, fresh, may_enter,
    scope_standing, standing,
};
use crate::store::{Stored, Touched};
use crate::{End, Marks, NeedsReauth, ScopeName};

/// Whether a session may do what is sensitive.
///
/// ```
/// use session_core::{Access, NeedsReauth};
///
/// fn status(access: &Access<()>) -> u16 {
///     match access {
///         Access::Granted(()) => 200,
///         Access::NeedsReauth(_) => 403, // ... and ask for the password
///         Access::Ended(_) | Access::Absent => 401,
///     }
/// }
/// assert_eq!(status(&Access::NeedsReauth(NeedsReauth::NotEntered)), 403);
/// ```
#[must_use]
#[derive(Clone, Debug)]
pub enum Access<T> {
    /// It may.
    Granted(T),
    /// Its holder has to prove again who he is, and why. The session goes on as it is.
    NeedsReauth(NeedsReauth),
    /// The session has ended.
    Ended(End),
    /// There is no such session, or the handle has lost its authority.
    Absent,
}

impl<T> Access<T> {
    /// What was asked for, if it was granted.
    pub fn granted(self) -> Option<T> {
        match self {
            Self::Granted(value) => Some(value),
            Self::NeedsReauth(_) | Self::Ended(_) | Self::Absent => None,
        }
    }
}

impl<T> From<Answer<T>> for Access<T> {
    fn from(answer: Answer<T>) -> Self {
        match answer {
            Answer::Live(value) => Self::Granted(value),
            Answer::Ended(end) => Self::Ended(end),
            Answer::Absent => Self::Absent,
        }
    }
}

impl Sessions {
    /// Enters a scope, or enters it anew: from then on it lives by its own timeouts. Its holder has to have proved
    /// who he is recently and well enough, as the policy says of the scope: with the login, with
    /// [`Sessions::step_up`] or with [`Sessions::reauthenticate`], never by mere activity.
    ///
    /// Reads once, writes once; again when another change wins.
    ///
    /// # Errors
    /// The store fails.
    pub async fn enter_scope(
        &self,
        session: &Session,
        scope: &ScopeName,
    ) -> Result<Access<Session>, Error> {
        let policy = self.policy();
        let mut tries = self.tries();
        let answer = async {
            loop {
                let Some(mut stored) = self.reopen(session).await? else {
                    return Ok(Access::Absent);
                };
                let now = self.now();
                let command = Command::EnterScope { scope: scope.clone() };
                match decide(&stored.record, &stored.marks, command, &policy, now) {
                    Ok(decision) => {
                        if let Err(needs) = may_enter(&stored.record, &policy, scope, now) {
                            return Ok(Access::NeedsReauth(needs));
                        }
                        let Decision::Write(write) = decision else {
                            return Ok(Access::NeedsReauth(NeedsReauth::NoSuchScope));
                        };
                        let record = write.record.clone();
                        // To enter twice is to enter later: what an unknown outcome did harms nobody.
                        if tries.applied(self.write(write, stored.version).await?) {
                            stored.record = *record;
                            return Ok(handle(stored, &policy, now).into());
                        }
                    }
                    Err(ended) => {
                        if let Ok(end) = self.write_end(*ended, stored.version).await? {
                            return Ok(Access::Ended(end));
                        }
                    }
                }
                tries.look_again()?;
            }
        }
        .await;
        tries.conclude(answer)
    }

    /// Visits a scope that the session is in: for each request to what it guards. Until when the scope is open if
    /// nobody visits it again.
    ///
    /// It takes the session as the request's resume has found it, and reads nothing; activity in the scope is
    /// recorded once in a touch interval. A handle that is kept longer is to be [checked](Sessions::check) first.
    ///
    /// # Errors
    /// The store fails.
    pub async fn visit_scope(
        &self,
        session: &Session,
        scope: &ScopeName,
        visit: Visit,
    ) -> Result<Access<Deadlines>, Error> {
        let policy = self.policy();
        let patience = self.patience();
        let mut record = session.record().clone();
        let mut marks = Marks::issued(&record);
        loop {
            let now = self.now();
            let open = match scope_standing(&record, &marks, &policy, scope, now) {
                ScopeStanding::Open { deadlines } => deadlines,
                ScopeStanding::Expired { reason, at } => {
                    return Ok(Access::NeedsReauth(NeedsReauth::ScopeExpired { reason, at }));
                }
                ScopeStanding::NotEntered if policy.scope(scope).is_none() => {
                    return Ok(Access::NeedsReauth(NeedsReauth::NoSuchScope));
                }
                ScopeStanding::NotEntered => {
                    return Ok(Access::NeedsReauth(NeedsReauth::NotEntered));
                }
                ScopeStanding::SessionEnded => {
                    return Ok(match standing(&record, &marks, &policy, now) {
                        Standing::Ended(end) => Access::Ended(end),
                        Standing::Live { .. } => Access::Absent,
                    });
                }
            };
            let command = Command::TouchScope { scope: scope.clone() };
            let decision = decide(&record, &marks, command, &policy, now);
            let Ok(Decision::Touch(touch)) = decision else { return Ok(Access::Granted(open)) };
            if visit.is_passive() {
                return Ok(Access::Granted(open));
            }
            let (slot, seen_at) = (touch.slot, touch.seen_at);
            match self.touch(touch).await? {
                // This visit counts already: it moves the deadline that is told.
                Touched::Touched => {
                    for entry in record.scopes.iter_mut().filter(|entry| entry.slot == slot) {
                        entry.last_seen_at = seen_at;
                    }
                    let stands = scope_standing(&record, &marks, &policy, scope, now);
                    let ScopeStanding::Open { deadlines } = stands else {
                        return Ok(Access::Granted(open));
                    };
                    return Ok(Access::Granted(deadlines));
                }
                Touched::Fresh => return Ok(Access::Granted(open)),
                Touched::NotLive => {}
            }
            // It has ended, or been entered anew: the handle is out of date.
            look_again(patience)?;
            let Some(stored) = self.reopen(session).await? else { return Ok(Access::Absent) };
            Stored { record, marks, .. } = stored;
        }
    }

    /// Whether the holder of a session has proved recently, and well enough, who he is: at most `max_age` ago, at
    /// this level or above. Only an authentication moves its time. Costs no I/O.
    ///
    /// # Errors
    /// What is missing.
    pub fn require(
        &self,
        session: &Session,
        max_age: Duration,
        level: u8,
    ) -> Result<(), NeedsReauth> {
        fresh(session.record(), max_age, level, self.now())
    }
}
