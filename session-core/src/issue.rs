//! How a session begins, and who makes room for it: pure, like the rest of the life.

use std::cmp::Reverse;

use crate::lifecycle::{self, Command, Decision, Ended, Write};
use crate::store::Stored;
use crate::{
    Actor, Authentication, ClassName, Client, Epochs, Event, EventKind, GroupName, Marks, OnLimit,
    Policy, Reason, Record, SecretHash, SessionId, Subject, Timestamp,
};

/// What is known of a session before it exists.
#[derive(Clone, Debug)]
pub(crate) struct New {
    pub(crate) id: SessionId,
    pub(crate) secret: SecretHash,
    pub(crate) class: ClassName,
    pub(crate) groups: Vec<GroupName>,
    pub(crate) client: Client,
    /// Whose it is and how he proved it; nobody's if it is anonymous.
    pub(crate) login: Option<(Subject, Authentication)>,
}

/// The record of a new session under the marks that were read, and what is told of it.
pub(crate) fn issue(
    new: New,
    marks: &Marks,
    policy: &Policy,
    now: Timestamp,
) -> (Record, Vec<Event>) {
    let limits = policy.limits(&new.class, &new.groups);
    let mut record = Record::new(new.id, new.secret, new.class, limits, now);
    record.groups = new.groups;
    record.client = new.client;
    record.epochs = Epochs { realm: marks.realm.epoch, subject: 0 };
    let mut kinds = vec![EventKind::Issued];
    if let Some((subject, authentication)) = new.login {
        record.subject = Some(subject);
        record.epochs.subject = marks.subject.epoch;
        record.authentications.push(authentication);
        kinds.push(EventKind::LoggedIn);
    }
    record.due_at = lifecycle::due_at(&record, policy);
    let events = kinds.into_iter().map(|kind| told(kind, &record, policy, now)).collect();
    (record, events)
}

/// A login that was refused, for the audit.
pub(crate) fn denied(
    subject: &Subject,
    class: &ClassName,
    client: &Client,
    policy: &Policy,
    now: Timestamp,
) -> Event {
    let event = Event {
        subject: Some(subject.clone()),
        purge_at: now + policy.event_retention,
        ..Event::new(EventKind::LoginDenied, Actor::Subject, now)
    };
    with_client(event.with_detail("class", class.as_str()), client)
}

fn told(kind: EventKind, record: &Record, policy: &Policy, now: Timestamp) -> Event {
    let event = Event {
        session: Some(record.id),
        subject: record.subject.clone(),
        purge_at: now + policy.event_retention,
        ..Event::new(kind, Actor::Subject, now)
    };
    let event = event.with_detail("class", record.class.as_str());
    let event = match record.authentications.last() {
        Some(authentication) => event.with_detail("method", &authentication.method),
        None => event,
    };
    with_client(event, &record.client)
}

fn with_client(event: Event, client: &Client) -> Event {
    let known =
        [("address", &client.address), ("agent", &client.agent), ("device", &client.device)];
    known.into_iter().fold(event, |event, (name, text)| match text {
        Some(text) => event.with_detail(name, text),
        None => event,
    })
}

/// What has to give way so that one more session of a class may live.
#[derive(Debug)]
pub(crate) enum Room {
    /// These end, each decided on the version beside it.
    Made(Vec<(Write, u64)>),
    /// Nothing gives way: that many live already.
    None { live: usize },
}

/// The most dead sessions that a login ends in its change: any number may have died since the last sweep.
const MAX_DEAD: usize = 500;

/// Makes room among a subject's unended sessions for one more of a class.
///
/// What of the class has ended by itself is ended in the same change, so that no clock that is behind counts it
/// again: of more than a change should hold, those that died last; the sweep ends the others. Sessions of other
/// classes neither count nor give way; a class that the policy does not name (any more) counts as the default
/// class, whose rules it lives by.
pub(crate) fn make_room(
    sessions: &[Stored],
    class: &ClassName,
    policy: &Policy,
    now: Timestamp,
) -> Room {
    let mut dead = Vec::new();
    let mut live = Vec::new();
    for stored in sessions {
        let Stored { record, marks, version, .. } = stored;
        if counts_as(&record.class, policy) != counts_as(class, policy) {
            continue;
        }
        match lifecycle::decide(record, marks, Command::Expire, policy, now) {
            Ok(_) => live.push(stored),
            Err(ended) => {
                let Ended { end, tombstone } = *ended;
                dead.extend(tombstone.map(|tombstone| (end.at, tombstone, *version)));
            }
        }
    }
    dead.sort_by_key(|(at, ..)| Reverse(*at));
    dead.truncate(MAX_DEAD);
    let mut ended: Vec<_> = dead.into_iter().map(|(_, write, version)| (write, version)).collect();
    let rules = policy.class(class);
    let Some(limit) = rules.max_sessions else { return Room::Made(ended) };
    let limit = usize::try_from(limit.get()).unwrap_or(usize::MAX);
    let surplus = (live.len() + 1).saturating_sub(limit);
    if surplus == 0 {
        return Room::Made(ended);
    }
    match rules.on_limit {
        OnLimit::Reject => return Room::None { live: live.len() },
        OnLimit::EvictOldest => {
            live.sort_by_key(|stored| (stored.record.created_at, stored.record.id));
        }
        OnLimit::EvictLeastRecent => {
            live.sort_by_key(|stored| (stored.record.last_seen_at, stored.record.id));
        }
    }
    for stored in &live[..surplus] {
        let command = Command::Revoke { reason: Reason::Superseded, actor: Actor::System };
        if let Ok(Decision::Write(write)) =
            lifecycle::decide(&stored.record, &stored.marks, command, policy, now)
        {
            ended.push((write, stored.version));
        }
    }
    Room::Made(ended)
}

/// The class whose rules a class lives by.
fn counts_as<'a>(class: &'a ClassName, policy: &'a Policy) -> &'a ClassName {
    if policy.has_class(class) { class } else { policy.default_class() }
}
