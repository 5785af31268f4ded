//! Proving more, or everything anew, in a session that lives.

use super::resume::handle;
use super::{Answer, Error, Issued, LoginTicket, Session, Sessions, look_again};
use crate::lifecycle::{Command, Decision, decide};
use crate::{Authentication, End, GroupName, SessionToken};

/// What became of a proof.
///
/// ```
/// use session_core::Proved;
///
/// let refused: Proved<u8> = Proved::CredentialsChanged;
/// assert_eq!(refused.accepted(), None);
/// ```
#[must_use]
#[derive(Clone, Debug)]
pub enum Proved<T> {
    /// It counts, and here is what came of it.
    Accepted(T),
    /// All sessions of the subject or of the realm were ended since the ticket was drawn, or it was drawn for
    /// another subject or in another realm: what was verified proves nothing here.
    CredentialsChanged,
    /// The session has ended.
    Ended(End),
    /// There is no such session, or the handle has lost its authority.
    Absent,
}

impl<T> Proved<T> {
    /// What came of it, if it counts.
    pub fn accepted(self) -> Option<T> {
        match self {
            Self::Accepted(value) => Some(value),
            Self::CredentialsChanged | Self::Ended(_) | Self::Absent => None,
        }
    }
}

impl<T> From<Answer<T>> for Proved<T> {
    fn from(answer: Answer<T>) -> Self {
        match answer {
            Answer::Live(value) => Self::Accepted(value),
            Answer::Ended(end) => Self::Ended(end),
            Answer::Absent => Self::Absent,
        }
    }
}

/// How a holder proves again who he is.
///
/// ```
/// use session_core::Proof;
///
/// let by_code = Proof::new("otp").level(2);
/// ```
#[derive(Clone, Debug)]
pub struct Proof {
    method: String,
    level: u8,
}

impl Proof {
    /// A proof by a method, in the application's words: `password`, `passkey`, `otp`. It is cut to 64 bytes.
    pub fn new(method: &str) -> Self {
        Self { method: method.to_owned(), level: 0 }
    }

    /// Says which authenticator assurance level it reached (NIST SP 800-63B-4).
    #[must_use]
    pub fn level(mut self, level: u8) -> Self {
        self.level = level;
        self
    }
}

impl Sessions {
    /// Notes that the holder of a session has proved more: another method, a higher level. He gets a new
    /// token, and the old ones open nothing any more (ASVS 5.0, 7.2.4). No deadline moves.
    ///
    /// The ticket is drawn before the credential is checked, as for a login. Reads once, writes once; again when
    /// another change wins.
    ///
    /// # Errors
    /// The store or the source of randomness fails. If the outcome is unknown, either token may be the one.
    pub async fn step_up(
        &self,
        ticket: &LoginTicket,
        session: &Session,
        proof: &Proof,
    ) -> Result<Proved<Issued>, Error> {
        self.prove(ticket, session, proof, None).await
    }

    /// Notes that the holder of a session has signed in wholly again: both deadlines begin anew, under the
    /// limits of today and of his groups of today, and what he proved before is forgotten (NIST SP 800-63B-4, 5.2).
    /// The session keeps its id and its data, and gets a new token; the old ones open nothing any more.
    ///
    /// The ticket is drawn before the credential is checked, as for a login. Reads once, writes once; again when
    /// another change wins.
    ///
    /// # Errors
    /// The store or the source of randomness fails. If the outcome is unknown, either token may be the one.
    pub async fn reauthenticate(
        &self,
        ticket: &LoginTicket,
        session: &Session,
        proof: &Proof,
        groups: Vec<GroupName>,
    ) -> Result<Proved<Issued>, Error> {
        self.prove(ticket, session, proof, Some(groups)).await
    }

    async fn prove(
        &self,
        ticket: &LoginTicket,
        session: &Session,
        proof: &Proof,
        anew: Option<Vec<GroupName>>,
    ) -> Result<Proved<Issued>, Error> {
        let policy = self.policy();
        let patience = self.patience();
        loop {
            let Some(mut stored) = self.reopen(session).await? else { return Ok(Proved::Absent) };
            let own = ticket.is_of(self.realm(), stored.record.subject.as_ref());
            let now = self.now();
            let token = SessionToken::new(session.id(), self.random())?;
            let secret = token.hash(self.realm());
            let authentication = Authentication::new(&proof.method, proof.level, now);
            let command = match anew.clone() {
                Some(groups) => Command::Reauthenticate { authentication, secret, groups },
                None => Command::StepUp { authentication, secret },
            };
            match decide(&stored.record, &stored.marks, command, &policy, now) {
                // The session may be the one that a change of credentials has kept: that it lives proves nothing.
                Ok(_) if !own || !ticket.holds_under(&stored.marks) => {
                    return Ok(Proved::CredentialsChanged);
                }
                Ok(Decision::Write(write)) => {
                    let record = write.record.clone();
                    if self.write(write, stored.version).await?.decided_once()?.is_applied() {
                        stored.record = *record;
                        let answer = handle(stored, &policy, now);
                        return Ok(answer.map(|session| Issued { token, session }).into());
                    }
                }
                Ok(_) => return Ok(Proved::Absent),
                Err(ended) => {
                    if let Ok(end) = self.write_end(*ended, stored.version).await? {
                        return Ok(Proved::Ended(end));
                    }
                }
            }
            look_again(patience)?;
        }
    }
}
