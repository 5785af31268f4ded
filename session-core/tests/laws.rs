//! The laws, on the policies that come with the crate and on any other.
#![cfg(feature = "proptest")]

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use session_core::Policy;
use session_core::laws::{self, Trace};

type Law = fn(&Policy, &Trace) -> TestCaseResult;

/// The law on the policies that come with the crate, and on any.
fn holds(law: Law) {
    let known = [Policy::default(), Policy::nist_aal1(), Policy::nist_aal2(), Policy::nist_aal3()];
    proptest!(ProptestConfig::with_cases(64), |(trace in laws::any_trace())| {
        for policy in &known {
            law(policy, &trace)?;
        }
    });
    proptest!(|(policy in laws::any_policy(), trace in laws::any_trace())| {
        law(&policy, &trace)?;
    });
}

#[test]
fn law_1() {
    holds(laws::ends_are_final);
}

#[test]
fn law_2() {
    holds(laws::dead_from_the_deadline_on);
}

#[test]
fn law_3() {
    holds(laws::the_cause_is_the_first_deadline);
}

#[test]
fn law_4() {
    holds(laws::only_reauthentication_moves_the_absolute_deadline);
}

#[test]
fn law_4_of_secrets() {
    holds(laws::secrets_follow_one_another);
}

#[test]
fn law_5() {
    holds(laws::activity_never_goes_back);
}

#[test]
fn law_6() {
    holds(laws::coalescing_ends_early_never_late);
}

#[test]
fn law_7() {
    holds(laws::loosening_acts_on_new_sessions_only);
}

#[test]
fn law_8() {
    holds(laws::what_is_within_is_only_stricter);
}

#[test]
fn law_9() {
    holds(laws::the_sweep_takes_only_the_dead);
}
