//! The finance area, and the page that asks for the password before it.

use axum::response::Response;
use maud::{Markup, html};
use session_engine::lifecycle::Deadlines;
use session_engine::{NeedsReauth, Reason, Timestamp};

use super::frame::{Place, action, page};
use super::password::account;
use super::zone::span;
use crate::app::Portal;
use crate::app::guard::SignedIn;

/// What the books of an invented company say.
const BOOKS: [(&str, &str); 4] = [
    ("2026-Q1", "12 480.00 EUR"),
    ("2026-Q2", "9 915.50 EUR"),
    ("2026-Q3", "14 203.75 EUR"),
    ("2026-Q4", "11 067.20 EUR"),
];

pub(crate) fn finance(portal: &Portal, who: &SignedIn, open: Deadlines) -> Response {
    let words = who.words;
    let now = who.exchange.sessions().now();
    let deadline = |at: Option<Timestamp>| {
        html! {
            @match at {
                Some(at) => {
                    strong { (words.in_time) " " (span(at.since(now))) } br;
                    span.fine { (who.zone.show(at)) }
                },
                None => { (words.never) },
            }
        }
    };
    let content = html! {
        h1 { (words.finance) }
        div.columns {
            section.card aria-labelledby="books-title" {
                h2 #books-title { (words.books) }
                dl {
                    @for (quarter, sum) in BOOKS { dt { (quarter) } dd { (sum) } }
                }
            }
            section.card aria-labelledby="open-title" {
                h2 #open-title { (words.scope_open) }
                dl {
                    dt { (words.closes_unused) }
                    dd #scope-idle-deadline { (deadline(open.idle)) }
                    dt { (words.closes_at_most) }
                    dd #scope-absolute-deadline { (deadline(open.absolute)) }
                }
                p.fine.below { (words.scope_text) }
            }
        }
    };
    page(portal, who, Place::Finance, words.finance, &content)
}

pub(crate) fn unlock(
    portal: &Portal,
    who: &SignedIn,
    why: &[NeedsReauth],
    can_open: bool,
    refused: Option<&str>,
) -> Response {
    let words = who.words;
    let content = html! {
        div.column {
            section.card {
                h1 { (words.unlock) }
                @for why in why { (reason(who, why)) }
                @if let Some(text) = refused {
                    p.notice.bad #refused role="alert" { (text) }
                }
                @if can_open {
                    (action(who, "/finance/unlock", html! {
                        (account(who))
                        label for="password" { (words.password) }
                        input #password name="password" type="password" autocomplete="current-password"
                            required autofocus;
                        button type="submit" { (words.unlock) }
                    }))
                } @else {
                    p { (words.password_not_enough) }
                }
            }
        }
    };
    page(portal, who, Place::Finance, words.unlock, &content)
}

/// Why the area is closed. The stable text of it stands in `data-why`, for scripts.
fn reason(who: &SignedIn, why: &NeedsReauth) -> Markup {
    let words = who.words;
    let (code, text, at) = match why {
        NeedsReauth::NotEntered => ("not_entered", words.scope_not_entered, None),
        NeedsReauth::ScopeExpired { reason: Reason::IdleTimeout, at } => {
            ("idle_timeout", words.scope_idle, Some(*at))
        }
        NeedsReauth::ScopeExpired { at, .. } => ("absolute_timeout", words.scope_over, Some(*at)),
        NeedsReauth::TooLongAgo { at } => ("too_long_ago", words.proof_too_old, Some(*at)),
        NeedsReauth::Level { .. } => ("level", words.proof_too_weak, None),
        // Nobody who is signed in has never proved anything; and what newer versions may say.
        _ => ("never", words.proof_missing, None),
    };
    html! {
        p.notice.why data-why=(code) {
            (text)
            @if let Some(at) = at { " " span.fine { (who.zone.show(at)) } }
        }
    }
}
