//! The command of the README: what it prints, that a person can sign in, and how it stops.
#![cfg(unix)]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use postgres_cluster::Schema;

use crate::schema;
use crate::stores::assert_nowhere;
use crate::visitor::{Visitor, reason};

/// Long enough for the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Portal {
    child: Child,
    lines: Receiver<String>,
    printed: Vec<String>,
}

impl Portal {
    /// Starts it on a free port, and waits until it says that it is ready.
    fn start(directory: &Path, options: &[&str]) -> Self {
        let mut child = command(directory).args(options).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        let mut portal = Self { child, lines, printed: Vec::new() };
        while !portal.printed.last().is_some_and(|line| line.starts_with("ready")) {
            let line = portal.lines.recv_timeout(PATIENCE).expect("a line, until it is ready");
            portal.printed.push(line);
        }
        portal
    }

    /// What stands after a word, on the one line that begins with it.
    fn said(&self, word: &str) -> &str {
        let line = self.printed.iter().find_map(|line| line.strip_prefix(word));
        line.unwrap_or_else(|| panic!("{word:?} in {:#?}", self.printed)).trim()
    }

    /// Asks it to stop, as a service manager does.
    fn stop(mut self) -> ExitStatus {
        let kill = format!("kill -TERM {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        // Its output ends when it does.
        while self.lines.recv_timeout(PATIENCE).is_ok() {}
        self.child.wait().unwrap()
    }
}

impl Drop for Portal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The built example, in a directory of its own.
fn command(directory: &Path) -> Command {
    let mut command = Command::new(program());
    command.current_dir(directory).args(["--listen", "127.0.0.1:0"]);
    command.env_remove("PORTAL_PASSWORD").stdin(Stdio::null());
    command
}

/// Where cargo puts the example, once it is up to date: `cargo test --test portal` alone does not build it.
fn program() -> PathBuf {
    static BUILT: std::sync::Once = std::sync::Once::new();
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    BUILT.call_once(|| {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--example", "portal", "--manifest-path"]);
        build.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        build.arg("--target-dir").arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success());
    });
    profile.join("examples").join("portal")
}

#[test]
fn on_sqlite_it_serves_stops_and_goes_on_where_it_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let store = format!("sqlite://{}", directory.path().join("sessions.db").display());
    it_serves_stops_and_goes_on(directory.path(), &store, &store, |token, secrets| {
        // With the changes that still stand in the log of the database.
        assert!(directory.path().join("sessions.db-wal").is_file());
        assert_nowhere(directory.path(), &[token], secrets);
    });
}

#[test]
fn on_sled_it_serves_stops_and_goes_on_where_it_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let store = format!("sled://{}", directory.path().join("sessions").display());
    it_serves_stops_and_goes_on(directory.path(), &store, &store, |token, secrets| {
        assert!(directory.path().join("sessions/db").is_file());
        assert_nowhere(directory.path(), &[token], secrets);
    });
}

#[test]
fn on_postgres_it_serves_stops_and_goes_on_where_it_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let schema = Schema::new("portal");
    let store = schema.url();
    it_serves_stops_and_goes_on(
        directory.path(),
        &store,
        "postgres://\u{2026}",
        |token, secrets| {
            schema::assert_nowhere(&schema, &[token], secrets);
        },
    );
}

/// `shown`: what it says of the store. `look`: at what is kept, for a token and other secrets.
fn it_serves_stops_and_goes_on(
    directory: &Path,
    store: &str,
    shown: &str,
    look: impl FnOnce(String, &[String]),
) {
    let portal = Portal::start(directory, &["--store", store]);
    assert!(portal.said("cookie ").starts_with("id (insecure, for development only"));
    assert_eq!(portal.said("store "), shown);
    assert_eq!(portal.said("administrator "), "root");
    let passwords = ["alice", "bob", "root"]
        .map(|user| portal.said(&format!("user {user} password ")).to_owned());
    assert!(passwords[0] != passwords[1] && passwords[1] != passwords[2]);

    let mut alice = Visitor::at(portal.said("url "));
    alice.get("/login");
    let wrong = alice.post("/login", &[("username", "alice"), ("password", &passwords[1])]);
    assert_eq!(wrong.status, 401);
    let right = alice.post("/login", &[("username", "alice"), ("password", &passwords[0])]);
    assert_eq!(right.status, 303);
    alice.get("/");
    assert!(alice.submit("/note", &[("note", "kept")]).body.contains("kept"));
    let mut secrets = passwords.to_vec();
    secrets.push(alice.csrf.clone());
    look(alice.token(), &secrets);
    let jar = alice.jar;
    assert!(portal.stop().success(), "it stops in order");

    let portal = Portal::start(directory, &["--store", store]);
    let mut alice = Visitor::at(portal.said("url "));
    alice.jar = jar;
    let home = alice.get("/");
    assert!(home.body.contains("Hello, alice!") && home.body.contains("kept"));
    alice.post("/logout", &[]);
    assert_eq!(reason(&alice.get("/login")), Some("signed_out"));
    assert!(portal.stop().success());
}

