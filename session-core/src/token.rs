//! What a client holds, and what of it a store keeps.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{Random, RandomError, Realm, Salt, Timestamp};

/// What the client holds: a session's id and a secret of 256 bits.
///
/// Its text is `ses1_` and the base64url of both, 69 characters. It is wiped when dropped, never stored,
/// and shows nothing of its secret in [`fmt::Debug`]; the one way to its text is [`SessionToken::expose`].
///
/// ```
/// use session_core::{SessionId, SessionToken, SystemRandom, Timestamp};
///
/// let id = SessionId::new(Timestamp::from_millis(0), &SystemRandom).unwrap();
/// let token = SessionToken::new(id, &SystemRandom).unwrap();
/// let text = token.expose();
/// assert_eq!(text.len(), SessionToken::LENGTH);
/// assert_eq!(SessionToken::parse(&text).unwrap().id(), id);
/// assert!(!format!("{token:?}").contains(&text[5..]));
/// ```
#[derive(Clone)]
pub struct SessionToken {
    id: SessionId,
    secret: Zeroizing<[u8; 32]>,
}

impl SessionToken {
    /// The characters of a token's text.
    pub const LENGTH: usize = PREFIX.len() + 64;

    /// A token for a session, with a fresh secret.
    ///
    /// # Errors
    /// The source of randomness failed.
    pub fn new(id: SessionId, random: &dyn Random) -> Result<Self, RandomError> {
        let mut token = Self { id, secret: Zeroizing::new([0; 32]) };
        random.fill(&mut *token.secret)?;
        Ok(token)
    }

    /// Reads a token's text. Any text that [`SessionToken::expose`] would not write is refused.
    ///
    /// Costs no I/O. Takes the same time for every text of the right length.
    ///
    /// # Errors
    /// The text is no token; the error says nothing about it.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let encoded = text.strip_prefix(PREFIX).ok_or(TokenError)?;
        if encoded.len() != 64 {
            return Err(TokenError);
        }
        let mut bytes = Zeroizing::new([0_u8; 48]);
        URL_SAFE_NO_PAD.decode_slice(encoded, &mut *bytes).map_err(|_| TokenError)?;
        let (id, secret) = bytes.split_at(16);
        let id = SessionId::from_bytes(to_array(id));
        let mut token = Self { id, secret: Zeroizing::new([0; 32]) };
        token.secret.copy_from_slice(secret);
        Ok(token)
    }

    /// The session that this token is for. An id is no secret.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The token's text, for the client and for nobody else.
    pub fn expose(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0_u8; 48]);
        bytes[..16].copy_from_slice(self.id.as_bytes());
        bytes[16..].copy_from_slice(&*self.secret);
        let mut text = Zeroizing::new(String::with_capacity(Self::LENGTH));
        text.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(*bytes, &mut text);
        text
    }

    /// The token that takes this one's place: the same for the same salt, so that it can be sent again to
    /// whoever holds this one; and from the salt alone nobody can tell it.
    ///
    /// The one-step derivation of NIST SP 800-56C Rev. 2 (4.1, option 1) with SHA-256: a hash over a counter, the
    /// secret, and a label, the realm, the id and the salt.
    #[must_use]
    pub fn successor(&self, realm: &Realm, salt: &Salt) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(1_u32.to_be_bytes());
        hasher.update(*self.secret);
        hasher.update(b"session-engine/successor/1\0");
        hasher.update([u8::try_from(realm.as_str().len()).unwrap_or(u8::MAX)]);
        hasher.update(realm.as_str());
        hasher.update(self.id.as_bytes());
        hasher.update(salt.as_bytes());
        let mut token = Self { id: self.id, secret: Zeroizing::new([0; 32]) };
        token.secret.copy_from_slice(&hasher.finalize());
        token
    }

    /// What a store keeps of this token's secret: SHA-256 over a label, the realm, the id and the secret.
    ///
    /// A plain hash is right for a secret of 256 bits (NIST SP 800-63B-4, 3.1.2: only secrets under 112
    /// bits need a slow one).
    pub fn hash(&self, realm: &Realm) -> SecretHash {
        let mut hasher = Sha256::new();
        hasher.update(b"session-engine/secret/1\0");
        hasher.update([u8::try_from(realm.as_str().len()).unwrap_or(u8::MAX)]);
        hasher.update(realm.as_str());
        hasher.update(self.id.as_bytes());
        hasher.update(*self.secret);
        SecretHash(hasher.finalize().into())
    }
}

const PREFIX: &str = "ses1_";

impl FromStr for SessionToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        Self::parse(text)
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionToken").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A text is no token.
///
/// ```
/// use session_core::{SessionToken, TokenError};
///
/// assert_eq!(SessionToken::parse("ses1_short").unwrap_err(), TokenError);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a session token")]
pub struct TokenError;

/// The public handle of a session: stable, unique, safe to log.
///
/// A UUID of version 7 (RFC 9562, 5.7): ids sort by the millisecond of their creation, so that inserts
/// are local in a B-tree. It opens nothing: what opens a session is the secret.
///
/// ```
/// use session_core::{SessionId, SystemRandom, Timestamp};
///
/// let first = SessionId::new(Timestamp::from_millis(1), &SystemRandom).unwrap();
/// let second = SessionId::new(Timestamp::from_millis(2), &SystemRandom).unwrap();
/// assert!(first < second);
/// assert_eq!(first.to_string().parse(), Ok(first));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// A fresh id for a session created at `now`. Instants before 1970 count as 1970.
    ///
    /// # Errors
    /// The source of randomness failed.
    pub fn new(now: Timestamp, random: &dyn Random) -> Result<Self, RandomError> {
        let mut bytes = [0; 10];
        random.fill(&mut bytes)?;
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        Ok(Self(*uuid::Builder::from_unix_timestamp_millis(millis, &bytes).as_uuid().as_bytes()))
    }

    /// The id with these bytes. Any sixteen bytes are an id: most are nobody's.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes of the id.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Reads the hyphenated form of lower-case digits that [`SessionId`] shows, and no other.
