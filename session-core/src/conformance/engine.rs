//! What an application relies on: the engine over the store, under concurrency.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use super::BoxFuture;
use super::bed::{Bed, Seeded, at_most, subject};
use super::schedule::{Gate, Schedule};
use crate::{
    Actor, Answer, ChangeSet, Class, Data, DataError, DataLimits, Error, Issued, LoggedIn, Login,
    ManualClock, NewSession, OnLimit, Policy, Query, Reason, SessionStore, Sessions,
    SessionsBuilder, State, Subject,
};

const BROWSER: &str = "browser";

fn policy(class: Class) -> Policy {
    let built = Policy::builder().class(BROWSER, class).default_class(BROWSER).build();
    built.expect("a policy")
}

fn browser() -> Class {
    Class::new(Duration::from_secs(43_200)).idle(Duration::from_secs(1_800))
}

pub(super) fn builder(bed: &Bed, clock: &ManualClock) -> SessionsBuilder {
    fitted(Sessions::builder(bed.shared_store()), bed, clock)
}

fn fitted(builder: SessionsBuilder, bed: &Bed, clock: &ManualClock) -> SessionsBuilder {
    builder
        .realm(bed.realm().clone())
        .clock(clock.clone())
        .random(Seeded::new(&bed.random().next().to_string()))
        .patience(Duration::from_secs(60))
        .policy(policy(browser()))
}

async fn sign_in(sessions: &Sessions, whose: &Subject) -> Issued {
    let ticket = sessions.begin_login(whose).await.expect("a ticket");
    let outcome = sessions.login(&ticket, Login::new("password")).await.expect("it is answered");
    outcome.issued().expect("nothing stands against this login")
}

async fn lives(sessions: &Sessions, issued: &Issued) -> bool {
    let answer = sessions.resume(&issued.token).await.expect("a resume is answered");
    matches!(answer, Answer::Live(_))
}

async fn live(sessions: &Sessions, whose: &Subject) -> usize {
    let query = Query { subject: Some(whose.clone()), ..Query::default() };
    let page = sessions.list(&query, None).await.expect("a list is answered");
    assert!(page.next.is_none(), "a short list is of one page");
    page.sessions.len()
}

/// However many sign in at once, a class that allows three sessions has three: the others gave way.
pub async fn a_limit_that_evicts_holds_under_parallel_logins(bed: &Bed) {
    let clock = ManualClock::at(bed.at(0));
    let class = browser().max_sessions(3, OnLimit::EvictOldest);
    let sessions = builder(bed, &clock).policy(policy(class)).build();
    let alice = subject("alice");
    let tasks = (0..64).map(|_| -> BoxFuture<'_, Issued> { Box::pin(sign_in(&sessions, &alice)) });
    let issued = bed.together(tasks.collect());
    assert_eq!(live(&sessions, &alice).await, 3, "of 64 logins under a limit of 3 exactly 3 live");
    let mut alive = 0;
    for issued in &issued {
        alive += usize::from(lives(&sessions, issued).await);
    }
    assert_eq!(alive, 3, "and 3 of the tokens open a session");
    let ended = Query { subject: Some(alice), states: vec![State::Revoked], ..Query::default() };
    let page = sessions.list(&ended, None).await.expect("a list is answered");
    assert_eq!(page.sessions.len(), 61, "the others ended, and it is written down");
    for info in page.sessions {
        assert_eq!(info.end.map(|end| end.reason), Some(Reason::Superseded), "and why");
    }
}

/// However many sign in at once, a class that allows three sessions lets in three.
pub async fn a_limit_that_refuses_holds_under_parallel_logins(bed: &Bed) {
    let clock = ManualClock::at(bed.at(0));
    let class = browser().max_sessions(3, OnLimit::Reject);
    let sessions = builder(bed, &clock).policy(policy(class)).build();
    let alice = subject("alice");
    let tasks = (0..64).map(|_| -> BoxFuture<'_, Option<Issued>> {
        Box::pin(async {
            let ticket = sessions.begin_login(&alice).await.expect("a ticket");
            match sessions.login(&ticket, Login::new("password")).await.expect("it is answered") {
                LoggedIn::Issued(issued, gave_way) => {
                    assert!(gave_way.is_empty(), "nobody gives way");
                    Some(issued)
                }
                LoggedIn::LimitReached { live } => {
                    assert_eq!(live, 3, "refused when three live");
                    None
                }
                LoggedIn::CredentialsChanged => panic!("nobody changed a credential"),
            }
        })
    });
    let issued: Vec<_> = bed.together(tasks.collect()).into_iter().flatten().collect();
    assert_eq!(issued.len(), 3, "of 64 logins under a limit of 3 exactly 3 are let in");
    for issued in &issued {
        assert!(lives(&sessions, issued).await, "and live");
    }
    assert_eq!(live(&sessions, &alice).await, 3);
}

