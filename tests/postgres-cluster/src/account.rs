//! Whose processes a server's are: root may not run one.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use crate::Error;

/// Another account than our own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    user: u32,
    group: u32,
}

impl Account {
    /// The account to run a server under: `None` for our own, unless that is root's.
    pub(crate) fn for_a_server() -> Result<Option<Self>, Error> {
        if id(&["-u"]) != Some(0) {
            return Ok(None);
        }
        let named =
            |name: &&str| Some(Self { user: id(&["-u", name])?, group: id(&["-g", name])? });
        ["postgres", "nobody"].iter().find_map(named).map(Some).ok_or(Error::NoAccount)
    }

    /// Runs a program under it: no `sudo`, no `su`.
    pub(crate) fn run(self, command: &mut Command) {
        command.uid(self.user).gid(self.group);
    }

    /// Gives it a file or directory.
    pub(crate) fn own(self, path: &Path) -> io::Result<()> {
        std::os::unix::fs::chown(path, Some(self.user), Some(self.group))
    }
}

fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
