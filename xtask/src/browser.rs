//! Chromium and the driver that the end-to-end tests steer it with.

use std::path::PathBuf;
use std::process::Command;

use crate::{Failure, machine, run};

/// The programs of a browser, for the tests' environment.
#[derive(Debug)]
pub(crate) struct Browser {
    chromium: PathBuf,
    driver: PathBuf,
}

impl Browser {
    /// Finds both, or installs Debian's.
    pub(crate) fn provide() -> Result<Self, Failure> {
        let browser = match Self::find() {
            Some(browser) => browser,
            None => {
                // The fonts are for screenshots that a person can read.
                machine::install(&["chromium", "chromium-driver", "fonts-liberation"])?;
                Self::find().ok_or(
                    "chromium and chromedriver are installed but not found: set SESSION_CHROMIUM and \
                     SESSION_CHROMEDRIVER to their paths",
                )?
            }
        };
        for program in [&browser.chromium, &browser.driver] {
            let version = run::read(Command::new(program).arg("--version"))?;
            println!("  {}: {}", program.display(), version.trim());
        }
        Ok(browser)
    }

    /// Hands the paths to a test.
    pub(crate) fn tell<'a>(&self, test: &'a mut Command) -> &'a mut Command {
        test.env("SESSION_CHROMIUM", &self.chromium).env("SESSION_CHROMEDRIVER", &self.driver)
    }

    fn find() -> Option<Self> {
        let chosen = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_file());
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let chromium = chosen("SESSION_CHROMIUM").or_else(|| machine::found(&names))?;
        let driver =
            chosen("SESSION_CHROMEDRIVER").or_else(|| machine::found(&["chromedriver"]))?;
        Some(Self { chromium, driver })
    }
}
