//! From records, marks and events to the values of the tree, and back.
//!
//! Every value begins with the CRC-32 of its key and of what follows it, so that neither a damaged value nor one
//! in another's place is taken for what it is not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use session_core::store::StoredEvent;
use session_core::{
    Actor, ChangeId, EncodedData, Event, EventKind, RaiseLog, Reason, Record, SessionId, Stamp,
    StoreError, Subject, Timestamp,
};

/// A value for a key.
pub(crate) fn seal(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    let mut value = Vec::with_capacity(SUM + length);
    value.extend_from_slice(&[0; SUM]);
    for part in parts {
        value.extend_from_slice(part);
    }
    let sum = checksum(key, &value[SUM..]);
    value[..SUM].copy_from_slice(&sum);
    value
}

/// What was sealed under a key.
pub(crate) fn open<'a>(what: &str, key: &[u8], value: &'a [u8]) -> Result<&'a [u8], StoreError> {
    match value.split_first_chunk::<SUM>() {
        Some((sum, rest)) if *sum == checksum(key, rest) => Ok(rest),
        _ => Err(StoreError::corrupt(format!("the checksum of {what} does not match"))),
    }
}

const SUM: usize = 4;

fn checksum(key: &[u8], rest: &[u8]) -> [u8; SUM] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(rest);
    hasher.finalize().to_be_bytes()
}

/// A record as it is kept.
pub(crate) struct StoredRecord {
    pub(crate) version: u64,
    pub(crate) change: ChangeId,
    /// Whether it has data: if it says so, they have to be there; if not, nobody looks for them.
    pub(crate) has_data: bool,
    /// The record, without touches; or why it cannot be read.
    pub(crate) record: Result<Record, StoreError>,
}

impl StoredRecord {
    pub(crate) fn seal(
        key: &[u8],
        version: u64,
        change: ChangeId,
        has_data: bool,
        record: &Record,
    ) -> Vec<u8> {
        let version = version.to_be_bytes();
        seal(key, &[&version, change.as_bytes(), &[u8::from(has_data)], &record.encode()])
    }

    pub(crate) fn open(key: &[u8], id: SessionId, value: &[u8]) -> Result<Self, StoreError> {
        let mut fields = Fields(open(&format!("session {id}"), key, value)?);
        let (version, change) = (fields.number()?, fields.change()?);
        let has_data = fields.take()? != [0];
        let record = Record::decode(fields.0).and_then(|record| {
            if record.id == id {
                Ok(record)
            } else {
                Err(StoreError::corrupt(format!("session {id} says that it is {}", record.id)))
            }
        });
        Ok(Self { version, change, has_data, record })
    }
}

/// A mark as it is kept; its raises stand beside it.
#[derive(Clone)]
pub(crate) struct StoredMark {
    pub(crate) version: u64,
    pub(crate) epoch: u64,
    pub(crate) settled: u64,
    pub(crate) change: ChangeId,
    pub(crate) stamp: Option<Stamp>,
}

impl StoredMark {
    pub(crate) fn seal(&self, key: &[u8]) -> Vec<u8> {
        let stamp = self.stamp.as_ref().map_or(&[][..], Stamp::as_bytes);
        seal(
            key,
            &[
                &self.version.to_be_bytes(),
                &self.epoch.to_be_bytes(),
                &self.settled.to_be_bytes(),
                self.change.as_bytes(),
                &[u8::from(self.stamp.is_some())],
                stamp,
            ],
        )
    }

    pub(crate) fn open(key: &[u8], value: &[u8]) -> Result<Self, StoreError> {
        let mut fields = Fields(open("a mark", key, value)?);
        Ok(Self {
            version: fields.number()?,
            epoch: fields.number()?,
            settled: fields.number()?,
            change: fields.change()?,
            stamp: (fields.take::<1>()? != [0]).then(|| Stamp::new(fields.0)),
        })
    }
}

/// The raises of a mark, as JSON.
pub(crate) fn seal_log(key: &[u8], log: &RaiseLog) -> Result<Vec<u8>, StoreError> {
    let json = serde_json::to_vec(log).map_err(|error| {
        StoreError::corrupt("the raises of a mark cannot be written").with_source(error)
    })?;
    Ok(seal(key, &[&json]))
}

