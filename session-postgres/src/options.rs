//! Which database is opened, and how.

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use session_core::{StoreError, StoreErrorKind};
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::url;

/// Which database to open, and how.
///
/// ```
/// use std::time::Duration;
/// use session_postgres::PostgresOptions;
///
/// let options = PostgresOptions::new("postgres://app:secret@db.example/app?schema=shop_sessions")
///     .unwrap()
///     .answer_timeout(Duration::from_secs(3));
/// assert_eq!(options.schema_name(), "shop_sessions");
/// assert!(!format!("{options:?}").contains("secret"));
/// ```
#[derive(Clone)]
pub struct PostgresOptions {
    pub(crate) config: Config,
    pub(crate) schema: String,
    pub(crate) max_connections: NonZeroUsize,
    pub(crate) connection_wait: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) answer_timeout: Duration,
    pub(crate) settle_wait: Duration,
    pub(crate) migrate: bool,
    pub(crate) transaction_pooler: bool,
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "only TLS reads it"))]
    pub(crate) ca_file: Option<std::path::PathBuf>,
}

impl PostgresOptions {
    /// The database that a URL names, and the defaults for everything else.
    ///
    /// The URL is one of libpq: `postgres://ROLE:PASSWORD@HOST:PORT/DATABASE?KEY=VALUE&…`, with the keys that
    /// [`tokio_postgres::Config`] knows: `sslmode`, `application_name`, `options`, `connect_timeout`, and so on.
    /// Special characters of a password are written as `%XX`. Two more keys are ours: `schema`, as
    /// [`PostgresOptions::schema`]; and `sslrootcert`, the file of the authorities to trust instead of the system's.
    /// Of several hosts, and after a failover, the one that takes writes is used, unless `target_session_attrs`
    /// says otherwise.
    ///
    /// # Errors
    /// [`Invalid`](StoreErrorKind::Invalid): it is no such URL. The error names what is wrong, and no part of
    /// what may be a password.
    pub fn new(url: &str) -> Result<Self, StoreError> {
        let url = url::parse(url)?;
        let connect_timeout =
            url.config.get_connect_timeout().copied().unwrap_or(Duration::from_secs(5));
        Ok(Self {
            config: url.config,
            schema: url.schema.unwrap_or_else(|| "session_engine".to_owned()),
            max_connections: const { NonZeroUsize::new(16).unwrap() },
            connection_wait: Duration::from_secs(5),
            connect_timeout,
            answer_timeout: Duration::from_secs(10),
            settle_wait: Duration::from_secs(1),
            migrate: true,
            transaction_pooler: false,
            ca_file: url.ca_file,
        })
    }

    /// The schema that holds the tables: a name of its own for each application that shares the database.
    /// `session_engine` unless said otherwise.
    #[must_use]
    pub fn schema(mut self, name: impl Into<String>) -> Self {
        self.schema = name.into();
        self
    }

    /// The most connections at once. 16 unless said otherwise. More than twice the server's processors gain little.
    #[must_use]
    pub fn max_connections(mut self, connections: NonZeroUsize) -> Self {
        self.max_connections = connections;
        self
    }

    /// How long a call waits for one of the connections, before it is
    /// [`Overloaded`](StoreErrorKind::Overloaded). Five seconds unless said otherwise.
    #[must_use]
    pub fn connection_wait(mut self, wait: Duration) -> Self {
        self.connection_wait = wait;
        self
    }

