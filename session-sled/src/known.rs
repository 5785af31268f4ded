//! What a view holds: sessions and marks with all that belongs to them.

use std::ops::Range;

use session_core::{
    ChangeId, EncodedData, Mark, MarkKey, Marks, RaiseLog, Record, SessionId, StoreError, Subject,
};

use crate::error::{Fault, guarded};
use crate::keys::{Keys, Kind};
use crate::rows::{self, StoredMark, StoredRecord, Summary};
use crate::view::View;

/// A session as it is, its touches merged into its record.
pub(crate) struct Known {
    pub(crate) record: Record,
    pub(crate) version: u64,
    pub(crate) change: ChangeId,
    pub(crate) has_data: bool,
}

/// What stands under an id.
pub(crate) enum Found {
    Nothing,
    /// A session that cannot be read, and the change that it came with if that can.
    Unreadable(StoreError, Option<ChangeId>),
    Session(Box<Known>),
}

impl Found {
    pub(crate) fn is_of(&self, change: ChangeId) -> bool {
        match self {
            Self::Nothing => false,
            Self::Unreadable(_, of) => *of == Some(change),
            Self::Session(known) => known.change == change,
        }
    }
}

/// Finds a session. What cannot be read harms nobody else, so it is no error here.
pub(crate) fn session(view: View<'_>, keys: &Keys, id: SessionId) -> Result<Found, Fault> {
    let key = keys.record(id);
    let value = match guarded(|| view.get(&key)) {
        Ok(Some(value)) => value,
        Ok(None) => return Ok(Found::Nothing),
        Err(fault) => return Ok(Found::Unreadable(damage(id, fault)?, None)),
    };
    let stored = match StoredRecord::open(&key, id, &value) {
        Ok(stored) => stored,
        Err(error) => return Ok(Found::Unreadable(error, None)),
    };
    let (version, change, has_data) = (stored.version, stored.change, stored.has_data);
    let record = stored.record.map_err(Fault::Store).and_then(|mut record| {
        guarded(|| merge_touches(view, keys, &mut record))?;
        Ok(record)
    });
    Ok(match record {
        Ok(record) => Found::Session(Box::new(Known { record, version, change, has_data })),
        Err(fault) => Found::Unreadable(damage(id, fault)?, Some(change)),
    })
}

/// The damage that a fault is; other faults go on.
fn damage(id: SessionId, fault: Fault) -> Result<StoreError, Fault> {
    let what = || format!("sled cannot read session {id}");
    match fault {
        Fault::Store(error) => Ok(error),
        Fault::Sled(error @ sled::Error::Corruption { .. }) => {
            Ok(StoreError::corrupt(what()).with_source(error))
        }
        Fault::Panic => Ok(StoreError::corrupt(what())),
        fault => Err(fault),
    }
}

/// Each slot by its key: that takes half the time of a scan, and what is left of other slots is of no use.
fn merge_touches(view: View<'_>, keys: &Keys, record: &mut Record) -> Result<(), Fault> {
    let id = record.id;
    let scopes = record.scopes.iter_mut().map(|entry| (entry.slot, &mut entry.last_seen_at));
    for (slot, seen) in std::iter::once((0, &mut record.last_seen_at)).chain(scopes) {
        let key = keys.touch(id, slot);
        if let Some(value) = view.get(&key)? {
            *seen = rows::open_touch(&key, &value)?.max(*seen);
        }
    }
    Ok(())
}

/// The data of a session that has some. The first part says how many there are.
pub(crate) fn data(view: View<'_>, keys: &Keys, id: SessionId) -> Result<EncodedData, Fault> {
    let key = keys.data(id, 0);
    let Some(value) = view.get(&key)? else { return Err(rows::not_whole().into()) };
    let (length, first) = rows::open_first_part(&key, &value)?;
    let mut text = first.to_vec();
    for number in 1.. {
        if text.len() >= length {
            break;
        }
        let key = keys.data(id, number);
        let Some(value) = view.get(&key)? else { break };
        text.extend_from_slice(rows::open_part(&key, &value)?);
    }
    Ok(rows::data_of(length, text)?)
}

