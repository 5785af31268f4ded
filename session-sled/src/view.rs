//! The tree as of a moment: as it was before a batch that is not durable yet, or as it will be after one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::iter::Peekable;
use std::ops::{Bound, Range};

use session_core::store::Order;
use sled::{Batch, IVec, Tree};

use crate::error::Fault;

/// Keys with their values, or with nothing.
pub(crate) type Writes = BTreeMap<Vec<u8>, Option<IVec>>;

/// A tree, and what stands over it: of a key in `over`, only that counts.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) over: &'a Writes,
}

impl<'a> View<'a> {
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<IVec>, Fault> {
        match self.over.get(key) {
            Some(value) => Ok(value.clone()),
            None => Ok(self.tree.get(key)?),
        }
    }

    pub(crate) fn contains(&self, key: &[u8]) -> Result<bool, Fault> {
        match self.over.get(key) {
            Some(value) => Ok(value.is_some()),
            None => Ok(self.tree.contains_key(key)?),
        }
    }

    /// The keys of a range with their values, in either order.
    pub(crate) fn scan(&self, range: Range<Vec<u8>>, order: Order) -> Merged<'a> {
        if range.start >= range.end {
            return Merged { below: None, over: None, order };
        }
        let over = self
            .over
            .range::<[u8], _>((Bound::Included(&*range.start), Bound::Excluded(&*range.end)));
        let below = self.tree.range(range.clone());
        let (below, over): (Below, Over<'a>) = match order {
            Order::OldestFirst => (Box::new(below), Box::new(over)),
            Order::NewestFirst => (Box::new(below.rev()), Box::new(over.rev())),
        };
        Merged { below: Some(below.peekable()), over: Some(over.peekable()), order }
    }

    /// All keys with their values.
    pub(crate) fn everything(&self) -> Merged<'a> {
        self.scan(Vec::new()..vec![u8::MAX], Order::OldestFirst)
    }

    /// The keys of a range, first to last.
    pub(crate) fn keys(&self, range: Range<Vec<u8>>) -> impl Iterator<Item = Result<IVec, Fault>> {
        self.scan(range, Order::OldestFirst).map(|found| found.map(|(key, _)| key))
    }
}

type Below = Box<dyn Iterator<Item = sled::Result<(IVec, IVec)>>>;
type Over<'a> = Box<dyn Iterator<Item = (&'a Vec<u8>, &'a Option<IVec>)> + 'a>;

/// What is in a range of a view.
pub(crate) struct Merged<'a> {
    below: Option<Peekable<Below>>,
    over: Option<Peekable<Over<'a>>>,
    order: Order,
}

impl Iterator for Merged<'_> {
    type Item = Result<(IVec, IVec), Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let (below, over) = (self.below.as_mut()?, self.over.as_mut()?);
        loop {
            let from_over = match (below.peek(), over.peek()) {
                (None, None) => return None,
                (Some(Err(_)), _) | (Some(_), None) => false,
                (None, Some(_)) => true,
                (Some(Ok((key, _))), Some((over, _))) => {
                    let ordering = match self.order {
                        Order::OldestFirst => over.as_slice().cmp(key),
                        Order::NewestFirst => key.as_ref().cmp(over),
                    };
                    if ordering.is_eq() {
                        below.next();
                    }
                    ordering.is_le()
                }
            };
            if !from_over {
                return below.next().map(|found| found.map_err(Fault::Sled));
            }
            if let Some((key, Some(value))) = over.next() {
                return Some(Ok((IVec::from(key.as_slice()), value.clone())));
            }
        }
    }
}

/// What a group of writes changes, before any of it is in the tree.
pub(crate) struct Pending<'a> {
    tree: &'a Tree,
    writes: Writes,
    /// What stood in `writes` before the last savepoint.
    undo: Vec<(Vec<u8>, Option<Option<IVec>>)>,
}

impl<'a> Pending<'a> {
    pub(crate) fn new(tree: &'a Tree) -> Self {
        Self { tree, writes: Writes::new(), undo: Vec::new() }
    }

