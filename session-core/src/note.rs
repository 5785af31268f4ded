//! What an application adds to the history of a session: told in the commit of the change that it tells of.

use std::collections::BTreeMap;

use crate::record::bounded;
use crate::{EventKind, NameError, ReasonCode};

/// An event of the application's own, to be written with a change of a session's data.
///
/// It says what was seen, and nothing that only the engine decides: a kind such as [`EventKind::Ended`] cannot be
/// noted, so that the history is true. Whose session, when, and for how long it is kept are the engine's to say.
///
/// ```
/// use session_core::{EventKind, Note, NoteError};
///
/// let note = Note::new("export_started").unwrap().with_detail("rows", "1200");
/// assert_eq!(note.kind().code(), "export_started");
/// assert_eq!(Note::new("ended"), Err(NoteError::Reserved(EventKind::Ended)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    kind: EventKind,
    detail: BTreeMap<String, String>,
}

/// Why something cannot be noted.
///
/// ```
/// use session_core::{Note, NoteError};
///
/// assert!(matches!(Note::new("two words"), Err(NoteError::Name(_))));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// The code is none.
    #[error("a note needs a code: {0}")]
    Name(#[from] NameError),
    /// The engine alone tells of this.
    #[error("{0} is told by the engine alone, and cannot be noted")]
    Reserved(EventKind),
}

impl Note {
    /// A note keeps that many details.
    pub const MAX_DETAILS: usize = 16;

    /// A note of the application's own kind, [`EventKind::Other`].
    ///
    /// # Errors
    /// The code is empty, longer than 64 bytes, or not of ASCII letters, digits, `-`, `_` and `.`; or it is that of
    /// an event that the engine tells of.
    pub fn new(code: &str) -> Result<Self, NoteError> {
        match EventKind::from_code(code)? {
            kind @ EventKind::Other(_) => Ok(Self { kind, detail: BTreeMap::new() }),
            kind => Err(NoteError::Reserved(kind)),
        }
    }

    /// A device was seen: [`EventKind::DeviceSeen`].
    pub fn device_seen() -> Self {
        Self { kind: EventKind::DeviceSeen, detail: BTreeMap::new() }
    }

    /// The same with a detail. Its name is cut to 64 bytes, its text to 256, both without control characters; a
    /// name beyond the first [`Note::MAX_DETAILS`] is left out.
    #[must_use]
    pub fn with_detail(mut self, name: &str, text: &str) -> Self {
        let name: String = bounded(name, ReasonCode::LIMIT).into();
        if self.detail.len() < Self::MAX_DETAILS || self.detail.contains_key(&name) {
            self.detail.insert(name, bounded(text, 256).into());
        }
        self
    }

    /// What it tells.
    pub fn kind(&self) -> &EventKind {
        &self.kind
    }

    /// More, by name.
    pub fn detail(&self) -> &BTreeMap<String, String> {
        &self.detail
    }

    /// What it is made of.
    pub(crate) fn into_parts(self) -> (EventKind, BTreeMap<String, String>) {
        (self.kind, self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_tells_cannot_be_noted() {
        for code in ["issued", "logged_in", "ended", "subject_revoked", "device_seen"] {
            let kind = EventKind::from_code(code).unwrap();
            assert_eq!(Note::new(code), Err(NoteError::Reserved(kind)), "{code}");
        }
        assert_eq!(Note::new(""), Err(NoteError::Name(NameError::Empty)));
    }

    #[test]
    fn details_are_bounded() {
        let note = (0..40).fold(Note::device_seen(), |note, index| {
            note.with_detail(&format!("{index}{}", "n".repeat(100)), &"t".repeat(1_000))
        });
        assert_eq!(note.detail().len(), Note::MAX_DETAILS);
        assert!(note.detail().iter().all(|(name, text)| name.len() == 64 && text.len() == 256));
        let note = Note::device_seen().with_detail("agent", "a\r\nb");
        assert_eq!(note.detail()["agent"], "ab", "no line of a log is forged");
    }
}
