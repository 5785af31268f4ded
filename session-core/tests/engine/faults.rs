//! The store fails at its n-th call, for every n, before or after it has carried it out: what the engine
//! answers, and what stands afterwards.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use pollster::block_on;
use session_core::{
    Actor, Answer, Error, LoggedIn, LoginTicket, NewSession, Query, Reason, Session, SessionToken,
    Sessions, StoreError, StoreErrorKind,
};

use crate::support::hooked::{Call, Hook};
use crate::support::{World, login, minutes, put, seconds, subject, text};

/// How a store fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// It does not carry the call out, and says why.
    Refuses(StoreErrorKind),
    /// The call never reaches it, and nobody can tell.
    LosesCall,
    /// It carries the call out, and its answer is lost.
    LosesAnswer,
}

const FAULTS: [Fault; 9] = [
    Fault::Refuses(StoreErrorKind::Unavailable),
    Fault::Refuses(StoreErrorKind::Overloaded),
    Fault::Refuses(StoreErrorKind::StorageFull),
    Fault::Refuses(StoreErrorKind::Corrupt),
    Fault::Refuses(StoreErrorKind::Unsupported),
    Fault::Refuses(StoreErrorKind::Invalid),
    Fault::Refuses(StoreErrorKind::OutcomeUnknown),
    Fault::LosesCall,
    Fault::LosesAnswer,
];

/// Fails at one call, or from one call on.
#[derive(Debug)]
struct Failing {
    fault: Fault,
    from: usize,
    for_good: bool,
    calls: AtomicUsize,
    failed: AtomicUsize,
}

impl Failing {
    fn new(fault: Fault, from: usize, for_good: bool) -> Arc<Self> {
        let (calls, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { fault, from, for_good, calls, failed })
    }

    /// The error for this call, if it is to fail.
    fn fails(&self, kind: StoreErrorKind, call: usize) -> Result<(), StoreError> {
        if call == self.from || (self.for_good && call > self.from) {
            self.failed.fetch_add(1, Ordering::SeqCst);
            return Err(StoreError::new(kind, "a fault on purpose"));
        }
        Ok(())
    }

    fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst) > 0
    }
}

#[async_trait]
impl Hook for Failing {
    async fn before(&self, call: Call) -> Result<(), StoreError> {
        let at = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        match self.fault {
            // A read has no outcome that could be unknown.
            Fault::Refuses(StoreErrorKind::OutcomeUnknown) | Fault::LosesCall if call.writes() => {
                self.fails(StoreErrorKind::OutcomeUnknown, at)
            }
            Fault::Refuses(StoreErrorKind::OutcomeUnknown) | Fault::LosesCall => {
                self.fails(StoreErrorKind::Unavailable, at)
            }
            Fault::Refuses(kind) => self.fails(kind, at),
            Fault::LosesAnswer => Ok(()),
        }
    }

