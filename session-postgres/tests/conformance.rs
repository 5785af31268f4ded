//! The contract of a store, clause by clause: as it is opened by default, with the server's clock shown elsewhere, and
//! with unnamed statements alone.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use common::{Schema, Shared, server_url, with_option};
use session_core::conformance::Harness;

fn with_the_defaults() -> Harness {
    static SHARED: Shared = Shared::new();
    SHARED.harness(Schema::options)
}

session_core::conformance!(by_default, with_the_defaults());

/// No instant is the server's, nor its time zone's.
fn in_nepal() -> Harness {
    static SHARED: Shared = Shared::new();
    SHARED.harness(|schema| {
        schema.options_of(&with_option(&server_url(), "options=-c%20TimeZone%3DAsia/Kathmandu"))
    })
}

session_core::conformance!(in_kathmandu, in_nepal());

fn with_unnamed_statements() -> Harness {
    static SHARED: Shared = Shared::new();
    SHARED.harness(|schema| schema.options().transaction_pooler(true))
}

session_core::conformance!(as_behind_a_pooler, with_unnamed_statements());
