//! Marks: what ends many sessions in one write.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Actor, Reason, Record, Subject, Timestamp};

/// Whose mark: the realm's own, or that of a subject in it.
///
/// ```
/// use session_core::{MarkKey, Subject};
///
/// let key = MarkKey::Subject(Subject::new("alice").unwrap());
/// assert_ne!(key, MarkKey::Realm);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MarkKey {
    /// The mark of the whole realm.
    Realm,
    /// The mark of one subject.
    Subject(Subject),
}

/// A mark as a load finds it.
///
/// A session whose epoch is older than its mark's has ended, at the instant and for the reason of the raise
/// that first passed it. A mark that was never written is version 0 and epoch 0.
///
/// ```
/// use session_core::Mark;
///
/// assert_eq!(Mark::default().epoch, 0);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Moves with every write of the mark: what a fence compares.
    pub version: u64,
    /// Moves with every raise.
    pub epoch: u64,
    /// The application's credential stamp, if it has set one.
    pub stamp: Option<Stamp>,
    /// Loaded with a record of an older epoch: the first raise above that epoch. `None` otherwise.
    pub raise: Option<Raise>,
}

/// Both marks that a session lives under.
///
/// ```
/// assert_eq!(session_core::Marks::default().subject.version, 0);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The realm's.
    pub realm: Mark,
    /// The subject's; a mark never written while anonymous.
    pub subject: Mark,
}

impl Marks {
    /// Marks under which nothing has ended since a record was issued.
    pub(crate) fn issued(record: &Record) -> Self {
        let at = |epoch| Mark { epoch, ..Mark::default() };
        Self { realm: at(record.epochs.realm), subject: at(record.epochs.subject) }
    }
}

/// One raise of a mark's epoch: the end of all that was issued before it.
///
/// ```
/// use session_core::{Actor, Raise, Reason, Timestamp};
///
/// let raise = Raise {
///     epoch: 1,
///     reason: Reason::CredentialsChanged,
///     actor: Actor::Subject,
///     at: Timestamp::from_millis(0),
/// };
/// assert_eq!(raise.epoch, 1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raise {
    /// The epoch that the mark has from now on.
    pub epoch: u64,
    /// Why.
    pub reason: Reason,
    /// Who.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
}

/// The raises that a store keeps of one mark, oldest first.
///
/// They tell a session why it ended even if its mark has been raised again since. Only the last
/// [`RaiseLog::KEPT`] are kept: a session that outlived more raises than that without being resumed or swept
/// is told the oldest one kept.
///
/// ```
/// use session_core::{Actor, Raise, RaiseLog, Reason, Timestamp};
///
/// let mut log = RaiseLog::default();
/// for epoch in 1..=2 {
///     let at = Timestamp::from_millis(epoch as i64);
///     log.push(Raise { epoch, reason: Reason::RoleChanged, actor: Actor::System, at });
/// }
/// assert_eq!(log.first_above(0).unwrap().epoch, 1);
/// assert_eq!(log.first_above(1).unwrap().epoch, 2);
/// assert!(log.first_above(2).is_none());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RaiseLog {
    raises: Vec<Raise>,
}

impl RaiseLog {
    /// How many raises are kept.
    pub const KEPT: usize = 64;

    /// Adds a raise, and forgets the oldest one beyond [`RaiseLog::KEPT`].
    pub fn push(&mut self, raise: Raise) {
        self.raises.push(raise);
        let forgotten = self.raises.len().saturating_sub(Self::KEPT);
        self.raises.drain(..forgotten);
    }

    /// The raise that ended what was issued under `epoch`: the first one above it.
    pub fn first_above(&self, epoch: u64) -> Option<&Raise> {
        self.raises.iter().find(|raise| raise.epoch > epoch)
    }
}

/// A credential stamp: bytes that the application derives from a password, roles or a key's version. When it
/// differs, what was issued under the old one ends. It is compared, never shown.
///
/// ```
/// use session_core::Stamp;
///
/// assert_eq!(format!("{:?}", Stamp::new(b"secret")), "Stamp(..)");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Stamp(Box<[u8]>);

impl Stamp {
    /// A stamp of these bytes; only the first 64 count.
    pub fn new(bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        Self(bytes[..bytes.len().min(64)].into())
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stamp(..)")
    }
}
