//! What several of the tests need.
#![allow(dead_code, reason = "each test uses some of it")]

use std::time::Duration;

use session_core::store::Outcome;
use session_core::{
    Actor, Change, ChangeId, ClassName, Data, DataLimits, DataWrite, EncodedData, End, Event,
    EventKind, Fence, Limits, Realm, Reason, Record, Replacement, SecretHash, SessionId,
    SessionStore, Subject, SystemRandom, Timestamp,
};

pub(crate) const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

pub(crate) fn realm() -> Realm {
    Realm::default()
}

pub(crate) fn subject(name: &str) -> Subject {
    Subject::new(name).unwrap()
}

pub(crate) fn change() -> Change {
    Change::new(ChangeId::new(&SystemRandom).unwrap())
}

/// A session of its own, nobody's.
pub(crate) fn record() -> Record {
    let limits = Limits { absolute_timeout: Some(Duration::from_secs(3_600)), ..Limits::NONE };
    let mut record = Record::new(
        SessionId::new(START, &SystemRandom).unwrap(),
        SecretHash::from_bytes([7; 32]),
        ClassName::new("browser").unwrap(),
        limits,
        START,
    );
    record.due_at = START + Duration::from_secs(3_600);
    record
}

pub(crate) fn record_of(name: &str) -> Record {
    Record { subject: Some(subject(name)), ..record() }
}

pub(crate) fn event(record: &Record, kind: EventKind) -> Event {
    Event {
        session: Some(record.id),
        subject: record.subject.clone(),
        ..Event::new(kind, Actor::Subject, START)
    }
}

pub(crate) fn data(note: &str) -> EncodedData {
    let mut data = Data::default();
    data.set("note", note).unwrap();
    data.encode(&DataLimits { key: 128, value: 1 << 20, total: 1 << 20 }).unwrap()
}

/// The login of a subject whose mark has this version.
pub(crate) fn login(record: &Record, version: u64) -> Change {
    let subject = record.subject.clone().unwrap();
    change()
        .insert_fenced(record.clone(), Some(data("kept")), &Fence { subject, version })
        .event(event(record, EventKind::LoggedIn))
}

/// The end of a session of the first version.
pub(crate) fn revocation(record: &Record) -> Change {
    let end = End {
        reason: Reason::SignedOut,
        actor: Actor::Subject,
        at: START,
        observed_at: START,
        purge_at: START + Duration::from_secs(7_200),
    };
    change()
        .replace(Replacement {
            record: Record { end: Some(end), ..record.clone() },
            expected: 1,
            data: DataWrite::Drop,
            decided_on: None,
        })
        .event(event(record, EventKind::Ended))
}

pub(crate) fn insert(store: &dyn SessionStore, record: &Record) {
    let inserted = change().insert(record.clone(), Some(data("kept")));
    assert_eq!(pollster::block_on(store.commit(&realm(), &inserted)).unwrap(), Outcome::Applied);
}
