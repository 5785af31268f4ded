//! What a change does to the tables.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Statement, params};
use serde::Serialize;
use session_core::store::{Outcome, Touch, Touched};
use session_core::{
    Change, ChangeId, DataWrite, EncodedData, Event, Insert, MarkKey, MarkWrite, RaiseLog, Realm,
    Reason, Record, Replacement, SessionId, StoreError, StoreErrorKind, Subject, Timestamp,
};

use crate::rows::{self, ScopeColumn};

/// What goes wrong in a transaction.
pub(crate) enum Fault {
    /// SQLite refused.
    Sqlite(rusqlite::Error),
    /// What is stored, or asked, cannot be.
    Store(StoreError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Carries out a change. Everything is looked at before anything is written, so that a conflict leaves
/// nothing to take back.
pub(crate) fn commit(db: &Connection, realm: &Realm, change: &Change) -> Result<Outcome, Fault> {
    let write = Write { db, realm: realm.as_str(), change: change.id() };
    let marks = each(change.marks(), |mark| write.known_mark(&mark.key))?;
    let inserts = each(change.inserts(), |insert| write.known(insert.record.id))?;
    let replaced = each(change.replacements(), |replacement| write.known(replacement.record.id))?;
    if marks.iter().any(|mark| mark.ours)
        || inserts.iter().chain(&replaced).flatten().any(|known| known.ours)
    {
        return Ok(Outcome::Applied);
    }
    if let Some(conflict) = conflict(change, &marks, &inserts, &replaced) {
        return Ok(conflict);
    }
    for known in replaced.iter().flatten() {
        known.check()?;
    }
    for (mark, known) in change.marks().iter().zip(marks) {
        write.mark(mark, known)?;
    }
    for insert in change.inserts() {
        write.insert(insert)?;
    }
    for (replacement, known) in change.replacements().iter().zip(replaced.iter().flatten()) {
        write.replace(replacement, known)?;
    }
    for reschedule in change.reschedules() {
        db.prepare_cached(
            "UPDATE sessions SET due_at = ?1 \
             WHERE realm = ?2 AND id = ?3 AND version = ?4 AND ended_at IS NULL",
        )?
        .execute(params![
            reschedule.due_at.as_millis(),
            write.realm,
            reschedule.id.to_string(),
            int(reschedule.expected)?
        ])?;
    }
    for settle in change.settles() {
        db.prepare_cached(
            "UPDATE marks SET settled = ?1 WHERE realm = ?2 AND subject = ?3 AND settled < ?1",
        )?
        .execute(params![int(settle.epoch)?, write.realm, subject_of(&settle.key)])?;
    }
    for event in change.events() {
        write.event(event)?;
    }
    Ok(Outcome::Applied)
}

/// Records activity.
pub(crate) fn touch(db: &Connection, realm: &Realm, touch: &Touch) -> Result<Touched, Fault> {
    let known: Option<(i64, bool, Option<i64>)> = db
        .prepare_cached(
            "SELECT s.no, s.ended_at IS NOT NULL, t.seen_at FROM sessions s \
             LEFT JOIN touches t ON t.session = s.no AND t.slot = ?3 WHERE s.realm = ?1 AND s.id = ?2",
        )?
        .query_row(params![realm.as_str(), touch.id.to_string(), touch.slot], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let Some((no, false, Some(seen))) = known else { return Ok(Touched::NotLive) };
    let seen = Timestamp::from_millis(seen);
    if seen > touch.if_before {
        return Ok(Touched::Fresh);
    }
    if seen <= touch.if_after {
        return Ok(Touched::NotLive);
    }
    if touch.seen_at > seen {
        db.prepare_cached("UPDATE touches SET seen_at = ?1 WHERE session = ?2 AND slot = ?3")?
            .execute(params![touch.seen_at.as_millis(), no, touch.slot])?;
    }
    Ok(Touched::Touched)
}

fn conflict(
    change: &Change,
    marks: &[KnownMark],
    inserts: &[Option<Known>],
    replaced: &[Option<Known>],
) -> Option<Outcome> {
    for (write, known) in change.marks().iter().zip(marks) {
        if known.version != write.expected {
            return Some(Outcome::Fenced(write.key.clone()));
        }
    }
    for (at, (insert, known)) in change.inserts().iter().zip(inserts).enumerate() {
        let id = insert.record.id;
        if known.is_some() || change.inserts()[..at].iter().any(|other| other.record.id == id) {
            return Some(Outcome::Exists(id));
        }
    }
    for (at, (replacement, known)) in change.replacements().iter().zip(replaced).enumerate() {
        let id = replacement.record.id;
        let as_read = known.as_ref().is_some_and(|known| {
            u64::try_from(known.version) == Ok(replacement.expected)
                && replacement.decided_on.is_none_or(|seen| known.seen_at <= Some(seen.as_millis()))
        });
        if !as_read || change.replacements()[..at].iter().any(|other| other.record.id == id) {
            return Some(Outcome::Moved(id));
        }
    }
    None
}

/// A session as a change finds it.
struct Known {
    no: i64,
    id: SessionId,
    format: i64,
    version: i64,
    ours: bool,
    seen_at: Option<i64>,
    due_at: i64,
    ended: bool,
    in_scopes: bool,
}

impl Known {
    /// Nothing is written over what cannot be read.
    fn check(&self) -> Result<(), StoreError> {
        if self.format != rows::FORMAT {
            return Err(rows::unknown_format(self.id, self.format));
        }
        match self.seen_at {
            Some(_) => Ok(()),
            None => {
                Err(StoreError::corrupt(format!("session {}: it has no last activity", self.id)))
            }
        }
    }
}

/// A mark as a change finds it, or the floor in its place.
struct KnownMark {
    version: u64,
    epoch: u64,
    exists: bool,
    ours: bool,
    raises: RaiseLog,
}

struct Write<'a> {
    db: &'a Connection,
    realm: &'a str,
    change: ChangeId,
}

impl Write<'_> {
    fn known(&self, id: SessionId) -> Result<Option<Known>, Fault> {
        let known = self
            .db
            .prepare_cached(
                "SELECT s.no, s.format, s.version, s.change_id = ?3, t.seen_at, s.due_at, \
                 s.ended_at IS NOT NULL, s.scopes IS NOT NULL \
                 FROM sessions s LEFT JOIN touches t ON t.session = s.no AND t.slot = 0 \
                 WHERE s.realm = ?1 AND s.id = ?2",
            )?
            .query_row(params![self.realm, id.to_string(), self.change.as_bytes()], |row| {
                Ok(Known {
                    id,
                    no: row.get(0)?,
                    format: row.get(1)?,
                    version: row.get(2)?,
                    ours: row.get(3)?,
                    seen_at: row.get(4)?,
                    due_at: row.get(5)?,
                    ended: row.get(6)?,
                    in_scopes: row.get(7)?,
                })
            })
            .optional()?;
        Ok(known)
    }

    fn known_mark(&self, key: &MarkKey) -> Result<KnownMark, Fault> {
        let mut statement = self.db.prepare_cached(
            "SELECT version, epoch, change_id = ?3, raises FROM marks WHERE realm = ?1 AND subject = ?2",
        )?;
        let mut found =
            statement.query(params![self.realm, subject_of(key), self.change.as_bytes()])?;
        if let Some(row) = found.next()? {
            let mut columns = rows::Columns::new(row);
            return Ok(KnownMark {
                version: columns.number()?,
                epoch: columns.number()?,
                exists: true,
                ours: columns.number()? != 0,
                raises: columns.json()?,
            });
        }
        let floor = match key {
            MarkKey::Realm => 0,
            MarkKey::Subject(_) => floor(self.db, self.realm)?,
        };
        let raises = RaiseLog::default();
        Ok(KnownMark { version: floor, epoch: floor, exists: false, ours: false, raises })
    }

    fn mark(&self, write: &MarkWrite, known: KnownMark) -> Result<(), Fault> {
        let version = int(known.version + 1)?;
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

    fn insert(&self, insert: &Insert) -> Result<(), Fault> {
        let record = &insert.record;
        let mut statement = self.db.prepare_cached(INSERT)?;
        self.bind_facts(&mut statement, 1, record)?;
        statement.raw_bind_parameter(21, self.realm)?;
        statement.raw_bind_parameter(22, record.id.to_string())?;
        statement.raw_bind_parameter(23, record.subject.as_ref().map(Subject::as_str))?;
        statement.raw_bind_parameter(24, record.due_at.as_millis())?;
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
    fn replace(&self, replacement: &Replacement, known: &Known) -> Result<(), Fault> {
        let record = &replacement.record;
        let mut statement = self.db.prepare_cached(UPDATE)?;
        self.bind_facts(&mut statement, known.version + 1, record)?;
        statement.raw_bind_parameter(21, known.no)?;
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

    /// Binds the parameters 1 to 20 of [`INSERT`] and [`UPDATE`].
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
        statement.raw_bind_parameter(5, record.class.as_str())?;
        statement.raw_bind_parameter(6, int(record.epochs.realm)?)?;
        statement.raw_bind_parameter(7, int(record.epochs.subject)?)?;
        statement.raw_bind_parameter(8, millis(record.limits.idle_timeout))?;
        statement.raw_bind_parameter(9, millis(record.limits.absolute_timeout))?;
        statement.raw_bind_parameter(10, millis(record.limits.unclaimed_timeout))?;
        statement.raw_bind_parameter(11, record.created_at.as_millis())?;
        statement.raw_bind_parameter(12, instant(record.activated_at))?;
        statement.raw_bind_parameter(13, instant(record.reauthenticated_at))?;
        statement.raw_bind_parameter(14, record.next_slot)?;
        statement.raw_bind_parameter(15, record.client.address.as_deref())?;
        statement.raw_bind_parameter(16, record.client.agent.as_deref())?;
        statement.raw_bind_parameter(17, record.client.device.as_deref())?;
        statement.raw_bind_parameter(18, json_list(&record.groups)?)?;
        statement.raw_bind_parameter(19, json_list(&record.authentications)?)?;
        statement
            .raw_bind_parameter(20, json_list(record.scopes.iter().map(ScopeColumn::from))?)?;
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
                end.map(|end| end.actor.to_string()),
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

    fn event(&self, event: &Event) -> Result<(), Fault> {
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
                event.actor.to_string(),
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
        "version, format, change_id, secret_hash, class, realm_epoch, subject_epoch, idle_timeout_ms, \
         absolute_timeout_ms, unclaimed_timeout_ms, created_at, activated_at, reauthenticated_at, \
         next_slot, address, agent, device, group_names, authentications, scopes"
    };
}

macro_rules! values {
    () => {
        "?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20"
    };
}

const INSERT: &str = concat!(
    "INSERT INTO sessions (",
    facts!(),
    ", realm, id, subject, due_at) VALUES (",
    values!(),
    ", ?21, ?22, ?23, ?24)"
);

/// The subject is not among them: that of a session never changes.
const UPDATE: &str =
    concat!("UPDATE sessions SET (", facts!(), ") = (", values!(), ") WHERE no = ?21");

/// The version and epoch of a subject's mark that is not there.
pub(crate) fn floor(db: &Connection, realm: &str) -> rusqlite::Result<u64> {
    let floor: Option<i64> = db
        .prepare_cached("SELECT floor FROM realms WHERE realm = ?1")?
        .query_row([realm], |row| row.get(0))
        .optional()?;
    Ok(floor.map_or(0, i64::unsigned_abs))
}

/// The text of the column `subject` of a mark. No subject is empty.
pub(crate) fn subject_of(key: &MarkKey) -> &str {
    match key {
        MarkKey::Realm => "",
        MarkKey::Subject(subject) => subject.as_str(),
    }
}

/// SQLite's integers end at 2⁶³ − 1.
fn int(number: u64) -> Result<i64, StoreError> {
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

fn each<T, R>(of: &[T], ask: impl FnMut(&T) -> Result<R, Fault>) -> Result<Vec<R>, Fault> {
    of.iter().map(ask).collect()
}
