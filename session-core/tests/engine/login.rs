//! Signing in: limits, what gives way, what is carried over, and what makes it fail.

use pollster::block_on;
use session_core::{
    Actor, Error, EventKind, Issued, LoggedIn, NewSession, Reason, Revoked, SessionId, State,
    StoreError, StoreErrorKind,
};

use crate::support::hooked::{Call, Hook};
use crate::support::{START, World, data, login, minutes, put, seconds, subject, text};

fn ids(outcome: &LoggedIn) -> Vec<SessionId> {
    match outcome {
        LoggedIn::Issued(_, gave_way) => gave_way.clone(),
        other => panic!("it was refused: {other:?}"),
    }
}

#[test]
fn a_login_issues_a_session_of_its_subject() {
    let world = World::new();
    let ticket = world.ticket("alice");
    assert_eq!(ticket.subject(), &subject("alice"));
    let with = login("browser").level(2).data(data(&[("lang", "en")]));
    let issued = world.try_login(&ticket, with).issued().unwrap();
    assert_eq!(issued.session.state(), State::Created);
    let session = world.live(&issued.token);
    assert_eq!(session.subject(), Some(&subject("alice")));
    assert_eq!(text(&session, "lang").as_deref(), Some("en"));
    let [proof] = session.authentications() else { panic!("one proof") };
    assert_eq!((&*proof.method, proof.level, proof.at), ("password", 2, START));
}

#[test]
fn the_least_recently_used_session_gives_way() {
    let world = World::with(
        crate::support::classes()
            .class("two", session_core::Class::new(minutes(720)).max_sessions(2, <_>::default()))
            .build()
            .unwrap(),
    );
    let (first, _) = world.active("alice", "two");
    world.clock.advance(minutes(2));
    let (second, session) = world.active("alice", "two");
    world.clock.advance(minutes(2));
    world.live(&first);
    let outcome = world.try_login(&world.ticket("alice"), login("two"));
    assert_eq!(ids(&outcome), [session.id()]);
    let end = world.ended(&second);
    assert_eq!(
        (end.reason, end.actor, end.at),
        (Reason::Superseded, Actor::System, START + minutes(4))
    );
    assert!(world.is_live(&first));
}

#[test]
fn the_oldest_session_gives_way() {
    let world = World::new();
    let (first, oldest) = world.active("alice", "pair");
    world.clock.advance(minutes(2));
    let (second, _) = world.active("alice", "pair");
    world.clock.advance(minutes(2));
    world.live(&first);
    let outcome = world.try_login(&world.ticket("alice"), login("pair"));
    assert_eq!(ids(&outcome), [oldest.id()]);
    assert!(!world.is_live(&first) && world.is_live(&second));
}

#[test]
fn as_many_give_way_as_a_tightened_limit_asks() {
    let world = World::new();
    let tokens: Vec<_> = (0..5).map(|_| world.active("alice", "browser").0).collect();
    let one = session_core::Class::new(minutes(720)).max_sessions(1, <_>::default());
    world.sessions.set_policy(crate::support::classes().build().unwrap());
    let tight = session_core::Policy::builder().class("browser", one).build().unwrap();
    world.sessions.set_policy(tight);
    let outcome = world.try_login(&world.ticket("alice"), login("browser"));
    assert_eq!(ids(&outcome).len(), 5);
    assert!(tokens.iter().all(|token| !world.is_live(token)));
}

#[test]
fn a_class_that_rejects_refuses_and_tells_of_it() {
    let world = World::new();
    let first = world.login("alice", "rejecting");
    let outcome = world.try_login(&world.ticket("alice"), login("rejecting"));
    assert!(matches!(outcome, LoggedIn::LimitReached { live: 1 }));
    assert!(world.is_live(&first.token));
    let told = world.events().pop().unwrap().event;
    assert_eq!(told.kind, EventKind::Activated);
    let denied: Vec<_> = world
        .events()
        .into_iter()
        .filter(|told| told.event.kind == EventKind::LoginDenied)
        .collect();
    assert_eq!(denied.len(), 1);
    assert_eq!(denied[0].event.subject, Some(subject("alice")));
    assert_eq!(denied[0].event.detail["address"], "192.0.2.7");
    let _ = block_on(world.sessions.sign_out(&first.session)).unwrap();
    assert!(world.try_login(&world.ticket("alice"), login("rejecting")).issued().is_some());
}

#[test]
fn what_has_ended_by_itself_is_not_counted_and_is_ended_by_the_login() {
    let world = World::new();
    let (_, idle) = world.active("alice", "rejecting");
    world.clock.advance(minutes(31));
    let before = world.events().len();
    let outcome = world.try_login(&world.ticket("alice"), login("rejecting"));
    assert!(ids(&outcome).is_empty(), "nobody gave way");
    let end = world.stored(idle.id()).unwrap().record.end.unwrap();
    assert_eq!((end.reason, end.at), (Reason::IdleTimeout, START + minutes(30)));
    let told = world.events().split_off(before);
    assert!(told.iter().all(|stored| stored.change == told[0].change), "one change");
    assert_eq!(told.len(), 3, "issued, logged in, ended");
}

