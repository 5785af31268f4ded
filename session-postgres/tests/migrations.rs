//! How a schema is made, brought up to date, refused and used with few rights.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use common::{
    RUNTIME, Role, Schema, client, client_of, insert, login, realm, record, record_of, revocation,
    run, subject, touch,
};
use session_core::store::{EventQuery, ListQuery};
use session_core::{SessionStore, StoreError, StoreErrorKind, Timestamp};
use session_postgres::{PostgresStore, migrations};

fn refused(schema: &Schema, migrate: bool) -> StoreError {
    run(PostgresStore::open_with(&schema.options().migrate(migrate))).unwrap_err()
}

#[test]
fn eight_programs_start_at_once() {
    let schema = Schema::new();
    let stores: Vec<_> = (0..8)
        .map(|_| {
            let options = schema.options();
            RUNTIME.spawn(async move { PostgresStore::open_with(&options).await.unwrap() })
        })
        .collect();
    run(async {
        for store in stores {
            let store = store.await.unwrap();
            let record = record();
            assert!(store.commit(&realm(), &insert(&record)).await.unwrap().is_applied());
            assert!(store.load(&realm(), record.id).await.unwrap().is_some());
        }
    });
}

#[test]
fn a_name_of_any_text_is_that_of_a_schema() {
    let plain = Schema::new().name.clone();
    let schema = Schema { name: format!("{plain} O'Neill \"x\" $1 é") };
    let store = schema.open();
    run(async {
        assert!(store.commit(&realm(), &insert(&record())).await.unwrap().is_applied());
        let sql = schema.named("SELECT count(*) FROM $S.sessions");
        assert_eq!(client().await.query_one(&sql, &[]).await.unwrap().get::<_, i64>(0), 1);
    });
    drop(store);
    schema.open();
}

#[test]
fn names_that_can_be_none_are_refused() {
    let long = "x".repeat(64);
    for name in ["", "pg_mine", "a\0b", &long] {
        let options = Schema::new().options().schema(name);
        let error = run(PostgresStore::open_with(&options)).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains("schema"), "{error}");
    }
}

#[test]
fn a_missing_schema_is_not_made_against_ones_will() {
    let schema = Schema::new();
    let error = refused(&schema, false);
    assert_eq!(error.kind(), StoreErrorKind::Invalid);
    assert!(error.to_string().contains("version 0"), "{error}");
    assert!(error.to_string().contains("session_postgres::migrations"), "{error}");
    let sql = "SELECT count(*) FROM pg_namespace WHERE nspname = $1";
    let there = run(async { client().await.query_one(sql, &[&schema.name]).await }).unwrap();
    assert_eq!(there.get::<_, i64>(0), 0, "nothing was made");
}

#[test]
fn the_text_of_the_migrations_makes_the_same_schema() {
    let (by_hand, by_store) = (Schema::new(), Schema::new());
    run(async {
        let mut client = client().await;
        for migration in migrations(&by_hand.name) {
            let transaction = client.transaction().await.unwrap();
            transaction.batch_execute(&migration.sql).await.unwrap();
            transaction.commit().await.unwrap();
        }
    });
    let store = run(PostgresStore::open_with(&by_hand.options().migrate(false))).unwrap();
    run(async {
        assert!(store.commit(&realm(), &insert(&record())).await.unwrap().is_applied());
    });
    by_store.open();
    assert_eq!(described(&by_hand), described(&by_store));
}

/// Every relation, column and function of a schema.
fn described(schema: &Schema) -> Vec<String> {
    let sql = "SELECT c.relname || ' ' || coalesce(a.attname, '') || ' ' || coalesce(a.atttypid::regtype::text, '') \
               FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 \
               WHERE c.relnamespace = $1::text::regnamespace \
               UNION ALL SELECT proname || ' ' || pg_get_function_arguments(oid) \
               FROM pg_proc WHERE pronamespace = $1::text::regnamespace ORDER BY 1";
    let name = &schema.name;
    let rows = run(async { client().await.query(sql, &[&name]).await }).unwrap();
    assert!(rows.len() > 50);
    rows.iter().map(|row| row.get(0)).collect()
}

#[test]
fn a_newer_schema_is_refused_by_both_versions() {
    let schema = Schema::new();
    schema.open();
    schema.execute("UPDATE $S.session_engine_meta SET schema_version = 7");
    for migrate in [true, false] {
        let error = refused(&schema, migrate);
        assert_eq!(error.kind(), StoreErrorKind::Unsupported);
        assert!(error.to_string().contains("version 7"), "{error}");
        assert!(error.to_string().contains("up to 1"), "{error}");
    }
}

