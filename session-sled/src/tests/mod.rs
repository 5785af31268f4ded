//! Tests that look behind the store's back.

mod check;
#[path = "../../tests/common/mod.rs"]
mod common;
mod conformance;
mod disk;
mod kills;
mod recovery;
mod writer;

use check::check;
