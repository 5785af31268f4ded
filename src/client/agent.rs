//! What a user agent says of browser, system and device.

use std::fmt;
use std::sync::LazyLock;

use session_core::bounded;
use woothee::parser::Parser;

/// What a `User-Agent` says of itself: good enough to tell a person which of his devices that was, and to notice that a
/// session has moved to another. Anybody can send any.
///
/// ```
/// use session_engine::client::{Agent, DeviceClass};
///
/// let agent = Agent::parse("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0").unwrap();
/// assert_eq!(agent.to_string(), "Firefox 140 on Linux");
/// assert_eq!(agent.device_class, DeviceClass::Desktop);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Agent {
    /// The browser, such as `Firefox`; of a program that is none, the name of its first product (RFC 9110, 10.1.5).
    pub browser: Box<str>,
    /// The first number of its version.
    pub version: Option<u32>,
    /// The system: `Windows`, `macOS`, `Linux`, `Android`, `iOS`, `ChromeOS`, or as it calls itself.
    pub system: Option<Box<str>>,
    /// What kind of device that is.
    pub device_class: DeviceClass,
}

/// Kinds of devices. The text ([`DeviceClass::code`]) is stable.
///
/// ```
/// assert_eq!(session_engine::client::DeviceClass::Tablet.code(), "tablet");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeviceClass {
    /// A desktop or a notebook.
    Desktop,
    /// A phone.
    Mobile,
    /// A tablet that says so; many say that they are desktops.
    Tablet,
    /// A crawler.
    Bot,
    /// A program, a console, a television, or nothing that is known.
    Other,
}

impl DeviceClass {
    /// Its stable text.
    pub fn code(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Mobile => "mobile",
            Self::Tablet => "tablet",
            Self::Bot => "bot",
            Self::Other => "other",
        }
    }
}

/// Longer ones are cut: no browser needs more, and reading costs time.
const LONGEST: usize = 256;

static PARSER: LazyLock<Parser> = LazyLock::new(Parser::new);

impl Agent {
    /// Reads a user agent: `None` if it is empty, or begins with no name. Of a long one the first 256 bytes count.
    pub fn parse(agent: &str) -> Option<Self> {
        let agent = &*bounded(agent, LONGEST);
        let Some(told) = PARSER.parse(agent) else { return Self::of_product(agent) };
        let known = |text: &str| (text != "UNKNOWN" && !text.is_empty()).then(|| text.to_owned());
        let Some(browser) = known(told.name) else { return Self::of_product(agent) };
        if browser == "HTTP Library" {
            return Self::of_product(agent);
        }
        let device_class = match told.category {
            "pc" => DeviceClass::Desktop,
            "smartphone" if told.os == "iPad" => DeviceClass::Tablet,
            // Phones say `Mobile`, tablets do not.
            "smartphone" if told.os == "Android" && !agent.contains("Mobile") => {
                DeviceClass::Tablet
            }
            "smartphone" | "mobilephone" => DeviceClass::Mobile,
            "crawler" => DeviceClass::Bot,
            _ => DeviceClass::Other,
        };
        Some(Self {
            browser: browser.into(),
            version: number(told.version),
            system: known(told.os).map(|system| system_of(&system).into()),
            device_class,
        })
    }

    /// A program that names itself and its version: `curl/8.14.1`.
    fn of_product(agent: &str) -> Option<Self> {
        let product = agent.split([' ', '(']).next().unwrap_or_default();
        let (name, version) = product.split_once('/').unwrap_or((product, ""));
        let is_name = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        (!name.is_empty() && name.len() <= 64 && name.chars().all(is_name)).then(|| Self {
            browser: name.into(),
            version: number(version),
            system: None,
            device_class: DeviceClass::Other,
        })
    }
}

/// One name for all that a system calls itself in the course of its versions.
fn system_of(name: &str) -> &str {
    match name {
        "Mac OSX" => "macOS",
        "iPhone" | "iPad" | "iPod" => "iOS",
        name if name.starts_with("Windows Phone") => "Windows Phone",
        name if name.starts_with("Windows") => "Windows",
        name => name,
    }
}

fn number(version: &str) -> Option<u32> {
    version.split(['.', '_']).next().and_then(|first| first.parse().ok())
}

/// For people: `Firefox 140 on Linux`.
impl fmt::Display for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.browser)?;
        if let Some(version) = self.version {
            write!(f, " {version}")?;
        }
        match &self.system {
            Some(system) => write!(f, " on {system}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_browsers_that_people_have_are_known() {
        for (agent, shown, class) in [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
                "Chrome 141 on Windows",
                "desktop",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
                "Chrome 141 on macOS",
                "desktop",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
                "Chrome 141 on Linux",
                "desktop",
            ),
            (
                "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
                "Chrome 141 on ChromeOS",
                "desktop",
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36",
                "Chrome 141 on Android",
                "mobile",
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
                "Chrome 141 on Android",
                "tablet",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/141.0.7390.41 Mobile/15E148 Safari/604.1",
                "Chrome 141 on iOS",
                "mobile",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Firefox 140 on Windows",
                "desktop",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Firefox 140 on macOS",
                "desktop",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Firefox 140 on Linux",
                "desktop",
            ),
            (
                "Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0",
                "Firefox 140 on Android",
                "mobile",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
                "Safari 18 on macOS",
                "desktop",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
                "Safari 18 on iOS",
                "mobile",
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
                "Safari 18 on iOS",
                "tablet",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0",
                "Edge 141 on Windows",
                "desktop",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 OPR/122.0.0.0",
                "Opera 122 on Windows",
                "desktop",
            ),
            (
                "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
                "Googlebot",
                "bot",
            ),
            ("curl/8.14.1", "curl 8", "other"),
            ("python-requests/2.32.3", "python-requests 2", "other"),
            ("MyApp/3.1 (build 7)", "MyApp 3", "other"),
        ] {
            let parsed = Agent::parse(agent).unwrap();
            assert_eq!(
                (&*parsed.to_string(), parsed.device_class.code()),
                (shown, class),
                "{agent}"
            );
        }
    }

    #[test]
    fn what_names_nothing_is_nothing() {
        for agent in ["", " ", "(", "/1.0", "\u{e9}cran/1"] {
            assert_eq!(Agent::parse(agent), None, "{agent:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(agent in any::<String>(), repeated in 0..2_000_usize) {
            let _ = Agent::parse(&agent);
            let _ = Agent::parse(&format!("Mozilla/5.0 ({agent}) {}", "Version/1 Android ".repeat(repeated)));
        }
    }
}