#[test]
fn a_restart_signs_everyone_out_if_it_is_asked_to() {
    let directory = tempfile::tempdir().unwrap();
    let options = ["--store", "sled://sessions", "--password", "open sesame"];
    let portal = Portal::start(directory.path(), &options);
    let jar = signed_in(&portal).jar;
    assert!(portal.stop().success());

    let again = [&options[..], &["--sign-out-on-restart"]].concat();
    let portal = Portal::start(directory.path(), &again);
    let mut alice = Visitor::at(portal.said("url "));
    alice.jar = jar;
    assert_eq!(alice.get("/").status, 303);
    assert_eq!(reason(&alice.get("/login")), Some("restarted"));
    assert!(portal.stop().success());
}

#[test]
fn one_command_signs_everyone_out_of_a_store_that_several_share() {
    let directory = tempfile::tempdir().unwrap();
    let options = ["--store", "sqlite://shared.db", "--password", "open sesame"];
    let portal = Portal::start(directory.path(), &options);
    let mut alice = signed_in(&portal);
    let refused =
        command(directory.path()).args(options).arg("--sign-out-on-restart").output().unwrap();
    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && error.contains("--sign-out-everyone"), "{error}");
    assert_eq!(alice.get("/").status, 200, "another's restart ends nothing");

    let done = command(directory.path()).args(options).arg("--sign-out-everyone").output().unwrap();
    assert!(done.status.success(), "{done:?}");
    assert_eq!(alice.get("/").status, 303);
    assert_eq!(reason(&alice.get("/login")), Some("restarted"));
    assert!(portal.stop().success());
}

fn signed_in(portal: &Portal) -> Visitor {
    let mut alice = Visitor::at(portal.said("url "));
    alice.get("/login");
    alice.post("/login", &[("username", "alice"), ("password", "open sesame")]);
    assert_eq!(alice.get("/").status, 200);
    alice
}

#[test]
fn the_policy_is_printed_as_a_table_for_an_auditor() {
    let directory = tempfile::tempdir().unwrap();
    let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/portal/policy.toml");
    let output =
        command(directory.path()).args(["--describe", "--policy", policy]).output().unwrap();
    assert!(output.status.success());
    let table = String::from_utf8(output.stdout).unwrap();
    for part in [
        "| `browser` | 30m | 12h | 5m | 1m | every 1h, grace 30s | 10, then the least recently used ends |",
        "| `finance` | 5m | 30m | 5m ago | 1 |",
        "`remembered` is not of AAL2",
    ] {
        assert!(table.contains(part), "{part} in\n{table}");
    }
    assert!(directory.path().read_dir().unwrap().next().is_none(), "no store was opened");
}

#[test]
fn without_options_it_writes_a_file_here() {
    let directory = tempfile::tempdir().unwrap();
    let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/portal/policy.toml");
    let portal = Portal::start(directory.path(), &["--policy", policy]);
    assert_eq!((portal.said("store "), portal.said("policy ")), ("sqlite://portal.db", policy));
    assert!(directory.path().join("portal.db").is_file());
    assert!(portal.stop().success());
}

#[test]
fn behind_https_every_cookie_is_secure() {
    let directory = tempfile::tempdir().unwrap();
    let options = ["--store", "memory:", "--behind-https", "--password", "open sesame"];
    let portal = Portal::start(directory.path(), &options);
    assert!(portal.said("cookie ").starts_with("__Host-id (secure: "));
    assert_eq!(portal.said("user alice password "), "(as given)");
    let mut alice = Visitor::at(portal.said("url "));
    let form = alice.get("/login");
    let login = alice.post("/login", &[("username", "alice"), ("password", "open sesame")]);
    assert_eq!(login.status, 303);
    assert!(alice.get("/").body.contains("Hello, alice!"));
    let names: Vec<_> = alice.jar.keys().collect();
    assert_eq!(names, ["__Host-id"]);
    let out = alice.post("/logout", &[]);
    for set in [&form, &login, &out].into_iter().flat_map(|reply| reply.all("set-cookie")) {
        assert!(set.starts_with("__Host-") && set.contains("; Secure"), "{set}");
        assert!(set.contains("; HttpOnly") && set.contains("; SameSite=Lax"), "{set}");
    }
    assert!(portal.stop().success());
}

#[test]
fn what_cannot_be_is_said_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("not.db"),
        "this is a letter, not a database\n".repeat(99),
    )
    .unwrap();
    std::fs::write(directory.path().join("bad.toml"), "[classes.browser]\nidle = 5\n").unwrap();
    for (options, says) in [
        (vec!["--store", "mysql://localhost"], "no store is named by \"mysql\""),
        (vec!["--store", "sqlite://not.db"], "the store sqlite://not.db cannot be opened: "),
        (vec!["--policy", "bad.toml"], "classes.browser.idle"),
        (vec!["--policy", "none.toml"], "none.toml cannot be read"),
        (vec!["--listen", "0.0.0.0:0"], "can be reached by others"),
        (vec!["--password", ""], "the password is empty"),
    ] {
        let mut command = Command::new(program());
        let output = command.current_dir(directory.path()).args(&options).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{options:?}: {error}");
        assert!(error.starts_with("error: ") && error.contains(says), "{options:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}
