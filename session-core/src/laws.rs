//! The laws of a session's life, as properties that an application can test its own policy with.
//!
//! Each law takes a policy and a [`Trace`]: what happens to a session, on clocks that sometimes step back,
//! with requests that overtake each other and policies that change half-way. It lives the trace through and
//! compares every moment with a second, plainer telling of the rules. The laws hold for every policy that
//! builds; what an application adds are its own policy, and its own properties on top.
//!
//! ```
//! use proptest::prelude::*;
//! use session_core::{Policy, laws};
//!
//! proptest!(ProptestConfig::with_cases(16), |(trace in laws::any_trace())| {
//!     laws::all(&Policy::nist_aal2(), &trace)?;
//! });
//! ```

mod life;
mod oracle;
mod probe;
mod rotation;
mod scopes;
mod strategy;
mod trace;

use std::time::Duration;

use proptest::test_runner::TestCaseResult;
use proptest::{prop_assert, prop_assert_eq};

use self::life::{Life, Moment, live, loosen, tighten, without};
use self::probe::{every_command, instants, strictest};
use crate::lifecycle::{Command, Decision, Standing, decide, standing, state};
use crate::{DataWrite, Marks, Policy, Reason, Record, State, Timestamp};

pub use self::rotation::secrets_follow_one_another;
pub use self::scopes::what_is_within_is_only_stricter;
pub use self::strategy::{any_policy, any_record};
pub use self::trace::{Trace, any_trace};

/// All laws of one session: the first nine.
///
/// # Errors
/// A law is broken; the message says which, and where.
pub fn all(policy: &Policy, trace: &Trace) -> TestCaseResult {
    ends_are_final(policy, trace)?;
    dead_from_the_deadline_on(policy, trace)?;
    the_cause_is_the_first_deadline(policy, trace)?;
    only_reauthentication_moves_the_absolute_deadline(policy, trace)?;
    secrets_follow_one_another(policy, trace)?;
    activity_never_goes_back(policy, trace)?;
    coalescing_ends_early_never_late(policy, trace)?;
    loosening_acts_on_new_sessions_only(policy, trace)?;
    what_is_within_is_only_stricter(policy, trace)?;
    the_sweep_takes_only_the_dead(policy, trace)
}

/// Law 1: a terminal state is never left; no command, order or interleaving revives a session.
///
/// # Errors
/// The law is broken; the message says where.
pub fn ends_are_final(policy: &Policy, trace: &Trace) -> TestCaseResult {
    let mut ended: Option<Record> = None;
    live(policy, trace, |moment| {
        let life = moment.life;
        if let Some(ended) = &ended {
            prop_assert_eq!(&life.record, ended, "law 1: an ended session was changed");
        }
        if let Some(end) = &life.record.end {
            ended = Some(life.record.clone());
            for now in instants(life) {
                let now = state(&life.record, &life.marks(), &life.policy, now);
                prop_assert_eq!(now, end.state(), "law 1: an end was left");
            }
        }
        let mut unexplained = life.marks();
        unexplained.realm.epoch = life.record.epochs.realm + 1;
        unexplained.realm.raise = None;
        let told = state(&life.record, &unexplained, &life.policy, life.now);
        prop_assert!(!told.is_live(), "law 1: a raise without its reason is a raise");
        for now in instants(life) {
            let fate = oracle::fate(&life.record, &life.marks(), &life.policy, now);
            for command in every_command(life) {
                let told = format!("{command:?}");
                let answer = decide(&life.record, &life.marks(), command, &life.policy, now);
                let end = answer.err().map(|ended| (ended.end.reason.clone(), ended.end.at));
                let expected = fate.as_ref().map(|fate| (fate.reason.clone(), fate.at));
                prop_assert_eq!(end, expected, "law 1: {} at {}", told, now);
            }
        }
        Ok(())
    })
}

