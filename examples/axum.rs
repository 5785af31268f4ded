//! Signing in and a counter with axum 0.8: the layer, and its extractors.
//!
//! ```text
//! cargo run --example axum --features axum -- 8080
//! curl -c jar -b jar -d 'user=alice&password=open sesame' http://127.0.0.1:8080/login
//! curl -c jar -b jar http://127.0.0.1:8080/
//! ```
//!
//! A page for browsers also needs a check against forged requests: `examples/portal.rs` has one.

use std::net::TcpListener;
use std::sync::Arc;

use axum::extract::Form;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Router, serve};
use session_engine::adapter::axum::{Live, Rejection};
use session_engine::adapter::tower::SessionLayer;
use session_engine::cookie::CookieConfig;
use session_engine::exchange::{Exchange, Gate};
use session_engine::{LoggedIn, Login, MemoryStore, Policy, Session, Sessions, Subject};

fn app(gate: Gate) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/account", get(account))
        .route("/why", get(why))
        .route("/health", get(async || "well"))
        .route("/click", post(click))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .layer(SessionLayer::new(gate))
}

async fn home(live: Option<Live>) -> Result<String, Rejection> {
    let Some(Live(session)) = live else { return Ok("nobody".into()) };
    let clicks: u64 = session.get("clicks")?.unwrap_or_default();
    Ok(format!("{}, {clicks} clicks", name(&session)))
}

async fn account(Live(session): Live) -> String {
    name(&session).to_owned()
}

fn name(session: &Session) -> &str {
    session.subject().map_or("nobody", Subject::as_str)
}

async fn why(exchange: Exchange) -> Result<String, Rejection> {
    let end = exchange.ended().await?;
    Ok(end.map_or("nothing has ended".into(), |end| end.reason.code().to_owned()))
}

async fn click(exchange: Exchange) -> Result<&'static str, Rejection> {
    let count = |data: &mut session_engine::Data| {
        let clicks: u64 = data.get("clicks")?.unwrap_or_default();
        data.set("clicks", clicks + 1)
    };
    let counted = exchange.update(count).await?.live().transpose()?;
    Ok(counted.map_or("your session has ended", |()| "click"))
}

#[derive(serde::Deserialize)]
struct Credentials {
    user: String,
    password: String,
}

async fn login(
    exchange: Exchange,
    Form(credentials): Form<Credentials>,
) -> Result<(StatusCode, &'static str), Rejection> {
    const REFUSED: (StatusCode, &str) = (StatusCode::UNAUTHORIZED, "no");
    let Ok(subject) = Subject::new(credentials.user) else { return Ok(REFUSED) };
    // Before the password is checked: a login that a change of the password overtakes is refused.
    let ticket = exchange.begin_login(&subject).await?;
    if credentials.password != "open sesame" {
        return Ok(REFUSED);
    }
    match exchange.login(&ticket, Login::new("password"), &["clicks"]).await? {
        LoggedIn::Issued(..) => Ok((StatusCode::OK, "welcome")),
        LoggedIn::LimitReached { .. } | LoggedIn::CredentialsChanged => Ok(REFUSED),
    }
}

async fn logout(exchange: Exchange) -> Result<&'static str, Rejection> {
    exchange.sign_out().await?;
    Ok("good bye")
}

pub(crate) async fn run(listener: TcpListener, gate: Gate) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    serve(tokio::net::TcpListener::from_std(listener)?, app(gate)).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).map_or(Ok(0), |port| port.parse::<u16>())?;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    println!("listening on http://{}", listener.local_addr()?);
    let sessions = Sessions::new(Arc::new(MemoryStore::new()), Policy::default());
    // Plain http on a loopback address: elsewhere it is CookieConfig::new().
    run(listener, Gate::new(sessions, CookieConfig::insecure_development())).await?;
    Ok(())
}
