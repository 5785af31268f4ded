//! The page that says which test shows each requirement of the standards: every requirement stands on it, and every
//! test that it names is there.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::table::Table;
use crate::workspace::Workspace;
use crate::{Failure, run};

/// Where the page is.
const PAGE: &str = "docs/guide/requirements.md";

/// What the standards ask: the first cell of their tables, and the numbers of their requirements.
const STANDARDS: [(&str, &[&str]); 2] = [
    (
        "ASVS 5.0",
        &[
            "7.1.1", "7.1.2", "7.1.3", "7.2.1", "7.2.2", "7.2.3", "7.2.4", "7.3.1", "7.3.2",
            "7.4.1", "7.4.2", "7.4.3", "7.4.4", "7.4.5", "7.5.1", "7.5.2", "7.5.3", "7.6.1",
            "7.6.2",
        ],
    ),
    (
        "SP 800-63B-4",
        &[
            "5.1 secret",
            "5.1 level",
            "5.1 (1)",
            "5.1 (2)",
            "5.1 (3)",
            "5.1 (4)",
            "5.1 (5)",
            "5.1 (6)",
            "5.1 endpoint",
            "5.1 transport",
            "5.1 forgery",
            "5.1 restart",
            "5.1.1 (1)",
            "5.1.1 (2)",
            "5.1.1 (3)",
            "5.1.1 (4)",
            "5.1.1 (5)",
            "5.1.1 (6)",
            "5.1.1 (7)",
            "5.1.2",
            "5.2 timeouts",
            "5.2 activity",
            "5.2 again",
            "5.2 ended",
            "5.3 monitoring",
            "5.3 privacy",
        ],
    ),
];

/// Stands in the place of tests where a requirement is not for a session engine to meet.
const NOT_OURS: &str = "–";

/// A case of the conformance kit is named like a test of this target, and has to be run on every store.
const KIT: &str = "kit";
const STORES: [&str; 4] = ["session-core", "session-sled", "session-sqlite", "session-postgres"];

/// Checks the page, and says what is on it.
pub(crate) fn check() -> Result<(), Failure> {
    let workspace = Workspace::read()?;
    let text = fs::read_to_string(workspace.root.join(PAGE))?;
    let (rows, mut wrong) = rows(&text);
    let tests = Tests::of(&workspace)?;
    let named: BTreeSet<&str> = rows.iter().flatten().map(String::as_str).collect();
    let missing = named.iter().filter(|name| !tests.has(name));
    wrong.extend(missing.map(|name| format!("there is no test {name}")));
    if !wrong.is_empty() {
        wrong.iter().for_each(|one| println!("  {one}"));
        return Err(format!("{PAGE} is not right").into());
    }
    let others = rows.iter().filter(|tests| tests.is_empty()).count();
    println!(
        "  {PAGE}: {} requirements are shown by {} tests, {others} are not for a session engine to meet",
        rows.len() - others,
        named.len(),
    );
    Ok(())
}

/// The tests of each row of all standards, and what is wrong with the rows.
fn rows(page: &str) -> (Vec<Vec<String>>, Vec<String>) {
    let tables = Table::all_of(page);
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    for (standard, numbers) in STANDARDS {
        let Some(table) = tables.iter().find(|table| table.is_of(standard)) else {
            wrong.push(format!("there is no table of {standard}"));
            continue;
        };
        let mut left: BTreeSet<&str> = numbers.iter().copied().collect();
        for (number, cells) in table.body() {
            if !left.remove(number) {
                wrong.push(format!(
                    "{standard} {number} is none of its requirements, or stands twice"
                ));
            }
            match cells.last().map(|cell| tests_of(cell)) {
                Some(Some(tests)) => rows.push(tests),
                _ => wrong.push(format!("{standard} {number} names no test, nor {NOT_OURS}")),
            }
        }
        wrong.extend(left.iter().map(|number| format!("{standard} {number} is missing")));
    }
    (rows, wrong)
}

/// The tests that a cell names, each in backticks; `None` if it names none, and does not say that either.
fn tests_of(cell: &str) -> Option<Vec<String>> {
    let tests: Vec<_> = cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    (!tests.is_empty() || cell == NOT_OURS).then_some(tests)
}

