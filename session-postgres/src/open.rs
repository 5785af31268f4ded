//! How connections are made.

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use session_core::{StoreError, StoreErrorKind};
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use crate::error;
use crate::migrate;
use crate::options::{self, PostgresOptions};
use crate::server::Server;

/// Connects, and brings the schema up to date.
pub(crate) async fn server(options: &PostgresOptions) -> Result<Server, StoreError> {
    options.check()?;
    let place = options.place();
    let pool = Pool::builder(manager(options, config(options))?)
        .max_size(options.max_connections.get())
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|failed| {
            error::at(StoreErrorKind::Invalid, &place, "no pool of connections").with_source(failed)
        })?;
    let server = Server {
        pool,
        place,
        wait: options.connection_wait,
        connect: options.connect_timeout,
        answer: options.answer_timeout,
        unnamed: options.transaction_pooler,
    };
    let mut connection = server.connection().await.map_err(for_good)?;
    if let Some(client) = connection.client() {
        migrate::migrate(options, client).await?;
    }
    connection.answered();
    Ok(server)
}

/// What is refused when it is opened is no passing trouble.
fn for_good(failed: StoreError) -> StoreError {
    if !error::is_refusal(&failed) {
        return failed;
    }
    let told = failed.to_string();
    let what = told.split_once(": ").map_or(told.clone(), |(_, what)| what.to_owned());
    StoreError::new(StoreErrorKind::Invalid, what).with_source(failed)
}

/// What every connection is made with.
fn config(options: &PostgresOptions) -> Config {
    let mut config = options.config.clone();
    config.connect_timeout(options.connect_timeout);
    if config.get_tcp_user_timeout().is_none() {
        let longest = Duration::from_millis(i32::MAX.unsigned_abs().into());
        config.tcp_user_timeout(options.answer_timeout.min(longest));
    }
    if !options.transaction_pooler {
        // Its answer is definite, so it is to come before this program gives up.
        let answer = options::setting(options.answer_timeout.mul_f64(0.9)).max(2);
        // Before those of the URL, which win. What a database or a role is set to otherwise does not matter. The path
        // is for what names no schema: it is the server's, and no one else has put it there.
        let ours = format!(
            "-c statement_timeout={answer} -c lock_timeout={} -c search_path=pg_catalog,pg_temp \
             -c default_transaction_isolation=read\\ committed -c enable_seqscan=off -c jit=off",
            answer / 2
        );
        let theirs = config.get_options().unwrap_or_default().to_owned();
        config.options(format!("{ours} {theirs}").trim_end());
    }
    config
}

fn manager(options: &PostgresOptions, config: Config) -> Result<Manager, StoreError> {
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    #[cfg(feature = "tls")]
    if config.get_ssl_mode() != SslMode::Disable {
        let tls = crate::tls::connector(options)?;
        return Ok(Manager::from_config(config, tls, recycling));
    }
    #[cfg(not(feature = "tls"))]
    if config.get_ssl_mode() == SslMode::Require || options.ca_file.is_some() {
        return Err(error::at(
            StoreErrorKind::Invalid,
            &options.place(),
            "the URL asks for TLS, and this program was built without the feature `tls` of session-postgres",
        ));
    }
    Ok(Manager::from_config(config, tokio_postgres::NoTls, recycling))
}
