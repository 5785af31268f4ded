//! All that must hold before a change is accepted.

use std::path::Path;
use std::process::Command;

use crate::browser::Browser;
use crate::postgres::Postgres;
use crate::run::{self, Steps};
use crate::workspace::{Workspace, cargo, root};
use crate::{Failure, deps, fuzz, machine, requirements};

/// Runs every test; `quick` leaves out what needs a browser or a fuzzing build, and says so.
pub(crate) fn run(quick: bool) -> Result<(), Failure> {
    let mut steps = Steps::new();
    let prepared = steps.step("tools and workspace", || {
        machine::tools(&root()?)?;
        Workspace::read()
    });
    let Some(workspace) = prepared else { return steps.finish() };
    let workspace = &workspace;

    steps.step("format", || {
        run::show(workspace.cargo().args(["fmt", "--all", "--check"]))?;
        run::show(fuzz::cargo(workspace).args(["fmt", "--check"]))
    });
    steps.step("directions of dependencies", || deps::directions(workspace));
    steps.step("number of crates", || deps::count(workspace));
    match machine::found(&["cargo-deny"]) {
        Some(_) => {
            steps.step("cargo deny", || run::show(workspace.cargo().args(["deny", "check"])));
        }
        None => steps.leave_out("cargo deny", "cargo-deny is not installed"),
    }
    steps.step("lints of everything, with all features", || {
        let everything = ["clippy", "--workspace", "--all-features", "--all-targets"];
        run::show(workspace.cargo().args(everything).args(["--", "-D", "warnings"]))?;
        let browser = ["clippy", "--workspace", "--all-features", "--test=browser"];
        run::show(workspace.cargo().args(browser).args(["--", "-D", "warnings"]))
    });
    steps.step("lints of each feature alone, and of none", || deps::feature_matrix(workspace));
    steps.step("documentation", || {
        let mut doc = workspace.cargo();
        doc.env("RUSTDOCFLAGS", "-D warnings");
        run::show(doc.args(["doc", "--workspace", "--all-features", "--no-deps"]))
    });
    let mounts = machine::mounts_a_disk();
    if !mounts {
        steps.leave_out("stores on a full disk", "this machine mounts no small disk");
    }
    // Without a server the tests that need one fail, and say so.
    let postgres = steps.step("Postgres server", Postgres::provide);
    let tell = |command: &mut Command| {
        if let Some(postgres) = &postgres {
            postgres.tell(command);
        }
    };
    steps.step("tests of the workspace", || {
        let all = ["test", "--workspace", "--all-features", "--all-targets", "--no-fail-fast"];
        let mut tests = workspace.cargo();
        tell(&mut tests);
        if !mounts {
            tests.env("SESSION_TEST_NO_MOUNTS", "1");
        }
        run::show(tests.args(all))
    });
    steps.step("tests that show requirements", requirements::check);
    steps.step("examples in the documentation", || {
        let mut tests = workspace.cargo();
        tell(&mut tests);
        run::show(tests.args(["test", "--workspace", "--all-features", "--doc"]))
    });
    steps.step("crates outside the workspace", || outsiders(workspace, &tell));
    if quick {
        steps.leave_out("fuzz targets", "--quick was asked for");
        steps.leave_out("end-to-end tests in a browser", "--quick was asked for");
    } else {
        steps.step("fuzz targets", || fuzz::smoke(workspace));
        let browser = steps.step("browser", Browser::provide);
        steps.step("end-to-end tests in a browser", || {
            let browser = browser.ok_or("there is no browser")?;
            let mut test = workspace.cargo();
            tell(&mut test);
            test.args(["test", "--workspace", "--all-features", "--test=browser"]);
            run::show(browser.tell(&mut test))
        });
    }
    if let Some(postgres) = postgres {
        steps.step("Postgres server, stopped", || postgres.stop());
    }
    steps.finish()
}

/// Crates with a lockfile of their own: those that show something which the workspace cannot hold.
fn outsiders(workspace: &Workspace, tell: &dyn Fn(&mut Command)) -> Result<(), Failure> {
    for directory in workspace.outsiders()? {
        let name = directory.strip_prefix(&workspace.root)?;
        if name == Path::new("fuzz") {
            continue;
        }
        if name == Path::new("benches/peers") {
            println!("  benches/peers only measures, and holds no tests");
            continue;
        }
        let mut test = outsider(workspace, &directory);
        tell(&mut test);
        run::show(test.args(["test", "--no-fail-fast"]))?;
    }
    Ok(())
}

fn outsider(workspace: &Workspace, directory: &Path) -> Command {
    println!("  in {}:", directory.display());
    let mut command = cargo(directory);
    command.env("CARGO_TARGET_DIR", workspace.target.join("outside"));
    command
}
