//! The portal: a small but real application on session-engine, in axum.
//!
//! `cargo run --example portal` serves it at <http://127.0.0.1:8080/>, on the SQLite file `portal.db`, and
//! prints the passwords of its three users. `--help` tells the rest.

mod app;
mod options;

use std::io::Write as _;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;

use app::{Account, Users, app, gate};
use clap::Parser as _;
use options::Options;
use session_engine::{Actor, Error, Random as _, Reason, Sessions, SystemRandom};
use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval};

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> ExitCode {
    match serve(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: Options) -> Result<(), Failure> {
    let cookie = options.cookie()?;
    let policy = options.policy()?;
    if options.describe {
        write!(std::io::stdout().lock(), "{}", policy.describe())?;
        return Ok(());
    }
    let store = session_engine::open(&options.store).await.map_err(|error| {
        format!("the store {} cannot be opened: {}", options.store_in_words(), chain(&error))
    })?;
    let sessions = Sessions::new(store, policy);
    if options.sign_out_everyone {
        sessions.revoke_everyone(Reason::Restarted, Actor::System).await?;
        writeln!(std::io::stdout().lock(), "everyone is signed out")?;
        return Ok(());
    }
    if options.sign_out_on_restart {
        sessions.end_all_of_last_run().await.map_err(|error| match error {
            Error::SharedStore => {
                let store = options.store_in_words();
                format!(
                    "{error}: cargo run --example portal -- --store {store} --sign-out-everyone"
                )
            }
            error => chain(&error),
        })?;
    }
    let passwords = ["alice", "bob", "root"].map(|name| Ok((name, options.password(invent)?)));
    let passwords = passwords.into_iter().collect::<Result<Vec<_>, Failure>>()?;
    let accounts = passwords
        .iter()
        .map(|(name, password)| Account::new(name, password, *name == "root"))
        .collect::<Result<Vec<_>, Failure>>()?;
    let users = Users::new(accounts)?;
    let gate = gate(sessions.clone(), cookie.clone(), options.proxies.clone(), options.risk());
    let app = app(gate, users)?;
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", options.listen))?;
    let told_to_stop = told_to_stop()?;

    let mut out = std::io::stdout().lock();
    writeln!(out, "url http://{}/", listener.local_addr()?)?;
    for (name, password) in &passwords {
        let shown = if options.password.is_some() { "(as given)" } else { password };
        writeln!(out, "user {name} password {shown}")?;
    }
    writeln!(out, "administrator root")?;
    writeln!(out, "cookie {} {}", cookie.name(), options.cookie_in_words())?;
    writeln!(out, "store {}", options.store_in_words())?;
    writeln!(out, "policy {}", options.policy_in_words())?;
    writeln!(out, "ready, end with Ctrl-C")?;
    out.flush()?;
    drop(out);
    drop(passwords);

    let sweeper = tokio::spawn(sweep(sessions));
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(told_to_stop)
        .await?;
    sweeper.abort();
    Ok(())
}

/// Writes down what time has ended and removes what was kept long enough, once a minute. Nothing lives longer
/// because this is late.
async fn sweep(sessions: Sessions) {
    const AT_ONCE: NonZeroUsize = NonZeroUsize::new(1_000).expect("not zero");
    let mut minute = interval(Duration::from_secs(60));
    minute.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        minute.tick().await;
        match sessions.sweep(AT_ONCE).await {
            Ok(swept) => {
                for row in swept.damaged {
                    eprintln!("warning: {}", chain(&row));
                }
            }
            Err(error) => eprintln!("error: the sweep failed: {}", chain(&error)),
        }
    }
}

/// Ctrl-C, or what a service manager sends. They count from this call on, not only once somebody waits for them.
#[cfg(unix)]
fn told_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! { _ = interrupted.recv() => {}, _ = terminated.recv() => {} }
    })
}

/// Ctrl-C.
#[cfg(windows)]
fn told_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupted = tokio::signal::windows::ctrl_c()?;
    Ok(async move { drop(interrupted.recv().await) })
}

/// A password that is easily typed: 80 random bits in letters and digits that cannot be mistaken.
fn invent() -> Result<String, Failure> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; 16];
    SystemRandom.fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect())
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
