//! What is asked of a session, and what is to be done about it.

use super::due_at;
use crate::store::Touch;
use crate::{
    Actor, Authentication, Change, DataWrite, End, Epochs, Event, EventKind, GroupName, Policy,
    Reason, Record, Replacement, Salt, ScopeName, SecretHash, Timestamp,
};

/// What is asked of a session.
///
/// ```
/// use session_core::lifecycle::Command;
/// use session_core::{Actor, Reason};
///
/// let command = Command::Revoke { reason: Reason::SignedOut, actor: Actor::Subject };
/// assert!(format!("{command:?}").contains("SignedOut"));
/// ```
#[derive(Clone, Debug)]
pub enum Command {
    /// Its token was presented. `passive`: by a request that is no sign of its user's presence.
    Resume {
        /// Records no activity.
        passive: bool,
    },
    /// Is it alive? Changes nothing.
    Check,
    /// Its data is about to be changed.
    Update,
    /// It gets a new secret, at once the only one.
    Rotate {
        /// The hash of the new secret.
        secret: SecretHash,
    },
    /// Its secret is due: a successor is written down beside it. Nothing, if there is one already.
    Mint {
        /// The hash of the successor.
        secret: SecretHash,
        /// What the successor is derived with.
        salt: Salt,
    },
    /// The successor was presented: it takes the place of the current secret. Nothing, if there is none.
    Promote,
    /// A secret was presented that was replaced too long ago: the session ends, because two hold its token.
    Reuse,
    /// Its holder proved more. Moves no deadline.
    StepUp {
        /// How.
        authentication: Authentication,
        /// The hash of the new secret.
        secret: SecretHash,
    },
    /// Its holder signed in wholly again: both deadlines start anew, under the limits of today.
    Reauthenticate {
        /// How.
        authentication: Authentication,
        /// The hash of the new secret.
        secret: SecretHash,
        /// The groups of the subject today.
        groups: Vec<GroupName>,
    },
    /// A scope is entered. The caller has checked that the authentication is recent enough.
    EnterScope {
        /// Which.
        scope: ScopeName,
    },
    /// There was activity in a scope.
    TouchScope {
        /// Which.
        scope: ScopeName,
    },
    /// It is issued anew under these epochs: the one session that "all but this" keeps.
    Restamp {
        /// The epochs of the raised marks.
        epochs: Epochs,
        /// The hash of a new secret, if it gets one: at once the only one.
        secret: Option<SecretHash>,
    },
    /// It is ended on purpose.
    Revoke {
        /// Why.
        reason: Reason,
        /// By whom.
        actor: Actor,
    },
    /// The sweep asks whether it has ended by itself.
    Expire,
}

/// What is to be done.
///
/// ```
/// use session_core::lifecycle::Decision;
///
/// assert!(matches!(Decision::Nothing, Decision::Nothing));
/// ```
#[derive(Clone, Debug)]
pub enum Decision {
    /// Nothing to write.
    Nothing,
    /// Record activity.
    Touch(Touch),
    /// Move the entry in the index of due sessions.
    Reschedule(Timestamp),
    /// Replace the record.
    Write(Write),
}

/// A record to write, and the events that go with it.
///
/// ```
/// use session_core::lifecycle::Write;
/// use session_core::{Change, ChangeId};
///
/// fn change(write: Write, version: u64) -> Change {
///     write.into_change(Change::new(ChangeId::from_bytes([0; 16])), version)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Write {
    /// What the record is from now on.
    pub record: Box<Record>,
    /// What becomes of the data.
    pub data: DataWrite,
    /// The `last_seen_at` that an end by idleness was decided on.
    pub decided_on: Option<Timestamp>,
    /// What is told of it.
    pub events: Vec<Event>,
}

impl Write {
    /// A live record that keeps its data.
    pub(super) fn new(record: Record, event: Event, policy: &Policy) -> Self {
        Self { events: vec![event], ..Self::keep(record, policy) }
    }

    /// The same, and nothing to tell of it.
    pub(super) fn keep(mut record: Record, policy: &Policy) -> Self {
        record.due_at = due_at(&record, policy);
        Self {
            record: Box::new(record),
            data: DataWrite::Keep,
            decided_on: None,
            events: Vec::new(),
        }
    }

    /// Adds the write and its events to a change.
    pub fn into_change(self, change: Change, expected: u64) -> Change {
        let Self { record, data, decided_on, events } = self;
        let change = change.replace(Replacement { record: *record, expected, data, decided_on });
        events.into_iter().fold(change, Change::event)
    }
}

/// The end that refuses a command.
///
/// ```
/// use session_core::lifecycle::Ended;
///
/// fn is_written_down(ended: &Ended) -> bool {
///     ended.tombstone.is_none()
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Ended {
    /// The end.
    pub end: End,
    /// The tombstone to write, unless the end is written down already.
    pub tombstone: Option<Write>,
}

impl Ended {
    pub(super) fn of(record: &Record, end: End, policy: &Policy) -> Self {
        if record.end.is_some() {
            return Self { end, tombstone: None };
        }
        let event = Event {
            session: Some(record.id),
            subject: record.subject.clone(),
            reason: Some(end.reason.clone()),
            at: end.at,
            observed_at: end.observed_at,
            purge_at: end.observed_at + policy.event_retention,
            ..Event::new(EventKind::Ended, end.actor.clone(), end.observed_at)
        };
        let mut next = record.clone();
        next.scopes.clear();
        next.end = Some(end.clone());
        let tombstone = Write {
            record: Box::new(next),
            data: DataWrite::Drop,
            decided_on: (end.reason == Reason::IdleTimeout).then_some(record.last_seen_at),
            events: vec![event],
        };
        Self { end, tombstone: Some(tombstone) }
    }
}
