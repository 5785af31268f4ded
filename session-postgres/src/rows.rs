//! From rows to records and events.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use session_core::store::{BadRow, Stored, StoredEvent};
use session_core::{
    Actor, ChangeId, ClassName, Client, EncodedData, End, Epochs, Event, EventKind, Limits, Mark,
    Marks, RaiseLog, Reason, Record, ScopeEntry, ScopeName, SecretHash, SessionId, Stamp,
    StoreError, StoreErrorKind, Subject, Timestamp,
};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use uuid::Uuid;

/// The format of a session's row that this program writes, and the only one that it reads.
pub(crate) const FORMAT: i32 = 1;

/// What [`stored`] reads, but for the data: of the session `s`, the marks `r` and `m`, and the realm `f`. A raise is
/// read only where it has ended the session.
pub(crate) const STORED: &str = "s.id, s.format, s.version, s.secret_hash, s.subject, s.class, s.realm_epoch, \
     s.subject_epoch, s.idle_timeout_ms, s.absolute_timeout_ms, s.unclaimed_timeout_ms, s.created_at, \
     s.activated_at, s.reauthenticated_at, s.seen_at, s.due_at, s.next_slot, s.end_reason, s.end_actor, \
     s.ended_at, s.end_observed_at, s.purge_at, s.address, s.agent, s.device, s.group_names, \
     s.authentications, s.scopes, s.scopes_seen::text, \
     r.version, r.epoch, r.stamp, CASE WHEN s.realm_epoch < r.epoch THEN r.raises::text END, \
     m.version, m.epoch, m.stamp, CASE WHEN s.subject_epoch < m.epoch THEN m.raises::text END, f.floor";

/// Reads a row of [`STORED`], and after it the data if it is asked for. The logs are kept from row to row.
pub(crate) fn stored(row: &Row, with_data: bool, logs: &mut Logs) -> Result<Stored, BadRow> {
    let mut columns = Columns::new(row);
    let id = match columns.id() {
        Ok(id) => id,
        Err(error) => return Err(BadRow { id: None, error }),
    };
    session(id, &mut columns, with_data, logs).map_err(|error| BadRow { id: Some(id), error })
}

/// The rest of a row whose id is known.
fn session(
    id: SessionId,
    columns: &mut Columns<'_>,
    with_data: bool,
    logs: &mut Logs,
) -> Result<Stored, StoreError> {
    let format: i32 = columns.value()?;
    if format != FORMAT {
        return Err(unknown_format(id, format));
    }
    let version = columns.version()?;
    let secret = columns.value::<&[u8]>()?;
    let secret = secret.try_into().map_err(|_| columns.bad("it has not 32 bytes"))?;
    let subject = columns.parsed_if_any(Subject::new)?;
    let class = columns.parsed(ClassName::new)?;
    let epochs = Epochs { realm: columns.number()?, subject: columns.number()? };
    let limits = Limits {
        idle_timeout: columns.duration()?,
        absolute_timeout: columns.duration()?,
        unclaimed_timeout: columns.duration()?,
    };
    let secret = SecretHash::from_bytes(secret);
    let mut record = Record::new(id, secret, class, limits, columns.instant()?);
    record.activated_at = columns.instant_if_any()?;
    record.reauthenticated_at = columns.instant_if_any()?;
    record.last_seen_at = columns.instant()?;
    record.due_at = columns.instant()?;
    record.next_slot = u32::try_from(columns.value::<i64>()?)
        .map_err(|_| columns.bad("it is no number of a scope entry"))?;
    record.end = end(columns)?;
    record.client = Client {
        address: columns.text_if_any()?.map(Box::from),
        agent: columns.text_if_any()?.map(Box::from),
        device: columns.text_if_any()?.map(Box::from),
    };
    record.groups = columns.json()?;
    record.authentications = columns.json()?;
    record.scopes = scopes(columns)?;
    record.epochs = epochs;
    let realm = mark(columns, epochs.realm, &mut logs.realm)?.unwrap_or_default();
    let own = mark(columns, epochs.subject, &mut logs.subject)?;
    let floor = columns.version_if_any()?.unwrap_or(0);
    let own = match &subject {
        None => Mark::default(),
        Some(_) => own.unwrap_or_else(|| absent(floor)),
    };
    record.subject = subject;
    let data = match with_data {
        true => columns.text_if_any()?.map(EncodedData::from_stored),
        false => None,
    };
    Ok(Stored { record, version, data, marks: Marks { realm, subject: own } })
}

fn unknown_format(id: SessionId, format: i32) -> StoreError {
    StoreError::new(
        StoreErrorKind::Unsupported,
        format!(
            "session {id}: its row has format {format}, this program knows format {FORMAT}; \
             use the newer program"
        ),
    )
}

