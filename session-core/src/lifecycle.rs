//! Every rule of a session's life, in pure functions: no clock, no randomness, no I/O.
//!
//! ```text
//!             resume                    resume, data, rotate
//!  Created ────────────► Active ────────────────┐
//!     │ idle │ absolute │ revoke   ◄────────────┘
//!     ▼      ▼          ▼
//! IdleExpired  AbsoluteExpired  Revoked            terminal: nothing leaves
//! ```
//!
//! `Created`: issued, never presented back. `Active`: presented at least once. [`standing`] tells where a
//! record stands at an instant; [`decide`] what a command makes of it.

mod decision;
mod rotation;
mod scope;

pub use self::decision::{Command, Decision, Ended, Write};
pub use self::rotation::{Renewal, renewal};
pub use self::scope::{NeedsReauth, ScopeStanding, fresh, may_enter, scope_standing};

use self::rotation::{mint, promote, rotate_hard};
use self::scope::enter;
use crate::limits::stricter;
use crate::policy::default_touch_interval;
use crate::store::Touch;
use crate::{
    Actor, Authentication, End, Event, EventKind, Limits, Mark, MarkKey, MarkWrite, Marks, Note,
    Policy, Raise, Reason, Record, Timestamp,
};

/// Where a session stands.
///
/// ```
/// use session_core::State;
///
/// assert!(State::Active.is_live());
/// assert!(!State::IdleExpired.is_live());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Issued, never presented back.
    Created,
    /// Presented at least once.
    Active,
    /// Nobody used it for the idle timeout. Terminal.
    IdleExpired,
    /// It reached the absolute timeout. Terminal.
    AbsoluteExpired,
    /// It was ended on purpose. Terminal.
    Revoked,
}

impl State {
    /// Whether the session may be used.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Created | Self::Active)
    }

    /// The stable text of the state.
    pub fn code(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Active => "active",
            Self::IdleExpired => "idle_expired",
            Self::AbsoluteExpired => "absolute_expired",
            Self::Revoked => "revoked",
        }
    }
}

/// Where a record stands at `now`, under its marks and a policy.
///
/// Total: it has an answer for every record, every policy and every instant. `now` counts as the latest
/// instant that the record or its marks have seen, so that a slow clock neither kills a fresh session nor
/// un-observes an end. Allocates nothing for a live session.
pub fn standing(record: &Record, marks: &Marks, policy: &Policy, now: Timestamp) -> Standing {
    if let Some(end) = &record.end {
        return Standing::Ended(end.clone());
    }
    let limits = policy.effective(record);
    let deadlines = Deadlines::of(record, &limits);
    let raise = fatal_raise(record, marks);
    let now = latest(record, now).max(raise.as_ref().map_or(Timestamp::MIN, |raise| raise.at));
    // An instant that belongs to both is the expiry's: a revocation finds the session dead already.
    let expired =
        deadlines.first().filter(|(at, _)| *at <= raise.as_ref().map_or(now, |raise| raise.at));
    match (expired, raise) {
        (Some((at, reason)), _) => {
            Standing::Ended(end_of(&deadlines, policy, reason, Actor::System, at, now))
        }
        (None, Some(raise)) => {
            Standing::Ended(end_of(&deadlines, policy, raise.reason, raise.actor, raise.at, now))
        }
        (None, None) => Standing::Live {
            state: if record.activated_at.is_some() { State::Active } else { State::Created },
            deadlines,
        },
    }
}

/// The state of a record at `now`: [`standing`] without its details.
pub fn state(record: &Record, marks: &Marks, policy: &Policy, now: Timestamp) -> State {
    match standing(record, marks, policy, now) {
        Standing::Live { state, .. } => state,
        Standing::Ended(end) => end.state(),
    }
}

