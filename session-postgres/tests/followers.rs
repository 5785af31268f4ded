//! Readers that follow the events while others write.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{RUNTIME, START, Schema, change, client, event, insert, realm, record, run};
use session_core::SessionStore;
use session_core::store::{Cursor, EventPage, EventQuery, Events, Order};
use session_core::{Event, EventKind};
use session_postgres::PostgresStore;

const WRITERS: usize = 16;
const COMMITS: usize = 40;

async fn page(store: &PostgresStore, order: Order, after: Option<&Cursor>) -> EventPage {
    let query = EventQuery { order, ..EventQuery::default() };
    match store.events(&realm(), &query, after).await.unwrap() {
        Events::Page(page) => page,
        Events::CursorExpired => panic!("nothing was purged"),
    }
}

#[test]
fn a_follower_misses_nothing_while_sixteen_write() {
    let schema = Schema::new();
    let store = Arc::new(schema.open());
    let eager = schema.options().settle_wait(Duration::ZERO);
    let eager = Arc::new(run(PostgresStore::open_with(&eager)).unwrap());
    let done = Arc::new(AtomicUsize::new(0));
    run(async {
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                let (store, done) = (Arc::clone(&store), Arc::clone(&done));
                RUNTIME.spawn(async move {
                    let mut written = Vec::new();
                    for _ in 0..COMMITS {
                        let change = insert(&record());
                        assert!(store.commit(&realm(), &change).await.unwrap().is_applied());
                        written.push(change.id());
                    }
                    done.fetch_add(1, Ordering::SeqCst);
                    written
                })
            })
            .collect();
        let followers: Vec<_> = [Arc::clone(&store), eager]
            .into_iter()
            .map(|store| {
                let done = Arc::clone(&done);
                RUNTIME.spawn(async move {
                    let (mut seen, mut after) = (Vec::new(), None);
                    loop {
                        let is_over = done.load(Ordering::SeqCst) == WRITERS;
                        let page = page(&store, Order::OldestFirst, after.as_ref()).await;
                        let is_empty = page.events.is_empty();
                        seen.extend(page.events);
                        after = page.next;
                        if is_over && is_empty && seen.len() >= WRITERS * COMMITS {
                            return seen;
                        }
                    }
                })
            })
            .collect();
        let mut written = HashSet::new();
        for writer in writers {
            written.extend(writer.await.unwrap());
        }
        for follower in followers {
            let seen = tokio::time::timeout(Duration::from_secs(60), follower).await;
            let seen = seen.expect("a follower sees everything").unwrap();
            assert!(seen.is_sorted_by(|a, b| a.sequence < b.sequence), "in order, none twice");
            let changes: HashSet<_> = seen.iter().map(|stored| stored.change).collect();
            assert_eq!(changes, written);
        }
    });
}

#[test]
fn a_long_transaction_holds_the_tail_back_and_loses_nothing() {
    let schema = Schema::new();
    let options = schema.options().settle_wait(Duration::from_millis(50));
    let store = run(PostgresStore::open_with(&options)).unwrap();
    run(async {
        let before = insert(&record());
        assert!(store.commit(&realm(), &before).await.unwrap().is_applied());
        let other = client().await;
        other.batch_execute("BEGIN; SELECT pg_current_xact_id()").await.unwrap();
        let after = insert(&record());
        assert!(store.commit(&realm(), &after).await.unwrap().is_applied());
        let newest = page(&store, Order::NewestFirst, None).await;
        assert_eq!(newest.events.len(), 2, "looking back shows all that is committed");
        let first = page(&store, Order::OldestFirst, None).await;
        assert_eq!(first.events.len(), 1, "what may still be preceded is not told to a follower");
        assert_eq!(first.events[0].change, before.id());
        let none = page(&store, Order::OldestFirst, first.next.as_ref()).await;
        assert!(none.events.is_empty());
        other.batch_execute("COMMIT").await.unwrap();
        let second = page(&store, Order::OldestFirst, none.next.as_ref()).await;
        assert_eq!(second.events.len(), 1, "once it has ended, the follower goes on");
        assert_eq!(second.events[0].change, after.id());
    });
}

#[test]
fn a_reader_that_begins_anew_after_a_purge_goes_on() {
    let schema = Schema::new();
    let store = schema.open();
    run(async {
        let first = record();
        let purged = Event { purge_at: START, ..event(&first, EventKind::Issued) };
        let commit = change().insert(first, None).event(purged);
        assert!(store.commit(&realm(), &commit).await.unwrap().is_applied());
        assert_eq!(page(&store, Order::OldestFirst, None).await.events.len(), 1);
        let removed = store.purge(&realm(), START, std::num::NonZeroUsize::MIN).await.unwrap();
        assert_eq!(removed.events, 1);
        let empty = page(&store, Order::OldestFirst, None).await;
        assert!(empty.events.is_empty());
        let next = insert(&record());
        assert!(store.commit(&realm(), &next).await.unwrap().is_applied());
        let found = page(&store, Order::OldestFirst, empty.next.as_ref()).await;
        assert_eq!(found.events.len(), 1, "its cursor has not expired");
        assert_eq!(found.events[0].change, next.id());
    });
}

#[test]
fn a_database_restored_elsewhere_goes_on_after_its_last_event() {
    let schema = Schema::new();
    let store = schema.open();
    run(async {
        assert!(store.commit(&realm(), &insert(&record())).await.unwrap().is_applied());
    });
    drop(store);
    // As if these events came from a server that has had a million more transactions.
    schema.execute("UPDATE $S.events SET seq = seq + (1000000::bigint << 20)");
    let store = schema.open();
    run(async {
        let old = page(&store, Order::NewestFirst, None).await;
        for _ in 0..3 {
            assert!(store.commit(&realm(), &insert(&record())).await.unwrap().is_applied());
        }
        let all = page(&store, Order::OldestFirst, None).await;
        assert_eq!(all.events.len(), 4);
        assert_eq!(all.events[0], old.events[0], "what is new comes after what was restored");
    });
    let again = schema.open();
    run(async {
        assert!(again.commit(&realm(), &insert(&record())).await.unwrap().is_applied());
        let all = page(&again, Order::OldestFirst, None).await;
        assert_eq!(all.events.len(), 5);
        assert!(all.events.is_sorted_by(|a, b| a.sequence < b.sequence));
    });
}
