//! The session cookie: which value of a request is a token, and what is sent to the browser.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use cookie::{Cookie, SameSite, time};
use session_core::{ClassName, SessionToken};

/// How the token travels: the name of the cookie and its attributes.
///
/// The default is the strictest that works for a site of its own (ASVS 5.0, 3.3.1 to 3.3.4; NIST SP 800-63B-4,
/// 5.1.1): the name `__Host-id`, `Secure`, `HttpOnly`, `SameSite=Lax`, `Path=/`, no `Domain`, and gone with the
/// browser's session. Whatever is weaker has `insecure` in its name.
///
/// ```
/// use session_engine::cookie::CookieConfig;
///
/// let config = CookieConfig::new();
/// assert_eq!(config.name(), "__Host-id");
/// assert_eq!(
///     config.removal(),
///     "__Host-id=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieConfig {
    name: Cow<'static, str>,
    secure: bool,
    strict: bool,
    persistent: Vec<ClassName>,
}

impl Default for CookieConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl CookieConfig {
    /// The strictest cookie that works for a site of its own.
    pub const fn new() -> Self {
        Self {
            name: Cow::Borrowed("__Host-id"),
            secure: true,
            strict: false,
            persistent: Vec::new(),
        }
    }

    /// For development over plain http on a loopback address: a cookie named `id` without `Secure` and without
    /// the prefix that needs it. Anybody on the network path can read it, and any neighbouring host can
    /// overwrite it.
    pub const fn insecure_development() -> Self {
        Self { name: Cow::Borrowed("id"), secure: false, strict: false, persistent: Vec::new() }
    }

    /// The same under another name, after the prefix: `app` is sent as `__Host-app`.
    ///
    /// # Errors
    /// The name has a character other than ASCII letters, digits, `-` and `_`, or none, or more than 64.
    pub fn named(mut self, name: &str) -> Result<Self, CookieNameError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || name.len() > 64 || !name.chars().all(allowed) {
            return Err(CookieNameError);
        }
        let prefix = if self.secure { "__Host-" } else { "" };
        self.name = Cow::Owned(format!("{prefix}{name}"));
        Ok(self)
    }

    /// The same with `SameSite=Strict`: no link from another site arrives signed in.
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// The same, but the cookie of this class's sessions outlives the browser, until the session's absolute
    /// deadline: for a class such as `remembered`. The deadlines that count are the engine's, not the cookie's
    /// (NIST SP 800-63B-4, 5.1.1: the cookie's expiry is not the timeout).
    #[must_use]
    pub fn persistent_for(mut self, class: ClassName) -> Self {
        self.persistent.push(class);
        self
    }

    /// The name, with its prefix.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the cookie travels over TLS only.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Finds the token in the values of a request's `Cookie` headers.
    ///
    /// The name is compared byte for byte. Several values for it are none: which is the browser's own cannot
    /// be told (RFC 6265bis, 5.8.3: their order says nothing). Whatever else the headers hold is passed over.
    /// Takes time in proportion to their length, and costs no I/O.
    pub fn find<'h>(&self, headers: impl IntoIterator<Item = &'h [u8]>) -> Presented {
        let mut values = headers.into_iter().flat_map(|header| self.values(header));
        match (values.next(), values.next()) {
            (None, _) => Presented::Nothing,
            (Some(value), None) => std::str::from_utf8(value)
                .ok()
                .and_then(|text| SessionToken::parse(text).ok())
                .map_or(Presented::Malformed, Presented::Token),
            (Some(_), Some(_)) => Presented::Ambiguous,
        }
    }

    /// The values of the cookies of our name in one header.
    ///
    /// Nothing is trimmed but the header's own white space, space and tab: a cookie named U+2000 and then ours
    /// is one that any neighbouring host may set, because to a browser it does not begin with `__Host-`. Parsers
    /// that trim it, or decode names, let it through.
    fn values<'h>(&self, header: &'h [u8]) -> impl Iterator<Item = &'h [u8]> + use<'_, 'h> {
        header.split(|byte| *byte == b';').filter_map(|pair| {
            let rest = trimmed(pair).strip_prefix(self.name.as_bytes())?;
            rest.strip_prefix(b"=")
        })
    }

    /// The value of the `Set-Cookie` header that gives the browser a token. It holds the secret.
    pub fn issue(&self, token: &SessionToken, class: &ClassName, lives_for: Duration) -> String {
        let text = token.expose();
        let mut cookie = self.build(&text);
        if self.persistent.contains(class) {
            cookie.set_max_age(seconds(lives_for.min(LONGEST)));
        }
        cookie.to_string()
    }

    /// The value of the `Set-Cookie` header that takes the token away from the browser.
    pub fn removal(&self) -> String {
        let mut cookie = self.build("");
        cookie.set_max_age(time::Duration::ZERO);
        cookie.set_expires(time::OffsetDateTime::UNIX_EPOCH);
        cookie.to_string()
    }

    fn build<'v>(&'v self, value: &'v str) -> Cookie<'v> {
        Cookie::build((self.name.as_ref(), value))
            .path("/")
            .http_only(true)
            .secure(self.secure)
            .same_site(if self.strict { SameSite::Strict } else { SameSite::Lax })
            .build()
    }
}

