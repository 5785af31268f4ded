//! What each method promises to read and to write, counted call by call.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use pollster::block_on;
use session_core::store::EventQuery;
use session_core::{
    Actor, Answer, LoggedIn, NewSession, Query, Reason, Sessions, StoreError, Visit,
};

use crate::support::hooked::{Call, Hook};
use crate::support::{World, data, login, minutes, put, seconds, subject};

/// Counts the calls of a store.
#[derive(Debug, Default)]
struct Spy(Mutex<BTreeMap<Call, usize>>);

#[async_trait]
impl Hook for Spy {
    async fn before(&self, call: Call) -> Result<(), StoreError> {
        *self.0.lock().unwrap().entry(call).or_default() += 1;
        Ok(())
    }

    async fn after(&self, _: Call) -> Result<(), StoreError> {
        Ok(())
    }
}

struct Watched {
    world: World,
    spy: Arc<Spy>,
    sessions: Sessions,
}

impl Watched {
    fn new() -> Self {
        let world = World::new();
        let spy = Arc::new(Spy::default());
        let sessions = world.hooked(&spy);
        Self { world, spy, sessions }
    }

    /// The calls of one future, and what it answers.
    #[track_caller]
    fn costs<T>(&self, expected: &[(Call, usize)], asked: impl Future<Output = T>) -> T {
        self.spy.0.lock().unwrap().clear();
        let answer = block_on(asked);
        let counted = std::mem::take(&mut *self.spy.0.lock().unwrap());
        assert_eq!(counted, expected.iter().copied().collect(), "calls of the store");
        answer
    }
}

const ONE_LOAD: &[(Call, usize)] = &[(Call::Load, 1)];
const LOAD_AND_COMMIT: &[(Call, usize)] = &[(Call::Load, 1), (Call::Commit, 1)];
const MARKS_AND_COMMIT: &[(Call, usize)] = &[(Call::Marks, 1), (Call::Commit, 1)];

#[test]
fn an_engine_that_is_not_asked_asks_nothing() {
    let watched = Watched::new();
    watched.costs(&[], async {
        let _ =
            (watched.sessions.policy(), watched.sessions.now(), format!("{:?}", watched.sessions));
    });
}

#[test]
fn creating_reads_once_and_writes_once() {
    let watched = Watched::new();
    let created = watched.costs(MARKS_AND_COMMIT, watched.sessions.create(NewSession::default()));
    assert!(created.is_ok());
}

#[test]
fn a_resume_is_one_load_and_the_first_one_a_commit_more() {
    let watched = Watched::new();
    let token = watched.world.login("alice", "browser").token;
    let resume = || watched.sessions.resume(&token);
    let live = |answer: Result<Answer<_>, _>| assert!(answer.unwrap().live().is_some());
    live(watched.costs(LOAD_AND_COMMIT, resume()));
    for _ in 0..59 {
        live(watched.costs(ONE_LOAD, resume()));
        watched.world.clock.advance(seconds(1));
    }
    live(watched.costs(ONE_LOAD, resume()));
    watched.world.clock.advance(seconds(1));
    live(watched.costs(&[(Call::Load, 1), (Call::Touch, 1)], resume()));
    live(watched.costs(ONE_LOAD, resume()));
}

#[test]
fn many_resumes_within_a_touch_interval_are_one_write() {
    let watched = Watched::new();
    let (token, _) = watched.world.active("alice", "browser");
    watched.world.clock.advance(minutes(1));
    let burst = async {
        for _ in 0..50 {
            assert!(watched.sessions.resume(&token).await.unwrap().live().is_some());
        }
    };
    watched.costs(&[(Call::Load, 50), (Call::Touch, 1)], burst);
}

#[test]
fn a_passive_resume_never_touches() {
    let watched = Watched::new();
    let (token, session) = watched.world.active("alice", "browser");
    for _ in 0..29 {
        watched.world.clock.advance(minutes(1));
        let seen = watched
            .costs(ONE_LOAD, watched.sessions.resume_as(&token, Visit::default().passive()))
            .unwrap();
        assert_eq!(seen.live().unwrap().last_seen_at(), session.last_seen_at());
    }
    watched.world.clock.advance(minutes(1));
    let ended = watched
        .costs(LOAD_AND_COMMIT, watched.sessions.resume_as(&token, Visit::default().passive()))
        .unwrap();
    assert!(matches!(ended, Answer::Ended(end) if end.reason == Reason::IdleTimeout));
}