/// The tests of the workspace.
struct Tests(Vec<Test>);

struct Test {
    package: String,
    target: String,
    path: String,
}

impl Tests {
    /// Asks each program of tests what it runs.
    fn of(workspace: &Workspace) -> Result<Self, Failure> {
        let mut tests = Vec::new();
        // A target that plain `cargo test` leaves out has to be named.
        for targets in [&["--lib", "--tests"][..], &["--test=browser"]] {
            let mut build = workspace.cargo();
            build.args(["test", "--workspace", "--all-features"]).args(targets);
            build.args(["--no-run", "--quiet", "--message-format=json"]);
            Self::add(&mut tests, &run::read(&mut build)?)?;
        }
        Ok(Self(tests))
    }

    fn add(tests: &mut Vec<Test>, messages: &str) -> Result<(), Failure> {
        for line in messages.lines() {
            let message: Value = serde_json::from_str(line)?;
            let target = &message["target"];
            let is_test = ["lib", "test"].iter().any(|kind| target["kind"][0] == *kind);
            let (Some(program), Some(name), true) =
                (message["executable"].as_str(), target["name"].as_str(), is_test)
            else {
                continue;
            };
            let package = package_of(&message["manifest_path"])?;
            let listed = run::read(Command::new(program).args(["--list", "--format=terse"]))?;
            let paths = listed.lines().filter_map(|line| line.strip_suffix(": test"));
            tests.extend(paths.map(|path| Test {
                package: package.clone(),
                target: name.to_owned(),
                path: path.to_owned(),
            }));
        }
        Ok(())
    }

    /// Whether there is a test of this name: its target and its path. A case of the kit has to be run on every store.
    fn has(&self, name: &str) -> bool {
        match name.split_once("::") {
            Some((KIT, case)) => STORES.iter().all(|store| {
                let mut of_store = self.0.iter().filter(|test| test.package == *store);
                of_store.any(|test| test.path.ends_with(&format!("::{case}")))
            }),
            Some((target, path)) => {
                self.0.iter().any(|test| test.target == target && test.path == path)
            }
            None => false,
        }
    }
}

/// The name of a package, which here is that of its folder, but for the root's.
fn package_of(manifest: &Value) -> Result<String, Failure> {
    let folder = manifest.as_str().and_then(|path| path.rsplit(['/', '\\']).nth(1));
    Ok(folder.ok_or("cargo does not tell whose a test is")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(asvs: &str) -> String {
        let rows = |standard: &str| {
            let (_, numbers) = STANDARDS.iter().find(|(name, _)| *name == standard).unwrap();
            let line = |number: &&str| format!("| {number} | a | b | `engine::a::b` |\n");
            numbers.iter().map(line).collect::<String>()
        };
        let other = rows("SP 800-63B-4");
        format!(
            "| ASVS 5.0 | a | b | c |\n|---|---|---|---|\n{asvs}\n\n| SP 800-63B-4 | a | b | c |\n|---|---|---|---|\n{other}"
        )
    }

    fn all_of_asvs() -> String {
        let line = |number: &&str| format!("| {number} | a | b | `engine::a::b`, `kit::c` |\n");
        STANDARDS[0].1.iter().map(line).collect()
    }

    #[test]
    fn a_page_that_names_a_test_for_each_is_right() {
        let page = page(&all_of_asvs());
        let (rows, wrong) = rows(&page);
        assert_eq!(wrong, Vec::<String>::new());
        assert_eq!(rows[0], ["engine::a::b", "kit::c"]);
    }

    #[test]
    fn what_is_missing_invented_or_shown_by_nothing_is_told() {
        let text = all_of_asvs().replace("7.4.2 |", "7.4.9 |");
        let page_of_others = page(&text);
        let (_, wrong) = rows(&page_of_others);
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        let text = all_of_asvs().replacen("`engine::a::b`, `kit::c`", "soon", 1);
        let page_of_promises = page(&text);
        let (_, wrong) = rows(&page_of_promises);
        assert_eq!(wrong, ["ASVS 5.0 7.1.1 names no test, nor –"]);
    }
}
