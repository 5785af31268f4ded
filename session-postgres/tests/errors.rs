//! What goes wrong between the store and the server: each has a kind, and an end.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::num::NonZeroUsize;
use std::time::Duration;

use common::{
    RUNTIME, Role, Schema, client, insert, login, realm, record, record_of, run, server_url, touch,
    with_option,
};
use session_core::{SessionStore, StoreError, StoreErrorKind};
use session_postgres::{PostgresOptions, PostgresStore};
use tokio::net::TcpListener;

fn refused(url: &str) -> StoreError {
    let options = PostgresOptions::new(url).unwrap().connect_timeout(Duration::from_millis(300));
    let error = run(PostgresStore::open_with(&options)).unwrap_err();
    for told in [format!("{error}"), format!("{error:?}"), format!("{options:?}")] {
        assert!(!told.contains("s3cret"), "{told}");
    }
    error
}

/// Host and port of the server, and nothing else of the URL.
fn address() -> String {
    let url = server_url();
    let (_, rest) = url.split_once("://").unwrap();
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap().to_owned()
}

#[test]
fn a_role_that_is_refused() {
    let error = refused(&format!("postgres://nobody_of_this_name:s3cret@{}/postgres", address()));
    assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("role or its password"), "{error}");
}

#[test]
fn a_server_that_has_no_room_for_more() {
    let schema = Schema::new();
    schema.open();
    let role = Role(format!("role_{}", schema.name));
    schema.execute(&format!(
        "CREATE ROLE {0} LOGIN PASSWORD 'app' CONNECTION LIMIT 1; GRANT USAGE ON SCHEMA $S TO {0}",
        role.0
    ));
    let url = role.url();
    let only = run(common::client_of(&url));
    let error = run(PostgresStore::open_with(&schema.options_of(&url))).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Overloaded, "{error}");
    drop(only);
}

#[test]
fn a_database_that_is_none() {
    let url = server_url();
    let (before, _) = url.rsplit_once('/').unwrap();
    let error = refused(&format!("{before}/no_such_database"));
    assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("no such database"), "{error}");
}

#[test]
fn no_server() {
    let free = run(async { TcpListener::bind("127.0.0.1:0").await }).unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let error = refused(&format!("postgres://a:s3cret@{address}/x"));
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[test]
fn a_server_that_never_answers() {
    let listener = run(async { TcpListener::bind("127.0.0.1:0").await }).unwrap();
    let address = listener.local_addr().unwrap();
    let silent = RUNTIME.spawn(async move {
        let mut kept = Vec::new();
        loop {
            kept.push(listener.accept().await.unwrap());
        }
    });
    let error = refused(&format!("postgres://a:s3cret@{address}/x"));
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("did not answer"), "{error}");
    silent.abort();
}

#[test]
fn urls_without_what_is_needed() {
    for (url, named) in [
        ("postgres:///x", "no host"),
        ("postgres://h/x?schema=", "empty"),
        ("postgres://h/x?schema=pg_x", "pg_"),
    ] {
        let error = refused(url);
        assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(named), "{error}");
    }
}

#[cfg(not(feature = "tls"))]
#[test]
fn tls_that_is_not_compiled_in() {
    let error = refused(&with_option(&server_url(), "sslmode=require"));
    assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("feature `tls`"), "{error}");
}

#[test]
fn a_row_that_somebody_holds_makes_a_write_give_up() {
    let schema = Schema::new();
    let options = schema.options().answer_timeout(Duration::from_millis(400));
    let store = run(PostgresStore::open_with(&options)).unwrap();
    run(async {
        let record = record_of("alice");
        assert!(store.commit(&realm(), &login(&record, 0)).await.unwrap().is_applied());
        let mut other = client().await;
        let held = other.transaction().await.unwrap();
        let sql = schema.named("SELECT 1 FROM $S.sessions, $S.marks FOR UPDATE");
        held.batch_execute(&sql).await.unwrap();
        for error in [
            store.commit(&realm(), &login(&record_of("alice"), 1)).await.map(drop).unwrap_err(),
            store.touch(&realm(), &[touch(&record, 1)]).await.map(drop).unwrap_err(),
        ] {
            assert_eq!(error.kind(), StoreErrorKind::Unavailable, "the server says so: {error}");
            assert!(error.to_string().contains("locked"), "{error}");
        }
        assert!(store.load(&realm(), record.id).await.unwrap().is_some(), "reads wait for nobody");
        held.rollback().await.unwrap();
        store.touch(&realm(), &[touch(&record, 1)]).await.unwrap();
    });
}