/// Law 2: dead from the earlier deadline on, the deadline included, and alive before; where a clock that is
/// behind what the session has seen does not count.
///
/// # Errors
/// The law is broken; the message says where.
pub fn dead_from_the_deadline_on(policy: &Policy, trace: &Trace) -> TestCaseResult {
    live(policy, trace, |moment| {
        let life = moment.life;
        let marks = life.marks();
        for now in instants(life) {
            let fate = oracle::fate(&life.record, &marks, &life.policy, now);
            let expected = match (&fate, life.record.activated_at) {
                (Some(fate), _) => fate.reason.state(),
                (None, Some(_)) => State::Active,
                (None, None) => State::Created,
            };
            let told = state(&life.record, &marks, &life.policy, now);
            prop_assert_eq!(told, expected, "law 2: at {}", now);
            prop_assert_eq!(told.is_live(), fate.is_none(), "law 2: at {}", now);
            if let Standing::Live { deadlines, .. } =
                standing(&life.record, &marks, &life.policy, now)
            {
                let absolute = oracle::absolute_deadline(&life.record, &life.policy);
                let idle = oracle::idle_deadline(&life.record, &life.policy);
                prop_assert_eq!(deadlines.absolute, Some(absolute), "law 2: absolute deadline");
                prop_assert_eq!(deadlines.idle, idle, "law 2: idle deadline");
                prop_assert!(now < deadlines.earliest().unwrap_or(now), "law 2: late at {}", now);
            }
        }
        Ok(())
    })
}

/// Law 3: the cause of death is the first deadline crossed (the absolute one, of two at once) and never changes
/// afterwards; a stored end wins; revoking a session that time has ended stores the expiry.
///
/// # Errors
/// The law is broken; the message says where.
pub fn the_cause_is_the_first_deadline(policy: &Policy, trace: &Trace) -> TestCaseResult {
    live(policy, trace, |moment| {
        let life = moment.life;
        the_cause_never_changes(life, &life.marks())?;
        let minute = Duration::from_secs(60);
        the_cause_never_changes(life, &life.marks_raised(life.now, life.now - minute))?;
        the_cause_never_changes(life, &life.marks_raised(life.now - minute, life.now))?;
        if let (Some(Command::Revoke { reason, actor }), Some(answer)) =
            (moment.command, moment.answer)
        {
            let end = match answer {
                Ok(Decision::Write(write)) => write.record.end.clone(),
                Ok(_) => None,
                Err(ended) => Some(ended.end.clone()),
            };
            let Some(end) = end else {
                prop_assert!(false, "law 3: a revocation that ends nothing");
                return Ok(());
            };
            match oracle::fate(moment.before, moment.marks, &life.policy, life.now) {
                Some(fate) => prop_assert_eq!(end.reason, fate.reason, "law 3: a late revocation"),
                None => {
                    let now = oracle::seen(moment.before, life.now);
                    prop_assert_eq!(
                        (&end.reason, &end.actor),
                        (reason, actor),
                        "law 3: revocation"
                    );
                    prop_assert_eq!((end.at, end.observed_at), (now, now), "law 3: revocation");
                }
            }
        }
        Ok(())
    })
}

fn the_cause_never_changes(life: &Life, marks: &Marks) -> TestCaseResult {
    let mut known = None;
    for now in instants(life) {
        let Standing::Ended(end) = standing(&life.record, marks, &life.policy, now) else {
            continue;
        };
        if life.record.end.is_some() {
            prop_assert_eq!(Some(&end), life.record.end.as_ref(), "law 3: stored end at {}", now);
        }
        let fate = oracle::fate(&life.record, marks, &life.policy, now);
        let told = oracle::Fate { at: end.at, reason: end.reason, actor: end.actor };
        prop_assert_eq!(Some(&told), fate.as_ref(), "law 3: the cause at {}", now);
        prop_assert!(end.observed_at >= end.at, "law 3: noticed before it happened");
        let known = known.get_or_insert_with(|| told.clone());
        prop_assert_eq!(&told, known, "law 3: the cause changed by {}", now);
    }
    Ok(())
}

