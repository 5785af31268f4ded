//! Databases that are set up oddly, and others in them who mean harm.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::num::NonZeroUsize;
use std::time::Duration;

use common::{
    Database, Role, Schema, change, client, client_of, event, insert, login, realm, record,
    record_of, run, subject, touch,
};
use session_core::store::{EventQuery, Events, Touched};
use session_core::{EventKind, Fence, SessionStore, StoreErrorKind};
use session_postgres::{PostgresOptions, PostgresStore};

#[test]
fn what_a_database_is_set_to_does_not_matter() {
    let database = Database::new("");
    for setting in [
        "standard_conforming_strings = off",
        "bytea_output = escape",
        "default_transaction_isolation = serializable",
        "transform_null_equals = on",
        "search_path = nowhere",
        "DateStyle = German",
        "plan_cache_mode = force_generic_plan",
    ] {
        database.execute(&format!("ALTER DATABASE {} SET {setting}", database.0));
    }
    for pooler in [false, true] {
        // With the first setting, a backslash hides the quote after it.
        let options = PostgresOptions::new(&database.url()).unwrap().transaction_pooler(pooler);
        let options = options.schema(r#"o'clock\' OR true \"x" \\"#);
        let store = run(PostgresStore::open_with(&options)).unwrap();
        run(async {
            let (realm, record) = (realm(), record_of("alice\\'"));
            let version = store.marks(&realm, record.subject.as_ref()).await.unwrap();
            let change = login(&record, version.subject.version);
            assert!(store.commit(&realm, &change).await.unwrap().is_applied());
            let stored = store.load(&realm, record.id).await.unwrap().unwrap();
            assert_eq!(stored.record, record);
            let touched = store.touch(&realm, &[touch(&record, 1)]).await.unwrap();
            assert_eq!(touched, [Touched::Touched]);
        });
    }
}

#[test]
fn what_others_have_put_in_public_is_not_called() {
    let database = Database::new("");
    // It fits better than the server's own `count("any")`, and would do anything with the rights of the caller.
    database.execute(
        "CREATE FUNCTION public.trap(bigint, oid) RETURNS bigint LANGUAGE plpgsql \
         AS $$ BEGIN RAISE 'the trap is sprung'; END $$; \
         CREATE AGGREGATE public.count(oid) (SFUNC = public.trap, STYPE = bigint, INITCOND = '0'); \
         CREATE FUNCTION public.max(bigint[]) RETURNS bigint LANGUAGE plpgsql \
         AS $$ BEGIN RAISE 'the trap is sprung'; END $$",
    );
    for pooler in [false, true] {
        let options = PostgresOptions::new(&database.url()).unwrap().transaction_pooler(pooler);
        for _ in 0..2 {
            run(PostgresStore::open_with(&options)).unwrap();
        }
    }
}

#[test]
fn a_schema_with_the_functions_of_another_is_not_ours() {
    let schema = Schema::new();
    schema.execute(
        "CREATE SCHEMA $S; CREATE FUNCTION $S.jsonb_typeof(text) RETURNS text LANGUAGE sql AS 'SELECT $1'",
    );
    let error = run(PostgresStore::open_with(&schema.options())).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("another application"), "{error}");
}

#[test]
fn a_database_that_cannot_hold_every_text_is_refused() {
    let database = Database::new("TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
    for pooler in [false, true] {
        let options = PostgresOptions::new(&database.url()).unwrap().transaction_pooler(pooler);
        let error = run(PostgresStore::open_with(&options)).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains("LATIN1"), "{error}");
        assert!(error.to_string().contains("UTF8"), "{error}");
    }
}

#[test]
fn a_database_that_only_reads_is_named_as_that() {
    let database = Database::new("");
    database
        .execute(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.0));
    let error =
        run(PostgresStore::open_with(&PostgresOptions::new(&database.url()).unwrap())).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("only reads"), "{error}");
}

#[test]
fn whoever_may_only_enter_the_schema_reads_and_writes_nothing() {
    let schema = Schema::new();
    let store = schema.open();
    let role = Role(format!("role_{}", schema.name));
    schema.execute(&format!(
        "CREATE ROLE {0} LOGIN PASSWORD 'app'; GRANT USAGE ON SCHEMA $S TO {0}",
        role.0
    ));
    run(async {
        let record = record_of("alice");
        assert!(store.commit(&realm(), &login(&record, 0)).await.unwrap().is_applied());
        let other = client_of(&role.url()).await;
        for sql in [
            "SELECT $S.commit_changes(1, 'default', '{}', '{}', '{}', '[{}]')",
            "SELECT $S.touch_sessions(1, 'default', '{}', '{}', '{}', '{}', '{}')",
            "SELECT $S.purge_old(1, 'default', 9223372036854775807, 9)",
            "SELECT $S.erase_subject(1, 'default', 'alice', 9)",
            "SELECT $S.unsettled_marks('default', 9)",
            "SELECT $S.sessions_of_unsettled_marks('default', gen_random_uuid(), 9)",
            "SELECT * FROM $S.sessions",
            "SELECT * FROM $S.events",
            "SELECT * FROM $S.sessions_for_humans",
        ] {
            let error = other.batch_execute(&schema.named(sql)).await.unwrap_err();
            let code = error.code().map(tokio_postgres::error::SqlState::code);
            assert_eq!(code, Some("42501"), "{sql}: {error:?}");
        }
        assert!(store.load(&realm(), record.id).await.unwrap().is_some());
    });
}