/// What a command makes of a session, or the end that refuses it.
///
/// Total, like [`standing`]. The decision carries what to write and the events that it means; whoever carries
/// it out adds nothing. It does not check the secret: the engine has compared it before it asks.
///
/// # Errors
/// The session has ended. An end that is not written down yet comes with its tombstone.
pub fn decide(
    record: &Record,
    marks: &Marks,
    command: Command,
    policy: &Policy,
    now: Timestamp,
) -> Result<Decision, Box<Ended>> {
    let deadlines = match standing(record, marks, policy, now) {
        Standing::Live { deadlines, .. } => deadlines,
        Standing::Ended(end) => return Err(Box::new(Ended::of(record, end, policy))),
    };
    let now = latest(record, now);
    Ok(match command {
        Command::Check => Decision::Nothing,
        // A first presentation is written down; later ones are activity at most.
        Command::Resume { passive } if record.activated_at.is_some() => {
            if passive {
                Decision::Nothing
            } else {
                touch(record, 0, record.last_seen_at, policy, now)
            }
        }
        Command::TouchScope { scope } => match record.scope(&scope) {
            Some(entry) => touch(record, entry.slot, entry.last_seen_at, policy, now),
            None => Decision::Nothing,
        },
        Command::Expire => match deadlines.earliest().unwrap_or(Timestamp::MAX) {
            due_at if due_at > record.due_at => Decision::Reschedule(due_at),
            _ => Decision::Nothing,
        },
        Command::Revoke { reason, actor } => {
            let end = end_of(&deadlines, policy, reason, actor, now, now);
            let tombstone = Ended::of(record, end, policy).tombstone;
            tombstone.map_or(Decision::Nothing, Decision::Write)
        }
        Command::Reuse => {
            let reason = Reason::ReuseDetected;
            let end = end_of(&deadlines, policy, reason, Actor::System, now, now);
            let Some(mut tombstone) = Ended::of(record, end, policy).tombstone else {
                return Ok(Decision::Nothing);
            };
            tombstone.events.insert(0, told(record, EventKind::ReuseDetected, policy, now));
            Decision::Write(tombstone)
        }
        other => rewrite(record.clone(), other, policy, now),
    })
}

/// What a live record becomes by a command that writes it anew, and what is told of it.
fn rewrite(mut next: Record, command: Command, policy: &Policy, now: Timestamp) -> Decision {
    let mut detail = None;
    let kind = match command {
        Command::Resume { .. } => {
            next.activated_at = Some(now);
            next.last_seen_at = now;
            EventKind::Activated
        }
        Command::Rotate { secret } => {
            rotate_hard(&mut next, secret, now);
            EventKind::Rotated
        }
        Command::Mint { secret, salt } => {
            if !mint(&mut next, secret, salt, now) {
                return Decision::Nothing;
            }
            // The rotation is told when the successor has arrived.
            return Decision::Write(Write::keep(next, policy));
        }
        Command::Promote => {
            if !promote(&mut next, now) {
                return Decision::Nothing;
            }
            EventKind::Rotated
        }
        Command::StepUp { authentication, secret } => {
            rotate_hard(&mut next, secret, now);
            remember(&mut next.authentications, authentication);
            EventKind::SteppedUp
        }
        Command::Reauthenticate { authentication, secret, groups } => {
            rotate_hard(&mut next, secret, now);
            next.authentications = vec![authentication];
            next.limits = policy.limits(&next.class, &groups);
            next.groups = groups;
            next.reauthenticated_at = Some(now);
            next.last_seen_at = now;
            next.activated_at = Some(next.activated_at.unwrap_or(now));
            EventKind::Reauthenticated
        }
        Command::EnterScope { scope } => {
            let Some(rules) = policy.scope(&scope) else { return Decision::Nothing };
            detail = Some(("scope", scope.clone()));
            enter(&mut next, scope, rules.limits, now);
            EventKind::ScopeEntered
        }
        Command::Restamp { epochs, secret } => {
            next.epochs = epochs;
            let Some(secret) = secret else { return Decision::Write(Write::keep(next, policy)) };
            rotate_hard(&mut next, secret, now);
            EventKind::Rotated
        }
        // Data is the application's own affair, and no event.
        Command::Update => return Decision::Write(Write::keep(next, policy)),
        Command::Check
        | Command::TouchScope { .. }
        | Command::Revoke { .. }
        | Command::Reuse
        | Command::Expire => return Decision::Nothing,
    };
    let event = told(&next, kind, policy, now);
    let event = match detail {
        Some((name, scope)) => event.with_detail(name, scope.as_str()),
        None => event,
    };
    Decision::Write(Write::new(next, event, policy))
}

