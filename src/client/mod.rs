//! What a request shows of its client: the address, as far as the proxies in between can be trusted, and what the browser
//! says of itself. All of it but the address is the client's own word, and nobody is let in for it.
//!
//! ```
//! use session_engine::client::{Proxies, Seen};
//!
//! let headers = [
//!     ("user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".as_slice()),
//!     ("x-forwarded-for", b"198.51.100.1, 203.0.113.9"),
//! ];
//! let proxies: Proxies = "x-forwarded-for hops=1".parse().unwrap();
//! let seen = Seen::of(Some([127, 0, 0, 1].into()), headers, &proxies);
//! assert_eq!(seen.network().unwrap().to_string(), "203.0.113.9");
//! ```

#[cfg(feature = "user-agent")]
mod agent;
mod config;
mod network;
mod proxies;
#[cfg(feature = "pseudonyms")]
mod pseudonyms;

use std::net::IpAddr;

use session_core::{Client, bounded};

#[cfg(feature = "user-agent")]
pub use self::agent::{Agent, DeviceClass};
pub use self::config::ClientConfig;
pub use self::network::Network;
pub use self::proxies::{Proxies, ProxiesError, ProxyHeader};
#[cfg(feature = "pseudonyms")]
pub use self::pseudonyms::{KeyError, Pseudonyms};

/// What one request shows of its client. Texts are bounded and free of control characters.
///
/// ```
/// use session_engine::client::Seen;
///
/// let seen = Seen { agent: Some("curl/8.14.1".into()), ..Seen::default() };
/// assert!(seen.address.is_none());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The address that it came from, which no client chooses: see [`Proxies`].
    pub address: Option<IpAddr>,
    /// `User-Agent` (RFC 9110, 10.1.5), at most 256 bytes.
    pub agent: Option<Box<str>>,
    /// `Accept-Language` (RFC 9110, 12.5.4), at most 128 bytes.
    pub languages: Option<Box<str>>,
    /// `Sec-CH-UA-Platform` (User-Agent Client Hints, 3.6): the system, such as `Windows`, at most 64 bytes.
    pub platform: Option<Box<str>>,
    /// `Sec-CH-UA-Mobile` (User-Agent Client Hints, 3.3).
    pub mobile: Option<bool>,
}

impl Seen {
    /// What the header fields of a request show: names of any case and raw values. `peer` is the other end of the
    /// connection; none if that has no address, as a Unix socket has none.
    ///
    /// Of a field that comes several times the first that can be read counts, but for those of proxies. Costs no I/O, and time in
    /// proportion to the fields.
    pub fn of<'h>(
        peer: Option<IpAddr>,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
        proxies: &Proxies,
    ) -> Self {
        let mut fields = Fields::new(proxies);
        headers.into_iter().for_each(|(name, value)| fields.see(name, value));
        fields.seen(peer)
    }

    /// The network of the address: of IPv6 the /64, which one line has to itself; of IPv4 the address.
    pub fn network(&self) -> Option<Network> {
        self.address.map(Network::of)
    }

    /// What is kept of the client with a session: the network as its address, and the user agent.
    pub fn client(&self) -> Client {
        let client = match self.network() {
            Some(network) => Client::default().with_address(&network.to_string()),
            None => Client::default(),
        };
        match &self.agent {
            Some(agent) => client.with_agent(agent),
            None => client,
        }
    }

    /// What the user agent says of browser, system and device; `None` without one, or if it says nothing that is
    /// known.
    #[cfg(feature = "user-agent")]
    pub fn parsed_agent(&self) -> Option<Agent> {
        self.agent.as_deref().and_then(Agent::parse)
    }
}

/// Takes in the header fields of a request, one after the other.
pub(crate) struct Fields<'h, 'p> {
    seen: Seen,
    forwarded: Vec<&'h [u8]>,
    proxies: &'p Proxies,
}

impl<'h, 'p> Fields<'h, 'p> {
    pub(crate) fn new(proxies: &'p Proxies) -> Self {
        Self { seen: Seen::default(), forwarded: Vec::new(), proxies }
    }

    pub(crate) fn see(&mut self, name: &str, value: &'h [u8]) {
        let Self { seen, forwarded, proxies } = self;
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("user-agent") {
            seen.agent.get_or_insert_with(|| text(value, 256));
        } else if is("accept-language") {
            seen.languages.get_or_insert_with(|| text(value, 128));
        } else if is("sec-ch-ua-platform") {
            seen.platform.get_or_insert_with(|| text(unquoted(value), 64));
        } else if is("sec-ch-ua-mobile") {
            seen.mobile = seen.mobile.or(match value {
                b"?1" => Some(true),
                b"?0" => Some(false),
                _ => None,
            });
        } else if proxies.header().is_some_and(|header| is(header.name())) {
            forwarded.push(value);
        }
    }

    pub(crate) fn seen(self, peer: Option<IpAddr>) -> Seen {
        // What is there and empty says nothing.
        let some = |text: Option<Box<str>>| text.filter(|text| !text.is_empty());
        let Seen { agent, languages, platform, mobile, .. } = self.seen;
        let address = self.proxies.client(peer, &self.forwarded);
        let [agent, languages, platform] = [agent, languages, platform].map(some);
        Seen { address, agent, languages, platform, mobile }
    }
}

fn text(value: &[u8], limit: usize) -> Box<str> {
    // Four times the limit holds as many characters of UTF-8: what follows is not even looked at.
    let some = &value[..value.len().min(4 * limit)];
    bounded(&String::from_utf8_lossy(some), limit)
}

/// A structured field's string (RFC 9651, 3.3.3) without its quotes.
fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&str, &[u8])]) -> Seen {
        Seen::of(Some([192, 0, 2, 1].into()), headers.iter().copied(), &Proxies::none())
    }

    #[test]
    fn what_a_browser_says_is_taken_as_it_is() {
        let seen = of(&[
            ("User-Agent", b"Mozilla/5.0"),
            ("accept-language", b"de,en;q=0.5"),
            ("Sec-CH-UA-Platform", b"\"Windows\""),
            ("sec-ch-ua-mobile", b"?0"),
        ]);
        assert_eq!(seen.agent.as_deref(), Some("Mozilla/5.0"));
        assert_eq!(seen.languages.as_deref(), Some("de,en;q=0.5"));
        assert_eq!((seen.platform.as_deref(), seen.mobile), (Some("Windows"), Some(false)));
        assert_eq!(seen.network().map(|network| network.to_string()), Some("192.0.2.1".into()));
        assert_eq!(seen.client().address.as_deref(), Some("192.0.2.1"));
    }

    #[test]
    fn hostile_fields_are_bounded_texts() {
        let long = vec![b'x'; 1 << 20];
        let seen = of(&[
            ("user-agent", &long),
            ("user-agent", b"second"),
            ("accept-language", b"\xff\r\n\x1b[2Jde"),
            ("sec-ch-ua-mobile", b"perhaps"),
            ("sec-ch-ua-platform", b"\""),
        ]);
        assert_eq!(of(&[("user-agent", b"")]).agent, None);
        assert_eq!(seen.agent.map(|agent| agent.len()), Some(256));
        assert_eq!(seen.languages.as_deref(), Some("\u{fffd}[2Jde"));
        assert_eq!((seen.mobile, seen.platform.as_deref()), (None, Some("\"")));
    }

    #[test]
    fn nobody_chooses_an_address_by_a_header() {
        let seen = of(&[("x-forwarded-for", b"203.0.113.9"), ("forwarded", b"for=203.0.113.9")]);
        assert_eq!(seen.address, Some([192, 0, 2, 1].into()));
    }
}
