//! Ending on purpose: whose, why, by whom, since when; and that nothing brings it back.

use pollster::block_on;
use session_core::{
    Actor, Answer, End, Epochs, Error, EventKind, Marks, Reason, ReasonCode, Revoked, SessionId,
    SessionStore, State,
};

use crate::support::{START, World, login, minutes, seconds, subject};

fn by_root() -> (Reason, Actor) {
    (Reason::EndedByAdministrator, Actor::Operator(subject("root")))
}

#[test]
fn one_session_ends_with_its_reason_its_actor_and_its_instant() {
    let world = World::new();
    let (token, session) = world.active("alice", "browser");
    let (other, _) = world.active("alice", "browser");
    world.clock.advance(seconds(90));
    let (reason, actor) = by_root();
    let Revoked::Now(end) =
        block_on(world.sessions.revoke(session.id(), reason.clone(), actor.clone())).unwrap()
    else {
        panic!("it lived")
    };
    assert_eq!((&end.reason, &end.actor, end.state()), (&reason, &actor, State::Revoked));
    assert_eq!((end.at, end.observed_at), (START + seconds(90), START + seconds(90)));
    assert_eq!(world.ended(&token), end);
    assert!(world.is_live(&other));
    let again = block_on(world.sessions.sign_out(&session)).unwrap();
    assert_eq!(again, Revoked::Already(end));
}

#[test]
fn nobody_is_absent() {
    let world = World::new();
    let (reason, actor) = by_root();
    let nobody = SessionId::from_bytes([9; 16]);
    assert_eq!(block_on(world.sessions.revoke(nobody, reason, actor)).unwrap(), Revoked::Absent);
    assert!(world.events().is_empty());
}

#[test]
fn revoking_what_time_has_ended_stores_the_expiry() {
    let world = World::new();
    let (token, session) = world.active("alice", "browser");
    world.clock.advance(minutes(40));
    let (reason, actor) = by_root();
    let revoked = block_on(world.sessions.revoke(session.id(), reason, actor)).unwrap();
    let Revoked::Already(end) = revoked else { panic!("time had ended it") };
    assert_eq!((&end.reason, &end.actor), (&Reason::IdleTimeout, &Actor::System));
    assert_eq!((end.at, end.observed_at), (START + minutes(30), START + minutes(40)));
    assert_eq!(world.stored(session.id()).unwrap().record.end, Some(end.clone()));
    assert_eq!(world.ended(&token), end);
}

#[test]
fn a_revocation_at_the_deadline_comes_too_late() {
    let world = World::new();
    let (token, session) = world.active("alice", "browser");
    world.clock.set(session.idle_deadline().unwrap());
    let (reason, actor) = by_root();
    block_on(world.sessions.revoke_subject(&subject("alice"), reason, actor)).unwrap();
    assert_eq!(world.ended(&token).reason, Reason::IdleTimeout);
}

#[test]
fn a_subject_loses_all_sessions_and_nobody_else_any() {
    let world = World::new();
    let mine = [world.active("alice", "browser").0, world.active("alice", "lone").0];
    let (bobs, _) = world.active("bob", "browser");
    let nobodys = world.create().token;
    world.clock.advance(seconds(10));
    let (reason, actor) = by_root();
    let alice = subject("alice");
    block_on(world.sessions.revoke_subject(&alice, reason.clone(), actor.clone())).unwrap();
    world.clock.advance(seconds(10));
    for token in &mine {
        let end = world.ended(token);
        assert_eq!((&end.reason, &end.actor), (&reason, &actor));
        assert_eq!((end.at, end.observed_at), (START + seconds(10), START + seconds(20)));
    }
    assert!(world.is_live(&bobs) && world.is_live(&nobodys));
    assert!(world.is_live(&world.login("alice", "browser").token), "the account still works");
}

#[test]
fn the_first_revocation_is_the_one_that_is_told() {
    let world = World::new();
    let (token, _) = world.active("alice", "browser");
    let alice = subject("alice");
    for (at, reason) in [(1, Reason::RoleChanged), (2, Reason::SubjectDisabled)] {
        world.clock.set(START + seconds(at));
        block_on(world.sessions.revoke_subject(&alice, reason, Actor::System)).unwrap();
    }
    world.clock.set(START + seconds(3));
    block_on(world.sessions.revoke_everyone(Reason::EveryoneRevoked, Actor::System)).unwrap();
    let End { reason, at, .. } = world.ended(&token);
    assert_eq!((reason, at), (Reason::RoleChanged, START + seconds(1)));
}

#[test]
fn everyone_means_everyone() {
    let world = World::new();
    let tokens =
        [world.active("alice", "browser").0, world.active("bob", "steady").0, world.create().token];
    block_on(world.sessions.revoke_everyone(Reason::EveryoneRevoked, Actor::System)).unwrap();
    assert!(tokens.iter().all(|token| world.ended(token).reason == Reason::EveryoneRevoked));
    assert!(world.is_live(&world.create().token));
}

