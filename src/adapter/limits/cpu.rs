//! A limit for the processor's time of a request.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use pin_project_lite::pin_project;
use rustix::time::{ClockId, clock_gettime};
use session_core::RequestLimits;
use tower_layer::Layer;
use tower_service::Service;

use super::TOO_LONG;

/// The layer that limits the processor's time of a request, if the policy does.
pub fn time_cpu(limits: &RequestLimits) -> Option<CpuTimeLayer> {
    limits.time_cpu.map(CpuTimeLayer::new)
}

/// Limits how much of a processor's time a request takes: the sum over its polls of what its thread has used in each.
/// It is looked at after each poll that leaves the request waiting: one that is ready by then is answered.
///
/// ```
/// use std::time::Duration;
/// use session_engine::adapter::limits::CpuTimeLayer;
///
/// let layer = CpuTimeLayer::new(Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CpuTimeLayer {
    limit: Duration,
}

impl CpuTimeLayer {
    /// A limit.
    pub fn new(limit: Duration) -> Self {
        Self { limit }
    }
}

impl<S> Layer<S> for CpuTimeLayer {
    type Service = CpuTime<S>;

    fn layer(&self, inner: S) -> CpuTime<S> {
        CpuTime { inner, limit: self.limit }
    }
}

/// The service that [`CpuTimeLayer`] makes.
///
/// ```
/// use session_engine::adapter::limits::{CpuTime, CpuTimeLayer};
///
/// fn wrap<S>(layer: &CpuTimeLayer, service: S) -> CpuTime<S> {
///     tower_layer::Layer::layer(layer, service)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct CpuTime<S> {
    inner: S,
    limit: Duration,
}

impl<S, B, R> Service<Request<B>> for CpuTime<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = CpuTimeFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        CpuTimeFuture { response: Some(self.inner.call(request)), left: self.limit }
    }
}

pin_project! {
    /// The response of a [`CpuTime`].
    ///
    /// ```
    /// use session_engine::adapter::limits::CpuTimeFuture;
    ///
    /// fn is_send<F: Send>(_: CpuTimeFuture<F>) -> impl Send {}
    /// ```
    #[derive(Debug)]
    pub struct CpuTimeFuture<F> {
        // Nothing once the limit is reached.
        #[pin]
        response: Option<F>,
        left: Duration,
    }
}

impl<F, R, E> Future for CpuTimeFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Default,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(response) = this.response.as_mut().as_pin_mut() {
            let before = used_by_this_thread();
            let polled = response.poll(context);
            if polled.is_ready() {
                return polled;
            }
            let used = used_by_this_thread().saturating_sub(before);
            match this.left.checked_sub(used) {
                Some(left) if !left.is_zero() => {
                    *this.left = left;
                    return Poll::Pending;
                }
                _ => this.response.set(None),
            }
        }
        let mut refused = Response::new(R::default());
        *refused.status_mut() = TOO_LONG;
        Poll::Ready(Ok(refused))
    }
}

fn used_by_this_thread() -> Duration {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), u32::try_from(used.tv_nsec).unwrap_or(0))
}
