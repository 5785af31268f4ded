//! What an action wants to say on the page that follows it: one of a few fixed texts, in a cookie.

use axum::http::HeaderMap;

use super::Words;
use crate::app::Portal;
use crate::app::jar::{Header, Name};

/// What has been done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    SignedOut,
    NoteSaved,
    PreferencesSaved,
    PasswordChanged,
    DeviceEnded,
    OthersEnded,
    SessionEnded,
    UserEnded,
    RoleChanged,
    AccountDisabled,
    AccountEnabled,
}

const CODES: [(Notice, &str); 11] = [
    (Notice::SignedOut, "signed-out"),
    (Notice::NoteSaved, "note-saved"),
    (Notice::PreferencesSaved, "preferences-saved"),
    (Notice::PasswordChanged, "password-changed"),
    (Notice::DeviceEnded, "device-ended"),
    (Notice::OthersEnded, "others-ended"),
    (Notice::SessionEnded, "session-ended"),
    (Notice::UserEnded, "user-ended"),
    (Notice::RoleChanged, "role-changed"),
    (Notice::AccountDisabled, "account-disabled"),
    (Notice::AccountEnabled, "account-enabled"),
];

impl Notice {
    /// The header that gives it to the browser, for the next page.
    pub(crate) fn give(self, portal: &Portal) -> Header {
        let code = CODES.iter().find(|(notice, _)| *notice == self).map_or("", |(_, code)| code);
        portal.set_cookie(Name::Notice, code, 60)
    }

    /// The header that takes it away, once it is shown.
    pub(crate) fn taken(portal: &Portal) -> Header {
        portal.set_cookie(Name::Notice, "", 0)
    }

    /// The one that a request presents.
    pub(crate) fn presented(portal: &Portal, headers: &HeaderMap) -> Option<Self> {
        let text = portal.cookie(headers, Name::Notice)?;
        CODES.iter().find(|(_, code)| *code == text).map(|(notice, _)| *notice)
    }

    pub(super) fn text(self, words: &Words) -> Option<&'static str> {
        match self {
            Self::SignedOut => None,
            Self::NoteSaved => Some(words.note_saved),
            Self::PreferencesSaved => Some(words.preferences_saved),
            Self::PasswordChanged => Some(words.password_changed),
            Self::DeviceEnded => Some(words.device_ended),
            Self::OthersEnded => Some(words.others_ended),
            Self::SessionEnded => Some("The session has ended."),
            Self::UserEnded => Some("All sessions of that user have ended."),
            Self::RoleChanged => Some("The role is changed. All sessions of that user have ended."),
            Self::AccountDisabled => {
                Some("The account is disabled. All sessions of that user have ended.")
            }
            Self::AccountEnabled => Some("The account is enabled."),
        }
    }
}
