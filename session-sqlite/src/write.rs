//! From records, marks and events to rows.

use std::time::Duration;

use rusqlite::{Connection, Statement, params};
use serde::Serialize;
use session_core::{
    ChangeId, DataWrite, EncodedData, Event, Insert, MarkWrite, Reason, Record, Replacement,
    Rotation, StoreError, StoreErrorKind, Subject, Timestamp,
};

use crate::error::Fault;
use crate::known::{Known, KnownMark, subject_of};
use crate::rows::{self, ScopeColumn};

/// Writes for a change, after everything has been looked at.
pub(crate) struct Write<'a> {
    pub(crate) db: &'a Connection,
    pub(crate) realm: &'a str,
    pub(crate) change: ChangeId,
}

impl Write<'_> {
    pub(crate) fn mark(&self, write: &MarkWrite, known: KnownMark) -> Result<(), Fault> {
        let version = int(known.version.saturating_add(1))?;
        let key = subject_of(&write.key);
        let change = self.change.as_bytes();
        if !known.exists {
            let epoch = int(known.epoch)?;
            self.db
                .prepare_cached(
                    "INSERT INTO marks (realm, subject, version, epoch, settled, change_id) \
                     VALUES (?1, ?2, ?3, ?4, ?4, ?5)",
                )?
                .execute(params![self.realm, key, version, epoch, change])?;
        } else {
            self.db
                .prepare_cached(
                    "UPDATE marks SET version = ?3, change_id = ?4 WHERE realm = ?1 AND subject = ?2",
                )?
                .execute(params![self.realm, key, version, change])?;
        }
        if let Some(raise) = &write.raise {
            let mut raises = known.raises;
            raises.push(raise.clone());
            self.db
                .prepare_cached(
                    "UPDATE marks SET epoch = ?3, raises = ?4 WHERE realm = ?1 AND subject = ?2",
                )?
                .execute(params![self.realm, key, int(raise.epoch)?, json(&raises)?])?;
        }
        if let Some(stamp) = &write.stamp {
            self.db
                .prepare_cached("UPDATE marks SET stamp = ?3 WHERE realm = ?1 AND subject = ?2")?
                .execute(params![self.realm, key, stamp.as_bytes()])?;
        }
        Ok(())
    }

    pub(crate) fn insert(&self, insert: &Insert) -> Result<(), Fault> {
        let record = &insert.record;
        let mut statement = self.db.prepare_cached(INSERT)?;
        self.bind_facts(&mut statement, 1, record)?;
        statement.raw_bind_parameter(28, self.realm)?;
        statement.raw_bind_parameter(29, record.id.to_string())?;
        statement.raw_bind_parameter(30, record.subject.as_ref().map(Subject::as_str))?;
        statement.raw_bind_parameter(31, record.due_at.as_millis())?;
        statement.raw_execute()?;
        let no = self.db.last_insert_rowid();
        if record.end.is_some() {
            self.end(no, record)?;
        }
        self.seen(no, record)?;
        match &insert.data {
            Some(data) => self.data(no, data),
            None => Ok(()),
        }
    }

    /// Columns that an index holds are written only when they change, so that most replacements leave every
    /// index alone.
    pub(crate) fn replace(&self, replacement: &Replacement, known: &Known) -> Result<(), Fault> {
        let record = &replacement.record;
        let mut statement = self.db.prepare_cached(UPDATE)?;
        let version = int(replacement.expected.saturating_add(1))?;
        self.bind_facts(&mut statement, version, record)?;
        statement.raw_bind_parameter(28, known.no)?;
        statement.raw_execute()?;
        if record.due_at.as_millis() != known.due_at {
            self.db
                .prepare_cached("UPDATE sessions SET due_at = ?1 WHERE no = ?2")?
                .execute(params![record.due_at.as_millis(), known.no])?;
        }
        if record.end.is_some() || known.ended {
            self.end(known.no, record)?;
        }
        if known.in_scopes {
            let kept = json_list(record.scopes.iter().map(|entry| entry.slot))?;
            self.db
                .prepare_cached(
                    "DELETE FROM touches WHERE session = ?1 AND slot > 0 \
                     AND slot NOT IN (SELECT value FROM json_each(coalesce(?2, '[]')))",
                )?
                .execute(params![known.no, kept])?;
        }
        self.seen(known.no, record)?;
        match &replacement.data {
            DataWrite::Keep => Ok(()),
            DataWrite::Set(data) => self.data(known.no, data),
            DataWrite::Drop => {
                self.db
                    .prepare_cached("DELETE FROM session_data WHERE session = ?1")?
                    .execute([known.no])?;
                Ok(())
            }
        }
    }

    /// Binds the parameters 1 to 27 of [`INSERT`] and [`UPDATE`].
    fn bind_facts(
        &self,
        statement: &mut Statement<'_>,
        version: i64,
        record: &Record,
    ) -> Result<(), Fault> {
        let millis = |timeout: Option<Duration>| timeout.map(rows::millis);
        let instant = |at: Option<Timestamp>| at.map(Timestamp::as_millis);
        statement.raw_bind_parameter(1, version)?;
        statement.raw_bind_parameter(2, rows::FORMAT)?;
        statement.raw_bind_parameter(3, self.change.as_bytes())?;
        statement.raw_bind_parameter(4, record.secret.as_bytes())?;
        let Rotation { generation, rotated_at, pending, previous } = &record.rotation;
        statement.raw_bind_parameter(5, generation)?;
        statement.raw_bind_parameter(6, instant(*rotated_at))?;
        statement.raw_bind_parameter(7, pending.as_ref().map(|next| next.secret.as_bytes()))?;
        statement.raw_bind_parameter(8, pending.as_ref().map(|next| next.salt.as_bytes()))?;
        statement.raw_bind_parameter(9, pending.as_ref().map(|next| next.minted_at.as_millis()))?;
        statement.raw_bind_parameter(10, previous.as_ref().map(|old| old.secret.as_bytes()))?;
        statement
            .raw_bind_parameter(11, previous.as_ref().map(|old| old.retired_at.as_millis()))?;
        statement.raw_bind_parameter(12, record.class.as_str())?;
        statement.raw_bind_parameter(13, int(record.epochs.realm)?)?;
        statement.raw_bind_parameter(14, int(record.epochs.subject)?)?;
        statement.raw_bind_parameter(15, millis(record.limits.idle_timeout))?;
        statement.raw_bind_parameter(16, millis(record.limits.absolute_timeout))?;
        statement.raw_bind_parameter(17, millis(record.limits.unclaimed_timeout))?;
        statement.raw_bind_parameter(18, record.created_at.as_millis())?;
        statement.raw_bind_parameter(19, instant(record.activated_at))?;
        statement.raw_bind_parameter(20, instant(record.reauthenticated_at))?;
        statement.raw_bind_parameter(21, record.next_slot)?;
        statement.raw_bind_parameter(22, record.client.address.as_deref())?;
        statement.raw_bind_parameter(23, record.client.agent.as_deref())?;
        statement.raw_bind_parameter(24, record.client.device.as_deref())?;
        statement.raw_bind_parameter(25, json_list(&record.groups)?)?;
        statement.raw_bind_parameter(26, json_list(&record.authentications)?)?;
        statement
            .raw_bind_parameter(27, json_list(record.scopes.iter().map(ScopeColumn::from))?)?;
        Ok(())
    }

    fn end(&self, no: i64, record: &Record) -> Result<(), Fault> {
        let end = record.end.as_ref();
        self.db
            .prepare_cached(
                "UPDATE sessions SET ended_at = ?2, end_observed_at = ?3, purge_at = ?4, \
                 end_reason = ?5, end_actor = ?6 WHERE no = ?1",
            )?
            .execute(params![
                no,
                end.map(|end| end.at.as_millis()),
                end.map(|end| end.observed_at.as_millis()),
                end.map(|end| end.purge_at.as_millis()),
                end.map(|end| end.reason.code()),
                end.map(|end| end.actor.code()),
            ])?;
        Ok(())
    }

    /// Raises the last activity, of the session and of its scopes.
    fn seen(&self, no: i64, record: &Record) -> Result<(), Fault> {
        let mut statement = self.db.prepare_cached(
            "INSERT INTO touches (session, slot, seen_at) VALUES (?1, ?2, ?3) \
             ON CONFLICT DO UPDATE SET seen_at = excluded.seen_at WHERE excluded.seen_at > seen_at",
        )?;
        statement.execute(params![no, 0, record.last_seen_at.as_millis()])?;
        for entry in &record.scopes {
            statement.execute(params![no, entry.slot, entry.last_seen_at.as_millis()])?;
        }
        Ok(())
    }

    fn data(&self, no: i64, data: &EncodedData) -> Result<(), Fault> {
        self.db
            .prepare_cached(
                "INSERT INTO session_data (session, data) VALUES (?1, ?2) \
                 ON CONFLICT DO UPDATE SET data = excluded.data",
            )?
            .execute(params![no, data.as_str()])?;
        Ok(())
    }

    pub(crate) fn event(&self, event: &Event) -> Result<(), Fault> {
        let detail = (!event.detail.is_empty()).then(|| json(&event.detail)).transpose()?;
        self.db
            .prepare_cached(
                "INSERT INTO events (realm, change_id, kind, session, subject, reason, actor, at, \
                 observed_at, purge_at, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?
            .execute(params![
                self.realm,
                self.change.as_bytes(),
                event.kind.code(),
                event.session.map(|session| session.to_string()),
                event.subject.as_ref().map(Subject::as_str),
                event.reason.as_ref().map(Reason::code),
                event.actor.code(),
                event.at.as_millis(),
                event.observed_at.as_millis(),
                event.purge_at.as_millis(),
                detail,
            ])?;
        Ok(())
    }
}