    async fn after(&self, call: Call) -> Result<(), StoreError> {
        match self.fault {
            Fault::LosesAnswer if call.writes() => {
                self.fails(StoreErrorKind::OutcomeUnknown, self.calls.load(Ordering::SeqCst))
            }
            _ => Ok(()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Create,
    BeginLogin,
    Login,
    LoginUnderLimit,
    Replace,
    Activate,
    Touch,
    ResumeExpired,
    Check,
    WhyEnded,
    Edit,
    Update,
    Rotate,
    Revoke,
    SignOut,
    RevokeSubject,
    RevokeOthers,
    RevokeEveryone,
    List,
    Sweep,
}

const OPS: [Op; 20] = [
    Op::Create,
    Op::BeginLogin,
    Op::Login,
    Op::LoginUnderLimit,
    Op::Replace,
    Op::Activate,
    Op::Touch,
    Op::ResumeExpired,
    Op::Check,
    Op::WhyEnded,
    Op::Edit,
    Op::Update,
    Op::Rotate,
    Op::Revoke,
    Op::SignOut,
    Op::RevokeSubject,
    Op::RevokeOthers,
    Op::RevokeEveryone,
    Op::List,
    Op::Sweep,
];

/// Alice's sessions: one under a limit of one, one never presented, one idle for too long, and one that a
/// revocation has ended before.
struct Scene {
    world: World,
    lone: (SessionToken, Session),
    fresh: SessionToken,
    expired: (SessionToken, Session),
    revoked: SessionToken,
    ticket: LoginTicket,
}

impl Scene {
    fn new() -> Self {
        let world = World::new();
        let (revoked, session) = world.active("alice", "steady");
        let _ = block_on(world.sessions.sign_out(&session)).unwrap();
        let expired = world.active("alice", "browser");
        world.clock.advance(minutes(29));
        let lone = world.active("alice", "lone");
        world.clock.advance(minutes(1) + seconds(5));
        let fresh = world.login("alice", "browser").token;
        let ticket = world.ticket("alice");
        Self { world, lone, fresh, expired, revoked, ticket }
    }

    /// Runs a call; answers whether somebody was let in, ended, or told something.
    async fn run(&self, engine: &Sessions, op: Op) -> Result<Told, Error> {
        let (token, session) = &self.lone;
        let by = || (Reason::EndedByAdministrator, Actor::Operator(subject("root")));
        let (reason, actor) = by();
        let answered = |answer: Answer<Session>| match answer {
            Answer::Live(_) => Told::Live,
            _ => Told::Dead,
        };
        Ok(match op {
            Op::Create => Told::Issued(engine.create(NewSession::default()).await?.token),
            Op::BeginLogin => {
                engine.begin_login(&subject("alice")).await?;
                Told::Nothing
            }
            Op::Login => issued(engine.login(&self.ticket, login("browser")).await?),
            Op::LoginUnderLimit => issued(engine.login(&self.ticket, login("lone")).await?),
            Op::Replace => {
                let replacing = login("browser").replacing(session.clone(), &["note"]);
                issued(engine.login(&self.ticket, replacing).await?)
            }
            Op::Activate => answered(engine.resume(&self.fresh).await?),
            Op::Touch => answered(engine.resume(token).await?),
            Op::ResumeExpired => answered(engine.resume(&self.expired.0).await?),
            Op::Check => answered(engine.check(session).await?),
            Op::WhyEnded => {
                assert!(engine.why_ended(&self.revoked).await?.is_some());
                Told::Dead
            }
            Op::Edit => answered(engine.edit(session, &put("note", "kept")).await?),
            Op::Update => {
                let edit = engine.update(session, |data| data.set("note", "kept").unwrap());
                answered(edit.await?.map(|(session, ())| session))
            }
            Op::Rotate => match engine.rotate(session).await? {
                Answer::Live(issued) => Told::Issued(issued.token),
                _ => Told::Dead,
            },
            Op::Revoke => {
                let _ = engine.revoke(session.id(), reason, actor).await?;
                Told::Revoked
            }
            Op::SignOut => {
                let _ = engine.sign_out(session).await?;
                Told::Revoked
            }
            Op::RevokeSubject => {
                engine.revoke_subject(&subject("alice"), reason, actor).await?;
                Told::Revoked
            }
            Op::RevokeOthers => {
                assert_eq!(engine.revoke_others(session, reason, actor).await?, Answer::Live(()));
                Told::Live
            }
            Op::RevokeEveryone => {
                engine.revoke_everyone(reason, actor).await?;
                Told::Revoked
            }
            Op::List => {
                engine.list(&Query::default(), None).await?;
                Told::Nothing
            }
            Op::Sweep => {
                engine.sweep(NonZeroUsize::new(10).unwrap()).await?;
                Told::Nothing
            }
        })
    }

    /// What must hold whatever has failed, once the store works again.
    fn check(&self, op: Op, told: Option<&Told>) {
        let world = &self.world;
        assert!(!world.is_live(&self.revoked), "a revoked session came back");
        assert!(!world.is_live(&self.expired.0), "an expired session came back");
        match (op, told) {
            (Op::Revoke | Op::SignOut | Op::RevokeSubject | Op::RevokeEveryone, Some(_)) => {
                assert!(!world.is_live(&self.lone.0), "it was told to be ended");
            }
            (Op::RevokeOthers, Some(_)) => {
                assert!(world.is_live(&self.lone.0) && !world.is_live(&self.fresh));
            }
            (Op::Edit | Op::Update, Some(_)) => {
                let note = text(&world.live(&self.lone.0), "note");
                assert_eq!(note.as_deref(), Some("kept"), "a lost edit");
            }
            (Op::Rotate, Some(Told::Issued(token))) => {
                assert!(world.is_live(token) && !world.is_live(&self.lone.0));
            }
            (Op::LoginUnderLimit, Some(Told::Issued(token))) => {
                assert!(world.is_live(token) && !world.is_live(&self.lone.0), "the limit is one");
            }
            (_, Some(Told::Issued(token))) => assert!(world.is_live(token)),
            _ => {}
        }
        let all = Query { subject: Some(subject("alice")), ..Query::default() };
        let live = block_on(world.sessions.list(&all, None)).unwrap().sessions;
        let lone = live.iter().filter(|info| info.class.as_str() == "lone").count();
        assert!(lone <= 1, "the limit is one");
        world.check_history();
    }
}

/// What a caller was told.
#[derive(Debug)]
enum Told {
    Live,
    Dead,
    Revoked,
    Issued(SessionToken),
    Nothing,
}

fn issued(outcome: LoggedIn) -> Told {
    match outcome {
        LoggedIn::Issued(issued, _) => Told::Issued(issued.token),
        other => panic!("it was refused: {other:?}"),
    }
}

/// Fails at every call in turn, until the call runs clean; answers how many there were.
fn every_call(op: Op, fault: Fault, for_good: bool, check: impl Fn(&Result<Told, Error>)) -> usize {
    for at in 1.. {
        let scene = Scene::new();
        let before = scene.world.events().len();
        let failing = Failing::new(fault, at, for_good);
        let engine = scene.world.patient(&failing, seconds(1));
        let told = block_on(scene.run(&engine, op));
        let mut after = scene.world.events().split_off(before);
        after.dedup_by_key(|stored| stored.change);
        assert!(op == Op::Sweep || after.len() <= 1, "{op:?} was applied twice: {after:?}");
        scene.check(op, told.as_ref().ok());
        if !failing.has_failed() {
            assert!(told.is_ok(), "{op:?} fails by itself: {told:?}");
            return at - 1;
        }
        check(&told);
    }
    0
}

fn kind(error: &Error) -> Option<StoreErrorKind> {
    match error {
        Error::Store(error) => Some(error.kind()),
        _ => None,
    }
}

#[test]
fn a_call_that_the_store_refuses_is_refused() {
    for op in OPS {
        for fault in FAULTS {
            let Fault::Refuses(refused) = fault else { continue };
            if refused == StoreErrorKind::OutcomeUnknown {
                continue;
            }
            for for_good in [false, true] {
                every_call(op, fault, for_good, |told| match told {
                    Err(error) => assert_eq!(kind(error), Some(refused)),
                    // A session that cannot be read does not keep its holder from signing in.
                    Ok(_)
                        if op == Op::Replace
                            && matches!(
                                refused,
                                StoreErrorKind::Corrupt | StoreErrorKind::Unsupported
                            ) => {}
                    Ok(_) => panic!("{op:?} went on as if nothing were wrong: {told:?}"),
                });
            }
        }
    }
}

#[test]
fn an_unknown_outcome_is_found_out_by_sending_again() {
    for op in OPS {
        for fault in [Fault::LosesCall, Fault::LosesAnswer] {
            let calls = every_call(op, fault, false, |told| {
                let read = matches!(
                    told,
                    Err(error) if kind(error) == Some(StoreErrorKind::Unavailable)
                );
                assert!(told.is_ok() || read || op == Op::Sweep, "{op:?} gave up: {told:?}");
            });
            assert!(calls > 0 || fault == Fault::LosesAnswer, "{op:?} asks nothing");
        }
    }
}

#[test]
fn an_outcome_that_stays_unknown_is_told_as_unknown() {
    for op in OPS {
        for fault in [Fault::LosesCall, Fault::LosesAnswer] {
            every_call(op, fault, true, |told| match told {
                Err(error) => {
                    let kind = kind(error);
                    let read = kind == Some(StoreErrorKind::Unavailable);
                    assert!(read || kind == Some(StoreErrorKind::OutcomeUnknown), "{kind:?}");
                }
                Ok(_) => panic!("{op:?} cannot know: {told:?}"),
            });
        }
    }
}

#[test]
fn two_failures_in_a_row_are_no_more_than_one() {
    for op in OPS {
        for first in 1..=4 {
            let scene = Scene::new();
            let failing = Failing::new(Fault::LosesAnswer, first, true);
            let engine = scene.world.patient(&failing, seconds(1));
            let broken = block_on(scene.run(&engine, op));
            let again = block_on(scene.run(&scene.world.sessions, op));
            assert!(again.is_ok(), "{op:?} cannot be done again: {again:?}");
            if broken.is_ok() {
                scene.check(op, None);
            }
        }
    }
}

#[test]
fn sending_again_takes_no_longer_than_patience() {
    let scene = Scene::new();
    let failing = Failing::new(Fault::LosesCall, 2, true);
    let engine = scene.world.patient(&failing, seconds(0));
    let told = block_on(scene.run(&engine, Op::Touch));
    assert!(matches!(told, Err(error) if kind(&error) == Some(StoreErrorKind::OutcomeUnknown)));
    assert!(failing.calls.load(Ordering::SeqCst) < 10);
}
