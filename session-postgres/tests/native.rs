//! What is Postgres' own: how rows are rewritten, what a schema keeps apart, and what is left of dropped calls.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use common::{
    START, Schema, change, client, insert, login, realm, record, record_of, revocation, run,
    subject, touch,
};
use session_core::store::{EventQuery, ListQuery, Outcome};
use session_core::{
    DataWrite, EncodedData, MarkKey, MarkWrite, Replacement, SessionStore, StoreErrorKind,
};
use session_postgres::PostgresStore;

#[test]
fn two_applications_share_a_database() {
    let (ours, theirs) = (Schema::new(), Schema::new());
    let (our, their) = (ours.open(), theirs.open());
    run(async {
        let record = record_of("alice");
        assert!(our.commit(&realm(), &login(&record, 0)).await.unwrap().is_applied());
        assert!(their.load(&realm(), record.id).await.unwrap().is_none());
        let marks = their.marks(&realm(), Some(&subject("alice"))).await.unwrap();
        assert_eq!(marks.subject.version, 0);
        assert!(their.list(&realm(), &ListQuery::default(), None).await.unwrap().rows.is_empty());
        assert!(their.commit(&realm(), &login(&record, 0)).await.unwrap().is_applied());
        assert!(their.commit(&realm(), &revocation(&record)).await.unwrap().is_applied());
        let stored = our.load(&realm(), record.id).await.unwrap().unwrap();
        assert!(stored.record.end.is_none(), "what ends in one application lives on in the other");
    });
}

/// Polls a future so many times at most, and drops it if it is not done by then.
struct Cut<F>(Pin<Box<F>>, usize);

impl<F: Future> Future for Cut<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.1 == 0 {
            return Poll::Ready(None);
        }
        self.1 -= 1;
        match self.0.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.1 == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

#[test]
fn dropped_calls_leave_no_transaction_open() {
    let schema = Schema::new();
    let url =
        common::with_option(&common::server_url(), &format!("application_name={}", schema.name));
    // One connection: if any call kept it, the next would wait for ever.
    let options = schema.options_of(&url).max_connections(NonZeroUsize::MIN);
    run(async {
        let store = PostgresStore::open_with(&options).await.unwrap();
        let (all, tail, limit) =
            (ListQuery::default(), EventQuery::default(), NonZeroUsize::new(9).unwrap());
        let now = START;
        for polls in 0..12 {
            let record = record();
            let inserted = insert(&record);
            Cut(Box::pin(store.commit(&realm(), &inserted)), polls).await;
            Cut(Box::pin(store.load(&realm(), record.id)), polls).await;
            Cut(Box::pin(store.touch(&realm(), &[touch(&record, 1)])), polls).await;
            Cut(Box::pin(store.list(&realm(), &all, None)), polls).await;
            Cut(Box::pin(store.events(&realm(), &tail, None)), polls).await;
            Cut(Box::pin(store.purge(&realm(), now, limit)), polls).await;
            // Sent again it is applied once, whether it was or not.
            assert_eq!(store.commit(&realm(), &inserted).await.unwrap(), Outcome::Applied);
            let stored = store.load(&realm(), record.id).await.unwrap().unwrap();
            assert_eq!((stored.version, stored.data.is_some()), (1, true));
        }
        let client = client().await;
        let sql = "SELECT count(*) FROM pg_stat_activity \
                   WHERE application_name = $1 AND state LIKE 'idle in transaction%'";
        let open: i64 = client.query_one(sql, &[&schema.name]).await.unwrap().get(0);
        assert_eq!(open, 0, "no transaction is open");
    });
}

