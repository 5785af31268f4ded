//! What can go wrong outside of the rules.

use std::borrow::Cow;
use std::fmt;

/// A store is broken, or was asked something that it cannot know.
///
/// ```
/// use session_core::{StoreError, StoreErrorKind};
///
/// let error = StoreError::new(StoreErrorKind::Unavailable, "the server does not answer");
/// assert_eq!(error.kind(), StoreErrorKind::Unavailable);
/// assert_eq!(error.to_string(), "the store is unavailable: the server does not answer");
/// ```
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    context: Cow<'static, str>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What kind of failure.
///
/// ```
/// assert_eq!(session_core::StoreErrorKind::Corrupt.to_string(), "stored data is corrupt");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// It cannot be reached, or is busy for longer than it may be. Nothing was changed.
    Unavailable,
    /// More was asked of it at once than it takes. Nothing was changed.
    Overloaded,
    /// It has no room left. Nothing was changed.
    StorageFull,
    /// What it holds is damaged. Nothing was changed, and nothing lost that was there.
    Corrupt,
    /// A write was handed over and its answer was lost: it may have been carried out, or not.
    OutcomeUnknown,
    /// It holds something of a newer format than this version knows. Nothing was changed.
    Unsupported,
    /// It was asked something that cannot be: a cursor that it did not make, a place that is none.
    Invalid,
}

impl fmt::Display for StoreErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "the store is unavailable",
            Self::Overloaded => "the store is overloaded",
            Self::StorageFull => "the store is full",
            Self::Corrupt => "stored data is corrupt",
            Self::OutcomeUnknown => "the outcome of a write is unknown",
            Self::Unsupported => "stored data is of an unknown format",
            Self::Invalid => "the store was asked something that cannot be",
        })
    }
}

impl StoreError {
    /// An error of a kind. The context says what is wrong, in words for an operator; never a secret.
    pub fn new(kind: StoreErrorKind, context: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, context: context.into(), source: None }
    }

    /// The same with the error that caused it.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind of failure.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// A cursor that the store did not make.
    pub fn invalid_cursor() -> Self {
        Self::new(StoreErrorKind::Invalid, "this is not a cursor of this store")
    }

    /// A stored value that cannot be read.
    pub fn corrupt(context: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StoreErrorKind::Corrupt, context)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.context)
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as _)
    }
}
