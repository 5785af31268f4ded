//! Two processes, each with an engine of its own, over one store.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use postgres_cluster::Options;
use serde::{Deserialize, Serialize};
use session_core::{
    Actor, Answer, EventKind, Issued, LoggedIn, Login, Query, Realm, Reason, Revoked, SessionId,
    SessionToken, Sessions,
};
use tempfile::TempDir;

use crate::look::Found;
use crate::report::Report;
use crate::{child, place};

#[test]
fn two_over_one_sqlite_file() {
    let directory = TempDir::new().unwrap();
    let url = format!("sqlite://{}", directory.path().join("sessions.db").display());
    share("sqlite", &url);
}

#[test]
fn two_over_one_postgres() {
    let server = Options::default().without_fsync().start().unwrap();
    share("postgres", &server.url());
}

/// What the parent asks of a process.
#[derive(Debug, Serialize, Deserialize)]
enum Ask {
    Login { subject: String },
    Resume { token: String },
    Revoke { id: SessionId },
    RevokeSubject { subject: String },
    Race,
}

/// What it answers.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Told {
    Token(String),
    Live,
    Ended(String),
    Done,
    Raced { logins: u64, ends: u64, raises: u64 },
}

const TASKS: usize = 4;
const LOGINS: u64 = 40;
const ROUNDS: usize = 20;

/// Does what it is asked, until nobody asks any more.
pub(crate) async fn obey(url: &str) {
    let sessions = place::engine(place::open(url).await.unwrap(), &Realm::default());
    for line in std::io::stdin().lines() {
        let told = answer(&sessions, serde_json::from_str(&line.unwrap()).unwrap()).await;
        println!("\n{}", serde_json::to_string(&told).unwrap());
    }
}

async fn answer(sessions: &Sessions, ask: Ask) -> Told {
    match ask {
        Ask::Login { subject } => {
            let issued = login(sessions, &subject).await.unwrap();
            Told::Token(issued.token.expose().to_string())
        }
        Ask::Resume { token } => {
            match sessions.resume(&SessionToken::parse(&token).unwrap()).await.unwrap() {
                Answer::Live(_) => Told::Live,
                Answer::Ended(end) => Told::Ended(end.reason.code().into()),
                Answer::Absent => panic!("the session is not there"),
            }
        }
        Ask::Revoke { id } => {
            let revoked = sessions.revoke(id, Reason::SignedOut, Actor::Subject).await.unwrap();
            assert!(matches!(revoked, Revoked::Now(_)), "{revoked:?}");
            Told::Done
        }
        Ask::RevokeSubject { subject } => {
            let subject = place::subject(&subject);
            let reason = Reason::CredentialsChanged;
            sessions.revoke_subject(&subject, reason, Actor::System).await.unwrap();
            Told::Done
        }
        Ask::Race => {
            let racers: Vec<_> = (0..TASKS).map(|_| tokio::spawn(race(sessions.clone()))).collect();
            let (mut logins, mut ends, mut raises) = (0, 0, 0);
            for racer in racers {
                let (logged_in, ended, raised) = racer.await.unwrap();
                logins += logged_in;
                ends += ended;
                raises += raised;
            }
            Told::Raced { logins, ends, raises }
        }
    }
}

/// Logs in under a limit of one session. `None` if all sessions of the subject were ended meanwhile.
async fn login(sessions: &Sessions, subject: &str) -> Option<Issued> {
    let ticket = sessions.begin_login(&place::subject(subject)).await.unwrap();
    let mut data = session_core::Data::default();
    data.set("count", 0).unwrap();
    let login = Login::new("password").class(place::one()).data(data);
    match sessions.login(&ticket, login).await.unwrap() {
        LoggedIn::Issued(issued, _) => Some(issued),
        LoggedIn::CredentialsChanged => None,
        LoggedIn::LimitReached { live } => panic!("{live} live, and the oldest gives way"),
    }
}

/// The same subject logs in again and again, and his sessions are ended. Answers how many logins, ends and raises
/// were acknowledged.
async fn race(sessions: Sessions) -> (u64, u64, u64) {
    let (mut logins, mut ends, mut raises) = (0, 0, 0);
    while logins < LOGINS {
        let Some(issued) = login(&sessions, EVERYBODY).await else { continue };
        logins += 1;
        let id = issued.session.id();
        match place::random(8) {
            0..3 => match sessions.revoke(id, Reason::SignedOut, Actor::Subject).await.unwrap() {
                Revoked::Now(_) => ends += 1,
                Revoked::Already(end) => assert_ne!(end.reason, Reason::SignedOut),
                Revoked::Absent => panic!("{id} is not there"),
            },
            3 => {
                let (subject, reason) = (place::subject(EVERYBODY), Reason::CredentialsChanged);
                sessions.revoke_subject(&subject, reason, Actor::System).await.unwrap();
                raises += 1;
            }
            _ => {}
        }
    }
    (logins, ends, raises)
}

