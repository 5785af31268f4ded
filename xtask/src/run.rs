//! Steps and the commands in them: each is printed, timed, and counted.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;

/// The steps of a run. A step that fails does not keep the later ones from running.
#[derive(Debug)]
pub(crate) struct Steps {
    started: Instant,
    done: Vec<Step>,
    left_out: Vec<(&'static str, &'static str)>,
}

#[derive(Debug)]
struct Step {
    name: &'static str,
    took: Duration,
    failure: Option<String>,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self { started: now(), done: Vec::new(), left_out: Vec::new() }
    }

    /// Runs a step, prints what came of it, and gives its result unless it failed.
    pub(crate) fn step<T>(
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> Result<T, Failure>,
    ) -> Option<T> {
        println!("\n==> {name}");
        let started = now();
        let result = work();
        let took = started.elapsed();
        let failure = result.as_ref().err().map(ToString::to_string);
        match &failure {
            None => println!("<== {name}: ok in {}", shown(took)),
            Some(failure) => println!("<== {name}: FAILED after {}: {failure}", shown(took)),
        }
        self.done.push(Step { name, took, failure });
        result.ok()
    }

    /// Says that a step is not run, and why: nothing is left out silently.
    pub(crate) fn leave_out(&mut self, name: &'static str, why: &'static str) {
        println!("\n==> {name}: left out, {why}");
        self.left_out.push((name, why));
    }

    /// Prints the summary.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        println!("\nsummary, after {}:", shown(self.started.elapsed()));
        for step in &self.done {
            let verdict = if step.failure.is_none() { "ok    " } else { "FAILED" };
            println!("  {verdict} {:>9}  {}", shown(step.took), step.name);
        }
        for (name, why) in &self.left_out {
            println!("  left out          {name}: {why}");
        }
        let failed = self.done.iter().filter(|step| step.failure.is_some()).count();
        let passed = self.done.len() - failed;
        println!("steps: {passed} passed, {failed} failed, {} skipped", self.left_out.len());
        if failed == 0 { Ok(()) } else { Err(format!("{failed} steps failed").into()) }
    }
}

/// Runs a command with its output visible.
pub(crate) fn show(command: &mut Command) -> Result<(), Failure> {
    let text = text(command);
    println!("  $ {text}");
    visibly(command, &text)
}

/// The same, without showing its arguments: one of them is a secret.
pub(crate) fn show_secretly(command: &mut Command) -> Result<(), Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    visibly(command, &program)
}

fn visibly(command: &mut Command, text: &str) -> Result<(), Failure> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("{text} does not start: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{text}: {status}").into()) }
}

/// Runs a command and gives what it wrote to its standard output.
pub(crate) fn read(command: &mut Command) -> Result<String, Failure> {
    let text = text(command);
    output(command, &text)
}

/// The same, and an error does not show its arguments: one of them is a secret.
pub(crate) fn read_secretly(command: &mut Command) -> Result<String, Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    output(command, &program)
}

fn output(command: &mut Command, text: &str) -> Result<String, Failure> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{text} does not start: {error}"))?;
    if !output.status.success() {
        return Err(format!("{text}: {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn text(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let words = program.file_name().into_iter().chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn shown(took: Duration) -> String {
    let seconds = took.as_secs();
    if seconds < 60 {
        format!("{:.1} s", took.as_secs_f64())
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a step takes is asked of a real clock")]
fn now() -> Instant {
    Instant::now()
}
