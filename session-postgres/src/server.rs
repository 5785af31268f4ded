//! The connections, and how a statement is asked on one of them.

use std::fmt;
use std::time::Duration;

use deadpool_postgres::{Object, Pool, Timeouts};
use session_core::{StoreError, StoreErrorKind};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row};

use crate::error::{self, Asked};

/// A parameter of a statement and its type: said, so that the server is never asked for it.
pub(crate) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// How often a write is sent again whose transaction was taken back for another's sake.
const TRIES: u32 = 8;

/// A server, as far as this store uses it.
pub(crate) struct Server {
    pub(crate) pool: Pool,
    /// Without its password: for errors.
    pub(crate) place: String,
    pub(crate) wait: Duration,
    pub(crate) connect: Duration,
    pub(crate) answer: Duration,
    /// Only unnamed statements: whatever is in between may hand each to another connection.
    pub(crate) unnamed: bool,
}

impl Server {
    /// Asks what changes nothing. If the connection turns out to be dead, asks once more on a fresh one.
    pub(crate) async fn read(
        &self,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        let lost = match self.ask(sql, params, Asked::Read).await? {
            Ok(rows) => return Ok(rows),
            Err(failed) if is_lost(&failed) => failed,
            Err(failed) => return Err(error::statement(&self.place, Asked::Read, failed)),
        };
        // One connection is dead, so others may be that have waited as long: a restart ends them all.
        self.pool.retain(|_, _| false);
        match self.ask(sql, params, Asked::Read).await {
            Ok(answer) => {
                answer.map_err(|failed| error::statement(&self.place, Asked::Read, failed))
            }
            Err(failed) if failed.kind() == StoreErrorKind::Unavailable => {
                Err(error::statement(&self.place, Asked::Read, lost))
            }
            Err(failed) => Err(failed),
        }
    }

    /// Asks for a write. What the server has taken back for another's sake is asked again.
    pub(crate) async fn write(
        &self,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        let mut pause = Duration::from_millis(1);
        for _ in 1..TRIES {
            match self.ask(sql, params, Asked::Write).await? {
                Err(failed) if error::is_passing(&failed) => {}
                answer => return self.written(answer),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        let answer = self.ask(sql, params, Asked::Write).await?;
        self.written(answer)
    }

    fn written(&self, answer: Result<Vec<Row>, Error>) -> Result<Vec<Row>, StoreError> {
        answer.map_err(|failed| error::statement(&self.place, Asked::Write, failed))
    }

    /// Asks once. The outer error is one of before or after the statement, the inner one its own.
    async fn ask(
        &self,
        sql: &str,
        params: &[Param<'_>],
        asked: Asked,
    ) -> Result<Result<Vec<Row>, Error>, StoreError> {
        let connection = self.connection().await?;
        match tokio::time::timeout(self.answer, self.rows(&connection, sql, params)).await {
            Ok(answer) => {
                connection.answered();
                Ok(answer)
            }
            Err(_) => Err(error::late(&self.place, asked)),
        }
    }

    /// A connection that goes back to the pool once its statement is answered.
    pub(crate) async fn connection(&self) -> Result<UnderWay, StoreError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(error::at(
                StoreErrorKind::Invalid,
                &self.place,
                "this store works only inside a tokio runtime",
            ));
        }
        let timeouts =
            Timeouts { wait: Some(self.wait), create: Some(self.connect), recycle: None };
        match self.pool.timeout_get(&timeouts).await {
            Ok(connection) => Ok(UnderWay(Some(connection))),
            Err(failed) => Err(error::connecting(&self.place, failed)),
        }
    }

    /// The rows are whole only when the server is ready for the next statement: of a write, committed.
    async fn rows(
        &self,
        connection: &UnderWay,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, Error> {
        let Some(connection) = &connection.0 else { return Ok(Vec::new()) };
        if self.unnamed {
            return connection.query_typed(sql, params).await;
        }
        let types: Vec<Type> = params.iter().map(|(_, kind)| kind.clone()).collect();
        let values: Vec<&(dyn ToSql + Sync)> = params.iter().map(|(value, _)| *value).collect();
        let statement = connection.prepare_typed_cached(sql, &types).await?;
        connection.query(&statement, &values).await
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("place", &self.place).finish_non_exhaustive()
    }
}

/// Whether a statement failed with its connection, and not by itself.
fn is_lost(error: &Error) -> bool {
    match error.code() {
        None => {
            error.is_closed()
                || std::error::Error::source(error).is_some_and(|e| e.is::<std::io::Error>())
        }
        Some(code) => matches!(code.code(), "57P01" | "57P02" | "57P03" | "57P05"),
    }
}

/// A connection with a statement under way. Unless that is answered it does not go back to the pool: whoever came
/// next would wait behind it, and a server that hangs would stay.
pub(crate) struct UnderWay(Option<Object>);

impl UnderWay {
    pub(crate) fn client(&mut self) -> Option<&mut tokio_postgres::Client> {
        self.0.as_mut().map(|connection| &mut ***connection)
    }

    pub(crate) fn answered(mut self) {
        // Back to the pool, which passes over it if it is closed.
        self.0 = None;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(Object::take(connection));
        }
    }
}
