//! Why a session ended, who ended it, and when.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{NameError, State, Subject, Timestamp};

/// The end of a session. It is written once, and kept with the tombstone.
///
/// ```
/// use session_core::{Actor, End, Reason, State, Timestamp};
///
/// let end = End {
///     reason: Reason::SignedOut,
///     actor: Actor::Subject,
///     at: Timestamp::from_millis(1_000),
///     observed_at: Timestamp::from_millis(1_000),
///     purge_at: Timestamp::from_millis(86_401_000),
/// };
/// assert_eq!(end.state(), State::Revoked);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Why.
    pub reason: Reason,
    /// Who did it.
    pub actor: Actor,
    /// The true instant: for an expiry the deadline, for a revocation the moment it took effect.
    pub at: Timestamp,
    /// When the engine noticed and wrote it down. Never before [`End::at`].
    pub observed_at: Timestamp,
    /// From when on the tombstone may be removed.
    pub purge_at: Timestamp,
}

impl End {
    /// The terminal state that this end is.
    pub fn state(&self) -> State {
        self.reason.state()
    }
}

/// Why a session ended.
///
/// Its text ([`Reason::code`]) is stable: stores, events and exports keep it.
///
/// ```
/// use session_core::Reason;
///
/// assert_eq!(Reason::SignedOut.code(), "signed_out");
/// assert_eq!(Reason::from_code("signed_out"), Ok(Reason::SignedOut));
/// assert_eq!(Reason::from_code("x_fraud").unwrap().code(), "x_fraud");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Nobody used it for the idle timeout.
    IdleTimeout,
    /// It reached the absolute timeout.
    AbsoluteTimeout,
    /// Its holder signed out.
    SignedOut,
    /// Its owner ended it from another of his sessions.
    EndedByOwner,
    /// An administrator ended it.
    EndedByAdministrator,
    /// A newer session of the same subject took its place under a limit.
    Superseded,
    /// A login replaced it: the anonymous session that it came from, or the one signed in before.
    Replaced,
    /// The password or another credential of its subject changed.
    CredentialsChanged,
    /// The roles of its subject changed.
    RoleChanged,
    /// The account of its subject was closed.
    SubjectDisabled,
    /// Everyone of the realm was signed out.
    EveryoneRevoked,
    /// A secret that had been replaced was presented again: two hold the token.
    ReuseDetected,
    /// It broke a rule of the application.
    PolicyViolation,
    /// It looked as if somebody else were using it.
    RiskDetected,
    /// The application restarted and keeps no session over a restart.
    Restarted,
    /// A reason of the application's own. Use [`Reason::from_code`]: one with the text of a reason of ours is
    /// refused as [`Error::NotARevocation`](crate::Error::NotARevocation).
    Other(ReasonCode),
}

impl Reason {
    /// The stable text of the reason.
    pub fn code(&self) -> &str {
        match self {
            Self::Other(code) => code.as_str(),
            known => NAMED.iter().find(|(reason, _)| reason == known).map_or("", |(_, code)| code),
        }
    }

    /// The reason with this text. A text that names none of ours is a reason of the application's own, so
    /// that a node of an older version can read what a newer one wrote.
    ///
    /// # Errors
    /// The text is empty, longer than 64 bytes, or not of ASCII letters, digits, `-`, `_` and `.`.
    pub fn from_code(code: &str) -> Result<Self, NameError> {
        match NAMED.iter().find(|(_, known)| *known == code) {
            Some((reason, _)) => Ok(reason.clone()),
            None => ReasonCode::new(code).map(Self::Other),
        }
    }

    /// Whether a session can be ended on purpose for this reason. An own reason with the text of one of ours is
    /// read back as ours.
    pub(crate) fn revokes(&self) -> bool {
        self.state() == State::Revoked && Self::from_code(self.code()).as_ref() == Ok(self)
    }

