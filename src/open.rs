//! Opening a store by its URL.

use std::sync::Arc;

use session_core::{SessionStore, StoreError};

/// Opens the store that a URL names.
///
/// | URL | store | feature |
/// |---|---|---|
/// | `memory:` | this process's memory | `memory` |
/// | `sqlite://FILE` | an SQLite file, made if it is not there; a relative path, or an absolute one: `sqlite:///var/lib/app/sessions.db` | `sqlite` |
/// | `sled://DIR` | a sled database, made if it is not there, for one process at a time; relative or absolute alike | `sled` |
/// | `postgres://USER:PASSWORD@HOST/DATABASE` | a Postgres database, with the keywords that libpq knows, and `schema=NAME`; also `postgresql://…` | `postgres` |
///
/// ```
/// # pollster::block_on(async {
/// let store = session_engine::open("memory:").await.unwrap();
/// let error = session_engine::open("mysql://localhost").await.unwrap_err();
/// assert_eq!(error.to_string(), "no store is named by \"mysql\": known are memory:, sqlite://FILE, sled://DIR, postgres://…");
/// # });
/// ```
///
/// But for Postgres a URL takes no options: a store that needs some is opened by its own type, such as
/// `sqlite::SqliteStore`. A Postgres store is opened, and used, within a runtime of tokio.
///
/// # Errors
/// The URL names no store, or one whose feature is not compiled in, or the store cannot be opened.
pub async fn open(url: &str) -> Result<Arc<dyn SessionStore>, OpenError> {
    let (scheme, rest) = url.split_once(':').ok_or(OpenError::NoScheme)?;
    match scheme {
        "memory" if rest.trim_start_matches('/').is_empty() => memory(),
        "memory" => Err(OpenError::Excess("memory:")),
        "sqlite" => sqlite(path(rest, "sqlite://FILE")?),
        "sled" => sled(path(rest, "sled://DIR")?),
        "postgres" | "postgresql" => postgres(url).await,
        // Not the whole URL: it may hold a password.
        other => Err(OpenError::UnknownScheme(other.chars().take(32).collect())),
    }
}

fn path<'a>(rest: &'a str, form: &'static str) -> Result<&'a str, OpenError> {
    let path = rest.strip_prefix("//").filter(|path| !path.is_empty());
    let path = path.ok_or(OpenError::NoPath(form))?;
    // Options that nobody reads must not become part of a file's name.
    if path.contains(['?', '#']) { Err(OpenError::Excess(form)) } else { Ok(path) }
}

#[cfg(feature = "memory")]
fn memory() -> Result<Arc<dyn SessionStore>, OpenError> {
    Ok(Arc::new(session_core::MemoryStore::new()))
}

#[cfg(not(feature = "memory"))]
fn memory() -> Result<Arc<dyn SessionStore>, OpenError> {
    Err(OpenError::MissingFeature("memory"))
}

#[cfg(feature = "sqlite")]
fn sqlite(path: &str) -> Result<Arc<dyn SessionStore>, OpenError> {
    Ok(Arc::new(session_sqlite::SqliteStore::open(path)?))
}

#[cfg(not(feature = "sqlite"))]
fn sqlite(_: &str) -> Result<Arc<dyn SessionStore>, OpenError> {
    Err(OpenError::MissingFeature("sqlite"))
}

#[cfg(feature = "sled")]
fn sled(path: &str) -> Result<Arc<dyn SessionStore>, OpenError> {
    Ok(Arc::new(session_sled::SledStore::open(path)?))
}

#[cfg(not(feature = "sled"))]
fn sled(_: &str) -> Result<Arc<dyn SessionStore>, OpenError> {
    Err(OpenError::MissingFeature("sled"))
}

#[cfg(feature = "postgres")]
async fn postgres(url: &str) -> Result<Arc<dyn SessionStore>, OpenError> {
    Ok(Arc::new(session_postgres::PostgresStore::open(url).await?))
}

#[cfg(not(feature = "postgres"))]
async fn postgres(_: &str) -> Result<Arc<dyn SessionStore>, OpenError> {
    Err(OpenError::MissingFeature("postgres"))
}

/// A URL opens no store.
///
/// ```
/// # pollster::block_on(async {
/// use session_engine::OpenError;
///
/// assert!(matches!(session_engine::open("sessions.db").await, Err(OpenError::NoScheme)));
/// # });
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It is no URL.
    #[error("a store's URL begins with its kind: memory:, sqlite://FILE, sled://DIR, postgres://…")]
    NoScheme,
    /// It names a kind of store that does not exist.
    #[error(
        "no store is named by {0:?}: known are memory:, sqlite://FILE, sled://DIR, postgres://…"
    )]
    UnknownScheme(String),
    /// It names a store that is not compiled in.
    #[error("this program was built without the feature {0:?} of session-engine")]
    MissingFeature(&'static str),
    /// It names no file and no directory.
    #[error("the URL names no path: {0}")]
    NoPath(&'static str),
    /// It goes on where nothing follows.
    #[error(
        "the URL goes on after {0}: it takes no options; set them where the store is opened in code"
    )]
    Excess(&'static str),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        pollster::block_on(open(url)).unwrap_err().to_string()
    }

    #[test]
    fn wrong_urls_are_refused_and_name_what_is_wrong() {
        assert!(refusal("sessions.db").contains("begins with its kind"));
        assert!(refusal("mysql://user:secret@host/db").contains("\"mysql\""));
        assert!(!refusal("mysql://user:secret@host/db").contains("secret"));
        assert!(refusal("sqlite://").contains("names no path: sqlite://FILE"));
        assert!(refusal("sqlite:file").contains("names no path: sqlite://FILE"));
        assert!(refusal("sled:").contains("names no path: sled://DIR"));
        assert!(refusal("sled://x?mode=fast").contains("no options"));
        assert!(refusal("sqlite://x.db?mode=ro").contains("no options"));
        assert!(refusal("memory:x").contains("no options"));
        assert!(refusal("sqlite:///no/such/folder/x.db").contains("directory does not exist"));
    }
}
