//! What a contributor and CI run: `cargo xtask test` does all set-up and passes all tests.

mod browser;
mod crash;
mod deps;
mod faults;
mod fuzz;
mod growth;
mod hardware;
mod machine;
mod postgres;
mod requirements;
mod run;
mod stores;
mod suite;
mod table;
mod workspace;

use std::process::ExitCode;

const USAGE: &str = "\
usage:
  cargo xtask test [--quick]                find or install what the tests need, and run them all;
                                            --quick leaves out the fuzz targets and the browser
  cargo xtask fuzz TARGET [--seconds N]     run one fuzz target, for 60 seconds unless told otherwise
  cargo xtask crash [--store S] [--kills N] kill what writes to a store, sqlite, sled, postgres or all, 200
                                            times unless told otherwise, and check what was promised
  cargo xtask faults [--kills N]            run all tests of faults at full length, print their figures, and
                                            write down what has held
  cargo xtask growth [--store NAME] [--sizes A,B,...] [--seconds N]
                                            measure what operations cost as a store grows: memory, sled,
                                            sqlite, postgres or all; at ten thousand, a hundred thousand and
                                            a million sessions; for 5 seconds each at most
  cargo xtask stores [--check]              write the guide's page on the stores from what is counted now and
                                            what faults and growth have left; or check that its facts hold
  cargo xtask requirements                  check that the guide's page on the requirements of the standards
                                            names them all, and that the tests it names are there";

/// Why a step failed, for a person to read.
pub(crate) type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["test"] => suite::run(false),
        ["test", "--quick"] => suite::run(true),
        ["fuzz", target] => fuzz::run(target, 60),
        ["fuzz", target, "--seconds", seconds] => {
            number(seconds).and_then(|seconds| fuzz::run(target, seconds))
        }
        ["crash", ref options @ ..] => crash(options),
        ["faults"] => faults::run(KILLS),
        ["faults", "--kills", kills] => number(kills).and_then(faults::run),
        ["growth", ref options @ ..] => growth::command(options),
        ["stores"] => stores::write(),
        ["stores", "--check"] => stores::check(),
        ["requirements"] => requirements::check(),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => Err(format!("no such command\n{USAGE}").into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// How often something is killed unless told otherwise.
const KILLS: u32 = 200;

fn crash(options: &[&str]) -> Result<(), Failure> {
    let (mut store, mut kills) = ("all", KILLS);
    for option in options.chunks(2) {
        match *option {
            ["--store", name] => store = name,
            ["--kills", text] => kills = number(text)?,
            _ => return Err(format!("no such option\n{USAGE}").into()),
        }
    }
    crash::run(store, kills)
}

fn number(text: &str) -> Result<u32, Failure> {
    text.parse().map_err(|_| format!("{text:?} is no number").into())
}