fn trimmed(mut pair: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = pair {
        pair = rest;
    }
    pair
}

/// Browsers keep no cookie for longer (RFC 6265bis, 5.5).
const LONGEST: Duration = Duration::from_secs(400 * 86_400);

fn seconds(duration: Duration) -> time::Duration {
    time::Duration::seconds(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX))
}

/// What a request presents.
///
/// ```
/// use session_engine::cookie::{CookieConfig, Presented};
///
/// let nothing = CookieConfig::new().find([b"theme=dark".as_slice()]);
/// assert!(matches!(nothing, Presented::Nothing));
/// ```
#[derive(Clone, Debug)]
pub enum Presented {
    /// No cookie of our name.
    Nothing,
    /// A text that is a token; whether it opens anything, the engine says.
    Token(SessionToken),
    /// A cookie of our name whose value is no token.
    Malformed,
    /// Several cookies of our name: none counts.
    Ambiguous,
}

/// A name that no cookie should have.
///
/// ```
/// use session_engine::cookie::CookieConfig;
///
/// assert!(CookieConfig::new().named("a b").is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CookieNameError;

impl fmt::Display for CookieNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a cookie's name has 1 to 64 ASCII letters, digits, `-` and `_`")
    }
}

impl std::error::Error for CookieNameError {}

#[cfg(test)]
mod tests {
    use super::*;
    use session_core::{SessionId, SystemRandom};

    fn token() -> SessionToken {
        SessionToken::new(SessionId::from_bytes([7; 16]), &SystemRandom).unwrap()
    }

