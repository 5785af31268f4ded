//! Devices and anomalies: what a request shows, held against what its session has shown before.
//!
//! A [`RiskHook`] judges; [`Signals`] is the one that is built in. A [`Watch`] keeps the [`Baseline`] that a hook
//! judges by, in the data of the session under [`Baseline::KEY`], and tells the history of devices and of what was
//! noticed, in one commit. By default it observes: it records what it would have done, and does nothing.
//!
//! No address is ever bound to a session: a change of the network alone asks nothing of anybody.

mod baseline;
mod hook;
mod sight;
mod signals;
mod watch;

#[cfg(test)]
mod tests;

pub use baseline::{Baseline, BaselineError};
pub use hook::{Assessment, RiskHook, Verdict};
#[cfg(feature = "geo")]
pub use sight::Locate;
pub use sight::{Agent, Network, Place, Sight};
pub use signals::{Signal, Signals};
pub use watch::{Mode, Step, Watch};
