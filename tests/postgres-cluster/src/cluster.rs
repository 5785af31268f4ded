//! A throwaway cluster.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::account::Account;
use crate::{Error, Programs};

/// A Postgres server with a data directory of its own, made from the machine's programs.
///
/// It listens on 127.0.0.1, on a port that was free, and on a socket in its directory; a password that nobody else
/// knows opens it. Dropping it stops the server and removes everything. If we are root, it runs as `postgres`
/// or `nobody`.
///
/// ```
/// let mut cluster = postgres_cluster::Cluster::start().unwrap();
/// assert!(cluster.url().starts_with("postgres://"));
/// cluster.kill().unwrap();
/// cluster.start_again().unwrap();
/// ```
pub struct Cluster {
    programs: Programs,
    account: Option<Account>,
    directory: TempDir,
    password: String,
    port: u16,
    settings: Vec<String>,
    server: Option<Child>,
}

impl Cluster {
    /// Makes and starts one that syncs what it acknowledges, as in production.
    ///
    /// # Errors
    /// The machine has no server programs, or they fail: the error says what to install, or what they said.
    pub fn start() -> Result<Self, Error> {
        Options::default().start()
    }

    /// The URL of its superuser and its database `postgres`. The password in it opens nothing else.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Makes a database, and gives its URL.
    ///
    /// # Errors
    /// There is such a database, the name is no identifier, or the server does not run.
    pub fn database(&self, name: &str) -> Result<String, Error> {
        let mut command = self.command("createdb");
        command.env("PGPASSWORD", &self.password).arg("--host=127.0.0.1");
        command.arg(format!("--port={}", self.port)).arg(format!("--username={SUPERUSER}"));
        output(command.arg("--").arg(name))?;
        Ok(self.url_of(name))
    }

    /// Stops the server. Nothing happens if it does not run.
    ///
    /// # Errors
    /// It does not stop within a minute.
    pub fn stop(&mut self, mode: Mode) -> Result<(), Error> {
        let Some(mut server) = self.server.take() else { return Ok(()) };
        let mode = match mode {
            Mode::Fast => "--mode=fast",
            Mode::Immediate => "--mode=immediate",
        };
        let mut command = self.command("pg_ctl");
        command.args(["stop", mode, "--wait", "--timeout=60", "--pgdata"]).arg(self.data());
        let stopped = output(&mut command);
        if stopped.is_err() {
            // It is ours to end, whatever it is doing.
            server.kill()?;
        }
        server.wait()?;
        stopped
    }

    /// Kills the server's first process with SIGKILL. The others notice by themselves, soon.
    ///
    /// # Errors
    /// The process cannot be killed.
    pub fn kill(&mut self) -> Result<(), Error> {
        if let Some(mut server) = self.server.take() {
            server.kill()?;
            server.wait()?;
        }
        Ok(())
    }

    /// Starts the server again, on the same port, and waits until it has recovered. After [`Cluster::kill`] the last
    /// processes of the old server may hold its memory for a moment: it is tried until they are gone.
    ///
    /// # Errors
    /// It does not come up within a minute.
    pub fn start_again(&mut self) -> Result<(), Error> {
        for _ in 0..TRIES {
            match self.launch()? {
                Launched::Ready => return Ok(()),
                Launched::Exited => thread::sleep(PAUSE),
                Launched::Slow => break,
            }
        }
        Err(Error::NotReady { seconds: PATIENCE.as_secs(), log: self.log() })
    }

    /// Where it keeps its files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The end of what the server has written.
    pub fn log(&self) -> String {
        let text = fs::read(self.log_path()).unwrap_or_default();
        let text = &text[text.len().saturating_sub(4_000)..];
        String::from_utf8_lossy(text).into_owned()
    }

    fn url_of(&self, database: &str) -> String {
        let Self { password, port, .. } = self;
        format!("postgres://{SUPERUSER}:{password}@127.0.0.1:{port}/{database}")
    }

