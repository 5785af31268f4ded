//! What stood in the place of a batch that failed, for the next process.
//!
//! An error in the midst of a batch may leave a part of it, which is taken back when the database is open again. On
//! a full disk that may take long, and the process may be ended before.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use sled::Db;

use crate::digest::{self, Tip};
use crate::error::Fault;
use crate::files;
use crate::rows;
use crate::view::{self, View, Writes};

/// The file.
const UNDO: &str = "undo";

/// More would take too much of the room that sled needs.
const MOST: usize = 1 << 20;

/// Keeps it, if there is room.
pub(crate) fn keep(path: &Path, before: &Writes) {
    let bytes = rows::seal(UNDO.as_bytes(), &[&encode(before)]);
    let file = path.join(UNDO);
    let write = || -> io::Result<()> {
        let _ = fs::remove_file(&file);
        let mut file = files::private().create_new(true).open(&file)?;
        file.write_all(&bytes)?;
        file.sync_all()
    };
    if bytes.len() > MOST || write().is_err() {
        forget(path);
    }
}

/// It is needed no more. If it cannot be removed, that does no harm.
pub(crate) fn forget(path: &Path) {
    let _ = fs::remove_file(path.join(UNDO));
}

/// Takes back the part of a batch that a process left which could not see to it: if there is one, the sum does not
/// match. What was kept of another batch than the last is not used.
pub(crate) fn take_back(path: &Path, db: &Db) -> Result<(), Fault> {
    let Ok(bytes) = fs::read(path.join(UNDO)) else { return Ok(()) };
    // Half a file says nothing.
    let Some(before) = rows::open("what was before", UNDO.as_bytes(), &bytes).ok().and_then(decode)
    else {
        return Ok(());
    };
    let nothing = Writes::new();
    let now = View { tree: db, over: &nothing };
    let tip = Tip::of(now)?;
    let first = Tip::of(View { tree: db, over: &before })?.number;
    if tip.number.checked_sub(first).is_some_and(|since| since <= 1) && digest::sum(now)? != tip.sum
    {
        db.apply_batch(view::batch(&before))?;
        db.flush()?;
    }
    Ok(())
}

fn encode(writes: &Writes) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut push = |part: &[u8]| {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    };
    for (key, value) in writes {
        push(key);
        push(&[u8::from(value.is_some())]);
        push(value.as_deref().unwrap_or_default());
    }
    bytes
}

fn decode(mut bytes: &[u8]) -> Option<Writes> {
    let mut writes = Writes::new();
    let mut take = || {
        let (length, rest) = bytes.split_first_chunk()?;
        let (part, rest) =
            rest.split_at_checked(usize::try_from(u64::from_be_bytes(*length)).ok()?)?;
        bytes = rest;
        Some(part)
    };
    while let Some(key) = take() {
        let (there, value) = (take()?, take()?);
        writes.insert(key.to_vec(), (there == [1]).then(|| value.into()));
    }
    Some(writes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back() {
        let writes: Writes = [
            (b"a".to_vec(), Some("old".into())),
            (b"b".to_vec(), None),
            (b"c".to_vec(), Some("".into())),
        ]
        .into();
        assert_eq!(decode(&encode(&writes)), Some(writes));
        assert_eq!(decode(&[]), Some(Writes::new()));
    }
}
