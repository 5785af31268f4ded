//! Secrets that come of age: one successor, however many ask, and nobody signed out for it.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use async_trait::async_trait;
use pollster::block_on;
use session_core::{
    Answer, Class, Error, EventKind, Policy, Reason, Session, SessionToken, StoreError,
    StoreErrorKind, Visit,
};

use crate::support::hooked::{Call, Hook};
use crate::support::{MILLI, START, World, minutes, put, seconds, text};

/// A secret is due after an hour, and good for 30 seconds (and 5 for the clocks) after its successor came.
fn world() -> World {
    let browser = Class::new(minutes(12 * 60)).idle(minutes(90)).rotation_interval(minutes(60));
    World::with(Policy::builder().class("browser", browser).build().unwrap())
}

/// A session whose secret is due, and its token.
fn due() -> (World, SessionToken, Session) {
    let world = world();
    let (token, session) = world.active("alice", "browser");
    assert!(session.successor().is_none());
    world.clock.set(START + minutes(60));
    (world, token, session)
}

/// The same with the successor that was minted at once.
fn minted() -> (World, SessionToken, SessionToken) {
    let (world, token, _) = due();
    let successor = successor(&world, &token).unwrap();
    (world, token, successor)
}

fn successor(world: &World, token: &SessionToken) -> Option<SessionToken> {
    world.live(token).successor().cloned()
}

fn same(one: &SessionToken, other: &SessionToken) -> bool {
    *one.expose() == *other.expose()
}

#[test]
fn a_secret_is_due_at_the_millisecond_and_never_before_its_first_use() {
    let world = world();
    let (token, _) = world.active("alice", "browser");
    world.clock.set(START + minutes(60) - MILLI);
    assert!(successor(&world, &token).is_none());
    world.clock.advance(MILLI);
    assert!(!same(&successor(&world, &token).unwrap(), &token));
    let machine = World::new();
    let (token, _) = machine.active("robot", "steady");
    machine.clock.set(START + minutes(700));
    assert!(successor(&machine, &token).is_none(), "a class that rotates nothing");
}

#[test]
fn the_successor_takes_over_when_it_is_presented() {
    let (world, token, next) = minted();
    let before = world.stored(token.id()).unwrap().record;
    assert!(world.is_live(&token), "until then the old one is good");
    let session = world.live(&next);
    assert!(session.successor().is_none());
    let after = world.stored(token.id()).unwrap().record;
    assert_eq!(after.secret, next.hash(&world.realm()));
    let previous = after.rotation.previous.clone().unwrap();
    assert_eq!((previous.secret, previous.retired_at), (before.secret, START + minutes(60)));
    assert!(after.rotation.pending.is_none(), "and the salt is gone");
    let same_life = (after.created_at, after.limits, after.absolute_from(), after.authentications);
    let was = (before.created_at, before.limits, before.absolute_from(), before.authentications);
    assert_eq!(same_life, was);
    let kinds = world.kinds(token.id());
    assert_eq!(kinds.iter().filter(|kind| **kind == EventKind::Rotated).count(), 1);
    world.clock.set(START + minutes(120) - MILLI);
    assert!(successor(&world, &next).is_none(), "and its own hour begins");
    world.clock.advance(MILLI);
    assert!(successor(&world, &next).is_some());
}

#[test]
fn while_the_successor_is_on_its_way_the_old_secret_brings_no_second_one() {
    let (world, token, next) = minted();
    world.clock.advance(seconds(10) - MILLI);
    assert!(successor(&world, &token).is_none());
    world.clock.advance(MILLI);
    let again = successor(&world, &token).unwrap();
    assert!(same(&again, &next), "a lost one is sent again, the same");
    assert!(successor(&world, &next).is_none());
}

#[test]
fn a_response_that_is_lost_for_hours_signs_nobody_out() {
    let (world, token, next) = minted();
    for _ in 0..6 {
        world.clock.advance(minutes(60));
        assert!(same(&successor(&world, &token).unwrap(), &next));
    }
}

