//! Where and with what the laws look: the instants and the commands at which something could go wrong.

use std::time::Duration;

use super::life::Life;
use super::oracle;
use super::trace::Act;
use crate::lifecycle::Command;
use crate::{Actor, Limits, Reason, Timestamp};

/// The instants at which something could go wrong, in order.
pub(crate) fn instants(life: &Life) -> Vec<Timestamp> {
    let record = &life.record;
    let marks = life.marks();
    let raises = [marks.realm.raise, marks.subject.raise].into_iter().flatten();
    let entries = record.scopes.iter().flat_map(|entry| {
        let today = life.policy.scope(&entry.name).map_or(Limits::NONE, |scope| scope.limits);
        let limits = entry.limits.min(today);
        [
            limits.idle_timeout.map(|limit| entry.last_seen_at + limit),
            limits.absolute_timeout.map(|limit| entry.entered_at + limit),
        ]
    });
    let near = [
        Some(life.now),
        Some(record.created_at),
        Some(record.last_seen_at),
        Some(oracle::absolute_deadline(record, &life.policy)),
        oracle::idle_deadline(record, &life.policy),
    ];
    let class = life.policy.class(&record.class);
    let grace = class.rotation_grace.saturating_add(life.policy.max_clock_skew());
    let rotation = &record.rotation;
    let of_secrets = [
        class
            .rotation_interval
            .map(|interval| rotation.rotated_at.unwrap_or(record.created_at) + interval),
        rotation.pending.as_ref().map(|pending| pending.minted_at + Duration::from_secs(10)),
        rotation.previous.as_ref().map(|previous| previous.retired_at + grace),
    ];
    let milli = Duration::from_millis(1);
    let mut all: Vec<Timestamp> = near
        .into_iter()
        .chain(of_secrets)
        .chain(entries)
        .flatten()
        .chain(raises.map(|raise| raise.at))
        .flat_map(|at| [at - milli, at, at + milli])
        .chain([Timestamp::MIN, Timestamp::MAX])
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

pub(crate) fn every_command(life: &Life) -> Vec<Command> {
    let mut life = life.clone();
    let acts = [
        Act::Resume { passive: false },
        Act::Resume { passive: true },
        Act::Check,
        Act::Update,
        Act::Rotate,
        Act::Mint,
        Act::Promote,
        Act::Reuse,
        Act::StepUp,
        Act::Reauthenticate { groups: Vec::new() },
        Act::EnterScope(0),
        Act::TouchScope(0),
        Act::Expire,
        Act::Revoke(Reason::SignedOut),
        Act::RaiseSubject { keep: true, skew: 0 },
    ];
    let mut all: Vec<Command> = acts.iter().filter_map(|act| life.command(act)).collect();
    all.push(Command::Revoke { reason: Reason::RiskDetected, actor: Actor::System });
    all
}

/// The shortest of every kind.
pub(crate) fn strictest(all: &[Limits]) -> Limits {
    let min = |limit: fn(&Limits) -> Option<Duration>| all.iter().filter_map(limit).min();
    Limits {
        idle_timeout: min(|limits| limits.idle_timeout),
        absolute_timeout: min(|limits| limits.absolute_timeout),
        unclaimed_timeout: min(|limits| limits.unclaimed_timeout),
    }
}
