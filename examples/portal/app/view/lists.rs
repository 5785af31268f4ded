//! Lists of sessions: one's own devices, and everyone's.

use axum::response::Response;
use maud::{Markup, html};
use session_engine::{SessionInfo, SessionPage, Timestamp};

use super::frame::{Place, action, page};
use super::reason;
use super::zone::span;
use crate::app::Portal;
use crate::app::browser::Browser;
use crate::app::devices::Room;
use crate::app::everyone::{Filter, STATES};
use crate::app::guard::SignedIn;

pub(crate) fn devices(
    portal: &Portal,
    who: &SignedIn,
    listed: &SessionPage,
    room: Option<Room>,
    unusual: Option<Timestamp>,
) -> Response {
    let words = who.words;
    let content = html! {
        h1 { (words.devices) }
        @if let Some(at) = unusual {
            p.notice #unusual {
                (words.unusual.0) (who.zone.show(at)) (words.unusual.1) " "
                a href="/history" { (words.history) } " · " a href="/password" { (words.change_password) }
            }
        }
        p {
            (words.devices_text)
            @if let Some(Room { live, limit }) = room {
                " " span #room data-live=(live) data-limit=(limit) {
                    (words.room.0) b { (live) } (words.room.1) b { (limit) } (words.room.2)
                }
            }
        }
        ul.devices {
            @for info in &listed.sessions { (device(who, info)) }
        }
        @if let Some(next) = &listed.next {
            form method="get" action="/devices" {
                input type="hidden" name="after" value=(next);
                button.quiet type="submit" { (words.more) }
            }
        }
        section.card {
            h2 { (words.elsewhere) }
            p { (words.end_others_text) }
            (action(who, "/devices/end-others", html! {
                button.danger type="submit" { (words.end_others) }
            }))
        }
    };
    page(portal, who, Place::Devices, words.devices, &content)
}

fn device(who: &SignedIn, info: &SessionInfo) -> Markup {
    let words = who.words;
    let is_current = info.id == who.session.id();
    let now = who.exchange.sessions().now();
    html! {
        li.card data-session=(info.id) {
            div {
                h2 {
                    (Browser(info.client.agent.as_deref()))
                    @if is_current { " " span.tag.good { (words.current) } }
                }
                dl.compact {
                    dt { (words.last_seen) }
                    dd { (words.ago.0) (span(now.since(info.last_seen_at))) (words.ago.1) }
                    dt { (words.signed_in) }
                    dd { (who.zone.show(info.created_at)) }
                    dt { (words.address) }
                    dd { (info.client.address.as_deref().unwrap_or("–")) }
                }
            }
            (action(who, &format!("/devices/{}/end", info.id), html! {
                button.(if is_current { "quiet" } else { "danger" }) type="submit"
                    title=(info.client.agent.as_deref().unwrap_or_default()) {
                    (if is_current { words.sign_out } else { words.end })
                }
            }))
        }
    }
}

pub(crate) fn everyone(
    portal: &Portal,
    who: &SignedIn,
    filter: &Filter,
    listed: &SessionPage,
) -> Response {
    // What only administrators read is in English.
    let content = html! {
        div lang="en" {
            h1 { "Sessions" }
            (filter_form(filter))
            (table(who, listed))
            @if let Some(next) = &listed.next {
                form method="get" action="/sessions" {
                    input type="hidden" name="user" value=(filter.user);
                    input type="hidden" name="state" value=(filter.state);
                    input type="hidden" name="idle_for" value=(filter.idle_for);
                    input type="hidden" name="after" value=(next);
                    button.quiet type="submit" { "More sessions" }
                }
            }
            div.columns {
                section.card {
                    h2 { "End all sessions of a user" }
                    (action(who, "/sessions/end-user", html! {
                        label for="end-user" { "User" }
                        input #end-user name="user" value=(filter.user) maxlength="255"
                            autocapitalize="none" autocomplete="off" spellcheck="false" required;
                        button.danger type="submit" { "End the user's sessions" }
                    }))
                }
                section.card {
                    h2 { "End everyone's sessions" }
                    p { "Everybody is signed out at once, you included." }
                    details {
                        summary { "Sign everyone out…" }
                        (action(who, "/sessions/end-all", html! {
                            button.danger #end-all type="submit" { "End every session now" }
                        }))
                    }
                }
            }
        }
    };
    page(portal, who, Place::Everyone, who.words.sessions, &content)
}

fn filter_form(filter: &Filter) -> Markup {
    html! {
        form.card.filter method="get" action="/sessions" role="search" {
            div {
                label for="user-filter" { "User" }
                input #user-filter name="user" value=(filter.user) maxlength="255"
                    autocapitalize="none" autocomplete="off" spellcheck="false";
            }
            div {
                label for="state-filter" { "State" }
                select #state-filter name="state" {
                    @for (code, text, _) in STATES {
                        option value=(code) selected[filter.state == code] { (text) }
                    }
                }
            }
            div {
                label for="idle-for" { "Not used for" }
                input #idle-for name="idle_for" value=(filter.idle_for) placeholder="10m" size="8"
                    autocomplete="off";
            }
            button type="submit" { "Show" }
        }
    }
}

fn table(who: &SignedIn, listed: &SessionPage) -> Markup {
    html! {
        p.fine #count {
            (listed.sessions.len()) " shown"
            @if listed.next.is_some() { ", and there may be more" }
            @if !listed.damaged.is_empty() { "; " (listed.damaged.len()) " cannot be read" }
        }
        @if listed.sessions.is_empty() {
            p.card.empty { "No session is like that." }
        } @else {
            div.card.scroll tabindex="0" role="region" aria-label="Sessions" {
                table {
                    thead {
                        tr {
                            @for head in ["User", "State", "Last seen", "Created", "Client", ""] {
                                th scope="col" { (head) }
                            }
                        }
                    }
                    tbody { @for info in &listed.sessions { (row(who, info)) } }
                }
            }
        }
    }
}

fn row(who: &SignedIn, info: &SessionInfo) -> Markup {
    let now = who.exchange.sessions().now();
    let user = info.subject.as_ref().map_or("nobody", |subject| subject.as_str());
    html! {
        tr data-session=(info.id) data-state=(info.state.code()) {
            td data-label="User" {
                b { (user) }
                @if info.id == who.session.id() { " " span.tag.good { "this one" } }
                br;
                code.fine { (info.id) }
            }
            td data-label="State" {
                @match &info.end {
                    None => { span.tag.good { (info.state.code()) } },
                    Some(end) => { span.tag { (info.state.code()) } br; span.fine { (reason::short(end)) } },
                }
            }
            td data-label="Last seen" { (span(now.since(info.last_seen_at))) " ago" }
            td data-label="Created" { (who.zone.show(info.created_at)) }
            td data-label="Client" {
                (Browser(info.client.agent.as_deref())) br;
                span.fine { (info.client.address.as_deref().unwrap_or("–")) }
            }
            td.act {
                @if info.state.is_live() {
                    (action(who, &format!("/sessions/{}/end", info.id), html! {
                        button.danger.small type="submit" aria-label={ "End this session of " (user) } { "End" }
                    }))
                }
            }
        }
    }
}