/// Two logins under a limit of one, in every order of their calls: exactly one session lives.
pub async fn a_limit_holds_in_every_order_of_two_logins(bed: &Bed) {
    for (on_limit, let_in) in [(OnLimit::EvictLeastRecent, 2), (OnLimit::Reject, 1)] {
        let mut schedule = Schedule::default();
        while schedule.turn() {
            let clock = ManualClock::at(bed.at(0));
            let alice = subject(&format!("alice-{}", bed.random().next()));
            let engine = |gate: &Arc<Gate>| {
                let class = browser().max_sessions(1, on_limit);
                let store: Arc<dyn SessionStore> = gate.clone();
                fitted(Sessions::builder(store), bed, &clock).policy(policy(class)).build()
            };
            let gates = [Gate::new(bed.shared_store()), Gate::new(bed.shared_store())];
            let engines = [engine(&gates[0]), engine(&gates[1])];
            let login = async |sessions: &Sessions| {
                let ticket = sessions.begin_login(&alice).await.expect("a ticket");
                let outcome = sessions.login(&ticket, Login::new("password")).await;
                outcome.expect("it is answered").issued()
            };
            let (one, two) = schedule.run(gates, login(&engines[0]), login(&engines[1])).await;
            let issued: Vec<Issued> = one.into_iter().chain(two).collect();
            assert_eq!(issued.len(), let_in, "{on_limit:?}: how many are let in");
            let sessions = builder(bed, &clock).build();
            assert_eq!(live(&sessions, &alice).await, 1, "{on_limit:?}: exactly one lives");
        }
    }
}

/// A login whose ticket is older than a revocation of all is refused, and issues nothing.
pub async fn a_login_older_than_a_revocation_is_refused(bed: &Bed) {
    let clock = ManualClock::at(bed.at(0));
    let sessions = builder(bed, &clock).build();
    let (alice, bob) = (subject("alice"), subject("bob"));
    for everyone in [false, true] {
        let old = sessions.begin_login(&alice).await.expect("a ticket");
        let bobs = sessions.begin_login(&bob).await.expect("a ticket");
        let (reason, actor) = (Reason::CredentialsChanged, Actor::System);
        if everyone {
            sessions.revoke_everyone(reason, actor).await.expect("it is revoked");
        } else {
            sessions.revoke_subject(&alice, reason, actor).await.expect("it is revoked");
        }
        let outcome = sessions.login(&old, Login::new("password")).await.expect("answered");
        assert!(matches!(outcome, LoggedIn::CredentialsChanged), "an old ticket is refused");
        assert_eq!(live(&sessions, &alice).await, 0, "and issues nothing");
        let outcome = sessions.login(&bobs, Login::new("password")).await.expect("answered");
        assert_eq!(outcome.issued().is_none(), everyone, "another's ticket is his own");
        let issued = sign_in(&sessions, &alice).await;
        assert!(lives(&sessions, &issued).await, "a new ticket is good");
        sessions
            .revoke(issued.session.id(), Reason::SignedOut, Actor::Subject)
            .await
            .map(drop)
            .expect("it is revoked");
    }
}

