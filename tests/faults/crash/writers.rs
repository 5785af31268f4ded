//! What the process does that is to be killed: several writers on one engine.

use std::time::Duration;

use session_core::store::{Cursor, EventQuery, Events};
use session_core::{
    Actor, Answer, Data, Error, Issued, LoggedIn, Login, Revoked, Session, SessionId, SessionToken,
    Sessions, StoreErrorKind, Subject,
};

use super::said::{OUTCOME_UNKNOWN, Said, Step, UNAVAILABLE};
use super::{ENDED, OTHERS, RAISED};
use crate::place::{self, random, subject};

const WRITERS: usize = 4;

/// No call may take longer, whatever becomes of the store.
const BOUND: Duration = Duration::from_secs(30);

/// Writes until it is killed, or until the store fails.
pub(crate) async fn run(url: &str, realm: &str) {
    Said::Opening.tell();
    let store = match place::open(url).await {
        Ok(store) => store,
        // Its server may be the one that is struck.
        Err(error) if error.kind() == StoreErrorKind::Unavailable => return,
        Err(error) => panic!("{error}"),
    };
    let sessions = place::engine(store, &place::realm(realm));
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| tokio::spawn(Writer::new(number, sessions.clone()).write()))
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
}

struct Writer {
    number: usize,
    sessions: Sessions,
    many: Subject,
    held: Vec<Held>,
    followed: usize,
    cursor: Option<Cursor>,
}

struct Held {
    token: SessionToken,
    session: Session,
    count: u64,
}

/// The store has failed, and this was told.
struct Failed;

impl Writer {
    fn new(number: usize, sessions: Sessions) -> Self {
        let many = subject(&format!("many-{number}"));
        Self { number, sessions, many, held: Vec::new(), followed: 0, cursor: None }
    }

    async fn write(mut self) {
        while self.step().await.is_ok() {}
    }

    async fn step(&mut self) -> Result<(), Failed> {
        let one = subject(&format!("one-{}", self.number));
        match random(64) {
            0..12 => self.login(self.many.clone()).await,
            12..16 => self.login(one).await,
            16..20 => self.login(subject("everybody")).await,
            20..36 => self.update().await,
            36..42 => self.rotate().await,
            42..50 => self.resume().await,
            50..56 => self.end().await,
            56..58 => self.raise().await,
            58..60 => self.others().await,
            60..63 => self.follow().await,
            _ => self.sweep().await,
        }
    }

    async fn login(&mut self, subject: Subject) -> Result<(), Failed> {
        let step = Step::Login { subject: subject.as_str().into() };
        let mut data = Data::default();
        data.set("count", 0).unwrap();
        data.set("filler", "x".repeat(200)).unwrap();
        let login = Login::new("password").data(data);
        let many = subject == self.many;
        let login = if many { login } else { login.class(place::one()) };
        self.doing(&step);
        let sessions = &self.sessions;
        let call = async { sessions.login(&sessions.begin_login(&subject).await?, login).await };
        let LoggedIn::Issued(Issued { token, session }, gave_way) = self.bounded(call).await?
        else {
            panic!("nobody else ends the sessions of {subject:?}")
        };
        self.done(step, Some(&token), gave_way);
        if many {
            self.held.push(Held { token, session, count: 0 });
        }
        Ok(())
    }

    async fn update(&mut self) -> Result<(), Failed> {
        let Some(at) = self.any() else { return Ok(()) };
        let held = &self.held[at];
        let step = Step::Update { id: held.session.id(), count: held.count + 1 };
        self.doing(&step);
        let add = |data: &mut Data| {
            let count = data.get::<u64>("count").unwrap().unwrap_or_default() + 1;
            data.set("count", count).unwrap();
            count
        };
        let (session, count) = live(self.bounded(self.sessions.update(&held.session, add)).await?);
        assert_eq!(count, held.count + 1, "the counter of {}", session.id());
        self.held[at] = Held { session, count, token: held.token.clone() };
        self.done(step, None, Vec::new());
        Ok(())
    }

