//! Everything that a store is asked, once each: what it needs, what it answers, and whether it was done.

use std::time::Duration;

use session_core::store::{EventQuery, Events, ListQuery, Outcome, Scan, Touch, Touched};
use session_core::{
    Actor, Change, ChangeId, Data, DataLimits, DataWrite, EncodedData, End, Event, EventKind,
    Fence, MarkKey, MarkWrite, Raise, Realm, Reason, Record, Replacement, SecretHash, SessionId,
    SessionStore, StoreError, SystemRandom, Timestamp,
};

use crate::place;

/// What a store is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Load,
    Marks,
    List,
    Due,
    BelowEpoch,
    Events,
    Login,
    End,
    Each,
    Touch,
    Purge,
    Erase,
}

impl Kind {
    pub(crate) const ALL: [Self; 12] = [
        Self::Load,
        Self::Marks,
        Self::List,
        Self::Due,
        Self::BelowEpoch,
        Self::Events,
        Self::Login,
        Self::End,
        Self::Each,
        Self::Touch,
        Self::Purge,
        Self::Erase,
    ];

    pub(crate) fn writes(self) -> bool {
        use Kind::{BelowEpoch, Due, Events, List, Load, Marks};
        !matches!(self, Load | Marks | List | Due | BelowEpoch | Events)
    }
}

/// One question, with all that it needs in a realm of its own.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    kind: Kind,
    realm: Realm,
    record: Record,
    change: Change,
    other: Change,
}

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const HOUR: Duration = Duration::from_secs(3_600);

impl Case {
    /// Makes what the question needs. Cases of one kind are of one size.
    pub(crate) async fn prepare(kind: Kind, number: usize, store: &dyn SessionStore) -> Self {
        let realm = place::realm(&format!("{kind:?}-{number:06}"));
        let (record, other) = (record("alice"), record("bob"));
        let (login, other) = (login(&record), login(&other));
        let case =
            |change| Self { kind, realm: realm.clone(), record: record.clone(), change, other };
        let case = match kind {
            Kind::Login | Kind::Each => case(login.clone()),
            Kind::End => case(end(&record)),
            _ => case(change()),
        };
        let before: &[Change] = match kind {
            Kind::Login | Kind::Each => &[],
            Kind::Purge | Kind::Erase => &[login, end(&record)],
            // A session that its subject's mark has ended.
            Kind::BelowEpoch => &[login, raise()],
            _ => &[login],
        };
        for change in before {
            assert_eq!(store.commit(&realm, change).await.unwrap(), Outcome::Applied);
        }
        case
    }

    /// Asks, and says whether the answer is right: the second time it may be what the first has left to do.
    pub(crate) async fn ask(
        &self,
        store: &dyn SessionStore,
        again: bool,
    ) -> Result<bool, StoreError> {
        let (realm, id) = (&self.realm, self.record.id);
        let limit = 10.try_into().unwrap();
        let only =
            |scan: &Scan| scan.rows.iter().map(|row| row.as_ref().unwrap().record.id).eq([id]);
        Ok(match self.kind {
            Kind::Load => {
                let stored = store.load(realm, id).await?;
                stored.is_some_and(|stored| stored.record == self.record && stored.version == 1)
            }
            Kind::Marks => {
                store.marks(realm, self.record.subject.as_ref()).await?.subject.version == 1
            }
            Kind::List => only(&store.list(realm, &ListQuery::default(), None).await?),
            Kind::Due => only(&store.due(realm, Timestamp::MAX, None, limit).await?),
            Kind::BelowEpoch => only(&store.below_epoch(realm, None, limit).await?.scan),
            // Others' transactions may hold an event back; no other may stand in its place.
            Kind::Events => match store.events(realm, &EventQuery::default(), None).await? {
                Events::Page(page) => {
                    page.events.iter().all(|stored| stored.event.session == Some(id))
                }
                Events::CursorExpired => false,
            },
            Kind::Login | Kind::End => store.commit(realm, &self.change).await?.is_applied(),
            Kind::Each => {
                let changes = [self.change.clone(), self.other.clone()];
                let outcomes = store.commit_each(realm, &changes).await?;
                outcomes.len() == 2 && outcomes.iter().all(Outcome::is_applied)
            }
            Kind::Touch => {
                let touch = Touch {
                    id,
                    slot: 0,
                    seen_at: START + HOUR / 2,
                    if_after: START - HOUR,
                    if_before: START,
                };
                let touched = store.touch(realm, &[touch]).await?;
                touched == [Touched::Touched] || (again && touched == [Touched::Fresh])
            }
            Kind::Purge => {
                let purged = store.purge(realm, Timestamp::MAX, limit).await?;
                again || (purged.records, purged.events) == (1, 2)
            }
            Kind::Erase => {
                let subject = self.record.subject.as_ref().unwrap();
                let purged = store.erase(realm, subject, limit).await?;
                again || (purged.records, purged.events) == (1, 2)
            }
        })
    }