#[test]
fn the_old_secret_is_good_for_a_grace_after_its_successor_came() {
    let (world, token, next) = minted();
    assert!(world.is_live(&next));
    world.clock.advance(seconds(35) - MILLI);
    let session = world.live(&token);
    assert!(session.successor().is_none(), "who follows the chain has the new one already");
    assert!(block_on(world.sessions.edit(&session, &put("k", "v"))).unwrap().live().is_some());
    assert_eq!(text(&world.live(&next), "k").as_deref(), Some("v"));
}

#[test]
fn an_old_secret_after_the_grace_ends_the_session_for_both() {
    let (world, token, next) = minted();
    assert!(world.is_live(&next));
    world.clock.advance(seconds(35));
    let end = world.ended(&token);
    assert_eq!((end.reason, end.at), (Reason::ReuseDetected, START + minutes(60) + seconds(35)));
    assert_eq!(world.ended(&next).reason, Reason::ReuseDetected);
    let kinds = world.kinds(token.id());
    assert!(kinds.ends_with(&[EventKind::ReuseDetected, EventKind::Ended]), "{kinds:?}");
}

#[test]
fn older_secrets_are_nobody_s() {
    let (world, oldest, old) = minted();
    assert!(world.is_live(&old));
    world.clock.advance(minutes(60));
    let current = successor(&world, &old).unwrap();
    assert!(world.is_live(&current));
    assert!(matches!(world.resume(&oldest), Answer::Absent));
    assert!(world.is_live(&current), "and end nothing");
}

#[test]
fn a_wrong_secret_for_a_right_id_is_nobody_s_and_ends_nothing() {
    let (world, token, next) = minted();
    let salt = session_core::Salt::from_bytes([7; 32]);
    let forged = token.successor(&world.realm(), &salt);
    assert!(matches!(world.resume(&forged), Answer::Absent));
    assert!(world.is_live(&token) && world.is_live(&next));
}

#[test]
fn a_request_that_can_carry_no_token_is_sent_none() {
    let (world, token, _) = due();
    let keeping = Visit::default().keeping_token();
    let session = block_on(world.sessions.resume_as(&token, keeping)).unwrap().live().unwrap();
    assert!(session.successor().is_none());
    assert!(world.stored(token.id()).unwrap().record.rotation.pending.is_none());
    let next = successor(&world, &token).unwrap();
    world.clock.advance(minutes(1));
    let session = block_on(world.sessions.resume_as(&token, keeping)).unwrap().live().unwrap();
    assert!(session.successor().is_none(), "nor is a lost one sent again");
    let session = block_on(world.sessions.resume_as(&next, keeping)).unwrap().live().unwrap();
    assert_eq!(session.record().secret, next.hash(&world.realm()), "what it brings counts");
}

#[test]
fn a_handle_keeps_its_authority_over_timed_rotations_and_loses_it_by_a_hard_one() {
    let (world, token, session) = due();
    let next = successor(&world, &token).unwrap();
    assert!(world.is_live(&next));
    assert!(block_on(world.sessions.edit(&session, &put("k", "v"))).unwrap().live().is_some());
    let held = world.live(&next);
    let issued = block_on(world.sessions.rotate(&held)).unwrap().live().unwrap();
    for stale in [&session, &held] {
        let answer = block_on(world.sessions.edit(stale, &put("k", "w"))).unwrap();
        assert_eq!(answer.map(|_| ()), Answer::Absent);
        let answer = block_on(world.sessions.check(stale)).unwrap().live().unwrap();
        let answer = block_on(world.sessions.rotate(&answer)).unwrap();
        assert_eq!(answer.map(|_| ()), Answer::Absent, "nor does a look give it back");
    }
    for token in [&token, &next] {
        assert!(matches!(world.resume(token), Answer::Absent), "all before it are forgotten");
    }
    assert!(world.is_live(&issued.token));
}

#[test]
fn an_edit_in_between_does_not_lose_the_new_token() {
    let (world, token, _) = due();
    let session = world.live(&token);
    let due = session.successor().unwrap().expose();
    for edits in [put("k", "v"), put("k", "v")] {
        let edited = block_on(world.sessions.edit(&session, &edits)).unwrap().live().unwrap();
        assert_eq!(edited.successor().map(session_core::SessionToken::expose), Some(due.clone()));
    }
}

