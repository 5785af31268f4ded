//! What is read: one session, or many in an order.

use std::num::NonZeroUsize;

use rusqlite::{Connection, OptionalExtension, Params, Row, params};
use session_core::store::{
    BelowEpoch, Cursor, EventPage, EventQuery, Events, ListQuery, Order, Scan, Stored, StoredEvent,
};
use session_core::{
    EventKind, Mark, MarkKey, Marks, Realm, SessionId, StoreError, Subject, Timestamp,
};

use crate::error::Fault;
use crate::rows;

/// A session by its id.
pub(crate) fn load(db: &Connection, realm: &Realm, id: SessionId) -> Result<Option<Stored>, Fault> {
    let mut statement = db.prepare_cached("SELECT * FROM loaded WHERE realm = ?1 AND id = ?2")?;
    let mut found = statement.query(params![realm.as_str(), id.to_string()])?;
    let Some(row) = found.next()? else { return Ok(None) };
    rows::stored(row, true, &mut rows::Logs::default()).map(Some).map_err(|bad| bad.error.into())
}

/// The mark of a realm, and that of a subject.
pub(crate) fn marks(
    db: &Connection,
    realm: &Realm,
    subject: Option<&Subject>,
) -> Result<Marks, Fault> {
    let mut statement = db.prepare_cached(
        "SELECT r.version, r.epoch, r.stamp, NULL, m.version, m.epoch, m.stamp, NULL, \
         (SELECT floor FROM realms WHERE realm = ?1) FROM (SELECT 1) \
         LEFT JOIN marks r ON r.realm = ?1 AND r.subject = '' \
         LEFT JOIN marks m ON m.realm = ?1 AND m.subject = ?2",
    )?;
    let mut found = statement.query(params![realm.as_str(), subject.map(Subject::as_str)])?;
    let Some(row) = found.next()? else { return Ok(Marks::default()) };
    let mut columns = rows::Columns::new(row);
    let of_realm = rows::mark(&mut columns, u64::MAX, &mut rows::LastLog::default())?;
    let own = rows::mark(&mut columns, u64::MAX, &mut rows::LastLog::default())?;
    let floor = columns.version_if_any()?.unwrap_or(0);
    Ok(Marks {
        realm: of_realm.unwrap_or_default(),
        subject: match subject {
            Some(_) => own.unwrap_or_else(|| rows::absent(floor)),
            None => Mark::default(),
        },
    })
}

/// Sessions in order of their ids.
pub(crate) fn list(
    db: &Connection,
    realm: &Realm,
    query: &ListQuery,
    after: Option<&Cursor>,
) -> Result<Scan, Fault> {
    let realm = realm.as_str();
    let after = id_after(after)?;
    let limit = one_more(query.limit);
    match (&query.subject, query.with_ended) {
        (None, false) => scan(
            db,
            "SELECT * FROM stored WHERE realm = ?1 AND ended_at IS NULL AND id > ?2 ORDER BY id LIMIT ?3",
            params![realm, after, limit],
            query.limit,
            by_id,
        ),
        (None, true) => scan(
            db,
            "SELECT * FROM stored WHERE realm = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
            params![realm, after, limit],
            query.limit,
            by_id,
        ),
        (Some(subject), with_ended) => scan(
            db,
            if with_ended {
                "SELECT * FROM stored WHERE realm = ?1 AND subject = ?4 AND id > ?2 ORDER BY id LIMIT ?3"
            } else {
                "SELECT * FROM stored WHERE realm = ?1 AND subject = ?4 AND ended_at IS NULL AND id > ?2 \
                 ORDER BY id LIMIT ?3"
            },
            params![realm, after, limit, subject.as_str()],
            query.limit,
            by_id,
        ),
    }
}

/// Unended sessions whose time may have come.
pub(crate) fn due(
    db: &Connection,
    realm: &Realm,
    now: Timestamp,
    after: Option<&Cursor>,
    limit: NonZeroUsize,
) -> Result<Scan, Fault> {
    let (due_at, id) = after.map(due_after).transpose()?.unwrap_or((i64::MIN, ""));
    scan(
        db,
        "SELECT * FROM stored WHERE realm = ?1 AND ended_at IS NULL AND due_at <= ?2 \
         AND (due_at, id) > (?3, ?4) ORDER BY due_at, id LIMIT ?5",
        params![realm.as_str(), now.as_millis(), due_at, id, one_more(limit)],
        limit,
        |row| {
            let mut bytes = row.get::<_, i64>("due_at")?.to_be_bytes().to_vec();
            bytes.extend(row.get::<_, String>("id")?.into_bytes());
            Ok(Cursor::from_bytes(bytes))
        },
    )
}

