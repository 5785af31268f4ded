//! What `cargo xtask faults` has left.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::Failure;

/// The faults, in the order of the table: as the figures name them, and as the page does.
pub(super) const FAULTS: [(&str, &str); 10] = [
    ("killed", "killed while it writes"),
    ("server-killed", "its server killed"),
    ("server-stopped", "its server stopped at once"),
    ("restarted-under-load", "its server restarted under load"),
    ("cut", "its connection cut at every byte"),
    ("cut-pooled", "the same behind a pooler"),
    ("hangs", "its server silent"),
    ("dropped", "futures dropped half-way"),
    ("two-processes", "two processes at once"),
    ("full-disk", "full disk"),
];

/// Outcomes by fault and store.
#[derive(Debug, Default)]
pub(super) struct Faults {
    outcomes: BTreeMap<(String, String), String>,
}

impl Faults {
    pub(super) fn read(target: &Path) -> Result<Self, Failure> {
        let directory = target.join("faults");
        let files = fs::read_dir(&directory)
            .map_err(|_| "there are no outcomes of faults: run `cargo xtask faults`")?;
        let mut outcomes = BTreeMap::new();
        for file in files {
            let path = file?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let found: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
            let text = |key: &str| found[key].as_str().map(str::to_owned);
            let (Some(fault), Some(store)) = (text("fault"), text("store")) else {
                return Err(format!("{}: an outcome of nothing", path.display()).into());
            };
            let outcome = text("outcome").ok_or("a fault without an outcome")?;
            outcomes.insert((fault, store), outcome);
        }
        Ok(Self { outcomes })
    }

    /// What came of a fault on a store; a dash where there is no such thing.
    pub(super) fn outcome(&self, fault: &str, store: &str) -> &str {
        let key = (fault.to_owned(), store.to_owned());
        self.outcomes.get(&key).map_or("–", |outcome| outcome)
    }
}
