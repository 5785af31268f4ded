//! The page, and what is wrong with one.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::counts::{self, Cost, Costs};
use super::facts::FACTS;
use super::faults::{FAULTS, Faults};
use super::figures::{self, Figures};
use crate::Failure;
use crate::growth::STORES;
use crate::table::Table;

const TITLE: &str = "Store";
/// Of the stores, as they are written.
const SHOWN: [&str; STORES.len()] = ["memory", "sled", "SQLite", "Postgres"];

/// The whole page.
pub(super) fn text(
    costs: &BTreeMap<&str, Costs>,
    faults: &Faults,
    figures: &[Figures],
) -> Result<String, Failure> {
    let mut page = format!("{BEGINNING}\n{}", promises(costs, faults));
    page.push_str(GROWTH);
    for (figures, store) in figures.iter().zip(SHOWN) {
        write!(page, "\n{}", figures.table(&growth_of(store)))?;
    }
    write!(page, "\n## The machine\n\n{}\n", machine(figures)?)?;
    write!(page, "{AGAIN}\n```sh\n")?;
    for figures in figures {
        writeln!(page, "{}", figures.command())?;
    }
    page.push_str("cargo xtask faults\ncargo xtask stores\n```\n");
    Ok(page)
}

fn promises(costs: &BTreeMap<&str, Costs>, faults: &Faults) -> Table {
    let mut head = vec![TITLE.to_owned()];
    head.extend(SHOWN.map(str::to_owned));
    let mut table = Table::new(head);
    let mut row = |name: &str, cells: [String; STORES.len()]| {
        table.row(std::iter::once(name.to_owned()).chain(cells).collect());
    };
    for fact in FACTS {
        row(fact.name, fact.of.map(str::to_owned));
    }
    for operation in counts::OPERATIONS {
        row(operation, STORES.map(|store| cost(costs, store, operation)));
    }
    for fault in FAULTS {
        row(fault.shown, STORES.map(|store| faults.outcome(&fault, store).to_owned()));
    }
    table
}

fn cost(costs: &BTreeMap<&str, Costs>, store: &str, operation: &str) -> String {
    let Some(cost) = costs.get(store).and_then(|costs| costs.get(operation)) else {
        return "–".into();
    };
    let Cost { round_trips, syncs } = *cost;
    let about = if operation == counts::AT_ONCE { "about " } else { "" };
    let syncs = syncs.map(|syncs| format!("{about}{}", counted(syncs, "sync", "syncs")));
    let trips =
        round_trips.map(|trips| format!("{about}{}", counted(trips, "round trip", "round trips")));
    let both: Vec<String> = trips.into_iter().chain(syncs).collect();
    both.join(", ")
}

/// What a store or a server syncs by itself now and then is not what the operation asks for: less than a quarter, on
/// the average, is not counted.
fn counted(number: f64, one: &str, many: &str) -> String {
    let whole = number.round();
    if (number - whole).abs() >= 0.25 {
        return format!("{number:.1} {many}");
    }
    match whole as u64 {
        0 => format!("no {one}"),
        1 => format!("1 {one}"),
        number => format!("{number} {many}"),
    }
}

/// What a page lacks, or says wrongly. Without counts, those on the page are not looked at.
pub(super) fn wrong(page: &str, costs: Option<&BTreeMap<&str, Costs>>) -> Vec<String> {
    let tables = Table::all_of(page);
    let Some(promises) = tables.iter().find(|table| table.is_of(TITLE)) else {
        return vec!["the table of the stores is missing".into()];
    };
    let mut wrong = Vec::new();
    let mut compare =
        |name: &str, holds: Option<[String; STORES.len()]>| match (promises.find(name), holds) {
            (None, _) => wrong.push(format!("the row {name:?} is missing")),
            (Some(told), Some(holds)) if told != holds => {
                wrong.push(format!("{name}: the page says {told:?}, and it is {holds:?}"));
            }
            _ => {}
        };
    for fact in FACTS {
        compare(fact.name, Some(fact.of.map(str::to_owned)));
    }
    for operation in counts::OPERATIONS {
        let costs = costs.filter(|_| operation != counts::AT_ONCE);
        compare(operation, costs.map(|costs| STORES.map(|store| cost(costs, store, operation))));
    }
    for fault in FAULTS {
        compare(fault.shown, None);
    }
    for store in SHOWN {
        let title = growth_of(store);
        let Some(growth) = tables.iter().find(|table| table.is_of(&title)) else {
            wrong.push(format!("the table of the growth of {store} is missing"));
            continue;
        };
        let missing = figures::OPERATIONS.iter().filter(|name| growth.find(name).is_none());
        wrong.extend(missing.map(|name| format!("{store}: the growth of {name:?} is missing")));
    }
    wrong
}

fn growth_of(store: &str) -> String {
    format!("{store}, by number of sessions")
}