    /// How long a new connection may take, before the call is [`Unavailable`](StoreErrorKind::Unavailable). Five
    /// seconds unless the URL says otherwise.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a statement may take. Ten seconds unless said otherwise.
    ///
    /// This program waits no longer: then a read is [`Unavailable`](StoreErrorKind::Unavailable), and of a write
    /// the [outcome is unknown](StoreErrorKind::OutcomeUnknown). The server is told nine tenths of it
    /// (`statement_timeout`, and half of that as `lock_timeout`), because what it answers is definite.
    #[must_use]
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self
    }

    /// How long a reader that follows the events waits for transactions under way to end, so that he is told of
    /// everything committed before he asked. One second unless said otherwise; zero never waits.
    ///
    /// He misses nothing in any case: what is not told yet comes with his next question.
    #[must_use]
    pub fn settle_wait(mut self, wait: Duration) -> Self {
        self.settle_wait = wait;
        self
    }

    /// Whether the schema is made, or brought up to date, when it is opened. Yes, unless said otherwise.
    /// If not, a schema that is missing or old is [`Invalid`](StoreErrorKind::Invalid): see
    /// [`migrations`](crate::migrations) for what to run.
    ///
    /// While another program does it, or somebody holds a table or the advisory lock, this one waits: six times as
    /// long as for an [answer](Self::answer_timeout), before it is [`Unavailable`](StoreErrorKind::Unavailable).
    #[must_use]
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// Whether there is a pooler in between that hands each transaction to another connection, such as PgBouncer
    /// with `pool_mode = transaction`. No, unless said otherwise.
    ///
    /// Then every statement is unnamed, which costs the server its planning each time, and no setting is made when
    /// connecting: give the role its timeouts, `ALTER ROLE app SET statement_timeout = '10s'`.
    #[must_use]
    pub fn transaction_pooler(mut self, pooler: bool) -> Self {
        self.transaction_pooler = pooler;
        self
    }

    /// The file of the authorities (PEM) that the server's certificate is checked with, instead of the system's.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn ca_file(mut self, path: impl Into<std::path::PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// The name of the schema.
    pub fn schema_name(&self) -> &str {
        &self.schema
    }

    pub(crate) fn quoted_schema(&self) -> String {
        quoted(&self.schema)
    }

    /// Host, database and schema, for errors: no role and no password.
    pub(crate) fn place(&self) -> String {
        let hosts: Vec<String> = self
            .config
            .get_hosts()
            .iter()
            .enumerate()
            .map(|(number, host)| {
                let ports = self.config.get_ports();
                let port = ports.get(number).or(ports.first()).copied().unwrap_or(5432);
                match host {
                    Host::Tcp(name) => format!("{name}:{port}"),
                    #[cfg(unix)]
                    Host::Unix(path) => format!("{}:{port}", path.display()),
                }
            })
            .collect();
        let database = self.config.get_dbname().unwrap_or_default();
        format!("postgres://{}/{database}, schema {}", hosts.join(","), self.schema)
    }

    /// # Errors
    /// The name of the schema can be none, or there is no host.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let invalid = |what: &'static str| Err(StoreError::new(StoreErrorKind::Invalid, what));
        if self.config.get_hosts().is_empty() && self.config.get_hostaddrs().is_empty() {
            return invalid("the URL names no host: postgres://ROLE:PASSWORD@HOST:PORT/DATABASE");
        }
        match self.schema.as_str() {
            "" => invalid("the name of the schema is empty"),
            name if name.len() > 63 => invalid("the name of the schema is longer than 63 bytes"),
            name if name.contains('\0') => invalid("the name of the schema holds a NUL"),
            name if name.starts_with("pg_") => {
                invalid("names of schemas that begin with pg_ are the server's own")
            }
            _ => Ok(()),
        }
    }
}

/// The database and the limits; of the role and the password nothing.
impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("place", &self.place())
            .field("max_connections", &self.max_connections)
            .field("connection_wait", &self.connection_wait)
            .field("connect_timeout", &self.connect_timeout)
            .field("answer_timeout", &self.answer_timeout)
            .field("settle_wait", &self.settle_wait)
            .field("migrate", &self.migrate)
            .field("transaction_pooler", &self.transaction_pooler)
            .finish_non_exhaustive()
    }
}

/// A name as it can stand in a statement, whatever is in it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as it can stand in a statement, whatever is in it and `standard_conforming_strings` is.
pub(crate) fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', r"\\").replace('\'', "''"))
}

/// A wait in milliseconds, as long as a setting of the server can be.
pub(crate) fn setting(wait: Duration) -> i32 {
    i32::try_from(wait.as_millis()).unwrap_or(i32::MAX)
}