/// The server's processes for the connections of a program.
async fn backends(program: &str) -> Vec<i32> {
    let sql = "SELECT pid FROM pg_stat_activity WHERE application_name = $1 ORDER BY pid";
    let rows = client().await.query(sql, &[&program]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[test]
fn dropped_calls_cost_no_connection() {
    let schema = Schema::new();
    for pooler in [false, true] {
        let program = format!("{} {pooler}", schema.name);
        let url = common::with_option(
            &common::server_url(),
            &format!("application_name={}", program.replace(' ', "%20")),
        );
        let options = schema.options_of(&url).transaction_pooler(pooler);
        let options = options.max_connections(NonZeroUsize::new(2).unwrap());
        run(async {
            let store = PostgresStore::open_with(&options).await.unwrap();
            let one =
                || async { assert!(store.load(&realm(), record().id).await.unwrap().is_none()) };
            let both = || async { tokio::join!(one(), one()) };
            both().await;
            let before = backends(&program).await;
            assert_eq!(before.len(), 2);
            for number in 0..200 {
                let inserted = insert(&record());
                Cut(Box::pin(store.commit(&realm(), &inserted)), 1 + number % 5).await;
            }
            both().await;
            assert_eq!(backends(&program).await, before, "pooler: {pooler}");
        });
    }
}

#[test]
fn a_connection_is_made_though_the_call_that_needs_it_is_dropped() {
    let schema = Schema::new();
    let url =
        common::with_option(&common::server_url(), &format!("application_name={}", schema.name));
    run(async {
        let store = PostgresStore::open_with(&schema.options_of(&url)).await.unwrap();
        let mut other = client().await;
        let held = other.transaction().await.unwrap();
        held.batch_execute(&schema.named("LOCK TABLE $S.sessions")).await.unwrap();
        let (realm, id) = (realm(), record().id);
        let mut waiting = store.load(&realm, id);
        assert!(Cut(Box::pin(&mut waiting), 1).await.is_none(), "it has the one connection");
        Cut(Box::pin(store.marks(&realm, None)), 1).await;
        for _ in 0..1_000 {
            if backends(&schema.name).await.len() == 2 {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(backends(&schema.name).await.len(), 2, "the next call finds it");
        held.rollback().await.unwrap();
        assert!(waiting.await.unwrap().is_none());
    });
}

#[test]
fn a_dropped_call_that_is_never_answered_costs_its_connection_alone() {
    let schema = Schema::new();
    let settings = "options=-c%20statement_timeout%3D0%20-c%20lock_timeout%3D0";
    let url = common::with_option(&common::server_url(), settings);
    let options = schema.options_of(&url).answer_timeout(Duration::from_millis(500));
    run(async {
        let store =
            PostgresStore::open_with(&options.max_connections(NonZeroUsize::MIN)).await.unwrap();
        store.load(&realm(), record().id).await.unwrap();
        store.marks(&realm(), None).await.unwrap();
        let mut other = client().await;
        let held = other.transaction().await.unwrap();
        held.batch_execute(&schema.named("LOCK TABLE $S.sessions")).await.unwrap();
        let realm = realm();
        let dropped = store.load(&realm, record().id);
        assert!(tokio::time::timeout(Duration::from_millis(50), dropped).await.is_err());
        // The one place in the pool is free again, though the server still has not answered.
        store.marks(&realm, None).await.unwrap();
        held.rollback().await.unwrap();
    });
}

#[test]
fn a_batch_that_is_full_of_conflicts_leaves_no_mark_behind() {
    let schema = Schema::new();
    let store = schema.open();
    run(async {
        let (alice, bob) = (record_of("alice"), record_of("bob"));
        let late = [login(&alice, 7), login(&bob, 7)];
        let outcomes = store.commit_each(&realm(), &late).await.unwrap();
        let fenced = |name| Outcome::Fenced(MarkKey::Subject(subject(name)));
        assert_eq!(outcomes, [fenced("alice"), fenced("bob")]);
        let left =
            client().await.query_one(&schema.named("SELECT count(*) FROM $S.marks"), &[]).await;
        assert_eq!(left.unwrap().get::<_, i64>(0), 0, "what was made to be locked is gone");
    });
}

#[test]
fn numbers_beyond_a_bigint_are_refused() {
    let schema = Schema::new();
    let store = schema.open();
    run(async {
        let mut record = record();
        record.epochs.realm = u64::MAX;
        let refused = store.commit(&realm(), &change().insert(record, None)).await.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Invalid, "{refused}");
        let write = MarkWrite { key: MarkKey::Realm, expected: u64::MAX, raise: None, stamp: None };
        let outcome = store.commit(&realm(), &change().mark(write)).await.unwrap();
        assert_eq!(outcome, Outcome::Fenced(MarkKey::Realm), "it is the version of no mark");
    });
}

#[test]
fn a_nul_is_refused_and_named() {
    let schema = Schema::new();
    let store = schema.open();
    run(async {
        let data = EncodedData::from_stored("\0");
        let refused = store.commit(&realm(), &change().insert(record(), Some(data))).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Invalid, "{refused}");
        assert!(refused.to_string().contains("NUL"), "{refused}");
        let mut record = record();
        record.client.device = Some("s3cret\0".into());
        let data = EncodedData::from_stored(r#"{"a":"s3cret \\u0000"}"#);
        let with_nul = change().insert(record.clone(), Some(data.clone()));
        let refused = store.commit(&realm(), &with_nul).await.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Invalid, "{refused}");
        assert!(!format!("{refused:?}").contains("s3cret"), "{refused:?}");
        // The escape of one in JSON is none.
        record.client.device = Some("\\u0000".into());
        let change = change().insert(record.clone(), Some(data.clone()));
        assert!(store.commit(&realm(), &change).await.unwrap().is_applied());
        let stored = store.load(&realm(), record.id).await.unwrap().unwrap();
        assert_eq!((stored.record, stored.data), (record, Some(data)));
    });
}

#[test]
fn rows_and_marks_that_cannot_be_moved_on_are_conflicts() {
    let schema = Schema::new();
    let store = schema.open();
    run(async {
        let (newer, last, alice) = (record(), record(), record_of("alice"));
        for change in [insert(&newer), insert(&last), login(&alice, 0)] {
            assert!(store.commit(&realm(), &change).await.unwrap().is_applied());
        }
        let client = client().await;
        let sql = format!(
            "UPDATE $S.sessions SET format = 2 WHERE id = '{}'; \
             UPDATE $S.sessions SET version = 9223372036854775807 WHERE id = '{}'; \
             UPDATE $S.marks SET epoch = -1",
            newer.id, last.id
        );
        client.batch_execute(&schema.named(&sql)).await.unwrap();
        let error = store.load(&realm(), newer.id).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains("format 2"), "{error}");
        let error = store.load(&realm(), last.id).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
        let error = store.load(&realm(), alice.id).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
        let replaced = |record: &session_core::Record, expected| {
            let (record, data) = (record.clone(), DataWrite::Keep);
            change().replace(Replacement { record, expected, data, decided_on: None })
        };
        let batch = [
            replaced(&newer, 1),
            replaced(&last, i64::MAX.unsigned_abs()),
            login(&record_of("alice"), 1),
            insert(&record()),
        ];
        let outcomes = store.commit_each(&realm(), &batch).await.unwrap();
        let expected = [
            Outcome::Moved(newer.id),
            Outcome::Moved(last.id),
            Outcome::Fenced(MarkKey::Subject(subject("alice"))),
            Outcome::Applied,
        ];
        assert_eq!(outcomes, expected);
    });
}

#[test]
fn a_log_of_raises_that_is_damaged_stops_no_raise() {
    let schema = Schema::new();
    let store = schema.open();
    run(async {
        let record = record();
        assert!(store.commit(&realm(), &insert(&record)).await.unwrap().is_applied());
        for (version, damage) in [(0, "'7'"), (1, "'{}'"), (2, "NULL")] {
            let raise = session_core::Raise {
                epoch: version + 1,
                reason: session_core::Reason::EveryoneRevoked,
                actor: session_core::Actor::System,
                at: START,
            };
            let write = MarkWrite {
                key: MarkKey::Realm,
                expected: version,
                raise: Some(raise.clone()),
                stamp: None,
            };
            assert!(store.commit(&realm(), &change().mark(write)).await.unwrap().is_applied());
            let stored = store.load(&realm(), record.id).await.unwrap().unwrap();
            assert_eq!(stored.marks.realm.raise, Some(raise), "the log is begun anew");
            let sql = schema.named(&format!("UPDATE $S.marks SET raises = {damage}"));
            client().await.batch_execute(&sql).await.unwrap();
        }
    });
}

#[test]
fn no_call_reads_more_than_it_answers() {
    for (pooler, analyzed) in [(false, true), (true, true), (false, false)] {
        let schema = Schema::new();
        let options = schema.options().transaction_pooler(pooler);
        drop(run(PostgresStore::open_with(&options)).unwrap());
        for table in ["sessions", "marks", "events"] {
            let off = format!("ALTER TABLE $S.{table} SET (autovacuum_enabled = off)");
            schema.execute(&off);
        }
        schema.execute(
            "INSERT INTO $S.sessions (realm, id, format, version, change_id, secret_hash, generation, subject, class, \
                 realm_epoch, subject_epoch, created_at, due_at, next_slot, seen_at, \
                 ended_at, end_observed_at, end_reason, end_actor, purge_at) \
             SELECT 'default', gen_random_uuid(), 1, 1, gen_random_uuid(), decode(repeat('07', 32), 'hex'), 0, \
                 's' || n % 2000, 'browser', 0, 0, n, n, 1, n, e.at, e.at, e.why, e.who, e.at \
             FROM generate_series(1, 20000) n, \
                 LATERAL (SELECT CASE n % 2 WHEN 0 THEN n END, CASE n % 2 WHEN 0 THEN 'signed_out' END, \
                                 CASE n % 2 WHEN 0 THEN 'system' END) e (at, why, who); \
             INSERT INTO $S.marks (realm, subject, version, epoch, settled, change_id) \
             SELECT 'default', 's' || n, 1, (n = 77)::int, 0, gen_random_uuid() FROM generate_series(0, 1999) n; \
             INSERT INTO $S.events (realm, seq, change_id, kind, subject, session, actor, at, observed_at, purge_at) \
             SELECT 'default', n, gen_random_uuid(), 'issued', 's' || n % 2000, gen_random_uuid(), 'system', n, n, n \
             FROM generate_series(1, 20000) n",
        );
        // A server that has no statistics yet, as after a large import, must find its ways too.
        if analyzed {
            schema.execute("ANALYZE $S.sessions, $S.marks, $S.events");
        }
        let before = reads(&schema, 0);
        let store = run(PostgresStore::open_with(&options)).unwrap();
        run(async {
            let limit = NonZeroUsize::new(10).unwrap();
            let whose = Some(subject("s77"));
            let list = ListQuery { subject: whose.clone(), limit, with_ended: false };
            let events = EventQuery { subject: whose.clone(), limit, ..EventQuery::default() };
            let found = store.list(&realm(), &list, None).await.unwrap().rows;
            assert_eq!(found.len(), 10);
            let one = found[0].as_ref().unwrap().record.id;
            for _ in 0..8 {
                assert!(store.load(&realm(), one).await.unwrap().is_some());
                store.marks(&realm(), whose.as_ref()).await.unwrap();
                let all = ListQuery { subject: None, ..list.clone() };
                store.list(&realm(), &all, None).await.unwrap();
                store.list(&realm(), &ListQuery { with_ended: true, ..all }, None).await.unwrap();
                assert_eq!(store.due(&realm(), START, None, limit).await.unwrap().rows.len(), 10);
                let below = store.below_epoch(&realm(), None, limit).await.unwrap();
                assert_eq!((below.scan.rows.len(), below.unsettled.len()), (10, 1));
                store
                    .events(&realm(), &EventQuery { limit, ..EventQuery::default() }, None)
                    .await
                    .unwrap();
                store.events(&realm(), &events, None).await.unwrap();
            }
            let fresh = record_of("s1");
            assert!(store.commit(&realm(), &login(&fresh, 1)).await.unwrap().is_applied());
            store.touch(&realm(), &[touch(&fresh, 1)]).await.unwrap();
            assert!(store.commit(&realm(), &revocation(&fresh)).await.unwrap().is_applied());
            assert_eq!(store.purge(&realm(), START, limit).await.unwrap().records, 10);
            store.erase(&realm(), &subject("s2"), limit).await.unwrap();
        });
        drop(store);
        let after = reads(&schema, before.1 + 1);
        assert_eq!(
            after.0, before.0,
            "no table is read from its beginning (pooler: {pooler}, analyzed: {analyzed})"
        );
        let fetched = after.1 - before.1;
        assert!(
            fetched < 6_000,
            "{fetched} rows were read (pooler: {pooler}, analyzed: {analyzed})"
        );
    }
}

/// The rows read in sequence, and those found by an index, in all tables but the one of one row; as soon as the
/// latter are so many.
fn reads(schema: &Schema, at_least: i64) -> (i64, i64) {
    let sql = "SELECT sum(seq_tup_read)::bigint, sum(coalesce(idx_tup_fetch, 0))::bigint \
               FROM pg_stat_user_tables WHERE schemaname = $1 AND relname <> 'session_engine_meta'";
    run(async {
        let client = client().await;
        for _ in 0..2_000 {
            let row = client.query_one(sql, &[&schema.name]).await.unwrap();
            if row.get::<_, i64>(1) >= at_least {
                return (row.get(0), row.get(1));
            }
            client.batch_execute("SELECT pg_stat_clear_snapshot()").await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the server never told of {at_least} reads");
    })
}
