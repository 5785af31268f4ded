//! The sweep: it writes down what has ended, keeps what lives, and removes what is old.

use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;
use pollster::block_on;
use session_core::store::EventQuery;
use session_core::{
    Actor, Answer, Change, Error, EventKind, Reason, SessionId, Sessions, StoreError,
    StoreErrorKind, Swept,
};

use crate::support::hooked::{Call, Hook};
use crate::support::{MILLI, START, World, classes, minutes, seconds, subject};

fn sweep(engine: &Sessions, limit: usize) -> Swept {
    block_on(engine.sweep(NonZeroUsize::new(limit).unwrap())).unwrap()
}

#[test]
fn what_is_due_is_ended_after_the_skew_and_not_before() {
    let world = World::new();
    let (token, session) = world.active("alice", "browser");
    world.clock.set(START + minutes(30) + seconds(5) - MILLI);
    assert_eq!(sweep(&world.sessions, 10).ended, 0, "another node's clock may be slower");
    world.clock.advance(MILLI);
    assert_eq!(sweep(&world.sessions, 10).ended, 1);
    let end = world.stored(session.id()).unwrap().record.end.unwrap();
    assert_eq!((&end.reason, end.at), (&Reason::IdleTimeout, START + minutes(30)));
    assert_eq!(end.observed_at, START + minutes(30) + seconds(5));
    assert_eq!(world.kinds(session.id()).last(), Some(&EventKind::Ended));
    assert_eq!(sweep(&world.sessions, 10).ended, 0, "once");
    assert_eq!(world.ended(&token), end);
    world.check_history();
}

#[test]
fn what_use_has_kept_alive_is_looked_at_later() {
    let world = World::new();
    let (token, session) = world.active("alice", "browser");
    world.clock.advance(minutes(20));
    world.live(&token);
    let version = world.stored(session.id()).unwrap().version;
    world.clock.advance(minutes(15));
    let swept = sweep(&world.sessions, 10);
    assert_eq!((swept.ended, swept.kept, swept.more), (0, 1, false));
    let stored = world.stored(session.id()).unwrap();
    assert_eq!((stored.record.due_at, stored.version), (START + minutes(50), version));
    assert_eq!(sweep(&world.sessions, 10).kept, 0, "it is not due any more");
    assert!(world.is_live(&token));
}

#[test]
fn what_a_mark_has_ended_is_ended_at_once() {
    let world = World::new();
    let ids: Vec<_> = (0..7).map(|_| world.login("alice", "browser").session.id()).collect();
    let (bob, _) = world.active("bob", "browser");
    let by = (Reason::SubjectDisabled, Actor::Operator(subject("root")));
    block_on(world.sessions.revoke_subject(&subject("alice"), by.0, by.1.clone())).unwrap();
    let swept = sweep(&world.sessions, 100);
    assert_eq!((swept.ended, swept.more), (7, false));
    for id in ids {
        let end = world.stored(id).unwrap().record.end.unwrap();
        assert_eq!((end.reason, end.actor), (Reason::SubjectDisabled, by.1.clone()));
    }
    assert!(world.is_live(&bob));
    assert_eq!(sweep(&world.sessions, 100).ended, 0);
}

#[test]
fn a_limit_is_kept_and_says_that_there_is_more() {
    let world = World::new();
    for _ in 0..5 {
        world.create();
    }
    world.clock.advance(minutes(10));
    let (first, second) = (sweep(&world.sessions, 3), sweep(&world.sessions, 3));
    assert_eq!((first.ended, first.more), (3, true));
    assert_eq!((second.ended, second.more), (2, false));

    for _ in 0..5 {
        world.create();
    }
    block_on(world.sessions.revoke_everyone(Reason::EveryoneRevoked, Actor::System)).unwrap();
    let (first, second) = (sweep(&world.sessions, 3), sweep(&world.sessions, 3));
    assert_eq!((first.ended, first.more), (3, true));
    assert_eq!((second.ended, second.more), (2, false));
}