#[test]
fn a_hard_rotation_forgets_a_successor_on_its_way() {
    let (world, token, next) = minted();
    let held = world.live(&token);
    let issued = block_on(world.sessions.rotate(&held)).unwrap().live().unwrap();
    assert!(matches!(world.resume(&next), Answer::Absent));
    assert!(world.is_live(&issued.token));
    assert!(successor(&world, &issued.token).is_none());
}

#[test]
fn why_it_ended_is_told_to_the_holder_of_any_secret_that_was_good() {
    let (world, token, next) = minted();
    let session = world.live(&next);
    let _ = block_on(world.sessions.sign_out(&session)).unwrap();
    for token in [&token, &next] {
        let end = block_on(world.sessions.why_ended(token)).unwrap().unwrap();
        assert_eq!(end.reason, Reason::SignedOut);
    }
}

#[test]
fn nothing_is_minted_for_the_dead_and_reuse_does_not_hide_an_expiry() {
    let (world, token, _) = due();
    world.clock.set(START + minutes(90));
    assert_eq!(world.ended(&token).reason, Reason::IdleTimeout);
    let (world, token, next) = minted();
    assert!(world.is_live(&next));
    world.clock.advance(minutes(90));
    assert_eq!(world.ended(&token).reason, Reason::IdleTimeout);
}

/// Lets go before each call of the store.
#[derive(Debug)]
struct Gate;

#[async_trait]
impl Hook for Gate {
    async fn before(&self, _: Call) -> Result<(), StoreError> {
        let mut came_back = false;
        std::future::poll_fn(|_| match std::mem::replace(&mut came_back, true) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        })
        .await;
        Ok(())
    }

    async fn after(&self, _: Call) -> Result<(), StoreError> {
        Ok(())
    }
}

type Running<'a> = Pin<Box<dyn Future<Output = Result<Answer<Session>, Error>> + 'a>>;

/// Sixteen requests at the due instant, their store calls in a hundred orders each: one successor, and all live.
#[test]
fn parallel_requests_at_the_due_instant_mint_one_successor_and_all_succeed() {
    const REQUESTS: usize = 16;
    for seed in 0..100_u64 {
        let (world, token, _) = due();
        let gated = world.hooked(&Arc::new(Gate));
        let mut running: Vec<Option<Running<'_>>> =
            (0..REQUESTS).map(|_| Some(Box::pin(gated.resume(&token)) as Running<'_>)).collect();
        let (mut live, mut brought) = (0, BTreeSet::new());
        let mut pick = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        while running.iter().any(Option::is_some) {
            pick = pick.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let slot = &mut running[(pick >> 33) as usize % REQUESTS];
            let Some(future) = slot else { continue };
            if let std::task::Poll::Ready(answer) =
                future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
            {
                *slot = None;
                let session = answer.unwrap().live().expect("every one of them lives");
                live += 1;
                brought.extend(session.successor().map(|next| next.expose().to_string()));
            }
        }
        assert_eq!((live, brought.len()), (REQUESTS, 1), "seed {seed}");
        let next: SessionToken = brought.first().unwrap().parse().unwrap();
        assert!(world.is_live(&next) && world.is_live(&token));
    }
}

/// Loses the answer of every commit once.
#[derive(Debug, Default)]
struct LosesAnswers(std::sync::atomic::AtomicUsize);

#[async_trait]
impl Hook for LosesAnswers {
    async fn before(&self, _: Call) -> Result<(), StoreError> {
        Ok(())
    }

    async fn after(&self, call: Call) -> Result<(), StoreError> {
        let lost = call == Call::Commit
            && self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst).is_multiple_of(2);
        if lost {
            return Err(StoreError::new(StoreErrorKind::OutcomeUnknown, "the answer was lost"));
        }
        Ok(())
    }
}

#[test]
fn an_unknown_outcome_of_each_step_is_sent_again_and_mints_once() {
    let (world, token, _) = due();
    let losing = world.hooked(&Arc::new(LosesAnswers::default()));
    let session = block_on(losing.resume(&token)).unwrap().live().unwrap();
    let next = session.successor().unwrap().clone();
    let session = block_on(losing.resume(&next)).unwrap().live().unwrap();
    assert!(session.successor().is_none());
    let stored = world.stored(token.id()).unwrap();
    assert_eq!(stored.record.secret, next.hash(&world.realm()));
    world.check_history();
}
