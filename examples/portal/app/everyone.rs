//! Everyone's sessions, for administrators.

use std::num::NonZeroUsize;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query as Asked, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use session_engine::{Actor, Query, Reason, Revoked, SessionId, State as Stands, Subject};

use super::Portal;
use super::devices::{cursor, no_place};
use super::guard::{Administrator, Sent};
use super::refusal::Refusal;
use super::view::{self, Notice};

/// Which sessions to show; what is missing or empty does not count.
#[derive(Default, Deserialize)]
pub(crate) struct Filter {
    /// Only those of this user.
    #[serde(default)]
    pub(crate) user: String,
    /// Only those in this state: the text of one, `live`, `ended` or `all`.
    #[serde(default)]
    pub(crate) state: String,
    /// Only those that nobody has used for that long: `10m`, or a number of seconds.
    #[serde(default)]
    pub(crate) idle_for: String,
    /// Where the list goes on.
    #[serde(default)]
    pub(crate) after: String,
}

pub(crate) const STATES: [(&str, &str, &[Stands]); 8] = [
    ("live", "live", &[]),
    ("created", "not used yet", &[Stands::Created]),
    ("active", "active", &[Stands::Active]),
    ("ended", "ended", &ENDED),
    ("idle_expired", "idle for too long", &[Stands::IdleExpired]),
    ("absolute_expired", "at its time limit", &[Stands::AbsoluteExpired]),
    ("revoked", "revoked", &[Stands::Revoked]),
    ("all", "all", &ALL),
];

const ENDED: [Stands; 3] = [Stands::IdleExpired, Stands::AbsoluteExpired, Stands::Revoked];
const ALL: [Stands; 5] = [
    Stands::Created,
    Stands::Active,
    Stands::IdleExpired,
    Stands::AbsoluteExpired,
    Stands::Revoked,
];

const PAGE: NonZeroUsize = NonZeroUsize::new(50).expect("not zero");

impl Filter {
    fn query(&self) -> Result<Query, Refusal> {
        Ok(Query {
            subject: some(&self.user).map(subject).transpose()?,
            states: some(&self.state).map_or(Ok(Vec::new()), states)?,
            idle_for: some(&self.idle_for).map(duration).transpose()?,
            limit: PAGE,
        })
    }
}

pub(super) fn some(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

pub(super) fn subject(text: &str) -> Result<Subject, Refusal> {
    Subject::new(text).map_err(|error| Refusal::Invalid(format!("user is no name: {error}.")))
}

fn states(text: &str) -> Result<Vec<Stands>, Refusal> {
    let known = STATES.iter().find(|(code, ..)| *code == text);
    known.map(|(.., states)| states.to_vec()).ok_or_else(|| {
        let codes = STATES.map(|(code, ..)| code).join(", ");
        Refusal::Invalid(format!("state must be one of {codes}."))
    })
}

fn duration(text: &str) -> Result<Duration, Refusal> {
    let seconds = text.parse().map(Duration::from_secs);
    seconds.or_else(|_| humantime::parse_duration(text)).map_err(|_| {
        let text = "idle_for must be a duration such as 10m or 1h 30m, or a number of seconds.";
        Refusal::Invalid(text.to_owned())
    })
}

pub(crate) async fn show(
    State(portal): State<Portal>,
    Administrator(who): Administrator,
    asked: Result<Asked<Filter>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Asked(filter) = asked?;
    let after = cursor(some(&filter.after))?;
    let listed = who.exchange.sessions().list(&filter.query()?, after.as_ref()).await;
    let page = listed.map_err(no_place)?;
    Ok(view::everyone(&portal, &who, &filter, &page))
}

pub(crate) async fn end(
    State(portal): State<Portal>,
    Path(id): Path<String>,
    Sent { who: Administrator(who), .. }: Sent<Administrator>,
) -> Result<Response, Refusal> {
    let id = id.parse::<SessionId>().map_err(|_| Refusal::NotFound)?;
    let by = Actor::Operator(who.name.clone());
    match who.exchange.sessions().revoke(id, Reason::EndedByAdministrator, by).await? {
        Revoked::Now(_) | Revoked::Already(_) => Ok(done(&portal, Notice::SessionEnded)),
        Revoked::Absent => Err(Refusal::NotFound),
    }
}

pub(crate) async fn end_user(
    State(portal): State<Portal>,
    Sent { who: Administrator(who), fields }: Sent<Administrator>,
) -> Result<Response, Refusal> {
    let user = subject(fields.required("user")?.trim())?;
    let sessions = who.exchange.sessions();
    // A slip of the pen must not look like success. Users of the past may still have sessions.
    if !portal.users.exists(&user) {
        let query =
            Query { subject: Some(user.clone()), limit: NonZeroUsize::MIN, ..Query::default() };
        if sessions.list(&query, None).await?.sessions.is_empty() {
            return Err(Refusal::Invalid(format!("Nobody is called {user}.")));
        }
    }
    let by = Actor::Operator(who.name.clone());
    sessions.revoke_subject(&user, Reason::EndedByAdministrator, by).await?;
    Ok(done(&portal, Notice::UserEnded))
}

pub(crate) async fn end_all(
    Sent { who: Administrator(who), .. }: Sent<Administrator>,
) -> Result<Response, Refusal> {
    let by = Actor::Operator(who.name.clone());
    who.exchange.sessions().revoke_everyone(Reason::EveryoneRevoked, by).await?;
    // The administrator's own session too: this leads to the sign-in page, which says why.
    Ok(Redirect::to("/sessions").into_response())
}

fn done(portal: &Portal, notice: Notice) -> Response {
    (view::headers([notice.give(portal)]), Redirect::to("/sessions")).into_response()
}
