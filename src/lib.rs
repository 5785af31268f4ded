//! An embeddable, storage-agnostic session engine.

pub mod adapter;
#[cfg(feature = "http")]
pub mod cookie;
#[cfg(feature = "http")]
pub mod exchange;
mod open;

pub use open::{OpenError, open};
pub use session_core::*;
