//! How a file is opened.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Which file to open, and how.
///
/// ```
/// use std::time::Duration;
/// use session_sqlite::{Durability, SqliteOptions};
///
/// let options = SqliteOptions::new("sessions.db")
///     .durability(Durability::Normal)
///     .busy_timeout(Duration::from_secs(2));
/// assert_eq!(options.path().to_str(), Some("sessions.db"));
/// ```
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    pub(crate) path: PathBuf,
    pub(crate) create: bool,
    pub(crate) durability: Durability,
    pub(crate) busy_timeout: Duration,
    pub(crate) readers: NonZeroUsize,
    pub(crate) queue: NonZeroUsize,
    pub(crate) max_size: Option<u64>,
}

/// Each connection has its own cache, of two megabytes at most.
const MOST_READERS: NonZeroUsize = NonZeroUsize::new(16).unwrap();

impl SqliteOptions {
    /// The file at `path`, created if it is not there, and the defaults for everything else.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            create: true,
            durability: Durability::Full,
            busy_timeout: Duration::from_secs(5),
            readers: std::thread::available_parallelism()
                .unwrap_or(NonZeroUsize::MIN)
                .min(MOST_READERS),
            queue: const { NonZeroUsize::new(4_096).unwrap() },
            max_size: None,
        }
    }

    /// Whether a file that is not there is created: readable and writable by its owner alone, where the
    /// system knows such rights. Yes, unless said otherwise. A file that is there keeps its rights, but is
    /// refused if anybody may write to it: he could make sessions of his own.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// What an acknowledged write survives. [`Durability::Full`] unless said otherwise.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How long to wait for another process that holds the file, before the answer is
    /// [`Unavailable`](session_core::StoreErrorKind::Unavailable). Five seconds unless said otherwise.
    ///
    /// A write waits in the store's own thread. A read waits in its caller's, but only for a process that
    /// locks the whole file: writers do not hold up readers.
    #[must_use]
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// How many connections read. As many as there are processors, but at most 16, unless said otherwise.
    #[must_use]
    pub fn readers(mut self, readers: NonZeroUsize) -> Self {
        self.readers = readers;
        self
    }

    /// How many writes may wait. One more is [`Overloaded`](session_core::StoreErrorKind::Overloaded) at once.
    /// 4096 unless said otherwise.
    #[must_use]
    pub fn queue(mut self, writes: NonZeroUsize) -> Self {
        self.queue = writes;
        self
    }

    /// How large the file may grow, in bytes. A write that needs more is
    /// [`StorageFull`](session_core::StoreErrorKind::StorageFull); what is purged makes room again. No limit
    /// unless said otherwise. The write-ahead log beside the file is not counted.
    #[must_use]
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.max_size = Some(bytes);
        self
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// What a write survives once it is acknowledged. In either mode it survives the end of the process, and the
/// file is never torn.
///
/// ```
/// assert_eq!(session_sqlite::Durability::default(), session_sqlite::Durability::Full);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// Also a crash of the system and a loss of power: each group of writes is synced to the disk
    /// (`PRAGMA synchronous = FULL`).
    #[default]
    Full,
    /// The process alone: a crash of the system may take back the last writes, a revocation among them
    /// (`PRAGMA synchronous = NORMAL`).
    Normal,
}