#[test]
fn all_others_end_and_the_current_one_stays_for_good() {
    let world = World::new();
    let (current, session) = world.active("alice", "browser");
    let others = [world.active("alice", "browser").0, world.active("alice", "lone").0];
    let before = session.idle_deadline();
    let (reason, actor) = (Reason::EndedByOwner, Actor::Subject);
    let kept = block_on(world.sessions.revoke_others(&session, reason, actor)).unwrap();
    assert_eq!(kept, Answer::Live(()));
    assert!(others.iter().all(|token| world.ended(token).reason == Reason::EndedByOwner));
    assert_eq!(world.live(&current).idle_deadline(), before, "no deadline moves");
    let told = world.events().into_iter().find(|told| told.event.kind == EventKind::SubjectRevoked);
    assert_eq!(told.unwrap().event.detail["kept"], session.id().to_string());

    let (reason, actor) = by_root();
    block_on(world.sessions.revoke_subject(&subject("alice"), reason, actor)).unwrap();
    assert!(!world.is_live(&current), "it was kept once, not for ever");
}

#[test]
fn a_dead_session_ends_no_others() {
    let world = World::new();
    let (_, dead) = world.active("alice", "browser");
    let (other, _) = world.active("alice", "browser");
    let _ = block_on(world.sessions.sign_out(&dead)).unwrap();
    let (reason, actor) = (Reason::EndedByOwner, Actor::Subject);
    let answer = block_on(world.sessions.revoke_others(&dead, reason, actor)).unwrap();
    assert!(matches!(answer, Answer::Ended(end) if end.reason == Reason::SignedOut));
    assert!(world.is_live(&other));
}

#[test]
fn an_old_secret_and_a_session_that_is_nobodys_end_no_others() {
    let world = World::new();
    let (_, stale) = world.active("alice", "browser");
    let (other, _) = world.active("alice", "browser");
    let _ = block_on(world.sessions.rotate(&stale)).unwrap();
    let by = || (Reason::EndedByOwner, Actor::Subject);
    let (reason, actor) = by();
    let answer = block_on(world.sessions.revoke_others(&stale, reason, actor)).unwrap();
    assert_eq!(answer, Answer::Absent);
    let nobodys = [world.create(), world.create()];
    let (reason, actor) = by();
    let answer =
        block_on(world.sessions.revoke_others(&nobodys[0].session, reason, actor)).unwrap();
    assert_eq!(answer, Answer::Live(()));
    assert!(world.is_live(&other) && nobodys.iter().all(|issued| world.is_live(&issued.token)));
}

#[test]
fn keeping_one_brings_nothing_back_that_everyone_lost() {
    let world = World::new();
    let (token, session) = world.active("alice", "browser");
    block_on(world.sessions.revoke_everyone(Reason::EveryoneRevoked, Actor::System)).unwrap();
    let (reason, actor) = (Reason::EndedByOwner, Actor::Subject);
    let answer = block_on(world.sessions.revoke_others(&session, reason, actor)).unwrap();
    assert!(matches!(answer, Answer::Ended(end) if end.reason == Reason::EveryoneRevoked));
    assert!(!world.is_live(&token));
}

#[test]
fn only_the_holder_is_told_why() {
    let world = World::new();
    let (token, session) = world.active("alice", "browser");
    let why = |token: &_| block_on(world.sessions.why_ended(token)).unwrap();
    assert_eq!(why(&token), None, "it lives");
    let rotated = block_on(world.sessions.rotate(&session)).unwrap().live().unwrap();
    let _ = block_on(world.sessions.sign_out(&session)).unwrap();
    assert_eq!(why(&token), None, "the old secret is nobody's");
    assert_eq!(why(&rotated.token).unwrap().reason, Reason::SignedOut);
    assert!(matches!(world.resume(&token), Answer::Absent));
}

#[test]
fn a_handler_that_outlives_its_request_learns_of_the_end() {
    let world = World::new();
    let (_, session) = world.active("alice", "browser");
    let check = || block_on(world.sessions.check(&session)).unwrap();
    assert!(check().live().is_some());
    let _ = block_on(world.sessions.rotate(&session)).unwrap();
    let stale = check().live().expect("by its id, whatever its secret");
    let rotated = block_on(world.sessions.rotate(&stale)).unwrap();
    assert!(matches!(rotated, Answer::Absent), "looking again makes an old secret no better");
    let (reason, actor) = by_root();
    block_on(world.sessions.revoke_subject(&subject("alice"), reason, actor)).unwrap();
    assert!(matches!(check(), Answer::Ended(end) if end.reason == Reason::EndedByAdministrator));
}

