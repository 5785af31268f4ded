//! Of the fourth law, what it says of secrets: which open a session, and for how long.

use std::time::Duration;

use proptest::test_runner::TestCaseResult;
use proptest::{prop_assert, prop_assert_eq};

use super::life::{Moment, live};
use super::oracle;
use super::probe::instants;
use crate::lifecycle::{Command, Decision, Renewal, renewal};
use crate::{OpenedBy, Policy, Record, Rotation, SecretHash, Timestamp};

/// Law 4, of secrets: a rotation moves no deadline and no data, and signs nobody out. There is at most one
/// successor; until it is presented the current secret is good, and then for the grace; later it is the sign of a
/// copy. A hard rotation forgets all that was before it.
///
/// # Errors
/// The law is broken; the message says where.
pub fn secrets_follow_one_another(policy: &Policy, trace: &super::Trace) -> TestCaseResult {
    live(policy, trace, |moment| {
        if let Some(Ok(Decision::Write(write))) = moment.answer {
            the_write_is_right(moment, &write.record)?;
        }
        let hard = matches!(
            moment.command,
            Some(
                Command::Rotate { .. }
                    | Command::StepUp { .. }
                    | Command::Reauthenticate { .. }
                    | Command::Restamp { secret: Some(_), .. }
            )
        );
        let soft = matches!(moment.command, Some(Command::Mint { .. } | Command::Promote));
        let (before, after) = (moment.before, &moment.life.record);
        if !hard {
            let generations = (before.rotation.generation, after.rotation.generation);
            prop_assert_eq!(generations.0, generations.1, "law 4: {:?}", moment.command);
        }
        if !hard && !soft {
            prop_assert_eq!(before.secret, after.secret, "law 4: {:?} rotated", moment.command);
            prop_assert_eq!(&before.rotation, &after.rotation, "law 4: {:?}", moment.command);
        }
        for now in instants(moment.life) {
            what_is_presented_means_what_it_should(after, &moment.life.policy, now)?;
        }
        Ok(())
    })
}

fn the_write_is_right(moment: &Moment<'_>, record: &Record) -> TestCaseResult {
    let Moment { life, before, command, .. } = moment;
    let now = oracle::seen(before, life.now);
    let opens = |secret: &SecretHash| record.opened_by(secret);
    match command {
        Some(
            Command::Rotate { secret }
            | Command::StepUp { secret, .. }
            | Command::Reauthenticate { secret, .. }
            | Command::Restamp { secret: Some(secret), .. },
        ) => {
            let fresh = Rotation {
                generation: before.rotation.generation.wrapping_add(1),
                rotated_at: Some(now),
                ..Rotation::default()
            };
            prop_assert_eq!(&record.rotation, &fresh, "law 4: {:?} forgot nothing", command);
            prop_assert_eq!(opens(secret), Some(OpenedBy::Current), "law 4: {:?}", command);
            prop_assert_eq!(opens(&before.secret), None, "law 4: {:?}", command);
        }
        Some(Command::Mint { secret, salt }) => {
            prop_assert!(before.rotation.pending.is_none(), "law 4: two successors");
            prop_assert_eq!(opens(&before.secret), Some(OpenedBy::Current), "law 4: minted");
            prop_assert_eq!(opens(secret), Some(OpenedBy::Successor), "law 4: minted");
            let pending = record.rotation.pending.as_ref();
            let told = pending.map(|pending| (pending.salt, pending.minted_at));
            prop_assert_eq!(told, Some((*salt, now)), "law 4: minted");
            prop_assert_eq!(&record.rotation.previous, &before.rotation.previous, "law 4: minted");
            prop_assert_eq!(record.rotation.rotated_at, before.rotation.rotated_at, "law 4");
        }
        Some(Command::Promote) => {
            let successor = before.rotation.pending.as_ref().map(|pending| pending.secret);
            prop_assert_eq!(successor, Some(record.secret), "law 4: promoted");
            prop_assert!(record.rotation.pending.is_none(), "law 4: promoted twice");
            let previous = record.rotation.previous.as_ref();
            let told = previous.map(|previous| (previous.secret, previous.retired_at));
            prop_assert_eq!(told, Some((before.secret, now)), "law 4: the one before");
            prop_assert_eq!(record.rotation.rotated_at, Some(now), "law 4: promoted");
        }
        _ => {
            prop_assert_eq!(record.secret, before.secret, "law 4: the secret of {:?}", command);
            prop_assert_eq!(&record.rotation, &before.rotation, "law 4: {:?}", command);
        }
    }
    if let Some(Command::Rotate { .. } | Command::Mint { .. } | Command::Promote) = command {
        let life = |record: &Record| {
            let Record { created_at, reauthenticated_at, last_seen_at, .. } = record.clone();
            (created_at, reauthenticated_at, last_seen_at, record.limits, record.end.clone())
        };
        prop_assert_eq!(life(record), life(before), "law 4: {:?} moved more", command);
    }
    Ok(())
}

fn what_is_presented_means_what_it_should(
    record: &Record,
    policy: &Policy,
    now: Timestamp,
) -> TestCaseResult {
    let class = policy.class(&record.class);
    let Rotation { rotated_at, pending, previous, .. } = &record.rotation;
    let seen = oracle::seen(record, now);
    let after = |at: Timestamp, by: Duration| {
        i128::from(seen.as_millis())
            >= (i128::from(at.as_millis()) + millis(by)).min(i128::from(i64::MAX))
    };
    for renews in [true, false] {
        let told = renewal(record, OpenedBy::Current, renews, policy, now);
        let due = class
            .rotation_interval
            .is_some_and(|interval| after(rotated_at.unwrap_or(record.created_at), interval));
        let expected = match pending {
            Some(pending) if renews && after(pending.minted_at, Duration::from_secs(10)) => {
                Renewal::Resend(pending.salt)
            }
            None if renews && due && record.activated_at.is_some() => Renewal::Mint,
            _ => Renewal::Keep,
        };
        prop_assert_eq!(told, expected, "law 4: the current secret at {}", now);
        if pending.is_some() {
            let told = renewal(record, OpenedBy::Successor, renews, policy, now);
            prop_assert_eq!(told, Renewal::Promote, "law 4: the successor at {}", now);
        }
        if let Some(previous) = previous {
            let told = renewal(record, OpenedBy::Previous, renews, policy, now);
            let grace = class.rotation_grace.saturating_add(policy.max_clock_skew());
            let late = after(previous.retired_at, grace);
            let expected = if late { Renewal::Reused } else { Renewal::Keep };
            prop_assert_eq!(told, expected, "law 4: the secret before at {}", now);
        }
    }
    Ok(())
}

fn millis(duration: Duration) -> i128 {
    i128::try_from(duration.as_millis()).unwrap_or(i128::MAX / 2)
}
