//! Sessions of session-engine in a sled database.
#![cfg_attr(not(test), warn(clippy::expect_used))]

mod commit;
mod copy;
mod digest;
mod error;
mod events;
mod files;
mod flush;
mod keys;
mod known;
mod migrate;
mod open;
mod options;
mod purge;
mod reserve;
mod rows;
mod scan;
mod shared;
mod store;
#[cfg(test)]
mod tests;
mod transaction;
mod view;
mod write;
mod writer;

pub use options::{Durability, SledOptions};
pub use store::SledStore;