/// Law 4: the creation never moves, and only re-authentication moves the absolute deadline, with a new
/// snapshot of the limits. Rotation, data, step-up and scopes move no deadline at all.
///
/// # Errors
/// The law is broken; the message says where.
pub fn only_reauthentication_moves_the_absolute_deadline(
    policy: &Policy,
    trace: &Trace,
) -> TestCaseResult {
    live(policy, trace, |moment| {
        let Moment { life, before, command, .. } = moment;
        let after = &life.record;
        let keys = |record: &Record| (record.id, record.subject.clone(), record.class.clone());
        prop_assert_eq!(keys(before), keys(after), "law 4: {:?} took it over", command);
        prop_assert_eq!(before.created_at, after.created_at, "law 4: {:?}", command);
        let restamped = matches!(command, Some(Command::Restamp { .. }));
        prop_assert!(restamped || before.epochs == after.epochs, "law 4: issued anew");
        if let Some(Ok(Decision::Write(write))) = moment.answer {
            let epochs = match command {
                Some(Command::Restamp { epochs, .. }) => epochs,
                _ => &before.epochs,
            };
            prop_assert_eq!(&write.record.epochs, epochs, "law 4: the epochs of {:?}", command);
        }
        let moved = before.absolute_from() != after.absolute_from()
            || before.limits != after.limits
            || before.groups != after.groups;
        match (command, moment.answer) {
            (Some(Command::Reauthenticate { groups, .. }), Some(Ok(decision))) => {
                let Decision::Write(write) = decision else {
                    prop_assert!(false, "law 4: re-authentication writes nothing");
                    return Ok(());
                };
                let now = oracle::seen(before, life.now);
                let record = &*write.record;
                prop_assert_eq!(record.absolute_from(), now, "law 4: re-authentication");
                prop_assert_eq!(record.last_seen_at, now, "law 4: re-authentication");
                prop_assert!(record.activated_at.is_some(), "law 4: re-authentication");
                prop_assert_eq!(&record.groups, groups, "law 4: groups");
                prop_assert_eq!(record.authentications.len(), 1, "law 4: what was proved before");
                let today = oracle::limits_today(record, &life.policy);
                prop_assert_eq!(record.limits, strictest(&today), "law 4: the new snapshot");
            }
            (Some(Command::Reauthenticate { .. }), _) => {}
            (Some(Command::Resume { .. } | Command::TouchScope { .. }), _) => {
                prop_assert!(!moved, "law 4: {:?} moved the absolute deadline", command);
            }
            _ => {
                prop_assert!(!moved, "law 4: {:?} moved the absolute deadline", command);
                let idle = |record: &Record| oracle::idle_deadline(record, &life.policy);
                prop_assert_eq!(idle(before), idle(after), "law 4: {:?} moved it", command);
            }
        }
        Ok(())
    })
}

/// Law 5: the last activity never goes back, in the session or in a scope; and a command that finds a session
/// dead by time stores that end.
///
/// # Errors
/// The law is broken; the message says where.
pub fn activity_never_goes_back(policy: &Policy, trace: &Trace) -> TestCaseResult {
    live(policy, trace, |moment| {
        let Moment { life, before, command, .. } = moment;
        let after = &life.record;
        prop_assert!(before.last_seen_at <= after.last_seen_at, "law 5: {:?}", command);
        prop_assert!(before.next_slot <= after.next_slot, "law 5: {:?} reused a slot", command);
        prop_assert!(
            before.activated_at.is_none() || before.activated_at == after.activated_at,
            "law 5: {:?} activated it again",
            command
        );
        for entry in &after.scopes {
            match before.scopes.iter().find(|known| known.slot == entry.slot) {
                Some(known) => {
                    prop_assert!(known.last_seen_at <= entry.last_seen_at, "law 5: a scope");
                    prop_assert_eq!(known.entered_at, entry.entered_at, "law 5: a scope");
                    prop_assert_eq!(known.limits, entry.limits, "law 5: a scope");
                }
                None => prop_assert!(entry.slot >= before.next_slot, "law 5: an old slot"),
            }
        }
        if let Some(Ok(Decision::Write(write))) = moment.answer {
            let written = write.record.last_seen_at;
            prop_assert!(before.last_seen_at <= written, "law 5: {:?} writes it down", command);
        }
        if let Some(Err(ended)) = moment.answer {
            prop_assert_eq!(ended.tombstone.is_some(), before.end.is_none(), "law 5: tombstone");
            if let Some(tombstone) = &ended.tombstone {
                let record = &*tombstone.record;
                prop_assert_eq!(record.end.as_ref(), Some(&ended.end), "law 5: the stored end");
                prop_assert_eq!(&tombstone.data, &DataWrite::Drop, "law 5: data outlives it");
                prop_assert!(record.scopes.is_empty(), "law 5: scopes outlive it");
                prop_assert_eq!(record.last_seen_at, before.last_seen_at, "law 5: tombstone");
                let idle = ended.end.reason == Reason::IdleTimeout;
                let on = idle.then_some(before.last_seen_at);
                prop_assert_eq!(tombstone.decided_on, on, "law 5: a late touch must count");
                let told: Vec<_> = tombstone.events.iter().map(|event| event.at).collect();
                prop_assert_eq!(told, vec![ended.end.at], "law 5: the event of the end");
            }
            if !moment.pending && before.end.is_none() {
                prop_assert!(after.end.is_some(), "law 5: answered before it was stored");
            }
        }
        Ok(())
    })
}

