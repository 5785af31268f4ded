//! A record as bytes, for stores that keep keys and values.
//!
//! ```text
//!  "SR"      format     CRC-32 of format and payload    payload
//!  2 bytes   1 byte     4 bytes, big-endian             one CBOR map (RFC 8949)
//! ```
//!
//! The map has a number for each field; a number is never used again for anything else. Fields that say
//! nothing are left out, and fields with an unknown number are passed over. What a reader of today could
//! misunderstand needs a new format.

use std::time::Duration;

use minicbor::{Decode, Encode};

use crate::{
    Actor, Authentication, ClassName, Client, End, Epochs, GroupName, Limits, NameError, Pending,
    Previous, Reason, Record, Rotation, Salt, ScopeEntry, ScopeName, SecretHash, SessionId,
    StoreError, StoreErrorKind, Subject, Timestamp,
};

impl Record {
    /// The record as bytes, in the newest format.
    ///
    /// Durations are kept in whole milliseconds. Well under a microsecond, and about 160 bytes for a plain session.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use session_core::{ClassName, Limits, Record, SecretHash, SessionId, Timestamp};
    ///
    /// # let limits = Limits { absolute_timeout: Some(Duration::from_secs(60)), ..Limits::NONE };
    /// let record = Record::new(
    ///     SessionId::from_bytes([0; 16]),
    ///     SecretHash::from_bytes([0; 32]),
    ///     ClassName::new("browser").unwrap(),
    ///     limits,
    ///     Timestamp::from_millis(0),
    /// );
    /// assert_eq!(Record::decode(&record.encode()).unwrap(), record);
    /// ```
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&MAGIC);
        bytes.push(FORMAT);
        bytes.extend_from_slice(&[0; 4]);
        write(&StoredRecord::of(self), &mut bytes);
        let sum = checksum(FORMAT, &bytes[HEADER..]);
        bytes[CHECKSUM..HEADER].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// Reads what [`Record::encode`] has written, in this version or an earlier one.
    ///
    /// Never panics, and takes memory in proportion to the bytes, whatever they are.
    ///
    /// # Errors
    /// [`Unsupported`](StoreErrorKind::Unsupported): the format is a later one than this version knows. Leave
    /// the bytes alone: a newer version reads them.
    /// [`Corrupt`](StoreErrorKind::Corrupt): the bytes are damaged, or no record, or more than one.
    pub fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let Some((header, payload)) = bytes.split_first_chunk::<HEADER>() else {
            return Err(StoreError::corrupt("a record is cut off"));
        };
        let [m0, m1, format, sum @ ..] = *header;
        if [m0, m1] != MAGIC {
            return Err(StoreError::corrupt("the bytes are no record"));
        }
        if format != FORMAT {
            let context = format!("a record is of format {format}, and only {FORMAT} is known");
            return Err(StoreError::new(StoreErrorKind::Unsupported, context));
        }
        if checksum(format, payload) != u32::from_be_bytes(sum) {
            return Err(StoreError::corrupt("the checksum of a record does not match"));
        }
        let mut decoder = minicbor::Decoder::new(payload);
        let stored: StoredRecord<'_> = decoder.decode().map_err(|source| {
            StoreError::corrupt("a record is not of its form").with_source(source)
        })?;
        if decoder.position() != payload.len() {
            return Err(StoreError::corrupt("something follows a record"));
        }
        stored.check().map_err(|source| {
            StoreError::corrupt("a record holds a name that is none").with_source(source)
        })
    }
}

const MAGIC: [u8; 2] = *b"SR";
const FORMAT: u8 = 1;
const CHECKSUM: usize = 3;
const HEADER: usize = 7;

fn checksum(format: u8, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[format]);
    hasher.update(payload);
    hasher.finalize()
}

#[expect(clippy::expect_used, reason = "a vector takes whatever is written into it")]
fn write(stored: &StoredRecord<'_>, bytes: &mut Vec<u8>) {
    minicbor::encode(stored, bytes).expect("memory takes it");
}

