//! The pure core of session-engine: the life of a user session as a state machine, the contract of the stores
//! that keep it, and the engine that runs one on the other.
//!
//! ```text
//!             resume                    resume, data, rotate
//!  Created ────────────► Active ────────────────┐
//!     │ idle │ absolute │ revoke   ◄────────────┘
//!     ▼      ▼          ▼
//! IdleExpired  AbsoluteExpired  Revoked            terminal: nothing leaves
//! ```
//!
//! An application holds [`Sessions`]: a [store](SessionStore), a [`Policy`], a [`Clock`] and a source of
//! [randomness](Random). It gets a [`SessionToken`] for each session it issues, hands it to the client, and
//! presents it again with every request. Applications usually depend on `session-engine`, which re-exports
//! this crate and adds stores and HTTP.
//!
//! # The laws
//!
//! They hold for every policy, every order of commands and every interleaving, up to the difference between the
//! nodes' clocks. With the feature `proptest` they are functions, to be run on your own policy.
//!
//! 1. A terminal state is never left.
//! 2. A session is dead from the earlier of its idle and its absolute deadline on, the instant included, and
//!    alive before. `now` counts as the latest instant that the session has seen: a slow clock neither kills
//!    a fresh session nor un-observes an end.
//! 3. The cause of death is the first deadline crossed (of two at one instant, the absolute one) and never
//!    changes. A stored end wins over a computed one; revoking what time has ended stores the expiry.
//! 4. `created_at` never moves. Only re-authentication moves the absolute deadline, and takes a new snapshot of
//!    the limits.
//! 5. `last_seen_at` never goes back. A resume that finds a session dead by time stores that end first.
//! 6. Recording activity now and then may end an idle session early, by at most the touch interval; never late.
//! 7. Tightening a policy acts on the next resume; loosening it, on new sessions only. A class that the policy no
//!    longer names lives by the minimum of its snapshot and the default class.
//! 8. Scopes and groups can only be stricter than what contains them.
//! 9. What was swept was dead.
//! 10. All stores agree with the one in memory on every trace.
//!
//! # Features
//!
//! | feature | what it brings |
//! |---|---|
//! | `codec` | a record as bytes, for stores that keep bytes |
//! | `toml` | policies from TOML files |
//! | `conformance` | the contract of a store as a test kit |
//! | `proptest` | strategies and the laws as functions |
//! | `tracing` | what happened as events of the crate `tracing` |
#![cfg_attr(not(test), warn(clippy::expect_used))]

mod change;
mod clock;
#[cfg(feature = "codec")]
mod codec;
#[cfg(feature = "conformance")]
pub mod conformance;
mod data;
mod describe;
mod end;
mod engine;
mod error;
mod event;
mod event_line;
mod issue;
#[cfg(any(feature = "proptest", test))]
pub mod laws;
pub mod lifecycle;
mod limits;
mod mark;
mod memory;
mod name;
mod note;
mod policy;
#[cfg(feature = "toml")]
mod policy_file;
mod policy_form;
mod random;
mod record;
mod rotation;
pub mod store;
mod timestamp;
mod token;

pub use change::{
    Change, ChangeId, DataWrite, Fence, Insert, MarkWrite, Replacement, Reschedule, Settle, Version,
};
pub use clock::{Clock, ManualClock, SystemClock};
pub use data::{ChangeSet, Data, DataError, DataLimits, EncodedData, JsonError};
pub use describe::{Description, Deviation, Standard};
pub use end::{Actor, End, Reason, ReasonCode};
#[cfg(feature = "tracing")]
pub use engine::Tracing;
pub use engine::{
    Access, Answer, Erased, Error, Export, Hook, Issued, LoggedIn, Login, LoginTicket, NewSession,
    Proof, Proved, Query, Revoked, Session, SessionInfo, SessionPage, Sessions, SessionsBuilder,
    Stamped, Swept, Visit,
};
pub use error::{StoreError, StoreErrorKind};
pub use event::{Event, EventKind};
pub use lifecycle::{NeedsReauth, State};
pub use limits::{Limits, RequestLimits};
pub use mark::{Mark, MarkKey, Marks, Raise, RaiseLog, Stamp};
pub use memory::MemoryStore;
pub use name::{ClassName, GroupName, NameError, Realm, ScopeName, Subject};
pub use note::{Note, NoteError};
pub use policy::{Class, OnLimit, Policy, PolicyBuilder, PolicyError, PolicyProblem, Scope};
pub use random::{Random, RandomError, SystemRandom};
pub use record::{Authentication, Client, Epochs, Record, ScopeEntry, bounded};
pub use rotation::{OpenedBy, Pending, Previous, Rotation, Salt};
pub use store::SessionStore;
pub use timestamp::Timestamp;
pub use token::{IdError, SecretHash, SessionId, SessionToken, TokenError};