    fn make(options: Options) -> Result<Self, Error> {
        let mut cluster = Self {
            programs: Programs::find()?,
            account: Account::for_a_server()?,
            // The path of a socket has 107 bytes at most.
            directory: tempfile::Builder::new().prefix("pg-").tempdir()?,
            password: password()?,
            port: 0,
            settings: options.settings,
            server: None,
        };
        cluster.own(cluster.directory.path())?;
        let word = cluster.directory.path().join("password");
        fs::write(&word, &cluster.password)?;
        cluster.own(&word)?;
        let mut command = cluster.command("initdb");
        // Clear text is safe on this loopback, and quick where thousands of connections are cut.
        command.args(["--encoding=UTF8", "--locale=C", "--no-sync", "--auth=password"]);
        command.arg(format!("--username={SUPERUSER}")).arg("--pwfile").arg(&word);
        output(command.arg("--pgdata").arg(cluster.data()))?;
        fs::remove_file(&word)?;
        // Between our looking for a free port and the server's taking it, another process may.
        for _ in 0..PORTS {
            cluster.port = free_port()?;
            match cluster.launch()? {
                Launched::Ready => return Ok(cluster),
                Launched::Exited => {}
                Launched::Slow => break,
            }
        }
        Err(Error::NotReady { seconds: PATIENCE.as_secs(), log: cluster.log() })
    }

    fn launch(&mut self) -> Result<Launched, Error> {
        let log = File::options().append(true).create(true).open(self.log_path())?;
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).arg("-p").arg(self.port.to_string());
        command.arg("-k").arg(self.directory.path()).args(["-c", "listen_addresses=127.0.0.1"]);
        for setting in &self.settings {
            command.arg("-c").arg(setting);
        }
        // Into a file: whoever inherits a pipe keeps its reader waiting.
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let program = self.programs.path("postgres");
        let mut server = command.spawn().map_err(|source| Error::Start { program, source })?;
        for _ in 0..TRIES {
            if server.try_wait()?.is_some() {
                return Ok(Launched::Exited);
            }
            if self.says_ready(server.id()) {
                self.server = Some(server);
                return Ok(Launched::Ready);
            }
            thread::sleep(PAUSE);
        }
        server.kill()?;
        server.wait()?;
        Ok(Launched::Slow)
    }

    /// Whether the file that a server keeps says that this process is ready: one that was killed leaves its own
    /// behind.
    fn says_ready(&self, process: u32) -> bool {
        let text = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        lines.first() == Some(&&*process.to_string()) && lines.get(7) == Some(&"ready")
    }

    /// A program of Postgres, under the cluster's account.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.path(name));
        // A directory that the account may not enter is no place to start from.
        command.current_dir(self.directory.path());
        let ours = std::env::vars_os().map(|(name, _)| name);
        for name in ours.filter(|name| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        if let Some(account) = self.account {
            account.run(&mut command);
        }
        command
    }

    fn own(&self, path: &Path) -> io::Result<()> {
        self.account.map_or(Ok(()), |account| account.own(path))
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("log")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.stop(Mode::Immediate);
        // The last processes of a killed server may still be writing.
        for _ in 0..TRIES {
            match fs::remove_dir_all(self.directory.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => thread::sleep(PAUSE),
                _ => break,
            }
        }
    }
}

/// Without the password.
impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("programs", &self.programs)
            .field("directory", &self.directory.path())
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// How a cluster is made.
///
/// ```
/// use postgres_cluster::Options;
///
/// let cluster = Options::default().without_fsync().setting("max_connections=20").start().unwrap();
/// assert_ne!(cluster.port(), 0);
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    settings: Vec<String>,
}

/// As many connections as tests that run at once need; all else as Postgres has it.
impl Default for Options {
    fn default() -> Self {
        Self { settings: vec!["max_connections=300".into()] }
    }
}

impl Options {
    /// Leaves it to the operating system when to write: quicker, and for tests that pull no plug.
    #[must_use]
    pub fn without_fsync(self) -> Self {
        self.setting("fsync=off").setting("full_page_writes=off")
    }

    /// Adds a setting of the server: `name=value`. Of several of one name the last counts.
    #[must_use]
    pub fn setting(mut self, setting: &str) -> Self {
        self.settings.push(setting.into());
        self
    }

    /// Makes and starts the cluster.
    ///
    /// # Errors
    /// As for [`Cluster::start`].
    pub fn start(self) -> Result<Cluster, Error> {
        Cluster::make(self)
    }
}

/// How a server is stopped.
///
/// ```
/// assert_ne!(postgres_cluster::Mode::Fast, postgres_cluster::Mode::Immediate);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Its clients are cut off, and what they had not finished is rolled back.
    Fast,
    /// As in a crash: the next start recovers.
    Immediate,
}

enum Launched {
    Ready,
    Exited,
    Slow,
}

const SUPERUSER: &str = "session";
const PORTS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);
const TRIES: u128 = PATIENCE.as_millis() / PAUSE.as_millis();

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn password() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Runs a program to its end.
fn output(command: &mut Command) -> Result<(), Error> {
    let program = PathBuf::from(command.get_program());
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::Start { program: program.clone(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(Error::Failed { program, said: String::from_utf8_lossy(&said).trim().to_owned() })
}
