//! The engine sends again what was cut off: its caller sees a success, and it is done once.

use std::sync::Arc;

use session_core::{Actor, Answer, Data, Error, Issued, Login, Reason, Revoked, Sessions};
use session_postgres::PostgresStore;

use super::cuts::{places, since};
use super::proxy::Way;
use super::rig::Rig;
use crate::look::Found;
use crate::place;
use crate::report::Report;

/// What an application asks, that is decided once: sent twice, it must not be done twice.
#[derive(Clone, Copy, Debug)]
enum Command {
    Login,
    Update,
    Rotate,
    Revoke,
    RevokeSubject,
}

const ALL: [Command; 5] =
    [Command::Login, Command::Update, Command::Rotate, Command::Revoke, Command::RevokeSubject];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_that_the_engine_can_mend_is_no_failure() {
    let mut report = Report::new("postgres", "mended");
    let rig = Rig::new("retries").await;
    let store = Arc::new(PostgresStore::open_with(&rig.options()).await.unwrap());
    let mut bench = Bench { rig, store, number: 0 };
    let mut cuts = 0_u64;
    for command in ALL {
        let exchanged = bench.run(command, None).await;
        for place in places(exchanged, 7) {
            bench.run(command, Some(place)).await;
            cuts += 1;
        }
    }
    let Bench { rig, store, .. } = bench;
    drop(store);
    rig.end().await;
    report.figure("commands", ALL.len());
    report.figure("cuts", cuts);
    report.figure("failures", 0_u64);
    report.figure("done twice", 0_u64);
    report.print();
    report.held(
        "a connection that is cut once, anywhere in a command, costs its caller nothing, and the command \
         is done once",
    );
}

struct Bench {
    rig: Rig,
    store: Arc<PostgresStore>,
    number: usize,
}

impl Bench {
    /// Runs a command, cut or not, and looks at what it did. Answers how many bytes it took each way.
    async fn run(&mut self, command: Command, cut: Option<(Way, u64)>) -> [u64; 2] {
        self.number += 1;
        let realm = place::realm(&format!("{command:?}-{:06}", self.number));
        let direct = place::engine(self.rig.direct.clone(), &realm);
        let issued = login(&direct).await.unwrap();
        let sessions = place::engine(self.store.clone(), &realm);
        // Each run finds a connection that has just been made.
        self.rig.proxy.sever();
        self.rig.settled().await;
        assert!(sessions.find(issued.session.id()).await.unwrap().is_some());
        let before = self.rig.passed();
        if let Some((way, after)) = cut {
            self.rig.proxy.cut_after(way, after);
        }
        let answer = command.run(&sessions, &issued).await;
        let exchanged = since(before, self.rig.passed());
        self.rig.proxy.was_cut();
        if let Err(error) = answer {
            panic!("{command:?} cut at {cut:?}: {error}");
        }

        let found = Found::look(&*self.rig.direct, &realm).await.unwrap();
        assert_eq!(found.odd, Vec::<String>::new(), "{command:?} cut at {cut:?}");
        let row = &found.rows[&issued.session.id()];
        let mark = found.marks.values().next().unwrap();
        let opens = found.opens(&issued.token.expose(), row);
        let is = (found.rows.len(), row.count, row.ended.as_deref(), mark.version, opens);
        let expected = match command {
            Command::Login => (2, Some(0), None, 2, true),
            Command::Update => (1, Some(1), None, 1, true),
            Command::Rotate => (1, Some(0), None, 1, false),
            Command::Revoke => (1, None, Some("signed_out"), 1, true),
            Command::RevokeSubject => (1, Some(0), Some("role_changed"), 2, true),
        };
        assert_eq!(is, expected, "{command:?} cut at {cut:?}");
        exchanged
    }
}

impl Command {
    async fn run(self, sessions: &Sessions, issued: &Issued) -> Result<(), Error> {
        let Issued { session, .. } = issued;
        match self {
            Self::Login => drop(login(sessions).await?),
            Self::Update => {
                let add = |data: &mut Data| {
                    let count = data.get::<u64>("count").unwrap().unwrap();
                    data.set("count", count + 1).unwrap();
                };
                assert!(matches!(sessions.update(session, add).await?, Answer::Live(_)));
            }
            Self::Rotate => assert!(matches!(sessions.rotate(session).await?, Answer::Live(_))),
            Self::Revoke => {
                let revoked = sessions.revoke(session.id(), Reason::SignedOut, Actor::Subject);
                assert!(matches!(revoked.await?, Revoked::Now(_)));
            }
            Self::RevokeSubject => {
                let (subject, reason) = (place::subject("alice"), Reason::RoleChanged);
                sessions.revoke_subject(&subject, reason, Actor::System).await?;
            }
        }
        Ok(())
    }
}

async fn login(sessions: &Sessions) -> Result<Issued, Error> {
    let ticket = sessions.begin_login(&place::subject("alice")).await?;
    let mut data = Data::default();
    data.set("count", 0).unwrap();
    let issued = sessions.login(&ticket, Login::new("password").data(data)).await?;
    Ok(issued.issued().unwrap())
}