#[test]
fn a_lock_that_somebody_holds_delays_an_opening_only_so_long() {
    let database = Database::new("");
    run(async {
        // Anybody who may connect to the database may take it.
        let other = client_of(&database.url()).await;
        other.batch_execute("SELECT pg_advisory_lock(x'53657373696f6e45'::bigint)").await.unwrap();
        let options = PostgresOptions::new(&database.url()).unwrap();
        let options = options.answer_timeout(Duration::from_millis(200));
        let opened = PostgresStore::open_with(&options);
        let opened = tokio::time::timeout(Duration::from_secs(20), opened).await;
        let error = opened.expect("it ends").unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("locked"), "{error}");
        other.batch_execute("SELECT pg_advisory_unlock_all()").await.unwrap();
        PostgresStore::open_with(&options).await.unwrap();
    });
}

#[test]
fn waits_of_any_length_can_be_asked_for() {
    let schema = Schema::new();
    let options = schema
        .options()
        .answer_timeout(Duration::MAX)
        .connect_timeout(Duration::MAX)
        .connection_wait(Duration::MAX)
        .settle_wait(Duration::MAX);
    let store = run(PostgresStore::open_with(&options)).unwrap();
    run(async {
        assert!(store.commit(&realm(), &insert(&record())).await.unwrap().is_applied());
    });
}

#[test]
fn a_read_that_is_refused_for_anothers_sake_is_asked_again() {
    let schema = Schema::new();
    let store = schema.open();
    let record = record();
    run(async {
        assert!(store.commit(&realm(), &insert(&record)).await.unwrap().is_applied());
    });
    schema.execute(
        "CREATE SEQUENCE $S.asked; \
         CREATE FUNCTION $S.trip() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN \
             IF nextval('$S.asked') < 4 THEN RAISE serialization_failure; END IF; RETURN true; \
         END $$; \
         ALTER TABLE $S.sessions RENAME TO kept; \
         CREATE VIEW $S.sessions AS SELECT * FROM $S.kept WHERE $S.trip()",
    );
    run(async {
        assert!(store.load(&realm(), record.id).await.unwrap().is_some());
    });
}

#[test]
fn an_erasure_leaves_the_mark_of_a_login_at_the_same_time() {
    let schema = Schema::new();
    let store = std::sync::Arc::new(schema.open());
    let record = record_of("alice");
    run(async {
        let told = change().event(event(&record, EventKind::Issued));
        assert!(store.commit(&realm(), &told).await.unwrap().is_applied());
    });
    // No event is found, and who looks for the second time, after the sessions, waits.
    schema.execute(
        "CREATE SEQUENCE $S.asked; \
         CREATE FUNCTION $S.hidden() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN \
             IF nextval('$S.asked') > 1 THEN PERFORM pg_advisory_xact_lock_shared(hashtext('$S')); END IF; \
             RETURN false; \
         END $$; \
         ALTER TABLE $S.events RENAME TO kept; \
         CREATE VIEW $S.events AS SELECT * FROM $S.kept WHERE $S.hidden()",
    );
    run(async {
        let other = client().await;
        other.execute(&schema.named("SELECT pg_advisory_lock(hashtext('$S'))"), &[]).await.unwrap();
        let erasing = std::sync::Arc::clone(&store);
        let erasure = common::RUNTIME.spawn(async move {
            erasing.erase(&realm(), &subject("alice"), NonZeroUsize::new(9).unwrap()).await
        });
        let waits = schema.named(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
             AND objid::bigint = hashtext('$S')::bigint & 4294967295",
        );
        while !erasure.is_finished()
            && other.query_one(&waits, &[]).await.unwrap().get::<_, i64>(0) == 0
        {
            tokio::task::yield_now().await;
        }
        let fence = Fence { subject: subject("alice"), version: 0 };
        let login = change().insert_fenced(record.clone(), None, &fence);
        assert!(store.commit(&realm(), &login).await.unwrap().is_applied());
        other.batch_execute("SELECT pg_advisory_unlock_all()").await.unwrap();
        erasure.await.unwrap().unwrap();
        let stored = store.load(&realm(), record.id).await.unwrap().unwrap();
        assert_eq!(stored.marks.subject.version, 1);
        assert_eq!(stored.marks.subject.epoch, record.epochs.subject, "it lives");
    });
}

#[test]
fn cursors_from_anywhere_are_places() {
    let schema = Schema::new();
    let store = schema.open();
    run(async {
        let record = record();
        let change = insert(&record).event(event(&record, EventKind::Issued));
        assert!(store.commit(&realm(), &change).await.unwrap().is_applied());
        for place in [0, 1, u64::MAX >> 1, u64::MAX] {
            let after = session_core::store::Cursor::from_bytes(place.to_be_bytes());
            let query = EventQuery::default();
            let Events::Page(page) = store.events(&realm(), &query, Some(&after)).await.unwrap()
            else {
                panic!("nothing was purged")
            };
            assert_eq!(page.events.len(), if place < 2 { 2 } else { 0 });
        }
    });
}
