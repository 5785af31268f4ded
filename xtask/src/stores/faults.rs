//! What `cargo xtask faults` has left.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::Failure;

/// A fault: as the figures name it, as the page does, and the stores that it can happen to.
#[derive(Debug)]
pub(super) struct Fault {
    name: &'static str,
    pub(super) shown: &'static str,
    stores: &'static [&'static str],
}

const POSTGRES: &[&str] = &["postgres"];

/// All of them, in the order of the table.
pub(super) const FAULTS: [Fault; 11] = [
    Fault {
        name: "killed",
        shown: "killed while it writes",
        stores: &["sled", "sqlite", "postgres"],
    },
    Fault {
        name: "two-processes",
        shown: "two processes at once",
        stores: &["sqlite", "postgres"],
    },
    Fault { name: "full-disk", shown: "full disk", stores: &["sled", "sqlite"] },
    Fault { name: "server-killed", shown: "server killed", stores: POSTGRES },
    Fault { name: "server-stopped", shown: "server stopped at once", stores: POSTGRES },
    Fault { name: "restarted-under-load", shown: "server restarted under load", stores: POSTGRES },
    Fault { name: "cut", shown: "connection cut at every byte", stores: POSTGRES },
    Fault { name: "cut-pooled", shown: "the same behind a pooler", stores: POSTGRES },
    Fault { name: "mended", shown: "connection cut once in a command", stores: POSTGRES },
    Fault { name: "hangs", shown: "server silent", stores: POSTGRES },
    Fault { name: "dropped", shown: "futures dropped half-way", stores: POSTGRES },
];

/// What was done how often, for the outcome to say.
const TRIED: [&str; 4] = ["kills", "restarts", "cuts", "drops"];

/// Outcomes by fault and store.
#[derive(Debug, Default)]
pub(super) struct Faults {
    outcomes: BTreeMap<(String, String), String>,
}

impl Faults {
    /// # Errors
    /// One that can happen has no outcome: its test has not run, or has not held. Or one is not on the page.
    pub(super) fn read(target: &Path) -> Result<Self, Failure> {
        let mut faults = Self::default();
        for file in fs::read_dir(target.join("faults")).into_iter().flatten() {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                faults.add(&serde_json::from_str(&fs::read_to_string(&path)?)?)?;
            }
        }
        for fault in &FAULTS {
            for store in fault.stores {
                if faults.outcome(fault, store) == NOTHING {
                    return Err(format!(
                        "{store}, {}: there is no outcome: `cargo xtask faults` leaves it if it held",
                        fault.name
                    )
                    .into());
                }
            }
        }
        Ok(faults)
    }

    fn add(&mut self, found: &Value) -> Result<(), Failure> {
        let text = |key: &str| found[key].as_str().ok_or_else(|| format!("a fault without {key}"));
        let (fault, store, outcome) = (text("fault")?, text("store")?, text("outcome")?);
        if !FAULTS.iter().any(|known| known.name == fault && known.stores.contains(&store)) {
            return Err(format!("{store}, {fault}: the page has no place for it").into());
        }
        let tried = TRIED.iter().find_map(|name| Some((name, found["figures"][name].as_u64()?)));
        let outcome = match tried {
            Some((name, number)) => format!("{number} {name}: {outcome}"),
            None => outcome.to_owned(),
        };
        self.outcomes.insert((fault.to_owned(), store.to_owned()), outcome);
        Ok(())
    }

    /// What came of a fault on a store; a dash where there is no such thing.
    pub(super) fn outcome(&self, fault: &Fault, store: &str) -> &str {
        let key = (fault.name.to_owned(), store.to_owned());
        self.outcomes.get(&key).map_or(NOTHING, |outcome| outcome)
    }
}

const NOTHING: &str = "–";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(fault: &str) -> Value {
        json!({ "store": "sqlite", "fault": fault, "outcome": "held", "figures": { "kills": 7 } })
    }

    #[test]
    fn an_outcome_says_how_often_it_was_tried() {
        let mut faults = Faults::default();
        faults.add(&told("killed")).unwrap();
        assert_eq!(faults.outcome(&FAULTS[0], "sqlite"), "7 kills: held");
        assert_eq!(faults.outcome(&FAULTS[0], "sled"), NOTHING);
    }

    #[test]
    fn no_outcome_is_left_off_the_page() {
        let mut faults = Faults::default();
        assert!(faults.add(&told("flooded")).unwrap_err().to_string().contains("flooded"));
        assert!(faults.add(&told("hangs")).unwrap_err().to_string().contains("no place"));
    }
}
