//! When a session lives and when it does not, to the millisecond.

use std::time::Duration;

use pollster::block_on;
use session_core::store::Outcome;
use session_core::{
    Actor, Answer, Client, EventKind, NewSession, Realm, Reason, SessionStore, Sessions, State,
    Timestamp,
};

use crate::support::{MILLI, START, World, class, data, minutes, seconds, text};

#[test]
fn a_session_that_was_created_is_found_by_its_token() {
    let world = World::new();
    let new = NewSession {
        class: Some(class("steady")),
        data: data(&[("basket", "tea")]),
        client: Client::default().with_agent("curl/8"),
    };
    let issued = block_on(world.sessions.create(new)).unwrap();
    assert_eq!(issued.session.state(), State::Created);
    let session = world.live(&issued.token);
    assert_eq!((session.id(), session.state()), (issued.session.id(), State::Active));
    assert_eq!((session.subject(), session.class().as_str()), (None, "steady"));
    assert_eq!(text(&session, "basket").as_deref(), Some("tea"));
    assert_eq!(session.client().agent.as_deref(), Some("curl/8"));
    assert_eq!((session.created_at(), session.last_seen_at()), (START, START));
    assert_eq!(session.idle_deadline(), None);
    assert_eq!(session.absolute_deadline(), START + minutes(720));
}

#[test]
fn a_token_opens_nothing_in_another_realm_nor_with_another_secret() {
    let world = World::new();
    let (token, session) = world.active("alice", "browser");
    let elsewhere = Sessions::builder(world.memory.clone())
        .clock(world.clock.clone())
        .realm(Realm::new("elsewhere").unwrap())
        .build();
    assert!(matches!(block_on(elsewhere.resume(&token)), Ok(Answer::Absent)));
    let rotated = block_on(world.sessions.rotate(&session)).unwrap().live().unwrap();
    assert!(matches!(world.resume(&token), Answer::Absent));
    assert!(world.is_live(&rotated.token), "a wrong secret ends nothing");
}

#[test]
fn an_unclaimed_session_dies_at_the_millisecond_and_a_claimed_one_lives_on() {
    let world = World::new();
    let (early, late) = (world.login("alice", "browser"), world.login("alice", "browser"));
    world.clock.set(START + minutes(5) - MILLI);
    assert_eq!(world.live(&early.token).idle_deadline(), Some(START + minutes(35) - MILLI));
    world.clock.advance(MILLI);
    let end = world.ended(&late.token);
    assert_eq!((end.reason, end.at), (Reason::IdleTimeout, START + minutes(5)));
    assert_eq!(end.actor, Actor::System);
    assert!(world.is_live(&early.token));
}

#[test]
fn an_idle_session_dies_at_the_millisecond() {
    for (before, lives) in [(MILLI, true), (seconds(0), false)] {
        let world = World::new();
        let (token, session) = world.active("alice", "browser");
        world.clock.set(session.idle_deadline().unwrap() - before);
        assert_eq!(world.is_live(&token), lives);
    }
}

#[test]
fn a_busy_session_dies_at_its_absolute_deadline() {
    let world = World::new();
    let (token, _) = world.active("alice", "browser");
    for _ in 0..47 {
        world.clock.advance(minutes(15));
        assert_eq!(world.live(&token).absolute_deadline(), START + minutes(720));
    }
    world.clock.set(START + minutes(720) - MILLI);
    assert!(world.is_live(&token));
    world.clock.advance(MILLI);
    let end = world.ended(&token);
    assert_eq!((end.reason, end.at), (Reason::AbsoluteTimeout, START + minutes(720)));
}

#[test]
fn coalescing_ends_a_session_early_by_less_than_an_interval_and_never_late() {
    let world = World::new();
    let (token, _) = world.active("alice", "browser");
    world.clock.advance(seconds(59));
    assert_eq!(world.live(&token).last_seen_at(), START, "this activity is not recorded");
    world.clock.set(START + minutes(30));
    assert_eq!(world.ended(&token).at, START + minutes(30));

    let (token, session) = world.active("bob", "browser");
    world.clock.advance(seconds(60));
    assert_eq!(world.live(&token).last_seen_at(), session.created_at() + seconds(60));
    world.clock.set(session.created_at() + minutes(31) - MILLI);
    assert!(world.is_live(&token));
}

#[test]
fn a_clock_that_steps_back_neither_kills_nor_revives() {
    let world = World::new();
    let (token, _) = world.active("alice", "browser");
    world.clock.advance(minutes(10));
    let seen = world.live(&token).last_seen_at();
    world.clock.set(START - minutes(600));
    let session = world.live(&token);
    assert_eq!(session.last_seen_at(), seen);
    assert_eq!(world.live(&world.login("bob", "browser").token).state(), State::Active);

    world.clock.set(seen + minutes(30));
    let end = world.ended(&token);
    world.clock.set(START);
    assert_eq!(world.ended(&token), end);
    assert!(!matches!(block_on(world.sessions.check(&session)), Ok(Answer::Live(_))));
}

