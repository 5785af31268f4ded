//! A caller that goes away in the middle of a command: at every point where it waits, over one connection.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use session_core::{
    Actor, Answer, Error, Issued, LoggedIn, Login, NewSession, Query, Realm, Reason, Sessions,
};
use session_postgres::PostgresStore;

use super::rig::Rig;
use crate::look::Found;
use crate::place;
use crate::report::Report;
use crate::server::PATIENCE;

/// What an application asks of the engine.
#[derive(Clone, Copy, Debug)]
enum Command {
    Login,
    Resume,
    Update,
    Rotate,
    Revoke,
    RevokeSubject,
    RevokeOthers,
    List,
    History,
    Sweep,
    Create,
}

const ALL: [Command; 11] = [
    Command::Login,
    Command::Resume,
    Command::Update,
    Command::Rotate,
    Command::Revoke,
    Command::RevokeSubject,
    Command::RevokeOthers,
    Command::List,
    Command::History,
    Command::Sweep,
    Command::Create,
];

const ALICE: &str = "alice";

impl Command {
    async fn run(self, sessions: &Sessions, issued: &Issued) -> Result<(), Error> {
        let alice = place::subject(ALICE);
        let Issued { token, session } = issued;
        match self {
            Self::Login => drop(login(sessions).await?),
            Self::Resume => drop(sessions.resume(token).await?),
            Self::Update => {
                let add = |data: &mut session_core::Data| data.set("count", 1).unwrap();
                let _ = sessions.update(session, add).await?;
            }
            Self::Rotate => drop(sessions.rotate(session).await?),
            Self::Revoke => {
                let _ = sessions.revoke(session.id(), Reason::SignedOut, Actor::Subject).await?;
            }
            Self::RevokeSubject => {
                sessions.revoke_subject(&alice, Reason::RoleChanged, Actor::System).await?;
            }
            Self::RevokeOthers => {
                let reason = Reason::EndedByOwner;
                let _ = sessions.revoke_others(session, reason, Actor::Subject).await?;
            }
            Self::List => drop(sessions.list(&Query::default(), None).await?),
            Self::History => drop(sessions.history(&Default::default(), None).await?),
            Self::Sweep => drop(sessions.sweep(10.try_into().unwrap()).await?),
            Self::Create => drop(sessions.create(NewSession::default()).await?),
        }
        Ok(())
    }
}

async fn login(sessions: &Sessions) -> Result<Issued, Error> {
    let ticket = sessions.begin_login(&place::subject(ALICE)).await?;
    let mut data = session_core::Data::default();
    data.set("count", 0).unwrap();
    let login = Login::new("password").class(place::one()).data(data);
    match sessions.login(&ticket, login).await? {
        LoggedIn::Issued(issued, _) => Ok(issued),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_goes_away_leaves_nothing_open_and_nothing_half_done() {
    let mut report = Report::new("postgres", "dropped");
    let rig = Rig::new("drops").await;
    let store = PostgresStore::open_with(&rig.options()).await.unwrap();
    let store: std::sync::Arc<dyn session_core::SessionStore> = std::sync::Arc::new(store);
    let mut drops = 0_u64;
    for command in ALL {
        // At each point where it waits; and then at moments that nobody has chosen.
        let mut polls = 0;
        loop {
            polls += 1;
            if !drop_once(&rig, &store, command, Moment::Polls(polls)).await {
                break;
            }
            drops += 1;
            assert!(polls < 1_000, "{command:?} waits for ever");
        }
        for _ in 0..moments() {
            let after = std::time::Duration::from_micros(place::random(2_000));
            drops += u64::from(drop_once(&rig, &store, command, Moment::After(after)).await);
        }
    }
    drop(store);
    rig.end().await;
    report.figure("commands", ALL.len());
    report.figure("drops", drops);
    report.figure("transactions left open", 0_u64);
    report.print();
    report.held(
        "a dropped call leaves no open transaction and no connection that cannot be used, and its change \
         is whole or absent",
    );
}

/// How often each command is dropped at a random moment.
fn moments() -> usize {
    std::env::var("SESSION_FAULT_KILLS").map_or(20, |kills| kills.parse().unwrap())
}

#[derive(Clone, Copy, Debug)]
enum Moment {
    /// When it waits for the so-many-eth time.
    Polls(usize),
    After(std::time::Duration),
}

/// Whether the command was dropped before it was done.
async fn drop_once(
    rig: &Rig,
    store: &std::sync::Arc<dyn session_core::SessionStore>,
    command: Command,
    moment: Moment,
) -> bool {
    let realm: Realm = place::realm(&format!("drop-{:016x}", place::random(u64::MAX)));
    let direct = place::engine(rig.direct.clone(), &realm);
    login(&direct).await.unwrap();
    let issued = login(&direct).await.unwrap();
    let sessions = place::engine(store.clone(), &realm);

    let answer = match moment {
        Moment::Polls(polls) => drop_at(command.run(&sessions, &issued), polls).await,
        Moment::After(after) => {
            tokio::time::timeout(after, command.run(&sessions, &issued)).await.ok()
        }
    };
    let dropped = answer.is_none();
    if let Some(answer) = answer {
        answer.unwrap();
    }
    let next = tokio::time::timeout(PATIENCE, sessions.find(issued.session.id())).await;
    let next = next.unwrap_or_else(|_| panic!("{command:?} has taken the connection with it"));
    assert!(next.is_ok(), "after {command:?}, {moment:?}: {next:?}");
    rig.settled().await;
    if !matches!(command, Command::Create) {
        let found = Found::look(&*rig.direct, &realm).await.unwrap();
        assert_eq!(found.odd, Vec::<String>::new(), "{command:?}, {moment:?}");
        let live = found.rows.values().filter(|row| row.ended.is_none()).count();
        assert!(live <= 1, "{command:?}, {moment:?}: {live} live");
    }
    // And the command itself, asked again by somebody who stays.
    let again = command.run(&sessions, &issued).await;
    assert!(again.is_ok(), "{command:?}, {moment:?}: {again:?}");
    if let Command::RevokeSubject | Command::Revoke = command {
        let answer = sessions.resume(&issued.token).await.unwrap();
        assert!(matches!(answer, Answer::Ended(_)), "{command:?}: {answer:?}");
    }
    dropped
}

/// Drops a future when it waits for the so-many-eth time.
async fn drop_at<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => {
            left -= 1;
            if left == 0 { Poll::Ready(None) } else { Poll::Pending }
        }
    })
    .await
}
