//! What an application relies on when it tells of its own: its notes stand in the history if, and only if, the
//! edits that they tell of stand in the data.

use std::time::Duration;

use super::BoxFuture;
use super::bed::{Bed, subject};
use super::engine::builder;
use crate::store::{EventQuery, Events, StoredEvent};
use crate::{
    Actor, Answer, Class, EventKind, Login, ManualClock, Note, Policy, Reason, Session, Sessions,
};

const KEY: &str = "count";

/// Long enough that nothing ends by itself here.
const DAY: Duration = Duration::from_secs(86_400);

async fn signed_in(bed: &Bed, clock: &ManualClock) -> (Sessions, Session) {
    let policy = Policy::builder().class("browser", Class::new(DAY)).build();
    let sessions = builder(bed, clock).policy(policy.expect("a policy")).build();
    let ticket = sessions.begin_login(&subject("alice")).await.expect("a ticket");
    let outcome = sessions.login(&ticket, Login::new("password")).await.expect("it is answered");
    let session = outcome.issued().expect("nothing stands against this login").session;
    (sessions, session)
}

/// Adds one, and tells what it came to.
async fn count(sessions: &Sessions, session: &Session) -> Answer<(Session, u32)> {
    let answer = sessions.update_noting(session, |data| {
        let next = data.get::<u32>(KEY).expect("a number").unwrap_or(0) + 1;
        data.set(KEY, next).expect("a number");
        let note = Note::new("counted").expect("a code").with_detail("to", &next.to_string());
        (next, vec![note])
    });
    answer.await.expect("an edit is answered")
}

async fn told(sessions: &Sessions, session: &Session) -> Vec<StoredEvent> {
    let query = EventQuery { session: Some(session.id()), ..EventQuery::default() };
    let Events::Page(page) = sessions.history(&query, None).await.expect("a history") else {
        panic!("no cursor was given");
    };
    page.events.into_iter().filter(|stored| stored.event.kind.code() == "counted").collect()
}

/// A note comes back with all that the engine adds to it, and none comes from a session that has ended.
pub async fn a_note_comes_with_the_edit_that_it_tells_of(bed: &Bed) {
    let clock = ManualClock::at(bed.at(0));
    let (sessions, session) = signed_in(bed, &clock).await;
    clock.advance(Duration::from_secs(60));
    let (session, counted) = count(&sessions, &session).await.live().expect("it lives");
    assert_eq!((counted, session.get(KEY).expect("a number")), (1, Some(1_u32)));
    let events = told(&sessions, &session).await;
    let [StoredEvent { event, .. }] = &events[..] else { panic!("one note: {events:?}") };
    assert_eq!(event.kind, Note::new("counted").expect("a code").kind().clone());
    assert_eq!(
        (event.session, event.subject.clone()),
        (Some(session.id()), Some(subject("alice")))
    );
    assert_eq!((event.at, event.observed_at), (bed.at(60), bed.at(60)));
    assert_eq!((event.actor.clone(), event.reason.clone()), (Actor::Subject, None));
    assert_eq!(event.detail["to"], "1");
    assert_ne!(event.kind, EventKind::Ended);
    let ended = sessions.revoke(session.id(), Reason::SignedOut, Actor::Subject).await;
    let _ = ended.expect("a revocation is answered");
    assert!(matches!(count(&sessions, &session).await, Answer::Ended(_)), "it has ended");
    assert_eq!(told(&sessions, &session).await.len(), 1, "nothing is told of what was not written");
}

/// Of edits at the same time each is written once and told once: those that lost and were run again left nothing.
pub async fn parallel_edits_are_told_once_each(bed: &Bed) {
    const EDITS: usize = 8;
    let clock = ManualClock::at(bed.at(0));
    let (sessions, session) = signed_in(bed, &clock).await;
    let tasks = (0..EDITS)
        .map(|_| -> BoxFuture<'_, u32> {
            Box::pin(async { count(&sessions, &session).await.live().expect("it lives").1 })
        })
        .collect();
    let mut counted = bed.together(tasks);
    counted.sort_unstable();
    let mut in_history: Vec<u32> = told(&sessions, &session)
        .await
        .iter()
        .map(|stored| stored.event.detail["to"].parse().expect("a number"))
        .collect();
    in_history.sort_unstable();
    assert_eq!(counted, in_history, "what was answered is what is told");
    assert_eq!(counted, (1..=8).collect::<Vec<u32>>(), "no edit is lost, none is told twice");
}
