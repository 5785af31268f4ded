//! The names that an application gives: whose session, in which world, of which class.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a text cannot be a name.
///
/// ```
/// use session_core::{NameError, Subject};
///
/// assert_eq!(Subject::new(""), Err(NameError::Empty));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The text is empty.
    #[error("a name cannot be empty")]
    Empty,
    /// The text is too long.
    #[error("a name of {length} bytes is too long: at most {limit} are allowed")]
    TooLong {
        /// The bytes that the text has.
        length: usize,
        /// The bytes that it may have.
        limit: usize,
    },
    /// The text holds a character that this kind of name cannot have.
    #[error("a name cannot hold the character {0:?}")]
    Character(char),
}

macro_rules! name {
    ($(#[$docs:meta])* $name:ident, $limit:literal, $allowed:expr) => {
        $(#[$docs])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The bytes that such a name may have.
            pub const LIMIT: usize = $limit;

            /// Checks and takes a name.
            ///
            /// # Errors
            /// The text is empty, longer than [`Self::LIMIT`] bytes, or holds a character that
            /// cannot stand in it.
            pub fn new(text: impl AsRef<str>) -> Result<Self, NameError> {
                check(text.as_ref(), $limit, $allowed)?;
                Ok(Self(text.as_ref().into()))
            }

            /// The text of the name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        /// Without the control characters that a name may hold: they could forge a line of a log, and stand
        /// here as escapes. The text itself is [`Self::as_str`].
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                show(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

fn show(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    text.chars().try_for_each(|c| {
        if c.is_control() { fmt::Display::fmt(&c.escape_debug(), f) } else { f.write_char(c) }
    })
}

name! {
    /// Whose session it is: a text of the application's own, such as a user id.
    ///
    /// Opaque: compared byte for byte, never parsed, folded or put into a statement. At most 255 bytes
    /// of UTF-8 without NUL, which some databases cannot hold. Shown, its control characters are escaped;
    /// [`Subject::as_str`] is the text itself.
    ///
    /// ```
    /// use session_core::Subject;
    ///
    /// let alice = Subject::new("alice").unwrap();
    /// assert_eq!(alice.as_str(), "alice");
    /// assert!(Subject::new("a\0").is_err());
    /// ```
    Subject, 255, |c| c != '\0'
}

name! {
    /// An application's own world of sessions. It is part of every key and of every hash: a token of one
    /// realm is nothing in another.
    ///
    /// At most 64 bytes of ASCII letters, digits, `-`, `_` and `.`.
    ///
    /// ```
    /// use session_core::Realm;
    ///
    /// assert!(Realm::new("shop-eu").is_ok());
    /// assert_eq!(Realm::default().as_str(), "default");
    /// ```
    Realm, 64, identifier
}

name! {
    /// The name of a class of sessions: a named set of limits in a policy.
    ///
    /// At most 64 bytes of ASCII letters, digits, `-`, `_` and `.`.
    ///
    /// ```
    /// use session_core::ClassName;
    ///
    /// assert!(ClassName::new("browser").is_ok());
    /// assert!(ClassName::new("two words").is_err());
    /// ```
    ClassName, 64, identifier
}

name! {
    /// The name of a group of users whose sessions a policy limits further.
    ///
    /// At most 64 bytes of ASCII letters, digits, `-`, `_` and `.`.
    ///
    /// ```
    /// assert!(session_core::GroupName::new("accounting").is_ok());
    /// ```
    GroupName, 64, identifier
}

name! {
    /// The name of a scope: a sensitive part of an application with shorter timeouts of its own.
    ///
    /// At most 64 bytes of ASCII letters, digits, `-`, `_` and `.`.
    ///
    /// ```
    /// assert!(session_core::ScopeName::new("finance").is_ok());
    /// ```
    ScopeName, 64, identifier
}

name! {
    /// The text of an application's own reason for ending a session.
    ///
    /// At most 64 bytes of ASCII letters, digits, `-`, `_` and `.`.
    ///
    /// ```
    /// assert!(session_core::ReasonCode::new("x_contract_ended").is_ok());
    /// ```
    ReasonCode, 64, identifier
}

impl Default for Realm {
    fn default() -> Self {
        Self("default".into())
    }
}

fn identifier(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

fn check(text: &str, limit: usize, allowed: fn(char) -> bool) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > limit {
        return Err(NameError::TooLong { length: text.len(), limit });
    }
    match text.chars().find(|c| !allowed(*c)) {
        Some(c) => Err(NameError::Character(c)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_a_store_could_not_keep() {
        assert_eq!(
            Subject::new("x".repeat(256)),
            Err(NameError::TooLong { length: 256, limit: 255 })
        );
        assert_eq!(Subject::new("a\0b"), Err(NameError::Character('\0')));
        assert!(Subject::new("Robert'); DROP TABLE sessions;--").is_ok());
        assert_eq!(Realm::new("a/b"), Err(NameError::Character('/')));
    }

    #[test]
    fn a_name_forges_no_line_of_a_log() {
        let forged = "bob\r\n\u{1b}[2K\u{85}signed out: \"älice\"";
        let subject = Subject::new(forged).unwrap();
        assert_eq!(subject.as_str(), forged);
        assert_eq!(subject.to_string(), "bob\\r\\n\\u{1b}[2K\\u{85}signed out: \"älice\"");
    }

    #[test]
    fn serde_checks_too() {
        assert!(serde_json::from_str::<Realm>("\"a b\"").is_err());
        assert_eq!(serde_json::to_string(&Realm::default()).unwrap(), "\"default\"");
    }
}