    /// How much of it is done, by what the store holds: nothing, all, or too little or too much, which is
    /// `None`.
    pub(crate) async fn done(&self, store: &dyn SessionStore) -> Option<bool> {
        if !self.kind.writes() {
            return Some(true);
        }
        let stored = store.load(&self.realm, self.record.id).await.unwrap();
        let Events::Page(page) =
            store.events(&self.realm, &EventQuery::default(), None).await.unwrap()
        else {
            return None;
        };
        let subject = self.record.subject.as_ref();
        let mark = store.marks(&self.realm, subject).await.unwrap().subject.version;
        let version = stored.as_ref().map(|stored| stored.version);
        let found = (version, page.events.len(), mark);
        let (undone, done) = match self.kind {
            Kind::Login => ((None, 0, 0), (Some(1), 1, 1)),
            Kind::Each => ((None, 0, 0), (Some(1), 2, 1)),
            Kind::End => ((Some(1), 1, 1), (Some(2), 2, 1)),
            Kind::Touch => {
                let seen = stored?.record.last_seen_at;
                return [(START, false), (START + HOUR / 2, true)]
                    .into_iter()
                    .find_map(|(at, done)| (seen == at).then_some(done));
            }
            Kind::Purge => ((Some(2), 2, 1), (None, 0, 1)),
            // The mark goes too, and leaves the realm's floor.
            Kind::Erase => ((Some(2), 2, 1), (None, 0, 2)),
            _ => return Some(true),
        };
        [(undone, false), (done, true)]
            .into_iter()
            .find_map(|(as_it_is, done)| (found == as_it_is).then_some(done))
    }
}

fn change() -> Change {
    Change::new(ChangeId::new(&SystemRandom).unwrap())
}

fn record(name: &str) -> Record {
    let policy = place::policy();
    let class = policy.default_class().clone();
    let limits = policy.limits(&class, &[]);
    let id = SessionId::new(START, &SystemRandom).unwrap();
    let record = Record::new(id, SecretHash::from_bytes([7; 32]), class, limits, START);
    Record { subject: Some(place::subject(name)), due_at: START + HOUR, ..record }
}

fn login(record: &Record) -> Change {
    let subject = record.subject.clone().unwrap();
    change()
        .insert_fenced(record.clone(), Some(data()), &Fence { subject, version: 0 })
        .event(event(record, EventKind::LoggedIn))
}

fn end(record: &Record) -> Change {
    let end = End {
        reason: Reason::SignedOut,
        actor: Actor::Subject,
        at: START,
        observed_at: START,
        purge_at: START + HOUR,
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

fn raise() -> Change {
    let (reason, actor) = (Reason::CredentialsChanged, Actor::System);
    change().mark(MarkWrite {
        key: MarkKey::Subject(place::subject("alice")),
        expected: 1,
        raise: Some(Raise { epoch: 1, reason, actor, at: START }),
        stamp: None,
    })
}

fn event(record: &Record, kind: EventKind) -> Event {
    Event {
        session: Some(record.id),
        subject: record.subject.clone(),
        ..Event::new(kind, Actor::Subject, START)
    }
}

fn data() -> EncodedData {
    let mut data = Data::default();
    data.set("count", 0).unwrap();
    data.encode(&DataLimits::default()).unwrap()
}
