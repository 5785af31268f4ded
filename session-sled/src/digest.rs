//! A sum over everything that is stored, by which a gap is noticed.
//!
//! Where sled finds a damaged part in the midst of its log, it passes over it, in silence: pages are then as they
//! were before. No value tells that it is an old one; the sum of all of them does.

use session_core::StoreError;
use sha2::{Digest as _, Sha256};

use crate::error::Fault;
use crate::keys::{self, Kind};
use crate::rows;
use crate::view::{View, Writes};

/// The last batch, and the sum over what is stored since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tip {
    pub(crate) number: u64,
    /// Of each key and value a part of their SHA-256, all of them added up.
    pub(crate) sum: u64,
}

impl Tip {
    /// What a view says of itself.
    pub(crate) fn of(view: View<'_>) -> Result<Self, Fault> {
        let Some(value) = view.get(keys::BATCH)? else { return Ok(Self::default()) };
        let bytes = rows::open("the number of the last batch", keys::BATCH, &value)?;
        let bad = || StoreError::corrupt("the number of the last batch is none");
        let (number, sum) = bytes.split_first_chunk().ok_or_else(bad)?;
        let sum = sum.try_into().map_err(|_| bad())?;
        Ok(Self { number: u64::from_be_bytes(*number), sum: u64::from_be_bytes(sum) })
    }

    /// What is stored of it.
    pub(crate) fn seal(self) -> Vec<u8> {
        rows::seal(keys::BATCH, &[&self.number.to_be_bytes(), &self.sum.to_be_bytes()])
    }

    /// The tip after a batch.
    pub(crate) fn after(self, writes: &Writes, before: &Writes) -> Self {
        let total = |of: &Writes| {
            of.iter().fold(0_u64, |sum, (key, value)| match value {
                Some(value) => sum.wrapping_add(summand(key, value)),
                None => sum,
            })
        };
        let sum = self.sum.wrapping_sub(total(before)).wrapping_add(total(writes));
        Self { number: self.number + 1, sum }
    }
}

/// Reads everything, and adds it up.
pub(crate) fn sum(view: View<'_>) -> Result<u64, Fault> {
    let mut sum = 0_u64;
    for found in view.everything() {
        let (key, value) = found?;
        sum = sum.wrapping_add(summand(&key, &value));
    }
    Ok(sum)
}

/// What a key and its value add. Touches add nothing: a crash may take them back. Nor do the store's own keys.
pub(crate) fn summand(key: &[u8], value: &[u8]) -> u64 {
    if matches!(keys::kind_of(key), None | Some(TOUCH)) {
        return 0;
    }
    let mut hasher = Sha256::new();
    hasher.update(u64::try_from(key.len()).unwrap_or(u64::MAX).to_be_bytes());
    hasher.update(key);
    hasher.update(value);
    let digest: [u8; 32] = hasher.finalize().into();
    digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}

const TOUCH: u8 = Kind::Touch as u8;
