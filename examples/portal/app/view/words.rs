//! The words of the pages, in each language that somebody may prefer.

mod english;
mod french;
mod german;

use axum::http::HeaderMap;
use axum::http::header::ACCEPT_LANGUAGE;

use english::ENGLISH;
use french::FRENCH;
use german::GERMAN;

/// The words of one language.
pub(crate) struct Words {
    /// Its code (BCP 47).
    pub(crate) lang: &'static str,
    pub(super) name: &'static str,
    pub(super) skip: &'static str,
    pub(super) pages: &'static str,
    pub(super) home: &'static str,
    pub(super) devices: &'static str,
    pub(super) sessions: &'static str,
    pub(super) sign_out: &'static str,
    pub(super) greeting: &'static str,
    pub(super) your_session: &'static str,
    pub(super) user: &'static str,
    pub(super) administrator: &'static str,
    pub(super) state: &'static str,
    pub(super) created_state: &'static str,
    pub(super) active_state: &'static str,
    pub(super) ends_unused: &'static str,
    pub(super) ends_at_most: &'static str,
    pub(super) in_time: &'static str,
    pub(super) never: &'static str,
    pub(super) signed_in: &'static str,
    pub(super) session_id: &'static str,
    pub(super) note: &'static str,
    pub(super) note_label: &'static str,
    pub(super) save: &'static str,
    pub(super) preferences: &'static str,
    pub(super) language: &'static str,
    pub(super) time_zone: &'static str,
    pub(super) note_saved: &'static str,
    pub(super) preferences_saved: &'static str,
    pub(super) device_ended: &'static str,
    pub(super) others_ended: &'static str,
    pub(super) devices_text: &'static str,
    pub(super) current: &'static str,
    pub(super) last_seen: &'static str,
    /// What stands before and after a time that has passed.
    pub(super) ago: (&'static str, &'static str),
    /// What stands around the name of whoever ended a session.
    pub(super) it_was_done_by: (&'static str, &'static str),
    /// What stands around the name of whose session a browser holds.
    pub(super) held_by: (&'static str, &'static str),
    /// What is said to whom has as many sessions as are allowed, before and after their number.
    pub(crate) full_house: (&'static str, &'static str),
    /// What stands around how many sessions there are, and how many there may be.
    pub(super) room: (&'static str, &'static str, &'static str),
    pub(super) address: &'static str,
    pub(super) end: &'static str,
    pub(super) elsewhere: &'static str,
    pub(super) end_others_text: &'static str,
    pub(super) end_others: &'static str,
    pub(super) more: &'static str,
    pub(super) users: &'static str,
    pub(super) audit: &'static str,
    pub(super) history: &'static str,
    pub(super) history_text: &'static str,
    pub(super) at: &'static str,
    pub(super) why: &'static str,
    pub(super) done_by: &'static str,
    pub(super) device: &'static str,
    pub(super) sign_in: &'static str,
    pub(super) user_name: &'static str,
    pub(super) remember: &'static str,
    pub(super) remember_text: &'static str,
    pub(super) to_home: &'static str,
    pub(crate) ended_meanwhile: &'static str,
    pub(super) users_text: &'static str,
    pub(super) finance: &'static str,
    pub(super) books: &'static str,
    pub(super) scope_open: &'static str,
    pub(super) scope_text: &'static str,
    pub(super) closes_unused: &'static str,
    pub(super) closes_at_most: &'static str,
    pub(super) unlock: &'static str,
    pub(super) scope_not_entered: &'static str,
    pub(super) scope_idle: &'static str,
    pub(super) scope_over: &'static str,
    pub(super) proof_too_old: &'static str,
    pub(super) proof_too_weak: &'static str,
    pub(super) proof_missing: &'static str,
    pub(super) password_not_enough: &'static str,
    pub(super) password: &'static str,
    pub(super) change_password: &'static str,
    pub(super) change_password_text: &'static str,
    pub(super) old_password: &'static str,
    pub(super) new_password: &'static str,
    pub(super) new_password_again: &'static str,
    pub(super) password_rule: &'static str,
    pub(crate) password_too_short: &'static str,
    pub(crate) passwords_differ: &'static str,
    pub(crate) wrong_password: &'static str,
    pub(crate) held_back: &'static str,
    pub(super) unusual: (&'static str, &'static str),
    pub(super) password_changed: &'static str,
}

impl Words {
    /// The words of a language by its code.
    pub(crate) fn named(lang: &str) -> Option<&'static Self> {
        ALL.into_iter().find(|words| words.lang == lang)
    }

    /// The words of the language that is kept, or English.
    pub(crate) fn of(kept: Option<&str>) -> &'static Self {
        kept.and_then(Self::named).unwrap_or(&ENGLISH)
    }

    /// The words of the language that a browser asks for (RFC 9110, 12.5.4): for those of whom nothing is kept.
    pub(crate) fn accepted(headers: &HeaderMap) -> &'static Self {
        let asked = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let mut best = (&ENGLISH, 0.0);
        for range in asked.unwrap_or_default().split(',') {
            let (tag, rest) = range.split_once(';').unwrap_or((range, ""));
            let lang = tag.split('-').next().unwrap_or_default().trim().to_ascii_lowercase();
            let weight = match rest.trim().strip_prefix("q=") {
                Some(text) => text.trim().parse().unwrap_or(0.0),
                None => 1.0,
            };
            if let Some(words) = Self::named(&lang).filter(|_| weight > best.1) {
                best = (words, weight);
            }
        }
        best.0
    }

    /// That of these which is in this language.
    pub(super) fn choose<T>(&self, english: T, german: T, french: T) -> T {
        match self.lang {
            "de" => german,
            "fr" => french,
            _ => english,
        }
    }

    pub(super) fn all() -> [&'static Self; 3] {
        ALL
    }
}

static ALL: [&Words; 3] = [&ENGLISH, &GERMAN, &FRENCH];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_answered_in_the_language_it_likes_best() {
        for (asked, lang) in [
            ("", "en"),
            ("de", "de"),
            ("de-CH, de;q=0.9, en;q=0.8", "de"),
            ("it, FR;q=0.7, en;q=0.3", "fr"),
            ("en;q=0.2,fr;q=0.1,de;q=0.5", "de"),
            ("de;q=0, fr;q=NaN, en;q=0.1", "en"),
            ("*", "en"),
            ("de;q=x;;,,;", "en"),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_LANGUAGE, asked.parse().unwrap())]);
            assert_eq!(Words::accepted(&headers).lang, lang, "{asked}");
        }
    }
}
