//! What an operation costs as a store grows: the same operations on ten thousand sessions, on a hundred thousand, on
//! a million, through the engine and for one caller, in one table.
//!
//! `cargo xtask growth` provides a directory and a server. By hand, on a store that is empty and stays full:
//! `cargo bench --bench growth -- sqlite:///tmp/growth.db --sizes 10000,100000`.

mod cells;
mod figures;
mod fill;
mod footprint;
mod population;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use session_engine::{ManualClock, SessionStore, Sessions};

use cells::Cells;
use figures::{Figure, Figures};
use footprint::Footprint;
use population::{CHUNK, NOW, Population, policy};

/// Whatever went wrong, for a person to read.
type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, Parser)]
#[command(about = "Measures what operations cost as a store grows")]
struct Options {
    /// Stores, by their URLs. They are filled: begin with empty ones
    #[arg(default_value = "memory:")]
    urls: Vec<String>,
    /// How many sessions to measure at, in rising order: the store is filled up from one to the next
    #[arg(long, value_delimiter = ',', default_value = "10000,100000,1000000")]
    sizes: Vec<u64>,
    /// The longest that one operation is measured at one size
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Appends every figure to this file, as a line of JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// The directory that a server keeps the store in, for its size on disk
    #[arg(long)]
    disk: Option<PathBuf>,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    /// Run by `cargo test`, it only shows that it runs.
    fn or_a_trial(mut self) -> Self {
        if !self.bench {
            self.sizes = vec![CHUNK, 2 * CHUNK];
            self.seconds = 0.1;
        }
        self
    }
}

fn main() -> Result<(), Failure> {
    let options = Options::parse().or_a_trial();
    let whole = options.sizes.iter().all(|size| size.is_multiple_of(CHUNK) && *size > 0);
    if !whole || !options.sizes.is_sorted() {
        return Err(format!("the sizes have to rise, in multiples of {CHUNK}").into());
    }
    // One thread: what a store's own task does for the one caller wakes nobody else.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for url in &options.urls {
        runtime.block_on(measure(&options, url))?;
    }
    Ok(())
}

async fn measure(options: &Options, url: &str) -> Result<(), Failure> {
    let name = url.split(':').next().unwrap_or(url);
    let footprint = Footprint::of(url, options.disk.clone());
    let store: Arc<dyn SessionStore> = session_engine::open(url).await?;
    let sessions =
        Sessions::builder(Arc::clone(&store)).policy(policy()?).clock(ManualClock::at(NOW)).build();
    let mut population = Population::default();
    let mut figures = Figures::of(name, options.json.clone());
    for &size in &options.sizes {
        let rate = fill::fill(&store, &sessions, &mut population, size).await?;
        footprint.settle().await?;
        let sync = footprint.sync()?;
        let each = Duration::from_secs_f64(options.seconds);
        let measured = Cells::new(&sessions, &mut population, each).measure().await?;
        let figure = Figure {
            sessions: size,
            measured,
            filled_per_s: rate,
            sync,
            disk_bytes: footprint.disk()?,
            resident_bytes: footprint::resident()?,
        };
        figures.add(figure)?;
    }
    println!("{figures}");
    Ok(())
}
