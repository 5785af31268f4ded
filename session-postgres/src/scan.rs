//! What is read: one session, or many in an order.

use std::num::NonZeroUsize;

use session_core::store::{BelowEpoch, Cursor, ListQuery, Scan, Stored};
use session_core::{Mark, MarkKey, Marks, Realm, SessionId, StoreError, Subject, Timestamp};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::rows::{self, Columns};
use crate::server::{Param, Server};
use crate::statements::Statements;

/// Reads on a server.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) server: &'a Server,
    pub(crate) statements: &'a Statements,
}

impl Reader<'_> {
    /// A session by its id.
    pub(crate) async fn load(
        self,
        realm: &Realm,
        id: SessionId,
    ) -> Result<Option<Stored>, StoreError> {
        let (realm, id) = (realm.as_str(), rows::uuid(id));
        let params: [Param<'_>; 2] = [(&realm, Type::TEXT), (&id, Type::UUID)];
        let found = self.server.read(&self.statements.load, &params).await?;
        let Some(row) = found.first() else { return Ok(None) };
        rows::stored(row, true, &mut rows::Logs::default()).map(Some).map_err(|bad| bad.error)
    }

    /// The mark of a realm, and that of a subject.
    pub(crate) async fn marks(
        self,
        realm: &Realm,
        subject: Option<&Subject>,
    ) -> Result<Marks, StoreError> {
        let (realm, key) = (realm.as_str(), subject.map(Subject::as_str));
        let params: [Param<'_>; 2] = [(&realm, Type::TEXT), (&key, Type::TEXT)];
        let found = self.server.read(&self.statements.marks, &params).await?;
        let Some(row) = found.first() else { return Ok(Marks::default()) };
        let mut columns = Columns::new(row);
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
    pub(crate) async fn list(
        self,
        realm: &Realm,
        query: &ListQuery,
        after: Option<&Cursor>,
    ) -> Result<Scan, StoreError> {
        let Some(from) = id_from(after)? else { return Ok(Scan::default()) };
        let (realm, limit) = (realm.as_str(), one_more(query.limit));
        let mut params: Vec<Param<'_>> =
            vec![(&realm, Type::TEXT), (&from, Type::UUID), (&limit, Type::INT8)];
        let subject = query.subject.as_ref().map(Subject::as_str);
        if subject.is_some() {
            params.push((&subject, Type::TEXT));
        }
        let sql = match (subject, query.with_ended) {
            (None, false) => &self.statements.list,
            (None, true) => &self.statements.list_with_ended,
            (Some(_), false) => &self.statements.list_of_subject,
            (Some(_), true) => &self.statements.list_of_subject_with_ended,
        };
        let found = self.server.read(sql, &params).await?;
        scan(&found, query.limit, by_id)
    }

    /// Unended sessions whose time may have come.
    pub(crate) async fn due(
        self,
        realm: &Realm,
        now: Timestamp,
        after: Option<&Cursor>,
        limit: NonZeroUsize,
    ) -> Result<Scan, StoreError> {
        let Some((due_at, id)) = due_from(after)? else { return Ok(Scan::default()) };
        let (realm, now, most) = (realm.as_str(), now.as_millis(), one_more(limit));
        let params: [Param<'_>; 5] = [
            (&realm, Type::TEXT),
            (&now, Type::INT8),
            (&due_at, Type::INT8),
            (&id, Type::UUID),
            (&most, Type::INT8),
        ];
        let found = self.server.read(&self.statements.due, &params).await?;
        scan(&found, limit, |row| {
            let due_at: i64 = column(row, "due_at")?;
            let id: Uuid = column(row, "id")?;
            Ok(Cursor::from_bytes([&due_at.to_be_bytes()[..], id.as_bytes()].concat()))
        })
    }

    /// Unended sessions that a mark has ended.
    ///
    /// The marks are read before the sessions: what is named as unsettled was all raised before the scan began.
    pub(crate) async fn below_epoch(
        self,
        realm: &Realm,
        after: Option<&Cursor>,
        limit: NonZeroUsize,
    ) -> Result<BelowEpoch, StoreError> {
        let Some(from) = id_from(after)? else { return Ok(BelowEpoch::default()) };
        let unsettled = self.unsettled(realm, limit).await?;
        let Some((first, epoch)) = unsettled.first() else { return Ok(BelowEpoch::default()) };
        let (realm, most) = (realm.as_str(), one_more(limit));
        let epoch = i64::try_from(*epoch).unwrap_or(i64::MAX);
        let mut params: Vec<Param<'_>> =
            vec![(&realm, Type::TEXT), (&from, Type::UUID), (&most, Type::INT8)];
        // The realm's mark is the first in order. Only if it is unsettled can sessions of anybody be found.
        let sql = match first {
            MarkKey::Realm => {
                params.push((&epoch, Type::INT8));
                &self.statements.below_epoch_of_realm
            }
            MarkKey::Subject(_) => &self.statements.below_epoch_of_subjects,
        };
        let found = self.server.read(sql, &params).await?;
        let scan = scan(&found, limit, by_id)?;
        Ok(BelowEpoch { scan, unsettled: if after.is_none() { unsettled } else { Vec::new() } })
    }

    /// The first marks that are not settled. One that cannot be read is passed: it stays unsettled.
    async fn unsettled(
        self,
        realm: &Realm,
        limit: NonZeroUsize,
    ) -> Result<Vec<(MarkKey, u64)>, StoreError> {
        let (realm, most) = (realm.as_str(), one_more(limit));
        let params: [Param<'_>; 2] = [(&realm, Type::TEXT), (&most, Type::INT8)];
        let found = self.server.read(&self.statements.unsettled, &params).await?;
        Ok(found.iter().filter_map(unsettled_mark).take(limit.get()).collect())
    }
}

fn unsettled_mark(row: &Row) -> Option<(MarkKey, u64)> {
    let mut columns = Columns::new(row);
    let key = match columns.text().ok()? {
        "" => MarkKey::Realm,
        subject => MarkKey::Subject(Subject::new(subject).ok()?),
    };
    Some((key, columns.version().ok()?))
}

/// The first `limit` of the rows found, and where to go on if there is one more.
fn scan(
    found: &[Row],
    limit: NonZeroUsize,
    cursor: impl Fn(&Row) -> Result<Cursor, StoreError>,
) -> Result<Scan, StoreError> {
    let mut logs = rows::Logs::default();
    let page = &found[..found.len().min(limit.get())];
    let next = match page.last() {
        Some(last) if found.len() > page.len() => Some(cursor(last)?),
        _ => None,
    };
    Ok(Scan { rows: page.iter().map(|row| rows::stored(row, false, &mut logs)).collect(), next })
}

pub(crate) fn one_more(limit: NonZeroUsize) -> i64 {
    most(limit).saturating_add(1)
}

pub(crate) fn most(limit: NonZeroUsize) -> i64 {
    i64::try_from(limit.get()).unwrap_or(i64::MAX)
}

fn column<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a Row,
    name: &str,
) -> Result<T, StoreError> {
    row.try_get(name).map_err(|error| StoreError::corrupt("a column is missing").with_source(error))
}

fn by_id(row: &Row) -> Result<Cursor, StoreError> {
    column::<Uuid>(row, "id").map(|id| Cursor::from_bytes(*id.as_bytes()))
}

/// The first id that comes after a cursor; none after the last of all.
fn id_from(cursor: Option<&Cursor>) -> Result<Option<Uuid>, StoreError> {
    cursor.map_or(Ok(Some(Uuid::nil())), |cursor| uuid_of(cursor.as_bytes()).map(following))
}

/// The first place that comes after a cursor in the order of the due; none after the last of all.
fn due_from(cursor: Option<&Cursor>) -> Result<Option<(i64, Uuid)>, StoreError> {
    let Some(cursor) = cursor else { return Ok(Some((i64::MIN, Uuid::nil()))) };
    let (due_at, id) =
        cursor.as_bytes().split_first_chunk().ok_or_else(StoreError::invalid_cursor)?;
    let due_at = i64::from_be_bytes(*due_at);
    Ok(match following(uuid_of(id)?) {
        Some(id) => Some((due_at, id)),
        None => due_at.checked_add(1).map(|due_at| (due_at, Uuid::nil())),
    })
}

fn following(id: Uuid) -> Option<Uuid> {
    id.as_u128().checked_add(1).map(Uuid::from_u128)
}

fn uuid_of(bytes: &[u8]) -> Result<Uuid, StoreError> {
    Uuid::from_slice(bytes).map_err(|_| StoreError::invalid_cursor())
}
