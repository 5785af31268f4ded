//! A name is kept as it was given, is never longer than its limit, and its JSON reads back as the same name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use session_core::{ClassName, GroupName, Realm, ScopeName, Subject};

macro_rules! check {
    ($name:ident, $text:expr) => {
        let parsed = $text.parse::<$name>();
        assert_eq!(parsed, $name::new($text));
        assert_eq!(parsed, $name::try_from($text.to_owned()));
        if let Ok(name) = parsed {
            assert_eq!(name.as_str(), $text);
            assert!((1..=$name::LIMIT).contains(&$text.len()));
        }
    };
}

fuzz_target!(|text: &str| {
    check!(Subject, text);
    check!(Realm, text);
    check!(ClassName, text);
    check!(GroupName, text);
    check!(ScopeName, text);
});
