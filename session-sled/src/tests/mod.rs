//! Tests that look behind the store's back.

mod check;
mod conformance;

pub(crate) use check::check;