#[test]
fn sweeping_until_there_is_no_more_settles_every_mark() {
    let world = World::new();
    for name in ["alice", "bob", "carol", "dave", "erin"] {
        world.login(name, "browser");
        let by = (Reason::SubjectDisabled, Actor::System);
        block_on(world.sessions.revoke_subject(&subject(name), by.0, by.1)).unwrap();
    }
    let mut sweeps = 0;
    while sweep(&world.sessions, 2).more {
        sweeps += 1;
        assert!(sweeps < 10, "it never comes to an end");
    }
    let limit = NonZeroUsize::new(10).unwrap();
    let realm = world.realm();
    let below = session_core::SessionStore::below_epoch(&*world.memory, &realm, None, limit);
    let below = block_on(below).unwrap();
    assert!(below.scan.rows.is_empty() && below.unsettled.is_empty());
}

#[test]
fn tombstones_and_events_go_when_they_have_been_kept_long_enough() {
    let policy = classes().tombstone_retention(minutes(60)).event_retention(minutes(10));
    let world = World::with(policy.build().unwrap());
    let (token, session) = world.active("alice", "browser");
    let _ = block_on(world.sessions.sign_out(&session)).unwrap();
    world.clock.advance(minutes(10));
    let swept = sweep(&world.sessions, 10);
    assert_eq!((swept.purged, swept.purged_events), (0, 4));
    world.clock.set(START + minutes(720 + 60) - MILLI);
    assert_eq!(sweep(&world.sessions, 10).purged, 0, "until after its absolute deadline");
    assert!(block_on(world.sessions.why_ended(&token)).unwrap().is_some());
    world.clock.advance(MILLI);
    assert_eq!(sweep(&world.sessions, 10).purged, 1);
    assert!(matches!(world.resume(&token), Answer::Absent));
    assert!(block_on(world.sessions.history(&EventQuery::default(), None)).is_ok());
}

#[test]
fn an_end_noticed_late_is_kept_from_then_on() {
    let policy = classes().tombstone_retention(minutes(60));
    let world = World::with(policy.build().unwrap());
    let (token, session) = world.active("alice", "browser");
    world.clock.set(START + minutes(5_000));
    world.ended(&token);
    world.clock.set(START + minutes(5_060) - MILLI);
    assert_eq!(sweep(&world.sessions, 10).purged, 0);
    world.clock.advance(MILLI);
    assert_eq!(sweep(&world.sessions, 10).purged, 1);
    assert!(world.stored(session.id()).is_none());
}

#[derive(Debug)]
struct Damaging(Vec<SessionId>);

#[async_trait]
impl Hook for Damaging {
    async fn before(&self, _: Call) -> Result<(), StoreError> {
        Ok(())
    }

    async fn after(&self, _: Call) -> Result<(), StoreError> {
        Ok(())
    }

    fn damages(&self, id: SessionId) -> bool {
        self.0.contains(&id)
    }
}

#[test]
fn damaged_rows_at_the_head_block_nothing_even_at_the_smallest_limit() {
    let world = World::new();
    let damaged: Vec<_> = (0..3).map(|_| world.create().session.id()).collect();
    world.clock.advance(seconds(1));
    let good: Vec<_> = (0..2).map(|_| world.create().session.id()).collect();
    let engine = world.hooked(&Arc::new(Damaging(damaged.clone())));
    world.clock.advance(minutes(10));
    for ended in [1, 1, 0] {
        let swept = sweep(&engine, 1);
        assert_eq!(swept.ended, ended);
        assert!(swept.damaged.iter().all(|bad| damaged.contains(&bad.id.unwrap())));
        assert_eq!(swept.damaged.len(), 3);
    }
    assert!(good.iter().all(|id| world.stored(*id).unwrap().record.end.is_some()));
}

#[test]
fn damaged_rows_below_an_epoch_block_nothing_and_are_not_settled_away() {
    let world = World::new();
    let damaged: Vec<_> = (0..3).map(|_| world.create().session.id()).collect();
    world.clock.advance(seconds(1));
    world.create();
    let engine = world.hooked(&Arc::new(Damaging(damaged)));
    block_on(world.sessions.revoke_everyone(Reason::EveryoneRevoked, Actor::System)).unwrap();
    let swept = sweep(&engine, 1);
    assert_eq!((swept.ended, swept.damaged.len()), (1, 3));
    let limit = NonZeroUsize::new(10).unwrap();
    let realm = world.realm();
    let below = session_core::SessionStore::below_epoch(&*world.memory, &realm, None, limit);
    assert_eq!(block_on(below).unwrap().unsettled.len(), 1, "they may be repaired");
}

