//! The store answers every trace of writes and questions as the reference does.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::fmt::Write;
use std::num::NonZeroUsize;
use std::time::Duration;

use common::{START, data, event, record, subject};
use session_core::store::{Cursor, EventQuery, Events, ListQuery, Order, Scan, Touch};
use session_core::{
    Actor, Authentication, Change, ChangeId, Client, DataWrite, End, EventKind, Fence, GroupName,
    Limits, MarkKey, MarkWrite, MemoryStore, Raise, Realm, Reason, Record, Replacement, Reschedule,
    ScopeEntry, ScopeName, SessionId, SessionStore, Settle, Stamp, Subject, Timestamp,
};
use session_sqlite::{Durability, SqliteOptions, SqliteStore};

const TRACES: u64 = 8;
const STEPS: usize = 100;

#[test]
fn every_trace_is_answered_as_by_the_reference() {
    for seed in 1..=TRACES {
        let directory = tempfile::tempdir().unwrap();
        let file = SqliteOptions::new(directory.path().join("sessions.db"));
        let sqlite = SqliteStore::open_with(&file.durability(Durability::Normal)).unwrap();
        let memory = MemoryStore::new();
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let records: Vec<Record> = (0..6).map(|n| Record { id: id(n), ..record() }).collect();
        let mut sent: Option<(Realm, Change)> = None;
        for step in 0..STEPS {
            let at = format!("seed {seed}, step {step}");
            let now = START + Duration::from_secs(step as u64);
            let realm = Realm::new(["one", "two"][usize::from(chance.one_in(4))]).unwrap();
            let doing = pollster::block_on(async {
                match chance.below(10) {
                    0 => {
                        let touch = chance.touch(now);
                        let ours = sqlite.touch(&realm, &[touch]).await.unwrap();
                        assert_eq!(ours, memory.touch(&realm, &[touch]).await.unwrap(), "{at}");
                        format!("{touch:?}")
                    }
                    1 => {
                        let limit = NonZeroUsize::new(100).unwrap();
                        let until = now - Duration::from_secs(chance.below(60));
                        let ours = sqlite.purge(&realm, until, limit).await.unwrap();
                        let theirs = memory.purge(&realm, until, limit).await.unwrap();
                        assert_eq!(ours, theirs, "{at}");
                        "purge".to_owned()
                    }
                    2 => {
                        let (of, limit) = (chance.subject(), NonZeroUsize::new(2).unwrap());
                        let ours = sqlite.erase(&realm, &of, limit).await.unwrap();
                        assert_eq!(ours, memory.erase(&realm, &of, limit).await.unwrap(), "{at}");
                        "erase".to_owned()
                    }
                    _ => {
                        let change = match &sent {
                            Some((of, again)) if *of == realm && chance.one_in(8) => again.clone(),
                            _ => chance.change(&memory, &realm, &records, now).await,
                        };
                        let ours = sqlite.commit(&realm, &change).await.unwrap();
                        let theirs = memory.commit(&realm, &change).await.unwrap();
                        assert_eq!(ours, theirs, "{at}: {change:?}");
                        sent = Some((realm.clone(), change));
                        format!("{ours:?}")
                    }
                }
            });
            for realm in ["one", "two"] {
                let realm = Realm::new(realm).unwrap();
                let ours = pollster::block_on(dump(&sqlite, &realm, now));
                let theirs = pollster::block_on(dump(&memory, &realm, now));
                for (ours, theirs) in ours.lines().zip(theirs.lines()) {
                    assert_eq!(ours, theirs, "{at}: {doing}");
                }
                assert_eq!(ours.len(), theirs.len(), "{at}: {doing}");
            }
        }
    }
}

