//! What people see: plain HTML that works without a script. Every text that is put in is escaped.

mod accounts;
mod events;
mod finance;
mod frame;
mod home;
mod lists;
mod notice;
mod password;
mod reason;
mod sign_in;
mod words;
mod zone;

use axum::http::StatusCode;
use axum::response::{AppendHeaders, IntoResponse, Response};
use maud::html;

use super::jar::Header;
pub(crate) use accounts::accounts;
pub(crate) use events::{audit, history};
pub(crate) use finance::{finance, unlock};
use frame::{document, html_page};
pub(crate) use home::home;
pub(crate) use lists::{devices, everyone};
pub(crate) use notice::Notice;
pub(crate) use password::password;
pub(crate) use sign_in::SignInPage;
pub(crate) use words::Words;
pub(crate) use zone::Zone;

/// A page that only says something, and shows nothing of any session.
pub(crate) fn message(status: StatusCode, title: &str, text: &str) -> Response {
    message_leading_to("/", "To the home page", status, title, text)
}

/// The same, with the way on.
pub(crate) fn message_leading_to(
    href: &str,
    name: &str,
    status: StatusCode,
    title: &str,
    text: &str,
) -> Response {
    let page = document(
        "en",
        title,
        &html! {
            main.narrow {
                section.card {
                    p.eyebrow { (status.as_u16()) }
                    h1 { (title) }
                    p { (text) }
                    p { a.button href=(href) { (name) } }
                }
            }
        },
    );
    (status, html_page(page)).into_response()
}

/// Header fields that are added to those of the response.
pub(crate) fn headers(
    fields: impl IntoIterator<Item = Header>,
) -> AppendHeaders<impl IntoIterator<Item = Header>> {
    AppendHeaders(fields)
}
