//! Scopes: what it takes to enter one, and how long it stays open.

use std::sync::Arc;

use pollster::block_on;
use session_core::{
    Access, Answer, EventKind, Limits, NeedsReauth, Proof, Reason, Scope, ScopeName, Session,
    SessionToken, Visit,
};

use crate::support::{MILLI, START, World, classes, minutes, seconds};

fn finance() -> ScopeName {
    ScopeName::new("finance").unwrap()
}

/// Finance: five minutes idle, half an hour in all, a sign-in of at most five minutes ago.
fn world() -> World {
    let limits = Limits {
        idle_timeout: Some(minutes(5)),
        absolute_timeout: Some(minutes(30)),
        ..Limits::NONE
    };
    let vault = Scope { level: 2, max_age: minutes(60), ..Scope::from(limits) };
    World::with(classes().scope("finance", limits).scope("vault", vault).build().unwrap())
}

fn enter(world: &World, session: &Session) -> Access<Session> {
    block_on(world.sessions.enter_scope(session, &finance())).unwrap()
}

fn visit(world: &World, token: &SessionToken) -> Access<()> {
    let session = world.live(token);
    let access = block_on(world.sessions.visit_scope(&session, &finance(), Visit::default()));
    match access.unwrap() {
        Access::Granted(_) => Access::Granted(()),
        Access::NeedsReauth(why) => Access::NeedsReauth(why),
        other => panic!("{other:?}"),
    }
}