#[test]
fn a_program_whose_schema_was_brought_further_writes_no_more() {
    let schema = Schema::new();
    let store = schema.open();
    run(async {
        let kept = record_of("alice");
        assert!(store.commit(&realm(), &login(&kept, 0)).await.unwrap().is_applied());
        schema_execute(&schema, "UPDATE $S.session_engine_meta SET schema_version = 2").await;
        let limit = std::num::NonZeroUsize::MIN;
        let refusals = [
            store.commit(&realm(), &insert(&record())).await.map(drop).unwrap_err(),
            store.touch(&realm(), &[touch(&kept, 1)]).await.map(drop).unwrap_err(),
            store.purge(&realm(), Timestamp::MAX, limit).await.map(drop).unwrap_err(),
            store.erase(&realm(), &subject("alice"), limit).await.map(drop).unwrap_err(),
        ];
        for error in refusals {
            assert_eq!(error.kind(), StoreErrorKind::Unsupported, "{error}");
        }
        assert!(store.load(&realm(), kept.id).await.unwrap().is_some(), "it can still be read");
        schema_execute(&schema, "UPDATE $S.session_engine_meta SET schema_version = 1").await;
        assert!(store.commit(&realm(), &insert(&record())).await.unwrap().is_applied());
    });
}

async fn schema_execute(schema: &Schema, sql: &str) {
    client().await.batch_execute(&schema.named(sql)).await.unwrap();
}

#[test]
fn a_schema_of_another_application_stays_as_it_is() {
    let schema = Schema::new();
    schema.execute("CREATE SCHEMA $S; CREATE TABLE $S.sessions (id text)");
    for migrate in [true, false] {
        let error = refused(&schema, migrate);
        assert_eq!(error.kind(), StoreErrorKind::Invalid);
        assert!(error.to_string().contains("another application"), "{error}");
    }
    let sql = "SELECT count(*) FROM pg_class WHERE relnamespace = $1::text::regnamespace AND relkind = 'r'";
    let tables = run(async { client().await.query_one(sql, &[&schema.name]).await }).unwrap();
    assert_eq!(tables.get::<_, i64>(0), 1);
}

#[test]
fn an_empty_schema_is_filled() {
    let schema = Schema::new();
    schema.execute("CREATE SCHEMA $S");
    schema.open();
}

#[test]
fn a_missing_schema_under_way_says_what_to_do() {
    let schema = Schema::new();
    let store = schema.open();
    schema.execute("DROP SCHEMA $S CASCADE");
    run(async {
        for error in [
            store.load(&realm(), record().id).await.map(drop).unwrap_err(),
            store.commit(&realm(), &insert(&record())).await.map(drop).unwrap_err(),
        ] {
            assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
            assert!(error.to_string().contains("schema is missing"), "{error}");
        }
    });
    schema.open();
    run(async {
        assert!(store.commit(&realm(), &insert(&record())).await.unwrap().is_applied());
    });
}

#[test]
fn a_role_that_may_only_read_and_write_rows_is_enough() {
    let schema = Schema::new();
    schema.open();
    let role = Role(format!("role_{}", schema.name));
    // These are the rights that the documentation of the crate names.
    schema.execute(&format!(
        "CREATE ROLE {0} LOGIN PASSWORD 'app'; \
         GRANT USAGE ON SCHEMA $S TO {0}; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA $S TO {0}",
        role.0
    ));
    let url = role.url();
    let store = run(PostgresStore::open_with(&schema.options_of(&url))).unwrap();
    run(async {
        let limit = std::num::NonZeroUsize::MIN;
        let record = record_of("alice");
        assert!(store.commit(&realm(), &login(&record, 0)).await.unwrap().is_applied());
        store.touch(&realm(), &[touch(&record, 1)]).await.unwrap();
        assert!(store.commit(&realm(), &revocation(&record)).await.unwrap().is_applied());
        store.load(&realm(), record.id).await.unwrap().unwrap();
        store.marks(&realm(), Some(&subject("alice"))).await.unwrap();
        store.list(&realm(), &ListQuery::default(), None).await.unwrap();
        store.due(&realm(), Timestamp::MAX, None, limit).await.unwrap();
        store.below_epoch(&realm(), None, limit).await.unwrap();
        store.events(&realm(), &EventQuery::default(), None).await.unwrap();
        assert_eq!(store.purge(&realm(), Timestamp::MAX, limit).await.unwrap().records, 1);
        store.erase(&realm(), &subject("alice"), limit).await.unwrap();
        let own = client_of(&url).await;
        let denied = own.batch_execute(&schema.named("DROP TABLE $S.sessions")).await;
        assert!(denied.is_err(), "it may do no more");
    });
    let other = Schema::new();
    let error = run(PostgresStore::open_with(&other.options_of(&url))).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("right"), "{error}");
}
