//! Events as those of the crate `tracing`.

use tracing::{info, warn};

use super::Hook;
use crate::{ChangeId, Event, EventKind, Reason, SessionId};

/// Tells what happened as events of the crate `tracing`, with the target `session_engine`: with the kind, the session
/// and the reason. Not whose session it is, nor from which address: who wants that in a log writes a hook of his own.
///
/// ```
/// use std::sync::Arc;
/// use session_core::{MemoryStore, Sessions, Tracing};
///
/// let sessions = Sessions::builder(Arc::new(MemoryStore::new())).hook(Tracing).build();
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Tracing;

impl Hook for Tracing {
    fn event(&self, change: ChangeId, event: &Event) {
        let kind = event.kind.code();
        let session = event.session.map(tracing::field::display);
        let reason = event.reason.as_ref().map(Reason::code);
        let at = event.at.to_string();
        if event.kind == EventKind::ReuseDetected {
            warn!(target: "session_engine", kind, session, at, ?change, "a replaced secret came back");
        } else {
            info!(target: "session_engine", kind, session, reason, at, ?change);
        }
    }

    fn wrong_secret(&self, id: SessionId) {
        warn!(target: "session_engine", session = %id, "a secret that is none of the session's");
    }
}
