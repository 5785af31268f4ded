//! Orders by sqlx and sessions by session-sqlite, in one program.

use session_core::{Realm, SessionId, SessionStore};
use session_sqlite::SqliteStore;
use sqlx::Connection;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let orders = format!("sqlite://{}?mode=rwc", directory.path().join("orders.db").display());
    let mut orders = sqlx::SqliteConnection::connect(&orders).await?;
    sqlx::query("CREATE TABLE orders (id INTEGER PRIMARY KEY)").execute(&mut orders).await?;
    let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut orders).await?;

    let sessions = SqliteStore::open(directory.path().join("sessions.db"))?;
    let nobody = sessions.load(&Realm::default(), SessionId::from_bytes([0; 16])).await?;
    assert!(nobody.is_none());

    println!("one SQLite, {version}, for orders and sessions");
    Ok(())
}
