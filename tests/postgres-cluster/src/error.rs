//! Why there is no server, and what to do about it.

use std::io;
use std::path::PathBuf;

/// A cluster cannot be made, started or stopped.
///
/// ```
/// let error = postgres_cluster::Error::NoPrograms { looked_in: vec!["/usr/pgsql-17/bin".into()] };
/// assert!(error.to_string().contains("install the Postgres server"));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The machine has no server programs.
    #[error(
        "initdb, pg_ctl and postgres are not on this machine: install the Postgres server (Debian: postgresql; \
         Fedora: postgresql-server; Homebrew: postgresql), or set PG_BIN to the directory that holds them; \
         looked in {looked_in:?}"
    )]
    NoPrograms {
        /// Where they were looked for.
        looked_in: Vec<PathBuf>,
    },
    /// Run by root, who may not run a server, on a machine without another account for it.
    #[error("root may not run Postgres, and there is neither an account `postgres` nor `nobody`")]
    NoAccount,
    /// A program does not start.
    #[error("{program} does not start")]
    Start {
        /// Its path.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program fails.
    #[error("{program} failed; it said: {said}")]
    Failed {
        /// Its path.
        program: PathBuf,
        /// What it wrote, or the end of it.
        said: String,
    },
    /// The server does not come up in time.
    #[error("the server did not come up within {seconds} seconds; the end of its log: {log}")]
    NotReady {
        /// How long it was waited for.
        seconds: u64,
        /// The end of its log.
        log: String,
    },
    /// The directory of the cluster cannot be made or read.
    #[error("the directory of the cluster cannot be used")]
    Directory(#[from] io::Error),
}
