//! The operations, and the world in which they are run.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use session_engine::{
    Actor, Answer, Issued, Login, ManualClock, Policy, Query, Reason, Revoked, SessionStore,
    Sessions, Subject, Timestamp,
};
use tokio::task::JoinSet;

use crate::Failure;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Resume,
    ResumeWithTouch,
    Login,
    Update,
    Revoke,
    RevokeAll,
    List,
    Sweep,
    LoginsAtOnce,
}

/// All of them, in the order of the table.
pub(crate) const OPERATIONS: [Operation; 9] = [
    Operation::Resume,
    Operation::ResumeWithTouch,
    Operation::Login,
    Operation::Update,
    Operation::Revoke,
    Operation::RevokeAll,
    Operation::List,
    Operation::Sweep,
    Operation::LoginsAtOnce,
];

const SWEPT: NonZeroUsize = const { NonZeroUsize::new(100).unwrap() };
const AT_ONCE: usize = 64;
/// The sessions of a subject that has several.
const SEVERAL: usize = 5;

/// A store with an engine, and those whose turn it is.
#[derive(Debug)]
pub(crate) struct World {
    sessions: Sessions,
    clock: ManualClock,
    issued: Vec<Issued>,
    subjects: Vec<Subject>,
    names: u64,
}

impl World {
    pub(crate) fn new(store: Arc<dyn SessionStore>) -> Self {
        let clock = ManualClock::at(Timestamp::from_millis(1_800_000_000_000));
        let sessions = engine(store, &clock);
        Self { sessions, clock, issued: Vec::new(), subjects: Vec::new(), names: 0 }
    }

    /// Goes on with another store on the same backend; the one before is closed.
    pub(crate) fn reopen(&mut self, store: Arc<dyn SessionStore>) {
        self.sessions = engine(store, &self.clock);
    }

    fn somebody(&mut self) -> Result<Subject, Failure> {
        self.names += 1;
        Ok(Subject::new(format!("user {}", self.names))?)
    }

    /// Signs in somebody new, who then comes back.
    async fn visitor(&mut self) -> Result<Issued, Failure> {
        let subject = self.somebody()?;
        let issued = login(&self.sessions, &subject).await?;
        expect(self.sessions.resume(&issued.token).await?.live().is_some())?;
        Ok(issued)
    }

    /// Signs in somebody new several times.
    async fn busy_subject(&mut self) -> Result<Subject, Failure> {
        let subject = self.somebody()?;
        for _ in 0..SEVERAL {
            login(&self.sessions, &subject).await?;
        }
        Ok(subject)
    }

    async fn sweep_everything(&mut self) -> Result<(), Failure> {
        self.clock.advance(Duration::from_secs(3 * 86_400));
        while self.sessions.sweep(SWEPT).await?.more {}
        Ok(())
    }
}

fn engine(store: Arc<dyn SessionStore>, clock: &ManualClock) -> Sessions {
    Sessions::builder(store).policy(Policy::default()).clock(clock.clone()).build()
}

impl Operation {
    /// What it is called, here and in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Resume => "resume",
            Self::ResumeWithTouch => "resume with a touch",
            Self::Login => "login",
            Self::Update => "update of one key",
            Self::Revoke => "revoke",
            Self::RevokeAll => "revoke all of a subject",
            Self::List => "list of a subject",
            Self::Sweep => "sweep of 100",
            Self::LoginsAtOnce => "64 logins at once",
        }
    }

    /// How often it is run.
    pub(crate) fn times(self) -> usize {
        match self {
            Self::Sweep | Self::LoginsAtOnce => 10,
            _ => 20,
        }
    }

    /// Makes what it needs.
    pub(crate) async fn prepare(self, world: &mut World) -> Result<(), Failure> {
        world.issued.clear();
        world.subjects.clear();
        match self {
            Self::Resume | Self::ResumeWithTouch | Self::Update => {
                let visitor = world.visitor().await?;
                world.issued.push(visitor);
            }
            Self::Revoke => {
                for _ in 0..self.times() {
                    let visitor = world.visitor().await?;
                    world.issued.push(visitor);
                }
            }
            Self::RevokeAll => {
                for _ in 0..self.times() {
                    let subject = world.busy_subject().await?;
                    world.subjects.push(subject);
                }
            }
            Self::List => {
                let subject = world.busy_subject().await?;
                world.subjects.push(subject);
            }
            Self::Sweep => {
                world.sweep_everything().await?;
                for _ in 0..self.times() * SWEPT.get() {
                    let subject = world.somebody()?;
                    login(&world.sessions, &subject).await?;
                }
                world.clock.advance(Duration::from_secs(3_600));
            }
            Self::Login | Self::LoginsAtOnce => {}
        }
        Ok(())
    }

    /// Runs it as often as it is run. Nothing else is asked of the store meanwhile.
    pub(crate) async fn run(self, world: &mut World) -> Result<(), Failure> {
        for turn in 0..self.times() {
            self.run_once(world, turn).await?;
        }
        Ok(())
    }

    async fn run_once(self, world: &mut World, turn: usize) -> Result<(), Failure> {
        let sessions = world.sessions.clone();
        match self {
            Self::Resume => expect(sessions.resume(&world.issued[0].token).await?.live().is_some()),
            Self::ResumeWithTouch => {
                world.clock.advance(Duration::from_secs(61));
                expect(sessions.resume(&world.issued[0].token).await?.live().is_some())
            }
            Self::Login => {
                let subject = world.somebody()?;
                login(&sessions, &subject).await.map(drop)
            }
            Self::Update => {
                let session = &world.issued[0].session;
                let edited = sessions.update(session, |data| data.set("turn", world.names)).await?;
                world.names += 1;
                expect(matches!(edited, Answer::Live(_)))
            }
            Self::Revoke => {
                let id = world.issued[turn].session.id();
                let revoked = sessions.revoke(id, Reason::SignedOut, Actor::Subject).await?;
                expect(matches!(revoked, Revoked::Now(_)))
            }
            Self::RevokeAll => {
                let subject = &world.subjects[turn];
                let reason = Reason::CredentialsChanged;
                Ok(sessions.revoke_subject(subject, reason, Actor::Subject).await?)
            }
            Self::List => {
                let subject = world.subjects.first().cloned();
                let page = sessions.list(&Query { subject, ..Query::default() }, None).await?;
                expect(page.sessions.len() == SEVERAL)
            }
            Self::Sweep => expect(sessions.sweep(SWEPT).await?.ended == SWEPT.get()),
            Self::LoginsAtOnce => logins_at_once(world).await,
        }
    }
}

async fn login(sessions: &Sessions, subject: &Subject) -> Result<Issued, Failure> {
    let ticket = sessions.begin_login(subject).await?;
    let issued = sessions.login(&ticket, Login::new("password")).await?.issued();
    issued.ok_or_else(|| "a login was refused".into())
}

async fn logins_at_once(world: &mut World) -> Result<(), Failure> {
    let mut logins = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (sessions, subject) = (world.sessions.clone(), world.somebody()?);
        logins.spawn(async move { login(&sessions, &subject).await.map(drop) });
    }
    while let Some(login) = logins.join_next().await {
        login??;
    }
    Ok(())
}

/// What is counted has to have done its work.
fn expect(holds: bool) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err("an operation has not done what it should".into()) }
}
