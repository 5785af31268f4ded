//! A schema of its own on the Postgres server for tests.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::NoTls;

use crate::stores::assert_not_in;

/// It is dropped with this.
pub(crate) struct Schema {
    name: String,
}

impl Schema {
    pub(crate) fn new(of: &str) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        Self { name: format!("{of}_{}_{number}", std::process::id()) }
    }

    /// What a store is opened with.
    pub(crate) fn url(&self) -> String {
        let server = postgres_cluster::url();
        let next = if server.contains('?') { '&' } else { '?' };
        format!("{server}{next}schema={}", self.name)
    }

    /// That no row of any table holds these tokens or texts.
    pub(crate) fn assert_nowhere(&self, tokens: &[String], texts: &[String]) {
        let tables = "SELECT table_name FROM information_schema.tables \
                      WHERE table_type = 'BASE TABLE' AND table_schema = ";
        let tables = ask(&format!("{tables}'{}'", self.name));
        assert!(tables.len() >= 4, "{tables:?}");
        for table in tables {
            let rows = ask(&format!("SELECT t::text FROM {}.{table} t", self.name));
            assert_not_in(rows.join("\n").as_bytes(), &table, tokens, texts);
        }
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        ask(&format!("DROP SCHEMA IF EXISTS {} CASCADE", self.name));
    }
}

/// The first column of what is answered.
fn ask(sql: &str) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) =
            tokio_postgres::connect(&postgres_cluster::url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        let rows = client.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    })
}
