//! The pure core of session-engine.
#![cfg_attr(not(test), warn(clippy::expect_used))]

mod change;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod data;
mod end;
mod error;
mod event;
mod issue;
pub mod lifecycle;
mod limits;
mod mark;
mod memory;
mod name;
mod policy;
mod random;
mod record;
pub mod store;
mod timestamp;
mod token;

pub use change::{
    Change, ChangeId, DataWrite, Fence, Insert, MarkWrite, Replacement, Reschedule, Settle, Version,
};
pub use clock::{Clock, ManualClock, SystemClock};
pub use data::{ChangeSet, Data, DataError, DataLimits, EncodedData};
pub use end::{Actor, End, Reason, ReasonCode};
pub use error::{StoreError, StoreErrorKind};
pub use event::{Event, EventKind};
pub use lifecycle::State;
pub use limits::Limits;
pub use mark::{Mark, MarkKey, Marks, Raise, RaiseLog, Stamp};
pub use memory::MemoryStore;
pub use name::{ClassName, GroupName, NameError, Realm, ScopeName, Subject};
pub use policy::{Class, OnLimit, Policy, PolicyBuilder, PolicyError, PolicyProblem};
pub use random::{Random, RandomError, SystemRandom};
pub use record::{Authentication, Client, Epochs, Record, ScopeEntry};
pub use store::SessionStore;
pub use timestamp::Timestamp;
pub use token::{IdError, SecretHash, SessionId, SessionToken, TokenError};
