//! What readers and the writer share.

use std::sync::{PoisonError, RwLock};

use session_core::{StoreError, StoreErrorKind};
use sled::Db;

use crate::error::{self, Fault, guarded};
use crate::options::SledOptions;
use crate::view::{View, Writes};

/// The database, and what readers still have to see in the place of what is in it.
///
/// sled flushes only what it has applied, so that a change is in the tree before it is durable. Until it is,
/// `before` holds what stood under its keys: whoever reads meanwhile waits for nothing, and sees no change that a
/// crash could take back.
pub(crate) struct Shared {
    pub(crate) options: SledOptions,
    state: RwLock<State>,
}

/// A read that failed.
pub(crate) struct Failed {
    pub(crate) error: StoreError,
    /// If opening the database again may help: how often that has been tried before.
    pub(crate) mend: Option<u64>,
}

/// What the lock guards.
pub(crate) struct State {
    /// None after an error, until it is open again.
    pub(crate) db: Option<Db>,
    pub(crate) before: Writes,
    /// How often it has been opened again, or not.
    pub(crate) tries: u64,
}

impl Shared {
    pub(crate) fn new(options: &SledOptions, db: Db) -> Self {
        let state = State { db: Some(db), before: Writes::new(), tries: 0 };
        Self { options: options.clone(), state: RwLock::new(state) }
    }

    /// Reads what is durable, all of one instant.
    pub(crate) fn read<T>(
        &self,
        ask: impl FnOnce(View<'_>) -> Result<T, Fault>,
    ) -> Result<T, Failed> {
        let path = &self.options.path;
        // A panic elsewhere has left a whole state: it is only ever replaced.
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let Some(db) = &state.db else {
            let error = error::at(StoreErrorKind::Unavailable, path, error::NOT_YET);
            return Err(Failed { error, mend: Some(state.tries) });
        };
        let view = View { tree: db, over: &state.before };
        guarded(|| ask(view)).map_err(|fault| {
            // sled writes by itself, and tells whoever asks next that there was no room for it.
            let error = fault.tell(path);
            let mend = (error.kind() == StoreErrorKind::StorageFull).then_some(state.tries);
            Failed { error, mend }
        })
    }

    /// Changes the state while nobody reads.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }
}