#[test]
fn a_revocation_by_a_slow_clock_ends_nothing_before_it_began() {
    let world = World::new();
    let (token, _) = world.active("alice", "browser");
    world.clock.set(START - seconds(3));
    block_on(world.sessions.revoke_subject(&subject("alice"), Reason::RoleChanged, Actor::System))
        .unwrap();
    let end = world.ended(&token);
    assert_eq!((end.reason, end.at), (Reason::RoleChanged, START));
    assert!(end.observed_at >= end.at);
}

#[test]
fn a_session_is_kept_under_the_raised_epoch_of_its_subject_alone() {
    let world = World::new();
    let (_, session) = world.active("alice", "browser");
    let (reason, actor) = (Reason::EndedByOwner, Actor::Subject);
    let _ = block_on(world.sessions.revoke_others(&session, reason, actor)).unwrap();
    let stored = world.stored(session.id()).unwrap();
    assert_eq!(stored.record.epochs, Epochs { realm: 0, subject: 1 });
    let marks: Marks =
        block_on(world.memory.marks(&world.realm(), Some(&subject("alice")))).unwrap();
    assert_eq!((marks.realm.epoch, marks.subject.epoch), (0, 1));
    let again = world.try_login(&world.ticket("alice"), login("browser")).issued().unwrap();
    assert!(world.is_live(&again.token));
}

#[test]
fn nobody_ends_a_session_for_a_reason_that_only_time_brings() {
    let own = |code| Reason::Other(ReasonCode::new(code).unwrap());
    let false_reasons = [
        Reason::IdleTimeout,
        Reason::AbsoluteTimeout,
        own("idle_timeout"),
        own("absolute_timeout"),
        own("signed_out"),
    ];
    for reason in false_reasons {
        let world = World::new();
        let (token, session) = world.active("alice", "browser");
        let before = world.events().len();
        let (sessions, alice) = (&world.sessions, subject("alice"));
        let by = || (reason.clone(), Actor::System);
        let answers = [
            block_on(sessions.revoke(session.id(), by().0, by().1)).map(drop),
            block_on(sessions.revoke_subject(&alice, by().0, by().1)),
            block_on(sessions.revoke_everyone(by().0, by().1)),
            block_on(sessions.revoke_others(&session, by().0, by().1)).map(drop),
        ];
        for answer in answers {
            let Err(Error::NotARevocation(refused)) = answer else { panic!("{reason:?}") };
            assert_eq!(refused, reason);
        }
        assert!(world.is_live(&token) && world.events().len() == before);
    }
    assert!(Error::NotARevocation(Reason::IdleTimeout).to_string().contains("idle_timeout"));
}

#[test]
fn a_reason_of_the_applications_own_is_kept() {
    let world = World::new();
    let (token, session) = world.active("alice", "browser");
    let reason = Reason::from_code("x_fraud").unwrap();
    let _ = block_on(world.sessions.revoke(session.id(), reason.clone(), Actor::System)).unwrap();
    assert_eq!(world.ended(&token).reason, reason);
}

#[test]
fn an_owner_ends_his_own_sessions_and_nobody_elses() {
    let world = World::new();
    let (mine, session) = world.active("alice", "browser");
    let (phone, on_phone) = world.active("alice", "browser");
    let (bobs, of_bob) = world.active("bob", "browser");
    let nobodys = [world.create(), world.create()];
    let end = |session, id| block_on(world.sessions.end_own(session, id)).unwrap();

    for id in [of_bob.id(), nobodys[0].session.id(), SessionId::from_bytes([9; 16])] {
        assert_eq!(end(&session, id), Revoked::Absent);
    }
    assert_eq!(end(&nobodys[0].session, nobodys[1].session.id()), Revoked::Absent);
    assert!(world.is_live(&bobs) && nobodys.iter().all(|issued| world.is_live(&issued.token)));

    let Revoked::Now(told) = end(&session, on_phone.id()) else { panic!("it is his") };
    assert_eq!((&told.reason, &told.actor), (&Reason::EndedByOwner, &Actor::Subject));
    assert_eq!(world.ended(&phone), told);
    assert_eq!(end(&session, on_phone.id()), Revoked::Already(told));
    assert!(matches!(end(&nobodys[0].session, nobodys[0].session.id()), Revoked::Now(_)));
    assert!(matches!(end(&session, session.id()), Revoked::Now(_)));
    assert!(!world.is_live(&mine));
}

#[test]
fn who_has_lost_his_session_ends_no_other_of_his() {
    let world = World::new();
    let (_, rotated) = world.active("alice", "browser");
    let (_, idle) = world.active("alice", "browser");
    let _ = block_on(world.sessions.rotate(&rotated)).unwrap();
    world.clock.advance(minutes(30));
    let other = world.login("alice", "browser");
    for stale in [&rotated, &idle] {
        let answer = block_on(world.sessions.end_own(stale, other.session.id())).unwrap();
        assert_eq!(answer, Revoked::Absent);
    }
    assert!(world.is_live(&other.token));
}
