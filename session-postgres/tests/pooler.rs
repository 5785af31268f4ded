//! The contract through PgBouncer, which hands each transaction to another connection.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use common::{Schema, Shared, client, insert, realm, record, run, server_url};
use session_core::conformance::CASES;
use session_core::{SessionStore, StoreErrorKind};
use session_postgres::PostgresStore;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// A PgBouncer that ends when this is dropped.
struct Pooler {
    process: Child,
    url: String,
    // It holds the settings, a password among them.
    _directory: tempfile::TempDir,
}

impl Pooler {
    /// Three connections to the server, for however many to the pooler.
    fn start(more_settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = directory.path().join("pgbouncer.ini");
        fs::write(&settings, settings_for(port) + more_settings).unwrap();
        let mut command = Command::new("pgbouncer");
        // It refuses to run as root.
        if is_root() {
            readable_by_all(directory.path());
            readable_by_all(&settings);
            command.args(["-u", "nobody"]);
        }
        let process = command
            .arg(&settings)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "this test needs the program pgbouncer in the PATH ({error}): install the package pgbouncer"
                )
            });
        let url = format!("postgres://pooled@127.0.0.1:{port}/pooled");
        let pooler = Self { process, url, _directory: directory };
        run(async {
            // Until it listens.
            for _ in 0..1_000 {
                if tokio_postgres::connect(&pooler.url, tokio_postgres::NoTls).await.is_ok() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            panic!("pgbouncer does not answer");
        });
        pooler
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn settings_for(port: u16) -> String {
    let server: Config = server_url().parse().unwrap();
    let host = match server.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => panic!("the URL of the server names no host"),
    };
    let password = server.get_password().map_or(String::new(), |bytes| {
        format!(" password={}", std::str::from_utf8(bytes).unwrap())
    });
    format!(
        "[databases]\n\
         pooled = host={host} port={} dbname={} user={}{password}\n\
         [pgbouncer]\n\
         listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
         pool_mode = transaction\ndefault_pool_size = 3\nmax_client_conn = 500\n",
        server.get_ports().first().unwrap_or(&5432),
        server.get_dbname().unwrap_or("postgres"),
        server.get_user().unwrap(),
    )
}

fn is_root() -> bool {
    let answer = Command::new("id").arg("-u").output().unwrap();
    answer.stdout.starts_with(b"0")
}

fn readable_by_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = if path.is_dir() { 0o755 } else { 0o644 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn every_case_passes_through_a_transaction_pooler() {
    let pooler = Pooler::start("");
    let schema = Schema::new();

    // Told nothing of the pooler, a store asks for settings that it refuses.
    let error = run(PostgresStore::open_with(&schema.options_of(&pooler.url))).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("transaction_pooler(true)"), "{error}");

    let shared = Shared::new();
    let harness = shared.harness(|schema| schema.options_of(&pooler.url).transaction_pooler(true));
    let left = Mutex::new(CASES.iter());
    let next = || left.lock().unwrap().next();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(case) = next() {
                    println!("{}", case.name());
                    case.run(&harness);
                }
            });
        }
    });
    assert!(next().is_none());
}

#[test]
fn a_write_that_the_pooler_gives_up_is_unknown() {
    let pooler = Pooler::start("query_timeout = 1\n");
    let schema = Schema::new();
    let options = schema.options_of(&pooler.url).transaction_pooler(true);
    let store = run(PostgresStore::open_with(&options)).unwrap();
    run(async {
        let mut other = client().await;
        let held = other.transaction().await.unwrap();
        // Against writers alone: this has no number of a transaction, which readers of events would wait for.
        let lock = schema.named("LOCK TABLE $S.sessions IN EXCLUSIVE MODE");
        held.batch_execute(&lock).await.unwrap();
        let change = insert(&record());
        let error = store.commit(&realm(), &change).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::OutcomeUnknown, "{error}");
        assert!(store.load(&realm(), record().id).await.unwrap().is_none(), "it goes on");
        held.rollback().await.unwrap();
        assert!(store.commit(&realm(), &change).await.unwrap().is_applied());
    });
}
