//! A text is a token exactly if it is the text that the token writes. The same holds for ids.
#![no_main]

use libfuzzer_sys::fuzz_target;
use session_core::{SessionId, SessionToken};

fuzz_target!(|text: &str| {
    if let Ok(token) = SessionToken::parse(text) {
        assert_eq!(*token.expose(), text);
        assert_eq!(text.len(), SessionToken::LENGTH);
        assert!(!format!("{token:?}").contains(&text[26..]), "shown");
    }
    if let Ok(id) = text.parse::<SessionId>() {
        assert_eq!(id.to_string(), text);
        assert_eq!(SessionId::from_bytes(*id.as_bytes()), id);
    }
});
