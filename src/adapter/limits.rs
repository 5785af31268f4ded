//! Limits for one request, as layers beside the [session layer](super::tower::SessionLayer): how long it may take by the
//! clock, and how much of a processor's time. The names are those of a policy's file: `limit_time_real` and
//! `limit_time_cpu`.
//!
//! ```
//! use session_engine::adapter::limits;
//! use session_engine::{Policy, RequestLimits};
//! use std::time::Duration;
//!
//! let limits = RequestLimits { time_real: Some(Duration::from_secs(120)), ..RequestLimits::default() };
//! assert!(limits::time_real(&limits).is_some());
//! assert!(limits::time_real(&RequestLimits::default()).is_none());
//! ```
//!
//! A request beyond its limit is answered 503 with an empty body, and its handler is dropped where it waits. A session
//! call that is dropped leaves old or new, never something in between. Put them inside of the session layer (in axum: add them
//! before it), so that what the handler had told the browser until then is still sent.
//!
//! What they cannot stop: a handler that does not wait. Both act only when it yields to its runtime, so a loop without an
//! `await` runs on, and so does what was handed to other threads (`spawn_blocking`, another task), whose time is not
//! counted either. A body that is still being sent when the handler has answered is outside of both.

#[cfg(unix)]
mod cpu;

use http::StatusCode;
use session_core::RequestLimits;
use tower_http::timeout::TimeoutLayer;

#[cfg(unix)]
pub use self::cpu::{CpuTime, CpuTimeFuture, CpuTimeLayer, time_cpu};

/// What a request is answered that has taken too long.
const TOO_LONG: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

/// The layer that limits a request by the clock on the wall, if the policy does. It wants a runtime of tokio.
pub fn time_real(limits: &RequestLimits) -> Option<TimeoutLayer> {
    limits.time_real.map(|limit| TimeoutLayer::with_status_code(TOO_LONG, limit))
}
