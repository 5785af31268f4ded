//! From the errors of Postgres to the store's.

use std::fmt::Display;

use deadpool_postgres::PoolError;
use deadpool_postgres::TimeoutType;
use session_core::{StoreError, StoreErrorKind};
use tokio_postgres::Error;
use tokio_postgres::error::{Severity, SqlState};

/// What was asked for: of a write that was handed over and not answered nobody knows whether it was carried out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Read,
    Write,
}

/// An error of a kind that names the server.
pub(crate) fn at(kind: StoreErrorKind, place: &str, what: impl Display) -> StoreError {
    StoreError::new(kind, format!("{place}: {what}"))
}

/// No connection could be had.
pub(crate) fn connecting(place: &str, error: PoolError) -> StoreError {
    match error {
        PoolError::Backend(error) => connection(place, error),
        PoolError::Timeout(TimeoutType::Wait) => at(
            StoreErrorKind::Overloaded,
            place,
            "all connections are in use; allow more of them, or a longer wait",
        ),
        PoolError::Timeout(_) => at(
            StoreErrorKind::Unavailable,
            place,
            "the server did not answer while connecting; check that it is one and runs",
        ),
        other => at(StoreErrorKind::Unavailable, place, "no connection").with_source(other),
    }
}

/// A connection could not be made.
pub(crate) fn connection(place: &str, error: Error) -> StoreError {
    use StoreErrorKind::{Overloaded, Unavailable};
    let (kind, advice) = match error.code() {
        Some(code) if refuses_role(code) => {
            (Unavailable, "the server refuses this role or its password; check both")
        }
        Some(code) if *code == SqlState::INVALID_CATALOG_NAME => {
            (Unavailable, "there is no such database; create it, or name another")
        }
        Some(code) if *code == SqlState::TOO_MANY_CONNECTIONS => {
            (Overloaded, "the server has too many connections; allow it more, or this store fewer")
        }
        Some(code) if *code == SqlState::CANNOT_CONNECT_NOW => {
            (Unavailable, "the server is starting up or shutting down")
        }
        Some(code) if *code == SqlState::PROTOCOL_VIOLATION => (
            Unavailable,
            "the connection is refused as it is asked for; if there is a transaction pooler in between, open \
             with `transaction_pooler(true)`",
        ),
        Some(_) => (Unavailable, "the server refuses the connection"),
        None if only_reads(&error) => (Unavailable, ONLY_READS),
        None => (Unavailable, "no connection; check host, port and TLS, and that the server runs"),
    };
    at(kind, place, advice).with_source(error)
}

const ONLY_READS: &str = "this server only reads: it is a replica, or `default_transaction_read_only` is on; name the one \
                          that writes";

/// Whether a connection was given up because nothing can be written on it: `target_session_attrs=read-write`.
fn only_reads(error: &Error) -> bool {
    let source = std::error::Error::source(error);
    let source = source.and_then(|source| source.downcast_ref::<std::io::Error>());
    source.is_some_and(|source| source.to_string().contains("does not allow writes"))
}

/// Whether what the server refused will be refused again: the role, its password, the database.
pub(crate) fn is_refusal(error: &StoreError) -> bool {
    let source = std::error::Error::source(error).and_then(|error| error.downcast_ref::<Error>());
    source
        .and_then(Error::code)
        .is_some_and(|code| refuses_role(code) || *code == SqlState::INVALID_CATALOG_NAME)
}

fn refuses_role(code: &SqlState) -> bool {
    *code == SqlState::INVALID_PASSWORD || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION
}

/// Whether the same call may go through if it is made again: its transaction was taken back for another's sake.
pub(crate) fn is_passing(error: &Error) -> bool {
    error.code().is_some_and(|code| {
        *code == SqlState::T_R_SERIALIZATION_FAILURE
            || *code == SqlState::T_R_DEADLOCK_DETECTED
            || code.code() == QUICKER
    })
}

