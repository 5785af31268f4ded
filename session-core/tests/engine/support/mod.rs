//! A world to test in: a clock that stands still, randomness that repeats, and a store to look into.

pub(crate) mod hooked;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pollster::block_on;
use session_core::store::{EventQuery, Events, Stored, StoredEvent};
use session_core::{
    Answer, ChangeSet, Class, ClassName, Client, Data, End, EventKind, Issued, LoggedIn, Login,
    LoginTicket, ManualClock, MemoryStore, NewSession, OnLimit, Policy, Random, RandomError, Realm,
    Session, SessionId, SessionStore, SessionToken, Sessions, Subject, Timestamp,
};

use hooked::{Hook, Hooked};

/// When every test begins: 2025-01-01.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_735_689_600_000);

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn minutes(minutes: u64) -> Duration {
    seconds(minutes * 60)
}

pub(crate) const MILLI: Duration = Duration::from_millis(1);

/// Half an hour idle, twelve hours in all, five minutes unclaimed, a touch a minute; `lone` and `rejecting`
/// allow one session, `pair` two; `steady` has no idle timeout.
pub(crate) fn policy() -> Policy {
    classes().build().unwrap()
}

pub(crate) fn classes() -> session_core::PolicyBuilder {
    let browser = || Class::new(minutes(12 * 60)).idle(minutes(30));
    Policy::builder()
        .class("browser", browser())
        .class("lone", browser().max_sessions(1, OnLimit::EvictLeastRecent))
        .class("pair", browser().max_sessions(2, OnLimit::EvictOldest))
        .class("rejecting", browser().max_sessions(1, OnLimit::Reject))
        .class("steady", Class::new(minutes(12 * 60)))
}

/// An engine and what it stands on.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) memory: Arc<MemoryStore>,
    pub(crate) sessions: Sessions,
    random: Arc<Counting>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(policy())
    }

    pub(crate) fn with(policy: Policy) -> Self {
        let clock = ManualClock::at(START);
        let memory = Arc::new(MemoryStore::new());
        let random = Arc::new(Counting::default());
        let sessions = Sessions::builder(memory.clone())
            .policy(policy)
            .clock(clock.clone())
            .random(Shared(random.clone()))
            .build();
        Self { clock, memory, sessions, random }
    }

    /// Another engine on the same store, through a hook.
    pub(crate) fn hooked<H: Hook>(&self, hook: &Arc<H>) -> Sessions {
        self.patient(hook, seconds(10))
    }

    /// The same, with that much patience.
    pub(crate) fn patient<H: Hook>(&self, hook: &Arc<H>, patience: Duration) -> Sessions {
        let store = Hooked { inner: self.memory.clone(), hook: hook.clone() };
        Sessions::builder(Arc::new(store))
            .policy(Policy::clone(&self.sessions.policy()))
            .clock(self.clock.clone())
            .random(Shared(self.random.clone()))
            .patience(patience)
            .build()
    }

    pub(crate) fn realm(&self) -> Realm {
        self.sessions.realm().clone()
    }

    pub(crate) fn stored(&self, id: SessionId) -> Option<Stored> {
        block_on(self.memory.load(&self.realm(), id)).unwrap()
    }

    pub(crate) fn create(&self) -> Issued {
        block_on(self.sessions.create(NewSession::default())).unwrap()
    }

    pub(crate) fn ticket(&self, name: &str) -> LoginTicket {
        block_on(self.sessions.begin_login(&subject(name))).unwrap()
    }

    pub(crate) fn try_login(&self, ticket: &LoginTicket, login: Login) -> LoggedIn {
        block_on(self.sessions.login(ticket, login)).unwrap()
    }

    /// Signs in; the session is not presented yet.
    pub(crate) fn login(&self, name: &str, of: &str) -> Issued {
        self.try_login(&self.ticket(name), login(of)).issued().unwrap()
    }

    /// Signs in and presents the token.
    pub(crate) fn active(&self, name: &str, of: &str) -> (SessionToken, Session) {
        let issued = self.login(name, of);
        let session = self.live(&issued.token);
        (issued.token, session)
    }

    pub(crate) fn resume(&self, token: &SessionToken) -> Answer<Session> {
        block_on(self.sessions.resume(token)).unwrap()
    }

    pub(crate) fn live(&self, token: &SessionToken) -> Session {
        match self.resume(token) {
            Answer::Live(session) => session,
            other => panic!("it does not live: {other:?}"),
        }
    }

    pub(crate) fn ended(&self, token: &SessionToken) -> End {
        match self.resume(token) {
            Answer::Ended(end) => end,
            other => panic!("it has not ended: {other:?}"),
        }
    }

    pub(crate) fn is_live(&self, token: &SessionToken) -> bool {
        matches!(self.resume(token), Answer::Live(_))
    }

    pub(crate) fn events(&self) -> Vec<StoredEvent> {
        let limit = NonZeroUsize::new(100_000).unwrap();
        let query = EventQuery { limit, ..EventQuery::default() };
        match block_on(self.sessions.history(&query, None)).unwrap() {
            Events::Page(page) => page.events,
            Events::CursorExpired => panic!("no cursor was given"),
        }
    }

    pub(crate) fn kinds(&self, id: SessionId) -> Vec<EventKind> {
        let of_session = |stored: &StoredEvent| stored.event.session == Some(id);
        self.events().into_iter().filter(of_session).map(|stored| stored.event.kind).collect()
    }

    /// What must hold of the history whatever has happened: nothing is told twice, nothing ends twice.
    pub(crate) fn check_history(&self) {
        let mut told = std::collections::HashSet::new();
        let mut once = std::collections::HashSet::new();
        for stored in self.events() {
            let event = &stored.event;
            assert!(
                told.insert((stored.change, event.kind.clone(), event.session)),
                "a change was applied twice: {stored:?}"
            );
            let single =
                matches!(event.kind, EventKind::Issued | EventKind::Activated | EventKind::Ended);
            assert!(
                !single || once.insert((event.kind.clone(), event.session)),
                "it happened twice: {stored:?}"
            );
        }
    }
}

pub(crate) fn subject(name: &str) -> Subject {
    Subject::new(name).unwrap()
}

pub(crate) fn class(name: &str) -> ClassName {
    ClassName::new(name).unwrap()
}

pub(crate) fn login(of: &str) -> Login {
    Login::new("password").class(class(of)).client(Client::default().with_address("192.0.2.7"))
}

pub(crate) fn data(entries: &[(&str, &str)]) -> Data {
    let mut data = Data::default();
    for (key, value) in entries {
        data.set(key, value).unwrap();
    }
    data
}

pub(crate) fn put(key: &str, value: &str) -> ChangeSet {
    ChangeSet::new().set(key, value).unwrap()
}

pub(crate) fn text(session: &Session, key: &str) -> Option<String> {
    session.get(key).unwrap()
}

/// Randomness that repeats from run to run and never within one.
#[derive(Debug, Default)]
struct Counting(AtomicU64);

#[derive(Debug)]
struct Shared(Arc<Counting>);

impl Random for Shared {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        for chunk in bytes.chunks_mut(8) {
            let mut x = self.0.0.fetch_add(1, Ordering::SeqCst).wrapping_add(0x9e37_79b9_7f4a_7c15);
            x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(x ^ (x >> 31)).to_be_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}
