//! The reference store passes the kit that every store has to pass.
#![cfg(feature = "conformance")]

use session_core::MemoryStore;
use session_core::conformance::Harness;

session_core::conformance!(
    memory,
    Harness::new(MemoryStore::new()).incorruptible("it keeps no bytes, only values")
);
