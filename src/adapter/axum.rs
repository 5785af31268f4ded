//! Extractors for axum 0.8, on top of the [layer](super::tower::SessionLayer).

use std::fmt;
use std::sync::Arc;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use session_core::{DataError, Error, Session};

use crate::exchange::{Exchange, status_code};

/// The exchange of the request: costs nothing until it is asked for the session.
impl<S: Sync> FromRequestParts<S> for Exchange {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        parts.extensions.get::<Self>().cloned().ok_or(Rejection::NoLayer)
    }
}

/// The live session of the request. Without one the request is answered 401, the same for every kind of dead
/// token; `Option<Live>` lets it through.
///
/// ```
/// use session_engine::adapter::axum::Live;
///
/// async fn whoami(Live(session): Live) -> String {
///     session.subject().map_or("nobody".into(), ToString::to_string)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Live(pub Session);

impl<S: Sync> FromRequestParts<S> for Live {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let exchange = <Exchange as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        let session = exchange.session().await.map_err(Rejection::Failed)?;
        session.map(Self).ok_or(Rejection::NoSession)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Live {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Rejection> {
        match <Self as FromRequestParts<S>>::from_request_parts(parts, state).await {
            Ok(live) => Ok(Some(live)),
            Err(Rejection::NoSession) => Ok(None),
            Err(rejection) => Err(rejection),
        }
    }
}

/// Why a request is not answered by its handler: an extractor refuses it, or the handler passes on an error of
/// the engine with `?`.
///
/// The client is told nothing of an error of the engine; the response carries it in its extensions, as an
/// `Arc<Error>`, for a layer further out to log.
///
/// ```
/// use axum_core::response::IntoResponse;
/// use session_engine::adapter::axum::Rejection;
///
/// assert_eq!(Rejection::NoSession.into_response().status(), 401);
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Rejection {
    /// It has no live session: 401, whatever has become of the one it had.
    NoSession,
    /// The engine cannot answer: 503, or as [`status_code`] says.
    Failed(Error),
    /// The [layer](super::tower::SessionLayer) is missing: 500.
    NoLayer,
}

impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<DataError> for Rejection {
    fn from(error: DataError) -> Self {
        Self::Failed(error.into())
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let (status, text) = match &self {
            Self::NoSession => (StatusCode::UNAUTHORIZED, "you are not signed in"),
            Self::Failed(error) => (
                StatusCode::from_u16(status_code(error)).unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
                "sessions are not available",
            ),
            Self::NoLayer => (StatusCode::INTERNAL_SERVER_ERROR, "there is no session layer"),
        };
        let mut response = (status, text).into_response();
        if let Self::Failed(error) = self {
            response.extensions_mut().insert(Arc::new(error));
        }
        response
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSession => f.write_str("the request has no live session"),
            Self::Failed(error) => fmt::Display::fmt(error, f),
            Self::NoLayer => f.write_str("there is no session layer"),
        }
    }
}

impl std::error::Error for Rejection {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed(error) => error.source(),
            Self::NoSession | Self::NoLayer => None,
        }
    }
}