/// What somebody does with a session while it is revoked.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Resume,
    ResumeFirst,
    Edit,
    Rotate,
    Login,
    LoginReplacing,
}

const DEEDS: [Deed; 6] =
    [Deed::Resume, Deed::ResumeFirst, Deed::Edit, Deed::Rotate, Deed::Login, Deed::LoginReplacing];

/// How sessions are revoked.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scope {
    One,
    Subject,
    Everyone,
    Others,
}

/// A revocation of one, of a subject, or of everyone, against every use of a session, in every order of their
/// calls: when both are done, nothing lives that the revocation was to end.
pub async fn a_revocation_holds_in_every_order(bed: &Bed) {
    for scope in [Scope::One, Scope::Subject, Scope::Everyone] {
        for deed in DEEDS {
            let mut schedule = Schedule::default();
            while schedule.turn() {
                let race = Race::new(bed, deed).await;
                let gates = [race.deed_gate.clone(), race.revoke_gate.clone()];
                let (mut issued, ()) =
                    schedule.run(gates, race.does(deed), race.revokes(scope)).await;
                issued.push(race.victim.clone());
                for issued in issued {
                    // A login of one's own is not what the revocation of another session was to end.
                    let own = issued.session.id() != race.victim.session.id();
                    if scope == Scope::One && own {
                        continue;
                    }
                    let alive = lives(&race.sessions, &issued).await;
                    assert!(!alive, "{scope:?} revoked against {deed:?}: nothing lives");
                    let info = race.sessions.find(issued.session.id()).await.expect("found");
                    assert!(info.is_none_or(|info| !info.state.is_live()), "{scope:?}, {deed:?}");
                }
            }
        }
    }
}

/// A revocation of all but the current session, against every use of another, in every order of their calls:
/// when both are done, exactly the current one lives.
pub async fn all_but_the_current_leaves_exactly_that_one(bed: &Bed) {
    for deed in DEEDS {
        let mut schedule = Schedule::default();
        while schedule.turn() {
            let race = Race::new(bed, deed).await;
            let gates = [race.deed_gate.clone(), race.revoke_gate.clone()];
            let (mut issued, ()) =
                schedule.run(gates, race.does(deed), race.revokes(Scope::Others)).await;
            issued.push(race.victim.clone());
            for issued in issued {
                assert!(!lives(&race.sessions, &issued).await, "{deed:?}: the others are dead");
            }
            assert!(lives(&race.sessions, &race.current).await, "{deed:?}: the current one lives");
            assert_eq!(live(&race.sessions, &race.alice).await, 1, "{deed:?}: and it alone");
        }
    }
}

/// Two sessions of alice, and two engines over one store whose calls wait at a gate.
struct Race {
    alice: Subject,
    sessions: Sessions,
    victim: Issued,
    current: Issued,
    ticket: crate::LoginTicket,
    deed_gate: Arc<Gate>,
    revoke_gate: Arc<Gate>,
    doing: Sessions,
    revoking: Sessions,
}

impl Race {
    async fn new(bed: &Bed, deed: Deed) -> Self {
        let clock = ManualClock::at(bed.at(0));
        let sessions = builder(bed, &clock).build();
        // A subject of its own for each order: many are tried in one realm.
        let alice = subject(&format!("alice-{}", bed.random().next()));
        let victim = sign_in(&sessions, &alice).await;
        let current = sign_in(&sessions, &alice).await;
        let ticket = sessions.begin_login(&alice).await.expect("a ticket");
        if !matches!(deed, Deed::ResumeFirst) {
            // So that the next presentation is no more than activity, which is a touch.
            assert!(lives(&sessions, &victim).await);
        }
        let deed_gate = Gate::new(bed.shared_store());
        let revoke_gate = Gate::new(bed.shared_store());
        let engine = |gate: &Arc<Gate>| {
            fitted(Sessions::builder(gate.clone() as Arc<dyn SessionStore>), bed, &clock).build()
        };
        let (doing, revoking) = (engine(&deed_gate), engine(&revoke_gate));
        clock.advance(Duration::from_secs(120));
        Self { alice, sessions, victim, current, ticket, deed_gate, revoke_gate, doing, revoking }
    }

