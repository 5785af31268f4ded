//! The one file that reads a clock.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::Timestamp;

/// Where the engine learns what time it is.
///
/// The engine asks once for each decision and passes the answer down as an argument.
///
/// ```
/// use session_core::{Clock, SystemClock, Timestamp};
///
/// assert!(SystemClock.now() > Timestamp::from_millis(1_700_000_000_000));
/// ```
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time now. It may step back: the rules count the latest instant that a session has seen.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
///
/// ```
/// use session_core::{Clock, SystemClock};
///
/// println!("it is {}", SystemClock.now());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the sanctioned call")]
    fn now(&self) -> Timestamp {
        let now = SystemTime::now();
        match now.duration_since(UNIX_EPOCH) {
            Ok(since) => Timestamp::default() + since,
            Err(before) => Timestamp::default() - before.duration(),
        }
    }
}

/// A clock that stands still until it is moved: for tests.
///
/// Clones share one time.
///
/// ```
/// use std::time::Duration;
/// use session_core::{Clock, ManualClock, Timestamp};
///
/// let clock = ManualClock::at(Timestamp::from_millis(0));
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now(), Timestamp::from_millis(60_000));
/// ```
#[derive(Clone, Default)]
pub struct ManualClock {
    millis: Arc<AtomicI64>,
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn at(now: Timestamp) -> Self {
        Self { millis: Arc::new(AtomicI64::new(now.as_millis())) }
    }

    /// Moves the clock to `now`, forwards or back.
    pub fn set(&self, now: Timestamp) {
        self.millis.store(now.as_millis(), Ordering::SeqCst);
    }

    /// Moves the clock forward; it stops at [`Timestamp::MAX`].
    pub fn advance(&self, by: Duration) {
        self.set(self.now() + by);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis.load(Ordering::SeqCst))
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ManualClock").field(&self.now()).finish()
    }
}

/// How long a retry goes on: real time, whatever the engine's [`Clock`] says, so that a test with a
/// clock that stands still cannot wait for ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// `None`: for longer than can be told.
    until: Option<Instant>,
}

impl Patience {
    #[expect(clippy::disallowed_methods, reason = "waits are measured here and nowhere else")]
    pub(crate) fn new(limit: Duration) -> Self {
        Self { until: Instant::now().checked_add(limit) }
    }

    #[expect(clippy::disallowed_methods, reason = "waits are measured here and nowhere else")]
    pub(crate) fn is_over(self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }
}
