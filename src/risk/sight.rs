//! What a request shows of its client.

use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// What one request shows. All of it is the client's own word but the network; nothing is a secret.
///
/// Texts are compared, never interpreted, and only their first bytes are kept ([`Sight::TEXT`]).
///
/// ```
/// use session_engine::risk::{Network, Sight};
///
/// let seen = Sight { network: Some(Network::of("192.0.2.7".parse().unwrap())), ..Sight::default() };
/// assert!(seen.agent.is_none());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// Where it came from, past the trusted proxies.
    pub network: Option<Network>,
    /// What its user agent says; none if it says nothing that can be read.
    pub agent: Option<Agent>,
    /// The system that its client hints name, if they do: by the same name as the agent's would be.
    pub hinted_system: Option<String>,
    /// The languages that it asks for, as one text.
    pub languages: Option<String>,
    /// Where its network is, if somebody looked.
    pub place: Option<Place>,
    /// The key that its device is known by.
    pub device: Option<String>,
}

impl Sight {
    /// That many bytes of a text are compared and kept.
    pub const TEXT: usize = 64;

    /// The same with the place of its network looked up.
    #[cfg(feature = "geo")]
    #[must_use]
    pub fn located(mut self, at: IpAddr, by: &dyn Locate) -> Self {
        self.place = by.locate(at);
        self
    }
}

/// A network as far as it tells clients apart: an IPv4 address, or the first 64 bits of an IPv6 address, of which
/// a client changes the rest at will (RFC 8981).
///
/// ```
/// use session_engine::risk::Network;
///
/// let network = |text: &str| Network::of(text.parse().unwrap());
/// assert_eq!(network("2001:db8::1"), network("2001:db8::2"));
/// assert_eq!(network("::ffff:192.0.2.7"), network("192.0.2.7"));
/// assert_ne!(network("192.0.2.7"), network("192.0.2.8"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Network(IpAddr);

impl Network {
    /// The network of an address.
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
            v4 @ IpAddr::V4(_) => v4,
        })
    }

    /// Whether both are of one version of IP: a client with both versions uses either as it likes.
    pub(super) fn is_like(self, other: Self) -> bool {
        self.0.is_ipv4() == other.0.is_ipv4()
    }
}

/// What a user agent says of itself.
///
/// ```
/// use session_engine::risk::Agent;
///
/// let agent = Agent { browser: "Firefox".into(), version: 140, ..Agent::default() };
/// assert!(agent.system.is_empty(), "it did not say");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// The family of the browser.
    pub browser: String,
    /// Its major version; 0 if not said.
    pub version: u32,
    /// The system that it runs on.
    pub system: String,
    /// What kind of device: `desktop`, `phone`.
    pub device_class: String,
}

/// Where a network is, as far as a database knows.
///
/// ```
/// use session_engine::risk::Place;
///
/// let place = Place { country: Some("NZ".into()), owner: None };
/// assert_ne!(place, Place::default());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The country, as ISO 3166 writes it.
    pub country: Option<String>,
    /// Who runs the network.
    pub owner: Option<String>,
}

/// Looks up where an address is. No database comes with this crate.
///
/// ```
/// use std::net::IpAddr;
/// use session_engine::risk::{Locate, Place};
///
/// #[derive(Debug)]
/// struct Nowhere;
///
/// impl Locate for Nowhere {
///     fn locate(&self, _: IpAddr) -> Option<Place> {
///         None
///     }
/// }
/// ```
#[cfg(feature = "geo")]
pub trait Locate: std::fmt::Debug + Send + Sync {
    /// Where it is; `None` if that is not known. Called once a request: it should be quick.
    fn locate(&self, address: IpAddr) -> Option<Place>;
}
