//! What an application sees of every store alike, through the facade and by URL.
#![expect(clippy::unwrap_used, reason = "a test")]

mod dead;
mod open;
mod restart;
