//! The whole application but its options and its listener: engine and users in, a router out.

mod accounts;
mod audit;
mod browser;
mod devices;
mod everyone;
mod finance;
mod guard;
mod home;
mod jar;
mod password;
mod proof;
mod refusal;
mod signin;
mod users;
mod view;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request};
use axum::http::Extensions;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use session_engine::adapter::limits;
use session_engine::adapter::tower::SessionLayer;
use session_engine::client::{ClientConfig, Proxies};
use session_engine::cookie::CookieConfig;
use session_engine::exchange::Gate;
use session_engine::risk::{Mode, Signals, Watch};
use session_engine::{RandomError, Sessions};

use refusal::Refusal;
use signin::FormKey;
pub(crate) use signin::REMEMBERED;
pub(crate) use users::{Account, Users};

/// The gate of the application: it looks at clients, and watches their sessions.
pub(crate) fn gate(sessions: Sessions, cookie: CookieConfig, proxies: Proxies, risk: Mode) -> Gate {
    Gate::new(sessions, cookie)
        .with_client(ClientConfig::new(proxies))
        .with_risk(Watch::new(Signals::default()).mode(risk))
}

/// The application on an engine.
///
/// Whoever serves it hands it the address of each peer, by `into_make_service_with_connect_info`.
///
/// # Errors
/// The source of randomness fails.
pub(crate) fn app(gate: Gate, users: Users) -> Result<Router, RandomError> {
    let portal = Portal {
        users,
        form_key: Arc::new(FormKey::new()?),
        secure_cookies: gate.cookie().is_secure(),
    };
    let policy = gate.sessions().policy();
    let mut router = Router::new()
        .route("/", get(home::show))
        .route("/note", post(home::save_note))
        .route("/preferences", post(home::save_preferences))
        .route("/login", get(signin::show).post(signin::sign_in))
        .route("/logout", post(signin::sign_out))
        .route("/password", get(password::show).post(password::change))
        .route("/devices", get(devices::show))
        .route("/devices/{id}/end", post(devices::end))
        .route("/devices/end-others", post(devices::end_others))
        .route("/finance", get(finance::show))
        .route("/finance/unlock", get(finance::ask).post(finance::unlock))
        .route("/history", get(audit::own))
        .route("/audit", get(audit::show))
        .route("/audit.jsonl", get(audit::download))
        .route("/sessions", get(everyone::show))
        .route("/sessions/{id}/end", post(everyone::end))
        .route("/sessions/end-user", post(everyone::end_user))
        .route("/sessions/end-all", post(everyone::end_all))
        .route("/users", get(accounts::show))
        .route("/users/role", post(accounts::change_role))
        .route("/users/state", post(accounts::change_state))
        .route("/style.css", get(|| async { asset("text/css; charset=utf-8", STYLE) }))
        .route("/icon.svg", get(|| async { asset("image/svg+xml", ICON) }))
        .fallback(|| async { Refusal::NotFound })
        .method_not_allowed_fallback(|| async { Refusal::WrongMethod });
    if let Some(layer) = limits::time_real(policy.request_limits()) {
        router = router.layer(layer);
    }
    #[cfg(unix)]
    if let Some(layer) = limits::time_cpu(policy.request_limits()) {
        router = router.layer(layer);
    }
    Ok(router
        .layer(SessionLayer::new(gate).with_peer(peer))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(from_fn(harden))
        .with_state(portal))
}

/// The other end of a request's connection.
fn peer(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip())
}

/// What every handler may ask for.
#[derive(Clone)]
pub(crate) struct Portal {
    users: Users,
    form_key: Arc<FormKey>,
    secure_cookies: bool,
}

/// The largest form is a note, each of whose characters may take nine bytes in a form.
const LARGEST_BODY: usize = 64 * 1024;

/// What a browser is told with every answer (ASVS 5.0, 3.4): nothing of other sites runs or is loaded here, and
/// no other site shows these pages in a frame.
async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

const HEADERS: [(HeaderName, &str); 5] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    ),
    (X_FRAME_OPTIONS, "DENY"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "public, max-age=300")], text)
}

const STYLE: &str = include_str!("view/style.css");
const ICON: &str = include_str!("view/icon.svg");
