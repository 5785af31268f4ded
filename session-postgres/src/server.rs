//! The connections, and how a statement is asked on one of them.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::{Object, Pool, PoolError, Timeouts};
use session_core::{StoreError, StoreErrorKind};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row};

use crate::error::{self, Asked};

/// A parameter of a statement and its type: said, so that the server is never asked for it.
pub(crate) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// How often a statement is sent at most: again if its transaction was taken back for another's sake.
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
    /// Asks what changes nothing.
    pub(crate) async fn read(
        &self,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        self.insist(sql, params, Asked::Read).await
    }

    /// Asks for a write.
    pub(crate) async fn write(
        &self,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        self.insist(sql, params, Asked::Write).await
    }

    /// What was not sent because the connection turned out to be dead is sent on a fresh one, a read once more even if
    /// it was sent; what the server has taken back for another's sake is sent again.
    async fn insist(
        &self,
        sql: &str,
        params: &[Param<'_>],
        asked: Asked,
    ) -> Result<Vec<Row>, StoreError> {
        let mut pause = Duration::from_millis(1);
        let mut once_more = asked == Asked::Read;
        for _ in 1..TRIES {
            match self.ask(sql, params).await {
                Err(Failure::Lost { sent, .. }) if !sent || std::mem::take(&mut once_more) => {
                    self.forget_idle();
                }
                Err(Failure::Refused(error)) if error::is_passing(&error) => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                answer => return answer.map_err(|failure| self.failed(failure, asked)),
            }
        }
        self.ask(sql, params).await.map_err(|failure| self.failed(failure, asked))
    }

    /// One connection is dead, so others may be that have waited as long: a restart ends them all.
    fn forget_idle(&self) {
        self.pool.retain(|_, _| false);
    }

    fn failed(&self, failure: Failure, asked: Asked) -> StoreError {
        // A write that was never sent is known not to be carried out.
        let handed_over = |sent| if sent { asked } else { Asked::Read };
        match failure {
            Failure::NoConnection(error) => error,
            Failure::Late { sent } => error::late(&self.place, handed_over(sent)),
            Failure::Lost { sent, error } => error::lost(&self.place, handed_over(sent), error),
            Failure::Refused(error) => error::statement(&self.place, asked, error),
        }
    }

    async fn ask(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Failure> {
        let mut connection = self.connection().await.map_err(Failure::NoConnection)?;
        let sent = AtomicBool::new(false);
        let asked = self.rows(&mut connection, sql, params, &sent);
        let answer = tokio::time::timeout(self.answer, asked).await;
        let sent = sent.load(Ordering::Relaxed);
        match answer {
            Err(_) => {
                connection.close();
                Err(Failure::Late { sent })
            }
            Ok(Err(error)) if error::is_lost(&error) => {
                connection.close();
                Err(Failure::Lost { sent, error })
            }
            Ok(answer) => {
                connection.answered();
                answer.map_err(Failure::Refused)
            }
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
        let known = self.pool.status();
        let connection = if known.available == 0 && known.size < known.max_size {
            // If whoever needs it drops his call, it is made nevertheless, and for the next.
            let pool = self.pool.clone();
            let made = tokio::spawn(async move { pool.timeout_get(&timeouts).await });
            made.await.unwrap_or(Err(PoolError::Closed))
        } else {
            self.pool.timeout_get(&timeouts).await
        };
        let connection = connection.map_err(|failed| error::connecting(&self.place, failed))?;
        Ok(UnderWay { connection: Some(connection), preparing: None, patience: self.answer })
    }

    /// The rows are whole only when the server is ready for the next statement: of a write, committed.
    async fn rows(
        &self,
        under_way: &mut UnderWay,
        sql: &str,
        params: &[Param<'_>],
        sent: &AtomicBool,
    ) -> Result<Vec<Row>, Error> {
        let Some(connection) = &under_way.connection else { return Ok(Vec::new()) };
        if self.unnamed {
            sent.store(true, Ordering::Relaxed);
            return connection.query_typed(sql, params).await;
        }
        let types: Vec<Type> = params.iter().map(|(_, kind)| kind.clone()).collect();
        let values: Vec<&(dyn ToSql + Sync)> = params.iter().map(|(value, _)| *value).collect();
        under_way.preparing = Some((sql.to_owned(), types.clone()));
        let statement = connection.prepare_typed_cached(sql, &types).await?;
        under_way.preparing = None;
        sent.store(true, Ordering::Relaxed);
        connection.query(&statement, &values).await
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("place", &self.place).finish_non_exhaustive()
    }
}

/// Why a statement has no rows.
enum Failure {
    /// There was none to ask it on.
    NoConnection(StoreError),
    /// The connection was lost, perhaps after the statement was sent.
    Lost { sent: bool, error: Error },
    /// No answer came in time, perhaps to the statement.
    Late { sent: bool },
    /// The server has answered with an error.
    Refused(Error),
}

/// A connection with a statement under way. It goes back to the pool only once that is answered: whoever came next
/// would wait behind it, and a server that hangs would stay. Whoever drops his call does not wait for the answer:
/// then a task does, so that callers who give up, however many, cost no connection.
pub(crate) struct UnderWay {
    connection: Option<Object>,
    /// What is being prepared, and so is not sent yet.
    preparing: Option<(String, Vec<Type>)>,
    /// How long the task waits. The connection's place in the pool is taken until then.
    patience: Duration,
}

impl UnderWay {
    pub(crate) fn client(&mut self) -> Option<&mut tokio_postgres::Client> {
        self.connection.as_mut().map(|connection| &mut ***connection)
    }

    pub(crate) fn answered(mut self) {
        // Back to the pool, which passes over it if it is closed.
        self.connection = None;
    }

    fn close(mut self) {
        self.connection.take().map(Object::take);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let unanswered = Unanswered(Some(connection));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(unanswered.settle(self.preparing.take(), self.patience));
        }
    }
}

/// A connection whose caller is gone. It is closed if this is dropped, as by a runtime that ends.
struct Unanswered(Option<Object>);

impl Unanswered {
    async fn settle(mut self, preparing: Option<(String, Vec<Type>)>, patience: Duration) {
        let Some(connection) = &self.0 else { return };
        let behind = async {
            match preparing {
                // Nobody can name what the server has prepared for a caller who is gone. So that this happens once
                // and not with each of them, it is prepared again, and kept.
                Some((sql, types)) => connection.prepare_typed_cached(&sql, &types).await.map(drop),
                None => connection.simple_query("").await.map(drop),
            }
        };
        match tokio::time::timeout(patience, behind).await {
            Ok(Err(error)) if error::is_lost(&error) => {}
            Ok(_) => self.0 = None,
            Err(_) => {}
        }
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.0.take().map(Object::take);
    }
}