    /// The terminal state of a session that ended for this reason.
    pub fn state(&self) -> State {
        match self {
            Self::IdleTimeout => State::IdleExpired,
            Self::AbsoluteTimeout => State::AbsoluteExpired,
            _ => State::Revoked,
        }
    }
}

const NAMED: [(Reason, &str); 15] = [
    (Reason::IdleTimeout, "idle_timeout"),
    (Reason::AbsoluteTimeout, "absolute_timeout"),
    (Reason::SignedOut, "signed_out"),
    (Reason::EndedByOwner, "ended_by_owner"),
    (Reason::EndedByAdministrator, "ended_by_administrator"),
    (Reason::Superseded, "superseded"),
    (Reason::Replaced, "replaced"),
    (Reason::CredentialsChanged, "credentials_changed"),
    (Reason::RoleChanged, "role_changed"),
    (Reason::SubjectDisabled, "subject_disabled"),
    (Reason::EveryoneRevoked, "everyone_revoked"),
    (Reason::ReuseDetected, "reuse_detected"),
    (Reason::PolicyViolation, "policy_violation"),
    (Reason::RiskDetected, "risk_detected"),
    (Reason::Restarted, "restarted"),
];

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        Self::from_code(&code).map_err(serde::de::Error::custom)
    }
}

/// Who ended a session or caused an event.
///
/// ```
/// use session_core::{Actor, Subject};
///
/// let actor = Actor::Operator(Subject::new("root").unwrap());
/// assert_eq!(actor.code(), "operator:root");
/// assert_eq!(Actor::from_code("operator:root"), Ok(actor));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Actor {
    /// The engine itself, carrying out the policy.
    System,
    /// The holder of the session.
    Subject,
    /// Somebody else, by name: an administrator, a support agent, a service.
    Operator(Subject),
}

impl Actor {
    /// The stable text of the actor: `system`, `subject`, or `operator:` and the name as it is. For stores and
    /// exports; [`fmt::Display`] is for people, and escapes control characters in the name.
    pub fn code(&self) -> Cow<'static, str> {
        match self {
            Self::System => "system".into(),
            Self::Subject => "subject".into(),
            Self::Operator(name) => format!("{OPERATOR}{}", name.as_str()).into(),
        }
    }

    /// The actor with this text, as [`Actor::code`] tells it.
    ///
    /// # Errors
    /// The text is neither `system`, nor `subject`, nor `operator:` and a name.
    pub fn from_code(code: &str) -> Result<Self, NameError> {
        match code {
            "system" => Ok(Self::System),
            "subject" => Ok(Self::Subject),
            other => {
                let name = other.strip_prefix(OPERATOR).ok_or(NameError::Empty)?;
                Subject::new(name).map(Self::Operator)
            }
        }
    }
}

const OPERATOR: &str = "operator:";

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::Subject => f.write_str("subject"),
            Self::Operator(name) => write!(f, "{OPERATOR}{name}"),
        }
    }
}

impl Serialize for Actor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.code())
    }
}

impl<'de> Deserialize<'de> for Actor {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        Self::from_code(&code).map_err(serde::de::Error::custom)
    }
}

pub use crate::name::ReasonCode;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_is_read_back_whatever_he_is_called() {
        let actor = Actor::Operator(Subject::new("a\nb").unwrap());
        assert_eq!(Actor::from_code(&actor.code()), Ok(actor));
    }

    #[test]
    fn every_reason_has_a_text_of_its_own() {
        for (reason, code) in &NAMED {
            assert_eq!(reason.code(), *code);
            assert_eq!(Reason::from_code(code).as_ref(), Ok(reason));
        }
        let mut codes: Vec<_> = NAMED.iter().map(|(_, code)| code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), NAMED.len());
    }

    #[test]
    fn hostile_texts_are_no_actors() {
        for code in ["", "root", "operator:", "operator:a\0b", "System"] {
            assert!(Actor::from_code(code).is_err(), "{code:?}");
        }
    }
}
