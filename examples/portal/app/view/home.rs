//! The home page.

use axum::response::Response;
use maud::{Markup, html};
use session_engine::Timestamp;

use super::frame::{Place, action, page};
use super::words::Words;
use super::zone::{OFFERED, span};
use crate::app::Portal;
use crate::app::guard::SignedIn;

pub(crate) fn home(portal: &Portal, who: &SignedIn, note: &str, longest_note: usize) -> Response {
    let words = who.words;
    let content = html! {
        h1 { (words.greeting) ", " (who.name) "!" }
        div.columns {
            (session(who))
            div.stack {
                section.card aria-labelledby="note-title" {
                    h2 #note-title { (words.note) }
                    (action(who, "/note", html! {
                        label for="note" { (words.note_label) }
                        // A browser drops the first line break of a text field.
                        textarea #note name="note" rows="6" maxlength=(longest_note) { "\n" (note) }
                        button type="submit" { (words.save) }
                    }))
                }
                (preferences(who))
            }
        }
    };
    page(portal, who, Place::Home, words.home, &content)
}

fn session(who: &SignedIn) -> Markup {
    let (words, session) = (who.words, &who.session);
    let now = who.exchange.sessions().now();
    let deadline = |at: Timestamp| {
        html! { strong { (words.in_time) " " (span(at.since(now))) } br; span.fine { (who.zone.show(at)) } }
    };
    let state = if session.state() == session_engine::State::Created {
        words.created_state
    } else {
        words.active_state
    };
    html! {
        section.card aria-labelledby="session-title" {
            h2 #session-title { (words.your_session) }
            dl {
                dt { (words.user) }
                dd { (who.name) @if who.is_administrator { " " span.tag { (words.administrator) } } }
                dt { (words.state) }
                dd #state data-state=(session.state().code()) { span.tag.good { (state) } }
                dt { (words.ends_unused) }
                dd #idle-deadline {
                    @match session.idle_deadline() {
                        Some(at) => { (deadline(at)) },
                        None => { (words.never) },
                    }
                }
                dt { (words.ends_at_most) }
                dd #absolute-deadline { (deadline(session.absolute_deadline())) }
                dt { (words.signed_in) }
                dd { (who.zone.show(session.created_at())) }
                dt { (words.session_id) }
                dd { code #session-id { (session.id()) } }
                dt { (words.password) }
                dd { a href="/password" { (words.change_password) } }
            }
        }
    }
}

fn preferences(who: &SignedIn) -> Markup {
    let words = who.words;
    html! {
        section.card aria-labelledby="preferences-title" {
            h2 #preferences-title { (words.preferences) }
            (action(who, "/preferences", html! {
                div.fields {
                    div {
                        label for="lang" { (words.language) }
                        select #lang name="lang" {
                            @for known in Words::all() {
                                option value=(known.lang) lang=(known.lang) selected[known.lang == words.lang] {
                                    (known.name)
                                }
                            }
                        }
                    }
                    div {
                        label for="tz" { (words.time_zone) }
                        input #tz name="tz" list="zones" value=(who.zone.name()) autocomplete="off"
                            spellcheck="false" required;
                        datalist #zones { @for name in OFFERED { option value=(name) {} } }
                    }
                }
                button type="submit" { (words.save) }
            }))
        }
    }
}
