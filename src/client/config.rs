//! What an application wants to know of its clients, and to keep.

use session_core::Client;

#[cfg(feature = "pseudonyms")]
use super::Pseudonyms;
use super::{Proxies, Seen};

/// Which proxies are believed, and what of a client is kept with its session: the network and the user agent as they are,
/// or, with the feature `pseudonyms`, as hashes under a key.
///
/// ```
/// use session_engine::client::{ClientConfig, Proxies};
///
/// let config = ClientConfig::new(Proxies::none());
/// assert_eq!(config.proxies(), &Proxies::none());
/// ```
#[derive(Clone, Debug, Default)]
pub struct ClientConfig {
    proxies: Proxies,
    #[cfg(feature = "pseudonyms")]
    pseudonyms: Option<Pseudonyms>,
}

impl ClientConfig {
    /// Clients behind these proxies, and what they show kept as it is.
    pub fn new(proxies: Proxies) -> Self {
        Self {
            proxies,
            #[cfg(feature = "pseudonyms")]
            pseudonyms: None,
        }
    }

    /// The same with hashes in the place of networks and user agents.
    #[cfg(feature = "pseudonyms")]
    #[must_use]
    pub fn pseudonyms(mut self, pseudonyms: Pseudonyms) -> Self {
        self.pseudonyms = Some(pseudonyms);
        self
    }

    /// The proxies that are believed.
    pub fn proxies(&self) -> &Proxies {
        &self.proxies
    }

    /// What is kept of a client; with the feature `risk`, the key of its device too.
    pub fn client(&self, seen: &Seen) -> Client {
        #[cfg(feature = "pseudonyms")]
        let client = match &self.pseudonyms {
            Some(pseudonyms) => pseudonyms.client(seen),
            None => seen.client(),
        };
        #[cfg(not(feature = "pseudonyms"))]
        let client = seen.client();
        #[cfg(feature = "risk")]
        let client = client.with_device(&self.device(seen));
        client
    }

    /// The key that the device of a request is known by: a hash of its network, and of the browser, the system and the
    /// kind of device that its user agent names. A new version of a browser is no new device.
    #[cfg(feature = "risk")]
    pub fn device(&self, seen: &Seen) -> String {
        use base64::Engine as _;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        use sha2::{Digest as _, Sha256};

        let network = seen.network().map(|network| network.to_string()).unwrap_or_default();
        let agent = seen.parsed_agent().map(|agent| {
            let system = agent.system.unwrap_or_default();
            format!("{} {system} {}", agent.browser, agent.device_class.code())
        });
        // Under the key first, if there is one: addresses are too few for a plain hash to hide them.
        let named = self.shown("device", format!("{network} {}", agent.unwrap_or_default()));
        URL_SAFE_NO_PAD.encode(&Sha256::digest(named)[..16])
    }

    /// A text as it is, or its pseudonym.
    #[cfg(feature = "risk")]
    pub(crate) fn shown(&self, kind: &str, text: String) -> String {
        #[cfg(feature = "pseudonyms")]
        if let Some(pseudonyms) = &self.pseudonyms {
            return pseudonyms.of(kind, &text);
        }
        let _ = kind;
        text
    }
}
