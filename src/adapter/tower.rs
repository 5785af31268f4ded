//! A layer for tower services: axum, tonic, hyper behind tower, and whatever else is one.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{CACHE_CONTROL, COOKIE, Entry, HeaderName, HeaderValue, SET_COOKIE};
use http::{Extensions, Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::exchange::{Exchange, Gate};

/// Puts an [`Exchange`] into the extensions of each request, and its headers into the response. It costs no
/// call to the store: the session is loaded when a handler asks for it.
///
/// ```
/// use std::sync::Arc;
/// use session_engine::adapter::tower::SessionLayer;
/// use session_engine::cookie::CookieConfig;
/// use session_engine::exchange::Gate;
/// use session_engine::{MemoryStore, Policy, Sessions};
///
/// let sessions = Sessions::new(Arc::new(MemoryStore::new()), Policy::default());
/// let layer = SessionLayer::new(Gate::new(sessions, CookieConfig::new()));
/// ```
///
/// A gate that looks at clients wants to know who is at the other end of the connection, which is for the server to say. With
/// axum, which is then served by `into_make_service_with_connect_info::<SocketAddr>()`:
///
/// ```
/// use std::net::SocketAddr;
/// use axum::extract::ConnectInfo;
/// use session_engine::adapter::tower::SessionLayer;
///
/// fn of_axum(layer: SessionLayer) -> SessionLayer {
///     layer.with_peer(|extensions| {
///         extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip())
///     })
/// }
/// ```
#[derive(Clone, Debug)]
pub struct SessionLayer {
    gate: Gate,
    peer: Peer,
}

/// Finds the other end of the connection in the extensions of a request.
type Peer = fn(&Extensions) -> Option<IpAddr>;

impl SessionLayer {
    /// A layer for a gate.
    pub fn new(gate: Gate) -> Self {
        Self { gate, peer: |_| None }
    }

    /// The same with a way to find the other end of a request's connection.
    #[must_use]
    pub fn with_peer(mut self, peer: Peer) -> Self {
        self.peer = peer;
        self
    }
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> SessionService<S> {
        SessionService { gate: self.gate.clone(), peer: self.peer, inner }
    }
}

/// The service that [`SessionLayer`] makes.
///
/// ```
/// use session_engine::adapter::tower::{SessionLayer, SessionService};
///
/// fn wrap<S>(layer: &SessionLayer, service: S) -> SessionService<S> {
///     tower_layer::Layer::layer(layer, service)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct SessionService<S> {
    gate: Gate,
    peer: Peer,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for SessionService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = SessionFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let headers =
            request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let exchange = self.gate.begin_from((self.peer)(request.extensions()), headers);
        if let Entry::Occupied(mut cookies) = request.headers_mut().entry(COOKIE) {
            // So that no service behind this one logs the token with the headers.
            cookies.iter_mut().for_each(|value| value.set_sensitive(true));
        }
        request.extensions_mut().insert(exchange.clone());
        SessionFuture { response: self.inner.call(request), exchange }
    }
}

pin_project! {
    /// The response of a [`SessionService`].
    ///
    /// ```
    /// use session_engine::adapter::tower::SessionFuture;
    ///
    /// fn is_send<F: Send>(_: SessionFuture<F>) -> impl Send {}
    /// ```
    #[derive(Debug)]
    pub struct SessionFuture<F> {
        #[pin]
        response: F,
        exchange: Exchange,
    }
}

impl<F, R, E> Future for SessionFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.response.poll(context)?);
        for (name, value) in this.exchange.finish() {
            let name = HeaderName::from_static(name);
            // What the exchange writes is ASCII without control characters.
            let Ok(mut value) = HeaderValue::try_from(value) else { continue };
            if name == SET_COOKIE {
                value.set_sensitive(true);
            }
            if name == CACHE_CONTROL {
                response.headers_mut().insert(name, value);
            } else {
                response.headers_mut().append(name, value);
            }
        }
        Poll::Ready(Ok(response))
    }
}
