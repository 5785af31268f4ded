//! Lists of what happened: to everybody, and to oneself.

use axum::response::Response;
use maud::{Markup, html};
use session_engine::risk::Watch;
use session_engine::store::{EventPage, StoredEvent};
use session_engine::{Actor, Event, EventKind};

use super::frame::{Place, page};
use super::reason::told;
use super::words::Words;
use crate::app::Portal;
use crate::app::audit::{Filter, KINDS};
use crate::app::browser::Browser;
use crate::app::guard::SignedIn;

pub(crate) fn audit(
    portal: &Portal,
    who: &SignedIn,
    filter: &Filter,
    listed: &EventPage,
) -> Response {
    // What only administrators read is in English.
    let content = html! {
        div lang="en" {
            h1 { "Audit" }
            (filter_form(who, filter))
            p.fine #count {
                (listed.events.len()) " shown, the newest first"
                @if listed.next.is_some() { ", and there may be more" }
            }
            @if listed.events.is_empty() {
                p.card.empty { "No event is like that." }
            } @else {
                div.card.scroll tabindex="0" role="region" aria-label="Events" {
                    table.events {
                        thead {
                            tr {
                                @for head in ["When", "What", "Whose", "Why", "By", "Details"] {
                                    th scope="col" { (head) }
                                }
                            }
                        }
                        tbody { @for stored in &listed.events { (row(who, stored)) } }
                    }
                }
            }
            div.row {
                @if let Some(next) = &listed.next {
                    form method="get" action="/audit" {
                        (same_query(filter))
                        input type="hidden" name="after" value=(next);
                        button.quiet type="submit" { "Older events" }
                    }
                }
                form method="get" action="/audit.jsonl" {
                    (same_query(filter))
                    button.quiet #download type="submit" { "Download all as JSON lines" }
                }
            }
        }
    };
    page(portal, who, Place::Audit, "Audit", &content)
}

fn filter_form(who: &SignedIn, filter: &Filter) -> Markup {
    let is_offered = KINDS.iter().any(|kind| kind.code() == filter.kind);
    html! {
        form.card.filter method="get" action="/audit" {
            div {
                label for="user-filter" { "User" }
                input #user-filter name="user" value=(filter.user) maxlength="255" autocapitalize="none"
                    autocomplete="off" spellcheck="false";
            }
            div {
                label for="session-filter" { "Session" }
                input #session-filter name="session" value=(filter.session) maxlength="36"
                    autocomplete="off" spellcheck="false";
            }
            div {
                label for="kind-filter" { "Kind" }
                select #kind-filter name="kind" {
                    option value="" { "all" }
                    @for kind in &KINDS {
                        option value=(kind.code()) selected[kind.code() == filter.kind] { (kind.code()) }
                    }
                    @if !is_offered && !filter.kind.is_empty() {
                        option value=(filter.kind) selected { (filter.kind) }
                    }
                }
            }
            div {
                label for="from-filter" { "From (" (who.zone.name()) ")" }
                input #from-filter name="from" value=(filter.from) placeholder="2026-01-31 14:30"
                    autocomplete="off";
            }
            div {
                label for="until-filter" { "Before (" (who.zone.name()) ")" }
                input #until-filter name="until" value=(filter.until) placeholder="2026-02-01"
                    autocomplete="off";
            }
            button type="submit" { "Show" }
        }
    }
}

fn same_query(filter: &Filter) -> Markup {
    let Filter { user, session, kind, from, until, .. } = filter;
    html! {
        @for (name, value) in
            [("user", user), ("session", session), ("kind", kind), ("from", from), ("until", until)] {
            input type="hidden" name=(name) value=(value);
        }
    }
}

fn row(who: &SignedIn, stored: &StoredEvent) -> Markup {
    let event = &stored.event;
    html! {
        tr data-event=(event.kind.code()) {
            td data-label="When" {
                (who.zone.show(event.at))
                @if event.observed_at != event.at {
                    br;
                    span.fine { "noticed " (who.zone.show(event.observed_at)) }
                }
            }
            td data-label="What" { span.tag { (event.kind.code()) } }
            td data-label="Whose" {
                @match &event.subject {
                    Some(subject) => { b { (subject) } },
                    None => { "–" },
                }
                @if let Some(session) = event.session {
                    br;
                    a href={ "/audit?session=" (session) } { code.fine { (session) } }
                }
            }
            td data-label="Why" {
                @match &event.reason {
                    Some(reason) => { (told(reason, Words::of(None)).0) br; code.fine { (reason.code()) } },
                    None => { "–" },
                }
            }
            td data-label="By" { (event.actor) }
            td data-label="Details" {
                @if event.detail.is_empty() { "–" }
                @for (name, text) in &event.detail {
                    div.detail { span.fine { (name) } " " (text) }
                }
            }
        }
    }
}

