//! Sessions of session-engine in a Postgres database.
#![cfg_attr(not(test), warn(clippy::expect_used))]

mod error;
mod events;
mod migrate;
mod open;
mod options;
mod rows;
mod scan;
mod server;
mod statements;
mod store;
mod url;
mod write;

pub use migrate::{Migration, migrations};
pub use options::PostgresOptions;
pub use store::PostgresStore;
