//! From changes to what the function `commit_changes` takes, and from its outcomes back.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value, json};
use session_core::store::Outcome;
use session_core::{
    Change, ChangeId, DataWrite, EncodedData, Event, MarkKey, MarkWrite, Pending, Previous, Reason,
    Record, Replacement, Rotation, StoreError, StoreErrorKind, Subject, Timestamp,
};
use uuid::Uuid;

use crate::rows::{self, ScopeColumn};

/// The places of events in one transaction: as many as the lower 20 bits of a sequence can tell apart.
const MOST_EVENTS: usize = 1 << 20;

/// Changes as `commit_changes` takes them: what to lock, in the order in which everybody locks, and what to write.
pub(crate) struct Written {
    pub(crate) written_marks: Vec<String>,
    pub(crate) locked_marks: Vec<String>,
    pub(crate) locked_sessions: Vec<Uuid>,
    pub(crate) changes: String,
}

/// # Errors
/// A number is more than a bigint can hold, a text holds a NUL, or there are more events than one transaction can
/// count.
pub(crate) fn changes(realm: &str, changes: &[Change]) -> Result<Written, StoreError> {
    let events: usize = changes.iter().map(|change| change.events().len()).sum();
    if events > MOST_EVENTS {
        return Err(StoreError::new(
            StoreErrorKind::Invalid,
            format!("{events} events in one transaction are more than {MOST_EVENTS}"),
        ));
    }
    let (mut written, mut locked, mut ids) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for change in changes {
        written.extend(change.marks().iter().map(|write| subject_of(&write.key)));
        locked.extend(change.settles().iter().map(|settle| subject_of(&settle.key)));
        ids.extend(change.replacements().iter().map(|replacement| replacement.record.id));
        ids.extend(change.inserts().iter().map(|insert| insert.record.id));
        ids.extend(change.reschedules().iter().map(|reschedule| reschedule.id));
    }
    locked.extend(&written);
    let all: Vec<Value> =
        changes.iter().map(|each| change(realm, each)).collect::<Result<_, _>>()?;
    let all = Value::Array(all).to_string();
    if holds_nul(&all) {
        // The server would quote what stands around it.
        return Err(StoreError::new(
            StoreErrorKind::Invalid,
            "a text holds a NUL, which Postgres cannot keep",
        ));
    }
    let owned = |keys: BTreeSet<&str>| keys.into_iter().map(str::to_owned).collect();
    Ok(Written {
        written_marks: owned(written),
        locked_marks: owned(locked),
        locked_sessions: ids.into_iter().map(rows::uuid).collect(),
        changes: all,
    })
}

/// Whether a text in some JSON holds a NUL: its escape, and not that of a backslash before the same letters.
fn holds_nul(json: &str) -> bool {
    json.match_indices("\\u0000")
        .any(|(at, _)| json[..at].bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 0)
}

fn change(realm: &str, change: &Change) -> Result<Value, StoreError> {
    let id = change.id();
    let mut parts = Map::new();
    parts.insert("id".into(), uuid_of(id).to_string().into());
    put(&mut parts, "marks", change.marks(), mark)?;
    put(&mut parts, "inserts", change.inserts(), |insert| {
        let mut row = session(realm, id, 1, &insert.record)?;
        set(&mut row, "data", insert.data.as_ref().map(EncodedData::as_str));
        Ok(Value::Object(row))
    })?;
    put(&mut parts, "replacements", change.replacements(), |write| replacement(realm, id, write))?;
    put(&mut parts, "reschedules", change.reschedules(), |reschedule| {
        Ok(json!({
            "id": rows::uuid(reschedule.id).to_string(),
            "expected": expected(reschedule.expected),
            "due_at": reschedule.due_at.as_millis(),
        }))
    })?;
    put(&mut parts, "settles", change.settles(), |settle| {
        Ok(json!({ "subject": subject_of(&settle.key), "epoch": int(settle.epoch)? }))
    })?;
    put(&mut parts, "events", change.events(), event)?;
    Ok(Value::Object(parts))
}

