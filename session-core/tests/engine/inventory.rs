//! What there is, as it stands at this moment.

use std::num::NonZeroUsize;

use pollster::block_on;
use session_core::{Actor, Query, Reason, SessionId, SessionInfo, State};

use crate::support::{START, World, minutes, subject};

fn list(world: &World, query: &Query) -> Vec<SessionInfo> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = block_on(world.sessions.list(query, after.as_ref())).unwrap();
        assert!(page.sessions.len() <= query.limit.get());
        assert!(page.damaged.is_empty());
        all.extend(page.sessions);
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

fn ids(sessions: &[SessionInfo]) -> Vec<SessionId> {
    sessions.iter().map(|info| info.id).collect()
}

const EVERY_STATE: [State; 5] =
    [State::Created, State::Active, State::IdleExpired, State::AbsoluteExpired, State::Revoked];

#[test]
fn states_are_those_of_the_moment_and_not_those_that_were_written() {
    let world = World::new();
    world.login("alice", "browser");
    let (_, idle) = world.active("alice", "browser");
    let (_, steady) = world.active("alice", "steady");
    world.clock.advance(crate::support::MILLI);
    let (_, bobs) = world.active("bob", "steady");
    let of = |state| ids(&list(&world, &Query { states: vec![state], ..Query::default() }));
    assert_eq!((of(State::Created).len(), of(State::Active).len()), (1, 3));
    world.clock.advance(minutes(30));
    assert_eq!(of(State::IdleExpired).len(), 2);
    assert!(of(State::IdleExpired).contains(&idle.id()));
    assert_eq!(of(State::Active), [steady.id(), bobs.id()]);
    let by = (Reason::SubjectDisabled, Actor::System);
    block_on(world.sessions.revoke_subject(&subject("bob"), by.0, by.1)).unwrap();
    assert_eq!(of(State::Revoked), [bobs.id()]);
    world.clock.advance(minutes(720));
    assert_eq!(of(State::AbsoluteExpired), [steady.id()], "bob's was revoked before");
    assert!(world.stored(steady.id()).unwrap().record.end.is_none(), "and nothing was written");
    assert!(list(&world, &Query::default()).is_empty(), "only live ones, unless asked");
    let all = Query { states: EVERY_STATE.to_vec(), ..Query::default() };
    assert_eq!(list(&world, &all).len(), 4);
}

#[test]
fn a_page_goes_on_where_the_last_one_ended() {
    let world = World::new();
    let mut expected = Vec::new();
    for at in 0..25 {
        let name = if at % 2 == 0 { "alice" } else { "bob" };
        world.clock.advance(minutes(1) / 60);
        expected.push((name, world.login(name, "browser").session.id()));
    }
    for limit in [1, 2, 7, 24, 25, 26] {
        let query = Query { limit: NonZeroUsize::new(limit).unwrap(), ..Query::default() };
        let all: Vec<_> = expected.iter().map(|(_, id)| *id).collect();
        assert_eq!(ids(&list(&world, &query)), all, "limit {limit}");
        let query = Query { subject: Some(subject("bob")), ..query };
        let bobs: Vec<_> =
            expected.iter().filter(|(name, _)| *name == "bob").map(|(_, id)| *id).collect();
        assert_eq!(ids(&list(&world, &query)), bobs, "limit {limit}");
    }
}

#[test]
fn a_rare_session_is_found_behind_many_pages() {
    let world = World::new();
    let (token, rare) = world.active("alice", "steady");
    for _ in 0..40 {
        world.clock.advance(minutes(1));
        world.active("bob", "steady");
    }
    let query = Query {
        idle_for: Some(minutes(40)),
        limit: NonZeroUsize::new(1).unwrap(),
        ..Query::default()
    };
    assert_eq!(ids(&list(&world, &query)), [rare.id()]);
    world.live(&token);
    assert!(list(&world, &query).is_empty(), "it was used");
}

#[test]
fn what_is_shown_is_what_is_known() {
    let world = World::new();
    let (_, session) = world.active("alice", "browser");
    let info = block_on(world.sessions.find(session.id())).unwrap().unwrap();
    assert_eq!((info.state, info.created_at, info.last_seen_at), (State::Active, START, START));
    assert_eq!(info.idle_deadline, Some(START + minutes(30)));
    assert_eq!(info.absolute_deadline, Some(START + minutes(720)));
    assert_eq!(info.client.address.as_deref(), Some("192.0.2.7"));
    assert_eq!((info.authentications.len(), info.end), (1, None));
    let _ = block_on(world.sessions.sign_out(&session)).unwrap();
    let info = block_on(world.sessions.find(session.id())).unwrap().unwrap();
    assert_eq!((info.state, info.idle_deadline), (State::Revoked, None));
    assert_eq!(info.end.unwrap().reason, Reason::SignedOut);
    assert!(block_on(world.sessions.find(SessionId::from_bytes([1; 16]))).unwrap().is_none());
}

#[test]
fn a_foreign_cursor_is_an_error() {
    let world = World::new();
    let cursor = "AAAA".parse().unwrap();
    assert!(block_on(world.sessions.list(&Query::default(), Some(&cursor))).is_err());
}
