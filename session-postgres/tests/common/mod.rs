//! What several of the tests need: a server, a runtime, and a schema for each test.
#![allow(dead_code, reason = "each test uses some of it")]

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use session_core::conformance::{BoxFuture, Harness, Runner};
use session_core::store::Touch;
use session_core::{
    Actor, Change, ChangeId, ClassName, DataWrite, EncodedData, End, Event, EventKind, Fence,
    Limits, Realm, Reason, Record, Replacement, SecretHash, SessionId, SessionStore, Subject,
    SystemRandom, Timestamp,
};
use session_postgres::{PostgresOptions, PostgresStore};
use tokio::runtime::Runtime;
use tokio_postgres::NoTls;

/// The runtime of all tests of a program: connections are tasks of it.
pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap()
});

/// Runs a future from a thread of a test.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.block_on(future)
}

#[derive(Debug)]
pub(crate) struct OnTokio;

impl Runner for OnTokio {
    fn block_on(&self, future: BoxFuture<'_, ()>) {
        RUNTIME.block_on(future);
    }
}

/// The server that the tests use, with a role that may make schemas, roles and databases.
pub(crate) fn server_url() -> String {
    std::env::var("SESSION_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!(
            "these tests need a Postgres server: set SESSION_TEST_POSTGRES to the URL of one that may be played \
             with, as postgres://postgres@127.0.0.1:5432/postgres, whose role is a superuser"
        )
    })
}

/// A schema that nobody else uses; with everything in it, it is gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) name: String,
}

impl Schema {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { name: format!("test_{}_{number}", std::process::id()) }
    }

    pub(crate) fn options(&self) -> PostgresOptions {
        self.options_of(&server_url())
    }

    pub(crate) fn options_of(&self, url: &str) -> PostgresOptions {
        PostgresOptions::new(url).unwrap().schema(&self.name)
    }

    pub(crate) fn open(&self) -> PostgresStore {
        run(PostgresStore::open_with(&self.options())).unwrap()
    }

    /// Statements behind the store's back.
    pub(crate) fn execute(&self, sql: &str) {
        let sql = self.named(sql);
        run(async { client().await.batch_execute(&sql).await }).unwrap();
    }

    /// The text of statements in which `$S` stands for the schema.
    pub(crate) fn named(&self, sql: &str) -> String {
        sql.replace("$S", &format!("\"{}\"", self.name.replace('"', "\"\"")))
    }
}

/// A store that the cases of one mode share: each has a realm of its own. It is gone with the last of them.
pub(crate) struct Shared {
    store: Mutex<Weak<(Arc<PostgresStore>, Schema)>>,
}

impl Shared {
    pub(crate) const fn new() -> Self {
        Self { store: Mutex::new(Weak::new()) }
    }

    pub(crate) fn harness(&self, options: impl FnOnce(&Schema) -> PostgresOptions) -> Harness {
        let mut known = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = known.upgrade().unwrap_or_else(|| {
            let schema = Schema::new();
            let options = options(&schema);
            let store = run(PostgresStore::open_with(&options)).unwrap();
            Arc::new((Arc::new(store), schema))
        });
        *known = Arc::downgrade(&shared);
        let damage = shared.1.named(
            "UPDATE $S.sessions SET class = 'two words' WHERE realm = $1 AND id = $2::text::uuid",
        );
        let store: Arc<dyn SessionStore> = Arc::clone(&shared.0) as _;
        let harness = Harness::from(store).with_runner(OnTokio).keeping(shared);
        harness.corruptible(move |realm, id| {
            let damage = damage.clone();
            async move {
                let id = id.to_string();
                let damaged = client().await.execute(&damage, &[&realm.as_str(), &id]).await;
                assert_eq!(damaged.unwrap(), 1);
            }
        })
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let sql = self.named("DROP SCHEMA IF EXISTS $S CASCADE");
        // It may be dropped where a runtime runs already.
        let gone =
            std::thread::spawn(move || run(async { client().await.batch_execute(&sql).await }));
        gone.join().unwrap().unwrap();
    }
}

/// A role whose password is `app`, and which is gone when this is dropped.
pub(crate) struct Role(pub(crate) String);

