//! Your devices: the live sessions of whoever asks, and nobody else's.

use std::cmp::Reverse;
use std::num::NonZeroUsize;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query as Asked, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use session_engine::risk::Watch;
use session_engine::store::{EventQuery, Events, Order};
use session_engine::{
    Actor, Answer, Error, EventKind, Query, Reason, Revoked, SessionId, StoreErrorKind, Timestamp,
};

use super::Portal;
use super::guard::{Sent, SignedIn};
use super::refusal::Refusal;
use super::view::{self, Notice};

/// Where the list goes on.
#[derive(Deserialize)]
pub(crate) struct Page {
    pub(super) after: Option<String>,
}

pub(crate) async fn show(
    State(portal): State<Portal>,
    who: SignedIn,
    asked: Result<Asked<Page>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Asked(Page { after }) = asked?;
    let after = cursor(after.as_deref())?;
    let query = Query { subject: Some(who.name.clone()), ..Query::default() };
    let mut page = who.exchange.sessions().list(&query, after.as_ref()).await.map_err(no_place)?;
    let room = room(&who).await?;
    let unusual = unusual(&who).await?;
    // This one first, then those that were used last.
    page.sessions.sort_by_key(|info| (info.id != who.session.id(), Reverse(info.last_seen_at)));
    Ok(view::devices(&portal, &who, &page, room, unusual))
}

/// When something unusual was last noticed about the sessions of whoever asks.
async fn unusual(who: &SignedIn) -> Result<Option<Timestamp>, Refusal> {
    let query = EventQuery {
        subject: Some(who.name.clone()),
        kinds: EventKind::from_code(Watch::NOTICED).into_iter().collect(),
        order: Order::NewestFirst,
        limit: NonZeroUsize::MIN,
        ..EventQuery::default()
    };
    match who.exchange.sessions().history(&query, None).await? {
        Events::Page(page) => Ok(page.events.first().map(|stored| stored.event.at)),
        Events::CursorExpired => Ok(None),
    }
}

/// How many live sessions of this one's class its user has, and how many he may have at most.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    pub(crate) live: usize,
    pub(crate) limit: u32,
}

/// Counts over all pages, of which there is one for most people.
async fn room(who: &SignedIn) -> Result<Option<Room>, Refusal> {
    let sessions = who.exchange.sessions();
    let policy = sessions.policy();
    let class = who.session.class();
    let Some(limit) = policy.class(class).max_sessions else { return Ok(None) };
    let query = Query { subject: Some(who.name.clone()), ..Query::default() };
    let (mut live, mut after) = (0, None);
    loop {
        let page = sessions.list(&query, after.as_ref()).await?;
        live += page.sessions.iter().filter(|info| info.class == *class).count();
        after = page.next;
        if after.is_none() {
            return Ok(Some(Room { live, limit: limit.get() }));
        }
    }
}

pub(crate) async fn end(
    State(portal): State<Portal>,
    Path(id): Path<String>,
    Sent { who, .. }: Sent<SignedIn>,
) -> Result<Response, Refusal> {
    let id = id.parse::<SessionId>().map_err(|_| Refusal::NotFound)?;
    if id == who.session.id() {
        who.exchange.sign_out().await?;
        let told = view::headers([Notice::SignedOut.give(&portal)]);
        return Ok((told, Redirect::to("/login")).into_response());
    }
    match who.exchange.sessions().end_own(&who.session, id).await? {
        Revoked::Now(_) | Revoked::Already(_) => {
            let told = view::headers([Notice::DeviceEnded.give(&portal)]);
            Ok((told, Redirect::to("/devices")).into_response())
        }
        Revoked::Absent => Err(Refusal::NotFound),
    }
}

pub(crate) async fn end_others(
    State(portal): State<Portal>,
    Sent { who, .. }: Sent<SignedIn>,
) -> Result<Response, Refusal> {
    let sessions = who.exchange.sessions();
    match sessions.revoke_others(&who.session, Reason::EndedByOwner, Actor::Subject).await? {
        Answer::Live(()) => {
            let told = view::headers([Notice::OthersEnded.give(&portal)]);
            Ok((told, Redirect::to("/devices")).into_response())
        }
        Answer::Ended(_) | Answer::Absent => Err(Refusal::SignIn),
    }
}

/// A place in a list, from the text of a request.
pub(crate) fn cursor(text: Option<&str>) -> Result<Option<session_engine::store::Cursor>, Refusal> {
    let parsed = text.filter(|text| !text.is_empty()).map(str::parse).transpose();
    parsed.map_err(|_| Refusal::Invalid(NO_PLACE.to_owned()))
}

const NO_PLACE: &str = "after is no place in this list.";

/// Why a list cannot be read: a store tells a place that it has not made itself.
pub(crate) fn no_place(error: Error) -> Refusal {
    match error {
        Error::Store(error) if error.kind() == StoreErrorKind::Invalid => {
            Refusal::Invalid(NO_PLACE.to_owned())
        }
        error => Refusal::Failed(error),
    }
}
