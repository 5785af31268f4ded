//! The store.

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use async_trait::async_trait;
use session_core::store::{
    BelowEpoch, Cursor, EventQuery, Events, ListQuery, Outcome, Purged, Scan, Stored, Touch,
    Touched,
};
use session_core::{
    Change, Marks, Realm, SessionId, SessionStore, StoreError, StoreErrorKind, Subject, Timestamp,
};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::options::PostgresOptions;
use crate::scan::{Reader, most};
use crate::server::{Param, Server};
use crate::statements::Statements;
use crate::{error, open, rows, write};

/// Keeps sessions in a Postgres database.
///
/// Every method is one statement, but for [`below_epoch`](SessionStore::below_epoch) and the waiting of
/// [`events`](SessionStore::events); so a future that is dropped leaves everything old or everything new, and no
/// transaction open. It works only inside a tokio runtime with I/O and time: in the one it was opened in, whose
/// tasks its connections are.
///
/// ```no_run
/// use session_core::{Realm, SessionId, SessionStore};
/// use session_postgres::PostgresStore;
///
/// # async fn example() -> Result<(), session_core::StoreError> {
/// let store = PostgresStore::open("postgres://app:secret@localhost/app").await?;
/// let nobody = SessionId::from_bytes([0; 16]);
/// assert!(store.load(&Realm::default(), nobody).await?.is_none());
/// # Ok(())
/// # }
/// ```
pub struct PostgresStore {
    server: Server,
    statements: Statements,
    settle_wait: Duration,
}