impl Role {
    /// The server's URL for this role.
    pub(crate) fn url(&self) -> String {
        let url = server_url();
        let (_, server) = url.split_once("://").unwrap();
        let server = server.rsplit_once('@').map_or(server, |(_, server)| server);
        format!("postgres://{}:app@{server}", self.0)
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let sql = format!("DROP OWNED BY {0}; DROP ROLE {0}", self.0);
        run(async { client().await.batch_execute(&sql).await }).unwrap();
    }
}

/// A database of the test's own, which is gone when this is dropped.
pub(crate) struct Database(pub(crate) String);

impl Database {
    /// Made with these options of `CREATE DATABASE`.
    pub(crate) fn new(options: &str) -> Self {
        let database = Self(Schema::new().name.clone());
        let sql = format!("CREATE DATABASE {} {options}", database.0);
        run(async { client().await.batch_execute(&sql).await }).unwrap();
        database
    }

    /// The server's URL for this database.
    pub(crate) fn url(&self) -> String {
        let url = server_url();
        let (before, query) = url.split_once('?').unwrap_or((&url, ""));
        let (server, _) = before.rsplit_once('/').unwrap();
        format!("{server}/{}?{query}", self.0)
    }

    /// Statements in it.
    pub(crate) fn execute(&self, sql: &str) {
        run(async { client_of(&self.url()).await.batch_execute(sql).await }).unwrap();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE {} WITH (FORCE)", self.0);
        run(async { client().await.batch_execute(&sql).await }).unwrap();
    }
}

/// A connection of the test's own.
pub(crate) async fn client() -> tokio_postgres::Client {
    client_of(&server_url()).await
}

pub(crate) async fn client_of(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    RUNTIME.spawn(connection);
    client
}

/// A URL with one more option.
pub(crate) fn with_option(url: &str, option: &str) -> String {
    format!("{url}{}{option}", if url.contains('?') { '&' } else { '?' })
}

pub(crate) const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

pub(crate) fn realm() -> Realm {
    Realm::default()
}

pub(crate) fn subject(name: &str) -> Subject {
    Subject::new(name).unwrap()
}

pub(crate) fn change() -> Change {
    Change::new(ChangeId::new(&SystemRandom).unwrap())
}

/// A session of its own, nobody's.
pub(crate) fn record() -> Record {
    let limits = Limits { absolute_timeout: Some(Duration::from_secs(3_600)), ..Limits::NONE };
    let mut record = Record::new(
        SessionId::new(START, &SystemRandom).unwrap(),
        SecretHash::from_bytes([7; 32]),
        ClassName::new("browser").unwrap(),
        limits,
        START,
    );
    record.due_at = START + Duration::from_secs(3_600);
    record
}

pub(crate) fn record_of(name: &str) -> Record {
    Record { subject: Some(subject(name)), ..record() }
}

pub(crate) fn event(record: &Record, kind: EventKind) -> Event {
    Event {
        session: Some(record.id),
        subject: record.subject.clone(),
        ..Event::new(kind, Actor::Subject, START)
    }
}

/// An insert of an anonymous session with some data, and its event.
pub(crate) fn insert(record: &Record) -> Change {
    change()
        .insert(record.clone(), Some(EncodedData::from_stored(r#"{"note":"kept"}"#)))
        .event(event(record, EventKind::Issued))
}

/// The login of a subject whose mark has this version.
pub(crate) fn login(record: &Record, version: u64) -> Change {
    let subject = record.subject.clone().unwrap();
    change()
        .insert_fenced(record.clone(), None, &Fence { subject, version })
        .event(event(record, EventKind::LoggedIn))
}

/// The end of a session of the first version.
pub(crate) fn revocation(record: &Record) -> Change {
    let end = End {
        reason: Reason::SignedOut,
        actor: Actor::Subject,
        at: START,
        observed_at: START,
        purge_at: START + Duration::from_secs(7_200),
    };
    change()
        .replace(Replacement {
            record: Record { end: Some(end), ..record.clone() },
            expected: 1,
            data: DataWrite::Drop,
            decided_on: None,
        })
        .event(event(record, EventKind::Ended))
}

/// Activity so many seconds after the start, whatever was before.
pub(crate) fn touch(record: &Record, seconds: u64) -> Touch {
    let seen_at = START + Duration::from_secs(seconds);
    Touch {
        id: record.id,
        slot: 0,
        seen_at,
        if_after: START - Duration::from_secs(1),
        if_before: seen_at,
    }
}
