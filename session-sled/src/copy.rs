//! A copy of all that is durable.

use session_core::{StoreError, StoreErrorKind};

use crate::digest::{self, Tip};
use crate::error::{self, Fault};
use crate::flush;
use crate::keys;
use crate::open;
use crate::options::SledOptions;
use crate::view::View;

/// Keys that are written at once.
const BATCH: usize = 1_000;

/// Copies all keys of a view into an empty directory, and returns how many there are.
pub(crate) fn copy(view: View<'_>, to: &SledOptions) -> Result<u64, StoreError> {
    let path = &to.path;
    let failed = |fault: Fault| fault.tell(path);
    if path.join(crate::files::LOG).exists() {
        return Err(error::at(
            StoreErrorKind::Invalid,
            path,
            "there is a store in it already; give the path of a new directory",
        ));
    }
    let opened = open::open(to)?;
    let mut copied = 0;
    let mut batch = sled::Batch::default();
    let mut tip = Tip::of(view).map_err(failed)?;
    tip.sum = 0;
    for found in view.everything() {
        let (key, value) = found.map_err(failed)?;
        tip.sum = tip.sum.wrapping_add(digest::summand(&key, &value));
        batch.insert(key, value);
        copied += 1;
        if copied % BATCH as u64 == 0 {
            let full = std::mem::take(&mut batch);
            opened.db.apply_batch(full).map_err(|error| error::sled(path, error))?;
        }
    }
    // What is missing in a damaged store is missing for good.
    batch.insert(keys::BATCH, tip.seal());
    opened.db.apply_batch(batch).map_err(|error| error::sled(path, error))?;
    opened.db.flush().map_err(|error| error::sled(path, error))?;
    let mut files = opened.files;
    files.sync().map_err(|error| failed(error.into()))?;
    if flush::close(opened.db) {
        files.end(tip).map_err(|error| failed(error.into()))?;
    }
    Ok(copied)
}
