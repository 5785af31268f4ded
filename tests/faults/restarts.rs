//! Postgres goes down and comes back while many tasks work through one engine: none of them opens anything again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use postgres_cluster::{Cluster, Mode, Options};
use session_core::{
    Actor, Answer, Data, Error, Issued, LoggedIn, Login, Realm, Reason, Revoked, Session, Sessions,
    StoreErrorKind,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::place;
use crate::report::Report;

const TASKS: usize = 64;

/// The sum of what a call may wait for: a place among the connections, a connection, an answer, and all of it again
/// each time that a change is sent again.
const BOUND: Duration = Duration::from_secs(30);

/// How long it may take until every task has got on with its work.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn postgres_is_restarted_under_load() {
    let mut report = Report::new("postgres", "restarted-under-load");
    // No plug is pulled here: what the processes wrote is there.
    let mut cluster = Options::default().without_fsync().start().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let load = runtime.block_on(Load::start(&cluster.url()));
    runtime.block_on(load.all_get_on());
    let restarts = restarts();
    for restart in 0..restarts {
        go_down(&mut cluster, restart);
        cluster.start_again().unwrap();
        runtime.block_on(load.all_get_on());
    }
    let done = runtime.block_on(load.end());
    report.figure("tasks", TASKS);
    report.figure("restarts", restarts);
    report.figure("acknowledged logins", done.logins);
    report.figure("acknowledged updates", done.updates);
    report.figure("acknowledged ends", done.ends);
    report.figure("updates of unknown outcome", done.unknown);
    report.figure("updates of unknown outcome that were done", done.unknown_done);
    report.figure("calls that found no server", done.unavailable);
    report.figure("longest call, in milliseconds", done.longest);
    report.figure("lost", 0_u64);
    report.figure("done twice", 0_u64);
    report.print();
    report.held(
        "no acknowledged change is lost, none is done twice, and every task goes on by itself after each restart",
    );
}

fn restarts() -> usize {
    std::env::var("SESSION_FAULT_RESTARTS").map_or(6, |restarts| restarts.parse().unwrap())
}

fn go_down(cluster: &mut Cluster, restart: usize) {
    match restart % 3 {
        0 => cluster.stop(Mode::Fast).unwrap(),
        1 => cluster.stop(Mode::Immediate).unwrap(),
        _ => cluster.kill().unwrap(),
    }
}

/// What the tasks have done.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    logins: u64,
    updates: u64,
    ends: u64,
    unknown: u64,
    unknown_done: u64,
    unavailable: u64,
    longest: u64,
}

/// 64 tasks at work, each on sessions of its own and now and then on one that all share.
struct Load {
    sessions: Sessions,
    tasks: JoinSet<Done>,
    shared: Arc<Shared>,
}

struct Shared {
    session: Session,
    acknowledged: AtomicU64,
    unknown: AtomicU64,
    ended: AtomicBool,
    /// How often each task has succeeded.
    successes: Vec<AtomicU64>,
}

impl Load {
    async fn start(url: &str) -> Self {
        let store = place::open(url).await.unwrap();
        let sessions = place::engine(store, &Realm::default());
        let issued = login(&sessions, "everybody").await.unwrap().unwrap();
        let shared = Arc::new(Shared {
            session: issued.session,
            acknowledged: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            successes: (0..TASKS).map(|_| AtomicU64::new(0)).collect(),
        });
        let mut tasks = JoinSet::new();
        for number in 0..TASKS {
            let (sessions, shared) = (sessions.clone(), shared.clone());
            tasks.spawn(Task { number, sessions, shared, done: Done::default() }.work());
        }
        Self { sessions, tasks, shared }
    }

    /// Waits until every task has succeeded once more.
    async fn all_get_on(&self) {
        let now = || self.shared.successes.iter().map(|count| count.load(Ordering::SeqCst));
        let before: Vec<u64> = now().collect();
        let all = async {
            while now().zip(&before).any(|(now, before)| now <= before + 1) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, all).await.expect("every task gets on by itself");
    }

    async fn end(mut self) -> Done {
        self.shared.ended.store(true, Ordering::SeqCst);
        let mut all = Done::default();
        while let Some(done) = self.tasks.join_next().await {
            let done = done.unwrap();
            all.logins += done.logins;
            all.updates += done.updates;
            all.ends += done.ends;
            all.unknown += done.unknown;
            all.unknown_done += done.unknown_done;
            all.unavailable += done.unavailable;
            all.longest = all.longest.max(done.longest);
        }
        let acknowledged = self.shared.acknowledged.load(Ordering::SeqCst);
        let unknown = self.shared.unknown.load(Ordering::SeqCst);
        let count = count(&self.sessions, &self.shared.session).await.unwrap();
        all.unknown_done += within(count, acknowledged, unknown);
        all
    }
}

/// A counter holds what was acknowledged, and of what is unknown each once or not at all. Answers how much of that
/// was done.
fn within(count: u64, acknowledged: u64, unknown: u64) -> u64 {
    assert!(count >= acknowledged, "{} updates are lost", acknowledged - count);
    let more = count - acknowledged;
    assert!(more <= unknown, "{} updates were done twice", more - unknown);
    more
}

