//! Glue to frameworks: each hands a request's header fields to [`Gate::begin`](crate::exchange::Gate::begin),
//! the exchange to its handlers, and the header fields of
//! [`Exchange::finish`](crate::exchange::Exchange::finish) to the response. No rule and no text of a cookie is
//! in any of them.

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "limits")]
pub mod limits;
#[cfg(feature = "tower")]
pub mod tower;
