//! Every order in which the store calls of two or three engine calls can fall, one run for each; and each
//! call left at each of its store calls.

use std::fmt;
use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use pollster::block_on;
use session_core::lifecycle::state;
use session_core::store::Stored;
use session_core::{
    Actor, Answer, End, LoggedIn, LoginTicket, MemoryStore, Realm, Reason, Revoked, Session,
    SessionId, SessionStore, SessionToken, Sessions, State, StoreError, Subject,
};

use crate::support::hooked::{Call, Hook};
use crate::support::{World, login, minutes, put, seconds, subject, text};

/// Lets go before and after each call of the store.
#[derive(Debug)]
struct Gate;

#[async_trait]
impl Hook for Gate {
    async fn before(&self, _: Call) -> Result<(), StoreError> {
        let_go().await;
        Ok(())
    }

    async fn after(&self, _: Call) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Lets go after each call too: its answer is lost if nobody comes back.
#[derive(Debug)]
struct TwoGates;

#[async_trait]
impl Hook for TwoGates {
    async fn before(&self, _: Call) -> Result<(), StoreError> {
        let_go().await;
        Ok(())
    }

    async fn after(&self, _: Call) -> Result<(), StoreError> {
        let_go().await;
        Ok(())
    }
}

async fn let_go() {
    let mut came_back = false;
    poll_fn(|_| match std::mem::replace(&mut came_back, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

/// One call of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Resume,
    Edit,
    Count,
    Rotate,
    Revoke,
    RevokeSubject,
    RevokeOthers,
    RevokeEveryone,
    Login,
    Replace,
    Sweep,
}

const OPS: [Op; 11] = [
    Op::Resume,
    Op::Edit,
    Op::Count,
    Op::Rotate,
    Op::Revoke,
    Op::RevokeSubject,
    Op::RevokeOthers,
    Op::RevokeEveryone,
    Op::Login,
    Op::Replace,
    Op::Sweep,
];

/// What it answered.
#[derive(Debug)]
enum Done {
    Resumed,
    Edited(Answer<Session>),
    Counted(Answer<u32>),
    Rotated(Answer<SessionToken>),
    Revoked(Revoked),
    AllRevoked,
    OthersRevoked(Answer<()>),
    LoggedIn(LoggedIn),
    Swept,
}

/// Where a run begins.
#[derive(Clone, Copy, Debug)]
enum From {
    /// The session was never presented.
    Created,
    /// It is active, a touch is due, and so is its place in the index of the sweep.
    TouchDue,
    /// Its idle timeout is over, and nobody has noticed.
    Expired,
    /// It was ended before: there is room, and nothing that two logins would both have to end.
    Ended,
}

/// Alice's session in a class that allows one, and another of hers in a class that allows many.
struct Scene {
    world: World,
    gated: Sessions,
    token: SessionToken,
    session: Session,
    other: SessionToken,
    ticket: LoginTicket,
}

impl Scene {
    fn new(from: From, hook: impl Hook) -> Self {
        let world = World::new();
        let (other, _) = world.active("alice", "steady");
        let issued = world.login("alice", "lone");
        match from {
            From::Created => {}
            From::TouchDue => {
                world.live(&issued.token);
                world.clock.advance(minutes(20));
                world.live(&issued.token);
                world.clock.advance(minutes(20));
            }
            From::Ended => {
                let _ = block_on(world.sessions.sign_out(&issued.session)).unwrap();
            }
            From::Expired => {
                world.live(&issued.token);
                world.clock.advance(minutes(30) + seconds(6));
            }
        }
        let ticket = world.ticket("alice");
        let gated = world.hooked(&Arc::new(hook));
        Self { world, gated, token: issued.token, session: issued.session, other, ticket }
    }

    async fn run(&self, op: Op) -> Done {
        let (engine, session) = (&self.gated, &self.session);
        let by_operator = || (Reason::EndedByAdministrator, Actor::Operator(subject("root")));
        let (reason, actor) = by_operator();
        match op {
            Op::Resume => {
                let _ = engine.resume(&self.token).await.unwrap();
                Done::Resumed
            }
            Op::Edit => Done::Edited(engine.edit(session, &put("note", "kept")).await.unwrap()),
            Op::Count => {
                let counted = engine.update(session, |data| {
                    let next = data.get::<u32>("count").unwrap().unwrap_or(0) + 1;
                    data.set("count", next).unwrap();
                    next
                });
                Done::Counted(counted.await.unwrap().map(|(_, count)| count))
            }
            Op::Rotate => {
                Done::Rotated(engine.rotate(session).await.unwrap().map(|issued| issued.token))
            }
            Op::Revoke => Done::Revoked(engine.revoke(session.id(), reason, actor).await.unwrap()),
            Op::RevokeSubject => {
                engine.revoke_subject(&subject("alice"), reason, actor).await.unwrap();
                Done::AllRevoked
            }
            Op::RevokeEveryone => {
                engine.revoke_everyone(reason, actor).await.unwrap();
                Done::AllRevoked
            }
            Op::RevokeOthers => {
                Done::OthersRevoked(engine.revoke_others(session, reason, actor).await.unwrap())
            }
            Op::Login => Done::LoggedIn(engine.login(&self.ticket, login("lone")).await.unwrap()),
            Op::Replace => {
                let replacing = login("lone").replacing(session.clone(), &["note"]);
                Done::LoggedIn(engine.login(&self.ticket, replacing).await.unwrap())
            }
            Op::Sweep => {
                engine.sweep(NonZeroUsize::new(10).unwrap()).await.unwrap();
                Done::Swept
            }
        }
    }

    fn token_of(&self, session: SessionId) -> Option<Stored> {
        self.world.stored(session)
    }

    /// What must hold after any calls in any order.
    fn check(&self, done: &[Done]) {
        let world = &self.world;
        let mut mine = vec![self.token.clone()];
        let mut issued = Vec::new();
        let (mut all, mut others, mut one) = (false, false, false);
        let mut counts = Vec::new();
        let mut edited = false;
        for done in done {
            match done {
                Done::Rotated(Answer::Live(token)) => mine.push(token.clone()),
                Done::LoggedIn(LoggedIn::Issued(new, _)) => issued.push(new.token.clone()),
                Done::LoggedIn(LoggedIn::LimitReached { .. }) => panic!("it evicts"),
                Done::Revoked(Revoked::Absent) => panic!("it is there"),
                Done::Revoked(_) => one = true,
                Done::AllRevoked => all = true,
                Done::OthersRevoked(Answer::Live(())) => others = true,
                Done::Counted(Answer::Live(count)) => counts.push(*count),
                Done::Edited(Answer::Live(_)) => edited = true,
                _ => {}
            }
        }
        let live =
            |tokens: &[SessionToken]| tokens.iter().filter(|token| world.is_live(token)).count();
        let rotated = mine.len() - 1;
        assert!(rotated <= 1, "two rotations of one secret: {done:?}");
        let (mine_live, other_live, new_live) =
            (live(&mine), live(std::slice::from_ref(&self.other)), live(&issued));
        assert!(mine_live + new_live <= 1, "the limit is one: {done:?}");
        if all {
            assert_eq!(mine_live + other_live + new_live, 0, "all were revoked: {done:?}");
        }
        if others {
            assert_eq!(other_live + new_live, 0, "all others were revoked: {done:?}");
        } else if !all {
            assert_eq!(other_live, 1, "nobody has revoked the other: {done:?}");
        }
        if one || !issued.is_empty() {
            assert_eq!(mine_live, 0, "it was ended: {done:?}");
        }
        if rotated == 1 {
            assert!(matches!(world.resume(&self.token), Answer::Absent), "the old secret opens");
        }
        counts.sort_unstable();
        assert!(counts.iter().copied().eq(1..=counts.len() as u32), "lost counts: {done:?}");
        if let Some(token) = mine.iter().find(|token| world.is_live(token)) {
            let session = world.live(token);
            assert_eq!(session.get::<u32>("count").unwrap().unwrap_or(0) as usize, counts.len());
            assert_eq!(text(&session, "note").is_some(), edited, "a lost edit: {done:?}");
        }
        world.check_history();
    }
}

/// What was seen of the session so far: it must not go back.
struct Seen {
    version: u64,
    last_seen: session_core::Timestamp,
    state: State,
    end: Option<End>,
}

impl Seen {
    fn of(scene: &Scene) -> Self {
        let stored = scene.token_of(scene.session.id()).unwrap();
        let policy = scene.world.sessions.policy();
        Self {
            version: stored.version,
            last_seen: stored.record.last_seen_at,
            state: state(&stored.record, &stored.marks, &policy, scene.world.sessions.now()),
            end: stored.record.end,
        }
    }

    fn goes_on(&mut self, scene: &Scene) {
        let now = Self::of(scene);
        assert!(now.version >= self.version, "its version went back");
        assert!(now.last_seen >= self.last_seen, "its last activity went back");
        assert!(self.state.is_live() || now.state == self.state, "it came back to life");
        assert!(self.end.is_none() || now.end == self.end, "its end was rewritten");
        *self = now;
    }
}

type Running<'a> = Pin<Box<dyn Future<Output = Done> + 'a>>;

/// Runs the calls in one order: `order` says who goes on at each step, and grows by the choices that it does
/// not name yet. Answers how many could have gone on at each step.
fn run_in(scene: &Scene, ops: &[Op], order: &mut Vec<usize>) -> Vec<usize> {
    let mut running: Vec<Option<Running<'_>>> =
        ops.iter().map(|&op| Some(Box::pin(scene.run(op)) as Running<'_>)).collect();
    let mut context = Context::from_waker(Waker::noop());
    // Up to its first call of the store a call does nothing that another could see.
    for future in running.iter_mut().flatten() {
        assert!(future.as_mut().poll(&mut context).is_pending(), "it asks the store");
    }
    let mut done = Vec::new();
    let mut widths = Vec::new();
    let mut seen = Seen::of(scene);
    loop {
        let able: Vec<usize> = (0..running.len()).filter(|&at| running[at].is_some()).collect();
        if able.is_empty() {
            break;
        }
        let step = widths.len();
        assert!(step < 1_000, "they never come to an end");
        if order.len() == step {
            order.push(0);
        }
        widths.push(able.len());
        let at = able[order[step]];
        let polled = running[at].as_mut().map(|future| future.as_mut().poll(&mut context));
        if let Some(Poll::Ready(answer)) = polled {
            done.push(answer);
            running[at] = None;
        }
        seen.goes_on(scene);
    }
    scene.check(&done);
    widths
}

/// All orders, one after the other. Answers how many there are.
fn all_orders(from: From, ops: &[Op]) -> usize {
    let mut order = Vec::new();
    for run in 1.. {
        let _told = Told(format!("{ops:?} from {from:?} in the order {order:?}"));
        let scene = Scene::new(from, Gate);
        let widths = run_in(&scene, ops, &mut order);
        // The next order differs at the last step that has another choice.
        let Some(step) = (0..widths.len()).rfind(|&step| order[step] + 1 < widths[step]) else {
            return run;
        };
        order.truncate(step + 1);
        order[step] += 1;
    }
    0
}

/// Says which run it was when a check fails.
struct Told(String);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}

impl fmt::Debug for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scene").field("session", &self.session).finish_non_exhaustive()
    }
}

fn all_pairs(from: From) {
    for (at, &one) in OPS.iter().enumerate() {
        for &other in &OPS[at..] {
            assert!(all_orders(from, &[one, other]) > 1);
        }
    }
}

#[test]
fn all_pairs_on_a_session_never_presented() {
    all_pairs(From::Created);
}

#[test]
fn all_pairs_on_an_active_session() {
    all_pairs(From::TouchDue);
}

#[test]
fn all_pairs_on_a_session_that_time_has_ended() {
    all_pairs(From::Expired);
}

#[test]
fn all_pairs_on_a_session_that_was_ended() {
    all_pairs(From::Ended);
}

#[test]
fn three_at_once() {
    let triples = [
        [Op::RevokeOthers, Op::RevokeSubject, Op::Resume],
        [Op::RevokeOthers, Op::RevokeSubject, Op::Rotate],
        [Op::RevokeOthers, Op::RevokeEveryone, Op::Edit],
        [Op::RevokeOthers, Op::RevokeOthers, Op::Revoke],
        [Op::Login, Op::Login, Op::Rotate],
        [Op::Replace, Op::Edit, Op::Rotate],
        [Op::Revoke, Op::Rotate, Op::Count],
        [Op::Resume, Op::Resume, Op::Sweep],
        [Op::Count, Op::Count, Op::Edit],
    ];
    for ops in triples {
        assert!(all_orders(From::TouchDue, &ops) > 1);
    }
    assert!(all_orders(From::Expired, &[Op::Resume, Op::Resume, Op::Sweep]) > 1);
}

#[test]
fn two_logins_and_a_revocation_leave_nobody_in() {
    assert!(all_orders(From::TouchDue, &[Op::Login, Op::Login, Op::RevokeSubject]) > 100);
}

/// Leaves a call after `steps` polls; `true` if it was done before.
fn leave(scene: &Scene, op: Op, steps: usize) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    let mut future: Running<'_> = Box::pin(scene.run(op));
    (0..steps).any(|_| future.as_mut().poll(&mut context).is_ready())
}

/// What of the session may be old or new, never between.
fn shape(scene: &Scene) -> (u64, bool, Option<End>, Option<String>, usize) {
    let Stored { record, version, data, marks } = scene.token_of(scene.session.id()).unwrap();
    let same_secret = record.secret == scene.token.hash(&scene.world.realm());
    let data = data.map(|data| data.as_str().to_owned());
    let epoch = marks.subject.epoch + marks.realm.epoch;
    (version, same_secret, record.end, data, epoch as usize)
}

#[test]
fn a_call_that_is_left_half_way_leaves_old_or_new_and_the_next_one_works() {
    for from in [From::Created, From::TouchDue, From::Expired, From::Ended] {
        for op in OPS {
            let before = shape(&Scene::new(from, TwoGates));
            let whole = Scene::new(from, TwoGates);
            assert!(leave(&whole, op, 1_000), "{op:?} never comes to an end");
            let after = shape(&whole);
            for steps in 0.. {
                let _told = Told(format!("{op:?} from {from:?} left after {steps} polls"));
                let scene = Scene::new(from, TwoGates);
                if leave(&scene, op, steps) {
                    break;
                }
                let now = shape(&scene);
                assert!(
                    now == before || now == after,
                    "{now:?} is neither {before:?} nor {after:?}"
                );
                let (alice, reason) = (subject("alice"), Reason::SubjectDisabled);
                let all = scene.world.sessions.revoke_subject(&alice, reason, Actor::System);
                block_on(all).unwrap();
                assert!(!scene.world.is_live(&scene.token) && !scene.world.is_live(&scene.other));
                let again = scene.world.login("alice", "lone");
                assert!(scene.world.is_live(&again.token));
                scene.world.check_history();
            }
        }
    }
}

/// The store that the scenes stand on answers for subjects apart: nothing above may depend on another's.
#[test]
fn a_stranger_is_not_harmed_by_any_of_it() {
    let realm = Realm::default();
    for op in OPS {
        if op == Op::RevokeEveryone {
            continue;
        }
        let scene = Scene::new(From::TouchDue, Gate);
        let (token, session) = scene.world.active("bob", "lone");
        let memory: &MemoryStore = &scene.world.memory;
        let before = block_on(memory.load(&realm, session.id())).unwrap();
        assert!(leave(&scene, op, 1_000), "{op:?} never comes to an end");
        let bob: Subject = subject("bob");
        assert_eq!(block_on(memory.load(&realm, session.id())).unwrap(), before, "{op:?}");
        assert_eq!(scene.world.live(&token).subject(), Some(&bob));
    }
}
