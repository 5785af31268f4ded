//! Proving more, and signing in wholly again.

use pollster::block_on;
use session_core::{
    Actor, Answer, EventKind, GroupName, Issued, Limits, Proof, Proved, Reason, Session,
    SessionToken,
};

use crate::support::{START, World, classes, data, minutes, subject, text};

fn proved(world: &World, session: &Session, proof: &Proof) -> Issued {
    let ticket = world.ticket("alice");
    block_on(world.sessions.step_up(&ticket, session, proof)).unwrap().accepted().unwrap()
}

/// An hour after a login that keeps being used.
fn an_hour_in() -> (World, SessionToken, Session) {
    let world = World::new();
    let (token, mut session) = world.active("alice", "browser");
    for _ in 0..4 {
        world.clock.advance(minutes(15));
        session = world.live(&token);
    }
    (world, token, session)
}

#[test]
fn a_step_up_adds_a_method_rotates_hard_and_moves_no_deadline() {
    let (world, token, session) = an_hour_in();
    let issued = proved(&world, &session, &Proof::new("otp").level(2));
    let after = issued.session;
    let methods: Vec<_> = after.authentications().iter().map(|one| &*one.method).collect();
    assert_eq!(methods, ["password", "otp"]);
    assert_eq!(after.authentications()[1].level, 2);
    assert_eq!(after.authentications()[1].at, START + minutes(60));
    let deadlines = |session: &Session| (session.idle_deadline(), session.absolute_deadline());
    assert_eq!(deadlines(&after), deadlines(&session));
    assert_eq!((after.id(), after.created_at()), (session.id(), session.created_at()));
    assert!(matches!(world.resume(&token), Answer::Absent), "the old token opens nothing");
    assert!(world.is_live(&issued.token));
    assert_eq!(world.kinds(after.id()).last(), Some(&EventKind::SteppedUp));
}

#[test]
fn signing_in_again_begins_both_deadlines_anew_keeps_the_data_and_forgets_older_proofs() {
    let limits = Limits { absolute_timeout: Some(minutes(120)), ..Limits::NONE };
    let world = World::with(classes().group("till", limits).build().unwrap());
    let ticket = world.ticket("alice");
    let login = crate::support::login("browser").data(data(&[("basket", "tea")]));
    let issued = world.try_login(&ticket, login).issued().unwrap();
    world.live(&issued.token);
    world.clock.advance(minutes(20));
    let session = world.live(&issued.token);
    let till = vec![GroupName::new("till").unwrap()];
    let proof = Proof::new("passkey").level(2);
    let again = block_on(world.sessions.reauthenticate(&ticket, &session, &proof, till))
        .unwrap()
        .accepted()
        .unwrap();
    assert_eq!(again.session.id(), session.id());
    assert_eq!(again.session.created_at(), START);
    assert_eq!(again.session.absolute_deadline(), START + minutes(20 + 120), "of today's groups");
    assert_eq!(again.session.idle_deadline(), Some(START + minutes(20 + 30)));
    assert_eq!(again.session.authentications().len(), 1);
    assert_eq!(text(&again.session, "basket").as_deref(), Some("tea"));
    assert!(matches!(world.resume(&issued.token), Answer::Absent));
    assert!(world.is_live(&again.token));
    assert_eq!(world.kinds(session.id()).last(), Some(&EventKind::Reauthenticated));
}

#[test]
fn a_password_that_was_changed_meanwhile_proves_nothing_even_to_the_session_that_was_kept() {
    let (world, token, session) = an_hour_in();
    let ticket = world.ticket("alice");
    let kept = block_on(world.sessions.revoke_others(
        &session,
        Reason::CredentialsChanged,
        Actor::Subject,
    ));
    assert_eq!(kept.unwrap(), Answer::Live(()));
    let proof = Proof::new("password");
    for answer in [
        block_on(world.sessions.step_up(&ticket, &session, &proof)).unwrap(),
        block_on(world.sessions.reauthenticate(&ticket, &session, &proof, Vec::new())).unwrap(),
    ] {
        assert!(matches!(answer, Proved::CredentialsChanged), "{answer:?}");
    }
    assert!(world.is_live(&token), "and nothing was changed");
    assert!(proved(&world, &session, &proof).session.authentications().len() == 2);
}

#[test]
fn a_ticket_of_another_subject_or_for_nobody_s_session_proves_nothing() {
    let (world, _, session) = an_hour_in();
    let proof = Proof::new("password");
    let of_bob = block_on(world.sessions.begin_login(&subject("bob"))).unwrap();
    let answer = block_on(world.sessions.step_up(&of_bob, &session, &proof)).unwrap();
    assert!(matches!(answer, Proved::CredentialsChanged), "{answer:?}");
    let anonymous = world.create();
    let ticket = world.ticket("alice");
    let answer = block_on(world.sessions.step_up(&ticket, &anonymous.session, &proof)).unwrap();
    assert!(matches!(answer, Proved::CredentialsChanged), "{answer:?}");
}

#[test]
fn the_dead_prove_nothing() {
    let (world, token, session) = an_hour_in();
    let ticket = world.ticket("alice");
    let proof = Proof::new("password");
    world.clock.advance(minutes(30));
    let answer = block_on(world.sessions.step_up(&ticket, &session, &proof)).unwrap();
    let Proved::Ended(end) = answer else { panic!("{answer:?}") };
    assert_eq!(end.reason, Reason::IdleTimeout);
    assert_eq!(world.ended(&token), end, "and the end is written down");
    let (world, _, session) = an_hour_in();
    let held = proved(&world, &session, &proof);
    let ticket = world.ticket("alice");
    let answer = block_on(world.sessions.step_up(&ticket, &session, &proof)).unwrap();
    assert!(matches!(answer, Proved::Absent), "a handle from before a hard rotation");
    assert!(world.is_live(&held.token));
}
