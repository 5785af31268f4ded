//! Events, in an order in which nothing comes in between later.
//!
//! The sequence of an event is the number of its transaction and its place in that. Transactions get their numbers
//! when they begin to write, and end in any order. So what follows along is answered only up to the first
//! transaction that is still under way when it asks (`pg_snapshot_xmin`): nothing can precede that any more. What is
//! committed beyond it is waited for, a little.

use std::time::Duration;

use session_core::store::{Cursor, EventPage, EventQuery, Events, Order, StoredEvent};
use session_core::{EventKind, Realm, StoreError, Subject, Timestamp};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::rows::{self, Columns, EVENT};
use crate::scan::{Reader, one_more};
use crate::server::Param;

/// How long to wait at first for a transaction that is under way; twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// One answer of the server.
struct Answer {
    /// Up to one event more than asked for.
    events: Vec<StoredEvent>,
    /// Events up to this one may have been purged.
    purged: i64,
    /// The last event of the realm that nothing can precede any more, wanted or not.
    settled: Option<i64>,
    /// From here on an event may still be preceded by another.
    horizon: i64,
    /// The last event that is wanted and committed, but beyond the horizon.
    unsettled: Option<i64>,
}

impl Reader<'_> {
    /// Events in the order of their transactions, or the reverse.
    pub(crate) async fn events(
        self,
        realm: &Realm,
        query: &EventQuery,
        after: Option<&Cursor>,
        settle_wait: Duration,
    ) -> Result<Events, StoreError> {
        let after = after.map(sequence_of).transpose()?;
        let mut answer = self.answer(realm, query, after).await?;
        if query.order == Order::OldestFirst {
            // What was committed before the question is to be in the answer.
            let committed = answer.unsettled.unwrap_or(-1);
            let (mut pause, mut left) = (FIRST_PAUSE, settle_wait);
            while answer.events.len() <= query.limit.get()
                && answer.horizon <= committed
                && !left.is_zero()
            {
                tokio::time::sleep(pause.min(left)).await;
                left = left.saturating_sub(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
                answer = self.answer(realm, query, after).await?;
            }
            if after.is_some_and(|after| after < answer.purged) {
                return Ok(Events::CursorExpired);
            }
        }
        let mut events = answer.events;
        let more = events.len() > query.limit.get();
        events.truncate(query.limit.get());
        let last = events.last().map(|stored| stored.sequence.cast_signed());
        let reached = match (query.order, more) {
            // All that there is has been looked at, wanted or not, and what was purged is not missed.
            (Order::OldestFirst, false) => {
                let purged = answer.purged.min(answer.horizon - 1);
                Some(purged.max(answer.settled.unwrap_or(0)).max(after.unwrap_or(0)))
            }
            (Order::NewestFirst, false) => None,
            _ => last,
        };
        let next = reached.map(|sequence| Cursor::from_bytes(sequence.to_be_bytes()));
        Ok(Events::Page(EventPage { events, next, more }))
    }

    async fn answer(
        self,
        realm: &Realm,
        query: &EventQuery,
        after: Option<i64>,
    ) -> Result<Answer, StoreError> {
        let schema = &self.statements.schema;
        let realm = realm.as_str();
        let from = query.from.map_or(i64::MIN, Timestamp::as_millis);
        let until = query.until.map(Timestamp::as_millis);
        let kinds: Vec<&str> = query.kinds.iter().map(EventKind::code).collect();
        let session = query.session.map(rows::uuid);
        let subject = query.subject.as_ref().map(Subject::as_str);
        let bound = match (query.order, after) {
            (Order::OldestFirst, None) => -1,
            (Order::NewestFirst, None) => i64::MAX,
            (_, Some(after)) => after,
        };
        let limit = one_more(query.limit);
        let mut params: Vec<Param<'_>> = vec![
            (&realm, Type::TEXT),
            (&bound, Type::INT8),
            (&limit, Type::INT8),
            (&from, Type::INT8),
            (&until, Type::INT8),
            (&kinds, Type::TEXT_ARRAY),
        ];
        // The text names only the columns that are asked for, so that the server finds the index that fits.
        let mut filter = String::from(
            "e.realm = $1 AND e.at >= $4 AND ($5::bigint IS NULL OR e.at < $5) \
             AND ($6 = '{}' OR e.kind = ANY ($6))",
        );
        if session.is_some() {
            params.push((&session, Type::UUID));
            filter.push_str(&format!(" AND e.session = ${}", params.len()));
        }
        if subject.is_some() {
            params.push((&subject, Type::TEXT));
            filter.push_str(&format!(" AND e.subject = ${}", params.len()));
        }
        let (found, unsettled) = match query.order {
            Order::OldestFirst => (
                "e.seq > $2 AND e.seq < h.horizon ORDER BY e.seq LIMIT $3",
                format!(
                    "(SELECT max(e.seq) FROM {schema}.events e \
                     WHERE {filter} AND e.seq > $2 AND e.seq >= h.horizon)"
                ),
            ),
            Order::NewestFirst => {
                ("e.seq < $2 AND e.seq >= 0 ORDER BY e.seq DESC LIMIT $3", "NULL::bigint".into())
            }
        };
        // The head is told once, and not found anew for each row.
        let sql = format!(
            "WITH head AS MATERIALIZED (\
             SELECT coalesce(p.events_purged, 0) AS purged, \
             (SELECT max(l.seq) FROM {schema}.events l WHERE l.realm = $1 AND l.seq < h.horizon) AS settled, \
             h.horizon, {unsettled} AS unsettled \
             FROM (SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::bigint + xact_offset) << 20 \
                   AS horizon FROM {schema}.session_engine_meta WHERE one) h \
             LEFT JOIN {schema}.realms p ON p.realm = $1) \
             SELECT h.purged, h.settled, h.horizon, h.unsettled, {EVENT} FROM head h \
             LEFT JOIN LATERAL (SELECT * FROM {schema}.events e WHERE {filter} AND {found}) e ON true"
        );
        answer_of(&self.server.read(&sql, &params).await?)
    }
}

fn answer_of(found: &[Row]) -> Result<Answer, StoreError> {
    let first =
        found.first().ok_or_else(|| StoreError::corrupt("session_engine_meta has no row"))?;
    let mut columns = Columns::new(first);
    let (purged, settled) = (columns.value()?, columns.value()?);
    let (horizon, unsettled) = (columns.value()?, columns.value()?);
    let mut events = Vec::new();
    for row in found {
        let mut columns = Columns::new(row);
        columns.skip(HEAD);
        if row.try_get::<_, Option<i64>>(HEAD).is_ok_and(|sequence| sequence.is_some()) {
            events.push(rows::event(&mut columns)?);
        }
    }
    Ok(Answer { events, purged, settled, horizon, unsettled })
}

/// The columns before those of the event.
const HEAD: usize = 4;

fn sequence_of(cursor: &Cursor) -> Result<i64, StoreError> {
    let bytes = cursor.as_bytes().try_into().map_err(|_| StoreError::invalid_cursor())?;
    Ok(i64::try_from(u64::from_be_bytes(bytes)).unwrap_or(i64::MAX))
}
