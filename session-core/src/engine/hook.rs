//! Who is told of what happened, after it is written down.

#[cfg(feature = "tracing")]
mod log;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(feature = "tracing")]
pub use self::log::Tracing;
use crate::{ChangeId, Event, SessionId};

/// Is told of each event right after the commit that wrote it, by the engine that made it. It can undo nothing and
/// abort nothing: the change stands.
///
/// It is called in the task that asked, and should be quick. One that panics harms nobody, and is told of the next
/// event again.
///
/// It may miss events: those of other nodes, and those of a process that dies between the commit and the call. Who
/// must miss none follows [`Sessions::history`](crate::Sessions::history) from a cursor that he keeps, and uses the
/// hook only to be woken. There an event can be told from one that was handled before by its change and kind.
///
/// ```
/// use session_core::{ChangeId, Event, EventKind, Hook};
///
/// #[derive(Debug)]
/// struct CloseSockets;
///
/// impl Hook for CloseSockets {
///     fn event(&self, _: ChangeId, event: &Event) {
///         if event.kind == EventKind::Ended {
///             // ... close the websockets of event.session
///         }
///     }
/// }
/// ```
pub trait Hook: fmt::Debug + Send + Sync + 'static {
    /// Something happened, and is written down.
    fn event(&self, change: ChangeId, event: &Event);

    /// A right id came with a secret that is none of the session's: a guess, or a token from before a hard rotation.
    /// It ends nothing, because an id is no secret.
    fn wrong_secret(&self, id: SessionId) {
        let _ = id;
    }
}

/// The hooks of an engine, and what it counts.
#[derive(Clone, Default)]
pub(super) struct Hooks {
    hooks: Vec<Arc<dyn Hook>>,
    wrong_secrets: Arc<AtomicU64>,
}

impl Hooks {
    pub(super) fn add(&mut self, hook: impl Hook) {
        self.hooks.push(Arc::new(hook));
    }

    /// Tells of the events of a change that was carried out.
    pub(super) fn tell(&self, change: &crate::Change) {
        for event in change.events() {
            self.each(|hook| hook.event(change.id(), event));
        }
    }

    pub(super) fn wrong_secret(&self, id: SessionId) {
        self.wrong_secrets.fetch_add(1, Ordering::Relaxed);
        self.each(|hook| hook.wrong_secret(id));
    }

    pub(super) fn wrong_secrets(&self) -> u64 {
        self.wrong_secrets.load(Ordering::Relaxed)
    }

    fn each(&self, tell: impl Fn(&dyn Hook)) {
        for hook in &self.hooks {
            // What was committed is answered, whatever whoever is told of it does.
            let _ = catch_unwind(AssertUnwindSafe(|| tell(&**hook)));
        }
    }
}