/// Law 6: recording activity at most once in a touch interval ends an idle session early by less than that,
/// and never late; nothing but activity keeps it alive.
///
/// # Errors
/// The law is broken; the message says where.
pub fn coalescing_ends_early_never_late(policy: &Policy, trace: &Trace) -> TestCaseResult {
    let mut active = Timestamp::MIN;
    live(policy, trace, |moment| {
        let Moment { life, before, command, answer, .. } = moment;
        let now = oracle::seen(before, life.now);
        active = active.max(before.created_at);
        match (command, answer) {
            (Some(Command::Resume { passive }), Some(Ok(decision)))
                if !passive || before.activated_at.is_none() =>
            {
                active = active.max(now);
                activity_is_recorded(before, &life.policy, now, decision)?;
                let recorded = moment.pending
                    || matches!(decision, Decision::Nothing)
                    || life.record.last_seen_at == now;
                prop_assert!(recorded, "law 6: {:?} was not recorded", decision);
            }
            (Some(Command::Resume { .. }), Some(Ok(decision))) => {
                prop_assert!(matches!(decision, Decision::Nothing), "law 6: passive activity");
            }
            (Some(Command::Reauthenticate { .. }), Some(Ok(_))) => active = active.max(now),
            _ => {}
        }
        for policy in [&life.policy, &loosen(&life.policy, false)] {
            let interval = policy.class(&life.record.class).touch_interval;
            let idle = oracle::idle_limit(&life.record, policy).unwrap_or(interval);
            let milli = Duration::from_millis(1);
            for pause in [interval, interval.saturating_sub(milli), idle.saturating_sub(milli)] {
                let now = life.record.last_seen_at + pause;
                let resume = Command::Resume { passive: false };
                if let Ok(decision) = decide(&life.record, &life.marks(), resume, policy, now) {
                    let now = oracle::seen(&life.record, now);
                    activity_is_recorded(&life.record, policy, now, &decision)?;
                }
            }
        }
        prop_assert!(life.record.last_seen_at <= active, "law 6: it would end late");
        let may_move =
            matches!(command, Some(Command::Resume { .. } | Command::Reauthenticate { .. }));
        prop_assert!(
            may_move || before.last_seen_at == life.record.last_seen_at,
            "law 6: {:?} is no activity",
            command
        );
        Ok(())
    })
}

/// That a resume records its activity, or does so soon enough.
fn activity_is_recorded(
    before: &Record,
    policy: &Policy,
    now: Timestamp,
    decision: &Decision,
) -> TestCaseResult {
    let idle = oracle::idle_limit(before, policy);
    match decision {
        Decision::Nothing => {
            let class = policy.class(&before.class);
            let early = now.since(before.last_seen_at);
            prop_assert!(early < class.touch_interval, "law 6: {:?} early", early);
            // A limit stricter than the class's own must not outrun the recording.
            let stricter = idle != class.limits.idle_timeout;
            // Two requests within one millisecond are one.
            let at_once = early < Duration::from_millis(1);
            let bound = if stricter { idle.map(|idle| idle / 2) } else { idle };
            let kept = bound.is_none_or(|bound| at_once || early <= bound);
            prop_assert!(kept, "law 6: {:?} early of {:?}", early, idle);
            prop_assert!(before.activated_at.is_some(), "law 6: the first use is not recorded");
        }
        Decision::Touch(touch) => {
            prop_assert_eq!((touch.id, touch.slot), (before.id, 0), "law 6: touch");
            prop_assert_eq!(touch.seen_at, now, "law 6: touch");
            // A touch that comes late must not reach a session that has idled out since.
            let alive = idle.map_or(Timestamp::MIN, |idle| now - idle);
            prop_assert_eq!(touch.if_after, alive, "law 6: touch");
            prop_assert!(touch.if_before <= now, "law 6: touch");
        }
        Decision::Write(write) => {
            prop_assert!(before.activated_at.is_none(), "law 6: a needless write");
            prop_assert_eq!(write.record.activated_at, Some(now), "law 6: the first use");
            prop_assert_eq!(write.record.last_seen_at, now, "law 6: the first use");
        }
        Decision::Reschedule(_) => prop_assert!(false, "law 6: not a touch"),
    }
    Ok(())
}