pub(crate) fn open_log(key: &[u8], value: &[u8]) -> Result<RaiseLog, StoreError> {
    serde_json::from_slice(open("the raises of a mark", key, value)?)
        .map_err(|error| StoreError::corrupt("the raises of a mark are none").with_source(error))
}

/// What a realm counts.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// The version and epoch of a subject's mark that is not there.
    pub(crate) floor: u64,
    /// The last event that its age removed.
    pub(crate) purged: u64,
    /// The last event.
    pub(crate) sequence: u64,
}

impl Summary {
    pub(crate) fn seal(&self, key: &[u8]) -> Vec<u8> {
        seal(
            key,
            &[&self.floor.to_be_bytes(), &self.purged.to_be_bytes(), &self.sequence.to_be_bytes()],
        )
    }

    pub(crate) fn open(key: &[u8], value: &[u8]) -> Result<Self, StoreError> {
        let mut fields = Fields(open("what a realm counts", key, value)?);
        Ok(Self { floor: fields.number()?, purged: fields.number()?, sequence: fields.number()? })
    }
}

/// The last activity of a slot.
pub(crate) fn seal_touch(key: &[u8], seen_at: Timestamp) -> Vec<u8> {
    seal(key, &[&seen_at.as_millis().to_be_bytes()])
}

pub(crate) fn open_touch(key: &[u8], value: &[u8]) -> Result<Timestamp, StoreError> {
    let bytes = Fields(open("the activity of a session", key, value)?).take()?;
    Ok(Timestamp::from_millis(i64::from_be_bytes(bytes)))
}

/// How much data stands under one key: sled keeps up to 17 neighbours in one page, and pages of 128 KiB and more
/// in files of their own, which it never syncs.
const PART: usize = 4_096;

/// Data in parts. The first begins with the length of all.
pub(crate) fn parts(data: &EncodedData) -> impl Iterator<Item = (u32, Vec<u8>)> {
    let text = data.as_str().as_bytes();
    let mut bytes = (text.len() as u64).to_be_bytes().to_vec();
    bytes.extend_from_slice(text);
    let parts: Vec<Vec<u8>> = bytes.chunks(PART).map(<[u8]>::to_vec).collect();
    (0..).zip(parts)
}

/// The length of all data, and what the first part has of them.
pub(crate) fn open_first_part<'a>(
    key: &[u8],
    value: &'a [u8],
) -> Result<(usize, &'a [u8]), StoreError> {
    let mut fields = Fields(open_part(key, value)?);
    let length = usize::try_from(fields.number()?).map_err(|_| not_whole())?;
    Ok((length, fields.0))
}

/// What a part has of the data.
pub(crate) fn open_part<'a>(key: &[u8], value: &'a [u8]) -> Result<&'a [u8], StoreError> {
    open("the data of a session", key, value)
}

/// Data of all their parts.
pub(crate) fn data_of(length: usize, text: Vec<u8>) -> Result<EncodedData, StoreError> {
    if length != text.len() {
        return Err(not_whole());
    }
    let text = String::from_utf8(text).map_err(|error| {
        StoreError::corrupt("the data of a session are no text").with_source(error.utf8_error())
    })?;
    Ok(EncodedData::from_stored(text))
}

pub(crate) fn not_whole() -> StoreError {
    StoreError::corrupt("the data of a session are not whole")
}

/// An event as it is kept, but for its change.
#[derive(Deserialize, Serialize)]
struct EventForm {
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<SessionId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<Subject>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    actor: Actor,
    at: Timestamp,
    observed_at: Timestamp,
    purge_at: Timestamp,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    detail: BTreeMap<String, String>,
}