fn refused<T: std::fmt::Debug>(access: Access<T>) -> NeedsReauth {
    match access {
        Access::NeedsReauth(why) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_scope_is_entered_after_a_recent_sign_in_and_never_by_mere_activity() {
    let world = world();
    let (token, session) = world.active("alice", "browser");
    assert_eq!(refused(visit(&world, &token)), NeedsReauth::NotEntered);
    world.clock.set(START + minutes(5));
    assert!(enter(&world, &session).granted().is_some(), "five minutes are recent");
    assert!(visit(&world, &token).granted().is_some());
    assert_eq!(world.kinds(session.id()).last(), Some(&EventKind::ScopeEntered));

    let (token, _) = world.active("alice", "browser");
    world.clock.advance(minutes(5) + MILLI);
    let session = world.live(&token);
    let at = START + minutes(5);
    assert_eq!(refused(enter(&world, &session)), NeedsReauth::TooLongAgo { at });
    let ticket = world.ticket("alice");
    let proof = Proof::new("password");
    let stepped = block_on(world.sessions.step_up(&ticket, &session, &proof)).unwrap();
    let stepped = stepped.accepted().unwrap();
    assert!(enter(&world, &stepped.session).granted().is_some());
    assert!(visit(&world, &stepped.token).granted().is_some());
}

#[test]
fn an_open_scope_closes_by_itself_and_leaves_the_session_alone() {
    let world = world();
    let (token, session) = world.active("alice", "browser");
    assert!(enter(&world, &session).granted().is_some());
    for _ in 0..3 {
        world.clock.advance(minutes(4));
        assert!(visit(&world, &token).granted().is_some(), "it is used");
    }
    let seen = START + minutes(12);
    world.clock.set(seen + minutes(5) - MILLI);
    world.live(&token);
    world.clock.advance(MILLI);
    let why = refused(visit(&world, &token));
    let at = seen + minutes(5);
    assert_eq!(why, NeedsReauth::ScopeExpired { reason: Reason::IdleTimeout, at });
    assert!(world.is_live(&token), "activity outside keeps the session, not the scope");
}

#[test]
fn a_busy_scope_closes_at_its_absolute_timeout() {
    let world = world();
    let (token, session) = world.active("alice", "browser");
    assert!(enter(&world, &session).granted().is_some());
    for _ in 0..29 {
        world.clock.advance(minutes(1));
        assert!(visit(&world, &token).granted().is_some());
    }
    world.clock.advance(minutes(1));
    let why = refused(visit(&world, &token));
    let at = START + minutes(30);
    assert_eq!(why, NeedsReauth::ScopeExpired { reason: Reason::AbsoluteTimeout, at });
}

#[test]
fn a_scope_may_ask_for_a_level() {
    let world = world();
    let (_, session) = world.active("alice", "browser");
    let vault = ScopeName::new("vault").unwrap();
    let refusal = block_on(world.sessions.enter_scope(&session, &vault)).unwrap();
    assert_eq!(refused(refusal), NeedsReauth::Level { reached: 0, needed: 2 });
    let proof = Proof::new("otp").level(2);
    let stepped = block_on(world.sessions.step_up(&world.ticket("alice"), &session, &proof));
    let session = stepped.unwrap().accepted().unwrap().session;
    assert!(block_on(world.sessions.enter_scope(&session, &vault)).unwrap().granted().is_some());
    let nowhere = ScopeName::new("nowhere").unwrap();
    let refusal = block_on(world.sessions.enter_scope(&session, &nowhere)).unwrap();
    assert_eq!(refused(refusal), NeedsReauth::NoSuchScope);
    let refusal = block_on(world.sessions.visit_scope(&session, &nowhere, Visit::default()));
    assert_eq!(refused(refusal.unwrap()), NeedsReauth::NoSuchScope);
}

#[test]
fn nobody_s_session_enters_nothing() {
    let world = world();
    let issued = world.create();
    assert_eq!(refused(enter(&world, &issued.session)), NeedsReauth::Never);
}

#[test]
fn how_recent_a_sign_in_is_is_asked_for_any_age_and_level() {
    let world = world();
    let (_, session) = world.active("alice", "browser");
    let proof = Proof::new("otp").level(2);
    let issued = block_on(world.sessions.step_up(&world.ticket("alice"), &session, &proof));
    let issued = issued.unwrap().accepted().unwrap();
    world.clock.advance(minutes(10));
    let session = world.live(&issued.token);
    assert_eq!(world.sessions.require(&session, minutes(10), 2), Ok(()));
    let why = NeedsReauth::TooLongAgo { at: START };
    assert_eq!(world.sessions.require(&session, minutes(10) - MILLI, 0), Err(why));
    let why = NeedsReauth::Level { reached: 2, needed: 3 };
    assert_eq!(world.sessions.require(&session, minutes(60), 3), Err(why));
}

#[test]
fn a_slow_clock_makes_no_old_proof_recent() {
    let world = world();
    let (token, _) = world.active("alice", "browser");
    world.clock.set(START + minutes(10));
    let session = world.live(&token);
    world.clock.set(START);
    let why = NeedsReauth::TooLongAgo { at: START };
    assert_eq!(world.sessions.require(&session, minutes(5), 0), Err(why.clone()));
    assert_eq!(refused(enter(&world, &session)), why);
}

#[test]
fn a_scope_dies_with_its_session() {
    let world = world();
    let (token, session) = world.active("alice", "browser");
    let session = enter(&world, &session).granted().unwrap();
    let _ = block_on(world.sessions.sign_out(&session)).unwrap();
    let answer = enter(&world, &session);
    assert!(matches!(&answer, Access::Ended(end) if end.reason == Reason::SignedOut), "{answer:?}");
    assert!(matches!(world.resume(&token), Answer::Ended(_)));
    world.clock.advance(minutes(4));
    let late = block_on(world.sessions.visit_scope(&session, &finance(), Visit::default()));
    let late = late.unwrap();
    assert!(matches!(&late, Access::NeedsReauth(_) | Access::Ended(_)), "{late:?}");
}

#[test]
fn a_visit_tells_until_when_the_scope_is_open_if_it_is_the_last() {
    let world = world();
    let (token, session) = world.active("alice", "browser");
    assert!(enter(&world, &session).granted().is_some());
    let told = |visit: Visit| {
        let session = world.live(&token);
        let access = block_on(world.sessions.visit_scope(&session, &finance(), visit));
        access.unwrap().granted().unwrap()
    };
    world.clock.advance(minutes(4));
    assert_eq!(told(Visit::default().passive()).idle, Some(START + minutes(5)));
    let open = told(Visit::default());
    assert_eq!((open.idle, open.absolute), (Some(START + minutes(9)), Some(START + minutes(30))));
    world.clock.advance(minutes(5) - MILLI);
    assert_eq!(told(Visit::default()).idle, Some(START + minutes(14) - MILLI));
}

#[test]
fn a_visit_reads_nothing_and_writes_once_a_touch_interval() {
    use crate::support::hooked::{Call, Hook};
    #[derive(Debug, Default)]
    struct Spy(std::sync::Mutex<Vec<Call>>);
    #[async_trait::async_trait]
    impl Hook for Spy {
        async fn before(&self, call: Call) -> Result<(), session_core::StoreError> {
            self.0.lock().unwrap().push(call);
            Ok(())
        }
        async fn after(&self, _: Call) -> Result<(), session_core::StoreError> {
            Ok(())
        }
    }
    let world = world();
    let (token, session) = world.active("alice", "browser");
    assert!(enter(&world, &session).granted().is_some());
    let spy = Arc::new(Spy::default());
    let sessions = world.hooked(&spy);
    let calls = |passive: bool| {
        let session = world.live(&token);
        let visit = if passive { Visit::default().passive() } else { Visit::default() };
        let access = block_on(sessions.visit_scope(&session, &finance(), visit)).unwrap();
        assert!(access.granted().is_some());
        std::mem::take(&mut *spy.0.lock().unwrap())
    };
    assert_eq!(calls(false), []);
    world.clock.advance(seconds(61));
    assert_eq!(calls(true), []);
    assert_eq!(calls(false), [Call::Touch]);
    assert_eq!(calls(false), []);
}
