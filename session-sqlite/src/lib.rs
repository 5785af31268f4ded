//! Sessions of session-engine in an SQLite file.
//!
//! ```
//! use session_core::{Realm, SessionStore};
//! use session_sqlite::SqliteStore;
//!
//! # fn main() -> Result<(), session_core::StoreError> {
//! # let directory = tempfile::tempdir().unwrap();
//! # let path = directory.path().join("sessions.db");
//! let store = SqliteStore::open(path)?;
//! let marks = pollster::block_on(store.marks(&Realm::default(), None))?;
//! assert_eq!(marks.realm.epoch, 0);
//! # Ok(())
//! # }
//! ```
//!
//! # What durable means
//!
//! A commit is answered after SQLite has synced it to the disk: it survives the end of the process, a crash of
//! the system and a loss of power, as far as the disk keeps what it says it has. [`Durability::Normal`] leaves
//! the sync out: a crash of the system, not of the process, may then take back the last writes, a revocation
//! among them. Touches are written with the commits and are as durable as these.
//!
//! # What it costs
//!
//! A load is one statement of a few microseconds in the thread that asks; so is every other read, in proportion
//! to the rows that it answers. A filter of events by kind or time reads past what it leaves out. A write is
//! handed to the one thread that writes, and all that wait at a moment share a transaction and its sync: a
//! write by itself takes as long as the disk takes to sync, and many at once take less than one after the
//! other. A replacement rewrites no data, and a touch a row of three numbers. `cargo bench --bench stores` prints
//! it, alone and with 64 callers.
//!
//! # Several processes
//!
//! They may share a file on one machine. It must be on a local disk: a write-ahead log needs shared memory,
//! which a network's file system does not have. Do not copy the file while it is in use, nor without
//! its `-wal`: `sqlite3 sessions.db ".backup copy.db"` makes a whole copy.
//!
//! # Reading it
//!
//! The tables are made to be read with the `sqlite3` shell, in version 3.37 or newer: ids are UUIDs in text,
//! what is a list or a map is JSON, and every instant is an integer, **milliseconds since
//! 1970-01-01 00:00 UTC**. The view `sessions_for_humans` shows them in words:
//!
//! ```text
//! sqlite> SELECT id, subject, created, last_seen FROM sessions_for_humans WHERE ended IS NULL;
//! sqlite> SELECT datetime(at / 1000, 'unixepoch'), kind, reason, actor FROM events WHERE subject = 'alice';
//! ```
//!
//! | table | holds |
//! |---|---|
//! | `sessions` | the facts of a session's life, its owner and its client; of the secret, the hash |
//! | `touches` | the last activity of each session, and of each scope in it |
//! | `session_data` | what the application keeps in a session |
//! | `marks` | the epochs that end all sessions of a subject, or of a realm |
//! | `realms` | what is left of marks and events that were removed |
//! | `events` | what happened, in the order of the commits |
//!
//! Do not end a session with SQL: no event would tell of it. A row of `sessions` that is deleted takes its data
//! and its activity along. Durations are kept in whole milliseconds.
//!
//! A row that cannot be read harms no other. Of a session it is an error that names the session. An event comes as
//! one of the kind `damaged`, where it stands and with what can be read of it; its details `kind` and `error` tell
//! what it was and what is wrong.
//!
//! The header of the file has the application id `0x53657345` and, as its user version, the version of the
//! schema. An older schema is brought up to date in one transaction when the file is opened; a newer one is
//! refused. A process that has the file open while another brings it up to date writes no more: each write is
//! [`Unsupported`](session_core::StoreErrorKind::Unsupported), until the newer program takes its place.
//!
//! # What is removed
//!
//! What is replaced, dropped, purged or erased is overwritten with zeros (`PRAGMA secure_delete`), which costs
//! little: to end a session with 20 kB of data takes some 30 µs more. The write-ahead log beside the file still has
//! the old pages, until it is carried over to the file and written anew from its start, or the last store on the
//! file is closed. `sqlite3 sessions.db "PRAGMA wal_checkpoint(TRUNCATE)"` empties it at once. Of backups, and of
//! what the disk itself keeps, no program knows.
//!
//! # Which SQLite
//!
//! SQLite 3.51.3 or newer, because 3.7.0 to 3.51.2 can corrupt a file that two connections write (the
//! [WAL-reset bug](https://sqlite.org/wal.html#walresetbug)): with an older one no file is opened. The feature
//! `bundled`, which is on unless switched off, compiles it in; so do all releases of rusqlite from 0.39 on, and none before.
//!
//! Only one crate of a program may link SQLite. This one takes rusqlite from 0.39 to 0.43, so that there is
//! room for others:
//!
//! | rusqlite | libsqlite3-sys | bundled SQLite | |
//! |---|---|---|---|
//! | 0.42, 0.43 | 0.40 | 3.54.1 | |
//! | 0.41 | 0.39 | 3.54.1 | |
//! | 0.40 | 0.38 | 3.53.2 | |
//! | 0.39 | 0.37 | 3.51.3 | what fits beside sqlx 0.9 with its feature `sqlite` |
#![cfg_attr(not(test), warn(clippy::expect_used))]

mod commit;
mod error;
mod known;
mod migrate;
mod open;
mod options;
mod purge;
mod reader;
mod rows;
mod scan;
mod store;
mod write;
mod writer;

pub use options::{Durability, SqliteOptions};
pub use store::SqliteStore;
