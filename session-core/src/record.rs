//! A session as a store keeps it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    ClassName, End, GroupName, Limits, Rotation, ScopeName, SecretHash, SessionId, Subject,
    Timestamp,
};

/// A session as a store keeps it: the facts of its life and its owner. Never the secret.
///
/// A record says nothing about time passing: whether it is alive is asked of
/// [`state`](crate::lifecycle::state). Its data and its version stand beside it, in
/// [`Stored`](crate::store::Stored).
///
/// ```
/// use std::time::Duration;
/// use session_core::{ClassName, Limits, Record, SecretHash, SessionId, Timestamp};
///
/// let limits = Limits { absolute_timeout: Some(Duration::from_secs(60)), ..Limits::NONE };
/// let record = Record::new(
///     SessionId::from_bytes([0; 16]),
///     SecretHash::from_bytes([0; 32]),
///     ClassName::new("browser").unwrap(),
///     limits,
///     Timestamp::from_millis(0),
/// );
/// assert!(record.subject.is_none() && record.end.is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The public handle.
    pub id: SessionId,
    /// The hash of the secret that opens it; of a tombstone, the one that opened it last.
    pub secret: SecretHash,
    /// The secrets before and after it.
    pub rotation: Rotation,
    /// Whose session; nobody's while anonymous. It never changes: a login issues another session.
    pub subject: Option<Subject>,
    /// The class whose limits it lives by.
    pub class: ClassName,
    /// The groups of its subject that may limit it further.
    pub groups: Vec<GroupName>,
    /// The limits of its creation or last re-authentication. The policy of today can only be stricter.
    pub limits: Limits,
    /// The epochs under which it was issued.
    pub epochs: Epochs,
    /// When it was created. It never moves.
    pub created_at: Timestamp,
    /// When its token was first presented: from then on it is active.
    pub activated_at: Option<Timestamp>,
    /// When its holder last signed in wholly again: from then on the absolute timeout counts.
    pub reauthenticated_at: Option<Timestamp>,
    /// The last recorded activity. It never goes back.
    pub last_seen_at: Timestamp,
    /// How its holder proved who he is, oldest first.
    pub authentications: Vec<Authentication>,
    /// The scopes that it has entered.
    pub scopes: Vec<ScopeEntry>,
    /// The number of the next scope entry. Numbers are never used again, so that a late touch of an entry
    /// that was left cannot reach the one that took its place. 0 is the session itself.
    pub next_slot: u32,
    /// What is known of the client that holds it.
    pub client: Client,
    /// When the sweep has to look at it: perhaps before it is due, never after.
    pub due_at: Timestamp,
    /// Its end, once it is written down.
    pub end: Option<End>,
}

impl Record {
    /// The record of a new session, nobody's yet and never presented.
    pub fn new(
        id: SessionId,
        secret: SecretHash,
        class: ClassName,
        limits: Limits,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            secret,
            rotation: Rotation::default(),
            subject: None,
            class,
            groups: Vec::new(),
            limits,
            epochs: Epochs::default(),
            created_at: now,
            activated_at: None,
            reauthenticated_at: None,
            last_seen_at: now,
            authentications: Vec::new(),
            scopes: Vec::new(),
            next_slot: 1,
            client: Client::default(),
            due_at: now,
            end: None,
        }
    }

    /// From when on the absolute timeout counts.
    pub fn absolute_from(&self) -> Timestamp {
        self.reauthenticated_at.unwrap_or(self.created_at)
    }

    /// The entry of a scope, if the session is in it.
    pub fn scope(&self, name: &ScopeName) -> Option<&ScopeEntry> {
        self.scopes.iter().find(|entry| entry.name == *name)
    }

    /// The time of the last authentication, or `None` while anonymous.
    pub fn authenticated_at(&self) -> Option<Timestamp> {
        self.authentications.last().map(|authentication| authentication.at)
    }
}

/// The epochs that a record was issued under: of its realm, and of its subject in it.
///
/// ```
/// use session_core::Epochs;
///
/// assert_eq!(Epochs::default(), Epochs { realm: 0, subject: 0 });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Epochs {
    /// The epoch of the realm.
    pub realm: u64,
    /// The epoch of the subject; 0 while anonymous.
    pub subject: u64,
}

