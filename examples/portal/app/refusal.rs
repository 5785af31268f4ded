//! Every way in which a request does not get what it asked for.

use std::error::Error as _;

use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use session_engine::exchange::status_code;
use session_engine::{DataError, Error, RandomError, StoreErrorKind};

use super::view;

/// Why a request is refused.
pub(crate) enum Refusal {
    /// Nobody is signed in: to the sign-in page, which says why.
    SignIn,
    /// He has not entered the area, or too long ago: to the page that asks for his password.
    Locked,
    /// The form is not from a page of this session.
    Forged,
    /// It is for administrators.
    NotAllowed,
    /// There is no such thing, or it is somebody else's.
    NotFound,
    /// It is something to be done, and was only looked at; or the other way round.
    WrongMethod,
    /// A field has no value that it may have; the text says which and why.
    Invalid(String),
    /// The request cannot be read.
    Unreadable(StatusCode, String),
    /// The engine cannot answer.
    Failed(Error),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, title, text) = match self {
            Self::SignIn => return Redirect::to("/login").into_response(),
            Self::Locked => return Redirect::to("/finance/unlock").into_response(),
            Self::Forged => (
                StatusCode::FORBIDDEN,
                "This form is out of date",
                "It was not sent from a page of your current session, or was open for too long. Nothing was \
                 changed. Go back, load the page again and try once more."
                    .to_owned(),
            ),
            Self::NotAllowed => (
                StatusCode::FORBIDDEN,
                "For administrators only",
                "You are signed in, but not as an administrator.".to_owned(),
            ),
            Self::NotFound => {
                (StatusCode::NOT_FOUND, "Not found", "There is nothing of yours here.".to_owned())
            }
            Self::WrongMethod => (
                StatusCode::METHOD_NOT_ALLOWED,
                "Not like this",
                "This address does something, or only shows something, and was asked for the other."
                    .to_owned(),
            ),
            Self::Invalid(text) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "That does not fit", text)
            }
            Self::Unreadable(status, text) => (status, "That cannot be read", text),
            Self::Failed(error) => return failed(&error),
        };
        view::message(status, title, &text)
    }
}

/// Nobody is taken for anonymous because the store is away.
fn failed(error: &Error) -> Response {
    let status =
        StatusCode::from_u16(status_code(error)).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    if let Error::Data(
        DataError::KeyTooLong { .. }
        | DataError::ValueTooLarge { .. }
        | DataError::TooLarge { .. }
        | DataError::TooDeep { .. },
    ) = error
    {
        return view::message(status, "Too much", "Your session cannot hold that much.");
    }
    // For the operator: an error of the engine holds no secret.
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    eprintln!("error: {text}");
    if is_damaged(error) {
        return view::message_leading_to(
            "/login",
            "To sign in again",
            status,
            "Your session cannot be read",
            "What is stored of it is damaged, or of a newer version. A new sign-in leaves it behind.",
        );
    }
    view::message(
        status,
        "We cannot answer at the moment",
        "Your session could not be looked up. You have not been signed out. Please try again soon.",
    )
}

/// Whether what is stored of a session cannot be read, as it is damaged or of a newer format. It harms nobody but
/// its holder.
pub(crate) fn is_damaged(error: &Error) -> bool {
    use StoreErrorKind::{Corrupt, Unsupported};
    matches!(error, Error::Store(error) if matches!(error.kind(), Corrupt | Unsupported))
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<DataError> for Refusal {
    fn from(error: DataError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<RandomError> for Refusal {
    fn from(error: RandomError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<FormRejection> for Refusal {
    fn from(rejection: FormRejection) -> Self {
        Self::Unreadable(rejection.status(), rejection.body_text())
    }
}

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        Self::Unreadable(rejection.status(), rejection.body_text())
    }
}
