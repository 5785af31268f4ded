//! What is sensitive, over HTTP: proving again who one is, scopes, and a change of credentials.

use std::time::Duration;

use session_core::lifecycle::Deadlines;
use session_core::{
    Access, Actor, Answer, Error, GroupName, Issued, LoginTicket, Proof, Proved, Reason, ScopeName,
    Session, Stamp, Stamped,
};

use super::Exchange;

impl Exchange {
    /// Notes that the holder of the request's session has proved more, and gives the browser a new token. The ticket
    /// is drawn before the credential is checked ([`Exchange::begin_login`]). See
    /// [`Sessions::step_up`](session_core::Sessions::step_up).
    ///
    /// # Errors
    /// As for that; [`Error::Answered`] after [`Exchange::finish`].
    pub async fn step_up(&self, ticket: &LoginTicket, proof: &Proof) -> Result<Proved<()>, Error> {
        match self.held_or_live().await? {
            Answer::Live(session) => {
                self.may_issue()?;
                self.proved(self.sessions().step_up(ticket, &session, proof).await?).await
            }
            gone => Ok(gone.map(|_| ()).into()),
        }
    }

    /// Notes that the holder of the request's session has signed in wholly again, and gives the browser a new token.
    /// The ticket is drawn before the credential is checked ([`Exchange::begin_login`]). See
    /// [`Sessions::reauthenticate`](session_core::Sessions::reauthenticate).
    ///
    /// # Errors
    /// As for that; [`Error::Answered`] after [`Exchange::finish`].
    pub async fn reauthenticate(
        &self,
        ticket: &LoginTicket,
        proof: &Proof,
        groups: Vec<GroupName>,
    ) -> Result<Proved<()>, Error> {
        match self.held_or_live().await? {
            Answer::Live(session) => {
                self.may_issue()?;
                let proved =
                    self.sessions().reauthenticate(ticket, &session, proof, groups).await?;
                self.proved(proved).await
            }
            gone => Ok(gone.map(|_| ()).into()),
        }
    }

    /// Enters a scope with the request's session. See
    /// [`Sessions::enter_scope`](session_core::Sessions::enter_scope).
    ///
    /// # Errors
    /// The store fails.
    pub async fn enter_scope(&self, scope: &ScopeName) -> Result<Access<()>, Error> {
        let session = match self.answer().await? {
            Answer::Live(session) => session,
            gone => return Ok(gone.map(|_| ()).into()),
        };
        Ok(match self.sessions().enter_scope(&session, scope).await? {
            Access::Granted(session) => self.saw(Answer::Live(session)).into(),
            Access::Ended(end) => self.saw(Answer::Ended(end)).into(),
            Access::Absent => self.saw(Answer::Absent).into(),
            Access::NeedsReauth(why) => Access::NeedsReauth(why),
        })
    }

    /// Visits a scope that the request's session is in: for each request to what it guards. A request that is no
    /// sign of its user's presence records no activity there either. See
    /// [`Sessions::visit_scope`](session_core::Sessions::visit_scope).
    ///
    /// # Errors
    /// The store fails.
    pub async fn visit_scope(&self, scope: &ScopeName) -> Result<Access<Deadlines>, Error> {
        let session = match self.answer().await? {
            Answer::Live(session) => session,
            Answer::Ended(end) => return Ok(Access::Ended(end)),
            Answer::Absent => return Ok(Access::Absent),
        };
        let visit = self.state().visit;
        self.sessions().visit_scope(&session, scope, visit).await
    }

    /// Whether the holder of the request's session has proved recently, and well enough, who he is. See
    /// [`Sessions::require`](session_core::Sessions::require).
    ///
    /// # Errors
    /// The store fails.
    pub async fn require(&self, max_age: Duration, level: u8) -> Result<Access<Session>, Error> {
        Ok(match self.answer().await? {
            Answer::Live(session) => match self.sessions().require(&session, max_age, level) {
                Ok(()) => Access::Granted(session),
                Err(why) => Access::NeedsReauth(why),
            },
            Answer::Ended(end) => Access::Ended(end),
            Answer::Absent => Access::Absent,
        })
    }

    /// Sets the credential stamp of the request's subject, because he has changed his password or whatever it is
    /// derived from: his other sessions end, and this one goes on with a new token, which the browser is given. See
    /// [`Sessions::set_stamp`](session_core::Sessions::set_stamp). `false` if there is no live session of a subject,
    /// and nothing was done.
    ///
    /// # Errors
    /// As for that: the other sessions may still live. [`Error::Answered`] after [`Exchange::finish`].
    pub async fn set_stamp(&self, stamp: &Stamp, reason: Reason) -> Result<bool, Error> {
        let Some(session) = self.session().await? else { return Ok(false) };
        let Some(subject) = session.subject() else { return Ok(false) };
        self.may_issue()?;
        let keep = Some(&session);
        match self.sessions().set_stamp(subject, stamp, reason, Actor::Subject, keep).await? {
            Stamped::Changed(Some(issued)) => self.now_holds(&issued),
            Stamped::Unchanged => {}
            // It did not live any more.
            Stamped::Changed(None) => {
                let answer = self.sessions().check(&session).await?;
                let _: Answer<()> = self.saw(answer);
            }
        }
        Ok(true)
    }

    /// What the browser is told of a proof.
    async fn proved(&self, proved: Proved<Issued>) -> Result<Proved<()>, Error> {
        Ok(match proved {
            Proved::Accepted(issued) => {
                #[cfg(feature = "risk")]
                let held = self.state().held.clone();
                self.now_holds(&issued);
                #[cfg(feature = "risk")]
                {
                    self.state().held = held;
                    self.proved_here(&issued).await?;
                }
                Proved::Accepted(())
            }
            Proved::CredentialsChanged => Proved::CredentialsChanged,
            Proved::Ended(end) => self.saw(Answer::Ended(end)).into(),
            Proved::Absent => self.saw(Answer::Absent).into(),
        })
    }
}
