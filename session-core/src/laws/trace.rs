//! What may happen to a session, one thing after the other.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::{Reason, Timestamp};

/// The life of one session as a test tells it: how it begins, and what happens then, with the time that
/// passes in between.
///
/// It means something under every policy: it says "a millisecond before the idle deadline" or "the second
/// class", not "at noon" or "`browser`".
///
/// ```
/// use proptest::prelude::*;
/// use session_core::{Policy, laws};
///
/// proptest!(|(trace in laws::any_trace())| {
///     laws::ends_are_final(&Policy::default(), &trace)?;
/// });
/// ```
#[derive(Clone, Debug)]
pub struct Trace {
    pub(crate) start: Timestamp,
    pub(crate) anonymous: bool,
    /// Which class of the policy; one beyond the last is a class that the policy does not name.
    pub(crate) class: usize,
    pub(crate) groups: Vec<usize>,
    pub(crate) steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) pause: Pause,
    pub(crate) act: Act,
    /// What is decided is carried out only after the next step: another request overtakes it.
    pub(crate) overtaken: bool,
}

/// How the clock moves before a step.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pause {
    None,
    Forward(Duration),
    /// The next request is served by a node whose clock is slower.
    Back(Duration),
    /// Some thousandths of the time that is left to the session.
    Share(u32),
    /// To the idle deadline, that many milliseconds before or after it.
    Idle(i64),
    /// To the absolute deadline, that many milliseconds before or after it.
    Absolute(i64),
    /// As long as the touch interval, that many milliseconds before or after it.
    TouchInterval(i64),
}

#[derive(Clone, Debug)]
pub(crate) enum Act {
    Resume {
        passive: bool,
    },
    Check,
    Update,
    Rotate,
    Mint,
    Promote,
    StepUp,
    Reauthenticate {
        groups: Vec<usize>,
    },
    EnterScope(usize),
    TouchScope(usize),
    Expire,
    Reuse,
    Revoke(Reason),
    /// All sessions of the subject end, or all but this one. The mark's clock differs by some milliseconds.
    RaiseSubject {
        keep: bool,
        skew: i64,
    },
    RaiseRealm {
        skew: i64,
    },
    /// Every limit becomes that many thousandths of itself, and idle timeouts appear where none were.
    Tighten(u32),
    /// Every limit is doubled, or those that may go are gone.
    Loosen {
        drop: bool,
    },
    /// The policy no longer names the class of the session.
    ForgetClass,
    /// The policy is again what it was in the beginning.
    Restore,
}

/// Traces of up to 24 steps, on clocks that sometimes step back, begun in our days or near either end of time.
pub fn any_trace() -> impl Strategy<Value = Trace> {
    let group = || vec(0..3_usize, 0..3);
    (any_start(), prop::bool::weighted(0.2), 0..4_usize, group(), vec(any_step(), 1..24)).prop_map(
        |(start, anonymous, class, groups, steps)| Trace { start, anonymous, class, groups, steps },
    )
}

fn any_start() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        6 => 1_577_836_800_000..1_893_456_000_000_i64,
        1 => -5_000..5_000_i64,
        1 => select(vec![i64::MIN + 1, -62_135_596_800_000, 253_402_300_799_000]),
        1 => (0..100_000_000_i64).prop_map(|before| i64::MAX - before),
    ]
    .prop_map(Timestamp::from_millis)
}

fn any_step() -> impl Strategy<Value = Step> {
    (any_pause(), any_act(), prop::bool::weighted(0.15)).prop_map(|(pause, act, overtaken)| Step {
        pause,
        act,
        overtaken,
    })
}

fn any_pause() -> impl Strategy<Value = Pause> {
    prop_oneof![
        2 => Just(Pause::None),
        4 => (0..900_u32).prop_map(Pause::Share),
        2 => (0..200_000_u64).prop_map(|millis| Pause::Forward(Duration::from_millis(millis))),
        1 => (0..200_000_u64).prop_map(|millis| Pause::Back(Duration::from_millis(millis))),
        2 => (-2..=1_i64).prop_map(Pause::TouchInterval),
        1 => (-2..=1_i64).prop_map(Pause::Idle),
        1 => (-2..=1_i64).prop_map(Pause::Absolute),
    ]
}

fn any_act() -> impl Strategy<Value = Act> {
    let skew = || prop_oneof![2 => Just(0), 1 => -5_000..5_000_i64];
    let reasons = vec![
        Reason::SignedOut,
        Reason::EndedByAdministrator,
        Reason::Superseded,
        Reason::RiskDetected,
    ];
    prop_oneof![
        10 => prop::bool::weighted(0.25).prop_map(|passive| Act::Resume { passive }),
        1 => Just(Act::Check),
        2 => Just(Act::Update),
        2 => Just(Act::Rotate),
        3 => Just(Act::Mint),
        3 => Just(Act::Promote),
        2 => Just(Act::StepUp),
        2 => vec(0..3_usize, 0..3).prop_map(|groups| Act::Reauthenticate { groups }),
        2 => (0..3_usize).prop_map(Act::EnterScope),
        2 => (0..3_usize).prop_map(Act::TouchScope),
        2 => Just(Act::Expire),
        1 => Just(Act::Reuse),
        1 => select(reasons).prop_map(Act::Revoke),
        1 => (prop::bool::weighted(0.7), skew())
            .prop_map(|(keep, skew)| Act::RaiseSubject { keep, skew }),
        1 => skew().prop_map(|skew| Act::RaiseRealm { skew }),
        1 => (100..1_000_u32).prop_map(Act::Tighten),
        1 => any::<bool>().prop_map(|drop| Act::Loosen { drop }),
        1 => Just(Act::ForgetClass),
        1 => Just(Act::Restore),
    ]
}
