//! What happened, for the audit: written in the same commit as the change that it tells of.

use std::collections::BTreeMap;

use crate::record::bounded;
use crate::{Actor, NameError, Reason, ReasonCode, SessionId, Subject, Timestamp};

/// One thing that happened to a session, or to all sessions of a subject or a realm.
///
/// ```
/// use session_core::{Actor, Event, EventKind, Timestamp};
///
/// let now = Timestamp::from_millis(0);
/// let event = Event::new(EventKind::Issued, Actor::System, now).with_detail("address", "192.0.2.7");
/// assert_eq!(event.detail["address"], "192.0.2.7");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// To which session; none if it concerns a subject or a realm.
    pub session: Option<SessionId>,
    /// Whose.
    pub subject: Option<Subject>,
    /// Why, of an end or a raise.
    pub reason: Option<Reason>,
    /// Who caused it.
    pub actor: Actor,
    /// The true instant: of an expiry, the deadline.
    pub at: Timestamp,
    /// When the engine noticed.
    pub observed_at: Timestamp,
    /// From when on it may be removed.
    pub purge_at: Timestamp,
    /// More, by name: short texts without control characters.
    pub detail: BTreeMap<String, String>,
}

impl Event {
    /// An event at `now`, noticed at once, of nobody's and kept for ever.
    pub fn new(kind: EventKind, actor: Actor, now: Timestamp) -> Self {
        Self {
            kind,
            session: None,
            subject: None,
            reason: None,
            actor,
            at: now,
            observed_at: now,
            purge_at: Timestamp::MAX,
            detail: BTreeMap::new(),
        }
    }

    /// The same with a detail. Its name is cut to 64 bytes, its text to 256, both without control
    /// characters.
    #[must_use]
    pub fn with_detail(mut self, name: &str, text: &str) -> Self {
        self.detail.insert(bounded(name, 64).into(), bounded(text, 256).into());
        self
    }
}

/// What happened. Its text ([`EventKind::code`]) is stable.
///
/// ```
/// use session_core::EventKind;
///
/// assert_eq!(EventKind::LoggedIn.code(), "logged_in");
/// assert_eq!(EventKind::from_code("logged_in"), Ok(EventKind::LoggedIn));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// A session was created.
    Issued,
    /// Its token was presented for the first time.
    Activated,
    /// A subject signed in.
    LoggedIn,
    /// It got a new secret.
    Rotated,
    /// A scope was entered.
    ScopeEntered,
    /// Its holder signed in wholly again.
    Reauthenticated,
    /// Its holder proved more: a method or level was added.
    SteppedUp,
    /// A device was seen that was not known.
    DeviceSeen,
    /// A replaced secret was presented again.
    ReuseDetected,
    /// A login was refused.
    LoginDenied,
    /// A session ended.
    Ended,
    /// All sessions of a subject were ended, or all but one.
    SubjectRevoked,
    /// All sessions of the realm were ended.
    RealmRevoked,
    /// Written by a newer version, or by the application.
    Other(ReasonCode),
}

const NAMED: [(EventKind, &str); 13] = [
    (EventKind::Issued, "issued"),
    (EventKind::Activated, "activated"),
    (EventKind::LoggedIn, "logged_in"),
    (EventKind::Rotated, "rotated"),
    (EventKind::ScopeEntered, "scope_entered"),
    (EventKind::Reauthenticated, "reauthenticated"),
    (EventKind::SteppedUp, "stepped_up"),
    (EventKind::DeviceSeen, "device_seen"),
    (EventKind::ReuseDetected, "reuse_detected"),
    (EventKind::LoginDenied, "login_denied"),
    (EventKind::Ended, "ended"),
    (EventKind::SubjectRevoked, "subject_revoked"),
    (EventKind::RealmRevoked, "realm_revoked"),
];

impl EventKind {
    /// The stable text of the kind.
    pub fn code(&self) -> &str {
        match self {
            Self::Other(code) => code.as_str(),
            known => NAMED.iter().find(|(kind, _)| kind == known).map_or("", |(_, code)| code),
        }
    }

    /// The kind with this text.
    ///
    /// # Errors
    /// The text is empty, longer than 64 bytes, or not of ASCII letters, digits, `-`, `_` and `.`.
    pub fn from_code(code: &str) -> Result<Self, NameError> {
        match NAMED.iter().find(|(_, known)| *known == code) {
            Some((kind, _)) => Ok(kind.clone()),
            None => ReasonCode::new(code).map(Self::Other),
        }
    }
}

impl std::fmt::Display for EventKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_text_of_its_own() {
        for (kind, code) in &NAMED {
            assert_eq!(kind.code(), *code);
            assert_eq!(EventKind::from_code(code).as_ref(), Ok(kind));
        }
    }
}
