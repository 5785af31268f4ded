//! Who is told of what happened.

use std::sync::{Arc, Mutex};

use pollster::block_on;
use session_core::store::{EventQuery, Events};
use session_core::{
    Actor, ChangeId, Event, EventKind, Hook, Reason, SessionId, SessionToken, Sessions,
    SystemRandom,
};

use crate::support::{World, login, minutes, policy, put, subject};

#[derive(Clone, Debug, Default)]
struct Told(Arc<Mutex<Vec<(ChangeId, EventKind)>>>);

impl Told {
    fn kinds(&self) -> Vec<EventKind> {
        self.0.lock().unwrap().iter().map(|(_, kind)| kind.clone()).collect()
    }
}

impl Hook for Told {
    fn event(&self, change: ChangeId, event: &Event) {
        self.0.lock().unwrap().push((change, event.kind.clone()));
    }
}

#[derive(Debug)]
struct Panics;

impl Hook for Panics {
    fn event(&self, _: ChangeId, event: &Event) {
        panic!("on purpose, at {}", event.kind);
    }

    fn wrong_secret(&self, id: SessionId) {
        panic!("on purpose, at {id}");
    }
}

fn engine(world: &World, told: &Told) -> Sessions {
    Sessions::builder(world.memory.clone())
        .policy(policy())
        .clock(world.clock.clone())
        .hook(Panics)
        .hook(told.clone())
        .build()
}

#[test]
fn a_hook_is_told_of_every_event_once_after_it_is_written_whatever_another_does() {
    let (world, told) = (World::new(), Told::default());
    let sessions = engine(&world, &told);
    let ticket = block_on(sessions.begin_login(&subject("alice"))).unwrap();
    let issue = || block_on(sessions.login(&ticket, login("lone"))).unwrap().issued().unwrap();
    let first = issue();
    let second = issue();
    let session = block_on(sessions.resume(&second.token)).unwrap().live().unwrap();
    let _ = block_on(sessions.edit(&session, &put("k", "v"))).unwrap();
    world.clock.advance(minutes(60));
    let limit = std::num::NonZeroUsize::new(100).unwrap();
    assert_eq!(block_on(sessions.sweep(limit)).unwrap().ended, 1);
    let root = Actor::Operator(subject("root"));
    block_on(sessions.revoke_everyone(Reason::EveryoneRevoked, root)).unwrap();
    let written: Vec<_> =
        world.events().into_iter().map(|one| (one.change, one.event.kind)).collect();
    assert_eq!(*told.0.lock().unwrap(), written);
    assert!(told.kinds().contains(&EventKind::RealmRevoked));
    assert_ne!(first.session.id(), second.session.id());
}

/// Keeps the fields of what is traced.
#[derive(Clone, Debug, Default)]
struct Traced(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Traced {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        struct Fields(String);
        impl tracing::field::Visit for Fields {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 += &format!("{field}={value:?} ");
            }
        }
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn what_is_traced_names_the_session_and_neither_its_owner_nor_its_secret() {
    let (world, traced) = (World::new(), Traced::default());
    let sessions = Sessions::builder(world.memory.clone())
        .policy(policy())
        .clock(world.clock.clone())
        .hook(session_core::Tracing)
        .build();
    let token = tracing::subscriber::with_default(traced.clone(), || {
        let ticket = block_on(sessions.begin_login(&subject("alice"))).unwrap();
        let issued = block_on(sessions.login(&ticket, login("browser"))).unwrap().issued().unwrap();
        let session = block_on(sessions.resume(&issued.token)).unwrap().live().unwrap();
        let _ = block_on(sessions.sign_out(&session)).unwrap();
        issued.token
    });
    let lines = traced.0.lock().unwrap().join("\n");
    for part in ["logged_in", "ended", "signed_out", &*token.id().to_string()] {
        assert!(lines.contains(part), "{part} in {lines}");
    }
    for secret in ["alice", "192.0.2.7", &token.expose()[27..]] {
        assert!(!lines.contains(secret), "{secret} in {lines}");
    }
}

#[test]
fn what_a_hook_has_missed_is_found_from_a_cursor() {
    let (world, told) = (World::new(), Told::default());
    let sessions = engine(&world, &told);
    let _ = world.active("alice", "browser");
    let query = EventQuery::default();
    let Events::Page(page) = block_on(sessions.history(&query, None)).unwrap() else { panic!() };
    let handled = page.next.unwrap();
    // Another node signs somebody in, and this one's hook is not told.
    let (_, missed) = world.active("bob", "browser");
    assert!(told.kinds().is_empty());
    let later = block_on(sessions.history(&query, Some(&handled))).unwrap();
    let Events::Page(page) = later else { panic!() };
    assert!(page.events.iter().all(|one| one.event.session == Some(missed.id())));
    assert_eq!(page.events.len(), 3);
}

#[test]
fn wrong_secrets_are_counted_and_end_nothing() {
    let (world, told) = (World::new(), Told::default());
    let sessions = engine(&world, &told);
    let (token, session) = world.active("alice", "browser");
    for _ in 0..3 {
        let guess = SessionToken::new(session.id(), &SystemRandom).unwrap();
        assert_eq!(block_on(sessions.resume(&guess)).unwrap().live().map(|_| ()), None);
    }
    assert_eq!(sessions.wrong_secrets(), 3);
    let nobody = SessionToken::new(SessionId::from_bytes([9; 16]), &SystemRandom).unwrap();
    let _ = block_on(sessions.resume(&nobody)).unwrap();
    assert!(world.is_live(&token));
    assert_eq!(sessions.wrong_secrets(), 3, "an id that nobody has is no guess at a secret");
}