    /// The tree as it will be.
    pub(crate) fn view(&self) -> View<'_> {
        View { tree: self.tree, over: &self.writes }
    }

    pub(crate) fn put(&mut self, key: Vec<u8>, value: impl Into<IVec>) {
        self.set(key, Some(value.into()));
    }

    pub(crate) fn remove(&mut self, key: Vec<u8>) {
        self.set(key, None);
    }

    fn set(&mut self, key: Vec<u8>, value: Option<IVec>) {
        let before = self.writes.insert(key.clone(), value);
        self.undo.push((key, before));
    }

    /// From here on, [`Pending::take_back`] goes back to here.
    pub(crate) fn savepoint(&mut self) {
        self.undo.clear();
    }

    pub(crate) fn take_back(&mut self) {
        for (key, before) in self.undo.drain(..).rev() {
            match (self.writes.entry(key), before) {
                (Entry::Occupied(mut entry), Some(value)) => {
                    entry.insert(value);
                }
                (Entry::Occupied(entry), None) => {
                    entry.remove();
                }
                (Entry::Vacant(_), _) => {}
            }
        }
    }

    pub(crate) fn into_writes(self) -> Writes {
        self.writes
    }
}

/// What a tree holds under the keys of some writes.
pub(crate) fn before(tree: &Tree, writes: &Writes) -> Result<Writes, Fault> {
    writes.keys().map(|key| Ok((key.clone(), tree.get(key)?))).collect()
}

/// Whether a tree holds just what some writes say.
pub(crate) fn holds(tree: &Tree, writes: &Writes) -> Result<bool, Fault> {
    for (key, value) in writes {
        if tree.get(key)? != *value {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Some writes as what sled carries out all or not at all.
pub(crate) fn batch(writes: &Writes) -> Batch {
    let mut batch = Batch::default();
    for (key, value) in writes {
        match value {
            Some(value) => batch.insert(key.as_slice(), value),
            None => batch.remove(key.as_slice()),
        }
    }
    batch
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every way in which three keys may stand in the tree, over it, or over it as removed.
    #[test]
    fn what_stands_over_a_tree_counts() {
        let directory = tempfile::tempdir().unwrap();
        let db = sled::open(directory.path()).unwrap();
        for ways in 0..6_u32.pow(3) {
            db.clear().unwrap();
            let (mut over, mut expected) = (Writes::new(), BTreeMap::new());
            for place in 0..3 {
                let key = vec![b'a' + u8::try_from(place).unwrap()];
                let way = ways / 6_u32.pow(place) % 6;
                if way % 2 == 1 {
                    db.insert(&key, "below").unwrap();
                    expected.insert(key.clone(), IVec::from("below"));
                }
                if way / 2 == 1 {
                    over.insert(key.clone(), Some("over".into()));
                    expected.insert(key, IVec::from("over"));
                } else if way / 2 == 2 {
                    over.insert(key.clone(), None);
                    expected.remove(&key);
                }
            }
            let view = View { tree: &db, over: &over };
            let found = |order| -> Vec<(Vec<u8>, IVec)> {
                let scan = view.scan(b"a".to_vec()..b"d".to_vec(), order);
                scan.map(|found| found.map_err(|_| ()).unwrap())
                    .map(|(key, value)| (key.to_vec(), value))
                    .collect()
            };
            let mut expected: Vec<_> = expected.into_iter().collect();
            assert_eq!(found(Order::OldestFirst), expected, "{ways}");
            expected.reverse();
            assert_eq!(found(Order::NewestFirst), expected, "{ways}");
        }
    }

    #[test]
    fn what_is_taken_back_leaves_what_was_before() {
        let directory = tempfile::tempdir().unwrap();
        let db = sled::open(directory.path()).unwrap();
        let mut pending = Pending::new(&db);
        pending.put(b"a".to_vec(), "first");
        pending.savepoint();
        pending.put(b"a".to_vec(), "second");
        pending.put(b"b".to_vec(), "second");
        pending.remove(b"a".to_vec());
        pending.put(b"b".to_vec(), "third");
        pending.take_back();
        let kept: Writes = [(b"a".to_vec(), Some("first".into()))].into();
        assert_eq!(pending.into_writes(), kept);
    }
}
