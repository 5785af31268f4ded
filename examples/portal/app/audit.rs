//! What happened: everything, for administrators, and to everybody what concerns himself.

use std::num::NonZeroUsize;

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query as Asked, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use http_body_util::channel::{Channel, Sender};
use serde::Deserialize;
use session_engine::store::{Cursor, EventPage, EventQuery, Events, Order};
use session_engine::{Error, EventKind, SessionId, Sessions, Timestamp};

use super::Portal;
use super::devices::{Page, cursor, no_place};
use super::everyone::{some, subject};
use super::guard::{Administrator, SignedIn};
use super::refusal::Refusal;
use super::view::{self, Zone};

/// Which events to show; what is missing or empty does not count.
#[derive(Default, Deserialize)]
pub(crate) struct Filter {
    /// Only those of this user.
    #[serde(default)]
    pub(crate) user: String,
    /// Only those of this session.
    #[serde(default)]
    pub(crate) session: String,
    /// Only those of this kind, by its text.
    #[serde(default)]
    pub(crate) kind: String,
    /// Only those at this instant or later: in RFC 3339, or a date, with or without a time, in the reader's time zone.
    #[serde(default)]
    pub(crate) from: String,
    /// Only those before this instant.
    #[serde(default)]
    pub(crate) until: String,
    /// Where the list goes on.
    #[serde(default)]
    pub(crate) after: String,
}

/// The kinds that the page offers.
pub(crate) const KINDS: [EventKind; 13] = [
    EventKind::Issued,
    EventKind::Activated,
    EventKind::LoggedIn,
    EventKind::Rotated,
    EventKind::ScopeEntered,
    EventKind::Reauthenticated,
    EventKind::SteppedUp,
    EventKind::DeviceSeen,
    EventKind::ReuseDetected,
    EventKind::LoginDenied,
    EventKind::Ended,
    EventKind::SubjectRevoked,
    EventKind::RealmRevoked,
];

/// Events of a page, and of a piece of a download.
const PAGE: NonZeroUsize = NonZeroUsize::new(50).expect("not zero");
const PIECE: NonZeroUsize = NonZeroUsize::new(500).expect("not zero");

impl Filter {
    fn query(&self, zone: &Zone) -> Result<EventQuery, Refusal> {
        let instant = |name: &str, text: &str| -> Result<Option<Timestamp>, Refusal> {
            let read = |text| {
                zone.read(text).ok_or_else(|| {
                    let text = "such as 2026-01-31, 2026-01-31 14:30, or 2026-01-31T13:30:00Z.";
                    Refusal::Invalid(format!(
                        "{name} must be a date, with or without a time: {text}"
                    ))
                })
            };
            some(text).map(read).transpose()
        };
        Ok(EventQuery {
            session: some(&self.session).map(session).transpose()?,
            subject: some(&self.user).map(subject).transpose()?,
            kinds: some(&self.kind).map(kind).transpose()?.into_iter().collect(),
            from: instant("from", &self.from)?,
            until: instant("until", &self.until)?,
            order: Order::NewestFirst,
            limit: PAGE,
        })
    }
}

fn session(text: &str) -> Result<SessionId, Refusal> {
    text.parse().map_err(|_| Refusal::Invalid("session is no id of a session.".to_owned()))
}

fn kind(text: &str) -> Result<EventKind, Refusal> {
    let kind = EventKind::from_code(text);
    kind.map_err(|error| Refusal::Invalid(format!("kind is none: {error}.")))
}

pub(crate) async fn show(
    State(portal): State<Portal>,
    Administrator(who): Administrator,
    asked: Result<Asked<Filter>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Asked(filter) = asked?;
    let after = cursor(some(&filter.after))?;
    let query = filter.query(&who.zone)?;
    let page = read(who.exchange.sessions(), &query, after.as_ref()).await.map_err(no_place)?;
    Ok(view::audit(&portal, &who, &filter, &page))
}

/// One's own events, and nobody else's.
pub(crate) async fn own(
    State(portal): State<Portal>,
    who: SignedIn,
    asked: Result<Asked<Page>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Asked(Page { after }) = asked?;
    let after = cursor(after.as_deref())?;
    let query = EventQuery {
        subject: Some(who.name.clone()),
        order: Order::NewestFirst,
        limit: PAGE,
        ..EventQuery::default()
    };
    let page = read(who.exchange.sessions(), &query, after.as_ref()).await.map_err(no_place)?;
    Ok(view::history(&portal, &who, &page))
}

/// All events of a query, as lines of JSON.
pub(crate) async fn download(
    Administrator(who): Administrator,
    asked: Result<Asked<Filter>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Asked(filter) = asked?;
    let after = cursor(some(&filter.after))?;
    let query = EventQuery { limit: PIECE, ..filter.query(&who.zone)? };
    let sessions = who.exchange.sessions().clone();
    // What is wrong with the query is told before the first line.
    let first = read(&sessions, &query, after.as_ref()).await.map_err(no_place)?;
    let (sender, body) = Channel::new(1);
    tokio::spawn(send(sessions, query, first, sender));
    let fields = [
        (CONTENT_TYPE, "application/x-ndjson"),
        (CONTENT_DISPOSITION, "attachment; filename=\"audit.jsonl\""),
    ];
    Ok((fields, Body::new(body)).into_response())
}

/// Sends page after page, no faster than they are taken. When the store fails, the answer breaks off, so that nobody
/// takes it for the whole.
async fn send(
    sessions: Sessions,
    query: EventQuery,
    mut page: EventPage,
    mut sender: Sender<Bytes, Error>,
) {
    loop {
        let lines: String = page.events.iter().map(|stored| stored.to_json_line() + "\n").collect();
        if !lines.is_empty() && sender.send_data(lines.into()).await.is_err() {
            // Nobody listens any more.
            return;
        }
        let Some(next) = page.next else { return };
        page = match read(&sessions, &query, Some(&next)).await {
            Ok(page) => page,
            Err(error) => return sender.abort(error),
        };
    }
}

async fn read(
    sessions: &Sessions,
    query: &EventQuery,
    after: Option<&Cursor>,
) -> Result<EventPage, Error> {
    Ok(match sessions.history(query, after).await? {
        Events::Page(page) => page,
        // Only who follows along can miss something.
        Events::CursorExpired => EventPage::default(),
    })
}
