//! How touches are written. It is alone in its program: the server tidies a page up only when no transaction of the
//! database needs what was on it.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::time::Duration;

use common::{Schema, client, login, realm, record_of, run, touch};
use session_core::SessionStore;
use session_core::store::{Outcome, Touched};

#[test]
fn touches_rewrite_no_index() {
    let schema = Schema::new();
    let store = schema.open();
    run(async {
        let records: Vec<_> = (0..200).map(|n| record_of(&format!("subject {n}"))).collect();
        for record in &records {
            let outcome = store.commit(&realm(), &login(record, 0)).await;
            assert_eq!(outcome.unwrap(), Outcome::Applied);
        }
        for round in 1..=20 {
            for batch in records.chunks(20) {
                let touches: Vec<_> = batch.iter().map(|record| touch(record, round)).collect();
                let touched = store.touch(&realm(), &touches).await.unwrap();
                assert!(touched.iter().all(|touched| *touched == Touched::Touched));
            }
        }
        // A connection hands its figures over when it is closed.
        drop(store);
        let (hot, all) = updates(&schema, 4_000).await;
        assert!(hot * 100 >= all * 95, "{hot} of {all} updates were HOT");
    });
}

/// The updates of the table `sessions` that were HOT, and all; as soon as the server tells of so many.
async fn updates(schema: &Schema, at_least: i64) -> (i64, i64) {
    let client = client().await;
    let sql = "SELECT n_tup_hot_upd, n_tup_upd FROM pg_stat_user_tables \
               WHERE schemaname = $1 AND relname = 'sessions'";
    for _ in 0..2_000 {
        let row = client.query_one(sql, &[&schema.name]).await.unwrap();
        let (hot, all): (i64, i64) = (row.get(0), row.get(1));
        if all >= at_least {
            return (hot, all);
        }
        client.batch_execute("SELECT pg_stat_clear_snapshot()").await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the server never told of {at_least} updates");
}
