//! What a writing process tells: a line before each step, and one after it.

use std::io::Write as _;

use serde::{Deserialize, Serialize};
use session_core::SessionId;

/// A change that a writer makes through the engine. Its subjects are its own, but for `everybody`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    /// Logs in: under a limit of one session, or without.
    Login { subject: String },
    /// Sets the counter in the session's data to this, by adding one to it.
    Update { id: SessionId, count: u64 },
    /// Gives the session another secret.
    Rotate { id: SessionId },
    /// Ends the session.
    End { id: SessionId },
    /// Ends all of the subject.
    Raise { subject: String },
    /// Ends all of the subject but one.
    Others { subject: String, kept: SessionId },
}

/// A line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Said {
    /// The store is about to be opened.
    Opening,
    /// A writer is about to do this.
    Doing { writer: usize, step: Step },
    /// It was acknowledged: with a new token, and with the sessions that gave way.
    Done { writer: usize, step: Step, token: Option<String>, gave_way: Vec<SessionId> },
    /// It failed, and this is the kind of the failure. The writer does nothing more.
    Failed { writer: usize, kind: String },
    /// That many events were read by following their cursors, and the last had this place.
    Followed { events: usize, last: u64 },
}

/// The kinds of failure of which something is known.
pub(crate) const UNAVAILABLE: &str = "unavailable";
pub(crate) const OUTCOME_UNKNOWN: &str = "outcome unknown";

impl Said {
    pub(crate) fn tell(&self) {
        let line = serde_json::to_string(self).unwrap();
        let mut out = std::io::stdout().lock();
        // The harness has begun a line of its own.
        writeln!(out, "\n{line}").unwrap();
        out.flush().unwrap();
    }

    /// What a line says: nothing, if it is the harness's, or the last of a process that was killed.
    pub(crate) fn read(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }
}
