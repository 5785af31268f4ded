//! The contract of a store, clause by clause.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use common::Schema;
use session_core::conformance::Harness;

fn with_the_defaults() -> Harness {
    let schema = Schema::new();
    let options = schema.options();
    schema.harness(&options)
}

session_core::conformance!(postgres, with_the_defaults());