    async fn rotate(&mut self) -> Result<(), Failed> {
        let Some(at) = self.any() else { return Ok(()) };
        let held = &self.held[at];
        let step = Step::Rotate { id: held.session.id() };
        self.doing(&step);
        let issued = self.bounded(self.sessions.rotate(&held.session)).await?;
        let Issued { token, session } = live(issued);
        self.done(step, Some(&token), Vec::new());
        self.held[at] = Held { token, session, count: held.count };
        Ok(())
    }

    /// The first presentation makes it active, and each one records activity.
    async fn resume(&mut self) -> Result<(), Failed> {
        let Some(at) = self.any() else { return Ok(()) };
        let answer = self.bounded(self.sessions.resume(&self.held[at].token)).await?;
        self.held[at].session = live(answer);
        Ok(())
    }

    async fn end(&mut self) -> Result<(), Failed> {
        let Some(at) = self.any() else { return Ok(()) };
        let id = self.held.swap_remove(at).session.id();
        let step = Step::End { id };
        self.doing(&step);
        let call = self.sessions.revoke(id, ENDED, Actor::System);
        let revoked = self.bounded(call).await?;
        assert!(matches!(revoked, Revoked::Now(_)), "{id}: {revoked:?}");
        self.done(step, None, Vec::new());
        Ok(())
    }

    async fn raise(&mut self) -> Result<(), Failed> {
        let step = Step::Raise { subject: self.many.as_str().into() };
        self.held.clear();
        self.doing(&step);
        self.bounded(self.sessions.revoke_subject(&self.many, RAISED, Actor::System)).await?;
        self.done(step, None, Vec::new());
        Ok(())
    }

    async fn others(&mut self) -> Result<(), Failed> {
        let Some(at) = self.any() else { return Ok(()) };
        let kept = self.held.swap_remove(at);
        let id = kept.session.id();
        let step = Step::Others { subject: self.many.as_str().into(), kept: id };
        self.held = vec![kept];
        self.doing(&step);
        let call = self.sessions.revoke_others(&self.held[0].session, OTHERS, Actor::Subject);
        live(self.bounded(call).await?);
        self.done(step, None, Vec::new());
        Ok(())
    }

    /// Reads the events that are new since the last time.
    async fn follow(&mut self) -> Result<(), Failed> {
        let query = EventQuery::default();
        loop {
            let call = self.sessions.history(&query, self.cursor.as_ref());
            let Events::Page(page) = self.bounded(call).await? else {
                panic!("no event has been purged")
            };
            self.followed += page.events.len();
            if let Some(last) = page.events.last() {
                Said::Followed { events: self.followed, last: last.sequence }.tell();
            }
            self.cursor = page.next;
            if !page.more {
                return Ok(());
            }
        }
    }

    /// Writes down the ends that raises have brought.
    async fn sweep(&mut self) -> Result<(), Failed> {
        let limit = 10_000.try_into().unwrap();
        let swept = self.bounded(self.sessions.sweep(limit)).await?;
        assert!(swept.damaged.is_empty(), "{:?}", swept.damaged);
        Ok(())
    }

    fn any(&self) -> Option<usize> {
        let held = u64::try_from(self.held.len()).unwrap();
        (held > 0).then(|| usize::try_from(random(held)).unwrap())
    }

    async fn bounded<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Failed> {
        let kind = match tokio::time::timeout(BOUND, call).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(Error::Store(error))) => match error.kind() {
                StoreErrorKind::Unavailable => UNAVAILABLE.into(),
                StoreErrorKind::OutcomeUnknown => OUTCOME_UNKNOWN.into(),
                _ => error.to_string(),
            },
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".into(),
        };
        Said::Failed { writer: self.number, kind }.tell();
        Err(Failed)
    }

    fn doing(&self, step: &Step) {
        Said::Doing { writer: self.number, step: step.clone() }.tell();
    }

    fn done(&self, step: Step, token: Option<&SessionToken>, gave_way: Vec<SessionId>) {
        let token = token.map(|token| token.expose().to_string());
        Said::Done { writer: self.number, step, token, gave_way }.tell();
    }
}

fn live<T>(answer: Answer<T>) -> T {
    match answer {
        Answer::Live(value) => value,
        Answer::Ended(end) => panic!("a session has ended that nobody ended: {end:?}"),
        Answer::Absent => panic!("a session is gone that was acknowledged"),
    }
}
