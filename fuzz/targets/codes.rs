//! What stores and exports keep as text (reasons, actors, kinds of events) reads back as it was written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use session_core::{Actor, EventKind, Reason, State};

fuzz_target!(|text: &str| {
    if let Ok(reason) = Reason::from_code(text) {
        assert_eq!(reason.code(), text);
        assert!(!reason.state().is_live());
        if let Reason::Other(code) = &reason {
            assert_eq!((code.as_str(), reason.state()), (text, State::Revoked));
        }
    }
    if let Ok(actor) = Actor::from_code(text) {
        assert_eq!(actor.code(), text);
        assert!(!actor.to_string().contains(char::is_control));
    }
    if let Ok(kind) = EventKind::from_code(text) {
        assert_eq!(kind.code(), text);
    }
});