fn end(columns: &mut Columns<'_>) -> Result<Option<End>, StoreError> {
    let reason = columns.parsed_if_any(Reason::from_code)?;
    let actor = columns.parsed_if_any(Actor::from_code)?;
    let at = columns.instant_if_any()?;
    let observed_at = columns.instant_if_any()?;
    let purge_at = columns.instant_if_any()?;
    match (reason, actor, at, observed_at, purge_at) {
        (None, None, None, None, None) => Ok(None),
        (Some(reason), Some(actor), Some(at), Some(observed_at), Some(purge_at)) => {
            Ok(Some(End { reason, actor, at, observed_at, purge_at }))
        }
        _ => Err(columns.bad("half an end")),
    }
}

/// An entry of a scope as the column `scopes` has it; its last activity is in `scopes_seen`.
#[derive(Deserialize, Serialize)]
pub(crate) struct ScopeColumn {
    name: ScopeName,
    slot: u32,
    entered_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idle_timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    absolute_timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unclaimed_timeout_ms: Option<u64>,
}

impl From<&ScopeEntry> for ScopeColumn {
    fn from(entry: &ScopeEntry) -> Self {
        let millis =
            |timeout: Option<Duration>| timeout.map(|timeout| millis(timeout).unsigned_abs());
        Self {
            name: entry.name.clone(),
            slot: entry.slot,
            entered_at: entry.entered_at,
            idle_timeout_ms: millis(entry.limits.idle_timeout),
            absolute_timeout_ms: millis(entry.limits.absolute_timeout),
            unclaimed_timeout_ms: millis(entry.limits.unclaimed_timeout),
        }
    }
}

fn scopes(columns: &mut Columns<'_>) -> Result<Vec<ScopeEntry>, StoreError> {
    let entries: Vec<ScopeColumn> = columns.json()?;
    let seen: BTreeMap<u32, Timestamp> = columns.json()?;
    entries
        .into_iter()
        .map(|entry| {
            let last_seen_at =
                *seen.get(&entry.slot).ok_or_else(|| columns.bad("no activity of a scope"))?;
            Ok(ScopeEntry {
                name: entry.name,
                slot: entry.slot,
                limits: Limits {
                    idle_timeout: entry.idle_timeout_ms.map(Duration::from_millis),
                    absolute_timeout: entry.absolute_timeout_ms.map(Duration::from_millis),
                    unclaimed_timeout: entry.unclaimed_timeout_ms.map(Duration::from_millis),
                },
                entered_at: entry.entered_at,
                last_seen_at,
            })
        })
        .collect()
}

/// Reads `version, epoch, stamp, raises` of a mark; `None` if it is not there.
pub(crate) fn mark(
    columns: &mut Columns<'_>,
    issued_under: u64,
    log: &mut LastLog,
) -> Result<Option<Mark>, StoreError> {
    let Some(version) = columns.version_if_any()? else {
        columns.skip(3);
        return Ok(None);
    };
    let epoch = columns.version()?;
    let stamp = columns.value::<Option<&[u8]>>()?.map(Stamp::new);
    let raise = log.read(columns)?.first_above(issued_under).cloned();
    Ok(Some(Mark { version, epoch, stamp, raise }))
}

/// The logs of raises that were read last: the rows of a page mostly have the same.
#[derive(Default)]
pub(crate) struct Logs {
    realm: LastLog,
    subject: LastLog,
}

/// A log of raises and its text. To compare a text is far quicker than to read it again.
#[derive(Default)]
pub(crate) struct LastLog {
    text: Option<String>,
    log: RaiseLog,
}

impl LastLog {
    fn read(&mut self, columns: &mut Columns<'_>) -> Result<&RaiseLog, StoreError> {
        let text = columns.text_if_any()?;
        if self.text.as_deref() != text {
            self.log = match text {
                None => RaiseLog::default(),
                Some(text) => serde_json::from_str(text).map_err(|error| columns.bad(error))?,
            };
            self.text = text.map(str::to_owned);
        }
        Ok(&self.log)
    }
}

/// The mark of a subject that has none.
pub(crate) fn absent(floor: u64) -> Mark {
    Mark { version: floor, epoch: floor, ..Mark::default() }
}

/// What [`event`] reads, in this order.
pub(crate) const EVENT: &str = "e.seq, e.change_id, e.kind, e.session, e.subject, e.reason, e.actor, e.at, \
     e.observed_at, e.purge_at, e.detail";

/// Reads [`EVENT`] from a place in a row on.
///
/// One that cannot be read whole is an event of the kind `damaged`, with what can be read of it: events have no
/// place for an error of one row, and whoever follows them has to get past it and to see it.
pub(crate) fn event(columns: &mut Columns<'_>) -> Result<StoredEvent, StoreError> {
    let sequence = columns.number()?;
    let damaged = EventKind::from_code("damaged").map_err(|error| columns.bad(error))?;
    let mut errors = Vec::new();
    let change = read(&mut errors, columns.value(), Uuid::nil());
    let mut event = Event {
        kind: read(&mut errors, columns.parsed(EventKind::from_code), damaged.clone()),
        session: read(&mut errors, columns.value::<Option<Uuid>>(), None).map(session_id),
        subject: read(&mut errors, columns.parsed_if_any(Subject::new), None),
        reason: read(&mut errors, columns.parsed_if_any(Reason::from_code), None),
        actor: read(&mut errors, columns.parsed(Actor::from_code), Actor::System),
        at: read(&mut errors, columns.instant(), Timestamp::from_millis(0)),
        observed_at: read(&mut errors, columns.instant(), Timestamp::from_millis(0)),
        purge_at: read(&mut errors, columns.instant(), Timestamp::MAX),
        detail: read(&mut errors, columns.json(), BTreeMap::new()),
    };
    if let Some(error) = errors.first() {
        let kind = std::mem::replace(&mut event.kind, damaged);
        event = event.with_detail("kind", kind.code()).with_detail("error", &error.to_string());
    }
    Ok(StoredEvent { sequence, change: ChangeId::from_bytes(*change.as_bytes()), event })
}

