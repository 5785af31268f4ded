//! Policies and records, of any kind that there can be.

use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use crate::{
    Actor, Authentication, Class, ClassName, Client, DataLimits, End, Epochs, GroupName, Limits,
    OnLimit, Pending, Policy, Previous, Reason, Record, RequestLimits, Rotation, Salt, Scope,
    ScopeEntry, ScopeName, SecretHash, SessionId, Subject, Timestamp,
};

/// Policies: one to three classes, with and without idle timeouts, groups and scopes.
///
/// ```
/// use proptest::prelude::*;
/// use session_core::laws;
///
/// proptest!(|(policy in laws::any_policy())| {
///     prop_assert!(policy.has_class(policy.default_class()));
/// });
/// ```
pub fn any_policy() -> impl Strategy<Value = Policy> {
    let classes = btree_map("[a-z][a-z0-9._-]{0,7}", any_class(), 1..=3);
    let limited = || btree_map("[a-z][a-z0-9._-]{0,7}", any_limits(), 0..=2);
    let rest = (any::<prop::sample::Index>(), any_timeout(), any_timeout(), any_timeout());
    let data = (1..4_096_usize, 1..65_536_usize, 1..DataLimits::MAX_TOTAL);
    (classes, limited(), limited(), rest, data).prop_map(|(classes, groups, scopes, rest, data)| {
        let (default_class, skew, tombstones, events) = rest;
        let default_class = default_class.get(&classes.keys().collect::<Vec<_>>()).to_string();
        let mut builder = Policy::builder()
            .default_class(&default_class)
            .max_clock_skew(skew)
            .tombstone_retention(tombstones)
            .event_retention(events)
            .request_limits(RequestLimits { time_real: Some(events), time_cpu: Some(skew) })
            .data_limits(DataLimits { key: data.0, value: data.1, total: data.2 });
        for (name, class) in &classes {
            builder = builder.class(name, class.clone());
        }
        for (name, limits) in &groups {
            builder = builder.group(name, *limits);
        }
        let scopes = scopes
            .iter()
            .map(|(name, limits)| (name, Limits { unclaimed_timeout: None, ..*limits }))
            .filter(|(_, limits)| *limits != Limits::NONE);
        for (name, limits) in scopes {
            let max_age = data.1 as u64;
            let scope = Scope { max_age: Duration::from_millis(max_age), ..Scope::from(limits) };
            builder = builder.scope(name, scope);
        }
        match builder.build() {
            Ok(policy) => policy,
            Err(error) => unreachable!("the strategy makes valid policies only: {error}"),
        }
    })
}

fn any_class() -> impl Strategy<Value = Class> {
    let on_limit = prop_oneof![
        Just(OnLimit::EvictLeastRecent),
        Just(OnLimit::EvictOldest),
        Just(OnLimit::Reject)
    ];
    let rotation = (option::of(any_timeout()), 0..=600_000_u64);
    let most = option::of((1..10_u32, on_limit));
    (any_timeout(), any_limits(), most, 1..=1_000_u64, rotation).prop_map(
        |(absolute, limits, most, share, rotation)| {
            let mut class = Class::new(absolute);
            if let Some(idle) = limits.idle_timeout {
                let idle = idle.max(Duration::from_millis(2));
                let shorter = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX) - 1;
                let touch = u128::from(shorter) * u128::from(share) / 1_000;
                let touch = u64::try_from(touch).unwrap_or(u64::MAX).max(1);
                class = class.idle(idle).touch_interval(Duration::from_millis(touch));
            }
            class.limits.unclaimed_timeout = limits.unclaimed_timeout;
            class.rotation_interval = rotation.0;
            class.rotation_grace = Duration::from_millis(rotation.1);
            match most {
                Some((most, on_limit)) => class.max_sessions(most, on_limit),
                None => class,
            }
        },
    )
}

fn any_limits() -> impl Strategy<Value = Limits> {
    let timeout = || option::of(any_timeout());
    (timeout(), timeout(), timeout()).prop_map(|(idle, absolute, unclaimed)| Limits {
        idle_timeout: idle,
        absolute_timeout: absolute,
        unclaimed_timeout: unclaimed,
    })
}

/// A millisecond to a year, short and long ones alike.
fn any_timeout() -> impl Strategy<Value = Duration> {
    prop_oneof![1..100_u64, 100..100_000_u64, 100_000..31_536_000_000_u64]
        .prop_map(Duration::from_millis)
}

