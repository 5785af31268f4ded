//! A stored record that cannot be read: it is an error of its own, and harms no other.
//!
//! For a store whose records can be damaged: see [`Harness::corruptible`](super::Harness::corruptible). One
//! that keeps no bytes says so, with [`Harness::incorruptible`](super::Harness::incorruptible).

use super::bed::{Bed, ids, replacement, subject};
use crate::store::{ListQuery, Row, Stored};
use crate::{MarkKey, Reason, SessionId, StoreErrorKind, Timestamp};

/// Five sessions of alice, of which the first by id and by due time is damaged. `None` if none can be.
async fn damaged(bed: &Bed) -> Option<Vec<SessionId>> {
    let alice = subject("alice");
    let mut records = Vec::new();
    for number in 0..5 {
        let mut record = bed.record(Some(&alice));
        record.due_at = bed.at(number);
        records.push(bed.inserted(record).await.id);
    }
    bed.damage(records[0]).await.then_some(records)
}

fn readable_of(rows: Vec<Row>, bad: SessionId) -> (Vec<Stored>, usize) {
    let mut readable = Vec::new();
    let mut unreadable = 0;
    for row in rows {
        match row {
            Ok(stored) => {
                assert_ne!(stored.record.id, bad, "a damaged record is never answered as if whole");
                readable.push(stored);
            }
            Err(row) => {
                assert_eq!(row.error.kind(), StoreErrorKind::Corrupt, "it is told as Corrupt");
                assert!(row.id.is_none_or(|id| id == bad), "with its own id, if that can be read");
                unreadable += 1;
            }
        }
    }
    (readable, unreadable)
}

/// A load of a damaged record is a `Corrupt` error; others are loaded as before.
pub async fn a_load_of_a_corrupt_record_is_an_error(bed: &Bed) {
    let Some(records) = damaged(bed).await else { return };
    let error = bed.store().load(bed.realm(), records[0]).await;
    let error = error.expect_err("a damaged record is an error, not a session");
    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
    for id in &records[1..] {
        assert_eq!(bed.load(*id).await.record.id, *id, "others are loaded as before");
    }
}

/// A damaged record at the head of a scan is a row that cannot be read: it blocks nothing behind it.
pub async fn a_corrupt_record_blocks_no_scan(bed: &Bed) {
    let Some(records) = damaged(bed).await else { return };
    bed.raise(&MarkKey::Subject(subject("alice")), Reason::RoleChanged, bed.at(1)).await;
    for limit in [1, 2, 10] {
        for whose in [None, Some(subject("alice"))] {
            let limit = super::bed::at_most(limit);
            let query = ListQuery { subject: whose, with_ended: false, limit };
            let mut rows = Vec::new();
            let mut after = None;
            loop {
                let scan = bed.list(&query, after.as_ref()).await;
                rows.extend(scan.rows);
                assert!(rows.len() <= 5, "paging goes on behind it");
                match scan.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
            let (readable, unreadable) = readable_of(rows, records[0]);
            assert_eq!(ids(&readable), records[1..], "the others are listed");
            assert!(unreadable <= 1, "and it at most once");
        }
        let (mut rows, mut after) = (Vec::new(), None);
        loop {
            let scan = bed.due(Timestamp::MAX, after.as_ref(), limit).await;
            rows.extend(scan.rows);
            assert!(rows.len() <= 5, "paging goes on behind it");
            match scan.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let (readable, unreadable) = readable_of(rows, records[0]);
        assert_eq!(ids(&readable), records[1..], "the others are due");
        assert_eq!(unreadable, 1, "and it is told");
        let (mut rows, mut after) = (Vec::new(), None);
        loop {
            let scan = bed.below_epoch(after.as_ref(), limit).await.scan;
            rows.extend(scan.rows);
            assert!(rows.len() <= 5, "paging goes on behind it");
            match scan.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let (readable, _) = readable_of(rows, records[0]);
        let mut found = ids(&readable);
        found.sort_unstable();
        assert_eq!(found, records[1..], "the others are below the epoch");
    }
}

/// A damaged record stops neither a revoke-all of its subject, nor the end of another session, nor a login.
pub async fn a_corrupt_record_stops_no_revocation(bed: &Bed) {
    let Some(records) = damaged(bed).await else { return };
    let alice = subject("alice");
    bed.end(records[1], bed.at(1)).await;
    assert!(bed.load(records[1]).await.record.end.is_some(), "another session is ended");
    let write = bed.raising(&MarkKey::Subject(alice.clone()), Reason::RoleChanged, bed.at(2)).await;
    let mut kept = replacement(&bed.load(records[2]).await);
    kept.record.epochs.subject = 1;
    bed.apply(&bed.change().mark(write).replace(kept)).await;
    let stored = bed.load(records[3]).await;
    assert_eq!(stored.marks.subject.epoch, 1, "all but one are ended");
    let fresh = bed.inserted(bed.record(Some(&alice))).await;
    assert_eq!(bed.load(fresh.id).await.record.epochs.subject, 1, "and he signs in again");
    let purged = bed.store().purge(bed.realm(), bed.at(3_601), super::bed::at_most(10)).await;
    assert_eq!(purged.expect("a purge is answered").records, 1, "tombstones are removed");
}

/// A damaged record at the head of the due stops no sweep, however small its limit: it is reported, the sessions
/// behind it are ended, and the sweep comes to an end.
pub async fn a_corrupt_record_stops_no_sweep(bed: &Bed) {
    let Some(records) = damaged(bed).await else { return };
    bed.raise(&MarkKey::Subject(subject("alice")), Reason::RoleChanged, bed.at(1)).await;
    let clock = crate::ManualClock::at(bed.at(60));
    let sessions = super::engine::builder(bed, &clock).build();
    let mut ended = 0;
    for round in 0.. {
        assert!(round < 20, "a sweep comes to an end");
        let swept = sessions.sweep(super::bed::at_most(1)).await.expect("a sweep is answered");
        assert!(!swept.damaged.is_empty(), "what cannot be read is reported");
        ended += swept.ended;
        if !swept.more {
            break;
        }
    }
    assert_eq!(ended, 4, "the others are ended");
    for id in &records[1..] {
        assert!(bed.load(*id).await.record.end.is_some(), "and it is written down");
    }
}
