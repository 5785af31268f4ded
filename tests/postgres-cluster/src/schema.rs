//! A schema of a test's own on the server for tests.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::NoTls;

/// A name that no other schema has. A store makes the schema when it is opened; it is dropped with this.
#[derive(Debug)]
pub struct Schema {
    name: String,
}

impl Schema {
    /// A schema, named after what it is for.
    pub fn new(of: &str) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        Self { name: format!("{of}_{}_{number}", std::process::id()) }
    }

    /// Its name, which needs no quotes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a store is opened with.
    ///
    /// # Panics
    /// There is no server for tests.
    pub fn url(&self) -> String {
        let server = crate::url();
        let next = if server.contains('?') { '&' } else { '?' };
        format!("{server}{next}schema={}", self.name)
    }

    /// The first column of what a statement answers, each of its rows a text.
    ///
    /// # Panics
    /// The server does not carry it out.
    pub fn ask(&self, sql: &str) -> Vec<String> {
        let answered = || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (client, connection) =
                    tokio_postgres::connect(&crate::url(), NoTls).await.unwrap();
                tokio::spawn(connection);
                let rows = client.query(sql, &[]).await.unwrap();
                rows.iter().map(|row| row.get(0)).collect()
            })
        };
        // It may be called, by a drop, where a runtime is at work.
        std::thread::scope(|scope| scope.spawn(answered).join()).unwrap()
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        self.ask(&format!("DROP SCHEMA IF EXISTS {} CASCADE", self.name));
    }
}
