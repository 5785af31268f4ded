//! How long something may last: the three limits, and what stands when several apply.

use std::time::Duration;

/// The limits of a session, or of a scope in it. `None` is no limit of that kind.
///
/// Several limits compose by minimum: whatever contains a session can only make it stricter.
///
/// ```
/// use std::time::Duration;
/// use session_core::Limits;
///
/// let class = Limits { idle_timeout: Some(Duration::from_secs(1800)), ..Limits::NONE };
/// let group = Limits { idle_timeout: Some(Duration::from_secs(300)), ..Limits::NONE };
/// assert_eq!(class.min(group).idle_timeout, Some(Duration::from_secs(300)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Since the last activity (ASVS 5.0, 7.3.1; NIST SP 800-63B-4, 5.2).
    pub idle_timeout: Option<Duration>,
    /// Since the creation, or the last re-authentication (ASVS 5.0, 7.3.2).
    pub absolute_timeout: Option<Duration>,
    /// Since the creation, for a session whose token nobody has presented yet.
    pub unclaimed_timeout: Option<Duration>,
}

impl Limits {
    /// No limit at all: the neutral element of [`Limits::min`]. No policy accepts it for a class.
    pub const NONE: Self =
        Self { idle_timeout: None, absolute_timeout: None, unclaimed_timeout: None };

    /// The stricter of both, limit by limit.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self {
            idle_timeout: stricter(self.idle_timeout, other.idle_timeout),
            absolute_timeout: stricter(self.absolute_timeout, other.absolute_timeout),
            unclaimed_timeout: stricter(self.unclaimed_timeout, other.unclaimed_timeout),
        }
    }
}

pub(crate) fn stricter(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, None) | (None, one) => one,
    }
}

/// How long one request may take: for servers that want to limit that too. The engine carries it, and does nothing with
/// it; the facade's feature `limits` has layers that do.
///
/// ```
/// assert_eq!(session_core::RequestLimits::default().time_cpu, None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RequestLimits {
    /// By the clock on the wall: `limit_time_real` in a policy's file.
    pub time_real: Option<Duration>,
    /// Of a processor's time: `limit_time_cpu` in a policy's file.
    pub time_cpu: Option<Duration>,
}
