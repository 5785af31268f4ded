//! Sessions of session-engine in a Postgres database.
//!
//! ```no_run
//! use session_core::{Realm, SessionStore};
//! use session_postgres::PostgresStore;
//!
//! # async fn example() -> Result<(), session_core::StoreError> {
//! let store = PostgresStore::open("postgres://app:secret@db.example/app?schema=shop_sessions").await?;
//! let marks = store.marks(&Realm::default(), None).await?;
//! assert_eq!(marks.realm.epoch, 0);
//! # Ok(())
//! # }
//! ```
//!
//! It works only inside a tokio runtime, and needs PostgreSQL 13 or newer and a database whose encoding is `UTF8`.
//!
//! # What durable means
//!
//! A commit is answered after the server has committed it: with `synchronous_commit = on`, the default of Postgres, it
//! survives the end of this process, a crash of the server and a loss of its power. Whoever can bear to lose the last
//! commits of a crash, a revocation among them, says so in the URL,
//! `?options=-c%20synchronous_commit%3Doff`; and whoever has said so for the role or the database has said it here. The
//! numbers of lost transactions are given anew, so that after such a crash a reader of the events should begin anew.
//! Touches are always written like that, whatever the URL says: they are
//! visible at once, and on the disk within three times the server's `wal_writer_delay`, 0.6 s unless it is set
//! otherwise.
//!
//! A commit is `Applied` only once the server is ready for the next statement. Rows come earlier than that, before the
//! transaction has ended; they are not trusted.
//!
//! Replicas: never serve sessions from one. It is behind, and shows as alive what was ended. A store connects only to
//! a server that takes writes, unless the URL sets `target_session_attrs=any`. After a failover to a replica that was
//! fed asynchronously, the last commits are gone: sessions that were ended may live again, and the numbers of
//! transactions may be given anew, so that a reader that follows the events should begin anew. With
//! `synchronous_standby_names` set, neither can happen; but while no such standby answers, each write waits in a
//! process of the server, whose outcome is unknown to the caller after [`PostgresOptions::answer_timeout`], and which
//! stays there until one does: a `CONNECTION LIMIT` of the role keeps these from taking every connection.
//!
//! # What it costs
//!
//! | method | round trips | |
//! |---|---|---|
//! | `load`, `marks` | 1 | by primary keys |
//! | `commit`, `commit_each` | 1 | one transaction, one sync of the server's disk; again if another was quicker |
//! | `touch` | 1 | one transaction without a sync, of any number of touches |
//! | `list`, `due` | 1 | an index scan of the rows that it answers |
//! | `below_epoch` | 1 if nothing is to be found, else 2 | |
//! | `events` | 1 | and while it waits for transactions under way, one every 1 to 50 ms |
//! | `purge`, `erase` | 1 | one transaction |
//!
//! Each statement is prepared once on each connection, which costs one more round trip then. Connections are made when
//! they are needed, and kept. Many commits at once take less than one after the other: the server syncs them together.
//!
//! A touch moves one number of a row that no index holds, on a page with room for it (`fillfactor = 80`): it is a
//! heap-only update, which leaves every index alone. `SELECT n_tup_hot_upd, n_tup_upd FROM pg_stat_user_tables`
//! shows it. It needs no vacuum for the indexes; what autovacuum does by itself suffices, but in a table of millions
//! of sessions it should come more often: `ALTER TABLE … SET (autovacuum_vacuum_scale_factor = 0.02)`. A transaction
//! that stays open for hours anywhere on the server keeps it from tidying up. Data of more than some 2 kB stands apart
//! from its row (TOAST), and is not rewritten with it; what is smaller is.
//!
//! # Isolation
//!
//! `READ COMMITTED` suffices, and is what a connection is set to. Every write is one call of a function of the schema. It
//! locks what it is about to compare, marks in order of their subjects and then sessions in order of their ids, and
//! looks at it only then: so it sees what is newest, nobody changes it in between, and no two wait for each other. A
//! mark that is not there yet gets a row to be locked. Two inserts of one id are told apart by the primary key: the
//! second is taken back, and finds the first when it is sent again; so is one of two batches that insert the same ids
//! in opposite orders. No lock ever waits for a client, and a future
//! that is dropped or a connection that is cut leaves no transaction open. Where a stricter level is imposed, what the
//! server then refuses is sent again.
//!
//! Several processes on several machines may share a schema. Every instant is the caller's: the server's clock and
//! time zone do not matter.
//!
//! # Events
//!
//! The sequence of an event is the number of its transaction and its place in it, of which there are 2²⁰. Who follows
//! along is told of events up to the oldest transaction that is still writing, **anywhere on the server, in any
//! database**: nothing can precede those any more, and so none is missed. A transaction that writes for an hour holds the
//! tail back for an hour. Before a reader is answered, he waits a little for such transactions
//! ([`PostgresOptions::settle_wait`]), so that he mostly sees what was committed before he asked.
//! [`Order::NewestFirst`](session_core::store::Order::NewestFirst) shows everything that is committed.
//!
//! A database that is dumped and restored into another cluster finds other numbers there. When a store is opened that
//! finds its events ahead of the server, it notes an offset, and what is new comes after what was restored.
//!
//! # The schema
//!
//! It is made when a store is opened, and brought up to date in one transaction, under an advisory lock (the key
//! `0x53657373696f6e45`): any number of processes may start at once. A newer schema is
//! [`Unsupported`](session_core::StoreErrorKind::Unsupported); and so is every write of a process whose schema was
//! brought up to date by a newer program under way. Who runs migrations himself finds their text in [`migrations`].
//! The role that makes the schema needs `CREATE` on the database, or owns the schema. At run time these rights are
//! enough, once the schema is made:
//!
//! ```sql
//! GRANT USAGE ON SCHEMA session_engine TO app;
//! GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA session_engine TO app;
//! -- and, if EXECUTE was revoked from PUBLIC:
//! GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA session_engine TO app;
//! ```
//!
//! The functions have the rights of their caller, so that nobody writes a session with them who may not write the
//! tables. But whoever owns the schema, or may create in it, could put in it what the store then calls with its own
//! rights: let nobody, and make it beforehand if roles that you do not trust have `CREATE` on the database. For people
//! who are to look, `GRANT SELECT ON session_engine.sessions_for_humans` with `USAGE` of the schema suffices; it shows
//! no hash and no data.
//!
//! Do not rename the schema: its functions know its name.
//!
//! # Reading it
//!
//! The tables are made to be read with `psql`: lists and maps are JSON, and every instant is an integer, **milliseconds
//! since 1970-01-01 00:00 UTC**. The view `sessions_for_humans` shows them in words, in the time zone of whoever
//! looks:
//!
//! ```text
//! app=> SELECT id, subject, created, last_seen FROM session_engine.sessions_for_humans WHERE ended IS NULL;
//! app=> SELECT to_timestamp(at / 1000.0), kind, reason, actor FROM session_engine.events WHERE subject = 'alice';
//! ```
//!
//! | table | holds |
//! |---|---|
//! | `sessions` | the facts of a session's life, its owner, its client, its activity and its data; of the secret, the hash |
//! | `marks` | the epochs that end all sessions of a subject, or of a realm |
//! | `realms` | what is left of marks and events that were removed |
//! | `events` | what happened |
//! | `session_engine_meta` | the version of the schema |
//!
//! Do not end a session with SQL: no event would tell of it. Nor call the functions: they count on a transaction of
//! their own. A row that cannot be read harms no other. Of a session it is
//! an error that names the session. An event comes as one of the kind `damaged`, where it stands and with what can be
//! read of it. Texts come back as they were given, but for one that holds a NUL, which Postgres cannot keep: it is
//! [`Invalid`](session_core::StoreErrorKind::Invalid). Numbers of versions and epochs end at 2⁶³ − 1.
//!
//! # Watching it
//!
//! Its connections have the `application_name` `session-engine`, unless the URL names another. These tell most of what
//! can go wrong: what writes and does not end, and so holds back the readers of events and the vacuum; how much of the
//! tables is dead, and whether touches are heap-only; and how far the sweep and the purge are behind.
//!
//! ```sql
//! SELECT pid, datname, xact_start, state, query FROM pg_stat_activity
//! WHERE backend_xid IS NOT NULL OR backend_xmin IS NOT NULL ORDER BY xact_start LIMIT 5;
//! SELECT transaction, prepared FROM pg_prepared_xacts; -- one that was forgotten holds them back for ever
//! SELECT relname, n_live_tup, n_dead_tup, n_tup_upd, n_tup_hot_upd, last_autovacuum
//! FROM pg_stat_user_tables WHERE schemaname = 'session_engine';
//! SELECT to_timestamp(min(due_at) / 1000.0) FROM session_engine.sessions WHERE realm = 'default' AND ended_at IS NULL;
//! SELECT to_timestamp(min(purge_at) / 1000.0) FROM session_engine.events WHERE realm = 'default';
//! ```
//!
//! # When something fails
//!
//! | what | is |
//! |---|---|
//! | no connection, connection lost or no answer in time to a read | `Unavailable`; a read on a dead connection is first asked again on a fresh one |
//! | connection lost or no answer in time to a write that was sent | `OutcomeUnknown`: to send it again is safe |
//! | the server gives up: `statement_timeout`, `lock_timeout` | `Unavailable`; nothing was changed |
//! | deadlocks and failed serialisations, eight times | `Unavailable`; nothing was changed |
//! | no connection free in time, too many on the server | `Overloaded` |
//! | a pooler gives up a write that was sent | `OutcomeUnknown` |
//! | the server's disk is full | `StorageFull` |
//! | the server only reads | `Unavailable` |
//!
//! Every wait has an end. A connection whose call was not answered in time is closed. A future that is dropped, as by
//! a browser that goes away, costs no connection: the server ends what it was about, and a task of the runtime waits for
//! that, as long as the caller would have, and gives the connection back. A restart of the server needs none of this
//! program.
//!
//! # Poolers
//!
//! Behind a pooler that hands each transaction to another connection (PgBouncer with `pool_mode = transaction`, and most
//! that come with hosted databases), say so: [`PostgresOptions::transaction_pooler`]. Everything works then; the
//! server plans each statement anew, and its timeouts have to be those of the role:
//! `ALTER ROLE app SET statement_timeout = '10s'; ALTER ROLE app SET lock_timeout = '5s'`. If the database is set to
//! another isolation, `ALTER ROLE app SET default_transaction_isolation = 'read committed'`. Behind one that hands out
//! whole sessions nothing needs to be said, if it lets the parameter `options` pass. The contract is tested through
//! PgBouncer.
//!
//! # TLS
//!
//! With the feature `tls`, which is off unless switched on, connections are made by rustls. The server's certificate
//! and its name are always checked, with the authorities that the system trusts, or with those in the file that
//! `sslrootcert` names in the URL. `sslmode=require` (or `verify-full`, which is the same here) refuses a server without
//! TLS. Without `sslmode` TLS is used if the server has it; if its certificate is not trusted that is an error, and nothing
//! is sent in clear instead: `sslmode=disable` says that it may be.
#![cfg_attr(not(test), warn(clippy::expect_used))]

mod error;
mod events;
mod migrate;
mod open;
mod options;
mod rows;
mod scan;
mod server;
mod statements;
mod store;
#[cfg(feature = "tls")]
mod tls;
mod url;
mod write;

pub use migrate::{Migration, migrations};
pub use options::PostgresOptions;
pub use store::PostgresStore;