#[test]
fn an_end_by_time_is_written_down_once() {
    let watched = Watched::new();
    let (token, _) = watched.world.active("alice", "browser");
    watched.world.clock.advance(minutes(30));
    let resume = || watched.sessions.resume(&token);
    assert!(matches!(watched.costs(LOAD_AND_COMMIT, resume()), Ok(Answer::Ended(_))));
    assert!(matches!(watched.costs(ONE_LOAD, resume()), Ok(Answer::Ended(_))));
}

#[test]
fn looking_writes_nothing_whatever_it_finds() {
    let watched = Watched::new();
    let (token, session) = watched.world.active("alice", "browser");
    let sessions = &watched.sessions;
    for _ in 0..2 {
        let _ = watched.costs(ONE_LOAD, sessions.check(&session)).unwrap();
        watched.costs(ONE_LOAD, sessions.why_ended(&token)).unwrap();
        watched.costs(ONE_LOAD, sessions.find(session.id())).unwrap();
        let all = Query::default();
        let listed = sessions.list(&all, None);
        watched.costs(&[(Call::List, 1)], listed).unwrap();
        let query = EventQuery::default();
        let told = sessions.history(&query, None);
        watched.costs(&[(Call::Events, 1)], told).unwrap();
        watched.world.clock.advance(minutes(30));
    }
    assert!(watched.world.stored(session.id()).unwrap().record.end.is_none());
}

#[test]
fn data_is_written_once_and_only_if_it_changes() {
    let watched = Watched::new();
    let (_, session) = watched.world.active("alice", "browser");
    let sessions = &watched.sessions;
    let edits = put("lang", "en");
    let _ = watched.costs(LOAD_AND_COMMIT, sessions.edit(&session, &edits)).unwrap();
    let _ = watched.costs(ONE_LOAD, sessions.edit(&session, &edits)).unwrap();
    let update = sessions.update(&session, |data| data.set("lang", "en").unwrap());
    let _ = watched.costs(ONE_LOAD, update).unwrap();
    let update = sessions.update(&session, |data| data.set("lang", "de").unwrap());
    let _ = watched.costs(LOAD_AND_COMMIT, update).unwrap();
}

#[test]
fn rotating_and_revoking_read_once_and_write_once() {
    let watched = Watched::new();
    let sessions = &watched.sessions;
    let (_, session) = watched.world.active("alice", "browser");
    let rotated = watched.costs(LOAD_AND_COMMIT, sessions.rotate(&session)).unwrap();
    let session = rotated.live().unwrap().session;
    let owner = || (Reason::EndedByOwner, Actor::Subject);
    let (reason, actor) = owner();
    let others = sessions.revoke_others(&session, reason, actor);
    let _ = watched.costs(LOAD_AND_COMMIT, others).unwrap();
    let _ = watched.costs(LOAD_AND_COMMIT, sessions.sign_out(&session)).unwrap();
    let _ = watched.costs(ONE_LOAD, sessions.sign_out(&session)).unwrap();
    let (reason, actor) = owner();
    let alice = subject("alice");
    let all = sessions.revoke_subject(&alice, reason, actor);
    watched.costs(MARKS_AND_COMMIT, all).unwrap();
    let everyone = sessions.revoke_everyone(Reason::EveryoneRevoked, Actor::System);
    watched.costs(MARKS_AND_COMMIT, everyone).unwrap();
}

