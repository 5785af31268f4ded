//! The contract of a store, clause by clause.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use common::{Schema, server_url, with_option};
use session_core::conformance::Harness;

fn with_the_defaults() -> Harness {
    let schema = Schema::new();
    let options = schema.options();
    schema.harness(&options)
}

session_core::conformance!(by_default, with_the_defaults());

/// No instant is the server's, nor its time zone's.
fn in_nepal() -> Harness {
    let schema = Schema::new();
    let url = with_option(&server_url(), "options=-c%20TimeZone%3DAsia/Kathmandu");
    let options = schema.options_of(&url);
    schema.harness(&options)
}

session_core::conformance!(in_kathmandu, in_nepal());

fn with_unnamed_statements() -> Harness {
    let schema = Schema::new();
    let options = schema.options().transaction_pooler(true);
    schema.harness(&options)
}

session_core::conformance!(as_behind_a_pooler, with_unnamed_statements());