#[test]
fn the_dead_of_another_class_are_left_to_the_sweep() {
    let world = World::new();
    let (_, other) = world.active("alice", "browser");
    world.clock.advance(minutes(31));
    world.login("alice", "rejecting");
    assert!(world.stored(other.id()).unwrap().record.end.is_none());
}

#[test]
fn a_login_ends_no_more_of_the_dead_than_a_change_should_hold() {
    let world = World::new();
    let one = session_core::Class::new(minutes(720)).max_sessions(1_000, <_>::default());
    world.sessions.set_policy(crate::support::classes().class("many", one).build().unwrap());
    let issued_ids: Vec<_> = (0..501)
        .map(|_| {
            world.clock.advance(crate::support::MILLI);
            world.login("alice", "many").session.id()
        })
        .collect();
    world.clock.advance(minutes(6));
    let before = world.events().len();
    assert!(ids(&world.try_login(&world.ticket("alice"), login("many"))).is_empty());
    assert_eq!(world.events().len() - before, 502, "issued, logged in, and 500 ends");
    assert!(
        world.stored(issued_ids[0]).unwrap().record.end.is_none(),
        "the first to die is the one left"
    );
    assert!(world.stored(issued_ids[1]).unwrap().record.end.is_some());
}

#[test]
fn limits_are_each_subjects_and_each_classes_own() {
    let world = World::new();
    let tokens = [
        world.login("alice", "lone").token,
        world.login("bob", "lone").token,
        world.login("alice", "rejecting").token,
        world.login("alice", "browser").token,
    ];
    assert!(tokens.iter().all(|token| world.is_live(token)));
}

fn anonymous(world: &World) -> Issued {
    let new =
        NewSession { data: data(&[("basket", "tea"), ("csrf", "old")]), ..NewSession::default() };
    block_on(world.sessions.create(new)).unwrap()
}

#[test]
fn a_login_replaces_the_session_it_came_from_and_carries_what_is_allowed() {
    let world = World::new();
    let from = anonymous(&world);
    let with = login("browser").data(data(&[("lang", "en")]));
    let with = with.replacing(from.session.clone(), &["basket", "lang", "missing"]);
    let before = world.events().len();
    let issued = world.try_login(&world.ticket("alice"), with).issued().unwrap();
    assert_ne!(issued.session.id(), from.session.id());
    let session = world.live(&issued.token);
    assert_eq!(text(&session, "basket").as_deref(), Some("tea"));
    assert_eq!(text(&session, "lang").as_deref(), Some("en"));
    assert_eq!(text(&session, "csrf"), None);
    let end = world.ended(&from.token);
    assert_eq!((end.reason, end.actor), (Reason::Replaced, Actor::Subject));
    let told = world.events().split_off(before);
    assert_eq!(told.iter().filter(|stored| stored.change == told[0].change).count(), 3);
}

#[test]
fn a_dead_source_refuses_no_login_and_gives_nothing() {
    for idle in [false, true] {
        let world = World::new();
        let from = anonymous(&world);
        if idle {
            world.clock.advance(minutes(6));
        } else {
            let _ = block_on(world.sessions.sign_out(&from.session)).unwrap();
        }
        let with = login("browser").replacing(from.session.clone(), &["basket"]);
        let issued = world.try_login(&world.ticket("alice"), with).issued().unwrap();
        assert_eq!(text(&world.live(&issued.token), "basket"), None);
        let expected = if idle { Reason::IdleTimeout } else { Reason::SignedOut };
        assert_eq!(world.stored(from.session.id()).unwrap().record.end.unwrap().reason, expected);
    }
}

#[test]
fn a_source_whose_secret_was_replaced_is_left_alone() {
    let world = World::new();
    let from = anonymous(&world);
    let rotated = block_on(world.sessions.rotate(&from.session)).unwrap().live().unwrap();
    let with = login("browser").replacing(from.session, &["basket"]);
    let issued = world.try_login(&world.ticket("alice"), with).issued().unwrap();
    assert_eq!(text(&world.live(&issued.token), "basket"), None);
    assert!(world.is_live(&rotated.token), "who holds an old secret ends nothing");
}

#[test]
fn the_session_of_somebody_else_ends_and_carries_nothing_over() {
    let world = World::new();
    let (token, bobs) = world.active("bob", "browser");
    let bobs =
        block_on(world.sessions.edit(&bobs, &put("note", "bob's own"))).unwrap().live().unwrap();
    let with = login("browser").replacing(bobs, &["note"]);
    let issued = world.try_login(&world.ticket("alice"), with).issued().unwrap();
    assert_eq!(text(&world.live(&issued.token), "note"), None);
    assert_eq!(world.ended(&token).reason, Reason::Replaced);
}

#[test]
fn a_user_who_signs_in_again_keeps_what_is_carried_and_counts_once() {
    let world = World::new();
    let (token, mine) = world.active("alice", "rejecting");
    let mine = block_on(world.sessions.edit(&mine, &put("note", "mine"))).unwrap().live().unwrap();
    let with = login("rejecting").replacing(mine, &["note"]);
    let issued = world.try_login(&world.ticket("alice"), with).issued().unwrap();
    assert_eq!(text(&world.live(&issued.token), "note").as_deref(), Some("mine"));
    assert_eq!(world.ended(&token).reason, Reason::Replaced);
}

