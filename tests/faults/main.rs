//! What becomes of sessions when processes, servers and connections fail.
//!
//! `cargo xtask faults` runs all of it at full length and prints the figures.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test")]

mod child;
mod crash;
mod look;
mod net;
mod place;
mod processes;
mod report;
mod restarts;
mod server;
mod subscriber;