    /// Does it, and returns what was issued by it.
    async fn does(&self, deed: Deed) -> Vec<Issued> {
        let (engine, session) = (&self.doing, &self.victim.session);
        match deed {
            Deed::ResumeFirst => {
                let _ = engine.resume(&self.victim.token).await.expect("it is answered");
                Vec::new()
            }
            Deed::Resume => {
                let _ = engine.resume(&self.victim.token).await.expect("it is answered");
                Vec::new()
            }
            Deed::Edit => {
                let edits = ChangeSet::new().set("key", "value").expect("JSON");
                let _ = engine.edit(session, &edits).await.expect("it is answered");
                Vec::new()
            }
            Deed::Rotate => {
                let answer = engine.rotate(session).await.expect("it is answered");
                answer.live().into_iter().collect()
            }
            Deed::Login => {
                let answer = engine.login(&self.ticket, Login::new("password")).await;
                answer.expect("it is answered").issued().into_iter().collect()
            }
            Deed::LoginReplacing => {
                let login = Login::new("password").replacing(session.clone(), &[]);
                let answer = engine.login(&self.ticket, login).await;
                answer.expect("it is answered").issued().into_iter().collect()
            }
        }
    }

    async fn revokes(&self, scope: Scope) {
        let (engine, actor) = (&self.revoking, Actor::System);
        let reason = Reason::EndedByAdministrator;
        match scope {
            Scope::One => {
                let id = self.victim.session.id();
                let revoked = engine.revoke(id, reason, actor).await.expect("it is answered");
                assert_ne!(revoked, crate::Revoked::Absent, "the session is there");
            }
            Scope::Subject => {
                engine.revoke_subject(&self.alice, reason, actor).await.expect("it is answered");
            }
            Scope::Everyone => {
                engine.revoke_everyone(reason, actor).await.expect("it is answered");
            }
            Scope::Others => {
                let answer = engine.revoke_others(&self.current.session, reason, actor).await;
                assert_eq!(answer.expect("it is answered"), Answer::Live(()), "it lives");
            }
        }
    }
}

