//! The one hook that everything here stands behind.

use std::collections::BTreeSet;
use std::fmt;

use session_core::{Record, Timestamp};

use super::{Baseline, Sight};

/// Judges a request of a live session. A pure function: it does no I/O and reads no clock.
///
/// ```
/// use session_engine::risk::{Assessment, Baseline, RiskHook, Sight, Verdict};
/// use session_engine::{Record, Timestamp};
///
/// /// Machines come from where they came from first.
/// #[derive(Debug)]
/// struct Fixed;
///
/// impl RiskHook for Fixed {
///     fn assess(&self, record: &Record, known: &Baseline, seen: &Sight, _: Timestamp) -> Assessment {
///         if record.class.as_str() == "machine" && !known.has_network(seen) {
///             return Assessment { verdict: Verdict::End, ..Assessment::noticing("moved") };
///         }
///         Assessment::default()
///     }
/// }
/// ```
pub trait RiskHook: fmt::Debug + Send + Sync {
    /// What to make of a request. The baseline is empty on the first request of a session.
    fn assess(
        &self,
        record: &Record,
        baseline: &Baseline,
        seen: &Sight,
        now: Timestamp,
    ) -> Assessment;
}

/// What is to be done about a request; the later, the stricter.
///
/// ```
/// use session_engine::risk::Verdict;
///
/// assert!(Verdict::Allow < Verdict::StepUp && Verdict::StepUp < Verdict::End);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Nothing.
    #[default]
    Allow,
    /// The holder is to prove again who he is.
    StepUp,
    /// The session is to end.
    End,
}

impl Verdict {
    /// The stable text of the verdict.
    pub fn code(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::StepUp => "step_up",
            Self::End => "end",
        }
    }
}

/// A verdict and why.
///
/// ```
/// use session_engine::risk::{Assessment, Verdict};
///
/// let assessment = Assessment::noticing("moved");
/// assert_eq!(assessment.verdict, Verdict::Allow);
/// assert!(assessment.noticed.contains("moved"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assessment {
    /// What is to be done.
    pub verdict: Verdict,
    /// How much speaks against the request; 0 is nothing.
    pub score: u32,
    /// What was noticed, by stable names.
    pub noticed: BTreeSet<String>,
}

impl Assessment {
    /// One thing was noticed, and nothing is to be done.
    pub fn noticing(what: &str) -> Self {
        Self { noticed: BTreeSet::from([what.to_owned()]), ..Self::default() }
    }
}
