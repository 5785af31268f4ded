//! Cursors that no store has made.

use super::bed::{Bed, at_most, subject};
use crate::store::{Cursor, EventQuery, Events, ListQuery, Order, Row};
use crate::{EventKind, MarkKey, Reason, SessionId, StoreError, StoreErrorKind, Timestamp};

/// A cursor from outside is an `Invalid` error or an odd place in the realm: never a panic, another error or
/// another realm's row.
pub async fn hostile_cursors_harm_nothing(bed: &Bed) {
    let alice = subject("alice");
    for _ in 0..3 {
        let there = bed.inserted_elsewhere(bed.record(Some(&alice))).await;
        let event = crate::Event { session: Some(there.id), ..bed.event(EventKind::Issued) };
        let change = bed.change().event(event);
        let outcome = bed.store().commit(bed.elsewhere(), &change).await;
        assert!(outcome.expect("a commit is answered").is_applied());
    }
    let mut own = Vec::new();
    for _ in 0..3 {
        own.push(bed.inserted(bed.record(Some(&alice))).await.id);
        bed.apply(&bed.change().event(bed.event(EventKind::Issued))).await;
    }
    bed.raise(&MarkKey::Realm, Reason::EveryoneRevoked, bed.at(1)).await;
    bed.settle_events().await;
    for cursor in hostile(bed).await {
        check(bed, &cursor, &own).await;
    }
}

async fn check(bed: &Bed, cursor: &Cursor, own: &[SessionId]) {
    let (store, realm, limit) = (bed.store(), bed.realm(), at_most(10));
    for whose in [None, Some(subject("alice"))] {
        let query = ListQuery { subject: whose, with_ended: true, limit };
        let answer = store.list(realm, &query, Some(cursor)).await;
        in_realm(answer.map(|scan| scan.rows), cursor, own);
    }
    let answer = store.due(realm, Timestamp::MAX, Some(cursor), limit).await;
    in_realm(answer.map(|scan| scan.rows), cursor, own);
    let answer = store.below_epoch(realm, Some(cursor), limit).await;
    in_realm(answer.map(|below| below.scan.rows), cursor, own);
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let query = EventQuery { order, limit, ..EventQuery::default() };
        match store.events(realm, &query, Some(cursor)).await {
            Err(error) => invalid(&error, cursor),
            Ok(Events::CursorExpired) => {}
            Ok(Events::Page(page)) => {
                let foreign = page.events.iter().any(|stored| stored.event.session.is_some());
                assert!(!foreign, "{cursor:?} shows no event of another realm");
            }
        }
    }
}

fn in_realm(answer: Result<Vec<Row>, StoreError>, cursor: &Cursor, own: &[SessionId]) {
    match answer {
        Err(error) => invalid(&error, cursor),
        Ok(rows) => {
            for row in rows {
                let id = row.expect("a row that nobody damaged can be read").record.id;
                assert!(own.contains(&id), "{cursor:?} shows no row of another realm");
            }
        }
    }
}

fn invalid(error: &StoreError, cursor: &Cursor) {
    assert_eq!(error.kind(), StoreErrorKind::Invalid, "{cursor:?}: {error}");
}

/// Cursors of every short length and of hostile bytes, and those of the store itself, damaged and cut.
async fn hostile(bed: &Bed) -> Vec<Cursor> {
    let mut all: Vec<Vec<u8>> = vec![b"'; DROP TABLE session; --".to_vec(), vec![0x7b; 768]];
    for length in (0..=40).chain([64, 255, 256]) {
        for byte in [0, 1, 0x20, 0x7f, 0x80, 0xff] {
            all.push(vec![byte; length]);
        }
    }
    let query = ListQuery { limit: at_most(1), ..ListQuery::default() };
    let events = EventQuery { limit: at_most(1), ..EventQuery::default() };
    let back = EventQuery { order: Order::NewestFirst, ..events.clone() };
    let of_alice = ListQuery { subject: Some(subject("alice")), ..query.clone() };
    let own = [
        bed.list(&query, None).await.next,
        bed.list(&of_alice, None).await.next,
        bed.due(Timestamp::MAX, None, 1).await.next,
        bed.below_epoch(None, 1).await.scan.next,
        bed.events(&events, None).await.next,
        bed.events(&back, None).await.next,
    ];
    for cursor in own.into_iter().flatten() {
        let bytes = cursor.as_bytes();
        let text = cursor.to_string();
        let read: Cursor = text.parse().expect("a cursor's text is one");
        assert_eq!(read, cursor, "a cursor survives its text");
        for place in 0..bytes.len() {
            for bit in [0, 7] {
                let mut damaged = bytes.to_vec();
                damaged[place] ^= 1 << bit;
                all.push(damaged);
            }
            all.push(bytes[..place].to_vec());
        }
        all.push([bytes, &[0]].concat());
        all.push(bytes.to_vec());
    }
    all.into_iter().map(Cursor::from_bytes).collect()
}
