//! What is noted of a store in a file beside sled's log.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};

use crate::digest::Tip;

/// What was noted when the store was open last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Noted {
    /// The last batch that is known to be durable.
    pub(crate) batch: u64,
    /// What a store that was closed in good order was like; 0 of any other.
    closed: u64,
}

impl Noted {
    /// Of a store that is open.
    pub(crate) fn open(batch: u64) -> Self {
        Self { batch, closed: 0 }
    }

    /// Of a store that was closed in good order.
    pub(crate) fn closed(tip: Tip, log: LogFile) -> Self {
        Self { batch: tip.number, closed: like(tip, log) }
    }

    /// Whether a store is what it was when it was closed in good order.
    pub(crate) fn is_closed(self, tip: Tip, log: LogFile) -> bool {
        self == Self::closed(tip, log)
    }

    pub(crate) fn to_bytes(self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[..8].copy_from_slice(&self.batch.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.closed.to_be_bytes());
        let sum = crc32fast::hash(&bytes[..16]).to_be_bytes();
        bytes[16..].copy_from_slice(&sum);
        bytes
    }

    /// What such bytes say, or nothing if they are damaged. Of an empty file, or one of zeros, a crash of the system
    /// may have taken back what was written to it: then nothing is known, which is no damage.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.iter().all(|byte| *byte == 0) {
            return Some(Self::default());
        }
        let bytes: &[u8; LENGTH] = bytes.try_into().ok()?;
        let (batch, rest) = bytes.split_first_chunk()?;
        let closed = rest.first_chunk()?;
        let noted = Self { batch: u64::from_be_bytes(*batch), closed: u64::from_be_bytes(*closed) };
        (noted.to_bytes() == *bytes).then_some(noted)
    }
}

/// How many bytes it takes.
pub(crate) const LENGTH: usize = 20;

/// By what it is noticed that sled's log was written by somebody else, or is a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogFile {
    length: u64,
    modified: Duration,
}

impl LogFile {
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let known = fs::metadata(path)?;
        // An instant before 1970 is nobody's, and only has to be the same again.
        let modified = known.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self { length: known.len(), modified })
    }
}

fn like(tip: Tip, log: LogFile) -> u64 {
    let mut hasher = Sha256::new();
    for number in [tip.number, tip.sum, log.length, log.modified.as_secs()] {
        hasher.update(number.to_be_bytes());
    }
    hasher.update(log.modified.subsec_nanos().to_be_bytes());
    let digest: [u8; 32] = hasher.finalize().into();
    // Not 0, which says that it was not closed.
    digest.first_chunk().map_or(1, |first| u64::from_be_bytes(*first) | 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_written_whole_is_believed() {
        let log = LogFile { length: 7, modified: Duration::from_nanos(9) };
        let tip = Tip { number: 3, sum: 4 };
        let noted = Noted::closed(tip, log);
        let bytes = noted.to_bytes();
        assert_eq!(Noted::from_bytes(&bytes), Some(noted));
        assert_eq!(Noted::from_bytes(&[]), Some(Noted::default()));
        assert_eq!(Noted::from_bytes(&[0; LENGTH]), Some(Noted::default()));
        for length in 1..LENGTH {
            assert!(
                Noted::from_bytes(&bytes[..length]).is_none_or(|noted| noted == Noted::default())
            );
        }
        for bit in 0..LENGTH * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Noted::from_bytes(&damaged), None);
        }
    }

    #[test]
    fn what_was_closed_is_not_taken_for_anything_else() {
        let log = LogFile { length: 7, modified: Duration::from_nanos(9) };
        let tip = Tip { number: 3, sum: 4 };
        let noted = Noted::closed(tip, log);
        assert!(noted.is_closed(tip, log));
        assert!(!Noted::open(3).is_closed(tip, log));
        assert!(!noted.is_closed(Tip { number: 4, ..tip }, log));
        assert!(!noted.is_closed(Tip { sum: 5, ..tip }, log));
        assert!(!noted.is_closed(tip, LogFile { length: 8, ..log }));
        assert!(!noted.is_closed(tip, LogFile { modified: Duration::from_nanos(10), ..log }));
        assert!(!Noted::default().is_closed(Tip::default(), LogFile::default()));
    }
}
