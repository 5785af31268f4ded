//! What becomes of a request that looks as if somebody else were using the session.

use std::collections::BTreeSet;

use session_core::{Actor, Answer, DataError, Error, Issued, Reason, Revoked, Session};

use super::{Effect, Exchange, Gate};
use crate::risk::{Sight, Verdict, Watch};

/// A session that is held back until its holder proves again who he is.
///
/// ```
/// use session_engine::exchange::{Exchange, StepUpAsked};
///
/// /// What a sign-in page tells somebody whose session is held back.
/// fn words(asked: &StepUpAsked) -> String {
///     let whose = asked.session.subject().map_or("nobody", |subject| subject.as_str());
///     format!("Is that you, {whose}? Please enter your password again.")
/// }
/// ```
#[derive(Clone, Debug)]
pub struct StepUpAsked {
    /// The session, which goes on when its holder has proved himself.
    pub session: Session,
    /// What was noticed about this request, by stable names; empty if it is an earlier one that was asked for it.
    pub noticed: BTreeSet<String>,
}

impl Gate {
    /// The same, and each request of a live session is watched. It wants a gate that
    /// [looks at clients](Gate::with_client), and observes until the watch is told to enforce.
    ///
    /// When it enforces, a session that is to end ends with [`Reason::RiskDetected`], and one whose holder is to prove
    /// himself is held back: [`Exchange::session`] finds none, nothing is written to it, and nothing anonymous begins in
    /// its place. What knows of it asks [`Exchange::step_up_asked`], and lets the holder
    /// [prove himself](Exchange::step_up), [sign in wholly](Exchange::reauthenticate), or sign out.
    #[must_use]
    pub fn with_risk(mut self, watch: Watch) -> Self {
        self.watch = Some(watch);
        self
    }
}

impl Exchange {
    /// Whether the request's session is held back until its holder proves again who he is, and why.
    ///
    /// # Errors
    /// The store fails, as for [`Exchange::session`].
    pub async fn step_up_asked(&self) -> Result<Option<StepUpAsked>, Error> {
        let _: Answer<Session> = self.answer().await?;
        Ok(self.state().held.clone())
    }

    /// What the watch makes of a live session: the session, or nothing while it is held back.
    pub(super) async fn watched(&self, session: Session) -> Result<Answer<Session>, Error> {
        let Some((watch, sight)) = self.sight() else { return Ok(Answer::Live(session)) };
        let (session, step) = match watch.look(self.sessions(), &session, &sight).await {
            Ok(Answer::Live(looked)) => looked,
            Ok(Answer::Ended(end)) => return Ok(Answer::Ended(end)),
            Ok(Answer::Absent) => return Ok(Answer::Absent),
            // The application has filled the session: it is judged by what is known, and nothing is learned.
            Err(Error::Data(DataError::TooLarge { .. } | DataError::ValueTooLarge { .. })) => {
                let now = self.sessions().now();
                let step = watch.step(session.record(), session.data()?, &sight, now);
                (session, step)
            }
            Err(error) => return Err(error),
        };
        match step.verdict {
            Verdict::Allow => Ok(Answer::Live(session)),
            Verdict::StepUp => {
                let noticed = step.assessment.noticed;
                self.state().held = Some(StepUpAsked { session, noticed });
                Ok(Answer::Absent)
            }
            Verdict::End => {
                let (reason, actor) = (Reason::RiskDetected, Actor::System);
                Ok(match self.sessions().revoke(session.id(), reason, actor).await? {
                    Revoked::Now(end) | Revoked::Already(end) => Answer::Ended(end),
                    Revoked::Absent => Answer::Absent,
                })
            }
        }
    }

    /// The session that the request has, held back or not.
    pub(super) async fn held_or_live(&self) -> Result<Answer<Session>, Error> {
        let answer = self.answer().await?;
        Ok(match self.state().held.clone() {
            Some(held) => Answer::Live(held.session),
            None => answer,
        })
    }

    /// The holder has proved himself with this request, and his browser has been given a new token: what it shows is
    /// what the session is held against from now on.
    pub(super) async fn proved_here(&self, issued: &Issued) -> Result<(), Error> {
        let Some((watch, sight)) = self.sight() else { return Ok(()) };
        let renewed = watch.renew(self.sessions(), &issued.session, &sight).await;
        let mut state = self.state();
        match renewed {
            Ok(answer) => {
                state.held = None;
                // The token is out whatever has become of the session meanwhile.
                if let (Answer::Live(session), Effect::Issue(issued)) = (&answer, &mut state.effect)
                {
                    issued.session = session.clone();
                }
                state.answer = Some(answer);
                Ok(())
            }
            // There is no room for what is known: nothing is held against anybody then.
            Err(Error::Data(DataError::TooLarge { .. } | DataError::ValueTooLarge { .. })) => {
                state.held = None;
                Ok(())
            }
            Err(error) => {
                if state.held.is_some() {
                    state.answer = Some(Answer::Absent);
                }
                Err(error)
            }
        }
    }

    fn sight(&self) -> Option<(&Watch, Sight)> {
        let gate = &self.inner.gate;
        let (watch, config, seen) = (gate.watch.as_ref()?, gate.client.as_ref()?, self.seen()?);
        Some((watch, watch.sight(seen, config)))
    }
}
