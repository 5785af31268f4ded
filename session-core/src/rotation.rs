//! Which secrets open a session: the one of now, the one to come, and the one before.

use std::fmt;

use crate::{Random, RandomError, Record, SecretHash, Timestamp};

/// How the secret of a session has moved on, and is about to.
///
/// A timed rotation has two phases, so that neither a lost response nor a burst of parallel requests signs
/// anybody out: one request mints the successor, and the current secret stays good until the successor is first
/// presented, and then for a grace. A hard rotation (after a change of rights, or a sign-in anew) forgets
/// all that was before it at once.
///
/// ```
/// use session_core::Rotation;
///
/// let fresh = Rotation::default();
/// assert!(fresh.pending.is_none() && fresh.previous.is_none());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Moves with every hard rotation: a handle from before it has no authority any more.
    pub generation: u32,
    /// Since when the current secret is the current one; `None` since the session was created.
    pub rotated_at: Option<Timestamp>,
    /// The successor, once it is minted, until it is first presented.
    pub pending: Option<Pending>,
    /// The predecessor, once its successor has been presented.
    pub previous: Option<Previous>,
}

/// The successor of the current secret.
///
/// It is derived from the current secret and the salt, so that whoever presents the current one can be sent the
/// same successor again. The store alone cannot derive it: it keeps no secret.
///
/// ```
/// use session_core::{Pending, Salt, SecretHash, Timestamp};
///
/// let pending = Pending {
///     secret: SecretHash::from_bytes([1; 32]),
///     salt: Salt::from_bytes([2; 32]),
///     minted_at: Timestamp::from_millis(0),
/// };
/// assert_eq!(pending.minted_at.as_millis(), 0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The hash of the successor.
    pub secret: SecretHash,
    /// What it is derived with.
    pub salt: Salt,
    /// When it was minted.
    pub minted_at: Timestamp,
}

/// The predecessor of the current secret. OpenedBy within the grace it is a parallel request's; later, it is
/// the sign of a copy.
///
/// ```
/// use session_core::{Previous, SecretHash, Timestamp};
///
/// let retired_at = Timestamp::from_millis(0);
/// let previous = Previous { secret: SecretHash::from_bytes([1; 32]), retired_at };
/// assert_eq!(previous.retired_at, retired_at);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previous {
    /// Its hash.
    pub secret: SecretHash,
    /// When its successor was first presented.
    pub retired_at: Timestamp,
}

/// 256 random bits that a successor is derived with. Without the secret that they are used with, they tell
/// nothing.
///
/// ```
/// use session_core::{Salt, SystemRandom};
///
/// assert_ne!(Salt::new(&SystemRandom).unwrap(), Salt::new(&SystemRandom).unwrap());
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; 32]);

impl Salt {
    /// A fresh salt.
    ///
    /// # Errors
    /// The source of randomness failed.
    pub fn new(random: &dyn Random) -> Result<Self, RandomError> {
        let mut bytes = [0; 32];
        random.fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The salt with these bytes, as a store has kept them.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(..)")
    }
}

/// As which of a session's secrets one was presented.
///
/// ```
/// assert_ne!(session_core::OpenedBy::Current, session_core::OpenedBy::Previous);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpenedBy {
    /// The one of now.
    Current,
    /// The successor, for the first time.
    Successor,
    /// The one before.
    Previous,
}

impl Record {
    /// As which of its secrets it is opened by this one: `None` if it is none of them. In constant time for
    /// each of up to three comparisons.
    pub fn opened_by(&self, secret: &SecretHash) -> Option<OpenedBy> {
        let Rotation { pending, previous, .. } = &self.rotation;
        if self.secret == *secret {
            Some(OpenedBy::Current)
        } else if pending.as_ref().is_some_and(|pending| pending.secret == *secret) {
            Some(OpenedBy::Successor)
        } else if previous.as_ref().is_some_and(|previous| previous.secret == *secret) {
            Some(OpenedBy::Previous)
        } else {
            None
        }
    }
}
