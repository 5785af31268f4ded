//! The home page: who you are, how long your session lives, and what it keeps for you.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use session_engine::{Answer, ChangeSet};

use super::Portal;
use super::guard::{LANG, Sent, SignedIn, ZONE};
use super::refusal::Refusal;
use super::view::{self, Notice, Words, Zone};

const NOTE: &str = "note";
/// The most characters of a note.
const LONGEST_NOTE: usize = 4_000;

pub(crate) async fn show(State(portal): State<Portal>, who: SignedIn) -> Result<Response, Refusal> {
    let note = who.session.get::<String>(NOTE)?.unwrap_or_default();
    Ok(view::home(&portal, &who, &note, LONGEST_NOTE))
}

pub(crate) async fn save_note(
    State(portal): State<Portal>,
    Sent { who, fields }: Sent<SignedIn>,
) -> Result<Response, Refusal> {
    // Browsers end the lines of a text field with two characters (WHATWG HTML, 4.10.22.4).
    let note = fields.required("note")?.replace("\r\n", "\n");
    let length = note.chars().count();
    if length > LONGEST_NOTE {
        let text =
            format!("A note has at most {LONGEST_NOTE} characters, and this one has {length}.");
        return Err(Refusal::Invalid(text));
    }
    let edits = match note.as_str() {
        "" => ChangeSet::new().remove(NOTE),
        note => ChangeSet::new().set(NOTE, note)?,
    };
    save(&portal, &who, &edits, Notice::NoteSaved).await
}

pub(crate) async fn save_preferences(
    State(portal): State<Portal>,
    Sent { who, fields }: Sent<SignedIn>,
) -> Result<Response, Refusal> {
    let mut edits = ChangeSet::new();
    if let Some(lang) = fields.get("lang") {
        let words = Words::named(lang)
            .ok_or_else(|| Refusal::Invalid("lang must be one of de, en, fr.".to_owned()))?;
        edits = edits.set(LANG, words.lang)?;
    }
    if let Some(name) = fields.get("tz") {
        let zone = Zone::named(name).ok_or_else(|| {
            let text = "tz must be the name of a time zone, such as Europe/Berlin or UTC.";
            Refusal::Invalid(text.to_owned())
        })?;
        edits = edits.set(ZONE, zone.name())?;
    }
    if edits.is_empty() {
        return Err(Refusal::Invalid("The fields lang and tz are both missing.".to_owned()));
    }
    save(&portal, &who, &edits, Notice::PreferencesSaved).await
}

/// Only the keys that are named are written: an edit of another key by another tab stays.
async fn save(
    portal: &Portal,
    who: &SignedIn,
    edits: &ChangeSet,
    notice: Notice,
) -> Result<Response, Refusal> {
    match who.exchange.edit(edits).await? {
        Answer::Live(()) => {
            Ok((view::headers([notice.give(portal)]), Redirect::to("/")).into_response())
        }
        // It ended while the form was on its way: nothing was written.
        Answer::Ended(_) | Answer::Absent => Err(Refusal::SignIn),
    }
}