impl PostgresStore {
    /// Opens the database that a URL names, with the defaults of [`PostgresOptions`].
    ///
    /// # Errors
    /// See [`PostgresOptions::new`] and [`PostgresStore::open_with`].
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_with(&PostgresOptions::new(url)?).await
    }

    /// Opens a database, and brings its schema up to date unless the options say otherwise.
    ///
    /// # Errors
    /// They name the server and what to do, and never the password:
    /// - [`Invalid`](StoreErrorKind::Invalid): the role, its password or the database is refused, the schema is
    ///   another application's, or it is missing or old and is not to be brought up to date;
    /// - [`Unsupported`](StoreErrorKind::Unsupported): the schema is newer than this program;
    /// - [`Unavailable`](StoreErrorKind::Unavailable): no connection, or no right;
    /// - [`Overloaded`](StoreErrorKind::Overloaded): the server has too many connections.
    pub async fn open_with(options: &PostgresOptions) -> Result<Self, StoreError> {
        let server = open::server(options).await?;
        let statements = Statements::new(&options.quoted_schema());
        Ok(Self { server, statements, settle_wait: options.settle_wait })
    }

    fn reader(&self) -> Reader<'_> {
        Reader { server: &self.server, statements: &self.statements }
    }

    async fn commit_all(
        &self,
        realm: &Realm,
        changes: &[Change],
    ) -> Result<Vec<Outcome>, StoreError> {
        let realm = realm.as_str();
        let write = write::changes(realm, changes)?;
        let params: [Param<'_>; 5] = [
            (&realm, Type::TEXT),
            (&write.written_marks, Type::TEXT_ARRAY),
            (&write.locked_marks, Type::TEXT_ARRAY),
            (&write.locked_sessions, Type::UUID_ARRAY),
            (&write.changes, Type::TEXT),
        ];
        let answered = self.server.write(&self.statements.commit, &params).await?;
        let outcomes: Vec<&str> = self.answer(&answered)?;
        let outcomes: Vec<Outcome> =
            outcomes.into_iter().map(write::outcome).collect::<Result<_, _>>()?;
        if outcomes.len() == changes.len() { Ok(outcomes) } else { Err(self.mixed_up()) }
    }

    async fn remove(&self, sql: &str, params: &[Param<'_>]) -> Result<(usize, usize), StoreError> {
        let answered = self.server.write(sql, params).await?;
        let row = answered.first().ok_or_else(|| self.mixed_up())?;
        let count = |at: usize| -> Result<usize, StoreError> {
            let count: i64 = row.try_get(at).map_err(|_| self.mixed_up())?;
            usize::try_from(count).map_err(|_| self.mixed_up())
        };
        Ok((count(0)?, count(1)?))
    }

    /// The list that a function has answered.
    fn answer<'a>(&self, answered: &'a [Row]) -> Result<Vec<&'a str>, StoreError> {
        let row = answered.first().ok_or_else(|| self.mixed_up())?;
        row.try_get(0).map_err(|_| self.mixed_up())
    }

    fn mixed_up(&self) -> StoreError {
        let place = &self.server.place;
        error::at(StoreErrorKind::OutcomeUnknown, place, "this is not the answer of this write")
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("place", &self.server.place).finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionStore for PostgresStore {
    async fn load(&self, realm: &Realm, id: SessionId) -> Result<Option<Stored>, StoreError> {
        self.reader().load(realm, id).await
    }

    async fn marks(&self, realm: &Realm, subject: Option<&Subject>) -> Result<Marks, StoreError> {
        self.reader().marks(realm, subject).await
    }

    async fn commit(&self, realm: &Realm, change: &Change) -> Result<Outcome, StoreError> {
        let mut outcomes = self.commit_all(realm, std::slice::from_ref(change)).await?;
        outcomes.pop().ok_or_else(|| self.mixed_up())
    }

    async fn commit_each(
        &self,
        realm: &Realm,
        changes: &[Change],
    ) -> Result<Vec<Outcome>, StoreError> {
        self.commit_all(realm, changes).await
    }

    async fn touch(&self, realm: &Realm, touches: &[Touch]) -> Result<Vec<Touched>, StoreError> {
        if touches.is_empty() {
            return Ok(Vec::new());
        }
        let realm = realm.as_str();
        let numbers = |of: fn(&Touch) -> i64| touches.iter().map(of).collect::<Vec<i64>>();
        let ids: Vec<Uuid> = touches.iter().map(|touch| rows::uuid(touch.id)).collect();
        let slots = numbers(|touch| i64::from(touch.slot));
        let seen = numbers(|touch| touch.seen_at.as_millis());
        let after = numbers(|touch| touch.if_after.as_millis());
        let before = numbers(|touch| touch.if_before.as_millis());
        let params: [Param<'_>; 6] = [
            (&realm, Type::TEXT),
            (&ids, Type::UUID_ARRAY),
            (&slots, Type::INT8_ARRAY),
            (&seen, Type::INT8_ARRAY),
            (&after, Type::INT8_ARRAY),
            (&before, Type::INT8_ARRAY),
        ];
        let answered = self.server.write(&self.statements.touch, &params).await?;
        let answers = self.answer(&answered)?;
        if answers.len() != touches.len() {
            return Err(self.mixed_up());
        }
        answers
            .into_iter()
            .map(|answer| match answer {
                "touched" => Ok(Touched::Touched),
                "fresh" => Ok(Touched::Fresh),
                "not_live" => Ok(Touched::NotLive),
                _ => Err(self.mixed_up()),
            })
            .collect()
    }

    async fn list(
        &self,
        realm: &Realm,
        query: &ListQuery,
        after: Option<&Cursor>,
    ) -> Result<Scan, StoreError> {
        self.reader().list(realm, query, after).await
    }

    async fn due(
        &self,
        realm: &Realm,
        now: Timestamp,
        after: Option<&Cursor>,
        limit: NonZeroUsize,
    ) -> Result<Scan, StoreError> {
        self.reader().due(realm, now, after, limit).await
    }

    async fn below_epoch(
        &self,
        realm: &Realm,
        after: Option<&Cursor>,
        limit: NonZeroUsize,
    ) -> Result<BelowEpoch, StoreError> {
        self.reader().below_epoch(realm, after, limit).await
    }

    async fn events(
        &self,
        realm: &Realm,
        query: &EventQuery,
        after: Option<&Cursor>,
    ) -> Result<Events, StoreError> {
        self.reader().events(realm, query, after, self.settle_wait).await
    }

    async fn purge(
        &self,
        realm: &Realm,
        now: Timestamp,
        limit: NonZeroUsize,
    ) -> Result<Purged, StoreError> {
        let (realm, until, most) = (realm.as_str(), now.as_millis(), most(limit));
        let params: [Param<'_>; 3] =
            [(&realm, Type::TEXT), (&until, Type::INT8), (&most, Type::INT8)];
        let removed = self.remove(&self.statements.purge, &params).await?;
        Ok(purged(removed, limit))
    }

    async fn erase(
        &self,
        realm: &Realm,
        subject: &Subject,
        limit: NonZeroUsize,
    ) -> Result<Purged, StoreError> {
        let (realm, subject, most) = (realm.as_str(), subject.as_str(), most(limit));
        let params: [Param<'_>; 3] =
            [(&realm, Type::TEXT), (&subject, Type::TEXT), (&most, Type::INT8)];
        let removed = self.remove(&self.statements.erase, &params).await?;
        Ok(purged(removed, limit))
    }

    fn is_shared(&self) -> bool {
        true
    }
}

fn purged((records, events): (usize, usize), limit: NonZeroUsize) -> Purged {
    let full = |count: usize| count >= limit.get();
    Purged { records, events, more: full(records) || full(events) }
}