#[derive(Debug)]
struct Damaging(SessionId, StoreErrorKind);

#[async_trait::async_trait]
impl Hook for Damaging {
    async fn before(&self, _: Call) -> Result<(), session_core::StoreError> {
        Ok(())
    }

    async fn after(&self, _: Call) -> Result<(), session_core::StoreError> {
        Ok(())
    }

    fn damages(&self, id: SessionId) -> bool {
        id == self.0
    }

    fn damage(&self) -> StoreError {
        StoreError::new(self.1, "on purpose")
    }
}

#[test]
fn a_damaged_session_keeps_nobody_from_signing_in() {
    let world = World::new();
    let (token, mine) = world.active("alice", "rejecting");
    let engine = world.hooked(&std::sync::Arc::new(Damaging(mine.id(), StoreErrorKind::Corrupt)));
    assert!(block_on(engine.resume(&token)).is_err(), "it cannot be resumed");
    let with = login("rejecting").replacing(mine, &["note"]);
    let outcome = block_on(engine.login(&world.ticket("alice"), with)).unwrap();
    assert!(outcome.issued().is_some());
}

#[test]
fn a_session_of_a_newer_format_may_live_and_is_not_passed_over_under_a_limit() {
    let world = World::new();
    let (token, newer) = world.active("alice", "rejecting");
    let unsupported = StoreErrorKind::Unsupported;
    let engine = world.hooked(&std::sync::Arc::new(Damaging(newer.id(), unsupported)));
    let ticket = world.ticket("alice");
    let refused = block_on(engine.login(&ticket, login("rejecting")));
    assert!(matches!(refused, Err(Error::Store(error)) if error.kind() == unsupported));
    let replacing = login("browser").replacing(newer, &["note"]);
    let outcome = block_on(engine.login(&ticket, replacing)).unwrap();
    assert!(outcome.issued().is_some(), "where nothing is counted it keeps nobody out");
    assert!(world.is_live(&token));
}

#[test]
fn two_logins_with_one_source_carry_it_over_once() {
    let world = World::new();
    let from = anonymous(&world);
    let ticket = world.ticket("alice");
    let with = || login("browser").replacing(from.session.clone(), &["basket"]);
    let first = world.try_login(&ticket, with()).issued().unwrap();
    let second = world.try_login(&ticket, with()).issued().unwrap();
    assert_eq!(text(&world.live(&first.token), "basket").as_deref(), Some("tea"));
    assert_eq!(text(&world.live(&second.token), "basket"), None);
    world.check_history();
}

#[test]
fn a_ticket_from_before_a_revocation_opens_nothing() {
    let by = (Reason::CredentialsChanged, Actor::Subject);
    for everyone in [false, true] {
        let world = World::new();
        let ticket = world.ticket("alice");
        let bystander = world.ticket("bob");
        if everyone {
            block_on(world.sessions.revoke_everyone(by.0.clone(), by.1.clone())).unwrap();
        } else {
            let alice = subject("alice");
            block_on(world.sessions.revoke_subject(&alice, by.0.clone(), by.1.clone())).unwrap();
        }
        let outcome = world.try_login(&ticket, login("browser"));
        assert!(matches!(outcome, LoggedIn::CredentialsChanged));
        let other = world.try_login(&bystander, login("browser"));
        assert_eq!(other.issued().is_some(), !everyone);
        assert!(world.try_login(&world.ticket("alice"), login("browser")).issued().is_some());
    }
}

#[test]
fn a_ticket_outlives_other_logins() {
    let world = World::new();
    let ticket = world.ticket("alice");
    for _ in 0..3 {
        world.login("alice", "browser");
    }
    assert!(world.try_login(&ticket, login("browser")).issued().is_some());
}

#[test]
fn a_ticket_is_of_its_realm() {
    let world = World::new();
    let elsewhere = session_core::Sessions::builder(world.memory.clone())
        .clock(world.clock.clone())
        .realm(session_core::Realm::new("elsewhere").unwrap())
        .build();
    let ticket = block_on(elsewhere.begin_login(&subject("alice"))).unwrap();
    let outcome = world.try_login(&ticket, login("browser"));
    assert!(matches!(outcome, LoggedIn::CredentialsChanged), "it was verified elsewhere");
}

#[test]
fn a_token_that_was_replaced_at_login_is_told_why() {
    let world = World::new();
    let first = world.login("alice", "lone");
    world.clock.advance(seconds(3));
    world.login("alice", "lone");
    let end = block_on(world.sessions.why_ended(&first.token)).unwrap().unwrap();
    assert_eq!((end.reason, end.at), (Reason::Superseded, START + seconds(3)));
    let again = block_on(world.sessions.sign_out(&first.session)).unwrap();
    assert!(matches!(again, Revoked::Already(end) if end.reason == Reason::Superseded));
}
