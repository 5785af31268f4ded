//! Where secrets and ids get their bytes.

use std::fmt;

use rand::TryRng;
use rand::rngs::SysRng;

/// A source of random bytes.
///
/// Everything that must not be guessed comes from here: 256 bits for each secret, 74 for each id, 128 for
/// each change. A source that cannot answer is an error, never a weaker answer (ASVS 5.0, 11.5.1).
///
/// ```
/// use session_core::{Random, SystemRandom};
///
/// let mut bytes = [0; 32];
/// SystemRandom.fill(&mut bytes).unwrap();
/// assert_ne!(bytes, [0; 32]);
/// ```
pub trait Random: fmt::Debug + Send + Sync + 'static {
    /// Fills all of `bytes`.
    ///
    /// # Errors
    /// The source failed; nothing in `bytes` may be used.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError>;
}

/// A source of random bytes failed.
///
/// ```
/// let error = session_core::RandomError::new("no entropy");
/// assert_eq!(error.to_string(), "the source of randomness failed");
/// ```
#[derive(Debug, thiserror::Error)]
#[error("the source of randomness failed")]
pub struct RandomError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl RandomError {
    /// An error with its cause.
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

/// The operating system's generator.
///
/// ```
/// use session_core::{Random, SystemRandom};
///
/// let mut bytes = [0; 16];
/// SystemRandom.fill(&mut bytes).unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        SysRng.try_fill_bytes(bytes).map_err(RandomError::new)
    }
}
