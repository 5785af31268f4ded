//! Figures, as a table and as lines of JSON.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Failure;

/// What was measured of one store.
#[derive(Debug)]
pub(crate) struct Figures {
    store: String,
    json: Option<PathBuf>,
    sizes: Vec<Figure>,
}

/// What was measured at one size.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) sessions: u64,
    pub(crate) measured: Vec<Measured>,
    pub(crate) filled_per_s: Option<f64>,
    pub(crate) sync: Option<Duration>,
    pub(crate) disk_bytes: Option<u64>,
    pub(crate) resident_bytes: Option<u64>,
}

/// The times of one operation.
#[derive(Debug)]
pub(crate) struct Measured {
    operation: &'static str,
    p50: Duration,
    p99: Duration,
    samples: usize,
    pages_read: Option<f64>,
}

impl Measured {
    pub(crate) fn new(
        operation: &'static str,
        mut samples: Vec<Duration>,
    ) -> Result<Self, Failure> {
        samples.sort_unstable();
        let at = |share: f64| {
            let place = (samples.len() as f64 * share) as usize;
            samples.get(place.min(samples.len().saturating_sub(1))).copied()
        };
        let (Some(p50), Some(p99)) = (at(0.50), at(0.99)) else {
            return Err(format!("{operation}: there was nothing to measure").into());
        };
        Ok(Self { operation, p50, p99, samples: samples.len(), pages_read: None })
    }

    /// With the pages that each of them had to wait for, on the average.
    pub(crate) fn with_pages_read(self, before: Option<u64>, after: Option<u64>) -> Self {
        let read = before.zip(after).map(|(before, after)| after.saturating_sub(before) as f64);
        Self { pages_read: read.map(|read| read / self.samples as f64), ..self }
    }
}

impl Figures {
    pub(crate) fn of(store: &str, json: Option<PathBuf>) -> Self {
        Self { store: store.to_owned(), json, sizes: Vec::new() }
    }

    /// Keeps what was measured at one size, and writes it down at once: a run may take hours.
    pub(crate) fn add(&mut self, figure: Figure) -> Result<(), Failure> {
        eprintln!("  {} sessions in {}: measured", figure.sessions, self.store);
        let lines = self.lines(&figure);
        self.sizes.push(figure);
        let Some(path) = &self.json else { return Ok(()) };
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        file.write_all(lines.as_bytes())?;
        Ok(())
    }

    fn lines(&self, figure: &Figure) -> String {
        let whole = json!({
            "store": self.store,
            "sessions": figure.sessions,
            "filled_per_s": figure.filled_per_s,
            "sync_us": figure.sync.map(micros),
            "disk_bytes": figure.disk_bytes,
            "resident_bytes": figure.resident_bytes,
        });
        let each = figure.measured.iter().map(|measured| {
            json!({
                "store": self.store,
                "sessions": figure.sessions,
                "operation": measured.operation,
                "p50_us": micros(measured.p50),
                "p99_us": micros(measured.p99),
                "samples": measured.samples,
                "pages_read": measured.pages_read,
            })
        });
        std::iter::once(whole).chain(each).map(|line| format!("{line}\n")).collect()
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{:22}", format!("{}: p50 / p99, us", self.store))?;
        for size in &self.sizes {
            write!(f, "{:>22}", size.sessions)?;
        }
        writeln!(f, "{:>14}", "last / first")?;
        let (Some(first), Some(last)) = (self.sizes.first(), self.sizes.last()) else {
            return Ok(());
        };
        for (place, measured) in first.measured.iter().enumerate() {
            write!(f, "{:22}", measured.operation)?;
            for size in &self.sizes {
                let Measured { p50, p99, .. } = size.measured[place];
                write!(f, "{:>22}", format!("{:.1} / {:.1}", micros(p50), micros(p99)))?;
            }
            let ratio = micros(last.measured[place].p50) / micros(measured.p50);
            writeln!(f, "{ratio:>14.2}")?;
        }
        let mut row = |name: &str, value: &dyn Fn(&Figure) -> Option<f64>| {
            write!(f, "{name:22}")?;
            for size in &self.sizes {
                let shown = value(size).map_or("-".to_owned(), |value| format!("{value:.0}"));
                write!(f, "{shown:>22}")?;
            }
            writeln!(f)
        };
        row("a sync alone, us", &|size| size.sync.map(micros))?;
        row("filled a second", &|size| size.filled_per_s)?;
        row("MB on disk", &|size| size.disk_bytes.map(|bytes| bytes as f64 / 1e6))?;
        row("MB in memory", &|size| size.resident_bytes.map(|bytes| bytes as f64 / 1e6))
    }
}

fn micros(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e7).round() / 10.0
}

#[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
