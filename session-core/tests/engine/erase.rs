//! All that is kept about a subject: removed, and taken out.

use std::num::NonZeroUsize;

use pollster::block_on;
use session_core::store::ListQuery;
use session_core::{Actor, LoggedIn, SessionStore, State};

use crate::support::{World, data, login, minutes, subject};

fn root() -> Actor {
    Actor::Operator(subject("root"))
}

fn rows(world: &World, name: &str) -> usize {
    let limit = NonZeroUsize::new(10_000).unwrap();
    let query = ListQuery { subject: Some(subject(name)), with_ended: true, limit };
    block_on(world.memory.list(&world.realm(), &query, None)).unwrap().rows.len()
}

fn epoch(world: &World, name: &str) -> u64 {
    block_on(world.memory.marks(&world.realm(), Some(&subject(name)))).unwrap().subject.epoch
}

#[test]
fn nothing_is_left_of_who_is_erased_and_nobody_else_is_touched() {
    let world = World::new();
    let (live, _) = world.active("alice", "browser");
    let (_, ended) = world.active("alice", "browser");
    let _ = block_on(world.sessions.sign_out(&ended)).unwrap();
    world.clock.advance(minutes(31));
    let (fresh, _) = world.active("alice", "browser");
    let (of_bob, _) = world.active("bob", "browser");
    let before = epoch(&world, "alice");
    let erased = block_on(world.sessions.erase(&subject("alice"), root())).unwrap();
    assert_eq!((erased.ended, erased.sessions), (2, 3));
    assert!(erased.events > 0 && erased.damaged.is_empty());
    for token in [&live, &fresh] {
        assert!(!world.is_live(token));
    }
    assert_eq!(rows(&world, "alice"), 0);
    let left = world.events();
    assert!(left.iter().all(|one| one.event.subject.as_ref() != Some(&subject("alice"))));
    assert!(world.is_live(&of_bob));
    let after = epoch(&world, "alice");
    assert!(after > before, "a ticket from before finds no mark that looks like his");
}

#[test]
fn a_login_that_was_under_way_is_refused_and_a_later_one_is_kept() {
    let world = World::new();
    let _ = world.active("alice", "browser");
    let ticket = world.ticket("alice");
    let _ = block_on(world.sessions.erase(&subject("alice"), root())).unwrap();
    let outcome = world.try_login(&ticket, login("browser"));
    assert!(matches!(outcome, LoggedIn::CredentialsChanged), "{outcome:?}");
    let (token, _) = world.active("alice", "browser");
    assert!(world.is_live(&token));
}

#[test]
fn more_than_one_batch_is_erased() {
    let world = World::new();
    for _ in 0..1_100 {
        let _ = world.login("alice", "browser");
    }
    let erased = block_on(world.sessions.erase(&subject("alice"), root())).unwrap();
    assert_eq!((erased.ended, erased.sessions), (1_100, 1_100));
    assert_eq!(rows(&world, "alice"), 0);
}

#[test]
fn an_export_holds_sessions_data_and_events_and_nothing_that_opens_one() {
    let world = World::new();
    let with = login("browser").data(data(&[("basket", "tea")]));
    let issued = world.try_login(&world.ticket("alice"), with).issued().unwrap();
    world.live(&issued.token);
    let (_, ended) = world.active("alice", "browser");
    let _ = block_on(world.sessions.sign_out(&ended)).unwrap();
    let _ = world.active("bob", "browser");
    let export = block_on(world.sessions.export(&subject("alice"))).unwrap();
    let states: Vec<State> = export.sessions.iter().map(|(info, _)| info.state).collect();
    assert_eq!(states, [State::Active, State::Revoked]);
    assert!(export.sessions[0].1.as_ref().unwrap().as_str().contains("tea"));
    assert!(export.sessions.iter().all(|(info, _)| info.subject == Some(subject("alice"))));
    assert!(export.events.iter().all(|one| one.event.subject == Some(subject("alice"))));
    assert!(export.events.len() >= 6, "{:?}", export.events);
    let text = format!("{export:?}");
    assert!(!text.contains(&issued.token.expose()[27..]));
}