/// Unended sessions that a mark has ended.
pub(crate) fn below_epoch(
    db: &Connection,
    realm: &Realm,
    after: Option<&Cursor>,
    limit: NonZeroUsize,
) -> Result<BelowEpoch, Fault> {
    let snapshot = db.unchecked_transaction()?;
    let unsettled = unsettled(&snapshot, realm, limit)?;
    let first = after.is_none();
    let after = id_after(after)?;
    // The realm's mark is the first in order. Only if it is unsettled can sessions of anybody be found.
    let of_realm = unsettled.first().filter(|(key, _)| *key == MarkKey::Realm);
    let scan = match of_realm {
        Some((_, epoch)) => scan(
            &snapshot,
            "SELECT * FROM stored v WHERE realm = ?1 AND ended_at IS NULL AND id > ?2 \
             AND (realm_epoch < ?4 OR EXISTS (SELECT 1 FROM marks \
                 WHERE realm = ?1 AND subject = v.subject AND settled < epoch AND v.subject_epoch < epoch)) \
             ORDER BY id LIMIT ?3",
            params![
                realm.as_str(),
                after,
                one_more(limit),
                i64::try_from(*epoch).unwrap_or(i64::MAX)
            ],
            limit,
            by_id,
        )?,
        None => scan(
            &snapshot,
            "SELECT * FROM stored WHERE no IN (\
                 SELECT s.no FROM marks m INDEXED BY marks_unsettled CROSS JOIN sessions s ON s.realm = m.realm AND s.subject = m.subject \
                 WHERE m.realm = ?1 AND m.settled < m.epoch AND s.ended_at IS NULL \
                 AND s.subject_epoch < m.epoch AND s.id > ?2 ORDER BY s.id LIMIT ?3) ORDER BY id",
            params![realm.as_str(), after, one_more(limit)],
            limit,
            by_id,
        )?,
    };
    Ok(BelowEpoch { scan, unsettled: if first { unsettled } else { Vec::new() } })
}

/// The first marks that are not settled. One that cannot be read is passed: it stays unsettled.
fn unsettled(
    db: &Connection,
    realm: &Realm,
    limit: NonZeroUsize,
) -> Result<Vec<(MarkKey, u64)>, Fault> {
    let mut statement = db.prepare_cached(
        "SELECT subject, epoch FROM marks INDEXED BY marks_unsettled \
         WHERE realm = ?1 AND settled < epoch ORDER BY subject",
    )?;
    let mut found = statement.query([realm.as_str()])?;
    let mut unsettled = Vec::new();
    while unsettled.len() < limit.get()
        && let Some(row) = found.next()?
    {
        unsettled.extend(unsettled_mark(row));
    }
    Ok(unsettled)
}

fn unsettled_mark(row: &Row<'_>) -> Option<(MarkKey, u64)> {
    let mut columns = rows::Columns::new(row);
    let key = match columns.text().ok()? {
        "" => MarkKey::Realm,
        subject => MarkKey::Subject(Subject::new(subject).ok()?),
    };
    Some((key, columns.version().ok()?))
}

/// Events in the order of their commits, or the reverse.
pub(crate) fn events(
    db: &Connection,
    realm: &Realm,
    query: &EventQuery,
    after: Option<&Cursor>,
) -> Result<Events, Fault> {
    let after = after.map(sequence_of).transpose()?;
    let snapshot = db.unchecked_transaction()?;
    let oldest_first = query.order == Order::OldestFirst;
    let purged = purged(&snapshot, realm)?;
    if oldest_first && after.is_some_and(|after| after < purged) {
        return Ok(Events::CursorExpired);
    }
    let mut events = found_events(&snapshot, realm, query, after)?;
    let more = events.len() > query.limit.get();
    events.truncate(query.limit.get());
    let reached = match (query.order, more) {
        // Writers take turns: whatever is committed later has a greater number than all there is.
        (Order::OldestFirst, false) => Some(last_sequence(&snapshot)?),
        (Order::NewestFirst, false) => None,
        _ => events.last().map(|stored| stored.sequence),
    };
    let next = reached.map(|sequence| Cursor::from_bytes(sequence.to_be_bytes()));
    Ok(Events::Page(EventPage { events, next, more }))
}

