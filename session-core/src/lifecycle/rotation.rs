//! When a secret is due for a new one, and what it means that an old one is presented.

use std::time::Duration;

use super::latest;
use crate::{OpenedBy, Pending, Policy, Previous, Record, Rotation, Salt, SecretHash, Timestamp};

/// A successor whose holder has not presented it for that long was lost on its way: it is sent again.
const LOST_AFTER: Duration = Duration::from_secs(10);

/// What the presentation of a secret asks for beside an answer, of a live session at `now`.
///
/// Only a request that may carry a new token (`may_renew`) is asked to mint or to send one again.
pub fn renewal(
    record: &Record,
    by: OpenedBy,
    may_renew: bool,
    policy: &Policy,
    now: Timestamp,
) -> Renewal {
    let now = latest(record, now);
    let class = policy.class(&record.class);
    let Rotation { rotated_at, pending, previous, .. } = &record.rotation;
    match (by, pending, previous) {
        (OpenedBy::Successor, ..) => Renewal::Promote,
        (OpenedBy::Previous, _, Some(previous)) => {
            let grace = class.rotation_grace.saturating_add(policy.max_clock_skew);
            if now < previous.retired_at + grace { Renewal::Keep } else { Renewal::Reused }
        }
        (OpenedBy::Current, Some(pending), _) if may_renew => {
            if now >= pending.minted_at + LOST_AFTER {
                Renewal::Resend(pending.salt)
            } else {
                Renewal::Keep
            }
        }
        (OpenedBy::Current, None, _) if may_renew && record.activated_at.is_some() => {
            let since = rotated_at.unwrap_or(record.created_at);
            match class.rotation_interval {
                Some(interval) if now >= since + interval => Renewal::Mint,
                _ => Renewal::Keep,
            }
        }
        _ => Renewal::Keep,
    }
}

/// What the presentation of a secret asks for.
///
/// ```
/// assert_ne!(session_core::lifecycle::Renewal::Keep, session_core::lifecycle::Renewal::Mint);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// Nothing: the holder keeps what he has.
    Keep,
    /// The secret is due: a successor is minted, and sent.
    Mint,
    /// The successor that was minted with this salt is sent again: it seems to have been lost.
    Resend(Salt),
    /// The successor has arrived: it becomes the current secret.
    Promote,
    /// A secret that was replaced long ago: two hold the token, and nobody knows which of them is its owner.
    Reused,
}

/// A new secret that is the only one from then on.
pub(super) fn rotate_hard(record: &mut Record, secret: SecretHash, now: Timestamp) {
    record.secret = secret;
    record.rotation = Rotation {
        generation: record.rotation.generation.wrapping_add(1),
        rotated_at: Some(now),
        pending: None,
        previous: None,
    };
}

/// The successor is written down beside the current secret, unless there is one already.
pub(super) fn mint(record: &mut Record, secret: SecretHash, salt: Salt, now: Timestamp) -> bool {
    if record.rotation.pending.is_some() {
        return false;
    }
    record.rotation.pending = Some(Pending { secret, salt, minted_at: now });
    true
}

/// The successor takes its place, if there is one.
pub(super) fn promote(record: &mut Record, now: Timestamp) -> bool {
    let Some(pending) = record.rotation.pending.take() else { return false };
    let retired = std::mem::replace(&mut record.secret, pending.secret);
    record.rotation.previous = Some(Previous { secret: retired, retired_at: now });
    record.rotation.rotated_at = Some(now);
    true
}
