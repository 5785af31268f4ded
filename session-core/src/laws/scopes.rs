//! The law of what is within: scopes in a session, groups in a class.

use std::time::Duration;

use proptest::test_runner::TestCaseResult;
use proptest::{prop_assert, prop_assert_eq};

use super::life::{Life, Moment, live, loosen, tighten};
use super::oracle;
use super::probe::instants;
use super::trace::Trace;
use crate::lifecycle::{
    Command, Decision, ScopeStanding, Standing, decide, scope_standing, standing,
};
use crate::{Policy, ScopeName, Timestamp};

/// Law 8: scopes, groups and classes can only be stricter than what contains them.
///
/// # Errors
/// The law is broken; the message says where.
pub fn what_is_within_is_only_stricter(policy: &Policy, trace: &Trace) -> TestCaseResult {
    live(policy, trace, |moment| {
        let Moment { life, before, command, .. } = moment;
        let record = &life.record;
        let limits = life.policy.limits(&record.class, &record.groups);
        for outer in oracle::limits_today(record, &life.policy) {
            prop_assert_eq!(limits.min(outer), limits, "law 8: a group loosens {:?}", outer);
        }
        for policy in [&life.policy, &loosen(&life.policy, true), &tighten(&life.policy, 500)] {
            let mut seen = Life::clone(life);
            seen.policy = policy.clone();
            for now in instants(&seen) {
                a_scope_is_within(&seen, now)?;
            }
        }
        for (name, _) in life.policy.scopes() {
            a_scope_is_entered_and_used(life, name)?;
        }
        match (command, moment.answer) {
            (Some(Command::EnterScope { scope }), Some(Ok(decision))) => {
                match (life.policy.scope(scope), decision) {
                    (Some(rules), Decision::Write(write)) => {
                        let entry = write.record.scope(scope);
                        let now = oracle::seen(before, life.now);
                        prop_assert!(
                            entry.is_some_and(|entry| entry.limits == rules.limits
                                && entry.entered_at == now
                                && entry.last_seen_at == now
                                && entry.slot == before.next_slot),
                            "law 8: entered as {:?}",
                            entry
                        );
                    }
                    (rules, decision) => {
                        let nothing = rules.is_none() && matches!(decision, Decision::Nothing);
                        prop_assert!(nothing, "law 8: {:?} on a scope that is none", decision);
                    }
                }
            }
            (Some(Command::TouchScope { scope }), Some(Ok(decision))) => {
                let slot = before.scope(scope).map(|entry| entry.slot);
                if let Decision::Touch(touch) = decision {
                    prop_assert_eq!(Some(touch.slot), slot, "law 8: another's touch");
                    prop_assert_eq!(touch.seen_at, oracle::seen(before, life.now), "law 8: touch");
                }
            }
            _ => {}
        }
        Ok(())
    })
}

/// What entering a scope now, using it for a while, and entering it again come to.
fn a_scope_is_entered_and_used(life: &Life, name: &ScopeName) -> TestCaseResult {
    let mut seen = life.clone();
    let enter = |life: &Life| {
        let command = Command::EnterScope { scope: name.clone() };
        decide(&life.record, &life.marks(), command, &life.policy, life.now)
    };
    let Ok(Decision::Write(write)) = enter(&seen) else { return Ok(()) };
    seen.record = *write.record;
    let Some(entry) = seen.record.scope(name).cloned() else {
        prop_assert!(false, "law 8: entered and not in");
        return Ok(());
    };
    let idle = entry.limits.idle_timeout.unwrap_or(Duration::from_secs(120));
    let used_at = entry.last_seen_at + idle / 4 * 3;
    let touch = Command::TouchScope { scope: name.clone() };
    if let Ok(decision) = decide(&seen.record, &seen.marks(), touch, &seen.policy, used_at) {
        match decision {
            Decision::Touch(touch) => {
                prop_assert_eq!(touch.slot, entry.slot, "law 8: another's touch");
                prop_assert_eq!(touch.seen_at, used_at, "law 8: touch");
            }
            // Two requests within one millisecond are one.
            Decision::Nothing => {
                let early = used_at.since(entry.last_seen_at);
                let interval = seen.policy.class(&seen.record.class).touch_interval;
                prop_assert!(early < interval, "law 8: {:?} early", early);
            }
            other => prop_assert!(false, "law 8: a touch became {:?}", other),
        }
    }
    for known in seen.record.scopes.iter_mut().filter(|known| known.slot == entry.slot) {
        known.last_seen_at = used_at;
    }
    for now in instants(&seen) {
        a_scope_is_within(&seen, now)?;
    }
    if let Ok(Decision::Write(write)) = enter(&seen) {
        let again = write.record.scope(name).map(|entry| entry.slot);
        prop_assert!(again > Some(entry.slot), "law 8: slot {:?} used again", again);
    }
    Ok(())
}

/// Where the session stands in each scope at an instant, and that no scope outlives it or what it was entered
/// under.
fn a_scope_is_within(life: &Life, now: Timestamp) -> TestCaseResult {
    let record = &life.record;
    let outer = standing(record, &life.marks(), &life.policy, now);
    for (name, _) in life.policy.scopes() {
        let told = scope_standing(record, &life.marks(), &life.policy, name, now);
        let (Standing::Live { deadlines: outer, .. }, Some(entry)) = (&outer, record.scope(name))
        else {
            let closed = match outer {
                Standing::Ended(_) => ScopeStanding::SessionEnded,
                Standing::Live { .. } => ScopeStanding::NotEntered,
            };
            prop_assert_eq!(told, closed, "law 8: at {}", now);
            continue;
        };
        match (oracle::scope_fate(record, entry, &life.policy, now), told) {
            (Some((at, reason)), told) => {
                let expected = ScopeStanding::Expired { reason, at };
                prop_assert_eq!(told, expected, "law 8: at {}", now);
            }
            (None, ScopeStanding::Open { deadlines }) => {
                let within = deadlines.earliest() <= outer.earliest();
                prop_assert!(within, "law 8: a scope outlives its session");
                prop_assert!(deadlines.earliest() > Some(now), "law 8: open too long");
            }
            (None, told) => prop_assert!(false, "law 8: {:?} at {}", told, now),
        }
    }
    Ok(())
}
