//! Where the machine keeps the server's programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;

/// The programs of one Postgres version.
///
/// ```
/// match postgres_cluster::Programs::find() {
///     Ok(programs) => println!("{}", programs.version().unwrap()),
///     Err(error) => println!("{error}"),
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Programs {
    directory: PathBuf,
}

impl Programs {
    /// Looks in `$PG_BIN`, in what `pg_config` tells, along the path, and in the folders where Debian and Red Hat
    /// keep each version by itself, the newest first. A wrong `$PG_BIN` is an error, not a reason to look on.
    ///
    /// # Errors
    /// They are nowhere.
    pub fn find() -> Result<Self, Error> {
        let places = match std::env::var_os("PG_BIN") {
            Some(chosen) => vec![chosen.into()],
            None => places(),
        };
        // The path may hold links: the programs find each other by where they really are.
        let real = |place: &PathBuf| {
            place.join("initdb").canonicalize().ok()?.parent().map(Path::to_owned)
        };
        match places.iter().filter_map(real).find(|place| is_complete(place)) {
            Some(directory) => Ok(Self { directory }),
            None => Err(Error::NoPrograms { looked_in: places }),
        }
    }

    /// What the server says of its version.
    ///
    /// # Errors
    /// It does not start.
    pub fn version(&self) -> Result<String, Error> {
        let program = self.path("postgres");
        let output = Command::new(&program).arg("--version").output();
        let output = output.map_err(|source| Error::Start { program, source })?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Where they are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

fn is_complete(place: &Path) -> bool {
    ["initdb", "pg_ctl", "postgres"].iter().all(|name| place.join(name).is_file())
}

fn places() -> Vec<PathBuf> {
    let told = Command::new("pg_config").arg("--bindir").output().ok();
    let told = told.and_then(|output| String::from_utf8(output.stdout).ok());
    let told = told.map(|text| PathBuf::from(text.trim())).filter(|path| path.is_absolute());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = told.into_iter().chain(std::env::split_paths(&path)).collect();
    places.extend(versions("/usr/lib/postgresql", "").into_iter().map(|(_, place)| place));
    places.extend(versions("/usr", "pgsql-").into_iter().map(|(_, place)| place));
    places
}

/// The `bin` of each version below a folder, the newest first.
fn versions(folder: &str, prefix: &str) -> Vec<(u32, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some((name.strip_prefix(prefix)?.parse().ok()?, entry.path().join("bin")))
        })
        .collect();
    found.sort_by(|one, other| other.cmp(one));
    found
}
