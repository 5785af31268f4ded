//! The contract of a store as a test kit: what our own stores have to pass, and yours.
//!
//! [`conformance!`](crate::conformance!) makes a test of each clause of [`SessionStore`]'s contract:
//!
//! ```
//! use session_core::MemoryStore;
//! use session_core::conformance::Harness;
//!
//! session_core::conformance!(
//!     memory,
//!     Harness::new(MemoryStore::new()).incorruptible("it keeps no bytes, only values")
//! );
//! # fn main() {}
//! ```
//!
//! The cases are public functions too, in a module for each subject, and all of them are in [`CASES`]. Each is
//! run on a [`Bed`]: a realm of its own, so that cases may share one database and run side by side; at three
//! eras, around 1970, around 2030 and in the year 9999, so that a store that reads a clock is found out. Nothing
//! in them is left to chance, but for the order in which threads run.
//!
//! A case fails by a panic whose message names the clause.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test fails by a panic"
)]

mod bed;
mod harness;
mod list;
mod schedule;
mod trace;

pub mod agreement;
pub mod batches;
pub mod cancellation;
pub mod corruption;
pub mod cursors;
pub mod data;
pub mod engine;
pub mod events;
pub mod isolation;
pub mod management;
pub mod marks;
pub mod notes;
pub mod races;
pub mod records;
pub mod retention;
pub mod retries;
pub mod scans;
pub mod secrets;
pub mod touches;

pub use bed::{Bed, Seeded};
pub use harness::{BoxFuture, Harness, Runner, Threads};
pub use list::{CASES, Case, run};

#[cfg(doc)]
use crate::SessionStore;
