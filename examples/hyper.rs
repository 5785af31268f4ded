//! Signing in and a counter on plain hyper 1, without an adapter: the whole of what an adapter does is in
//! `answer`. The guide page `docs/guide/frameworks.md` goes through it.
//!
//! ```text
//! cargo run --example hyper -- 8080
//! curl -c jar -b jar -d 'user=alice&password=open sesame' http://127.0.0.1:8080/login
//! curl -c jar -b jar http://127.0.0.1:8080/
//! ```
//!
//! A page for browsers also needs a check against forged requests: `examples/portal.rs` has one.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, HeaderName, HeaderValue, SET_COOKIE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use session_engine::cookie::CookieConfig;
use session_engine::exchange::{Exchange, Gate, status_code};
use session_engine::{Data, Error, LoggedIn, Login, MemoryStore, Policy, Sessions, Subject};

async fn answer(gate: Gate, request: Request<Incoming>) -> Response<String> {
    let fields = request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let exchange = gate.begin(fields);
    let (status, text) = handle(&exchange, request).await.unwrap_or_else(|error| {
        let status = StatusCode::from_u16(status_code(&error));
        (status.unwrap_or(StatusCode::SERVICE_UNAVAILABLE), "sessions are not available".into())
    });
    let mut response = Response::new(text);
    *response.status_mut() = status;
    for (name, value) in exchange.finish() {
        let name = HeaderName::from_static(name);
        let mut value = HeaderValue::try_from(value).expect("the exchange writes plain ASCII");
        value.set_sensitive(name == SET_COOKIE);
        if name == CACHE_CONTROL {
            response.headers_mut().insert(name, value);
        } else {
            response.headers_mut().append(name, value);
        }
    }
    response
}

async fn handle(
    exchange: &Exchange,
    request: Request<Incoming>,
) -> Result<(StatusCode, String), Error> {
    let (head, body) = request.into_parts();
    let text = match (&head.method, head.uri.path()) {
        (&Method::GET | &Method::HEAD, "/health") => "well".into(),
        (&Method::GET | &Method::HEAD, "/") => match exchange.session().await? {
            Some(session) => {
                let clicks: u64 = session.get("clicks")?.unwrap_or_default();
                let name = session.subject().map_or("nobody", Subject::as_str);
                format!("{name}, {clicks} clicks")
            }
            None => "nobody".into(),
        },
        (&Method::GET | &Method::HEAD, "/account") => match exchange.session().await? {
            Some(session) => session.subject().map_or("nobody", Subject::as_str).into(),
            None => return Ok((StatusCode::UNAUTHORIZED, "you are not signed in".into())),
        },
        (&Method::GET | &Method::HEAD, "/why") => match exchange.ended().await? {
            Some(end) => end.reason.code().into(),
            None => "nothing has ended".into(),
        },
        (&Method::POST, "/click") => {
            let count = |data: &mut Data| {
                let clicks: u64 = data.get("clicks")?.unwrap_or_default();
                data.set("clicks", clicks + 1)
            };
            let counted = exchange.update(count).await?.live().transpose()?;
            counted.map_or("your session has ended", |()| "click").into()
        }
        (&Method::POST, "/login") => return login(exchange, body).await,
        (&Method::POST, "/logout") => {
            exchange.sign_out().await?;
            "good bye".into()
        }
        (_, "/" | "/health" | "/account" | "/why" | "/click" | "/login" | "/logout") => {
            return Ok((StatusCode::METHOD_NOT_ALLOWED, String::new()));
        }
        _ => return Ok((StatusCode::NOT_FOUND, String::new())),
    };
    Ok((StatusCode::OK, text))
}

async fn login(exchange: &Exchange, body: Incoming) -> Result<(StatusCode, String), Error> {
    let refused = || Ok((StatusCode::UNAUTHORIZED, "no".into()));
    let Ok(body) = Limited::new(body, 4096).collect().await else { return refused() };
    let body = body.to_bytes();
    let field = |wanted: &str| {
        let mut fields = form_urlencoded::parse(&body);
        fields.find(|(name, _)| name == wanted).map(|(_, value)| value).unwrap_or_default()
    };
    let Ok(subject) = Subject::new(field("user")) else { return refused() };
    // Before the password is checked: a login that a change of the password overtakes is refused.
    let ticket = exchange.begin_login(&subject).await?;
    if field("password") != "open sesame" {
        return refused();
    }
    match exchange.login(&ticket, Login::new("password"), &["clicks"]).await? {
        LoggedIn::Issued(..) => Ok((StatusCode::OK, "welcome".into())),
        LoggedIn::LimitReached { .. } | LoggedIn::CredentialsChanged => refused(),
    }
}

pub(crate) async fn run(listener: TcpListener, gate: Gate) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let gate = gate.clone();
        let service = service_fn(move |request| {
            let gate = gate.clone();
            async move { Ok::<_, Infallible>(answer(gate, request).await) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
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
