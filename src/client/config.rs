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

    /// What is kept of a client.
    pub fn client(&self, seen: &Seen) -> Client {
        #[cfg(feature = "pseudonyms")]
        if let Some(pseudonyms) = &self.pseudonyms {
            return pseudonyms.client(seen);
        }
        seen.client()
    }
}
