//! A Postgres server for tests: one that is given, or a throwaway cluster of its own.
//!
//! Most tests share the server that `cargo xtask test` starts: [`url`] names it, and each test makes a schema of
//! its own there. A test that stops or kills its server starts a [`Cluster`].
#![cfg(unix)]

mod account;
mod cluster;
mod error;
mod programs;
#[cfg(feature = "schema")]
#[expect(clippy::unwrap_used, reason = "a test")]
mod schema;

pub use cluster::{Cluster, Mode, Options};
pub use error::Error;
pub use programs::Programs;
#[cfg(feature = "schema")]
pub use schema::Schema;

/// The environment variable that names the server for tests.
pub const VARIABLE: &str = "SESSION_TEST_POSTGRES";

/// The URL of the server for tests, as `cargo xtask test` or whoever runs them has given it.
///
/// It is that of a superuser, or of a role that may create schemas and databases.
///
/// # Panics
/// None is given. No test is left out for want of a server: the message says how to get one.
pub fn url() -> String {
    match std::env::var(VARIABLE) {
        Ok(url) if !url.is_empty() => url,
        _ => panic!(
            "there is no Postgres server for this test: run `cargo xtask test`, which starts one, or set \
             {VARIABLE} to the URL of a server whose role may create schemas, such as \
             postgres://user:password@127.0.0.1/database"
        ),
    }
}
