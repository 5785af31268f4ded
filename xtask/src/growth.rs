//! What operations cost as a store grows: the benchmark `growth`, in a directory of its own and on a throwaway
//! server.

use std::fs;
use std::path::{Path, PathBuf};

use postgres_cluster::Cluster;
use serde_json::json;

use crate::hardware::Machine;
use crate::workspace::Workspace;
use crate::{Failure, run};

/// The stores, in the order in which they are shown.
pub(crate) const STORES: [&str; 4] = ["memory", "sled", "sqlite", "postgres"];

/// Where the figures are left: a file for each store, of lines of JSON. The first tells of the machine.
pub(crate) const FIGURES: &str = "growth";

/// Parses the options of the command, and measures.
pub(crate) fn command(mut options: &[&str]) -> Result<(), Failure> {
    let (mut stores, mut sizes, mut seconds) = (STORES.to_vec(), None, None);
    while let [name, value, rest @ ..] = options {
        match *name {
            "--store" if *value == "all" => stores = STORES.to_vec(),
            "--store" if STORES.contains(value) => stores = vec![value],
            "--sizes" => sizes = Some(*value),
            "--seconds" => seconds = Some(*value),
            _ => return Err(format!("cargo xtask growth takes no {name} {value}").into()),
        }
        options = rest;
    }
    if let [left] = options {
        return Err(format!("cargo xtask growth takes no {left} alone").into());
    }
    let workspace = Workspace::read()?;
    for store in stores {
        measure(&workspace, store, sizes.unwrap_or("10000,100000,1000000"), seconds)?;
    }
    Ok(())
}

fn measure(
    workspace: &Workspace,
    store: &str,
    sizes: &str,
    seconds: Option<&str>,
) -> Result<(), Failure> {
    let figures = workspace.target.join(FIGURES);
    fs::create_dir_all(&figures)?;
    let file = figures.join(format!("{store}.json"));
    let place = Place::new(figures.join(format!("{store}-store")))?;
    let server = if store == "postgres" { Some(Cluster::start()?) } else { None };
    let url = match &server {
        Some(server) => server.url(),
        None if store == "memory" => "memory:".to_owned(),
        None => format!("{store}://{}", place.directory().join("store").display()),
    };
    let mut bench = workspace.cargo();
    bench.args(["bench", "--features", "sled,postgres", "--bench", "growth", "--"]);
    bench.args(["--sizes", sizes]).arg("--json").arg(&file);
    if let Some(seconds) = seconds {
        bench.args(["--seconds", seconds]);
    }
    if let Some(server) = &server {
        bench.arg("--disk").arg(server.directory().join("data/base"));
    }
    let command = format!("cargo xtask growth --store {store} --sizes {sizes}");
    let machine = Machine::look(&figures)?;
    fs::write(&file, format!("{}\n", json!({ "machine": machine.to_json() })))?;
    println!("  $ {command}");
    run::show_secretly(bench.arg(url))?;
    println!("  figures are in {}", file.display());
    Ok(())
}

/// A directory for a store, empty at first and removed in the end.
#[derive(Debug)]
pub(crate) struct Place {
    directory: PathBuf,
}

impl Place {
    pub(crate) fn new(directory: PathBuf) -> Result<Self, Failure> {
        // A run that was interrupted has left its own.
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(&directory)?;
        Ok(Self { directory })
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}