/// A record in format 1, before its names are checked.
#[derive(Encode, Decode)]
#[cbor(map)]
struct StoredRecord<'a> {
    #[cbor(n(0), with = "minicbor::bytes")]
    id: [u8; 16],
    #[cbor(n(1), with = "minicbor::bytes")]
    secret: [u8; 32],
    #[b(2)]
    subject: Option<&'a str>,
    #[b(3)]
    class: &'a str,
    #[b(4)]
    groups: Option<Vec<&'a str>>,
    #[n(5)]
    limits: Option<StoredLimits>,
    #[n(6)]
    realm_epoch: Option<u64>,
    #[n(7)]
    subject_epoch: Option<u64>,
    #[n(8)]
    created_at: i64,
    #[n(9)]
    activated_at: Option<i64>,
    #[n(10)]
    reauthenticated_at: Option<i64>,
    #[n(11)]
    last_seen_at: i64,
    #[b(12)]
    authentications: Option<Vec<StoredAuthentication<'a>>>,
    #[b(13)]
    scopes: Option<Vec<StoredScope<'a>>>,
    #[n(14)]
    next_slot: Option<u32>,
    #[b(15)]
    client: Option<StoredClient<'a>>,
    #[n(16)]
    due_at: i64,
    #[b(17)]
    end: Option<StoredEnd>,
    #[n(18)]
    rotation: Option<StoredRotation>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct StoredRotation {
    #[n(0)]
    generation: Option<u32>,
    #[n(1)]
    rotated_at: Option<i64>,
    #[n(2)]
    pending: Option<StoredPending>,
    #[n(3)]
    previous: Option<StoredPrevious>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct StoredPending {
    #[cbor(n(0), with = "minicbor::bytes")]
    secret: [u8; 32],
    #[cbor(n(1), with = "minicbor::bytes")]
    salt: [u8; 32],
    #[n(2)]
    minted_at: i64,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct StoredPrevious {
    #[cbor(n(0), with = "minicbor::bytes")]
    secret: [u8; 32],
    #[n(1)]
    retired_at: i64,
}

/// Durations in milliseconds.
#[derive(Encode, Decode)]
#[cbor(map)]
struct StoredLimits {
    #[n(0)]
    idle: Option<u64>,
    #[n(1)]
    absolute: Option<u64>,
    #[n(2)]
    unclaimed: Option<u64>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct StoredAuthentication<'a> {
    #[b(0)]
    method: &'a str,
    #[n(1)]
    level: u8,
    #[n(2)]
    at: i64,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct StoredScope<'a> {
    #[b(0)]
    name: &'a str,
    #[n(1)]
    slot: u32,
    #[n(2)]
    limits: Option<StoredLimits>,
    #[n(3)]
    entered_at: i64,
    #[n(4)]
    last_seen_at: i64,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct StoredClient<'a> {
    #[b(0)]
    address: Option<&'a str>,
    #[b(1)]
    agent: Option<&'a str>,
    #[b(2)]
    device: Option<&'a str>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct StoredEnd {
    #[n(0)]
    reason: String,
    #[n(1)]
    actor: String,
    #[n(2)]
    at: i64,
    #[n(3)]
    observed_at: i64,
    #[n(4)]
    purge_at: i64,
}

impl<'a> StoredRecord<'a> {
    fn of(record: &'a Record) -> Self {
        Self {
            id: *record.id.as_bytes(),
            secret: *record.secret.as_bytes(),
            subject: record.subject.as_ref().map(Subject::as_str),
            class: record.class.as_str(),
            groups: unless_empty(&record.groups, GroupName::as_str),
            limits: StoredLimits::of(&record.limits),
            realm_epoch: unless(record.epochs.realm, 0),
            subject_epoch: unless(record.epochs.subject, 0),
            created_at: record.created_at.as_millis(),
            activated_at: record.activated_at.map(Timestamp::as_millis),
            reauthenticated_at: record.reauthenticated_at.map(Timestamp::as_millis),
            last_seen_at: record.last_seen_at.as_millis(),
            authentications: unless_empty(&record.authentications, StoredAuthentication::of),
            scopes: unless_empty(&record.scopes, StoredScope::of),
            next_slot: unless(record.next_slot, 1),
            client: StoredClient::of(&record.client),
            due_at: record.due_at.as_millis(),
            end: record.end.as_ref().map(StoredEnd::of),
            rotation: StoredRotation::of(&record.rotation),
        }
    }

    fn check(self) -> Result<Record, NameError> {
        Ok(Record {
            id: SessionId::from_bytes(self.id),
            secret: SecretHash::from_bytes(self.secret),
            rotation: self.rotation.map(StoredRotation::check).unwrap_or_default(),
            subject: self.subject.map(Subject::new).transpose()?,
            class: ClassName::new(self.class)?,
            groups: each(self.groups, GroupName::new)?,
            limits: StoredLimits::check(self.limits),
            epochs: Epochs {
                realm: self.realm_epoch.unwrap_or(0),
                subject: self.subject_epoch.unwrap_or(0),
            },
            created_at: Timestamp::from_millis(self.created_at),
            activated_at: self.activated_at.map(Timestamp::from_millis),
            reauthenticated_at: self.reauthenticated_at.map(Timestamp::from_millis),
            last_seen_at: Timestamp::from_millis(self.last_seen_at),
            authentications: each(self.authentications, |one| Ok(one.check()))?,
            scopes: each(self.scopes, StoredScope::check)?,
            next_slot: self.next_slot.unwrap_or(1),
            client: self.client.map(StoredClient::check).unwrap_or_default(),
            due_at: Timestamp::from_millis(self.due_at),
            end: self.end.map(StoredEnd::check).transpose()?,
        })
    }
}

impl StoredLimits {
    fn of(limits: &Limits) -> Option<Self> {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        (*limits != Limits::NONE).then(|| Self {
            idle: limits.idle_timeout.map(millis),
            absolute: limits.absolute_timeout.map(millis),
            unclaimed: limits.unclaimed_timeout.map(millis),
        })
    }

    fn check(stored: Option<Self>) -> Limits {
        stored.map_or(Limits::NONE, |stored| Limits {
            idle_timeout: stored.idle.map(Duration::from_millis),
            absolute_timeout: stored.absolute.map(Duration::from_millis),
            unclaimed_timeout: stored.unclaimed.map(Duration::from_millis),
        })
    }
}

impl<'a> StoredAuthentication<'a> {
    fn of(authentication: &'a Authentication) -> Self {
        let Authentication { method, level, at } = authentication;
        Self { method, level: *level, at: at.as_millis() }
    }

    fn check(self) -> Authentication {
        Authentication::new(self.method, self.level, Timestamp::from_millis(self.at))
    }
}

impl<'a> StoredScope<'a> {
    fn of(entry: &'a ScopeEntry) -> Self {
        Self {
            name: entry.name.as_str(),
            slot: entry.slot,
            limits: StoredLimits::of(&entry.limits),
            entered_at: entry.entered_at.as_millis(),
            last_seen_at: entry.last_seen_at.as_millis(),
        }
    }

    fn check(self) -> Result<ScopeEntry, NameError> {
        Ok(ScopeEntry {
            name: ScopeName::new(self.name)?,
            slot: self.slot,
            limits: StoredLimits::check(self.limits),
            entered_at: Timestamp::from_millis(self.entered_at),
            last_seen_at: Timestamp::from_millis(self.last_seen_at),
        })
    }
}

impl<'a> StoredClient<'a> {
    fn of(client: &'a Client) -> Option<Self> {
        let Client { address, agent, device } = client;
        (!client.is_empty()).then_some(Self {
            address: address.as_deref(),
            agent: agent.as_deref(),
            device: device.as_deref(),
        })
    }

    fn check(self) -> Client {
        let mut client = Client::default();
        if let Some(address) = self.address {
            client = client.with_address(address);
        }
        if let Some(agent) = self.agent {
            client = client.with_agent(agent);
        }
        if let Some(device) = self.device {
            client = client.with_device(device);
        }
        client
    }
}

impl StoredRotation {
    fn of(rotation: &Rotation) -> Option<Self> {
        let Rotation { generation, rotated_at, pending, previous } = rotation;
        (*rotation != Rotation::default()).then(|| Self {
            generation: unless(*generation, 0),
            rotated_at: rotated_at.map(Timestamp::as_millis),
            pending: pending.as_ref().map(|pending| StoredPending {
                secret: *pending.secret.as_bytes(),
                salt: *pending.salt.as_bytes(),
                minted_at: pending.minted_at.as_millis(),
            }),
            previous: previous.as_ref().map(|previous| StoredPrevious {
                secret: *previous.secret.as_bytes(),
                retired_at: previous.retired_at.as_millis(),
            }),
        })
    }

    fn check(self) -> Rotation {
        Rotation {
            generation: self.generation.unwrap_or(0),
            rotated_at: self.rotated_at.map(Timestamp::from_millis),
            pending: self.pending.map(|pending| Pending {
                secret: SecretHash::from_bytes(pending.secret),
                salt: Salt::from_bytes(pending.salt),
                minted_at: Timestamp::from_millis(pending.minted_at),
            }),
            previous: self.previous.map(|previous| Previous {
                secret: SecretHash::from_bytes(previous.secret),
                retired_at: Timestamp::from_millis(previous.retired_at),
            }),
        }
    }
}

impl StoredEnd {
    fn of(end: &End) -> Self {
        Self {
            reason: end.reason.code().to_owned(),
            actor: end.actor.code().into_owned(),
            at: end.at.as_millis(),
            observed_at: end.observed_at.as_millis(),
            purge_at: end.purge_at.as_millis(),
        }
    }

    fn check(self) -> Result<End, NameError> {
        Ok(End {
            reason: Reason::from_code(&self.reason)?,
            actor: Actor::from_code(&self.actor)?,
            at: Timestamp::from_millis(self.at),
            observed_at: Timestamp::from_millis(self.observed_at),
            purge_at: Timestamp::from_millis(self.purge_at),
        })
    }
}

fn unless<T: Copy + PartialEq>(value: T, usual: T) -> Option<T> {
    (value != usual).then_some(value)
}

fn unless_empty<'a, T, U>(list: &'a [T], of: impl Fn(&'a T) -> U) -> Option<Vec<U>> {
    (!list.is_empty()).then(|| list.iter().map(of).collect())
}

fn each<T, U>(
    list: Option<Vec<T>>,
    check: impl Fn(T) -> Result<U, NameError>,
) -> Result<Vec<U>, NameError> {
    list.into_iter().flatten().map(check).collect()
}

#[cfg(test)]
mod tests;