/// One proof of who the holder is.
///
/// ```
/// use session_core::{Authentication, Timestamp};
///
/// let by_password = Authentication::new("password", 1, Timestamp::from_millis(0));
/// assert_eq!(&*by_password.method, "password");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Authentication {
    /// How, in the application's words: `password`, `passkey`, `otp`. At most 64 bytes.
    pub method: Box<str>,
    /// The authenticator assurance level that it reached (NIST SP 800-63B-4: 1 to 3), 0 if not said.
    pub level: u8,
    /// When.
    pub at: Timestamp,
}

impl Authentication {
    /// An authentication. The method is cut to 64 bytes and freed of control characters.
    pub fn new(method: &str, level: u8, at: Timestamp) -> Self {
        Self { method: bounded(method, 64), level, at }
    }
}

/// A session inside a session: a scope that was entered.
///
/// ```
/// use session_core::{Limits, ScopeEntry, ScopeName, Timestamp};
///
/// let now = Timestamp::from_millis(0);
/// let entry = ScopeEntry {
///     name: ScopeName::new("finance").unwrap(),
///     slot: 1,
///     limits: Limits::NONE,
///     entered_at: now,
///     last_seen_at: now,
/// };
/// assert_ne!(entry.slot, 0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ScopeEntry {
    /// The scope.
    pub name: ScopeName,
    /// The number under which it is touched, never 0.
    pub slot: u32,
    /// The limits of the scope when it was entered.
    pub limits: Limits,
    /// When it was entered.
    pub entered_at: Timestamp,
    /// The last recorded activity in it. It never goes back.
    pub last_seen_at: Timestamp,
}

/// What is known of the client that holds a session. Texts of the client's own: bounded, freed of control
/// characters, and nothing is ever decided on them.
///
/// ```
/// use session_core::Client;
///
/// let client = Client::default().with_address("192.0.2.7").with_agent("curl/8\r\nX: y");
/// assert_eq!(client.agent.as_deref(), Some("curl/8X: y"));
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Client {
    /// The network address, as the application determined it. At most 64 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Box<str>>,
    /// The `User-Agent` of the client. At most 256 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Box<str>>,
    /// A key of the device, made by the application. At most 128 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Box<str>>,
}

impl Client {
    /// The same with an address.
    #[must_use]
    pub fn with_address(mut self, address: &str) -> Self {
        self.address = Some(bounded(address, 64));
        self
    }

    /// The same with a user agent.
    #[must_use]
    pub fn with_agent(mut self, agent: &str) -> Self {
        self.agent = Some(bounded(agent, 256));
        self
    }

    /// The same with the key of a device.
    #[must_use]
    pub fn with_device(mut self, device: &str) -> Self {
        self.device = Some(bounded(device, 128));
        self
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("address", &self.address)
            .field("agent", &self.agent)
            .field("device", &self.device)
            .finish()
    }
}

/// A text of a client's own, fit to be kept and shown: cut to so many bytes at a character's border, without control
/// characters and marks of the writing direction, which could forge a line of a log.
///
/// ```
/// assert_eq!(&*session_core::bounded("curl/8\r\nforged", 8), "curl/8fo");
/// ```
pub fn bounded(text: &str, limit: usize) -> Box<str> {
    let mut kept = String::with_capacity(text.len().min(limit));
    for c in text.chars().filter(|c| !is_control(*c)) {
        if kept.len() + c.len_utf8() > limit {
            break;
        }
        kept.push(c);
    }
    kept.into_boxed_str()
}

/// Control characters, the line and paragraph separators, and the marks that turn the writing direction.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_clients_are_bounded_at_characters() {
        let client = Client::default().with_agent(&"\u{e9}".repeat(300));
        assert_eq!(client.agent.unwrap().len(), 256);
        let client = Client::default().with_agent(&format!("x{}", "\u{e9}".repeat(300)));
        assert_eq!(client.agent.unwrap().len(), 255);
    }

    #[test]
    fn texts_of_clients_forge_no_lines() {
        let hostile = "a\r\nb\u{2028}c\u{1b}[2Jd\u{202e}e\0f";
        assert_eq!(&*bounded(hostile, 100), "abc[2Jdef");
    }
}
