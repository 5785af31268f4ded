//! The finance area: a scope inside the session, with timeouts of its own.

use std::sync::LazyLock;

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use session_engine::lifecycle::Deadlines;
use session_engine::{Access, NeedsReauth, Policy, Scope, ScopeName};

use super::Portal;
use super::guard::{Sent, SignedIn};
use super::proof;
use super::refusal::Refusal;
use super::view;

/// The scope, in the policy's words.
static SCOPE: LazyLock<ScopeName> = LazyLock::new(|| ScopeName::new("finance").expect("a name"));

/// The rules of the area. A portal whose policy does not name it has none.
pub(crate) fn rules(policy: &Policy) -> Option<&Scope> {
    policy.scope(&SCOPE)
}

/// Somebody who has entered the area, and until when it is open for him. Everybody else who is signed in is sent to
/// prove who he is.
pub(crate) struct InFinance {
    who: SignedIn,
    open: Deadlines,
}

impl FromRequestParts<Portal> for InFinance {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, portal: &Portal) -> Result<Self, Refusal> {
        let who = SignedIn::from_request_parts(parts, portal).await?;
        match who.exchange.visit_scope(&SCOPE).await? {
            Access::Granted(open) => Ok(Self { who, open }),
            Access::NeedsReauth(NeedsReauth::NoSuchScope) => Err(Refusal::NotFound),
            Access::NeedsReauth(_) => Err(Refusal::Locked),
            Access::Ended(_) | Access::Absent => Err(Refusal::SignIn),
        }
    }
}

pub(crate) async fn show(
    State(portal): State<Portal>,
    InFinance { who, open }: InFinance,
) -> Response {
    view::finance(&portal, &who, open)
}

pub(crate) async fn ask(State(portal): State<Portal>, who: SignedIn) -> Result<Response, Refusal> {
    match who.exchange.visit_scope(&SCOPE).await? {
        Access::Granted(_) => Ok(Redirect::to("/finance").into_response()),
        Access::NeedsReauth(why) => page(&portal, &who, &[why], None).await,
        Access::Ended(_) | Access::Absent => Err(Refusal::SignIn),
    }
}

pub(crate) async fn unlock(
    State(portal): State<Portal>,
    Sent { who, fields }: Sent<SignedIn>,
) -> Result<Response, Refusal> {
    if rules(&who.exchange.sessions().policy()).is_none() {
        return Err(Refusal::NotFound);
    }
    let password = fields.required("password")?.to_owned();
    if proof::by_password(&portal, &who, password).await?.is_none() {
        let page = page(&portal, &who, &[], Some(who.words.wrong_password)).await?;
        return Ok((StatusCode::UNAUTHORIZED, page).into_response());
    }
    match who.exchange.enter_scope(&SCOPE).await? {
        Access::Granted(()) => Ok(Redirect::to("/finance").into_response()),
        // The proof is as fresh as can be, and still does not do: this page says what it lacks.
        Access::NeedsReauth(_) => Ok(Redirect::to("/finance/unlock").into_response()),
        Access::Ended(_) | Access::Absent => Err(Refusal::SignIn),
    }
}

/// Why the area is closed, and what the last proof lacks to open it.
async fn page(
    portal: &Portal,
    who: &SignedIn,
    why: &[NeedsReauth],
    refused: Option<&str>,
) -> Result<Response, Refusal> {
    let policy = who.exchange.sessions().policy();
    let rules = rules(&policy).ok_or(Refusal::NotFound)?;
    let mut why = why.to_vec();
    if let Access::NeedsReauth(lacks) = who.exchange.require(rules.max_age, rules.level).await? {
        why.push(lacks);
    }
    let can_open = rules.level <= proof::PASSWORD_LEVEL;
    Ok(view::unlock(portal, who, &why, can_open, refused))
}