macro_rules! facts {
    () => {
        "version, format, change_id, secret_hash, generation, rotated_at, pending_hash, pending_salt, \
         pending_at, previous_hash, retired_at, class, realm_epoch, subject_epoch, idle_timeout_ms, \
         absolute_timeout_ms, unclaimed_timeout_ms, created_at, activated_at, reauthenticated_at, \
         next_slot, address, agent, device, group_names, authentications, scopes"
    };
}

macro_rules! values {
    () => {
        "?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, \
         ?21, ?22, ?23, ?24, ?25, ?26, ?27"
    };
}

const INSERT: &str = concat!(
    "INSERT INTO sessions (",
    facts!(),
    ", realm, id, subject, due_at) VALUES (",
    values!(),
    ", ?28, ?29, ?30, ?31)"
);

/// The subject is not among them: that of a session never changes.
const UPDATE: &str =
    concat!("UPDATE sessions SET (", facts!(), ") = (", values!(), ") WHERE no = ?28");

/// SQLite's integers end at 2⁶³ − 1.
pub(crate) fn int(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| {
        StoreError::new(
            StoreErrorKind::Invalid,
            format!("{number} is more than this store can count"),
        )
    })
}

fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| {
        StoreError::new(StoreErrorKind::Invalid, "this cannot be written as JSON")
            .with_source(error)
    })
}

/// A list as a column has it: NULL if it is empty.
fn json_list<T: Serialize>(
    list: impl IntoIterator<Item = T>,
) -> Result<Option<String>, StoreError> {
    let list: Vec<T> = list.into_iter().collect();
    (!list.is_empty()).then(|| json(&list)).transpose()
}
