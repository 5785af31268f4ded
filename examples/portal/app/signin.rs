//! Signing in and out.

use std::sync::LazyLock;

use axum::extract::{FromRequest as _, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use session_engine::exchange::Exchange;
use session_engine::{
    ClassName, LoggedIn, Login, Random as _, RandomError, Subject, SystemRandom, Timestamp,
};
use sha2::Sha256;

use super::Portal;
use super::guard::{Fields, LANG, Sent, SignedIn, ZONE, exchange, unguessable};
use super::jar::{Header, Name};
use super::proof::PASSWORD_LEVEL;
use super::refusal::{Refusal, is_damaged};
use super::view::{self, Notice, Words};

/// The class of the sessions that outlive their browser.
pub(crate) static REMEMBERED: LazyLock<ClassName> =
    LazyLock::new(|| ClassName::new("remembered").expect("a name"));

/// That class, if the policy names it.
fn remembered(exchange: &Exchange) -> Option<ClassName> {
    exchange.sessions().policy().has_class(&REMEMBERED).then(|| REMEMBERED.clone())
}

fn wants_to_stay(fields: &Fields) -> bool {
    fields.get("remember") == Some("yes")
}

/// What a user keeps who signs in once more in the same browser. Not the note: it ends with its session.
const CARRIED: [&str; 2] = [LANG, ZONE];

pub(crate) async fn show(
    State(portal): State<Portal>,
    request: Request,
) -> Result<Response, Refusal> {
    page(&portal, request, StatusCode::OK, None, &Fields::none()).await
}

pub(crate) async fn sign_in(
    State(portal): State<Portal>,
    request: Request,
) -> Result<Response, Refusal> {
    let (mut parts, body) = request.into_parts();
    let exchange = exchange(&mut parts, &portal).await?;
    let fields = Fields::from_request(Request::from_parts(parts.clone(), body), &portal).await?;
    let bound_to = portal.cookie(&parts.headers, Name::SignIn).unwrap_or_default();
    let now = exchange.sessions().now();
    if !portal.form_key.admits(&bound_to, fields.get("csrf").unwrap_or_default(), now) {
        return Err(Refusal::Forged);
    }
    let words = Words::accepted(&parts.headers);
    let name = fields.required("username")?;
    let password = fields.required("password")?.to_owned();

    // The ticket comes before the check: what is revoked meanwhile makes the login fail.
    let ticket = match Subject::new(name) {
        Ok(subject) => Some(exchange.begin_login(&subject).await?),
        Err(_) => None,
    };
    let is_right = portal.users.check(name, password).await.is_some();
    let again = |status, text| {
        page(&portal, Request::from_parts(parts, ().into()), status, Some(text), &fields)
    };
    let Some(ticket) = ticket.filter(|_| is_right) else {
        return again(StatusCode::UNAUTHORIZED, words.wrong_password.to_owned()).await;
    };
    let login = Login::new("password").level(PASSWORD_LEVEL);
    let login = match remembered(&exchange).filter(|_| wants_to_stay(&fields)) {
        Some(class) => login.class(class),
        None => login,
    };
    match exchange.login(&ticket, login, &CARRIED).await? {
        LoggedIn::Issued(..) => {
            let forget = [Name::SignIn, Name::Notice].map(|name| portal.set_cookie(name, "", 0));
            Ok((view::headers(forget), Redirect::to("/")).into_response())
        }
        LoggedIn::LimitReached { live } => {
            let text = format!("{}{live}{}", words.full_house.0, words.full_house.1);
            again(StatusCode::CONFLICT, text).await
        }
        LoggedIn::CredentialsChanged => {
            again(StatusCode::CONFLICT, words.ended_meanwhile.to_owned()).await
        }
    }
}

pub(crate) async fn sign_out(
    State(portal): State<Portal>,
    Sent { who, .. }: Sent<SignedIn>,
) -> Result<Response, Refusal> {
    who.exchange.sign_out().await?;
    Ok((view::headers([Notice::SignedOut.give(&portal)]), Redirect::to("/login")).into_response())
}

/// The sign-in page: for everybody, and for whose session has ended with the reason. It stores nothing.
async fn page(
    portal: &Portal,
    request: Request,
    status: StatusCode,
    refused: Option<String>,
    filled: &Fields,
) -> Result<Response, Refusal> {
    let (mut parts, _) = request.into_parts();
    let exchange = exchange(&mut parts, portal).await?;
    let form = portal.form_key.form(portal, &parts.headers, exchange.sessions().now())?;
    // A damaged session does not keep its holder from signing in.
    let (ended, held) = match exchange.ended().await {
        Ok(ended) => (ended, exchange.session().await?),
        Err(error) if is_damaged(&error) => (None, None),
        Err(error) => return Err(error.into()),
    };
    // It loads nothing: the session was asked for before.
    let held_back =
        held.is_none() && exchange.step_up_asked().await.is_ok_and(|asked| asked.is_some());
    let page = view::SignInPage {
        words: Words::accepted(&parts.headers),
        csrf: &form.csrf,
        refused: refused.as_deref(),
        held_back,
        name: filled.get("username").unwrap_or_default(),
        wants_to_stay: wants_to_stay(filled),
        ended,
        signed_out: Notice::presented(portal, &parts.headers) == Some(Notice::SignedOut),
        can_be_remembered: remembered(&exchange).is_some(),
        held_by: held.and_then(|session| session.subject().cloned()),
    };
    let set = form.cookie.into_iter().chain(page.signed_out.then(|| Notice::taken(portal)));
    Ok((status, view::headers(set), page.render()).into_response())
}

/// What ties a sign-in form to the browser that it was given to, while nothing of that browser is stored: the
/// form holds the keyed hash of a cookie (OWASP: signed double-submit). A site that cannot read the cookie
/// cannot sign anybody in here as somebody else.
pub(crate) struct FormKey([u8; 32]);

struct Form {
    csrf: String,
    cookie: Option<Header>,
}

/// How long a form may stay open, in seconds.
const OPEN_FOR: u32 = 2 * 3_600;

impl FormKey {
    /// A key of this process: forms that were open before a restart have to be loaded again.
    pub(crate) fn new() -> Result<Self, RandomError> {
        let mut key = [0; 32];
        SystemRandom.fill(&mut key)?;
        Ok(Self(key))
    }

    /// A form, under the cookie that the browser has, so that its other tabs go on to work, or a new one.
    fn form(
        &self,
        portal: &Portal,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Form, RandomError> {
        let held = portal.cookie(headers, Name::SignIn);
        let fresh = |value: &String| open_for(value, now).is_some_and(|left| left > OPEN_FOR / 2);
        let (value, cookie) = match held.filter(fresh) {
            Some(value) => (value, None),
            None => {
                let until = now.as_millis().saturating_add(i64::from(OPEN_FOR) * 1_000);
                let value = format!("{until}.{}", unguessable()?);
                let cookie = portal.set_cookie(Name::SignIn, &value, OPEN_FOR);
                (value, Some(cookie))
            }
        };
        let csrf = self.mac(&value).map(|mac| URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
        Ok(Form { csrf: csrf.unwrap_or_default(), cookie })
    }

    /// Whether a form was given to the browser that has this cookie.
    fn admits(&self, cookie: &str, csrf: &str, now: Timestamp) -> bool {
        let Ok(given) = URL_SAFE_NO_PAD.decode(csrf) else { return false };
        // Compared in constant time.
        let is_ours = self.mac(cookie).is_some_and(|mac| mac.verify_slice(&given).is_ok());
        is_ours && open_for(cookie, now).is_some()
    }

    fn mac(&self, value: &str) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(b"sign-in form of the portal\0");
        mac.update(value.as_bytes());
        Some(mac)
    }
}

/// For how many seconds more the cookie of a form counts.
fn open_for(value: &str, now: Timestamp) -> Option<u32> {
    let (until, _) = value.split_once('.')?;
    let left = until.parse::<i64>().ok()?.checked_sub(now.as_millis())? / 1_000;
    u32::try_from(left).ok().filter(|left| (1..=OPEN_FOR).contains(left))
}