#[test]
fn a_login_reads_the_list_only_under_a_limit() {
    let watched = Watched::new();
    let sessions = &watched.sessions;
    let alice = subject("alice");
    let ticket = watched.costs(&[(Call::Marks, 1)], sessions.begin_login(&alice)).unwrap();
    let free = sessions.login(&ticket, login("browser"));
    assert!(watched.costs(MARKS_AND_COMMIT, free).unwrap().issued().is_some());
    let listed = &[(Call::Marks, 1), (Call::List, 1), (Call::Commit, 1)];
    let limited = sessions.login(&ticket, login("lone"));
    let issued = watched.costs(listed, limited).unwrap().issued().unwrap();
    let replacing = login("browser").replacing(issued.session, &[]);
    let with_source = &[(Call::Marks, 1), (Call::Load, 1), (Call::Commit, 1)];
    let replaced = watched.costs(with_source, sessions.login(&ticket, replacing)).unwrap();
    assert!(replaced.issued().is_some());
    watched.world.login("alice", "rejecting");
    let refused = watched.costs(listed, sessions.login(&ticket, login("rejecting"))).unwrap();
    assert!(matches!(refused, LoggedIn::LimitReached { live: 1 }));
    let all = sessions.revoke_subject(&alice, Reason::CredentialsChanged, Actor::Subject);
    block_on(all).unwrap();
    let stale = sessions.login(&ticket, login("browser"));
    let stale = watched.costs(&[(Call::Marks, 1)], stale).unwrap();
    assert!(matches!(stale, LoggedIn::CredentialsChanged));
}

#[test]
fn a_login_under_a_limit_reads_each_page_of_unended_sessions() {
    let watched = Watched::new();
    for _ in 0..1_001 {
        watched.world.login("alice", "browser");
    }
    let ticket = watched.world.ticket("alice");
    let three_pages = &[(Call::Marks, 1), (Call::List, 3), (Call::Commit, 1)];
    let limited = watched.sessions.login(&ticket, login("lone"));
    assert!(watched.costs(three_pages, limited).unwrap().issued().is_some());
}

#[test]
fn a_list_reads_at_most_ten_pages() {
    let watched = Watched::new();
    for _ in 0..30 {
        watched.world.create();
    }
    let one = NonZeroUsize::new(1).unwrap();
    let query = Query { idle_for: Some(minutes(1)), limit: one, ..Query::default() };
    let page = watched.costs(&[(Call::List, 10)], watched.sessions.list(&query, None)).unwrap();
    assert!(page.sessions.is_empty() && page.next.is_some());
}

#[test]
fn a_sweep_costs_two_reads_a_purge_and_a_write_for_what_it_finds() {
    let watched = Watched::new();
    let limit = NonZeroUsize::new(1_000).unwrap();
    let nothing = &[(Call::Due, 1), (Call::BelowEpoch, 1), (Call::Purge, 1)];
    watched.costs(nothing, watched.sessions.sweep(limit)).unwrap();
    for _ in 0..20 {
        watched.world.create();
    }
    watched.world.clock.advance(minutes(30));
    let some = &[(Call::Due, 1), (Call::CommitEach, 1), (Call::BelowEpoch, 1), (Call::Purge, 1)];
    assert_eq!(watched.costs(some, watched.sessions.sweep(limit)).unwrap().ended, 20);
    watched.world.create();
    let all = watched.sessions.revoke_everyone(Reason::EveryoneRevoked, Actor::System);
    block_on(all).unwrap();
    let by_mark = &[
        (Call::Due, 1),
        (Call::BelowEpoch, 1),
        (Call::CommitEach, 1),
        (Call::Commit, 1),
        (Call::Purge, 1),
    ];
    assert_eq!(watched.costs(by_mark, watched.sessions.sweep(limit)).unwrap().ended, 1);
    watched.costs(nothing, watched.sessions.sweep(limit)).unwrap();
}

#[test]
fn a_refused_edit_reads_and_writes_nothing_more() {
    let watched = Watched::new();
    let (_, session) = watched.world.active("alice", "browser");
    let long = "x".repeat(65 << 10);
    let refused = watched.costs(ONE_LOAD, watched.sessions.edit(&session, &put("note", &long)));
    assert!(refused.is_err());
    let too_much = NewSession { data: data(&[("note", &long)]), ..NewSession::default() };
    assert!(watched.costs(&[], watched.sessions.create(too_much)).is_err());
}