#[test]
fn two_sweepers_end_each_session_once() {
    let world = World::new();
    for _ in 0..20 {
        world.create();
    }
    world.clock.advance(minutes(10));
    let ended: usize = (0..8).map(|_| sweep(&world.sessions, 5).ended).sum();
    assert_eq!(ended, 20);
    world.check_history();
}

/// Fails one kind of call, or refuses to end some sessions.
#[derive(Debug, Default)]
struct Refusing {
    call: Option<(Call, StoreErrorKind)>,
    ends: Vec<SessionId>,
}

#[async_trait]
impl Hook for Refusing {
    async fn before(&self, call: Call) -> Result<(), StoreError> {
        match self.call {
            Some((refused, kind)) if refused == call => Err(StoreError::new(kind, "on purpose")),
            _ => Ok(()),
        }
    }

    async fn after(&self, _: Call) -> Result<(), StoreError> {
        Ok(())
    }

    fn refuses(&self, change: &Change) -> Option<StoreError> {
        let mut replaced = change.replacements().iter().map(|replaced| replaced.record.id);
        replaced.any(|id| self.ends.contains(&id)).then(|| StoreError::corrupt("on purpose"))
    }
}

#[test]
fn a_store_that_takes_no_more_is_purged_even_so() {
    let full = StoreErrorKind::StorageFull;
    for call in [Call::CommitEach, Call::Due, Call::BelowEpoch] {
        let policy = classes().tombstone_retention(minutes(60)).event_retention(minutes(60));
        let world = World::with(policy.build().unwrap());
        let (_, old) = world.active("alice", "browser");
        let _ = block_on(world.sessions.sign_out(&old)).unwrap();
        world.clock.advance(minutes(800));
        world.login("alice", "browser");
        world.clock.advance(minutes(31));
        let engine = world.hooked(&Arc::new(Refusing { call: Some((call, full)), ends: vec![] }));
        let answer = block_on(engine.sweep(NonZeroUsize::new(10).unwrap()));
        assert!(matches!(answer, Err(Error::Store(error)) if error.kind() == full), "{call:?}");
        assert!(world.stored(old.id()).is_none(), "{call:?}: there is no room for ends otherwise");
        assert_eq!(sweep(&world.sessions, 10).ended, usize::from(call != Call::BelowEpoch));
    }
}

#[test]
fn what_marks_have_ended_is_swept_though_what_is_due_cannot_be() {
    let world = World::new();
    let ended = world.login("alice", "browser").session.id();
    let by = (Reason::SubjectDisabled, Actor::System);
    block_on(world.sessions.revoke_subject(&subject("alice"), by.0, by.1)).unwrap();
    let down = StoreErrorKind::Unavailable;
    let engine = world.hooked(&Arc::new(Refusing { call: Some((Call::Due, down)), ends: vec![] }));
    assert!(block_on(engine.sweep(NonZeroUsize::new(10).unwrap())).is_err());
    assert!(world.stored(ended).unwrap().record.end.is_some());
}

#[test]
fn a_row_that_cannot_be_written_is_reported_and_stops_no_other() {
    let world = World::new();
    let ids: Vec<_> = (0..5).map(|_| world.create().session.id()).collect();
    world.clock.advance(minutes(10));
    let engine = world.hooked(&Arc::new(Refusing { call: None, ends: vec![ids[1], ids[3]] }));
    let swept = sweep(&engine, 10);
    assert_eq!((swept.ended, swept.left, swept.more), (3, 0, false));
    assert_eq!(swept.damaged.len(), 2);
    assert!([ids[1], ids[3]].iter().all(|id| swept.damaged.iter().any(|bad| bad.id == Some(*id))));
    assert!(block_on(engine.sweep(NonZeroUsize::new(10).unwrap())).is_err(), "it takes nothing");
    assert_eq!(sweep(&world.sessions, 10).ended, 2);
    world.check_history();
}