/// One machine: figures of several are not to be compared.
fn machine(figures: &[Figures]) -> Result<String, Failure> {
    let machine = &figures.first().ok_or("there are no figures")?.machine;
    for key in ["processor", "cores", "memory_gib", "system", "file_system"] {
        if figures.iter().any(|other| other.machine[key] != machine[key]) {
            return Err("the figures are of different machines: run `cargo xtask growth`".into());
        }
    }
    let text = |key: &str| machine[key].as_str().unwrap_or("unknown");
    let number = |key: &str| machine[key].as_u64().unwrap_or(0);
    let mut versions: Vec<&str> = Vec::new();
    for version in figures.iter().filter_map(|figures| figures.machine["versions"].as_array()) {
        versions.extend(version.iter().filter_map(Value::as_str));
    }
    versions.sort_unstable();
    versions.dedup();
    Ok(format!(
        "{} cores of {}, {} GiB of memory, {}; the files are on {}. {}.",
        number("cores"),
        text("processor"),
        number("memory_gib"),
        text("system"),
        text("file_system"),
        versions.join(", "),
    ))
}

const BEGINNING: &str = "\
# The stores compared

All four pass the same conformance kit, and an application runs unchanged on each. They differ in what `Applied` is
worth when the power fails, in who may use them at once, and in what an operation asks of the disk or the server.

The rows of operations were counted, not estimated: syncs by tracing the process (of Postgres, by the server's own
statistics of its log), round trips by a proxy. They are averages over several runs through the engine with its default
policy. The rows of faults are what the commands found that do each of them.
";

const GROWTH: &str = "
## Growth

What an operation takes as the store fills, in microseconds, median / 99th percentile: one caller, through the
engine, each time on a session it has not met before. Half of the sessions are in use, one in a hundred is due, two are
tombstones; each has 256 bytes of data, a subject has five or ten of them, and the events of all logins are there.
Medians compare; the 99th percentiles are those of a shared machine. What writes waits for the disk: the row of a
page and its sync says what the disk itself took just before. Disk includes indexes and events; memory is that of the
application, without the server's.

What reads costs a little more with each level of the indexes, and with what no longer fits in the store's own cache,
and is read from the system's: 2 MB a connection in SQLite, 64 MiB in sled, 128 MB in a Postgres server as it comes.
What writes costs more until no two sessions share a page.
One thing is not flat: where the files are larger than the machine's memory, every store waits for its disk.
";

const AGAIN: &str = "
The page is written by `cargo xtask stores` from what these commands leave in the target directory. More sizes take
more time and disk: ten million sessions in SQLite take 20 GB.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(syncs: f64) -> BTreeMap<&'static str, Costs> {
        let cost = Cost { round_trips: Some(2.0), syncs: Some(syncs) };
        let costs = counts::OPERATIONS.map(|name| (name.to_owned(), cost));
        STORES.map(|store| (store, Costs::from(costs.clone()))).into()
    }

    fn page() -> String {
        let figures = STORES.map(|_| Figures::of_nothing());
        text(&costs(1.0), &Faults::default(), &figures).unwrap()
    }

    #[test]
    fn a_page_that_was_just_written_is_right() {
        assert_eq!(wrong(&page(), Some(&costs(1.04))), Vec::<String>::new());
    }

    #[test]
    fn the_page_of_the_guide_names_every_row() {
        let page = include_str!("../../../docs/guide/stores.md");
        assert_eq!(wrong(page, None), Vec::<String>::new());
    }

    #[test]
    fn what_a_page_lacks_or_says_wrongly_is_named() {
        let page = page();
        let found = |page: &str, syncs| wrong(page, Some(&costs(syncs)));
        assert!(found("", 1.0)[0].contains("table of the stores"));
        assert!(
            found(&page.replace("| Isolation |", "| Separation |"), 1.0)[0].contains("Isolation")
        );
        assert!(
            found(&page.replace("one: it holds", "two: it holds"), 1.0)[0].contains("Processes")
        );
        assert!(found(&page.replace("| full disk |", "| disk |"), 1.0)[0].contains("full disk"));
        assert!(found(&page.replace("| revoke | –", "| revok | –"), 1.0)[0].contains("growth"));
        // Of the logins at once it is a matter of timing.
        assert_eq!(found(&page, 2.0).len(), counts::OPERATIONS.len() - 1);
    }

    #[test]
    fn counts_are_whole_where_they_mean_to_be() {
        assert_eq!(counted(0.05, "sync", "syncs"), "no sync");
        assert_eq!(counted(1.2, "sync", "syncs"), "1 sync");
        assert_eq!(counted(1.5, "sync", "syncs"), "1.5 syncs");
        assert_eq!(counted(3.0, "sync", "syncs"), "3 syncs");
    }
}
