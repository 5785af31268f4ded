//! Every change of a session's life has its event, in the same commit, with its instants.

use std::collections::HashMap;

use pollster::block_on;
use session_core::store::{EventQuery, Events};
use session_core::{Actor, EventKind, Reason, ReasonCode};

use crate::support::{START, World, login, minutes, seconds, subject};

#[test]
fn each_step_of_a_life_is_told_once_and_in_order() {
    let world = World::new();
    let from = world.create();
    let with = login("browser").replacing(from.session.clone(), &[]);
    let issued = world.try_login(&world.ticket("alice"), with).issued().unwrap();
    let session = world.live(&issued.token);
    let rotated = block_on(world.sessions.rotate(&session)).unwrap().live().unwrap();
    let _ = block_on(world.sessions.sign_out(&rotated.session)).unwrap();
    assert_eq!(
        world.kinds(session.id()),
        [
            EventKind::Issued,
            EventKind::LoggedIn,
            EventKind::Activated,
            EventKind::Rotated,
            EventKind::Ended,
        ]
    );
    assert_eq!(world.kinds(from.session.id()), [EventKind::Issued, EventKind::Ended]);
    let of_alice =
        world.events().into_iter().filter(|told| told.event.session == Some(session.id()));
    for told in of_alice {
        assert_eq!(told.event.subject, Some(subject("alice")));
        assert_eq!(told.event.purge_at, told.event.observed_at + minutes(90 * 1_440));
    }
    world.check_history();
}

#[test]
fn an_event_comes_in_the_commit_of_its_change() {
    let world = World::new();
    let from = world.create();
    let with = login("lone").replacing(from.session.clone(), &[]);
    world.login("alice", "lone");
    world.try_login(&world.ticket("alice"), with).issued().unwrap();
    let mut changes: HashMap<_, Vec<_>> = HashMap::new();
    for told in world.events() {
        changes.entry(told.change).or_default().push(told.event.kind);
    }
    let mut whole: Vec<_> = changes.into_values().map(|kinds| kinds.len()).collect();
    whole.sort_unstable();
    assert_eq!(whole, [1, 2, 4], "create, login, and a login that ended two");
}

#[test]
fn an_expiry_has_its_true_instant_and_the_one_when_it_was_noticed() {
    let world = World::new();
    let (token, session) = world.active("alice", "browser");
    world.clock.advance(minutes(300));
    world.ended(&token);
    let told = world.events().pop().unwrap().event;
    assert_eq!((told.kind, told.reason), (EventKind::Ended, Some(Reason::IdleTimeout)));
    assert_eq!((told.at, told.observed_at), (START + minutes(30), START + minutes(300)));
    assert_eq!((told.session, told.actor), (Some(session.id()), Actor::System));
}

#[test]
fn a_revocation_of_many_is_told_at_once_and_each_end_when_it_is_noticed() {
    let world = World::new();
    let (token, session) = world.active("alice", "browser");
    let root = Actor::Operator(subject("root"));
    let reason = Reason::SubjectDisabled;
    block_on(world.sessions.revoke_subject(&subject("alice"), reason.clone(), root.clone()))
        .unwrap();
    let told = world.events().pop().unwrap().event;
    assert_eq!((told.kind, told.session), (EventKind::SubjectRevoked, None));
    assert_eq!((told.subject, told.reason.as_ref()), (Some(subject("alice")), Some(&reason)));
    world.clock.advance(seconds(7));
    world.ended(&token);
    let told = world.events().pop().unwrap().event;
    assert_eq!((told.kind, told.session), (EventKind::Ended, Some(session.id())));
    assert_eq!((told.at, told.observed_at), (START, START + seconds(7)));
    assert_eq!((told.reason, told.actor), (Some(reason), root.clone()));
    block_on(world.sessions.revoke_everyone(Reason::EveryoneRevoked, root)).unwrap();
    let told = world.events().pop().unwrap().event;
    assert_eq!((told.kind, told.subject), (EventKind::RealmRevoked, None));
}

#[test]
fn no_event_holds_a_secret() {
    let world = World::new();
    let (token, session) = world.active("alice", "browser");
    let rotated = block_on(world.sessions.rotate(&session)).unwrap().live().unwrap();
    let _ = block_on(world.sessions.sign_out(&rotated.session)).unwrap();
    let told = format!("{:?} {rotated:?} {:?}", world.events(), world.stored(session.id()));
    for secret in [token.expose(), rotated.token.expose()] {
        assert!(!told.contains(&secret[20..]));
    }
}

#[test]
fn history_is_asked_by_session_by_subject_and_by_kind() {
    let world = World::new();
    let (_, session) = world.active("alice", "browser");
    world.active("bob", "browser");
    let count = |query: EventQuery| match block_on(world.sessions.history(&query, None)).unwrap() {
        Events::Page(page) => page.events.len(),
        Events::CursorExpired => panic!("no cursor was given"),
    };
    assert_eq!(count(EventQuery { session: Some(session.id()), ..EventQuery::default() }), 3);
    assert_eq!(count(EventQuery { subject: Some(subject("bob")), ..EventQuery::default() }), 3);
    assert_eq!(count(EventQuery { kinds: vec![EventKind::LoggedIn], ..EventQuery::default() }), 2);
}

#[test]
fn a_kind_is_known_by_its_text() {
    let world = World::new();
    world.create();
    let issued = EventKind::Other(ReasonCode::new("issued").unwrap());
    let query = EventQuery { kinds: vec![issued], ..EventQuery::default() };
    let Events::Page(page) = block_on(world.sessions.history(&query, None)).unwrap() else {
        panic!("no cursor was given")
    };
    assert_eq!(page.events.len(), 1);
}
