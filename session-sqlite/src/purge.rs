//! What is removed, for its age or because its subject asks for it.

use std::num::NonZeroUsize;

use rusqlite::{Connection, OptionalExtension, params};
use session_core::store::Purged;
use session_core::{Realm, Subject, Timestamp};

use crate::error::Fault;

/// Removes what is old enough.
pub(crate) fn purge(
    db: &Connection,
    realm: &Realm,
    now: Timestamp,
    limit: NonZeroUsize,
) -> Result<Purged, Fault> {
    let realm = realm.as_str();
    let most = most(limit);
    let records = numbers(
        db,
        "SELECT no FROM sessions WHERE realm = ?1 AND ended_at IS NOT NULL AND purge_at <= ?2 \
         ORDER BY purge_at, id LIMIT ?3",
        params![realm, now.as_millis(), most],
    )?;
    let events = numbers(
        db,
        "SELECT seq FROM events WHERE realm = ?1 AND purge_at <= ?2 ORDER BY purge_at, seq LIMIT ?3",
        params![realm, now.as_millis(), most],
    )?;
    if let Some(last) = events.iter().max() {
        db.prepare_cached(
            "INSERT INTO realms (realm, floor, events_purged) VALUES (?1, 0, ?2) ON CONFLICT DO UPDATE \
             SET events_purged = excluded.events_purged WHERE excluded.events_purged > events_purged",
        )?
        .execute(params![realm, last])?;
    }
    remove(db, &records, &events, limit)
}

/// Removes what has ended and what is told of a subject; and his mark, once nothing else is left.
pub(crate) fn erase(
    db: &Connection,
    realm: &Realm,
    subject: &Subject,
    limit: NonZeroUsize,
) -> Result<Purged, Fault> {
    let key = params![realm.as_str(), subject.as_str()];
    let records = numbers(
        db,
        "SELECT no FROM sessions WHERE realm = ?1 AND subject = ?2 AND ended_at IS NOT NULL \
         ORDER BY id LIMIT ?3",
        params![realm.as_str(), subject.as_str(), most(limit)],
    )?;
    let events = numbers(
        db,
        "SELECT seq FROM events WHERE realm = ?1 AND subject = ?2 ORDER BY seq LIMIT ?3",
        params![realm.as_str(), subject.as_str(), most(limit)],
    )?;
    let erased = remove(db, &records, &events, limit)?;
    let left: bool = db
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM sessions WHERE realm = ?1 AND subject = ?2) \
             OR EXISTS (SELECT 1 FROM events WHERE realm = ?1 AND subject = ?2)",
        )?
        .query_row(key, |row| row.get(0))?;
    if left {
        return Ok(erased);
    }
    let floor: Option<i64> = db
        .prepare_cached(
            "DELETE FROM marks WHERE realm = ?1 AND subject = ?2 RETURNING max(version, epoch) + 1",
        )?
        .query_row(key, |row| row.get(0))
        .optional()?;
    if let Some(floor) = floor {
        db.prepare_cached(
            "INSERT INTO realms (realm, floor, events_purged) VALUES (?1, ?2, 0) \
             ON CONFLICT DO UPDATE SET floor = excluded.floor WHERE excluded.floor > floor",
        )?
        .execute(params![realm.as_str(), floor])?;
    }
    Ok(erased)
}

fn remove(
    db: &Connection,
    records: &[i64],
    events: &[i64],
    limit: NonZeroUsize,
) -> Result<Purged, Fault> {
    for no in records {
        // A trigger of the schema removes its data and its activity.
        db.prepare_cached("DELETE FROM sessions WHERE no = ?1")?.execute([no])?;
    }
    for sequence in events {
        db.prepare_cached("DELETE FROM events WHERE seq = ?1")?.execute([sequence])?;
    }
    let full = |removed: &[i64]| removed.len() >= limit.get();
    let more = full(records) || full(events);
    Ok(Purged { records: records.len(), events: events.len(), more })
}

fn numbers(
    db: &Connection,
    sql: &str,
    params: &[&dyn rusqlite::ToSql],
) -> rusqlite::Result<Vec<i64>> {
    db.prepare_cached(sql)?.query_map(params, |row| row.get(0))?.collect()
}

fn most(limit: NonZeroUsize) -> i64 {
    i64::try_from(limit.get()).unwrap_or(i64::MAX)
}