/// Law 7: tightening a policy acts at the next look, loosening it on new sessions only; a class that the policy
/// no longer names lives by the stricter of its snapshot and the default class.
///
/// # Errors
/// The law is broken; the message says where.
pub fn loosening_acts_on_new_sessions_only(policy: &Policy, trace: &Trace) -> TestCaseResult {
    live(policy, trace, |moment| {
        let life = moment.life;
        let record = &life.record;
        if record.end.is_some() {
            return Ok(());
        }
        let tight = tighten(&life.policy, 500);
        let looser = [loosen(&life.policy, false), loosen(&life.policy, true)];
        let unnamed = without(&life.policy, &record.class);
        let marks = Marks::default();
        let mut unmarked = record.clone();
        unmarked.epochs = crate::Epochs::default();
        for policy in [&life.policy, &tight, &looser[0], &looser[1], &unnamed] {
            let first = oracle::first_deadline(record, policy);
            for by in [0, 1] {
                let now = first - Duration::from_millis(by);
                let alive = state(&unmarked, &marks, policy, now).is_live();
                let expected = oracle::seen(record, now) < first;
                prop_assert_eq!(
                    alive,
                    expected,
                    "law 7: {} before {} under {:?}",
                    by,
                    first,
                    policy
                );
            }
            if let Standing::Live { deadlines, .. } =
                standing(&unmarked, &marks, policy, Timestamp::MIN)
            {
                let snapshot = record.limits.absolute_timeout;
                let most = snapshot.map_or(Timestamp::MAX, |limit| record.absolute_from() + limit);
                prop_assert!(deadlines.absolute.is_some_and(|at| at <= most), "law 7: loosened");
                let snapshot = record.limits.idle_timeout;
                let most = snapshot.map(|limit| record.last_seen_at + limit);
                prop_assert!(
                    most.is_none_or(|most| deadlines.idle.is_some_and(|at| at <= most)),
                    "law 7: loosened"
                );
            }
            let new = policy.limits(&record.class, &record.groups);
            let today = oracle::limits_today(record, policy);
            prop_assert_eq!(new, strictest(&today), "law 7: a new session");
        }
        let first = |policy| oracle::first_deadline(record, policy);
        prop_assert!(first(&tight) <= first(&life.policy), "law 7: tightened");
        Ok(())
    })
}

/// Law 9: what the sweep takes was dead, what it leaves is looked at again in time, and a tombstone stays until
/// its session could not live any more by any means.
///
/// # Errors
/// The law is broken; the message says where.
pub fn the_sweep_takes_only_the_dead(policy: &Policy, trace: &Trace) -> TestCaseResult {
    live(policy, trace, |moment| {
        let Moment { life, before, command, .. } = moment;
        let record = &life.record;
        if record.end.is_none() && !life.tightened {
            let first = oracle::first_deadline(record, &life.policy);
            prop_assert!(record.due_at <= first, "law 9: looked at {} late", record.due_at);
        }
        if let (Some(Command::Expire), Some(answer)) = (command, moment.answer) {
            let fate = oracle::fate(before, moment.marks, &life.policy, life.now);
            let first = oracle::first_deadline(before, &life.policy);
            match answer {
                Err(_) => prop_assert!(fate.is_some(), "law 9: a living session was swept"),
                Ok(Decision::Reschedule(at)) => {
                    prop_assert_eq!(*at, first, "law 9: rescheduled");
                    prop_assert!(*at > before.due_at, "law 9: rescheduled back");
                }
                Ok(Decision::Nothing) => {
                    prop_assert!(first <= before.due_at, "law 9: found again and again");
                }
                Ok(other) => prop_assert!(false, "law 9: the sweep did {:?}", other),
            }
        }
        let tombstone = match moment.answer {
            Some(Err(ended)) if before.end.is_none() => Some(ended.end.clone()),
            Some(Ok(Decision::Write(write))) => write.record.end.clone(),
            _ => None,
        };
        if let Some(end) = tombstone {
            let absolute = oracle::absolute_deadline(before, &life.policy);
            let last = absolute.max(end.observed_at).max(end.at);
            let kept = last + life.policy.tombstone_retention();
            prop_assert_eq!(end.purge_at, kept, "law 9: a tombstone's time");
        }
        Ok(())
    })
}
