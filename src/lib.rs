#![cfg_attr(all(feature = "memory", feature = "sqlite"), doc = include_str!("../README.md"))]
//!
//! # Modules
//!
//! Everything of `session-core` is re-exported here. Beside it stand [`open`], the [cookie] and the [exchange] of
//! one request and its response, and the [adapters](adapter) to frameworks.

pub mod adapter;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "http")]
pub mod cookie;
#[cfg(feature = "http")]
pub mod exchange;
mod open;
#[cfg(feature = "risk")]
pub mod risk;

pub use open::{OpenError, open};
pub use session_core::*;
/// The Postgres store with its options.
#[cfg(feature = "postgres")]
pub use session_postgres as postgres;
/// The sled store with its options.
#[cfg(feature = "sled")]
pub use session_sled as sled;
/// The SQLite store with its options.
#[cfg(feature = "sqlite")]
pub use session_sqlite as sqlite;

#[cfg(all(doctest, feature = "http"))]
#[doc = include_str!("../docs/guide/frameworks.md")]
#[doc = include_str!("../docs/guide/audit.md")]
mod guide {}

#[cfg(all(doctest, feature = "risk"))]
#[doc = include_str!("../docs/guide/client.md")]
#[doc = include_str!("../docs/guide/devices.md")]
mod guide_to_clients {}
