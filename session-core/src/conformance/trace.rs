//! What happens in a trace: changes that mostly fit what is stored, and sometimes do not.

use std::time::Duration;

use super::bed::{Seeded, subject};
use crate::store::Touch;
use crate::{
    Actor, Authentication, Change, ChangeId, ClassName, Client, DataWrite, EncodedData, End, Event,
    EventKind, Fence, GroupName, Limits, MarkKey, MarkWrite, MemoryStore, Raise, Realm, Reason,
    Record, Replacement, Reschedule, ScopeEntry, ScopeName, SecretHash, SessionId, SessionStore,
    Settle, Stamp, Subject, Timestamp,
};

/// Makes up what happens, the same for the same seed.
pub(super) struct Chance<'a> {
    pub(super) random: &'a Seeded,
}

impl Chance<'_> {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.random.next() % bound
    }

    pub(super) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(super) fn subject(&mut self) -> Subject {
        subject(if self.one_in(2) { "alice" } else { "bob" })
    }

    fn key(&mut self) -> MarkKey {
        if self.one_in(3) { MarkKey::Realm } else { MarkKey::Subject(self.subject()) }
    }

    pub(super) fn touch(&mut self, now: Timestamp) -> Touch {
        Touch {
            id: id(u8::try_from(self.below(7)).unwrap()),
            slot: u32::try_from(self.below(3)).unwrap(),
            seen_at: now,
            if_after: now - Duration::from_secs(self.below(100)),
            if_before: now - Duration::from_secs(self.below(20)),
        }
    }

    /// A change that mostly fits what is stored, and sometimes does not.
    pub(super) async fn change(
        &mut self,
        known: &MemoryStore,
        realm: &Realm,
        records: &[Record],
        now: Timestamp,
    ) -> Change {
        let mut change = Change::new(ChangeId::new(self.random).unwrap());
        let of = &records[usize::try_from(self.below(6)).unwrap()];
        match known.load(realm, of.id).await.unwrap() {
            None => change = self.insert(change, known, realm, of, now).await,
            Some(stored) => {
                let expected = stored.version + u64::from(self.one_in(8));
                let record = self.edit(stored.record.clone(), now);
                if self.one_in(5) {
                    let due_at = now + Duration::from_secs(self.below(100));
                    change = change.reschedule(Reschedule { id: of.id, expected, due_at });
                } else {
                    let data = match self.below(3) {
                        0 => DataWrite::Keep,
                        1 => DataWrite::Set(EncodedData::from_stored(format!(
                            "{{\"at\":\"{now}\"}}"
                        ))),
                        _ => DataWrite::Drop,
                    };
                    let decided_on = self.one_in(4).then_some(stored.record.last_seen_at);
                    change = change
                        .event(told(&record, now + Duration::from_secs(self.below(90))))
                        .replace(Replacement { record, expected, data, decided_on });
                }
            }
        }
        if self.one_in(4) {
            change = self.mark(change, known, realm, now).await;
        }
        if self.one_in(6) {
            change = change.settle(Settle { key: self.key(), epoch: self.below(4) });
        }
        change
    }

    async fn insert(
        &mut self,
        change: Change,
        known: &MemoryStore,
        realm: &Realm,
        of: &Record,
        now: Timestamp,
    ) -> Change {
        let mut record = self.edit(of.clone(), now);
        let kept = self.one_in(2).then(|| EncodedData::from_stored(r#"{"kept":true}"#));
        if self.one_in(3) {
            return change.event(told(&record, now)).insert(record, kept);
        }
        let subject = self.subject();
        let marks = known.marks(realm, Some(&subject)).await.unwrap();
        record.subject = Some(subject.clone());
        record.epochs.realm = marks.realm.epoch;
        record.epochs.subject = marks.subject.epoch;
        let version = marks.subject.version + u64::from(self.one_in(8));
        let event = told(&record, now + Duration::from_secs(60));
        change.event(event).insert_fenced(record, kept, &Fence { subject, version })
    }

    async fn mark(
        &mut self,
        change: Change,
        known: &MemoryStore,
        realm: &Realm,
        now: Timestamp,
    ) -> Change {
        let key = self.key();
        if change.marks().iter().any(|write| write.key == key) {
            return change;
        }
        let marks = match &key {
            MarkKey::Realm => known.marks(realm, None).await.unwrap().realm,
            MarkKey::Subject(subject) => known.marks(realm, Some(subject)).await.unwrap().subject,
        };
        let (reason, actor) = (Reason::CredentialsChanged, Actor::System);
        let raise = Raise { epoch: marks.epoch + 1, reason, actor, at: now };
        change.mark(MarkWrite {
            key,
            expected: marks.version,
            raise: self.one_in(2).then_some(raise),
            stamp: self.one_in(2).then(|| Stamp::new(now.as_millis().to_le_bytes())),
        })
    }

    fn edit(&mut self, mut record: Record, now: Timestamp) -> Record {
        record.due_at = now + Duration::from_secs(self.below(20));
        record.activated_at = self.one_in(2).then_some(now);
        record.last_seen_at = now - Duration::from_secs(self.below(50));
        record.client = Client::default().with_address("192.0.2.7");
        record.groups = vec![GroupName::new("accounting").unwrap(); usize::from(self.one_in(2))];
        record.authentications =
            vec![Authentication::new("password", 1, now); usize::from(self.one_in(2))];
        record.scopes.retain(|_| !self.one_in(3));
        if self.one_in(3) && record.scopes.is_empty() {
            record.scopes.push(ScopeEntry {
                name: ScopeName::new("finance").unwrap(),
                slot: u32::try_from(1 + self.below(2)).unwrap(),
                limits: Limits { idle_timeout: Some(Duration::from_secs(9)), ..Limits::NONE },
                entered_at: now,
                last_seen_at: now - Duration::from_secs(self.below(50)),
            });
        }
        if self.one_in(4) && record.end.is_none() {
            record.end = Some(End {
                reason: Reason::SignedOut,
                actor: Actor::Operator(subject("root")),
                at: now,
                observed_at: now,
                purge_at: now + Duration::from_secs(self.below(40)),
            });
        }
        record
    }
}

/// The sessions of a trace, before anything has happened to them.
pub(super) fn records(base: Timestamp) -> Vec<Record> {
    let hour = Duration::from_secs(3_600);
    let limits = Limits { absolute_timeout: Some(hour), ..Limits::NONE };
    let class = ClassName::new("browser").unwrap();
    let secret = SecretHash::from_bytes([7; 32]);
    let record = |n| Record::new(id(n), secret, class.clone(), limits, base);
    (0..SESSIONS).map(record).collect()
}

/// How many sessions a trace has.
pub(super) const SESSIONS: u8 = 6;

pub(super) fn id(n: u8) -> SessionId {
    SessionId::from_bytes([n; 16])
}

fn told(record: &Record, purge_at: Timestamp) -> Event {
    let event = Event {
        session: Some(record.id),
        subject: record.subject.clone(),
        purge_at,
        ..Event::new(EventKind::Rotated, Actor::Subject, record.created_at)
    };
    event.with_detail("address", "192.0.2.7")
}
