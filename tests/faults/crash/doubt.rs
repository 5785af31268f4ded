//! The check itself: it must find what it looks for.

use std::sync::Arc;

use session_core::{Login, MemoryStore, Realm, SessionStore, Sessions};

use super::RAISED;
use super::ledger::{Ledger, Tally};
use super::said::{OUTCOME_UNKNOWN, Said, Step, UNAVAILABLE};
use crate::look::Found;
use crate::place;

struct Doubt {
    store: Arc<dyn SessionStore>,
    sessions: Sessions,
    realm: Realm,
    ledger: Ledger,
    tally: Tally,
    known: session_core::Issued,
}

impl Doubt {
    /// One session, acknowledged.
    async fn new() -> Self {
        let store: Arc<dyn SessionStore> = Arc::new(MemoryStore::new());
        let realm = place::realm("doubt");
        let sessions = place::engine(store.clone(), &realm);
        let known = login(&sessions).await;
        let (ledger, tally) = Default::default();
        let mut doubt = Self { store, sessions, realm, ledger, tally, known };
        let token = doubt.known.token.expose().to_string();
        doubt.done(Step::Login { subject: "many".into() }, Some(token));
        assert_eq!(doubt.check().await, [0, 0, 0]);
        doubt
    }

    fn done(&mut self, step: Step, token: Option<String>) {
        self.note(Said::Done { writer: 0, step, token, gave_way: Vec::new() });
    }

    fn note(&mut self, said: Said) {
        self.ledger.note(said, &mut self.tally);
    }

    /// How much is lost, revived, half done.
    async fn check(&mut self) -> [usize; 3] {
        let found = Found::look(&*self.store, &self.realm).await.unwrap();
        self.ledger.check(&found, &mut self.tally);
        let Tally { lost, revived, half, .. } = std::mem::take(&mut self.tally);
        [lost.len(), revived.len(), half.len()]
    }
}

async fn login(sessions: &Sessions) -> session_core::Issued {
    let ticket = sessions.begin_login(&place::subject("many")).await.unwrap();
    let mut data = session_core::Data::default();
    data.set("count", 0).unwrap();
    let login = Login::new("password").data(data);
    sessions.login(&ticket, login).await.unwrap().issued().unwrap()
}

#[tokio::test]
async fn what_was_never_done_is_lost() {
    let mut doubt = Doubt::new().await;
    let id = doubt.known.session.id();
    doubt.done(Step::Update { id, count: 1 }, None);
    assert_eq!(doubt.check().await, [1, 0, 0]);
}

#[tokio::test]
async fn what_should_have_ended_is_revived() {
    let mut doubt = Doubt::new().await;
    let id = doubt.known.session.id();
    doubt.done(Step::End { id }, None);
    assert_eq!(doubt.check().await, [0, 1, 0]);
    // The mark of a raise that was never made is missing too.
    let mut doubt = Doubt::new().await;
    doubt.done(Step::Raise { subject: "many".into() }, None);
    assert_eq!(doubt.check().await, [1, 1, 0]);
}

#[tokio::test]
async fn what_ended_otherwise_or_by_nobody_is_half_done() {
    let mut doubt = Doubt::new().await;
    let id = doubt.known.session.id();
    let _ = doubt.sessions.revoke(id, RAISED, session_core::Actor::System).await.unwrap();
    assert_eq!(doubt.check().await, [0, 0, 1]);
    doubt.done(Step::End { id }, None);
    assert_eq!(doubt.check().await, [0, 0, 1]);
}

#[tokio::test]
async fn an_unknown_outcome_may_be_either_and_an_unavailable_store_did_nothing() {
    for (kind, made, expected) in [
        (OUTCOME_UNKNOWN, false, [0, 0, 0]),
        (OUTCOME_UNKNOWN, true, [0, 0, 0]),
        (UNAVAILABLE, false, [0, 0, 0]),
        (UNAVAILABLE, true, [0, 0, 1]),
    ] {
        let mut doubt = Doubt::new().await;
        doubt.note(Said::Doing { writer: 0, step: Step::Login { subject: "many".into() } });
        doubt.note(Said::Failed { writer: 0, kind: kind.into() });
        if made {
            login(&doubt.sessions).await;
        }
        assert_eq!(doubt.check().await, expected, "{kind}, {made}");
    }
}

#[tokio::test]
async fn an_event_that_is_missing_or_late_is_found() {
    let mut doubt = Doubt::new().await;
    let places: Vec<u64> = {
        let found = Found::look(&*doubt.store, &doubt.realm).await.unwrap();
        found.events.iter().map(|stored| stored.sequence).collect()
    };
    let last = *places.last().unwrap();
    doubt.note(Said::Followed { events: places.len(), last });
    assert_eq!(doubt.check().await, [0, 0, 0]);
    doubt.note(Said::Followed { events: places.len() + 1, last });
    assert_eq!(doubt.check().await, [1, 0, 0]);
    doubt.note(Said::Followed { events: places.len() - 1, last });
    assert_eq!(doubt.check().await, [0, 0, 1]);
}
