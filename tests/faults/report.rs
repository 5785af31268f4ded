//! What a fault has shown: printed, and written down for the documentation.
//!
//! With `SESSION_FAULT_REPORTS` set to a directory, each fault and store leaves a file there, named after both. It
//! holds one JSON object on one line:
//!
//! ```json
//! {"store":"sqlite","fault":"killed","outcome":"no acknowledged change lost, ...","figures":{"kills":20}}
//! ```
//!
//! | field | what it holds |
//! |---|---|
//! | `store` | `sqlite`, `sled` or `postgres` |
//! | `fault` | a stable name: `killed`, `server-killed`, `server-stopped`, `restarted-under-load`, `cut`, `cut-pooled`, `mended`, `hangs`, `dropped`, `two-processes`, `full-disk` |
//! | `outcome` | a sentence for people: what held |
//! | `figures` | names and whole numbers: how much was tried, and what went wrong |
//!
//! A fault whose test fails leaves no file: what is there has held.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

/// One fault of one store.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    store: &'static str,
    fault: &'static str,
    outcome: String,
    figures: BTreeMap<&'static str, u64>,
}

impl Report {
    pub(crate) fn new(store: &'static str, fault: &'static str) -> Self {
        // One of an earlier run would speak for this one, should it fail.
        if let Some(path) = path(store, fault) {
            let _ = std::fs::remove_file(path);
        }
        Self { store, fault, outcome: String::new(), figures: BTreeMap::new() }
    }

    pub(crate) fn figure(&mut self, name: &'static str, number: impl TryInto<u64>) {
        self.figures.insert(name, number.try_into().unwrap_or(u64::MAX));
    }

    /// Prints the figures, whatever comes of them.
    pub(crate) fn print(&self) {
        let figures: Vec<String> =
            self.figures.iter().map(|(name, number)| format!("{number} {name}")).collect();
        println!("{}, {}: {}", self.store, self.fault, figures.join(", "));
    }

    /// Writes down what has held.
    pub(crate) fn held(mut self, outcome: &str) {
        outcome.clone_into(&mut self.outcome);
        println!("{}, {}: {outcome}", self.store, self.fault);
        if let Some(path) = path(self.store, self.fault) {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let line = serde_json::to_string(&self).unwrap();
            std::fs::write(path, line + "\n").unwrap();
        }
    }
}

fn path(store: &str, fault: &str) -> Option<PathBuf> {
    let directory = PathBuf::from(std::env::var_os("SESSION_FAULT_REPORTS")?);
    Some(directory.join(format!("{fault}-{store}.json")))
}
