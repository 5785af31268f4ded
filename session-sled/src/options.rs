//! How a directory is opened.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Which directory to open, and how.
///
/// ```
/// use session_sled::{Durability, SledOptions};
///
/// let options = SledOptions::new("sessions.sled").durability(Durability::Normal).cache(16 << 20);
/// assert_eq!(options.path().to_str(), Some("sessions.sled"));
/// ```
#[derive(Clone, Debug)]
pub struct SledOptions {
    pub(crate) path: PathBuf,
    pub(crate) create: bool,
    pub(crate) durability: Durability,
    pub(crate) cache: u64,
    pub(crate) queue: NonZeroUsize,
    pub(crate) min_free: u64,
    pub(crate) verify: Verify,
}

impl SledOptions {
    /// The directory at `path`, created if it is not there, and the defaults for everything else.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            create: true,
            durability: Durability::Full,
            cache: 64 << 20,
            queue: const { NonZeroUsize::new(4_096).unwrap() },
            min_free: 32 << 20,
            verify: Verify::Unclean,
        }
    }

    /// Whether a directory that is not there is created: for its owner alone, where the system knows such
    /// rights. Yes, unless said otherwise. A directory that is there keeps its rights, but is refused if anybody
    /// may write to it: he could make sessions of his own.
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

    /// How much sled keeps in memory, in bytes: 64 MiB unless said otherwise, and at least one. It takes half as
    /// much again, and more while it writes.
    #[must_use]
    pub fn cache(mut self, bytes: u64) -> Self {
        self.cache = bytes.max(1 << 20);
        self
    }

    /// How many writes may wait. One more is [`Overloaded`](session_core::StoreErrorKind::Overloaded) at once.
    /// 4096 unless said otherwise.
    #[must_use]
    pub fn queue(mut self, writes: NonZeroUsize) -> Self {
        self.queue = writes;
        self
    }

    /// How much of the disk is kept free, in bytes: 32 MiB unless said otherwise. With less, what inserts a
    /// session or sets data is [`StorageFull`](session_core::StoreErrorKind::StorageFull); what ends and removes
    /// sessions goes on while there is any room at all. It also spares sled from a write that fails half-way,
    /// after which the store has to be opened again.
    #[must_use]
    pub fn min_free(mut self, bytes: u64) -> Self {
        self.min_free = bytes;
        self
    }

    /// When everything is read while the store is opened, to see that nothing is missing. [`Verify::Unclean`]
    /// unless said otherwise.
    #[must_use]
    pub fn verify(mut self, verify: Verify) -> Self {
        self.verify = verify;
        self
    }

    /// The path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// When everything in a store is read and added up while it is opened: where sled finds a part of its log damaged,
/// it goes on as if that had never been written, a revocation perhaps. It takes some three seconds for a million
/// keys, of which a session has six and an event four.
///
/// ```
/// assert_eq!(session_sled::Verify::default(), session_sled::Verify::Unclean);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verify {
    /// Whenever the store is opened.
    Always,
    /// Unless it was closed in good order, and nobody has written to its log since: after a crash, after an error
    /// of the disk, and of files that were copied or restored. What the disk itself forgets while the store is
    /// closed is not looked for.
    #[default]
    Unclean,
    /// Never.
    Never,
}

/// What a write survives once it is acknowledged. In either mode it survives the end of the process, also by
/// `kill -9`.
///
/// ```
/// assert_eq!(session_sled::Durability::default(), session_sled::Durability::Full);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// It was handed to the disk: after sled's own flush each group of writes is synced by `fdatasync`. What sled
    /// makes of its files after a loss of power is another matter: see [the crate's documentation](crate).
    #[default]
    Full,
    /// The process alone: sled's own flush, which on Linux is `sync_file_range` and reaches neither the disk's
    /// cache nor the file's length. A crash of the system may take back the last half second, a revocation
    /// among it, or leave a store that does not open.
    Normal,
}
