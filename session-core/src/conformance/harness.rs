//! What a store's author brings along.

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use crate::{Realm, SessionId, SessionStore};

/// A future of any kind, in a box.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A store to be tested, and what it needs for that.
///
/// ```
/// use session_core::MemoryStore;
/// use session_core::conformance::Harness;
///
/// let directory = "something that is removed when it is dropped".to_owned();
/// let harness = Harness::new(MemoryStore::new())
///     .keeping(directory)
///     .incorruptible("it keeps no bytes, only values");
/// assert!(format!("{harness:?}").contains("MemoryStore"));
/// ```
pub struct Harness {
    pub(super) store: Arc<dyn SessionStore>,
    pub(super) runner: Arc<dyn Runner>,
    pub(super) corruption: Corruption,
    kept: Vec<Box<dyn Any + Send + Sync>>,
}

/// How a stored row is damaged.
#[derive(Clone)]
pub(super) enum Corruption {
    Unsaid,
    Impossible(&'static str),
    By(Arc<dyn Fn(Realm, SessionId) -> BoxFuture<'static, ()> + Send + Sync>),
}

impl Harness {
    /// A store whose futures need no runtime.
    pub fn new(store: impl SessionStore) -> Self {
        Self::from(Arc::new(store) as Arc<dyn SessionStore>)
    }

    /// The same with another way to run futures: for a store that needs a runtime.
    #[must_use]
    pub fn with_runner(mut self, runner: impl Runner) -> Self {
        self.runner = Arc::new(runner);
        self
    }

    /// And keeps a thing, such as a temporary directory, as long as the store is used.
    #[must_use]
    pub fn keeping(mut self, thing: impl Any + Send + Sync) -> Self {
        self.kept.push(Box::new(thing));
        self
    }

    /// And damages the stored record of a session, in the store's own way and behind its back, so that it
    /// cannot be read any more. The row and its entries in the indexes stay.
    #[must_use]
    pub fn corruptible<F, D>(mut self, damage: D) -> Self
    where
        D: Fn(Realm, SessionId) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.corruption = Corruption::By(Arc::new(move |realm, id| Box::pin(damage(realm, id))));
        self
    }

    /// And says why no stored record can be damaged. Without this or [`Harness::corruptible`] the cases of
    /// [`corruption`](super::corruption) fail: nothing is left out in silence.
    #[must_use]
    pub fn incorruptible(mut self, reason: &'static str) -> Self {
        self.corruption = Corruption::Impossible(reason);
        self
    }
}

impl From<Arc<dyn SessionStore>> for Harness {
    fn from(store: Arc<dyn SessionStore>) -> Self {
        Self { store, runner: Arc::new(Threads), corruption: Corruption::Unsaid, kept: Vec::new() }
    }
}

impl fmt::Debug for Harness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness")
            .field("store", &self.store)
            .field("runner", &self.runner)
            .field("kept", &self.kept.len())
            .finish_non_exhaustive()
    }
}

/// Runs a future to its end on the thread that asks.
///
/// It is asked from several threads at once, and from a thread of its own for each client of a race. A store
/// that needs a runtime enters it here; the runtime must go on while such a thread waits, so it has workers of
/// its own.
///
/// ```
/// use session_core::conformance::{BoxFuture, Runner};
///
/// #[derive(Debug)]
/// struct Plain;
///
/// impl Runner for Plain {
///     fn block_on(&self, future: BoxFuture<'_, ()>) {
///         pollster::block_on(future);
///     }
/// }
/// ```
pub trait Runner: fmt::Debug + Send + Sync + 'static {
    /// Returns when the future is done.
    fn block_on(&self, future: BoxFuture<'_, ()>);
}

/// Runs futures without a runtime: the thread sleeps until it is woken.
///
/// ```
/// use session_core::conformance::{Runner, Threads};
///
/// Threads.block_on(Box::pin(async {}));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Threads;

impl Runner for Threads {
    fn block_on(&self, future: BoxFuture<'_, ()>) {
        pollster::block_on(future);
    }
}
