//! This program again, as another process with a task of its own.

use std::process::{Child, Command, Stdio};

const TASK: &str = "SESSION_FAULT_TASK";
const URL: &str = "SESSION_FAULT_URL";

/// What a child process does; nothing when the tests are run by themselves.
#[test]
fn task() {
    let (Ok(task), Ok(url)) = (std::env::var(TASK), std::env::var(URL)) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    match &*task {
        "write" => runtime.block_on(crate::crash::write(&url, &argument("REALM"))),
        "subscribe" => {
            let (file, events) = (argument("FILE"), argument("EVENTS"));
            runtime.block_on(crate::subscriber::live(&url, &file, &events));
        }
        "obey" => runtime.block_on(crate::processes::obey(&url)),
        other => panic!("no such task: {other}"),
    }
}

/// Starts a process for a task. Its output is to be read to the end.
pub(crate) fn start(task: &str, url: &str, arguments: &[(&str, &str)]) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child::task", "--nocapture", "--test-threads=1"]);
    for (name, text) in arguments {
        command.env(format!("SESSION_FAULT_{name}"), text);
    }
    command.env(TASK, task).env(URL, url);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

fn argument(name: &str) -> String {
    std::env::var(format!("SESSION_FAULT_{name}")).unwrap()
}
