//! Requests that take too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header::SET_COOKIE};
use axum::routing::get;
use session_engine::adapter::limits;
use session_engine::adapter::tower::SessionLayer;
use session_engine::cookie::CookieConfig;
use session_engine::exchange::{Exchange, Gate};
use session_engine::{Login, MemoryStore, Policy, RequestLimits, Sessions, Subject};
use tower_service::Service;

const HOUR: Duration = Duration::from_secs(3_600);

fn limited(mut router: Router, limits: RequestLimits) -> Router {
    if let Some(layer) = limits::time_real(&limits) {
        router = router.layer(layer);
    }
    if let Some(layer) = limits::time_cpu(&limits) {
        router = router.layer(layer);
    }
    let sessions = Sessions::new(Arc::new(MemoryStore::new()), Policy::default());
    router.layer(SessionLayer::new(Gate::new(sessions, CookieConfig::new())))
}

fn cpu(millis: u64) -> RequestLimits {
    RequestLimits { time_cpu: Some(Duration::from_millis(millis)), ..RequestLimits::default() }
}

async fn call(mut router: Router) -> Response<Body> {
    router.call(Request::get("/").body(Body::empty()).unwrap()).await.unwrap()
}

/// Says that it was dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Some work of a processor.
fn work() {
    let sum: u64 = (0..20_000_u64).map(std::hint::black_box).sum();
    std::hint::black_box(sum);
}

async fn sign_in(exchange: &Exchange) {
    let ticket = exchange.begin_login(&Subject::new("alice").unwrap()).await.unwrap();
    let outcome = exchange.login(&ticket, Login::new("password"), &[]).await.unwrap();
    assert!(outcome.issued().is_some());
}

#[tokio::test]
async fn who_works_too_long_is_stopped_where_he_yields_and_keeps_what_he_told_the_browser() {
    let dropped = Arc::new(AtomicBool::new(false));
    let watched = dropped.clone();
    let router = Router::new().route(
        "/",
        get(async move |exchange: Exchange| {
            let _dropped = Dropped(watched);
            sign_in(&exchange).await;
            loop {
                work();
                tokio::task::yield_now().await;
            }
            #[expect(unreachable_code, reason = "a handler answers something")]
            "never"
        }),
    );
    let response = call(limited(router, cpu(50))).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(dropped.load(Ordering::Relaxed), "the handler is gone");
    assert!(response.headers().contains_key(SET_COOKIE), "the browser learns of its session");
}

#[tokio::test(start_paused = true)]
async fn to_wait_is_no_work() {
    let router = Router::new().route("/", get(async || tokio::time::sleep(HOUR).await));
    assert_eq!(call(limited(router, cpu(50))).await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_stopped() {
    let real = |limit| RequestLimits { time_real: Some(limit), ..RequestLimits::default() };
    for (limit, status) in [
        (HOUR + Duration::from_secs(1), StatusCode::OK),
        (HOUR - Duration::from_secs(1), StatusCode::SERVICE_UNAVAILABLE),
    ] {
        let router = Router::new().route("/", get(async || tokio::time::sleep(HOUR).await));
        assert_eq!(call(limited(router, real(limit))).await.status(), status);
    }
}

#[tokio::test]
async fn who_is_ready_is_answered_whatever_it_took() {
    let router = Router::new().route(
        "/",
        get(async || {
            for _ in 0..200 {
                work();
            }
        }),
    );
    assert_eq!(call(limited(router, cpu(1))).await.status(), StatusCode::OK, "it never waited");
}

#[tokio::test(start_paused = true)]
async fn without_limits_there_are_none() {
    let router = Router::new().route("/", get(async || tokio::time::sleep(HOUR).await));
    assert_eq!(call(limited(router, RequestLimits::default())).await.status(), StatusCode::OK);
}