/// Everything that can be asked.
async fn dump(store: &dyn SessionStore, realm: &Realm, now: Timestamp) -> String {
    let mut told = String::new();
    for n in 0..6 {
        writeln!(told, "{:?}", store.load(realm, id(n)).await.unwrap()).unwrap();
    }
    for of in [None, Some("alice"), Some("bob")] {
        let of = of.map(subject);
        writeln!(told, "{:?}", store.marks(realm, of.as_ref()).await.unwrap()).unwrap();
        for with_ended in [false, true] {
            let limit = NonZeroUsize::new(2).unwrap();
            let query = ListQuery { subject: of.clone(), with_ended, limit };
            let mut after: Option<Cursor> = None;
            loop {
                let page = store.list(realm, &query, after.as_ref()).await.unwrap();
                writeln!(told, "{:?}", rows(&page)).unwrap();
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
    }
    let mut after: Option<Cursor> = None;
    loop {
        let page = store.due(realm, now, after.as_ref(), NonZeroUsize::MIN).await.unwrap();
        writeln!(told, "due {:?}", rows(&page)).unwrap();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let below = store.below_epoch(realm, None, NonZeroUsize::new(50).unwrap()).await.unwrap();
    writeln!(told, "below {:?} {:?}", rows(&below.scan), below.unsettled).unwrap();
    for order in [Order::OldestFirst, Order::NewestFirst] {
        for of in [None, Some(subject("alice"))] {
            let query = EventQuery { subject: of, order, ..EventQuery::default() };
            let Events::Page(page) = store.events(realm, &query, None).await.unwrap() else {
                panic!("no cursor, and yet it has expired")
            };
            // The numbers of events are each store's own; their order is not.
            let events: Vec<_> =
                page.events.iter().map(|stored| (stored.change, &stored.event)).collect();
            writeln!(told, "events {} {events:?}", page.more).unwrap();
        }
    }
    told
}

fn rows(scan: &Scan) -> Vec<(SessionId, String)> {
    let row = |row: &session_core::store::Row| {
        let stored = row.as_ref().unwrap();
        (stored.record.id, format!("{stored:?}"))
    };
    scan.rows.iter().map(row).collect()
}

fn id(n: u8) -> SessionId {
    SessionId::from_bytes([n; 16])
}

/// A generator that always tells the same (xorshift64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn subject(&mut self) -> Subject {
        subject(if self.one_in(2) { "alice" } else { "bob" })
    }

    fn key(&mut self) -> MarkKey {
        if self.one_in(3) { MarkKey::Realm } else { MarkKey::Subject(self.subject()) }
    }

    fn touch(&mut self, now: Timestamp) -> Touch {
        Touch {
            id: id(u8::try_from(self.below(7)).unwrap()),
            slot: u32::try_from(self.below(3)).unwrap(),
            seen_at: now,
            if_after: now - Duration::from_secs(self.below(100)),
            if_before: now - Duration::from_secs(self.below(20)),
        }
    }

    /// A change that mostly fits what is stored, and sometimes does not.
    async fn change(
        &mut self,
        known: &MemoryStore,
        realm: &Realm,
        records: &[Record],
        now: Timestamp,
    ) -> Change {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&(self.below(u64::MAX)).to_le_bytes());
        let mut change = Change::new(ChangeId::from_bytes(bytes));
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
                        1 => DataWrite::Set(data(&format!("{now}"))),
                        _ => DataWrite::Drop,
                    };
                    let decided_on = self.one_in(4).then_some(stored.record.last_seen_at);
                    change = change
                        .event(Event::of(&record, now + Duration::from_secs(self.below(90))))
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
        let kept = self.one_in(2).then(|| data("kept"));
        if self.one_in(3) {
            return change.event(Event::of(&record, now)).insert(record, kept);
        }
        let subject = self.subject();
        let marks = known.marks(realm, Some(&subject)).await.unwrap();
        record.subject = Some(subject.clone());
        record.epochs.realm = marks.realm.epoch;
        record.epochs.subject = marks.subject.epoch;
        let version = marks.subject.version + u64::from(self.one_in(8));
        let event = Event::of(&record, now + Duration::from_secs(60));
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

struct Event;

impl Event {
    fn of(record: &Record, purge_at: Timestamp) -> session_core::Event {
        let event = event(record, EventKind::Rotated).with_detail("address", "192.0.2.7");
        session_core::Event { purge_at, ..event }
    }
}
