//! What a Postgres server has counted itself.

use std::time::Duration;

use tokio_postgres::{Client, NoTls};

use crate::Failure;

/// A connection of our own to the server.
#[derive(Debug)]
pub(crate) struct Server {
    client: Client,
}

impl Server {
    pub(crate) async fn connect(url: &str) -> Result<Self, Failure> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        Ok(Self { client })
    }

    /// How often it has synced its log, once everybody else has left: only then has everybody said what he did.
    pub(crate) async fn syncs(&self) -> Result<u64, Failure> {
        for _ in 0..500 {
            let others = "SELECT count(*) FROM pg_stat_activity \
                 WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
            let others: i64 = self.client.query_one(others, &[]).await?.get(0);
            if others == 0 {
                let syncs: i64 = self.client.query_one(self.counter().await?, &[]).await?.get(0);
                return Ok(syncs.unsigned_abs());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err("somebody stays connected to the server".into())
    }

    /// From version 18 on it is counted elsewhere.
    async fn counter(&self) -> Result<&'static str, Failure> {
        let version = "SELECT current_setting('server_version_num')::integer";
        let version: i32 = self.client.query_one(version, &[]).await?.get(0);
        Ok(if version >= 180_000 {
            "SELECT sum(fsyncs)::bigint FROM pg_stat_io WHERE object = 'wal'"
        } else {
            "SELECT wal_sync FROM pg_stat_wal"
        })
    }
}