impl FromStr for SessionId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let uuid = uuid::Uuid::try_parse(text).map_err(|_| IdError)?;
        let id = Self(*uuid.as_bytes());
        if id.to_string() == text { Ok(id) } else { Err(IdError) }
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&uuid::Uuid::from_bytes(self.0), f)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for SessionId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for SessionId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A text is no session id.
///
/// ```
/// use session_core::{IdError, SessionId};
///
/// assert_eq!("42".parse::<SessionId>(), Err(IdError));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a session id")]
pub struct IdError;

/// What a store keeps of a secret. Compared in constant time; not shown.
///
/// ```
/// use session_core::{Realm, SessionId, SessionToken, SystemRandom, Timestamp};
///
/// let id = SessionId::new(Timestamp::from_millis(0), &SystemRandom).unwrap();
/// let token = SessionToken::new(id, &SystemRandom).unwrap();
/// let here = token.hash(&Realm::default());
/// assert_eq!(here, token.hash(&Realm::default()));
/// assert_ne!(here, token.hash(&Realm::new("elsewhere").unwrap()));
/// ```
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The hash with these bytes, as a store has kept them.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// In constant time (ASVS 5.0, 11.2.4).
impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretHash {}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(..)")
    }
}

fn to_array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemRandom;

    fn token() -> SessionToken {
        let id = SessionId::new(Timestamp::from_millis(0), &SystemRandom).unwrap();
        SessionToken::new(id, &SystemRandom).unwrap()
    }

    #[test]
    fn only_the_canonical_text_is_a_token() {
        let text = token().expose();
        for cut in 0..text.len() {
            assert!(SessionToken::parse(&text[..cut]).is_err(), "cut to {cut}");
        }
        let body = &text[5..];
        for other in [
            format!("{}=", *text),
            format!(" {}", *text),
            format!("{}\n", *text),
            format!("SES1_{body}"),
            format!("ses2_{body}"),
            format!("ses1_{}!", &body[1..]),
            format!("ses1_{}\u{e9}", &body[2..]),
        ] {
            assert!(SessionToken::parse(&other).is_err(), "{other}");
        }
    }

    #[test]
    fn a_successor_is_told_by_its_predecessor_and_the_salt_alone() {
        let (token, realm) = (token(), Realm::default());
        let salt = Salt::new(&SystemRandom).unwrap();
        let next = token.successor(&realm, &salt);
        assert_eq!(next.id(), token.id());
        assert_eq!(*next.expose(), *token.successor(&realm, &salt).expose());
        let elsewhere = Realm::new("elsewhere").unwrap();
        let other = Salt::new(&SystemRandom).unwrap();
        let stranger = SessionToken::new(token.id(), &SystemRandom).unwrap();
        for different in [
            token.clone(),
            token.successor(&elsewhere, &salt),
            token.successor(&realm, &other),
            next.successor(&realm, &salt),
            stranger.successor(&realm, &salt),
        ] {
            assert_ne!(*different.expose(), *next.expose());
        }
    }

    #[test]
    fn every_bit_counts() {
        let token = token();
        let realm = Realm::default();
        for byte in 0..48 {
            for bit in 0..8 {
                let mut other = token.clone();
                if byte < 16 {
                    other.id.0[byte] ^= 1 << bit;
                } else {
                    other.secret[byte - 16] ^= 1 << bit;
                }
                assert_ne!(other.hash(&realm), token.hash(&realm));
                assert_eq!(SessionToken::parse(&other.expose()).unwrap().secret, other.secret);
            }
        }
    }

    #[test]
    fn the_label_and_the_length_separate_realms() {
        let token = token();
        let hashes: Vec<_> =
            ["a", "ab", "b"].iter().map(|realm| token.hash(&Realm::new(realm).unwrap())).collect();
        assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2] && hashes[0] != hashes[2]);
    }

    #[test]
    fn the_hash_never_changes() {
        let token = SessionToken { id: SessionId([1; 16]), secret: Zeroizing::new([2; 32]) };
        let hex: String =
            token.hash(&Realm::default()).0.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "36a66e37618550c0aa2a1874a9ba68dc4b54834adbfe164bc9c4ac0342fc5982");
    }

    #[test]
    fn ids_have_one_text() {
        let id = SessionId([0xab; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().to_uppercase().parse::<SessionId>().is_err());
        assert!(id.to_string().replace('-', "").parse::<SessionId>().is_err());
    }

    #[test]
    fn ids_of_extreme_instants_are_made() {
        for millis in [i64::MIN, -1, 0, i64::MAX] {
            SessionId::new(Timestamp::from_millis(millis), &SystemRandom).unwrap();
        }
    }

    #[test]
    fn a_source_that_fails_makes_no_token() {
        #[derive(Debug)]
        struct Broken;
        impl Random for Broken {
            fn fill(&self, _: &mut [u8]) -> Result<(), RandomError> {
                Err(RandomError::new("broken"))
            }
        }
        assert!(SessionToken::new(SessionId([0; 16]), &Broken).is_err());
        assert!(SessionId::new(Timestamp::MIN, &Broken).is_err());
    }
}