/// An event of a session that its holder has caused.
fn told(record: &Record, kind: EventKind, policy: &Policy, now: Timestamp) -> Event {
    Event {
        session: Some(record.id),
        subject: record.subject.clone(),
        purge_at: now + policy.event_retention,
        ..Event::new(kind, Actor::Subject, now)
    }
}

/// The event of a note that goes with a change of a live session's data.
pub(crate) fn noted(record: &Record, note: Note, policy: &Policy, now: Timestamp) -> Event {
    let (kind, detail) = note.into_parts();
    Event { detail, ..told(record, kind, policy, latest(record, now)) }
}

/// Where a record stands.
///
/// ```
/// use session_core::lifecycle::Standing;
///
/// fn alive(standing: &Standing) -> bool {
///     matches!(standing, Standing::Live { .. })
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may be used.
    Live {
        /// [`State::Created`] or [`State::Active`].
        state: State,
        /// Until when, unless it is used or ended before.
        deadlines: Deadlines,
    },
    /// It has ended.
    Ended(End),
}

/// Until when a session lives if nothing happens. From either instant on it is dead, the instant included.
///
/// ```
/// use session_core::Timestamp;
/// use session_core::lifecycle::Deadlines;
///
/// let deadlines = Deadlines { idle: None, absolute: Some(Timestamp::from_millis(60_000)) };
/// assert_eq!(deadlines.earliest(), Some(Timestamp::from_millis(60_000)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// Moves with activity. `None` without an idle limit.
    pub idle: Option<Timestamp>,
    /// Moves only with re-authentication. `None` only for a scope without one.
    pub absolute: Option<Timestamp>,
}

impl Deadlines {
    /// The deadlines of a session under these limits.
    fn of(record: &Record, limits: &Limits) -> Self {
        let idle = match record.activated_at {
            Some(_) => limits.idle_timeout,
            None => stricter(limits.idle_timeout, limits.unclaimed_timeout),
        };
        Self {
            idle: idle.map(|timeout| record.last_seen_at + timeout),
            absolute: limits.absolute_timeout.map(|timeout| record.absolute_from() + timeout),
        }
    }

    /// The earlier of both.
    pub fn earliest(&self) -> Option<Timestamp> {
        self.first().map(|(at, _)| at)
    }

    /// The earlier of both and what it means; of two at one instant, the absolute one.
    fn first(&self) -> Option<(Timestamp, Reason)> {
        match (self.idle, self.absolute) {
            (Some(idle), Some(absolute)) if idle < absolute => Some((idle, Reason::IdleTimeout)),
            (_, Some(absolute)) => Some((absolute, Reason::AbsoluteTimeout)),
            (Some(idle), None) => Some((idle, Reason::IdleTimeout)),
            (None, None) => None,
        }
    }

    /// Both, but nothing later than an outer deadline.
    fn within(self, outer: &Self) -> Self {
        let earliest = outer.earliest();
        let min = |own: Option<Timestamp>| match (own, earliest) {
            (Some(own), Some(outer)) => Some(own.min(outer)),
            (one, None) | (None, one) => one,
        };
        Self {
            idle: self.idle.map(|own| earliest.map_or(own, |outer| own.min(outer))),
            absolute: min(self.absolute),
        }
    }
}

