//! How much room there is, and a little that is held back for the worst.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use session_core::{StoreError, StoreErrorKind};

use crate::error;
use crate::files;
use crate::options::SledOptions;

/// What may be written with the room that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Room {
    /// Nothing.
    None,
    /// What ends and removes sessions.
    Little,
    Enough,
}

/// A file that takes room away until it is needed: to open sled again after it ran out of room takes some, and
/// until then nothing can be read. While it is spent, nothing is inserted.
pub(crate) struct Reserve {
    directory: PathBuf,
    held: bool,
}

/// The file.
pub(crate) const RESERVE: &str = "reserve";

const SIZE: u64 = 4 << 20;

/// Of a spent reserve, so much is left for sled.
const LAST: u64 = SIZE / 4;

impl Reserve {
    pub(crate) fn new(directory: &Path) -> Self {
        let known = fs::metadata(directory.join(RESERVE));
        let held = known.is_ok_and(|known| known.len() == SIZE);
        Self { directory: directory.to_owned(), held }
    }

    /// Looks how much room there is, and makes the reserve again when there is enough.
    pub(crate) fn room(&mut self, options: &SledOptions) -> Room {
        // What is not known is no reason to refuse anything.
        let free = fs2::available_space(&self.directory).unwrap_or(u64::MAX);
        if !self.held && free > options.min_free.saturating_add(SIZE + LAST) {
            self.held = self.make().is_ok();
        }
        match self.held {
            true if free < options.min_free => Room::Little,
            true => Room::Enough,
            false if free < LAST => Room::None,
            false => Room::Little,
        }
    }

    /// Gives the room back; whether there was any.
    pub(crate) fn spend(&mut self) -> bool {
        self.held = false;
        fs::remove_file(self.directory.join(RESERVE)).is_ok()
    }

    fn make(&self) -> io::Result<()> {
        let path = self.directory.join(RESERVE);
        // What is there is another size, or something else.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = files::private().create_new(true).open(&path)?;
        // Zeros would take no room where files are compressed.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut block = Vec::with_capacity(1 << 16);
        let written = (0..SIZE >> 16).try_for_each(|_| {
            block.clear();
            while block.len() < 1 << 16 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                block.extend_from_slice(&state.to_le_bytes());
            }
            file.write_all(&block)
        });
        if written.is_err() {
            let _ = fs::remove_file(&path);
        }
        written
    }
}

/// The error of what is not written for want of room.
pub(crate) fn no_room(path: &Path) -> StoreError {
    error::at(
        StoreErrorKind::StorageFull,
        path,
        "there is hardly any room left; make some, or keep less free (`SledOptions::min_free`)",
    )
}
