//! The operations, each on sessions that it has not met before.

use std::num::NonZeroUsize;
use std::time::Duration;

use session_engine::store::{EventQuery, Events, Order};
use session_engine::{
    Actor, Answer, Login, Query, Reason, Revoked, Session, SessionToken, Sessions, Subject,
};

use crate::Failure;
use crate::figures::{Measured, now};
use crate::footprint;
use crate::population::{Fate, Member, Population};

/// What there is to measure, in the order of the table.
pub(crate) const OPERATIONS: [&str; 8] = [
    "resume",
    "resume with a touch",
    "login under a limit",
    "list of a subject",
    "update of one key",
    "revoke",
    "sweep, each of 100",
    "events of a subject",
];

/// The most operations of a kind at one size, and the share of all sessions that they may concern.
const MOST: u64 = 20_000;
const SHARE: u64 = 10;
/// Operations of a kind before those that count.
const WARM_UP: usize = 50;

/// Measures all operations at one size.
pub(crate) struct Cells<'a> {
    sessions: &'a Sessions,
    population: &'a mut Population,
    each: Duration,
}

impl<'a> Cells<'a> {
    pub(crate) fn new(
        sessions: &'a Sessions,
        population: &'a mut Population,
        each: Duration,
    ) -> Self {
        Self { sessions, population, each }
    }

    /// First what only reads, then what writes, last what has to find its own.
    pub(crate) async fn measure(mut self) -> Result<Vec<Measured>, Failure> {
        let [resume, touch, login, list, update, revoke, sweep, events] = OPERATIONS;
        let resumed = self.resume(resume, Fate::Fresh).await?;
        let listed = self.list(list).await?;
        let told = self.events(events).await?;
        let touched = self.resume(touch, Fate::Stale).await?;
        let updated = self.update(update).await?;
        let logged_in = self.login(login).await?;
        let revoked = self.revoke(revoke).await?;
        let swept = self.sweep(sweep).await?;
        Ok(vec![resumed, touched, logged_in, listed, updated, revoked, swept, told])
    }

    async fn resume(&mut self, name: &'static str, fate: Fate) -> Result<Measured, Failure> {
        let tokens: Vec<SessionToken> =
            self.draw_to_use(fate)?.into_iter().map(|member| member.token).collect();
        let sessions = self.sessions;
        self.run(name, &tokens, async |token| {
            let answer = sessions.resume(token).await?;
            expect(matches!(answer, Answer::Live(_)), "a live session resumes")
        })
        .await
    }

    async fn list(&mut self, name: &'static str) -> Result<Measured, Failure> {
        let subjects = self.subjects(Fate::Fresh)?;
        let queries: Vec<Query> = subjects
            .into_iter()
            .map(|subject| Query { subject: Some(subject), ..Query::default() })
            .collect();
        let sessions = self.sessions;
        self.run(name, &queries, async |query| {
            let page = sessions.list(query, None).await?;
            expect(!page.sessions.is_empty(), "a subject has sessions")
        })
        .await
    }

    async fn events(&mut self, name: &'static str) -> Result<Measured, Failure> {
        let subjects = self.subjects(Fate::Fresh)?;
        let queries: Vec<EventQuery> = subjects
            .into_iter()
            .map(|subject| EventQuery {
                subject: Some(subject),
                order: Order::NewestFirst,
                ..EventQuery::default()
            })
            .collect();
        let sessions = self.sessions;
        self.run(name, &queries, async |query| match sessions.history(query, None).await? {
            Events::Page(page) => expect(!page.events.is_empty(), "a subject has events"),
            Events::CursorExpired => expect(false, "no cursor was given"),
        })
        .await
    }

    async fn update(&mut self, name: &'static str) -> Result<Measured, Failure> {
        let mut held: Vec<Session> = Vec::new();
        for member in self.draw_to_use(Fate::Fresh)? {
            held.extend(self.sessions.resume(&member.token).await?.live());
        }
        // Those that were loaded first are updated last.
        held.reverse();
        let sessions = self.sessions;
        self.run(name, &held, async |session| {
            let edited = sessions.update(session, |data| data.set("language", "el")).await?;
            expect(edited.live().is_some(), "a live session takes data")
        })
        .await
    }

    async fn login(&mut self, name: &'static str) -> Result<Measured, Failure> {
        let mut subjects = self.subjects(Fate::Stale)?;
        subjects.sort();
        subjects.dedup();
        // Back into no order.
        subjects.sort_by_cached_key(|subject| subject.as_str().bytes().rev().collect::<Vec<u8>>());
        let sessions = self.sessions;
        self.run(name, &subjects, async |subject| {
            let ticket = sessions.begin_login(subject).await?;
            let issued = sessions.login(&ticket, Login::new("password")).await?.issued();
            expect(issued.is_some(), "a login under its limit succeeds")
        })
        .await
    }

    async fn revoke(&mut self, name: &'static str) -> Result<Measured, Failure> {
        let members = self.draw_to_use(Fate::Stale)?;
        let sessions = self.sessions;
        self.run(name, &members, async |member| {
            let revoked = sessions.revoke(member.id, Reason::SignedOut, Actor::Subject).await?;
            expect(matches!(revoked, Revoked::Now(_)), "a live session is revoked")
        })
        .await
    }

    /// What is due was in no cell yet. The time of a call is shared by what it found.
    async fn sweep(&mut self, name: &'static str) -> Result<Measured, Failure> {
        const AT_ONCE: NonZeroUsize = const { NonZeroUsize::new(100).unwrap() };
        let started = now();
        let mut samples = Vec::new();
        while started.elapsed() < self.each {
            let begun = now();
            let swept = self.sessions.sweep(AT_ONCE).await?;
            let took = begun.elapsed();
            expect(swept.damaged.is_empty(), "every row can be read")?;
            if let Ok(found) = u32::try_from(swept.ended)
                && found > 0
            {
                samples.push(took / found);
            }
            if !swept.more {
                break;
            }
        }
        Measured::new(name, samples)
    }

    async fn run<T>(
        &self,
        name: &'static str,
        on: &[T],
        operation: impl AsyncFn(&T) -> Result<(), Failure>,
    ) -> Result<Measured, Failure> {
        let mut warm_up = 0;
        let started = now();
        while warm_up < WARM_UP.min(on.len() / 10) && started.elapsed() < self.each / 5 {
            operation(&on[warm_up]).await?;
            warm_up += 1;
        }
        let read_before = footprint::pages_read()?;
        let started = now();
        let mut samples = Vec::new();
        for one in &on[warm_up..] {
            let begun = now();
            operation(one).await?;
            samples.push(begun.elapsed());
            if started.elapsed() > self.each {
                break;
            }
        }
        let read = footprint::pages_read()?;
        Ok(Measured::new(name, samples)?.with_pages_read(read_before, read))
    }

    fn draw_to_use(&mut self, fate: Fate) -> Result<Vec<Member>, Failure> {
        let wanted = self.wanted();
        self.population.draw_to_use(wanted, fate).into_iter().map(Member::of).collect()
    }

    fn subjects(&mut self, fate: Fate) -> Result<Vec<Subject>, Failure> {
        let wanted = self.wanted();
        let drawn = self.population.draw(wanted, fate);
        drawn.into_iter().map(|number| Ok(Member::of(number)?.subject)).collect()
    }

    fn wanted(&self) -> u64 {
        MOST.min(self.population.size / SHARE).max(1)
    }
}

/// What is measured has to have done its work.
fn expect(holds: bool, what: &str) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(format!("this does not hold: {what}").into()) }
}
