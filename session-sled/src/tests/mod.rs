//! Tests that look behind the store's back, and so cannot stand in `tests/`.
//!
//! `cargo test -p session-sled --lib conformance` runs the contract of a store alone, `… --lib kills` the processes
//! that are killed.

mod check;
#[path = "../../tests/common/mod.rs"]
mod common;
mod conformance;
mod disk;
mod kills;
mod recovery;
mod writer;

use check::check;
