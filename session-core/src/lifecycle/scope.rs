//! A session inside a session: scopes, which live by timeouts of their own.

use std::time::Duration;

use super::{Deadlines, Standing, latest, standing};
use crate::{Limits, Marks, Policy, Reason, Record, ScopeEntry, ScopeName, Timestamp};

/// Where a session stands in a scope at `now`.
///
/// A scope lives by its own timeouts, computed by the same rules; it can only be stricter than its session,
/// and than it was when it was entered.
pub fn scope_standing(
    record: &Record,
    marks: &Marks,
    policy: &Policy,
    scope: &ScopeName,
    now: Timestamp,
) -> ScopeStanding {
    let outer = match standing(record, marks, policy, now) {
        Standing::Live { deadlines, .. } => deadlines,
        Standing::Ended(_) => return ScopeStanding::SessionEnded,
    };
    let (Some(entry), Some(rules)) = (record.scope(scope), policy.scope(scope)) else {
        return ScopeStanding::NotEntered;
    };
    let limits = entry.limits.min(rules.limits);
    let deadlines = Deadlines {
        idle: limits.idle_timeout.map(|timeout| entry.last_seen_at + timeout),
        absolute: limits.absolute_timeout.map(|timeout| entry.entered_at + timeout),
    };
    let now = latest(record, now).max(entry.entered_at).max(entry.last_seen_at);
    match deadlines.first() {
        Some((at, reason)) if at <= now => ScopeStanding::Expired { reason, at },
        _ => ScopeStanding::Open { deadlines: deadlines.within(&outer) },
    }
}

/// Where a session stands in a scope.
///
/// ```
/// use session_core::lifecycle::ScopeStanding;
///
/// assert_ne!(ScopeStanding::NotEntered, ScopeStanding::SessionEnded);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScopeStanding {
    /// It is in.
    Open {
        /// Until when, at most: those of the scope, and nothing later than the session's.
        deadlines: Deadlines,
    },
    /// It was in, and for too long or too long ago.
    Expired {
        /// [`Reason::IdleTimeout`] or [`Reason::AbsoluteTimeout`].
        reason: Reason,
        /// Since when.
        at: Timestamp,
    },
    /// It never was in, or the policy does not name the scope (any more).
    NotEntered,
    /// The session itself has ended.
    SessionEnded,
}

/// Whether the holder of a session has proved who he is recently and well enough: at most `max_age` ago, at this
/// level or above. Only an authentication moves its time: neither activity nor a rotation does.
///
/// # Errors
/// What is missing.
pub fn fresh(
    record: &Record,
    max_age: Duration,
    level: u8,
    now: Timestamp,
) -> Result<(), NeedsReauth> {
    let good = record.authentications.iter().filter(|proof| proof.level >= level);
    let Some(last) = good.map(|proof| proof.at).max() else {
        let reached = record.authentications.iter().map(|proof| proof.level).max();
        return Err(match reached {
            Some(reached) => NeedsReauth::Level { reached, needed: level },
            None => NeedsReauth::Never,
        });
    };
    if latest(record, now).since(last) > max_age {
        return Err(NeedsReauth::TooLongAgo { at: last });
    }
    Ok(())
}

/// Whether a session may enter a scope now. One that the policy does not name is entered by nobody.
///
/// # Errors
/// What is missing.
pub fn may_enter(
    record: &Record,
    policy: &Policy,
    scope: &ScopeName,
    now: Timestamp,
) -> Result<(), NeedsReauth> {
    match policy.scope(scope) {
        Some(rules) => fresh(record, rules.max_age, rules.level, now),
        None => Err(NeedsReauth::NoSuchScope),
    }
}

/// Why the holder of a live session is asked to prove again who he is. The session itself stays as it is.
///
/// ```
/// use session_core::NeedsReauth;
///
/// assert_eq!(NeedsReauth::Level { reached: 1, needed: 2 }.to_string(), "level 1 was reached, and 2 is needed");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NeedsReauth {
    /// He never did.
    #[error("nobody has signed in")]
    Never,
    /// He did, not well enough.
    #[error("level {reached} was reached, and {needed} is needed")]
    Level {
        /// The highest level that was reached.
        reached: u8,
        /// The level that is needed.
        needed: u8,
    },
    /// He did, too long ago.
    #[error("the last sign-in was at {at}, too long ago")]
    TooLongAgo {
        /// When.
        at: Timestamp,
    },
    /// He has not entered the scope.
    #[error("the scope has not been entered")]
    NotEntered,
    /// He has entered the scope, and been in it for too long or away from it for too long.
    #[error("the scope has been closed since {at}")]
    ScopeExpired {
        /// [`Reason::IdleTimeout`] or [`Reason::AbsoluteTimeout`].
        reason: Reason,
        /// Since when.
        at: Timestamp,
    },
    /// The policy names no such scope: nobody is in it.
    #[error("there is no such scope")]
    NoSuchScope,
}

/// Scopes beyond these are left, the one least recently seen first.
const MAX_SCOPES: usize = 16;

pub(super) fn enter(record: &mut Record, scope: ScopeName, limits: Limits, now: Timestamp) {
    record.scopes.retain(|entry| entry.name != scope);
    if record.scopes.len() >= MAX_SCOPES
        && let Some(oldest) = record.scopes.iter().map(|entry| entry.last_seen_at).min()
    {
        let at = record.scopes.iter().position(|entry| entry.last_seen_at == oldest);
        at.map(|at| record.scopes.remove(at));
    }
    let slot = record.next_slot;
    record.next_slot = slot.saturating_add(1);
    record.scopes.push(ScopeEntry {
        name: scope,
        slot,
        limits,
        entered_at: now,
        last_seen_at: now,
    });
}