fn mark(write: &MarkWrite) -> Result<Value, StoreError> {
    let mut parts = Map::new();
    parts.insert("subject".into(), subject_of(&write.key).into());
    parts.insert("expected".into(), expected(write.expected).into());
    if let Some(raise) = &write.raise {
        parts.insert("epoch".into(), int(raise.epoch)?.into());
        parts.insert("raise".into(), value(raise)?);
    }
    set(&mut parts, "stamp", write.stamp.as_ref().map(|stamp| bytea(stamp.as_bytes())));
    Ok(Value::Object(parts))
}

fn replacement(realm: &str, id: ChangeId, write: &Replacement) -> Result<Value, StoreError> {
    let mut row = session(realm, id, 0, &write.record)?;
    row.insert("expected".into(), expected(write.expected).into());
    set(&mut row, "decided_on", write.decided_on.map(Timestamp::as_millis));
    match &write.data {
        DataWrite::Keep => set(&mut row, "keep", Some(true)),
        DataWrite::Set(data) => set(&mut row, "data", Some(data.as_str())),
        DataWrite::Drop => {}
    }
    Ok(Value::Object(row))
}

/// A row of `sessions`, by the names of its columns; what is NULL is left out.
fn session(
    realm: &str,
    change: ChangeId,
    version: i64,
    record: &Record,
) -> Result<Map<String, Value>, StoreError> {
    let mut row = Map::new();
    set(&mut row, "realm", Some(realm));
    set(&mut row, "id", Some(rows::uuid(record.id).to_string()));
    set(&mut row, "format", Some(rows::FORMAT));
    set(&mut row, "version", Some(version));
    set(&mut row, "change_id", Some(uuid_of(change).to_string()));
    set(&mut row, "secret_hash", Some(bytea(record.secret.as_bytes())));
    let Rotation { generation, rotated_at, pending, previous } = &record.rotation;
    set(&mut row, "generation", Some(*generation));
    set(&mut row, "rotated_at", rotated_at.map(Timestamp::as_millis));
    if let Some(Pending { secret, salt, minted_at }) = pending {
        set(&mut row, "pending_hash", Some(bytea(secret.as_bytes())));
        set(&mut row, "pending_salt", Some(bytea(salt.as_bytes())));
        set(&mut row, "pending_at", Some(minted_at.as_millis()));
    }
    if let Some(Previous { secret, retired_at }) = previous {
        set(&mut row, "previous_hash", Some(bytea(secret.as_bytes())));
        set(&mut row, "retired_at", Some(retired_at.as_millis()));
    }
    set(&mut row, "subject", record.subject.as_ref().map(Subject::as_str));
    set(&mut row, "class", Some(record.class.as_str()));
    set(&mut row, "realm_epoch", Some(int(record.epochs.realm)?));
    set(&mut row, "subject_epoch", Some(int(record.epochs.subject)?));
    set(&mut row, "idle_timeout_ms", record.limits.idle_timeout.map(rows::millis));
    set(&mut row, "absolute_timeout_ms", record.limits.absolute_timeout.map(rows::millis));
    set(&mut row, "unclaimed_timeout_ms", record.limits.unclaimed_timeout.map(rows::millis));
    set(&mut row, "created_at", Some(record.created_at.as_millis()));
    set(&mut row, "activated_at", record.activated_at.map(Timestamp::as_millis));
    set(&mut row, "reauthenticated_at", record.reauthenticated_at.map(Timestamp::as_millis));
    set(&mut row, "due_at", Some(record.due_at.as_millis()));
    set(&mut row, "next_slot", Some(record.next_slot));
    if let Some(end) = &record.end {
        set(&mut row, "ended_at", Some(end.at.as_millis()));
        set(&mut row, "end_observed_at", Some(end.observed_at.as_millis()));
        set(&mut row, "end_reason", Some(end.reason.code()));
        set(&mut row, "end_actor", Some(end.actor.code()));
        set(&mut row, "purge_at", Some(end.purge_at.as_millis()));
    }
    set(&mut row, "address", record.client.address.as_deref());
    set(&mut row, "agent", record.client.agent.as_deref());
    set(&mut row, "device", record.client.device.as_deref());
    set(&mut row, "group_names", json_list(&record.groups)?);
    set(&mut row, "authentications", json_list(&record.authentications)?);
    set(&mut row, "scopes", json_list(record.scopes.iter().map(ScopeColumn::from))?);
    set(&mut row, "seen_at", Some(record.last_seen_at.as_millis()));
    if !record.scopes.is_empty() {
        let seen: Map<String, Value> = record
            .scopes
            .iter()
            .map(|entry| (entry.slot.to_string(), entry.last_seen_at.as_millis().into()))
            .collect();
        row.insert("scopes_seen".into(), seen.into());
    }
    Ok(row)
}

