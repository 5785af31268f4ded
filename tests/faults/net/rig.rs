//! A schema of one's own on the server for tests, and a network to it that fails as it is told to.

use std::sync::Arc;
use std::time::Duration;

use session_core::SessionStore;
use session_postgres::{PostgresOptions, PostgresStore};
use tokio_postgres::Client;

use super::proxy::{Proxy, Way};
use crate::server::PATIENCE;
use crate::{place, server};

/// Two ways to one schema: straight, and through a proxy.
pub(crate) struct Rig {
    pub(crate) proxy: Proxy,
    pub(crate) direct: Arc<dyn SessionStore>,
    schema: String,
    /// Through the proxy.
    url: String,
    /// That connections through the proxy give themselves.
    name: String,
    watcher: Client,
}

impl Rig {
    pub(crate) async fn new(name: &str) -> Self {
        let url = postgres_cluster::url();
        let schema = format!("faults_{name}_{}", place::random(u64::MAX));
        let watcher = server::connect(&url).await;
        let direct = PostgresOptions::new(&with_schema(&url, &schema)).unwrap();
        // It tells what is there, however long others' transactions hold the events back.
        let direct = PostgresStore::open_with(&direct.settle_wait(PATIENCE)).await.unwrap();
        let server = place_of(&url);
        let server = tokio::net::lookup_host(server).await.unwrap().next().unwrap();
        let proxy = Proxy::start(server).await.unwrap();
        let through = url.replacen(place_of(&url), &proxy.address().to_string(), 1);
        let name = format!("{schema}_through");
        let url = format!("{}&application_name={name}", with_schema(&through, &schema));
        Self { proxy, direct: Arc::new(direct), schema, url, name, watcher }
    }

    /// Options of a store that goes through the proxy, over one connection, and asks each thing once.
    pub(crate) fn options(&self) -> PostgresOptions {
        let options = PostgresOptions::new(&self.url).unwrap();
        options.max_connections(1.try_into().unwrap()).settle_wait(Duration::ZERO)
    }

    /// How many bytes have gone to the server and back.
    pub(crate) fn passed(&self) -> [u64; 2] {
        [Way::ToServer, Way::ToClient].map(|way| self.proxy.passed(way))
    }

    /// Waits until the server has given up the connection with this port, so that it does nothing more for it.
    pub(crate) async fn gone(&self, port: u16) {
        let sql = "SELECT FROM pg_stat_activity WHERE client_port = $1";
        let gone = async {
            while !self.watcher.query(sql, &[&i32::from(port)]).await.unwrap().is_empty() {}
        };
        tokio::time::timeout(PATIENCE, gone).await.expect("the server gives up a cut connection");
    }

    /// Waits until the server has nothing more to do for a store of [`Rig::options`]: the connections that it gave up
    /// are gone, and the one it has stands in no transaction. One that is left open for good is what a dropped call
    /// must not leave.
    pub(crate) async fn settled(&self) {
        self.settled_at(1).await;
    }

    /// Waits until a store of [`Rig::options`] has so many connections at most, none of them in a transaction.
    pub(crate) async fn settled_at(&self, most: i64) {
        let sql =
            "SELECT count(*), count(xact_start) FROM pg_stat_activity WHERE application_name = $1";
        let settled = async {
            loop {
                let row = self.watcher.query_one(sql, &[&self.name]).await.unwrap();
                if row.get::<_, i64>(0) <= most && row.get::<_, i64>(1) == 0 {
                    break;
                }
            }
        };
        tokio::time::timeout(PATIENCE, settled).await.expect("a transaction was left open");
    }

    /// Removes what it has made.
    pub(crate) async fn end(self) {
        let drop = format!("DROP SCHEMA {} CASCADE", self.schema);
        self.watcher.batch_execute(&drop).await.unwrap();
    }
}

/// The host and port in a URL.
fn place_of(url: &str) -> &str {
    let (_, rest) = url.split_once("://").unwrap();
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let authority = &rest[..end];
    authority.rsplit_once('@').map_or(authority, |(_, place)| place)
}

fn with_schema(url: &str, schema: &str) -> String {
    let sign = if url.contains('?') { '&' } else { '?' };
    format!("{url}{sign}schema={schema}")
}
