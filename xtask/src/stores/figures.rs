//! What `cargo xtask growth` has left.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::Failure;
use crate::growth::FIGURES;
use crate::table::Table;

/// The operations that are measured, in the order of the table.
pub(super) const OPERATIONS: [&str; 8] = [
    "resume",
    "resume with a touch",
    "login under a limit",
    "list of a subject",
    "update of one key",
    "revoke",
    "sweep, each of 100",
    "events of a subject",
];

/// The figures of one store.
#[derive(Debug)]
pub(super) struct Figures {
    store: String,
    pub(super) machine: Value,
    sizes: Vec<u64>,
    lines: Vec<Value>,
}

impl Figures {
    pub(super) fn read(target: &Path, store: &str) -> Result<Self, Failure> {
        let path = target.join(FIGURES).join(format!("{store}.json"));
        let text = fs::read_to_string(&path).map_err(|_| {
            format!("there are no figures of {store}: run `cargo xtask growth --store {store}`")
        })?;
        let mut lines = text.lines().map(serde_json::from_str::<Value>);
        let first = lines.next().ok_or("a file of figures is empty")??;
        let lines = lines.collect::<Result<Vec<_>, _>>()?;
        let mut sizes: Vec<u64> = lines.iter().filter_map(|l| l["sessions"].as_u64()).collect();
        sizes.dedup();
        Ok(Self { store: store.to_owned(), machine: first["machine"].clone(), sizes, lines })
    }

    /// What measures these again.
    pub(super) fn command(&self) -> String {
        let sizes: Vec<String> = self.sizes.iter().map(u64::to_string).collect();
        format!("cargo xtask growth --store {} --sizes {}", self.store, sizes.join(","))
    }

    #[cfg(test)]
    pub(super) fn of_nothing() -> Self {
        Self { store: String::new(), machine: Value::Null, sizes: Vec::new(), lines: Vec::new() }
    }

    /// Times by operation and size, then what the store takes up.
    pub(super) fn table(&self, title: &str) -> Table {
        let mut head = vec![title.to_owned()];
        head.extend(self.sizes.iter().map(|size| thousands(*size)));
        head.push("last / first".into());
        let mut table = Table::new(head);
        for operation in OPERATIONS {
            let at = |size: u64, key: &str| self.of(size, Some(operation), key);
            let mut row = vec![operation.to_owned()];
            row.extend(self.sizes.iter().map(|size| {
                match (at(*size, "p50_us"), at(*size, "p99_us")) {
                    (Some(p50), Some(p99)) => format!("{} / {}", time(p50), time(p99)),
                    _ => NOTHING.into(),
                }
            }));
            let ends = self.sizes.first().zip(self.sizes.last());
            let ratio =
                ends.and_then(|(first, last)| Some(at(*last, "p50_us")? / at(*first, "p50_us")?));
            row.push(ratio.map_or(NOTHING.into(), |ratio| format!("{ratio:.2}")));
            table.row(row);
        }
        table.row(self.whole("a page and its sync, alone", |size| {
            Some(time(self.of(size, None, "sync_us")?))
        }));
        table.row(self.whole("bytes on disk, per session", |size| {
            let bytes = self.of(size, None, "disk_bytes")?;
            Some(format!("{:.0}", bytes / size as f64))
        }));
        table.row(self.whole("memory of the process, MB", |size| {
            Some(format!("{:.0}", self.of(size, None, "resident_bytes")? / 1e6))
        }));
        table
    }

    fn whole(&self, name: &str, cell: impl Fn(u64) -> Option<String>) -> Vec<String> {
        let cells = self.sizes.iter().map(|size| cell(*size).unwrap_or_else(|| NOTHING.into()));
        std::iter::once(name.to_owned()).chain(cells).chain([NOTHING.to_owned()]).collect()
    }

    fn of(&self, size: u64, operation: Option<&str>, key: &str) -> Option<f64> {
        let line = self
            .lines
            .iter()
            .find(|line| line["sessions"] == size && line["operation"].as_str() == operation);
        line?[key].as_f64()
    }
}

const NOTHING: &str = "–";

fn thousands(size: u64) -> String {
    match size {
        size if size % 1_000_000 == 0 => format!("{} million", size / 1_000_000),
        size if size % 1_000 == 0 => format!("{} thousand", size / 1_000),
        size => size.to_string(),
    }
}

/// Microseconds, with as many digits as mean something.
fn time(micros: f64) -> String {
    if micros < 100.0 { format!("{micros:.1}") } else { format!("{micros:.0}") }
}
