//! The contract of a store, clause by clause.

use std::sync::Arc;

use session_core::conformance::Harness;

use crate::SledStore;
use crate::keys::Keys;

fn in_a_directory() -> Harness {
    let directory = tempfile::tempdir().unwrap();
    let store = SledStore::open(directory.path().join("sessions.sled")).unwrap();
    let shared = Arc::clone(&store.shared);
    Harness::new(store).keeping(directory).corruptible(move |realm, id| {
        let key = Keys::new(&realm).record(id);
        shared.change(|state| {
            let db = state.db.as_ref().unwrap();
            let mut value = db.get(&key).unwrap().unwrap().to_vec();
            *value.last_mut().unwrap() ^= 1;
            db.insert(key, value).unwrap();
        });
        std::future::ready(())
    })
}

session_core::conformance!(sled, in_a_directory());