fn event(event: &Event) -> Result<Value, StoreError> {
    let mut row = Map::new();
    set(&mut row, "kind", Some(event.kind.code()));
    set(&mut row, "session", event.session.map(|session| rows::uuid(session).to_string()));
    set(&mut row, "subject", event.subject.as_ref().map(Subject::as_str));
    set(&mut row, "reason", event.reason.as_ref().map(Reason::code));
    set(&mut row, "actor", Some(event.actor.code()));
    set(&mut row, "at", Some(event.at.as_millis()));
    set(&mut row, "observed_at", Some(event.observed_at.as_millis()));
    set(&mut row, "purge_at", Some(event.purge_at.as_millis()));
    if !event.detail.is_empty() {
        // The text of a text: jsonb itself cannot hold NUL, nor keep what is written as it is.
        set(&mut row, "detail", Some(serde_json::to_string(&event.detail).map_err(not_json)?));
    }
    Ok(Value::Object(row))
}

/// The outcome that the function names.
pub(crate) fn outcome(text: &str) -> Result<Outcome, StoreError> {
    let odd = || StoreError::new(StoreErrorKind::OutcomeUnknown, "this is no outcome of a change");
    let (what, of) = text.split_once(':').unwrap_or((text, ""));
    let id = || of.parse().map_err(|_| odd());
    match what {
        "applied" => Ok(Outcome::Applied),
        "exists" => id().map(Outcome::Exists),
        "moved" => id().map(Outcome::Moved),
        "fenced" if of.is_empty() => Ok(Outcome::Fenced(MarkKey::Realm)),
        "fenced" => {
            let subject = Subject::new(of).map_err(|_| odd())?;
            Ok(Outcome::Fenced(MarkKey::Subject(subject)))
        }
        _ => Err(odd()),
    }
}

/// The text of the column `subject` of a mark. No subject is empty.
pub(crate) fn subject_of(key: &MarkKey) -> &str {
    match key {
        MarkKey::Realm => "",
        MarkKey::Subject(subject) => subject.as_str(),
    }
}

/// A version to compare. No stored one is negative, so that what is beyond a bigint equals none.
fn expected(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(-1)
}

/// A bigint ends at 2⁶³ − 1.
fn int(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| {
        StoreError::new(
            StoreErrorKind::Invalid,
            format!("{number} is more than this store can count"),
        )
    })
}

fn uuid_of(change: ChangeId) -> Uuid {
    Uuid::from_bytes(*change.as_bytes())
}

/// As the type `bytea` reads it.
fn bytea(bytes: &[u8]) -> String {
    bytes.iter().fold(String::from("\\x"), |mut text, byte| {
        text.push(char::from(HEX[usize::from(byte >> 4)]));
        text.push(char::from(HEX[usize::from(byte & 15)]));
        text
    })
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn put<T>(
    parts: &mut Map<String, Value>,
    name: &str,
    of: &[T],
    each: impl FnMut(&T) -> Result<Value, StoreError>,
) -> Result<(), StoreError> {
    if !of.is_empty() {
        let all: Vec<Value> = of.iter().map(each).collect::<Result<_, _>>()?;
        parts.insert(name.into(), all.into());
    }
    Ok(())
}

fn set(row: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        row.insert(name.into(), value.into());
    }
}

fn value(value: &impl Serialize) -> Result<Value, StoreError> {
    serde_json::to_value(value).map_err(not_json)
}

fn not_json(error: serde_json::Error) -> StoreError {
    StoreError::new(StoreErrorKind::Invalid, "this cannot be written as JSON").with_source(error)
}

/// A list as a column has it: NULL if it is empty.
fn json_list<T: Serialize>(
    list: impl IntoIterator<Item = T>,
) -> Result<Option<String>, StoreError> {
    let list: Vec<T> = list.into_iter().collect();
    (!list.is_empty()).then(|| serde_json::to_string(&list).map_err(not_json)).transpose()
}
