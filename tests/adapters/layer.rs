//! What the layer makes of responses, and the extractors of a router without it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, COOKIE, SET_COOKIE, VARY};
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use session_engine::adapter::axum::Live;
use session_engine::adapter::tower::SessionLayer;
use session_engine::client::ClientConfig;
use session_engine::cookie::CookieConfig;
use session_engine::exchange::{Exchange, Gate};
use session_engine::{Login, MemoryStore, Policy, Sessions, Subject};
use tower_service::Service;

async fn sign_in(exchange: &Exchange) {
    let ticket = exchange.begin_login(&Subject::new("alice").unwrap()).await.unwrap();
    let outcome = exchange.login(&ticket, Login::new("password"), &[]).await.unwrap();
    assert!(outcome.issued().is_some());
}

fn send(router: Router, cookie: &str) -> Response<Body> {
    let sessions = Sessions::new(Arc::new(MemoryStore::new()), Policy::default());
    let layer = SessionLayer::new(Gate::new(sessions, CookieConfig::new()));
    call(router.layer(layer), cookie)
}

fn call(mut router: Router, cookie: &str) -> Response<Body> {
    let request = Request::get("/").header(COOKIE, cookie).body(Body::empty()).unwrap();
    pollster::block_on(router.call(request)).unwrap()
}

fn values(response: &Response<Body>, name: axum::http::HeaderName) -> Vec<&str> {
    response.headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

#[test]
fn headers_of_the_handler_are_added_to() {
    let router = Router::new().route(
        "/",
        get(async |exchange: Exchange| {
            sign_in(&exchange).await;
            let own = [
                (VARY, "accept-encoding"),
                (CACHE_CONTROL, "public, max-age=3600"),
                (SET_COOKIE, "theme=dark"),
            ];
            (own, "hello").into_response()
        }),
    );
    let response = send(router, "");
    assert_eq!(values(&response, VARY), ["accept-encoding", "cookie"]);
    assert_eq!(values(&response, CACHE_CONTROL), ["no-store"]);
    let cookies = values(&response, SET_COOKIE);
    assert_eq!(cookies.len(), 2, "{cookies:?}");
    assert_eq!(cookies[0], "theme=dark");
    assert!(cookies[1].starts_with("__Host-id=ses1_"));
}

#[test]
fn no_answer_loses_the_cookie() {
    for status in [StatusCode::NOT_MODIFIED, StatusCode::FOUND, StatusCode::INTERNAL_SERVER_ERROR] {
        let handler = async move |exchange: Exchange| -> Result<(), (StatusCode, &'static str)> {
            sign_in(&exchange).await;
            Err((status, "after the login"))
        };
        let response = send(Router::new().route("/", get(handler)), "");
        assert_eq!(response.status(), status);
        assert_eq!(values(&response, SET_COOKIE).len(), 1, "{status}");
        assert_eq!(values(&response, CACHE_CONTROL), ["no-store"], "{status}");
    }
}

#[test]
fn no_header_shows_a_token() {
    let router = Router::new().route(
        "/",
        get(async |headers: HeaderMap, exchange: Exchange| {
            sign_in(&exchange).await;
            assert!(headers.get_all(COOKIE).iter().all(HeaderValue::is_sensitive));
            format!("{headers:?} {exchange:?}")
        }),
    );
    let response = send(router, "__Host-id=ses1_SECRET");
    assert!(!format!("{response:?}").contains("ses1_"), "{response:?}");
    let body = pollster::block_on(axum::body::to_bytes(response.into_body(), 4096)).unwrap();
    let shown = String::from_utf8_lossy(&body);
    assert!(!shown.contains("SECRET"), "{shown}");
}

#[test]
fn a_router_without_the_layer_says_so() {
    let router = || Router::new().route("/", get(async |live: Option<Live>| drop(live)));
    let response = call(router(), "");
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(send(router(), "").status(), StatusCode::OK);
}

#[test]
fn the_other_end_of_the_connection_is_found_where_the_application_says() {
    let sessions = Sessions::new(Arc::new(MemoryStore::new()), Policy::default());
    let gate = Gate::new(sessions, CookieConfig::new()).with_client(ClientConfig::default());
    let layer = SessionLayer::new(gate).with_peer(|extensions| extensions.get::<IpAddr>().copied());
    let router = Router::new().route(
        "/",
        get(async |exchange: Exchange| {
            exchange.seen().and_then(|seen| seen.address).map_or("nobody".into(), |a| a.to_string())
        }),
    );
    let peer = IpAddr::from([192, 0, 2, 1]);
    let request = Request::get("/").extension(peer).header("x-forwarded-for", "6.6.6.6");
    let mut router = router.layer(layer);
    let response = pollster::block_on(router.call(request.body(Body::empty()).unwrap())).unwrap();
    let body = pollster::block_on(axum::body::to_bytes(response.into_body(), 99)).unwrap();
    assert_eq!(body, "192.0.2.1");
}