/// Why a call has brought nothing.
enum Failed {
    /// It did nothing.
    Unavailable,
    /// It may have done something.
    Unknown,
}

struct Task {
    number: usize,
    sessions: Sessions,
    shared: Arc<Shared>,
    done: Done,
}

impl Task {
    async fn work(mut self) -> Done {
        while !self.is_over() {
            self.one_session().await;
        }
        self.done
    }

    fn is_over(&self) -> bool {
        self.shared.ended.load(Ordering::SeqCst)
    }

    /// Logs in, counts, and ends the session: each until it is acknowledged.
    async fn one_session(&mut self) {
        let name = format!("subject-{}", self.number);
        let issued = loop {
            let sessions = self.sessions.clone();
            if let Ok(issued) = self.call(login(&sessions, &name)).await {
                break issued.expect("nobody revokes this subject");
            }
        };
        self.done.logins += 1;
        let (mut acknowledged, mut unknown) = (0, 0);
        for _ in 0..20 {
            let sessions = self.sessions.clone();
            let of_all = place::random(8) == 0;
            let shared = self.shared.clone();
            let session = if of_all { &shared.session } else { &issued.session };
            let (known, open) = match self.call(sessions.update(session, add)).await {
                Ok(Answer::Live(_)) => (1, 0),
                Ok(answer) => panic!("the session has ended by itself: {answer:?}"),
                Err(Failed::Unknown) => (0, 1),
                Err(Failed::Unavailable) => (0, 0),
            };
            self.done.updates += known;
            self.done.unknown += open;
            if of_all {
                shared.acknowledged.fetch_add(known, Ordering::SeqCst);
                shared.unknown.fetch_add(open, Ordering::SeqCst);
            } else {
                acknowledged += known;
                unknown += open;
            }
        }
        self.count(&issued.session, acknowledged, unknown).await;
        self.end(&issued).await;
    }

    async fn count(&mut self, session: &Session, acknowledged: u64, unknown: u64) {
        loop {
            let sessions = self.sessions.clone();
            if let Ok(found) = self.call(count(&sessions, session)).await {
                self.done.unknown_done += within(found, acknowledged, unknown);
                return;
            }
        }
    }

    async fn end(&mut self, issued: &Issued) {
        let sessions = self.sessions.clone();
        let id = issued.session.id();
        loop {
            let call = sessions.revoke(id, Reason::SignedOut, Actor::Subject);
            match self.call(call).await {
                Ok(Revoked::Now(end) | Revoked::Already(end)) => {
                    assert_eq!(end.reason, Reason::SignedOut);
                    break;
                }
                Ok(Revoked::Absent) => panic!("{id} is not there"),
                Err(_) => {}
            }
        }
        self.done.ends += 1;
        loop {
            match self.call(sessions.resume(&issued.token)).await {
                Ok(Answer::Ended(_)) => return,
                Ok(answer) => panic!("{id} lives again: {answer:?}"),
                Err(_) => {}
            }
        }
    }

    /// Makes a call that must end in time. After one that failed it waits a little, as a caller does who is asked to
    /// try again.
    async fn call<T>(&mut self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Failed> {
        let started = Instant::now();
        let answer = timeout(BOUND, call).await;
        let took = u64::try_from(started.elapsed().as_millis()).unwrap();
        self.done.longest = self.done.longest.max(took);
        let failed = match answer.expect("an answer within the bound") {
            Ok(value) => {
                self.shared.successes[self.number].fetch_add(1, Ordering::SeqCst);
                return Ok(value);
            }
            Err(Error::Store(error)) => match error.kind() {
                StoreErrorKind::Unavailable | StoreErrorKind::Overloaded => Failed::Unavailable,
                StoreErrorKind::OutcomeUnknown => Failed::Unknown,
                _ => panic!("{error}"),
            },
            Err(error) => panic!("{error}"),
        };
        self.done.unavailable += u64::from(matches!(failed, Failed::Unavailable));
        tokio::time::sleep(Duration::from_millis(5)).await;
        Err(failed)
    }
}

/// `None` if the sessions of the subject were ended meanwhile.
async fn login(sessions: &Sessions, subject: &str) -> Result<Option<Issued>, Error> {
    let ticket = sessions.begin_login(&place::subject(subject)).await?;
    let mut data = Data::default();
    data.set("count", 0).unwrap();
    match sessions.login(&ticket, Login::new("password").data(data)).await? {
        LoggedIn::Issued(issued, _) => Ok(Some(issued)),
        _ => Ok(None),
    }
}

fn add(data: &mut Data) {
    let count = data.get::<u64>("count").unwrap().unwrap();
    data.set("count", count + 1).unwrap();
}

/// What the counter of a session holds.
async fn count(sessions: &Sessions, session: &Session) -> Result<u64, Error> {
    match sessions.check(session).await? {
        Answer::Live(session) => Ok(session.get("count").unwrap().unwrap()),
        answer => panic!("a session that was acknowledged and not ended: {answer:?}"),
    }
}
