//! What should be true of a session: the rules once more, in their plainest form and by other means, so that
//! a slip in the lifecycle is not repeated here.

use std::time::Duration;

use crate::{Actor, Limits, Marks, Policy, Raise, Reason, Record, ScopeEntry, Timestamp};

/// When and why a session is dead, or `None` while it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) at: Timestamp,
    pub(crate) reason: Reason,
    pub(crate) actor: Actor,
}

pub(crate) fn fate(
    record: &Record,
    marks: &Marks,
    policy: &Policy,
    now: Timestamp,
) -> Option<Fate> {
    if let Some(end) = &record.end {
        return Some(Fate { at: end.at, reason: end.reason.clone(), actor: end.actor.clone() });
    }
    let raise = fatal_raise(record, marks);
    let until = raise.as_ref().map_or_else(|| seen(record, now), |raise| raise.at);
    let expiry = |at: Timestamp, reason| Fate { at, reason, actor: Actor::System };
    let absolute = absolute_deadline(record, policy);
    let idle = idle_deadline(record, policy);
    if absolute <= until && idle.is_none_or(|idle| absolute <= idle) {
        return Some(expiry(absolute, Reason::AbsoluteTimeout));
    }
    match idle {
        Some(idle) if idle <= until => Some(expiry(idle, Reason::IdleTimeout)),
        _ => raise.map(|Raise { at, reason, actor, .. }| Fate { at, reason, actor }),
    }
}

/// The instant that counts, where a record is read at `now`.
pub(crate) fn seen(record: &Record, now: Timestamp) -> Timestamp {
    [now, record.created_at, record.last_seen_at].into_iter().max().unwrap_or(now)
}

pub(crate) fn absolute_deadline(record: &Record, policy: &Policy) -> Timestamp {
    let from = record.reauthenticated_at.unwrap_or(record.created_at);
    deadline(from, shortest(record, policy, |limits| limits.absolute_timeout))
        .unwrap_or(Timestamp::MAX)
}

pub(crate) fn idle_deadline(record: &Record, policy: &Policy) -> Option<Timestamp> {
    deadline(record.last_seen_at, idle_limit(record, policy))
}

pub(crate) fn first_deadline(record: &Record, policy: &Policy) -> Timestamp {
    let absolute = absolute_deadline(record, policy);
    idle_deadline(record, policy).map_or(absolute, |idle| idle.min(absolute))
}

pub(crate) fn idle_limit(record: &Record, policy: &Policy) -> Option<Duration> {
    let idle = shortest(record, policy, |limits| limits.idle_timeout);
    let unclaimed = shortest(record, policy, |limits| limits.unclaimed_timeout);
    match record.activated_at {
        Some(_) => idle,
        None => [idle, unclaimed].into_iter().flatten().min(),
    }
}

/// The limits that a session issued today would get.
pub(crate) fn limits_today(record: &Record, policy: &Policy) -> Vec<Limits> {
    let named = policy.classes().find(|(name, _)| **name == record.class);
    let usual = policy.classes().find(|(name, _)| *name == policy.default_class());
    let class = named.or(usual).map(|(_, class)| class.limits);
    let groups = policy.groups().filter(|(name, _)| record.groups.contains(name));
    class.into_iter().chain(groups.map(|(_, limits)| *limits)).collect()
}

fn shortest(
    record: &Record,
    policy: &Policy,
    limit: impl Fn(&Limits) -> Option<Duration>,
) -> Option<Duration> {
    let mut all = limits_today(record, policy);
    all.push(record.limits);
    all.iter().filter_map(limit).min()
}

/// When and why an entry of a scope is over, or `None` while it is open; not asking about its session.
pub(crate) fn scope_fate(
    record: &Record,
    entry: &ScopeEntry,
    policy: &Policy,
    now: Timestamp,
) -> Option<(Timestamp, Reason)> {
    let now = [seen(record, now), entry.entered_at, entry.last_seen_at].into_iter().max()?;
    let today = policy.scope(&entry.name)?;
    let limits = [entry.limits, today.limits];
    let absolute = limits.iter().filter_map(|limits| limits.absolute_timeout).min();
    let idle = limits.iter().filter_map(|limits| limits.idle_timeout).min();
    let absolute = deadline(entry.entered_at, absolute).map(|at| (at, 0, Reason::AbsoluteTimeout));
    let idle = deadline(entry.last_seen_at, idle).map(|at| (at, 1, Reason::IdleTimeout));
    let (at, _, reason) =
        [absolute, idle].into_iter().flatten().min_by_key(|(at, order, _)| (*at, *order))?;
    (at <= now).then_some((at, reason))
}

fn deadline(from: Timestamp, limit: Option<Duration>) -> Option<Timestamp> {
    let millis = i128::try_from(limit?.as_millis()).unwrap_or(i128::MAX / 2);
    let at = i128::from(from.as_millis()) + millis;
    Some(i64::try_from(at).map_or(Timestamp::MAX, Timestamp::from_millis))
}

fn fatal_raise(record: &Record, marks: &Marks) -> Option<Raise> {
    let mut raises = Vec::new();
    if marks.realm.epoch > record.epochs.realm {
        raises.extend(marks.realm.raise.clone());
    }
    if marks.subject.epoch > record.epochs.subject {
        raises.extend(marks.subject.raise.clone());
    }
    // Nothing ends before it began, however slow the clock of who raised the mark.
    for raise in &mut raises {
        raise.at = raise.at.max(record.created_at);
    }
    raises.into_iter().min_by_key(|raise| raise.at)
}