const EVERYBODY: &str = "everybody";

fn share(store: &'static str, url: &str) {
    let mut report = Report::new(store, "two-processes");
    let mut peers = [Peer::start(url), Peer::start(url)];
    for round in 0..ROUNDS {
        let [one, other] = peers.each_mut();
        let (one, other) = if round % 2 == 0 { (one, other) } else { (other, one) };
        tell_each_other(one, other);
    }

    for peer in &mut peers {
        peer.ask(&Ask::Race);
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = runtime.block_on(place::open(url)).unwrap();
    let sessions = place::engine(store.clone(), &Realm::default());
    let (mut logins, mut ends, mut raises, mut looks) = (0, 0, 0, 0);
    for peer in &peers {
        let told = loop {
            // At no moment do two of them live.
            let query = Query { subject: Some(place::subject(EVERYBODY)), ..Query::default() };
            let page = runtime.block_on(sessions.list(&query, None)).unwrap();
            assert!(page.sessions.len() <= 1, "{:?}", page.sessions);
            looks += 1;
            if let Ok(told) = peer.lines.try_recv() {
                break told;
            }
        };
        let Told::Raced { logins: logged_in, ends: ended, raises: raised } = told else {
            panic!("{told:?}")
        };
        logins += logged_in;
        ends += ended;
        raises += raised;
    }
    peers.into_iter().for_each(Peer::end);

    let realm = Realm::default();
    let found = runtime.block_on(Found::look(&*store, &realm)).unwrap();
    assert_eq!(found.odd, Vec::<String>::new());
    let subject = place::subject(EVERYBODY);
    let of_his = found.rows.values().filter(|row| row.record.subject.as_ref() == Some(&subject));
    let count = |number: usize| u64::try_from(number).unwrap();
    assert_eq!(count(of_his.clone().count()), logins);
    assert_eq!(count(found.told(&subject, &EventKind::LoggedIn)), logins);
    assert_eq!(count(found.told(&subject, &EventKind::SubjectRevoked)), raises);
    let signed_out = |reason: &Option<String>| reason.as_deref() == Some("signed_out");
    assert_eq!(count(of_his.filter(|row| signed_out(&row.ended)).count()), ends);
    let mark = &found.marks[&subject];
    assert_eq!((mark.version, mark.epoch), (logins + raises, raises));

    report.figure("acknowledged logins under a limit of one", logins);
    report.figure("acknowledged ends", ends);
    report.figure("acknowledged ends of all of a subject", raises);
    report.figure("looks at the limit meanwhile", looks);
    report.figure("ends seen at once by the other process", count(ROUNDS * 2));
    report.print();
    report.held(
        "the limit holds across processes, what one ends is ended at the next resume in the other, and \
         nothing is lost",
    );
}

/// What one process does, the other sees at its next call.
fn tell_each_other(one: &mut Peer, other: &mut Peer) {
    let subject = || "alice".to_owned();
    let Told::Token(token) = one.answer(&Ask::Login { subject: subject() }) else { panic!() };
    let id = SessionToken::parse(&token).unwrap().id();
    let resume = Ask::Resume { token };
    assert_eq!(other.answer(&resume), Told::Live);
    assert_eq!(one.answer(&Ask::Revoke { id }), Told::Done);
    assert_eq!(other.answer(&resume), Told::Ended("signed_out".into()));

    let Told::Token(token) = other.answer(&Ask::Login { subject: subject() }) else { panic!() };
    let resume = Ask::Resume { token };
    assert_eq!(one.answer(&resume), Told::Live);
    assert_eq!(other.answer(&Ask::RevokeSubject { subject: subject() }), Told::Done);
    assert_eq!(one.answer(&resume), Told::Ended("credentials_changed".into()));
}

/// A process that obeys.
struct Peer {
    child: Child,
    asks: ChildStdin,
    lines: Receiver<Told>,
}

const PATIENCE: Duration = Duration::from_secs(60);

impl Peer {
    fn start(url: &str) -> Self {
        let mut child = child::start("obey", url, &[]);
        let asks = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || {
            // The harness says something too.
            let told = stdout.lines().map_while(Result::ok);
            for told in told.filter_map(|line| serde_json::from_str(&line).ok()) {
                if send.send(told).is_err() {
                    break;
                }
            }
        });
        Self { child, asks, lines }
    }

    fn ask(&mut self, ask: &Ask) {
        writeln!(self.asks, "{}", serde_json::to_string(ask).unwrap()).unwrap();
    }

    fn answer(&mut self, ask: &Ask) -> Told {
        self.ask(ask);
        self.lines.recv_timeout(PATIENCE).expect("an answer of the other process")
    }

    /// Asks nothing more: so it ends.
    fn end(self) {
        let Self { mut child, asks, lines } = self;
        drop(asks);
        assert!(lines.recv_timeout(PATIENCE).is_err());
        assert!(child.wait().unwrap().success());
    }
}