#[test]
fn a_statement_that_takes_too_long_is_ended_by_the_server() {
    let schema = Schema::new();
    // The URL's settings win over ours.
    let url =
        with_option(&server_url(), "options=-c%20statement_timeout%3D200%20-c%20lock_timeout%3D0");
    let store = run(PostgresStore::open_with(&schema.options_of(&url))).unwrap();
    run(async {
        let mut other = client().await;
        let held = other.transaction().await.unwrap();
        held.batch_execute(&schema.named("LOCK TABLE $S.sessions")).await.unwrap();
        for error in [
            store.load(&realm(), record().id).await.map(drop).unwrap_err(),
            store.commit(&realm(), &insert(&record())).await.map(drop).unwrap_err(),
        ] {
            assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
            assert!(error.to_string().contains("longer than the server allows"), "{error}");
        }
        held.rollback().await.unwrap();
        assert!(store.commit(&realm(), &insert(&record())).await.unwrap().is_applied());
    });
}

#[test]
fn without_an_answer_in_time_a_read_fails_and_a_write_is_unknown() {
    let schema = Schema::new();
    // The server itself is not told to give up.
    let url =
        with_option(&server_url(), "options=-c%20statement_timeout%3D0%20-c%20lock_timeout%3D0");
    let options = schema
        .options_of(&url)
        .answer_timeout(Duration::from_millis(200))
        .max_connections(NonZeroUsize::MIN);
    let store = run(PostgresStore::open_with(&options)).unwrap();
    run(async {
        let record = record();
        let mut other = client().await;
        let held = other.transaction().await.unwrap();
        held.batch_execute(&schema.named("LOCK TABLE $S.sessions")).await.unwrap();
        let error = store.load(&realm(), record.id).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
        let change = insert(&record);
        let error = store.commit(&realm(), &change).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::OutcomeUnknown, "{error}");
        held.rollback().await.unwrap();
        // The one connection is another by now, and what was sent twice is applied once.
        assert!(store.commit(&realm(), &change).await.unwrap().is_applied());
        let stored = store.load(&realm(), record.id).await.unwrap().unwrap();
        assert_eq!(stored.version, 1);
    });
}

#[test]
fn more_callers_than_connections_wait_only_so_long() {
    let schema = Schema::new();
    let options = schema
        .options()
        .max_connections(NonZeroUsize::MIN)
        .connection_wait(Duration::from_millis(100));
    let store = std::sync::Arc::new(run(PostgresStore::open_with(&options)).unwrap());
    run(async {
        let mut other = client().await;
        let held = other.transaction().await.unwrap();
        held.batch_execute(&schema.named("LOCK TABLE $S.sessions")).await.unwrap();
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let store = std::sync::Arc::clone(&store);
                RUNTIME.spawn(async move { store.load(&realm(), record().id).await })
            })
            .collect();
        // All but the one that has the connection give up.
        let mut waiting = callers;
        let mut overloaded = 0;
        while waiting.len() > 1 {
            let at = loop {
                if let Some(at) = waiting.iter().position(tokio::task::JoinHandle::is_finished) {
                    break at;
                }
                tokio::task::yield_now().await;
            };
            let error = waiting.swap_remove(at).await.unwrap().unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Overloaded, "{error}");
            overloaded += 1;
        }
        assert_eq!(overloaded, 7);
        held.rollback().await.unwrap();
        assert!(waiting.remove(0).await.unwrap().unwrap().is_none());
    });
}

#[test]
fn connections_that_the_server_ends_are_replaced() {
    let schema = Schema::new();
    let url = with_option(&server_url(), &format!("application_name={}", schema.name));
    let store = run(PostgresStore::open_with(&schema.options_of(&url))).unwrap();
    run(async {
        let record = record();
        assert!(store.commit(&realm(), &insert(&record)).await.unwrap().is_applied());
        let other = client().await;
        for _ in 0..20 {
            let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1";
            other.query_one(sql, &[&schema.name]).await.unwrap();
            let stored = store.load(&realm(), record.id).await;
            assert!(stored.unwrap().is_some(), "a read is asked again on a fresh connection");
        }
    });
}

#[test]
fn outside_of_a_runtime_there_is_an_error() {
    let schema = Schema::new();
    let store = schema.open();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let answer = std::pin::pin!(store.load(&realm(), record().id)).as_mut().poll(&mut context);
    let std::task::Poll::Ready(Err(error)) = answer else { panic!("there is nothing to wait for") };
    assert_eq!(error.kind(), StoreErrorKind::Invalid);
    assert!(error.to_string().contains("tokio"), "{error}");
}
