//! Addresses and user agents kept as hashes under a key.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use session_core::Client;
use sha2::Sha256;

use super::Seen;

/// Keeps the network and the user agent of a client as hashes under a key (HMAC with SHA-256, RFC 2104): two sessions of one
/// network show the same hash, and who has the database but not the key learns neither (NIST SP 800-63B-4, 5.3: what
/// monitoring collects is to be limited).
///
/// A plain hash would hide nothing: all addresses of IPv4 are hashed in a minute. The name of the key stands before
/// each hash, so that keys can be changed. Destroy a key, and what was hashed under it is anonymous.
///
/// ```
/// use session_engine::client::{Pseudonyms, Seen};
///
/// let pseudonyms = Pseudonyms::new("2026", &[7; 32]).unwrap();
/// let seen = Seen { address: Some([192, 0, 2, 7].into()), ..Seen::default() };
/// let kept = pseudonyms.client(&seen);
/// assert!(kept.address.unwrap().starts_with("hmac:2026:"));
/// ```
#[derive(Clone)]
pub struct Pseudonyms {
    name: Box<str>,
    mac: Hmac<Sha256>,
}

/// A key is too short, or its name none.
///
/// ```
/// use session_engine::client::Pseudonyms;
///
/// let error = Pseudonyms::new("2026", b"short").unwrap_err();
/// assert_eq!(error.to_string(), "a key for pseudonyms has 32 bytes or more, and this one 5");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A key that can be guessed hides nothing.
    #[error("a key for pseudonyms has 32 bytes or more, and this one {0}")]
    TooShort(usize),
    /// The name has to fit into what is stored.
    #[error("the name of a key for pseudonyms has 1 to 8 letters and digits")]
    Name,
}

impl Pseudonyms {
    /// Pseudonyms under a key of this name.
    ///
    /// # Errors
    /// The key has less than 32 bytes, or its name is not of 1 to 8 ASCII letters and digits.
    pub fn new(name: &str, key: &[u8]) -> Result<Self, KeyError> {
        if !(1..=8).contains(&name.len()) || !name.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(KeyError::Name);
        }
        if key.len() < 32 {
            return Err(KeyError::TooShort(key.len()));
        }
        // HMAC takes keys of any length.
        let mac = Hmac::new_from_slice(key).map_err(|_| KeyError::TooShort(key.len()))?;
        Ok(Self { name: name.into(), mac })
    }

    /// What is kept of a client in place of [`Seen::client`].
    pub fn client(&self, seen: &Seen) -> Client {
        let client = match seen.network() {
            Some(network) => {
                Client::default().with_address(&self.of("address", &network.to_string()))
            }
            None => Client::default(),
        };
        match &seen.agent {
            Some(agent) => client.with_agent(&self.of("agent", agent)),
            None => client,
        }
    }

    /// The hash of a text, with the name of the key: at most 64 bytes. `kind` keeps one text apart in two meanings.
    pub fn of(&self, kind: &str, text: &str) -> String {
        let mut mac = self.mac.clone();
        mac.update(b"session-engine pseudonym\0");
        mac.update(kind.as_bytes());
        mac.update(&[0]);
        mac.update(text.as_bytes());
        format!("hmac:{}:{}", self.name, URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pseudonyms").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(address: &str) -> Seen {
        Seen {
            address: Some(address.parse().unwrap()),
            agent: Some("curl/8".into()),
            ..Seen::default()
        }
    }

    #[test]
    fn one_network_is_one_pseudonym_and_nothing_of_it_is_shown() {
        let ours = Pseudonyms::new("k1", &[1; 32]).unwrap();
        let one = ours.client(&seen("2001:db8::1"));
        assert_eq!(one, ours.client(&seen("2001:db8::2")), "one line");
        assert_ne!(one.address, ours.client(&seen("2001:db8:0:1::1")).address, "another");
        assert_ne!(one, Pseudonyms::new("k1", &[2; 32]).unwrap().client(&seen("2001:db8::1")));
        let address = one.address.unwrap();
        assert!(address.len() <= 64 && address.starts_with("hmac:k1:"), "{address}");
        assert!(!address.contains("2001"));
        assert!(!format!("{ours:?}").contains("01, 01"), "no key is shown");
        assert_ne!(ours.of("address", "x"), ours.of("agent", "x"));
    }

    #[test]
    fn hashes_never_change() {
        let ours = Pseudonyms::new("k1", &[1; 32]).unwrap();
        let kept = "hmac:k1:e8GqftrMkruCnNIxBuk3o4p1fk03fNC2h6HDgkROjO4";
        assert_eq!(ours.of("address", "192.0.2.7"), kept, "stored ones are compared with it");
    }

    #[test]
    fn weak_keys_and_long_names_are_refused() {
        assert_eq!(Pseudonyms::new("k1", &[1; 31]).unwrap_err(), KeyError::TooShort(31));
        for name in ["", "ninechars", "a:b", "\u{e9}"] {
            assert_eq!(Pseudonyms::new(name, &[1; 32]).unwrap_err(), KeyError::Name, "{name:?}");
        }
    }
}