/// What a realm counts.
pub(crate) fn summary(view: View<'_>, keys: &Keys) -> Result<Summary, Fault> {
    let key = keys.summary();
    match view.get(&key)? {
        Some(value) => Ok(Summary::open(&key, &value)?),
        None => Ok(Summary::default()),
    }
}

/// A mark that is there.
pub(crate) fn stored_mark(
    view: View<'_>,
    keys: &Keys,
    mark: &MarkKey,
) -> Result<Option<StoredMark>, Fault> {
    let key = keys.mark(Kind::Mark, mark);
    Ok(view.get(&key)?.map(|value| StoredMark::open(&key, &value)).transpose()?)
}

/// The raises of a mark.
pub(crate) fn log(view: View<'_>, keys: &Keys, mark: &MarkKey) -> Result<RaiseLog, Fault> {
    let key = keys.mark(Kind::Log, mark);
    match view.get(&key)? {
        Some(value) => Ok(rows::open_log(&key, &value)?),
        None => Ok(RaiseLog::default()),
    }
}

/// The marks of a realm, each read once: the rows of a page mostly have the same.
pub(crate) struct MarkReader<'a> {
    view: View<'a>,
    keys: &'a Keys,
    realm: Option<Read>,
    subject: Option<(Subject, Read)>,
}

/// A mark that was read, with its log if somebody has asked.
struct Read {
    mark: Mark,
    log: Option<RaiseLog>,
}

impl<'a> MarkReader<'a> {
    pub(crate) fn new(view: View<'a>, keys: &'a Keys) -> Self {
        Self { view, keys, realm: None, subject: None }
    }

    /// The marks that a record lives under.
    pub(crate) fn of(&mut self, record: &Record) -> Result<Marks, Fault> {
        let subject = record.subject.as_ref().map(|subject| (subject, record.epochs.subject));
        self.read(record.epochs.realm, subject)
    }

    /// The marks, each with the raise that ended what was issued under an epoch.
    pub(crate) fn read(
        &mut self,
        realm_epoch: u64,
        subject: Option<(&Subject, u64)>,
    ) -> Result<Marks, Fault> {
        let (view, keys) = (self.view, self.keys);
        let realm = match &mut self.realm {
            Some(read) => read,
            none => none.insert(Read::of(view, keys, &MarkKey::Realm)?),
        };
        let realm = realm.above(view, keys, &MarkKey::Realm, realm_epoch)?;
        let Some((subject, epoch)) = subject else {
            return Ok(Marks { realm, subject: Mark::default() });
        };
        let key = MarkKey::Subject(subject.clone());
        self.subject.take_if(|(known, _)| known != subject);
        let (_, read) = match &mut self.subject {
            Some(known) => known,
            none => none.insert((subject.clone(), Read::of(view, keys, &key)?)),
        };
        Ok(Marks { realm, subject: read.above(view, keys, &key, epoch)? })
    }
}

impl Read {
    fn of(view: View<'_>, keys: &Keys, key: &MarkKey) -> Result<Self, Fault> {
        let mark = match (stored_mark(view, keys, key)?, key) {
            (Some(stored), _) => Mark {
                version: stored.version,
                epoch: stored.epoch,
                stamp: stored.stamp,
                raise: None,
            },
            (None, MarkKey::Realm) => Mark::default(),
            (None, MarkKey::Subject(_)) => {
                let floor = summary(view, keys)?.floor;
                Mark { version: floor, epoch: floor, ..Mark::default() }
            }
        };
        Ok(Self { mark, log: None })
    }

    fn above(
        &mut self,
        view: View<'_>,
        keys: &Keys,
        key: &MarkKey,
        epoch: u64,
    ) -> Result<Mark, Fault> {
        if epoch >= self.mark.epoch {
            return Ok(self.mark.clone());
        }
        let log = match &mut self.log {
            Some(log) => log,
            none => none.insert(log(view, keys, key)?),
        };
        Ok(Mark { raise: log.first_above(epoch).cloned(), ..self.mark.clone() })
    }
}

/// All keys of a range.
pub(crate) fn keys_of(view: View<'_>, range: Range<Vec<u8>>) -> Result<Vec<Vec<u8>>, Fault> {
    view.keys(range).map(|key| key.map(|key| key.to_vec())).collect()
}