pub(crate) fn seal_event(
    key: &[u8],
    change: ChangeId,
    event: &Event,
) -> Result<Vec<u8>, StoreError> {
    let form = EventForm {
        kind: event.kind.code().to_owned(),
        session: event.session,
        subject: event.subject.clone(),
        reason: event.reason.clone(),
        actor: event.actor.clone(),
        at: event.at,
        observed_at: event.observed_at,
        purge_at: event.purge_at,
        detail: event.detail.clone(),
    };
    let json = serde_json::to_vec(&form)
        .map_err(|error| StoreError::corrupt("an event cannot be written").with_source(error))?;
    Ok(seal(key, &[change.as_bytes(), &json]))
}

pub(crate) fn open_event(
    key: &[u8],
    sequence: u64,
    value: &[u8],
) -> Result<StoredEvent, StoreError> {
    let mut fields = Fields(open(&format!("event {sequence}"), key, value)?);
    let change = fields.change()?;
    let bad = |error| StoreError::corrupt(format!("event {sequence} is none: {error}"));
    let form: EventForm =
        serde_json::from_slice(fields.0).map_err(|error| bad(error.to_string()))?;
    let event = Event {
        kind: EventKind::from_code(&form.kind).map_err(|error| bad(error.to_string()))?,
        session: form.session,
        subject: form.subject,
        reason: form.reason,
        actor: form.actor,
        at: form.at,
        observed_at: form.observed_at,
        purge_at: form.purge_at,
        detail: form.detail,
    };
    Ok(StoredEvent { sequence, change, event })
}

/// What stands for an event that cannot be read: events have no place for an error of one row, and whoever
/// follows them has to get past it and to see it.
pub(crate) fn damaged_event(sequence: u64, error: &StoreError) -> Result<StoredEvent, StoreError> {
    let kind = EventKind::from_code(DAMAGED)
        .map_err(|error| StoreError::corrupt("a kind is none").with_source(error))?;
    let event = Event::new(kind, Actor::System, Timestamp::from_millis(0))
        .with_detail("error", &error.to_string());
    Ok(StoredEvent { sequence, change: ChangeId::from_bytes([0; 16]), event })
}

/// The kind of an event that cannot be read.
pub(crate) const DAMAGED: &str = "damaged";

/// In which indexes an old event is.
pub(crate) fn seal_links(key: &[u8], event: &Event) -> Vec<u8> {
    let session = event.session.as_ref().map_or(&[][..], |id| id.as_bytes());
    let subject = event.subject.as_ref().map_or("", Subject::as_str);
    seal(key, &[&[u8::from(event.session.is_some())], session, subject.as_bytes()])
}

pub(crate) fn open_links(
    key: &[u8],
    value: &[u8],
) -> Result<(Option<SessionId>, Option<Subject>), StoreError> {
    let mut fields = Fields(open("the age of an event", key, value)?);
    let session = match fields.take::<1>()? {
        [0] => None,
        _ => Some(SessionId::from_bytes(fields.take()?)),
    };
    Ok((session, subject_if_any(fields.0)?))
}

/// Whose a tombstone is.
pub(crate) fn seal_owner(key: &[u8], subject: Option<&Subject>) -> Vec<u8> {
    seal(key, &[subject.map_or("", Subject::as_str).as_bytes()])
}

pub(crate) fn open_owner(key: &[u8], value: &[u8]) -> Result<Option<Subject>, StoreError> {
    subject_if_any(open("the age of a session", key, value)?)
}

fn subject_if_any(bytes: &[u8]) -> Result<Option<Subject>, StoreError> {
    let bad = || StoreError::corrupt("a subject is none");
    match bytes {
        [] => Ok(None),
        bytes => std::str::from_utf8(bytes)
            .ok()
            .and_then(|text| Subject::new(text).ok())
            .map(Some)
            .ok_or_else(bad),
    }
}

/// The fields of a value, one after the other.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], StoreError> {
        let (field, rest) =
            self.0.split_first_chunk().ok_or_else(|| StoreError::corrupt("a value is cut off"))?;
        self.0 = rest;
        Ok(*field)
    }

    fn number(&mut self) -> Result<u64, StoreError> {
        self.take().map(u64::from_be_bytes)
    }

    fn change(&mut self) -> Result<ChangeId, StoreError> {
        self.take().map(ChangeId::from_bytes)
    }
}
