//! Each store, opened by its URL in a place of its own.

use std::sync::{Arc, LazyLock};

use postgres_cluster::Schema;
use session_engine::SessionStore;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The runtime of all tests: connections to Postgres are tasks of it.
pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
});

/// A store and the place where it keeps what it keeps.
pub(crate) struct Opened {
    pub(crate) name: &'static str,
    pub(crate) store: Arc<dyn SessionStore>,
    _place: Place,
}

/// Removed when it is dropped, which is after the store.
enum Place {
    Nowhere,
    Directory { _directory: TempDir },
    Schema { _schema: Schema },
}

/// Does the same with each store.
pub(crate) fn with_each(of: &str, work: &impl AsyncFn(&Opened)) {
    for name in ["memory", "sled", "sqlite", "postgres"] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("store");
        let (url, place) = match name {
            "memory" => ("memory:".to_owned(), Place::Nowhere),
            "postgres" => {
                let schema = Schema::new(of);
                (schema.url(), Place::Schema { _schema: schema })
            }
            _ => {
                (format!("{name}://{}", file.display()), Place::Directory { _directory: directory })
            }
        };
        RUNTIME.block_on(async {
            let store = session_engine::open(&url).await.unwrap();
            work(&Opened { name, store, _place: place }).await;
        });
    }
}