pub(crate) fn history(portal: &Portal, who: &SignedIn, listed: &EventPage) -> Response {
    let words = who.words;
    let content = html! {
        h1 { (words.history) }
        p { (words.history_text) }
        ul.devices {
            @for stored in &listed.events { (own(who, stored)) }
        }
        @if let Some(next) = &listed.next {
            form method="get" action="/history" {
                input type="hidden" name="after" value=(next);
                button.quiet type="submit" { (words.more) }
            }
        }
    };
    page(portal, who, Place::History, words.history, &content)
}

fn own(who: &SignedIn, stored: &StoredEvent) -> Markup {
    let (words, event) = (who.words, &stored.event);
    html! {
        li.card data-event=(event.kind.code()) {
            div {
                h2 {
                    (happened(event, words))
                    @if event.session == Some(who.session.id()) { " " span.tag.good { (words.current) } }
                }
                dl.compact {
                    dt { (words.at) }
                    dd { (who.zone.show(event.at)) }
                    @if let Some(reason) = &event.reason {
                        dt { (words.why) }
                        dd { (told(reason, words).0) }
                    }
                    @if let Actor::Operator(name) = &event.actor {
                        dt { (words.done_by) }
                        dd { (name) }
                    }
                    @if let Some(agent) = event.detail.get("agent") {
                        dt { (words.device) }
                        dd { (Browser(Some(agent))) }
                    }
                    @if let Some(address) = event.detail.get("address") {
                        dt { (words.address) }
                        dd { (address) }
                    }
                    @if let Some(session) = event.session {
                        dt { (words.session_id) }
                        dd { code { (session) } }
                    }
                }
            }
        }
    }
}

/// What happened, in words for the one whom it happened to.
fn happened(event: &Event, words: &Words) -> &'static str {
    let [english, german, french] = match &event.kind {
        // All but the one that is named.
        EventKind::SubjectRevoked if event.detail.contains_key("kept") => [
            "All other sessions ended",
            "Alle anderen Sitzungen beendet",
            "Toutes les autres sessions terminées",
        ],
        EventKind::Issued => ["Session created", "Sitzung angelegt", "Session créée"],
        EventKind::Activated => ["First used", "Zum ersten Mal benutzt", "Première utilisation"],
        EventKind::LoggedIn => ["Signed in", "Angemeldet", "Connexion"],
        EventKind::Rotated => ["Cookie renewed", "Cookie erneuert", "Cookie renouvelé"],
        EventKind::ScopeEntered => {
            ["Protected area opened", "Geschützten Bereich geöffnet", "Espace protégé ouvert"]
        }
        EventKind::Reauthenticated => {
            ["Signed in once more", "Noch einmal angemeldet", "Nouvelle connexion"]
        }
        EventKind::SteppedUp => {
            ["Password confirmed", "Passwort bestätigt", "Mot de passe confirmé"]
        }
        EventKind::DeviceSeen => ["New device", "Neues Gerät", "Nouvel appareil"],
        EventKind::ReuseDetected => [
            "Old cookie presented again",
            "Alter Cookie erneut vorgelegt",
            "Ancien cookie présenté",
        ],
        EventKind::LoginDenied => ["Sign-in refused", "Anmeldung abgelehnt", "Connexion refusée"],
        EventKind::Ended => ["Session ended", "Sitzung beendet", "Session terminée"],
        EventKind::SubjectRevoked => {
            ["All sessions ended", "Alle Sitzungen beendet", "Toutes les sessions terminées"]
        }
        EventKind::RealmRevoked => {
            ["Everyone signed out", "Alle abgemeldet", "Tout le monde déconnecté"]
        }
        other if other.code() == Watch::NOTICED => {
            ["Unusual use noticed", "Ungewöhnliche Nutzung bemerkt", "Usage inhabituel remarqué"]
        }
        // Of newer versions, and of whatever else writes to the store.
        _ => ["Something else", "Etwas anderes", "Autre chose"],
    };
    words.choose(english, german, french)
}
