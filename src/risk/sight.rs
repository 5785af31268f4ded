//! What a request shows of its client.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::client::{self, ClientConfig, Seen};

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

    /// What a request shows, told as the configuration says: networks and devices are pseudonyms if it has any.
    pub fn of(seen: &Seen, config: &ClientConfig) -> Self {
        let hinted = |platform: &str| match platform {
            "Chrome OS" | "Chromium OS" => "ChromeOS".to_owned(),
            other => other.to_owned(),
        };
        let known = |platform: &&str| !platform.is_empty() && *platform != "Unknown";
        Self {
            network: seen.address.map(|address| {
                Network::shown_as(address, |network| config.shown("address", network))
            }),
            agent: seen.parsed_agent().map(Agent::from),
            hinted_system: seen.platform.as_deref().filter(known).map(hinted),
            languages: seen.languages.as_deref().map(str::to_owned),
            place: None,
            device: Some(config.device(seen)),
        }
    }

    /// The same with the place of its network looked up.
    #[cfg(feature = "geo")]
    #[must_use]
    pub fn located(mut self, at: IpAddr, by: &dyn Locate) -> Self {
        self.place = by.locate(at);
        self
    }
}

/// A network as far as it tells clients apart (see [`client::Network`](crate::client::Network)), as a baseline keeps it: as it is, or as a
/// pseudonym.
///
/// ```
/// use session_engine::risk::Network;
///
/// let network = |text: &str| Network::of(text.parse().unwrap());
/// assert_eq!(network("2001:db8::1"), network("2001:db8::2"));
/// assert_eq!(network("::ffff:192.0.2.7"), network("192.0.2.7"));
/// assert_ne!(network("192.0.2.7"), network("192.0.2.8"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Network(Box<str>);

impl Network {
    /// The network of an address.
    pub fn of(address: IpAddr) -> Self {
        Self::shown_as(address, |network| network)
    }

    /// The network of an address, told in other words.
    pub(crate) fn shown_as(address: IpAddr, words: impl FnOnce(String) -> String) -> Self {
        let network = client::Network::of(address);
        let version = if network.address().is_ipv4() { '4' } else { '6' };
        Self(format!("{version} {}", words(network.to_string())).into())
    }

    /// Whether both are of one version of IP: a client with both versions uses either as it likes.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.0.as_bytes().first() == other.0.as_bytes().first()
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

impl From<client::Agent> for Agent {
    fn from(agent: client::Agent) -> Self {
        Self {
            browser: agent.browser.into(),
            version: agent.version.unwrap_or(0),
            system: agent.system.map(String::from).unwrap_or_default(),
            device_class: agent.device_class.code().to_owned(),
        }
    }
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