/// Up to one event more than asked for.
fn found_events(
    db: &Connection,
    realm: &Realm,
    query: &EventQuery,
    after: Option<u64>,
) -> Result<Vec<StoredEvent>, Fault> {
    const COLUMNS: &str = "SELECT seq, change_id, kind, session, subject, reason, actor, at, observed_at, \
                           purge_at, detail FROM events WHERE realm = ?1";
    const KINDS: &str = "(?2 IS NULL OR kind IN (SELECT value FROM json_each(?2)))";
    let kinds = (!query.kinds.is_empty()).then(|| {
        let codes: Vec<&str> = query.kinds.iter().map(EventKind::code).collect();
        serde_json::Value::from(codes).to_string()
    });
    let session = query.session.map(|session| session.to_string());
    let subject = query.subject.as_ref().map(Subject::as_str);
    // The text names only the columns that are asked for, so that SQLite finds the index that fits.
    let sql = format!(
        "{COLUMNS} AND {KINDS} AND at >= ?3 AND (?4 IS NULL OR at < ?4) AND {} AND {} AND seq {}",
        if session.is_some() { "session = ?5" } else { "?5 IS NULL" },
        if subject.is_some() { "subject = ?6" } else { "?6 IS NULL" },
        match query.order {
            Order::OldestFirst => "> ?7 ORDER BY seq LIMIT ?8",
            Order::NewestFirst => "< ?7 AND seq >= 0 ORDER BY seq DESC LIMIT ?8",
        }
    );
    let bound = match (query.order, after) {
        (Order::OldestFirst, None) => -1,
        (Order::NewestFirst, None) => i64::MAX,
        (_, Some(after)) => i64::try_from(after).unwrap_or(i64::MAX),
    };
    let mut statement = db.prepare_cached(&sql)?;
    let mut found = statement.query(params![
        realm.as_str(),
        kinds,
        query.from.map_or(i64::MIN, Timestamp::as_millis),
        query.until.map(Timestamp::as_millis),
        session,
        subject,
        bound,
        one_more(query.limit),
    ])?;
    let mut events = Vec::new();
    while let Some(row) = found.next()? {
        events.push(rows::event(row)?);
    }
    Ok(events)
}

fn purged(db: &Connection, realm: &Realm) -> Result<u64, Fault> {
    let purged: Option<i64> = db
        .prepare_cached("SELECT events_purged FROM realms WHERE realm = ?1")?
        .query_row([realm.as_str()], |row| row.get(0))
        .optional()?;
    Ok(purged.map_or(0, i64::unsigned_abs))
}

fn last_sequence(db: &Connection) -> Result<u64, Fault> {
    let last: Option<i64> = db
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'events'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(last.map_or(0, i64::unsigned_abs))
}

/// Reads up to `limit` sessions by a statement that finds one more if there is one.
fn scan(
    db: &Connection,
    sql: &str,
    params: impl Params,
    limit: NonZeroUsize,
    cursor: impl Fn(&Row<'_>) -> rusqlite::Result<Cursor>,
) -> Result<Scan, Fault> {
    let mut statement = db.prepare_cached(sql)?;
    let mut found = statement.query(params)?;
    let mut scan = Scan::default();
    let mut logs = rows::Logs::default();
    let mut last = None;
    while let Some(row) = found.next()? {
        if scan.rows.len() == limit.get() {
            scan.next = last;
            break;
        }
        scan.rows.push(rows::stored(row, false, &mut logs));
        if scan.rows.len() == limit.get() {
            last = Some(cursor(row)?);
        }
    }
    Ok(scan)
}

fn one_more(limit: NonZeroUsize) -> i64 {
    i64::try_from(limit.get()).unwrap_or(i64::MAX).saturating_add(1)
}

/// A cursor has the text of the id as the row has it, so that a row whose id cannot be read is passed.
fn by_id(row: &Row<'_>) -> rusqlite::Result<Cursor> {
    row.get::<_, String>("id").map(|id| Cursor::from_bytes(id.into_bytes()))
}

fn id_after(cursor: Option<&Cursor>) -> Result<&str, StoreError> {
    cursor.map_or(Ok(""), |cursor| text(cursor.as_bytes()))
}

fn due_after(cursor: &Cursor) -> Result<(i64, &str), StoreError> {
    let (due_at, id) =
        cursor.as_bytes().split_first_chunk().ok_or_else(StoreError::invalid_cursor)?;
    Ok((i64::from_be_bytes(*due_at), text(id)?))
}

fn sequence_of(cursor: &Cursor) -> Result<u64, StoreError> {
    cursor.as_bytes().try_into().map(u64::from_be_bytes).map_err(|_| StoreError::invalid_cursor())
}

fn text(bytes: &[u8]) -> Result<&str, StoreError> {
    std::str::from_utf8(bytes).map_err(|_| StoreError::invalid_cursor())
}
