//! A request presents a token only if its text stands in the headers, and one of ours beside whatever else is found,
//! unless there are several.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use session_core::{SessionId, SessionToken, SystemRandom};
use session_engine::cookie::{CookieConfig, Presented};

fuzz_target!(|bytes: &[u8]| {
    let headers: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let name = CONFIG.name().as_bytes();
    let presented = CONFIG.find(headers.iter().copied());
    match &presented {
        Presented::Nothing => {}
        Presented::Token(token) => {
            assert!(contains(bytes, name) && contains(bytes, token.expose().as_bytes()));
        }
        Presented::Malformed | Presented::Ambiguous => assert!(contains(bytes, name)),
    }
    let joined = headers.join(b"; ".as_slice());
    assert_eq!(kind(&CONFIG.find([&*joined])), kind(&presented), "several headers are one");

    let own = format!("{}={}", CONFIG.name(), *TOKEN.expose());
    let beside = CONFIG.find(headers.iter().copied().chain([own.as_bytes()]));
    let within = CONFIG.find([&*[&joined, own.as_bytes()].join(b"; ".as_slice())]);
    for found in [beside, within] {
        match (&presented, found) {
            (Presented::Nothing, Presented::Token(token)) => assert_eq!(token.id(), TOKEN.id()),
            (Presented::Nothing, _) => panic!("the token was not found"),
            (_, found) => assert!(matches!(found, Presented::Ambiguous)),
        }
    }
});

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn kind(presented: &Presented) -> std::mem::Discriminant<Presented> {
    std::mem::discriminant(presented)
}

static CONFIG: CookieConfig = CookieConfig::new();

static TOKEN: LazyLock<SessionToken> = LazyLock::new(|| {
    SessionToken::new(SessionId::from_bytes([7; 16]), &SystemRandom).expect("randomness")
});
