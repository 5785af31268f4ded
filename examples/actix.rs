//! Signing in and a counter with actix-web 4, without an adapter: the middleware in `run` is all it takes.
//!
//! ```text
//! cargo run --example actix -- 8080
//! curl -c jar -b jar -d 'user=alice&password=open sesame' http://127.0.0.1:8080/login
//! curl -c jar -b jar http://127.0.0.1:8080/
//! ```
//!
//! A page for browsers also needs a check against forged requests: `examples/portal.rs` has one.

use std::net::TcpListener;
use std::sync::Arc;

use actix_web::dev::Service;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue, SET_COOKIE};
use actix_web::web::{Form, ReqData, resource};
use actix_web::{App, HttpMessage, HttpServer, ResponseError};
use session_engine::cookie::CookieConfig;
use session_engine::exchange::{Exchange, Gate, status_code};
use session_engine::{Data, Error, LoggedIn, Login, MemoryStore, Policy, Sessions, Subject};

pub(crate) async fn run(listener: TcpListener, gate: Gate) -> std::io::Result<()> {
    let app = move || {
        let gate = gate.clone();
        App::new()
            .wrap_fn(move |request, next| {
                let fields = request.headers().iter().map(|(n, v)| (n.as_str(), v.as_bytes()));
                let exchange = gate.begin(fields);
                request.extensions_mut().insert(exchange.clone());
                let response = next.call(request);
                async move {
                    let mut response = response.await?;
                    for (name, value) in exchange.finish() {
                        let name = HeaderName::from_static(name);
                        let mut value =
                            HeaderValue::try_from(value).expect("the exchange writes plain ASCII");
                        value.set_sensitive(name == SET_COOKIE);
                        if name == CACHE_CONTROL {
                            response.headers_mut().insert(name, value);
                        } else {
                            response.headers_mut().append(name, value);
                        }
                    }
                    Ok(response)
                }
            })
            .service(resource("/").get(home))
            .service(resource("/account").get(account))
            .service(resource("/why").get(why))
            .service(resource("/health").get(async || "well"))
            .service(resource("/click").post(click))
            .service(resource("/login").post(login))
            .service(resource("/logout").post(logout))
    };
    HttpServer::new(app).workers(1).disable_signals().listen(listener)?.run().await
}

async fn home(exchange: ReqData<Exchange>) -> Result<String, Failed> {
    let Some(session) = exchange.session().await? else { return Ok("nobody".into()) };
    let clicks: u64 = session.get("clicks").map_err(Error::from)?.unwrap_or_default();
    let name = session.subject().map_or("nobody", Subject::as_str);
    Ok(format!("{name}, {clicks} clicks"))
}

async fn account(exchange: ReqData<Exchange>) -> Result<(String, StatusCode), Failed> {
    Ok(match exchange.session().await? {
        Some(session) => {
            (session.subject().map_or("nobody", Subject::as_str).to_owned(), StatusCode::OK)
        }
        None => ("you are not signed in".to_owned(), StatusCode::UNAUTHORIZED),
    })
}

async fn why(exchange: ReqData<Exchange>) -> Result<String, Failed> {
    let end = exchange.ended().await?;
    Ok(end.map_or("nothing has ended".into(), |end| end.reason.code().to_owned()))
}

async fn click(exchange: ReqData<Exchange>) -> Result<&'static str, Failed> {
    let count = |data: &mut Data| {
        let clicks: u64 = data.get("clicks")?.unwrap_or_default();
        data.set("clicks", clicks + 1)
    };
    let counted = exchange.update(count).await?.live().transpose().map_err(Error::from)?;
    Ok(counted.map_or("your session has ended", |()| "click"))
}

#[derive(serde::Deserialize)]
struct Credentials {
    user: String,
    password: String,
}

async fn login(
    exchange: ReqData<Exchange>,
    Form(credentials): Form<Credentials>,
) -> Result<(&'static str, StatusCode), Failed> {
    const REFUSED: (&str, StatusCode) = ("no", StatusCode::UNAUTHORIZED);
    let Ok(subject) = Subject::new(credentials.user) else { return Ok(REFUSED) };
    // Before the password is checked: a login that a change of the password overtakes is refused.
    let ticket = exchange.begin_login(&subject).await?;
    if credentials.password != "open sesame" {
        return Ok(REFUSED);
    }
    match exchange.login(&ticket, Login::new("password"), &["clicks"]).await? {
        LoggedIn::Issued(..) => Ok(("welcome", StatusCode::OK)),
        LoggedIn::LimitReached { .. } | LoggedIn::CredentialsChanged => Ok(REFUSED),
    }
}

async fn logout(exchange: ReqData<Exchange>) -> Result<&'static str, Failed> {
    exchange.sign_out().await?;
    Ok("good bye")
}

/// An error of the engine as actix-web answers it.
#[derive(Debug)]
struct Failed(Error);

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("sessions are not available")
    }
}

impl ResponseError for Failed {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(status_code(&self.0)).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).map_or(Ok(0), |port| port.parse::<u16>())?;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    println!("listening on http://{}", listener.local_addr()?);
    let sessions = Sessions::new(Arc::new(MemoryStore::new()), Policy::default());
    // Plain http on a loopback address: elsewhere it is CookieConfig::new().
    let gate = Gate::new(sessions, CookieConfig::insecure_development());
    actix_web::rt::System::new().block_on(run(listener, gate))?;
    Ok(())
}