/// Of the schema's functions: somebody else was quicker with a row that was not there.
const QUICKER: &str = "SE001";
/// Of the schema's functions: they are of another version than the caller.
const VERSION: &str = "SE002";

/// Whether a statement failed with its connection, and not by itself: the server ended it, or a pooler did that lost
/// its own, perhaps after the commit. Of a statement nothing is said by an error that is `FATAL`, whatever its code.
pub(crate) fn is_lost(error: &Error) -> bool {
    match error.as_db_error() {
        None => {
            let source = std::error::Error::source(error);
            error.is_closed() || source.is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
        }
        // PgBouncer sends only the text, and that always in English.
        Some(told) => match told.parsed_severity() {
            Some(severity) => matches!(severity, Severity::Fatal | Severity::Panic),
            None => matches!(told.severity(), "FATAL" | "PANIC"),
        },
    }
}

/// A statement failed.
pub(crate) fn statement(place: &str, asked: Asked, error: Error) -> StoreError {
    use StoreErrorKind::{Corrupt, Invalid, Overloaded, StorageFull, Unavailable, Unsupported};
    let Some(code) = error.code() else { return lost(place, asked, error) };
    let (kind, advice) = match code.code() {
        "57014" => (Unavailable, "the statement took longer than the server allows"),
        "55P03" => (Unavailable, "another connection keeps a row or a table locked for too long"),
        "40001" | "40P01" | QUICKER => {
            (Unavailable, "others were quicker again and again; try once more")
        }
        "53100" => (StorageFull, "the server's disk is full; make room"),
        "53300" => (Overloaded, "the server has too many connections"),
        "25006" => (Unavailable, ONLY_READS),
        "42501" => (
            Unavailable,
            "the role lacks a right; see the GRANTs in the documentation of this crate",
        ),
        "3F000" | "42P01" | "42883" => (
            Invalid,
            "the schema is missing; open the store with migrations, or run the SQL of `migrations`",
        ),
        "42703" | "42804" | "0A000" | VERSION => (
            Unsupported,
            "the schema is of another version; restart with the program of that version",
        ),
        "26000" | "42P05" | "08P01" => (
            Invalid,
            "there seems to be a transaction pooler in between; open with `transaction_pooler(true)`",
        ),
        "22P05" | "22021" => (
            Invalid,
            "a text holds a NUL, which Postgres cannot keep, or what the database's encoding cannot: it should be UTF8",
        ),
        "54000" => (Invalid, "this is more than Postgres takes at once"),
        code => match &code[..2] {
            "53" => (Overloaded, "the server has no resources left"),
            // What the server cannot tell of itself it cannot tell of a write either.
            "58" | "XX" if asked == Asked::Write => return lost(place, asked, error),
            "XX" => (Corrupt, "the server finds its data damaged; restore it from a backup"),
            "58" => (Unavailable, "the server has trouble with its system"),
            "22" | "23" => (Corrupt, "what is stored is not what the schema says"),
            _ => (Unavailable, "the server refused a statement"),
        },
    };
    at(kind, place, advice).with_source(error)
}

/// The connection was lost with a statement under way.
pub(crate) fn lost(place: &str, asked: Asked, error: Error) -> StoreError {
    match asked {
        Asked::Read => at(StoreErrorKind::Unavailable, place, "the connection was lost"),
        Asked::Write => at(
            StoreErrorKind::OutcomeUnknown,
            place,
            "the connection was lost after a write was sent",
        ),
    }
    .with_source(error)
}

/// No answer came in time.
pub(crate) fn late(place: &str, asked: Asked) -> StoreError {
    match asked {
        Asked::Read => at(StoreErrorKind::Unavailable, place, "no answer in time"),
        Asked::Write => {
            at(StoreErrorKind::OutcomeUnknown, place, "no answer in time to a write that was sent")
        }
    }
}