/// Records: fresh and old ones, live and ended, of subjects and of nobody, full and empty.
///
/// They need not have come about by any trace: their instants stand in no order. Durations are whole
/// milliseconds.
///
/// ```
/// use proptest::prelude::*;
/// use session_core::{Marks, Policy, Timestamp, laws, lifecycle};
///
/// proptest!(|(record in laws::any_record())| {
///     // An end that is written down is the end at any instant.
///     let state = lifecycle::state(&record, &Marks::default(), &Policy::default(), Timestamp::MIN);
///     if let Some(end) = &record.end {
///         prop_assert_eq!(state, end.state());
///     }
/// });
/// ```
pub fn any_record() -> impl Strategy<Value = Record> {
    let keys = (
        any::<[u8; 16]>(),
        any::<[u8; 32]>(),
        any_name(),
        option::of(any_subject()),
        any_rotation(),
    );
    let rules = (vec(any_name(), 0..4), any_limits(), any::<u64>(), any::<u64>());
    let times = (any_instant(), option::of(any_instant()), option::of(any_instant()));
    let more_times = (any_instant(), any_instant());
    let lists = (vec(any_authentication(), 0..4), vec(any_scope(), 0..4), 1..u32::MAX);
    let rest = (any_client(), option::of(any_end()));
    (keys, rules, times, more_times, lists, rest).prop_map(
        |(keys, rules, times, more_times, lists, rest)| Record {
            id: SessionId::from_bytes(keys.0),
            secret: SecretHash::from_bytes(keys.1),
            rotation: keys.4,
            subject: keys.3,
            class: named(ClassName::new(keys.2)),
            groups: rules.0.into_iter().map(|name| named(GroupName::new(name))).collect(),
            limits: rules.1,
            epochs: Epochs { realm: rules.2, subject: rules.3 },
            created_at: times.0,
            activated_at: times.1,
            reauthenticated_at: times.2,
            last_seen_at: more_times.0,
            authentications: lists.0,
            scopes: lists.1,
            next_slot: lists.2,
            client: rest.0,
            due_at: more_times.1,
            end: rest.1,
        },
    )
}

fn any_rotation() -> impl Strategy<Value = Rotation> {
    let pending = (any::<[u8; 32]>(), any::<[u8; 32]>(), any_instant());
    let previous = (any::<[u8; 32]>(), any_instant());
    (any::<u32>(), option::of(any_instant()), option::of(pending), option::of(previous)).prop_map(
        |(generation, rotated_at, pending, previous)| Rotation {
            generation,
            rotated_at,
            pending: pending.map(|(secret, salt, minted_at)| Pending {
                secret: SecretHash::from_bytes(secret),
                salt: Salt::from_bytes(salt),
                minted_at,
            }),
            previous: previous.map(|(secret, retired_at)| Previous {
                secret: SecretHash::from_bytes(secret),
                retired_at,
            }),
        },
    )
}

fn any_name() -> impl Strategy<Value = String> {
    "[A-Za-z0-9._-]{1,64}"
}

fn named<T>(name: Result<T, crate::NameError>) -> T {
    match name {
        Ok(name) => name,
        Err(error) => unreachable!("the strategy makes names only: {error}"),
    }
}

fn any_subject() -> impl Strategy<Value = Subject> {
    "[^\0]{1,60}".prop_map(|text| named(Subject::new(text)))
}

fn any_instant() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        4 => 0..4_102_444_800_000_i64,
        1 => any::<i64>(),
        1 => prop::sample::select(vec![i64::MIN, -1, 0, 1, 253_402_300_799_000, i64::MAX]),
    ]
    .prop_map(Timestamp::from_millis)
}

fn any_authentication() -> impl Strategy<Value = Authentication> {
    ("\\PC{0,20}", any::<u8>(), any_instant())
        .prop_map(|(method, level, at)| Authentication::new(&method, level, at))
}

fn any_scope() -> impl Strategy<Value = ScopeEntry> {
    (any_name(), 1..u32::MAX, any_limits(), any_instant(), any_instant()).prop_map(
        |(name, slot, limits, entered_at, last_seen_at)| ScopeEntry {
            name: named(ScopeName::new(name)),
            slot,
            limits,
            entered_at,
            last_seen_at,
        },
    )
}

fn any_client() -> impl Strategy<Value = Client> {
    let text = || option::of("\\PC{0,40}");
    (text(), text(), text()).prop_map(|(address, agent, device)| {
        let client = Client::default();
        let client = address.iter().fold(client, |client, text| client.with_address(text));
        let client = agent.iter().fold(client, |client, text| client.with_agent(text));
        device.iter().fold(client, |client, text| client.with_device(text))
    })
}

fn any_end() -> impl Strategy<Value = End> {
    (any_reason(), any_actor(), any_instant(), any_instant(), any_instant()).prop_map(
        |(reason, actor, at, observed_at, purge_at)| End {
            reason,
            actor,
            at,
            observed_at,
            purge_at,
        },
    )
}

fn any_reason() -> impl Strategy<Value = Reason> {
    prop_oneof![
        prop::sample::select(vec![
            Reason::IdleTimeout,
            Reason::AbsoluteTimeout,
            Reason::SignedOut,
            Reason::EndedByAdministrator,
            Reason::CredentialsChanged,
        ]),
        any_name().prop_map(|code| named(Reason::from_code(&code))),
    ]
}

fn any_actor() -> impl Strategy<Value = Actor> {
    prop_oneof![Just(Actor::System), Just(Actor::Subject), any_subject().prop_map(Actor::Operator),]
}
