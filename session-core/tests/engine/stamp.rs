//! When a password or a role changes.

use pollster::block_on;
use session_core::{Actor, Answer, EventKind, Issued, LoggedIn, Reason, Session, Stamp, Stamped};

use crate::support::{World, login, minutes, subject};

fn stamp(world: &World, bytes: &[u8], keep: Option<&Session>) -> Stamped {
    let (reason, actor) = (Reason::CredentialsChanged, Actor::Subject);
    let (alice, stamp) = (subject("alice"), Stamp::new(bytes));
    block_on(world.sessions.set_stamp(&alice, &stamp, reason, actor, keep)).unwrap()
}

fn kept(stamped: Stamped) -> Issued {
    match stamped {
        Stamped::Changed(Some(issued)) => *issued,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_password_ends_the_other_sessions_and_renews_the_one_at_hand() {
    let world = World::new();
    let (other, _) = world.active("alice", "browser");
    let (token, session) = world.active("alice", "browser");
    let (of_bob, _) = world.active("bob", "browser");
    let issued = kept(stamp(&world, b"second", Some(&session)));
    assert_eq!(issued.session.id(), session.id());
    assert_eq!(issued.session.absolute_deadline(), session.absolute_deadline());
    let end = world.ended(&other);
    assert_eq!((end.reason, end.actor), (Reason::CredentialsChanged, Actor::Subject));
    assert!(matches!(world.resume(&token), Answer::Absent), "its old token opens nothing");
    assert!(world.is_live(&issued.token) && world.is_live(&of_bob));
    let told: Vec<EventKind> = world.kinds(session.id());
    assert_eq!(told.last(), Some(&EventKind::Rotated));
    let raised = world.events().into_iter().find(|one| one.event.kind == EventKind::SubjectRevoked);
    assert_eq!(raised.unwrap().event.detail["kept"], session.id().to_string());
}

#[test]
fn the_same_stamp_again_changes_nothing() {
    let world = World::new();
    assert!(matches!(stamp(&world, b"first", None), Stamped::Changed(None)));
    let (token, session) = world.active("alice", "browser");
    assert!(matches!(stamp(&world, b"first", None), Stamped::Unchanged));
    assert!(matches!(stamp(&world, b"first", Some(&session)), Stamped::Unchanged));
    assert!(world.is_live(&token));
    assert!(matches!(stamp(&world, b"other", None), Stamped::Changed(None)));
    assert_eq!(world.ended(&token).reason, Reason::CredentialsChanged);
}

#[test]
fn a_login_that_verified_the_old_password_is_refused() {
    let world = World::new();
    let ticket = world.ticket("alice");
    let _ = stamp(&world, b"second", None);
    let outcome = world.try_login(&ticket, login("browser"));
    assert!(matches!(outcome, LoggedIn::CredentialsChanged), "{outcome:?}");
    assert!(world.try_login(&world.ticket("alice"), login("browser")).issued().is_some());
}

#[test]
fn a_session_that_cannot_be_kept_does_not_keep_the_others_alive() {
    let world = World::new();
    let (other, _) = world.active("alice", "browser");
    let (_, ended) = world.active("alice", "browser");
    let _ = block_on(world.sessions.sign_out(&ended)).unwrap();
    assert!(matches!(stamp(&world, b"a", Some(&ended)), Stamped::Changed(None)));
    assert_eq!(world.ended(&other).reason, Reason::CredentialsChanged);

    let (other, _) = world.active("alice", "browser");
    let (of_bob, bob) = world.active("bob", "browser");
    assert!(matches!(stamp(&world, b"b", Some(&bob)), Stamped::Changed(None)), "another's");
    assert_eq!(world.ended(&other).reason, Reason::CredentialsChanged);
    assert!(world.is_live(&of_bob));

    let (other, _) = world.active("alice", "browser");
    let (_, idle) = world.active("alice", "browser");
    world.clock.advance(minutes(30));
    assert!(matches!(stamp(&world, b"c", Some(&idle)), Stamped::Changed(None)));
    assert_eq!(world.ended(&other).reason, Reason::IdleTimeout, "time was first");
}

#[test]
fn a_role_that_changes_ends_sessions_for_its_own_reason() {
    let world = World::new();
    let (token, _) = world.active("alice", "browser");
    let root = Actor::Operator(subject("root"));
    let roles = Stamp::new(b"admin,staff");
    let stamped = block_on(world.sessions.set_stamp(
        &subject("alice"),
        &roles,
        Reason::RoleChanged,
        root.clone(),
        None,
    ));
    assert!(matches!(stamped.unwrap(), Stamped::Changed(None)));
    let end = world.ended(&token);
    assert_eq!((end.reason, end.actor), (Reason::RoleChanged, root));
}