/// What was read, or what stands for it and the error noted.
fn read<T>(errors: &mut Vec<StoreError>, column: Result<T, StoreError>, otherwise: T) -> T {
    column.unwrap_or_else(|error| {
        errors.push(error);
        otherwise
    })
}

/// A duration as a column has it: whole milliseconds, at most as many as an instant may have.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

pub(crate) fn uuid(id: SessionId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

pub(crate) fn session_id(id: Uuid) -> SessionId {
    SessionId::from_bytes(*id.as_bytes())
}

/// The columns of a row, one after the other.
pub(crate) struct Columns<'a> {
    row: &'a Row,
    next: usize,
}

impl<'a> Columns<'a> {
    pub(crate) fn new(row: &'a Row) -> Self {
        Self { row, next: 0 }
    }

    pub(crate) fn skip(&mut self, columns: usize) {
        self.next += columns;
    }

    /// The error of the column that was read last.
    fn bad(&self, why: impl std::fmt::Display) -> StoreError {
        let column = self.next.saturating_sub(1);
        let name = self.row.columns().get(column).map_or("?", |column| column.name());
        let whose = match self.row.try_get::<_, Uuid>(0) {
            Ok(id) => format!("session {id}, "),
            Err(_) => String::new(),
        };
        StoreError::corrupt(format!("{whose}column {name}: {why}"))
    }

    pub(crate) fn value<T: FromSql<'a>>(&mut self) -> Result<T, StoreError> {
        let value = self.row.try_get(self.next);
        self.next += 1;
        value.map_err(|error| self.bad("it is not of the right type").with_source(error))
    }

    pub(crate) fn id(&mut self) -> Result<SessionId, StoreError> {
        self.value().map(session_id)
    }

    pub(crate) fn number(&mut self) -> Result<u64, StoreError> {
        let number: i64 = self.value()?;
        u64::try_from(number).map_err(|_| self.bad("it is negative"))
    }

    /// A version or an epoch: a number that can be moved on. A bigint ends at 2⁶³ − 1.
    pub(crate) fn version(&mut self) -> Result<u64, StoreError> {
        self.version_if_any()?.ok_or_else(|| self.bad("it is missing"))
    }

    pub(crate) fn version_if_any(&mut self) -> Result<Option<u64>, StoreError> {
        match self.number_if_any()? {
            Some(last) if last >= i64::MAX.unsigned_abs() => Err(self.bad("it cannot be moved on")),
            version => Ok(version),
        }
    }

    fn number_if_any(&mut self) -> Result<Option<u64>, StoreError> {
        let number: Option<i64> = self.value()?;
        number.map(u64::try_from).transpose().map_err(|_| self.bad("it is negative"))
    }

    fn instant(&mut self) -> Result<Timestamp, StoreError> {
        self.value().map(Timestamp::from_millis)
    }

    fn instant_if_any(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.value::<Option<i64>>()?.map(Timestamp::from_millis))
    }

    fn duration(&mut self) -> Result<Option<Duration>, StoreError> {
        Ok(self.number_if_any()?.map(Duration::from_millis))
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, StoreError> {
        self.text_if_any()?.ok_or_else(|| self.bad("it is missing"))
    }

    fn text_if_any(&mut self) -> Result<Option<&'a str>, StoreError> {
        self.value()
    }

    fn parsed<T, E: std::fmt::Display>(
        &mut self,
        parse: impl FnOnce(&'a str) -> Result<T, E>,
    ) -> Result<T, StoreError> {
        parse(self.text()?).map_err(|error| self.bad(error))
    }

    fn parsed_if_any<T, E: std::fmt::Display>(
        &mut self,
        parse: impl FnOnce(&'a str) -> Result<T, E>,
    ) -> Result<Option<T>, StoreError> {
        self.text_if_any()?.map(parse).transpose().map_err(|error| self.bad(error))
    }

    /// A list or a map; NULL is the empty one.
    pub(crate) fn json<T: Default + Deserialize<'a>>(&mut self) -> Result<T, StoreError> {
        match self.text_if_any()? {
            None => Ok(T::default()),
            Some(text) => serde_json::from_str(text).map_err(|error| self.bad(error)),
        }
    }
}
