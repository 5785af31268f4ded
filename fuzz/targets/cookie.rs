//! A request presents a token only if exactly one cookie of our name stands in the headers and the token's text is
//! its value; and one of ours beside whatever else is found, unless there are several.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use session_core::{SessionId, SessionToken, SystemRandom};
use session_engine::cookie::{CookieConfig, Presented};

fuzz_target!(|bytes: &[u8]| {
    let headers: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let presented = CONFIG.find(headers.iter().copied());
    match (&presented, ours(bytes)) {
        (Presented::Nothing, 0) | (Presented::Malformed, 1) | (Presented::Ambiguous, 2..) => {}
        (Presented::Token(token), 1) => assert!(contains(bytes, token.expose().as_bytes())),
        (presented, cookies) => panic!("{presented:?} from {cookies} cookies of our name"),
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

/// How many cookies have our name: where it stands with nothing before it, in its header or after a semicolon, but
/// space and tab.
fn ours(bytes: &[u8]) -> usize {
    let start = format!("{}=", CONFIG.name());
    let stands = |at: usize| {
        let before = bytes[..at].iter().rev().find(|byte| !matches!(byte, b' ' | b'\t'));
        bytes[at..].starts_with(start.as_bytes()) && matches!(before, None | Some(b';' | b'\n'))
    };
    (0..bytes.len()).filter(|at| stands(*at)).count()
}

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