    fn found(headers: &[&[u8]]) -> &'static str {
        match CookieConfig::new().find(headers.iter().copied()) {
            Presented::Nothing => "nothing",
            Presented::Token(_) => "token",
            Presented::Malformed => "malformed",
            Presented::Ambiguous => "ambiguous",
        }
    }

    #[test]
    fn finds_the_one_cookie_of_its_name() {
        let text = token().expose();
        let own = format!("__Host-id={}", *text);
        assert_eq!(found(&[own.as_bytes()]), "token");
        assert_eq!(found(&[format!("a=1; {own}; b=2").as_bytes()]), "token");
        assert_eq!(found(&[b"a=1", own.as_bytes()]), "token", "several header fields");
        assert_eq!(found(&[b"a=\xff\xfe; ", own.as_bytes()]), "token", "others may hold anything");
        assert_eq!(found(&[]), "nothing");
        assert_eq!(found(&[b""]), "nothing");
        assert_eq!(found(&[b"; ;;=; ="]), "nothing");
    }

    #[test]
    fn near_misses_are_other_cookies() {
        let text = token().expose();
        for name in [
            "__host-id",
            "__HOST-ID",
            "__Host-id2",
            "Host-id",
            "__Host%2Did",
            "__Host_id",
            "id",
            "__Host-",
        ] {
            assert_eq!(found(&[format!("{name}={}", *text).as_bytes()]), "nothing", "{name}");
        }
        // A cookie without a name whose value looks like ours (RFC 6265bis, 5.7).
        assert_eq!(found(&[format!("=__Host-id={}", *text).as_bytes()]), "nothing");
        assert_eq!(found(&[b"__Host-id"]), "nothing");
    }

    #[test]
    fn only_the_white_space_of_the_header_is_passed_over() {
        let text = token().expose();
        let own = format!("a=1;\t __Host-id={} \t;b=2", *text);
        assert_eq!(found(&[own.as_bytes()]), "token");
        // A neighbouring host may set these: to a browser they do not begin with the prefix.
        let spaces =
            ["\u{2000}", "\u{a0}", "\u{85}", "\u{3000}", "\u{feff}", "\u{b}", "\u{c}", "\r", "\n"];
        for space in spaces {
            let before = format!("{space}__Host-id={}", *text);
            assert_eq!(found(&[before.as_bytes()]), "nothing", "{space:?} before the name");
            let after = format!("__Host-id{space}={}", *text);
            assert_eq!(found(&[after.as_bytes()]), "nothing", "{space:?} after the name");
            let value = format!("__Host-id={space}{}", *text);
            assert_eq!(found(&[value.as_bytes()]), "malformed", "{space:?} before the value");
            let both = format!("{space}__Host-id=x; __Host-id={}", *text);
            assert_eq!(found(&[both.as_bytes()]), "token", "{space:?} on another cookie");
        }
        assert_eq!(found(&[format!("__Host-id ={}", *text).as_bytes()]), "nothing");
    }

    #[test]
    fn a_mebibyte_of_header_is_read_once() {
        use session_core::{Clock, SystemClock};

        let text = token().expose();
        let clock = SystemClock;
        for filler in ["a=b; ", ";", "=", "__Host-id", " ", "\u{2000}", "__Host-id=;"] {
            let mut header = filler.repeat((1 << 20) / filler.len());
            header.push_str(&format!("; __Host-id={}", *text));
            let start = clock.now();
            found(&[header.as_bytes()]);
            // In time that grows with the square of the length it would be hours.
            assert!(clock.now().since(start) < Duration::from_secs(10), "{filler:?}");
        }
    }

    #[test]
    fn several_values_are_none() {
        let (one, two) = (token().expose(), token().expose());
        let both = format!("__Host-id={}; __Host-id={}", *one, *two);
        assert_eq!(found(&[both.as_bytes()]), "ambiguous");
        let same = format!("__Host-id={}; __Host-id={}", *one, *one);
        assert_eq!(found(&[same.as_bytes()]), "ambiguous");
        let close = format!("__Host-id={};__Host-id={}", *one, *two);
        assert_eq!(found(&[close.as_bytes()]), "ambiguous");
        let split = [format!("__Host-id={}", *one), "__Host-id=x".to_owned()];
        assert_eq!(found(&[split[0].as_bytes(), split[1].as_bytes()]), "ambiguous");
    }

    #[test]
    fn hostile_values_are_no_tokens() {
        let text = token().expose();
        for value in ["", "\"\"", "%", "../../etc/passwd", "' OR 1=1 --", &"A".repeat(8192)] {
            assert_eq!(found(&[format!("__Host-id={value}").as_bytes()]), "malformed", "{value}");
        }
        assert_eq!(found(&[format!("__Host-id=\"{}\"", *text).as_bytes()]), "malformed");
        assert_eq!(found(&[b"__Host-id=\xff\xff"]), "malformed");
        assert_eq!(found(&[b"__Host-id=\0"]), "malformed");
    }

    #[test]
    fn every_attribute_is_there() {
        let config = CookieConfig::new();
        let class = ClassName::new("browser").unwrap();
        let text = token().expose();
        let set =
            config.issue(&SessionToken::parse(&text).unwrap(), &class, Duration::from_secs(60));
        assert_eq!(set, format!("__Host-id={}; HttpOnly; SameSite=Lax; Secure; Path=/", *text));
        assert!(set.len() < 4096, "RFC 6265bis, 5.6");
        let strict = config.clone().strict().removal();
        assert!(strict.contains("SameSite=Strict; Secure"), "{strict}");
        let development = CookieConfig::insecure_development().removal();
        assert!(development.starts_with("id=; HttpOnly; SameSite=Lax; Path=/"), "{development}");
    }

    #[test]
    fn a_persistent_cookie_is_bounded() {
        let class = ClassName::new("remembered").unwrap();
        let config = CookieConfig::new().persistent_for(class.clone());
        let set = |lives_for| config.issue(&token(), &class, lives_for);
        assert!(set(Duration::from_secs(90)).ends_with("; Max-Age=90"));
        assert!(set(Duration::MAX).ends_with("; Max-Age=34560000"));
    }

    #[test]
    fn names_cannot_smuggle_attributes() {
        for name in ["", "a b", "a;b", "a=b", "a\r\nb", "\u{e9}", &"x".repeat(65)] {
            assert!(CookieConfig::new().named(name).is_err(), "{name:?}");
        }
        assert_eq!(CookieConfig::new().named("app").unwrap().name(), "__Host-app");
        assert_eq!(CookieConfig::insecure_development().named("app").unwrap().name(), "app");
    }
}
