//! The Postgres server that the tests share, and the pooler that one of them stands behind.

use std::path::{Path, PathBuf};
use std::process::Command;

use postgres_cluster::{Cluster, Error, Mode, Options, Programs, VARIABLE};

use crate::{Failure, machine, run};

/// A server for tests: the one that the environment names, else one of our own.
#[derive(Debug)]
pub(crate) struct Postgres {
    url: String,
    pgbouncer: PathBuf,
    own: Option<Cluster>,
}

impl Postgres {
    /// Finds or installs the programs, and starts a server unless one is given. The programs are needed even then:
    /// a test that kills its server starts its own.
    pub(crate) fn provide() -> Result<Self, Failure> {
        let programs = programs()?;
        println!("  {}: {}", programs.directory().display(), programs.version()?);
        let pgbouncer = pgbouncer()?;
        let version = run::read(Command::new(&pgbouncer).arg("--version"))?;
        let version = version.lines().next().unwrap_or_default();
        println!("  {}: {version}", pgbouncer.display());
        if let Ok(url) = std::env::var(VARIABLE) {
            println!("  the server is the one that {VARIABLE} names");
            return Ok(Self { url, pgbouncer, own: None });
        }
        // The tests that share it pull no plug.
        let own = Options::default().without_fsync().start()?;
        println!("  a throwaway server listens on 127.0.0.1:{}", own.port());
        Ok(Self { url: own.url(), pgbouncer, own: Some(own) })
    }

    /// Hands server and pooler to a test.
    pub(crate) fn tell<'a>(&self, test: &'a mut Command) -> &'a mut Command {
        test.env(VARIABLE, &self.url).env("SESSION_TEST_PGBOUNCER", &self.pgbouncer)
    }

    /// Stops the server, if it is our own.
    pub(crate) fn stop(mut self) -> Result<(), Failure> {
        if let Some(own) = &mut self.own {
            own.stop(Mode::Fast)?;
        }
        Ok(())
    }
}

/// Finds the server's programs, or installs them.
pub(crate) fn programs() -> Result<Programs, Failure> {
    match Programs::find() {
        Err(Error::NoPrograms { .. }) if std::env::var_os("PG_BIN").is_none() => {
            // Only the programs are wanted: the package would make a cluster of its own, and start it.
            machine::as_root(&[
                "sh",
                "-c",
                "mkdir -p /etc/postgresql-common && cd /etc/postgresql-common && \
                 { test -e createcluster.conf || echo 'create_main_cluster = false' > createcluster.conf; }",
            ])?;
            machine::install_without_services(&["postgresql"])?;
            Ok(Programs::find()?)
        }
        found => Ok(found?),
    }
}

fn pgbouncer() -> Result<PathBuf, Failure> {
    if let Some(chosen) = std::env::var_os("SESSION_TEST_PGBOUNCER") {
        return Ok(chosen.into());
    }
    // Debian keeps it where the path of an ordinary user does not lead.
    let usual = Path::new("/usr/sbin/pgbouncer");
    let find =
        || machine::found(&["pgbouncer"]).or_else(|| usual.is_file().then(|| usual.to_owned()));
    if find().is_none() {
        machine::install_without_services(&["pgbouncer"])?;
    }
    Ok(find()
        .ok_or("pgbouncer is installed but not found: set SESSION_TEST_PGBOUNCER to its path")?)
}
