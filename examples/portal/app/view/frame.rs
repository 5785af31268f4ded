//! What all pages have around them.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::{Notice, headers};
use crate::app::Portal;
use crate::app::finance;
use crate::app::guard::SignedIn;

/// Where in the application a page is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Home,
    Devices,
    History,
    Finance,
    Everyone,
    Accounts,
    Audit,
    /// On a page that no link of the bar leads to.
    Elsewhere,
}

/// A page of somebody who is signed in. What it shows of the last action, it takes away.
pub(super) fn page(
    portal: &Portal,
    who: &SignedIn,
    place: Place,
    title: &str,
    content: &Markup,
) -> Response {
    let words = who.words;
    let link = |to: Place, href: &str, text: &str| {
        html! { a href=(href) aria-current=[(to == place).then_some("page")] { (text) } }
    };
    let has_finance = finance::rules(&who.exchange.sessions().policy()).is_some();
    let body = html! {
        a.skip href="#content" { (words.skip) }
        header.bar {
            a.brand href="/" { (icon()) span { "Portal" } }
            nav aria-label=(words.pages) {
                (link(Place::Home, "/", words.home))
                (link(Place::Devices, "/devices", words.devices))
                (link(Place::History, "/history", words.history))
                @if has_finance { (link(Place::Finance, "/finance", words.finance)) }
                @if who.is_administrator {
                    (link(Place::Everyone, "/sessions", words.sessions))
                    (link(Place::Accounts, "/users", words.users))
                    (link(Place::Audit, "/audit", words.audit))
                }
            }
            div.who {
                span.name #user { (who.name) }
                (action(who, "/logout", html! { button.quiet type="submit" { (words.sign_out) } }))
            }
        }
        main #content {
            @if let Some(text) = who.notice.and_then(|notice| notice.text(words)) {
                p.notice.good role="status" { (text) }
            }
            (content)
        }
    };
    let page = document(words.lang, title, &body);
    let taken = who.notice.map(|_| Notice::taken(portal));
    (headers(taken), html_page(page)).into_response()
}

/// A form that does something, bound to the session that it is shown in.
pub(super) fn action(who: &SignedIn, path: &str, content: impl maud::Render) -> Markup {
    html! {
        form method="post" action=(path) {
            input type="hidden" name="csrf" value=(who.csrf);
            (content)
        }
    }
}

pub(super) fn document(lang: &str, title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang=(lang) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " – Portal" }
                link rel="icon" href="/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/style.css";
            }
            body { (body) }
        }
    }
}

pub(super) fn html_page(page: Markup) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/html; charset=utf-8")], page.into_string())
}

pub(super) fn icon() -> Markup {
    html! { img src="/icon.svg" alt="" width="28" height="28"; }
}
