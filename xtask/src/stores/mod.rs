//! The page on stores in the guide: what each promises, what it costs, what it withstands, how it grows. Nothing on
//! it is written by hand but what a store is by its make.

mod counts;
mod facts;
mod faults;
mod figures;
mod page;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use counts::Costs;
use faults::Faults;
use figures::Figures;

use crate::Failure;
use crate::growth::STORES;
use crate::workspace::Workspace;

/// Where the page is.
const PAGE: &str = "docs/guide/stores.md";

/// Counts, reads what the other commands have left, and writes the page.
pub(crate) fn write() -> Result<(), Failure> {
    let workspace = Workspace::read()?;
    let figures = STORES
        .iter()
        .map(|store| Figures::read(&workspace.target, store))
        .collect::<Result<Vec<_>, _>>()?;
    let faults = Faults::read(&workspace.target)?;
    let costs = count(&workspace)?;
    let path = page(&workspace);
    fs::write(&path, page::text(&costs, &faults, &figures)?)?;
    println!("  {PAGE} is written");
    Ok(())
}

/// Counts again, and compares with the page: every row has to be there, and to say what holds. Times and figures
/// of faults are those of a run, and are not compared.
pub(crate) fn check() -> Result<(), Failure> {
    let workspace = Workspace::read()?;
    let text = fs::read_to_string(page(&workspace))
        .map_err(|error| format!("{PAGE}: {error}: `cargo xtask stores` writes it"))?;
    let wrong = page::wrong(&text, Some(&count(&workspace)?));
    if wrong.is_empty() {
        println!("  {PAGE} names every row, and its facts hold");
        return Ok(());
    }
    for one in &wrong {
        println!("  {one}");
    }
    Err(format!("{PAGE} is not right: `cargo xtask stores` writes it anew").into())
}

fn page(workspace: &Workspace) -> PathBuf {
    workspace.root.join(PAGE)
}

fn count(workspace: &Workspace) -> Result<BTreeMap<&'static str, Costs>, Failure> {
    STORES.iter().map(|store| Ok((*store, counts::count(workspace, store)?))).collect()
}