/// What it takes to end all that was issued so far: of the realm, or of a subject in it.
///
/// One write of one mark, whatever the number of sessions. They are dead from then on; their tombstones and
/// their own events follow when they are resumed or swept.
pub fn raise(
    key: MarkKey,
    mark: &Mark,
    reason: Reason,
    actor: Actor,
    policy: &Policy,
    now: Timestamp,
) -> (MarkWrite, Event) {
    let (kind, subject) = match &key {
        MarkKey::Realm => (EventKind::RealmRevoked, None),
        MarkKey::Subject(subject) => (EventKind::SubjectRevoked, Some(subject.clone())),
    };
    let event = Event {
        subject,
        reason: Some(reason.clone()),
        purge_at: now + policy.event_retention,
        ..Event::new(kind, actor.clone(), now)
    };
    let raise = Raise { epoch: mark.epoch.saturating_add(1), reason, actor, at: now };
    (MarkWrite { key, expected: mark.version, raise: Some(raise), stamp: None }, event)
}

/// When the sweep has to look at a live record: at its first deadline.
pub(crate) fn due_at(record: &Record, policy: &Policy) -> Timestamp {
    Deadlines::of(record, &policy.effective(record)).earliest().unwrap_or(Timestamp::MAX)
}

/// `now`, but never before what the record has seen: a slow clock does not turn its time back.
fn latest(record: &Record, now: Timestamp) -> Timestamp {
    now.max(record.created_at).max(record.last_seen_at)
}

/// The raise that ended the record: of both marks', the earlier one.
fn fatal_raise(record: &Record, marks: &Marks) -> Option<Raise> {
    let realm = raise_above(record, record.epochs.realm, &marks.realm);
    let subject = raise_above(record, record.epochs.subject, &marks.subject);
    match (realm, subject) {
        (Some(realm), Some(subject)) if subject.at < realm.at => Some(subject),
        (Some(raise), _) | (None, Some(raise)) => Some(raise),
        (None, None) => None,
    }
}

fn raise_above(record: &Record, epoch: u64, mark: &Mark) -> Option<Raise> {
    if epoch >= mark.epoch {
        return None;
    }
    // A store that has lost why must not bring the session back.
    let raise = mark.raise.clone().unwrap_or(Raise {
        epoch: mark.epoch,
        reason: Reason::EveryoneRevoked,
        actor: Actor::System,
        at: record.last_seen_at,
    });
    // Whoever raised it may have a slower clock than whoever issued the session: nothing ends before it began.
    Some(Raise { at: raise.at.max(record.created_at), ..raise })
}

fn end_of(
    deadlines: &Deadlines,
    policy: &Policy,
    reason: Reason,
    actor: Actor,
    at: Timestamp,
    observed_at: Timestamp,
) -> End {
    let kept_from = deadlines.absolute.unwrap_or(observed_at).max(observed_at);
    End { reason, actor, at, observed_at, purge_at: kept_from + policy.tombstone_retention }
}

/// Activity now, if the last one recorded is long enough ago.
fn touch(record: &Record, slot: u32, last: Timestamp, policy: &Policy, now: Timestamp) -> Decision {
    let idle = match slot {
        0 => policy.effective(record).idle_timeout,
        slot => record.scopes.iter().find(|entry| entry.slot == slot).and_then(|entry| {
            let today = policy.scope(&entry.name).and_then(|scope| scope.limits.idle_timeout);
            stricter(entry.limits.idle_timeout, today)
        }),
    };
    let class = policy.class(&record.class);
    // An idle timeout made stricter than the class's must not outrun the recording of activity.
    let interval = if stricter(idle, class.limits.idle_timeout) == class.limits.idle_timeout {
        class.touch_interval
    } else {
        class.touch_interval.min(default_touch_interval(idle))
    };
    // Nothing is before the first instant: no touch could say that the last activity was after something.
    if last == Timestamp::MIN || now.since(last) < interval {
        return Decision::Nothing;
    }
    Decision::Touch(Touch {
        id: record.id,
        slot,
        seen_at: now,
        if_after: idle.map_or(Timestamp::MIN, |idle| now - idle),
        if_before: now - interval,
    })
}

/// Authentications beyond these are forgotten, the oldest first.
const MAX_AUTHENTICATIONS: usize = 8;

fn remember(known: &mut Vec<Authentication>, new: Authentication) {
    known.push(new);
    let forgotten = known.len().saturating_sub(MAX_AUTHENTICATIONS);
    known.drain(..forgotten);
}
