//! What an application tells of its own, in the commit of the edit that it tells of.

use pollster::block_on;
use session_core::{
    Actor, Answer, DataLimits, Error, Event, EventKind, Note, Reason, Session, StoreError,
    StoreErrorKind,
};

use std::sync::Arc;

use async_trait::async_trait;

use crate::support::hooked::{Call, Hook};
use crate::support::{START, World, classes, data, minutes, text};

fn seen(device: &str) -> Note {
    Note::device_seen().with_detail("device", device)
}

fn noted(world: &World, session: &Session) -> Vec<Event> {
    let of_it = |event: &Event| event.session == Some(session.id());
    let own = |kind: &EventKind| matches!(kind, EventKind::DeviceSeen | EventKind::Other(_));
    let events = world.events().into_iter().map(|stored| stored.event);
    events.filter(|event| of_it(event) && own(&event.kind)).collect()
}

#[test]
fn a_note_has_what_every_event_of_a_session_has() {
    let world = World::new();
    let (_, session) = world.active("alice", "browser");
    world.clock.advance(minutes(5));
    let answer = world.sessions.update_noting(&session, |data| {
        data.set("device", "one").unwrap();
        (7, vec![seen("one")])
    });
    let (after, value) = block_on(answer).unwrap().live().unwrap();
    assert_eq!((value, text(&after, "device").as_deref()), (7, Some("one")));
    let now = START + minutes(5);
    let [event] = &noted(&world, &session)[..] else { panic!("one event") };
    let purge_at = world.events()[0].event.purge_at + minutes(5);
    let expected = Event {
        session: Some(session.id()),
        subject: session.subject().cloned(),
        purge_at,
        ..Event::new(EventKind::DeviceSeen, Actor::Subject, now)
    };
    assert_eq!(*event, expected.with_detail("device", "one"));
}

#[test]
fn notes_without_an_edit_are_written_and_leave_the_data() {
    let world = World::new();
    let (token, session) = world.active("alice", "browser");
    let edit = crate::support::put("lang", "en");
    let session = block_on(world.sessions.edit(&session, &edit)).unwrap().live().unwrap();
    let answer = world.sessions.update_noting(&session, |_| ((), vec![seen("one")]));
    let (after, ()) = block_on(answer).unwrap().live().unwrap();
    assert_eq!(text(&after, "lang").as_deref(), Some("en"));
    assert_eq!(text(&world.live(&token), "lang").as_deref(), Some("en"));
    assert_eq!(noted(&world, &session).len(), 1);
}

#[test]
fn nothing_changed_and_nothing_noted_is_nothing_written() {
    let world = World::new();
    let (_, session) = world.active("alice", "browser");
    let before = world.stored(session.id()).unwrap();
    let answer = world.sessions.update_noting(&session, |_| ((), Vec::new()));
    assert!(matches!(block_on(answer), Ok(Answer::Live(_))));
    let after = world.stored(session.id()).unwrap();
    assert_eq!((after.version, noted(&world, &session).len()), (before.version, 0));
}

#[test]
fn of_several_notes_of_a_kind_the_last_stands() {
    let world = World::new();
    let (_, session) = world.active("alice", "browser");
    let other = Note::new("exported").unwrap();
    let notes = vec![seen("one"), other, seen("two")];
    let answer = world.sessions.update_noting(&session, |_| ((), notes.clone()));
    assert!(block_on(answer).unwrap().live().is_some());
    let told: Vec<_> = noted(&world, &session)
        .into_iter()
        .map(|event| (event.kind.code().to_owned(), event.detail.get("device").cloned()))
        .collect();
    let expected = [("exported".to_owned(), None), ("device_seen".to_owned(), Some("two".into()))];
    assert_eq!(told, expected);
    world.check_history();
}

#[test]
fn a_dead_session_tells_nothing() {
    let world = World::new();
    let (_, session) = world.active("alice", "browser");
    world.clock.advance(minutes(30));
    let answer = world
        .sessions
        .update_noting(&session, |_| -> ((), Vec<Note>) { panic!("nothing to edit") });
    let answer = block_on(answer).unwrap();
    assert!(matches!(answer, Answer::Ended(end) if end.reason == Reason::IdleTimeout));
    assert!(noted(&world, &session).is_empty());
}

#[test]
fn an_edit_that_is_refused_is_not_told() {
    let limits = DataLimits { key: 8, value: 16, total: 40 };
    let world = World::with(classes().data_limits(limits).build().unwrap());
    let (_, session) = world.active("alice", "browser");
    let answer = world.sessions.update_noting(&session, |kept| {
        *kept = data(&[("a key that is too long", "x")]);
        ((), vec![seen("one")])
    });
    assert!(matches!(block_on(answer), Err(Error::Data(_))));
    assert!(noted(&world, &session).is_empty());
}

/// Loses the answer of every commit.
#[derive(Debug)]
struct Deaf;

#[async_trait]
impl Hook for Deaf {
    async fn before(&self, _: Call) -> Result<(), StoreError> {
        Ok(())
    }

    async fn after(&self, call: Call) -> Result<(), StoreError> {
        if call == Call::Commit {
            return Err(StoreError::new(StoreErrorKind::OutcomeUnknown, "on purpose"));
        }
        Ok(())
    }
}

#[test]
fn an_unknown_outcome_is_told_once_and_not_run_again() {
    let world = World::new();
    let (_, session) = world.active("alice", "browser");
    let sessions = world.hooked(&Arc::new(Deaf));
    let mut runs = 0;
    let answer = block_on(sessions.update_noting(&session, |data| {
        runs += 1;
        data.set("device", "one").unwrap();
        ((), vec![seen("one")])
    }));
    assert!(answer.is_err(), "it may have been written, or not");
    assert_eq!((runs, noted(&world, &session).len()), (1, 1));
    world.check_history();
}