/// Two sweepers at once, with a limit: everything idle ends at its deadline, once, and what is used lives on.
pub async fn sweepers_end_what_is_idle_and_nothing_else(bed: &Bed) {
    let clock = ManualClock::at(bed.at(0));
    let sessions = builder(bed, &clock).build();
    let (alice, bob) = (subject("alice"), subject("bob"));
    let used = sign_in(&sessions, &alice).await;
    let mut idle = Vec::new();
    for _ in 0..11 {
        idle.push(sign_in(&sessions, &bob).await);
    }
    for issued in idle.iter().chain([&used]) {
        assert!(lives(&sessions, issued).await);
    }
    for _ in 0..3 {
        clock.advance(Duration::from_secs(1_000));
        assert!(lives(&sessions, &used).await, "use keeps it alive");
    }
    let limit = at_most(4);
    let tasks = (0..2).map(|_| -> BoxFuture<'_, usize> { Box::pin(sweep(&sessions, limit)) });
    let ended: usize = bed.together(tasks.collect()).into_iter().sum();
    assert_eq!(ended, 11, "each idle session is ended once");
    assert!(lives(&sessions, &used).await, "what is used lives on, swept or not");
    for issued in &idle {
        let answer = sessions.resume(&issued.token).await.expect("a resume is answered");
        let Answer::Ended(end) = answer else { panic!("an idle session has ended: {answer:?}") };
        assert_eq!((end.reason, end.at), (Reason::IdleTimeout, bed.at(1_800)), "at its deadline");
    }
    let told = bed.told().await;
    let ends = told.iter().filter(|stored| stored.event.kind == crate::EventKind::Ended).count();
    assert_eq!(ends, 11, "each end is told once");
    clock.advance(Duration::from_secs(1_000));
    assert_eq!(sweep(&sessions, limit).await, 0);
    assert!(lives(&sessions, &used).await);
    sessions.revoke_everyone(Reason::EveryoneRevoked, Actor::System).await.expect("answered");
    clock.advance(Duration::from_secs(60));
    assert_eq!(sweep(&sessions, limit).await, 1, "what a mark has ended is swept too");
    assert_eq!(bed.below_epoch_all(10).await, (vec![], vec![]), "and the mark is settled");
}

async fn sweep(sessions: &Sessions, limit: NonZeroUsize) -> usize {
    let mut ended = 0;
    for _ in 0..100 {
        let swept = sessions.sweep(limit).await.expect("a sweep is answered");
        assert!(swept.damaged.is_empty(), "every row can be read");
        ended += swept.ended;
        if !swept.more {
            return ended;
        }
    }
    panic!("a sweep comes to an end");
}

/// Edits to different keys never conflict, and read-modify-write closures lose nothing.
pub async fn parallel_edits_are_all_kept(bed: &Bed) {
    let clock = ManualClock::at(bed.at(0));
    let sessions = builder(bed, &clock).build();
    let issued = sessions.create(NewSession::default()).await.expect("it is created");
    let session = &issued.session;
    let tasks = (0..12).map(|client| -> BoxFuture<'_, ()> {
        let sessions = &sessions;
        Box::pin(async move {
            for round in 0..3 {
                let key = format!("{client}.{round}");
                let edits = ChangeSet::new().set(&key, round).expect("JSON");
                let answer = sessions.edit(session, &edits).await.expect("it is answered");
                assert!(answer.live().is_some(), "it lives");
                let answer = sessions
                    .update(session, |data| {
                        let count: u64 = data.get("count").expect("a number").unwrap_or(0);
                        data.set("count", count + 1).expect("JSON");
                    })
                    .await
                    .expect("it is answered");
                assert!(answer.live().is_some(), "it lives");
            }
        })
    });
    bed.together(tasks.collect());
    let answer = sessions.resume(&issued.token).await.expect("a resume is answered");
    let session = answer.live().expect("it lives");
    assert_eq!(session.get("count").expect("a number"), Some(36), "no update is lost");
    let keys = session.data().expect("data").iter().count();
    assert_eq!(keys, 37, "no key is lost");
}

/// Data at the limit is kept; a byte more is an error that says so, and changes nothing.
pub async fn data_over_the_limit_is_refused(bed: &Bed) {
    let clock = ManualClock::at(bed.at(0));
    let total = DataLimits::MAX_TOTAL;
    let limits = DataLimits { value: total, total, ..DataLimits::default() };
    let built = Policy::builder()
        .class(BROWSER, browser())
        .default_class(BROWSER)
        .data_limits(limits)
        .build();
    let sessions = builder(bed, &clock).policy(built.expect("a policy")).build();
    let of_size = |size: usize| "x".repeat(size - r#"{"k":""}"#.len());
    let mut data = Data::default();
    data.set("k", of_size(total)).expect("JSON");
    let new = NewSession { data: data.clone(), ..NewSession::default() };
    let issued = sessions.create(new).await.expect("data at the limit is kept");
    data.set("k", of_size(total + 1)).expect("JSON");
    let too_large = |error: Error| {
        let Error::Data(DataError::TooLarge { length, limit }) = error else {
            panic!("too much data is an error that says so: {error}")
        };
        assert_eq!((length, limit), (total + 1, total));
    };
    let new = NewSession { data, ..NewSession::default() };
    too_large(sessions.create(new).await.expect_err("a byte more is refused"));
    let edits = ChangeSet::new().set("k", of_size(total + 1)).expect("JSON");
    let answer = sessions.edit(&issued.session, &edits).await;
    too_large(answer.expect_err("a byte more is refused"));
    let session = sessions.resume(&issued.token).await.expect("answered").live().expect("it lives");
    let kept: Option<String> = session.get("k").expect("a text");
    assert!(kept == Some(of_size(total)), "and nothing is changed");
}
