//! Who may pass: extractors that a handler cannot forget, because what it works with comes out of them.

use axum::extract::rejection::FormRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::response::IntoResponse as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use session_engine::adapter::axum::Rejection;
use session_engine::cookie::Presented;
use session_engine::exchange::Exchange;
use session_engine::{Random as _, RandomError, Session, SessionToken, Subject, SystemRandom};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::Portal;
use super::refusal::Refusal;
use super::view::{Notice, Words, Zone};

/// Where the session keeps its language.
pub(crate) const LANG: &str = "lang";
/// Where the session keeps its time zone.
pub(crate) const ZONE: &str = "tz";

/// Somebody who is signed in. Everybody else is sent to the sign-in page.
pub(crate) struct SignedIn {
    pub(crate) exchange: Exchange,
    pub(crate) session: Session,
    pub(crate) name: Subject,
    pub(crate) is_administrator: bool,
    pub(crate) words: &'static Words,
    pub(crate) zone: Zone,
    pub(crate) csrf: String,
    /// What the last action wants to say on this page.
    pub(crate) notice: Option<Notice>,
}

impl FromRequestParts<Portal> for SignedIn {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, portal: &Portal) -> Result<Self, Refusal> {
        let exchange = exchange(parts, portal).await?;
        let session = exchange.session().await?.ok_or(Refusal::SignIn)?;
        // An anonymous session is nobody's: this application makes none, but its store may hold some.
        let name = session.subject().ok_or(Refusal::SignIn)?.clone();
        let words = Words::of(session.get::<String>(LANG)?.as_deref());
        let zone = Zone::of(session.get::<String>(ZONE)?.as_deref());
        // The forms of this page are sent with the token that comes with it, if a new one does.
        let csrf = match (session.successor(), exchange.presented()) {
            (Some(token), _) | (None, Presented::Token(token)) => csrf(token).unwrap_or_default(),
            (None, _) => String::new(),
        };
        let is_administrator = portal.users.is_administrator(&name);
        let notice = Notice::presented(portal, &parts.headers);
        Ok(Self { exchange, session, name, is_administrator, words, zone, csrf, notice })
    }
}

/// An administrator. Everybody else who is signed in is refused: that the page exists is no secret.
pub(crate) struct Administrator(pub(crate) SignedIn);

impl FromRequestParts<Portal> for Administrator {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, portal: &Portal) -> Result<Self, Refusal> {
        let who = SignedIn::from_request_parts(parts, portal).await?;
        if who.is_administrator { Ok(Self(who)) } else { Err(Refusal::NotAllowed) }
    }
}

/// A form that somebody sent from a page of his current session: from elsewhere it is refused, whoever he is.
pub(crate) struct Sent<W> {
    pub(crate) who: W,
    pub(crate) fields: Fields,
}

impl<W> FromRequest<Portal> for Sent<W>
where
    W: FromRequestParts<Portal, Rejection = Refusal> + AsRef<SignedIn> + Send,
{
    type Rejection = Refusal;

    async fn from_request(request: Request, portal: &Portal) -> Result<Self, Refusal> {
        let (mut parts, body) = request.into_parts();
        let who = W::from_request_parts(&mut parts, portal).await?;
        let fields = Fields::from_request(Request::from_parts(parts, body), portal).await?;
        let given = fields.get("csrf").unwrap_or_default().as_bytes();
        // Without a token there are no forms. One that is about to be replaced is still that of the form's page.
        let expected = match who.as_ref().exchange.presented() {
            Presented::Token(token) => csrf(token),
            Presented::Nothing | Presented::Malformed | Presented::Ambiguous => None,
        };
        let is_own = expected.is_some_and(|expected| expected.as_bytes().ct_eq(given).into());
        if is_own { Ok(Self { who, fields }) } else { Err(Refusal::Forged) }
    }
}

impl AsRef<Self> for SignedIn {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl AsRef<SignedIn> for Administrator {
    fn as_ref(&self) -> &SignedIn {
        &self.0
    }
}

/// The fields of a form.
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// The value of a field, the first if there are several.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The value of a field that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).ok_or_else(|| Refusal::Invalid(format!("The field {name} is missing.")))
    }
}

impl FromRequest<Portal> for Fields {
    type Rejection = Refusal;

    async fn from_request(request: Request, portal: &Portal) -> Result<Self, Refusal> {
        match axum::Form::from_request(request, portal).await {
            Ok(axum::Form(pairs)) => Ok(Self(pairs)),
            // What is no form has no fields: it is refused for the one that every form here has.
            Err(FormRejection::InvalidFormContentType(_)) => Ok(Self(Vec::new())),
            Err(rejection) => Err(rejection.into()),
        }
    }
}

/// The exchange of a request.
pub(crate) async fn exchange(parts: &mut Parts, portal: &Portal) -> Result<Exchange, Refusal> {
    let extracted = <Exchange as FromRequestParts<Portal>>::from_request_parts(parts, portal).await;
    extracted.map_err(|rejection| match rejection {
        Rejection::Failed(error) => Refusal::Failed(error),
        other => {
            let status = other.into_response().status();
            Refusal::Unreadable(status, "The portal is put together wrongly.".to_owned())
        }
    })
}

/// What the forms of a session hold: a hash that only the holder of its token can make. It is stored nowhere,
/// goes on to work after a restart, ends with the token, and tells nothing about it.
fn csrf(token: &SessionToken) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.expose().as_bytes()).ok()?;
    mac.update(b"forms of the portal");
    Some(URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// A text that nobody can guess: 256 bits.
pub(crate) fn unguessable() -> Result<String, RandomError> {
    let mut bytes = [0; 32];
    SystemRandom.fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
