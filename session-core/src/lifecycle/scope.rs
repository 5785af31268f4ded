//! A session inside a session: scopes, which live by timeouts of their own.

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
    let (Some(entry), Some(limits)) = (record.scope(scope), policy.scope(scope)) else {
        return ScopeStanding::NotEntered;
    };
    let limits = entry.limits.min(*limits);
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