#[test]
fn the_first_end_stays_whatever_comes_later() {
    let world = World::new();
    let (token, session) = world.active("alice", "browser");
    world.clock.advance(minutes(45));
    let end = world.ended(&token);
    assert_eq!((end.at, end.observed_at), (START + minutes(30), START + minutes(45)));
    assert_eq!(end.purge_at, START + minutes(720) + minutes(1_440));
    world.clock.advance(minutes(100_000));
    assert_eq!(world.ended(&token), end);
    assert!(
        matches!(block_on(world.sessions.rotate(&session)), Ok(Answer::Ended(again)) if again == end)
    );
    assert_eq!(block_on(world.sessions.why_ended(&token)).unwrap(), Some(end));
    assert_eq!(
        world.kinds(session.id()),
        [EventKind::Issued, EventKind::LoggedIn, EventKind::Activated, EventKind::Ended]
    );
}

#[test]
fn an_end_drops_the_data() {
    let world = World::new();
    let new = NewSession { data: data(&[("secret", "plan")]), ..NewSession::default() };
    let issued = block_on(world.sessions.create(new)).unwrap();
    let _ = block_on(world.sessions.sign_out(&issued.session)).unwrap();
    let tombstone = world.stored(issued.session.id()).unwrap();
    assert!(tombstone.data.is_none() && tombstone.record.end.is_some());
}

#[test]
fn the_ends_of_time_are_no_special_days() {
    for start in [
        session_core::Timestamp::MIN + minutes(1_440),
        session_core::Timestamp::from_millis(-1),
        session_core::Timestamp::from_millis(0),
        session_core::Timestamp::MAX - minutes(10_000),
    ] {
        let world = World::new();
        world.clock.set(start);
        let (token, _) = world.active("alice", "browser");
        world.clock.advance(minutes(29));
        assert!(world.is_live(&token), "{start:?}");
        world.clock.advance(minutes(30));
        assert_eq!(world.ended(&token).at, start + minutes(59), "{start:?}");
    }
    let world = World::new();
    world.clock.set(session_core::Timestamp::MAX);
    let issued = world.login("alice", "browser");
    assert!(!world.is_live(&issued.token), "nothing outlives time");
}

#[test]
fn a_damaged_session_is_an_error_and_not_a_stranger() {
    let world = World::new();
    let (token, session) = world.active("alice", "browser");
    let stored = world.stored(session.id()).unwrap();
    let change = session_core::Change::new(session_core::ChangeId::from_bytes([7; 16])).replace(
        session_core::Replacement {
            record: stored.record,
            expected: stored.version,
            data: session_core::DataWrite::Set(session_core::EncodedData::from_stored("[")),
            decided_on: None,
        },
    );
    let outcome = block_on(world.memory.commit(&world.realm(), &change)).unwrap();
    assert_eq!(outcome, Outcome::Applied);
    let session = world.live(&token);
    assert!(session.get::<String>("lang").is_err(), "damaged data is no empty data");
    let edited = block_on(world.sessions.edit(&session, &crate::support::put("lang", "en")));
    assert!(matches!(edited, Err(session_core::Error::Data(_))));
    let _ = block_on(world.sessions.sign_out(&session)).unwrap();
    assert_eq!(world.ended(&token).reason, Reason::SignedOut);
}

#[test]
fn what_is_done_by_a_slow_clock_is_not_dated_before_what_was_seen() {
    let world = World::new();
    let (token, session) = world.active("alice", "browser");
    world.clock.advance(minutes(10));
    let seen = world.live(&token).last_seen_at();
    world.clock.set(START - minutes(1));
    let _ = block_on(world.sessions.sign_out(&session)).unwrap();
    let end = world.ended(&token);
    assert_eq!((end.at, end.observed_at), (seen, seen));
    let told = world.events().pop().unwrap().event;
    assert_eq!((told.at, told.observed_at), (seen, seen));
}

#[test]
fn a_slow_clock_does_not_take_back_a_deadline_that_was_passed() {
    let world = World::new();
    let (token, _) = world.active("alice", "steady");
    world.clock.advance(minutes(30));
    let seen = world.live(&token).last_seen_at();
    let short = session_core::Class::new(minutes(20));
    let only = session_core::Policy::builder().class("browser", short).build().unwrap();
    world.sessions.set_policy(only);
    world.clock.set(START + minutes(19));
    let end = world.ended(&token);
    assert_eq!(
        (end.reason, end.at, end.observed_at),
        (Reason::AbsoluteTimeout, START + minutes(20), seen)
    );
}

#[test]
fn patience_may_be_endless() {
    let engine = Sessions::builder(World::new().memory).patience(Duration::MAX).build();
    assert!(block_on(engine.create(NewSession::default())).is_ok());
}

#[test]
fn a_session_from_the_first_instant_that_can_be_told_is_a_session() {
    for of in ["browser", "steady"] {
        let world = World::new();
        world.clock.set(Timestamp::MIN);
        let (token, _) = world.active("alice", of);
        world.clock.advance(minutes(2));
        let engine = Sessions::builder(world.memory.clone())
            .policy(session_core::Policy::clone(&world.sessions.policy()))
            .clock(world.clock.clone())
            .patience(Duration::ZERO)
            .build();
        assert!(block_on(engine.resume(&token)).unwrap().live().is_some(), "{of}");
    }
}
