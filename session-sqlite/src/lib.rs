//! Sessions of session-engine in an SQLite file.
#![cfg_attr(not(test), warn(clippy::expect_used))]

mod error;
mod migrate;
mod open;
mod options;
mod purge;
mod reader;
mod rows;
mod scan;
mod store;
mod write;
mod writer;

pub use options::{Durability, SqliteOptions};
pub use store::SqliteStore;
