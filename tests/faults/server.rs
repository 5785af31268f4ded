//! A look at a Postgres server from outside.

use std::time::Duration;

use tokio_postgres::{Client, NoTls};

/// How long anything may take that a server has to do by itself.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A plain connection.
pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Waits until the server works for nobody else.
pub(crate) async fn is_alone(url: &str) {
    let client = connect(url).await;
    let sql = "SELECT FROM pg_stat_activity \
               WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    let alone = async { while !client.query(sql, &[]).await.unwrap().is_empty() {} };
    tokio::time::timeout(PATIENCE, alone).await.expect("the server gives up what is killed");
}
