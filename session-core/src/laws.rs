//! Strategies and laws, so that an application can property-test its own policy.

mod strategy;

pub use strategy::{any_policy, any_record};
