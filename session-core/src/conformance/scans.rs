//! Scans: the list, the due, and those below an epoch.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::bed::{Bed, at_most, ids, readable, replacement, subject};
use crate::store::{Cursor, ListQuery, Stored, Touch};
use crate::{MarkKey, Reason, Reschedule, SessionId, Settle, Timestamp};

fn by(limit: usize) -> ListQuery {
    ListQuery { limit: at_most(limit), ..ListQuery::default() }
}

/// A list is in order of the ids, compared byte by byte, whatever the order of the inserts.
pub async fn a_list_is_in_order_of_ids(bed: &Bed) {
    let all: Vec<SessionId> = [0_u8, 1, 0x20, 0x7f, 0x80, 0xfe, 0xff]
        .iter()
        .flat_map(|first| {
            [0_u8, 0x80, 0xff].map(|last| {
                let mut bytes = [*first; 16];
                bytes[15] = last;
                SessionId::from_bytes(bytes)
            })
        })
        .collect();
    let mut shuffled = all.clone();
    shuffled.sort_by_key(|id| id.as_bytes()[15].wrapping_mul(37) ^ id.as_bytes()[0].rotate_left(3));
    for id in shuffled {
        let mut record = bed.record(None);
        record.id = id;
        bed.inserted(record).await;
    }
    for limit in [1, 2, 5, 20, 21, 22, 1_000] {
        let listed = ids(&bed.list_all(&by(limit)).await);
        assert_eq!(listed, all, "in order of the ids, each once, {limit} a page");
    }
    let exact = bed.list(&by(all.len()), None).await;
    assert_eq!(exact.rows.len(), all.len());
    if let Some(next) = exact.next {
        let rest = bed.list(&by(1), Some(&next)).await;
        assert!(rest.rows.is_empty() && rest.next.is_none(), "after the last comes nothing");
    }
}

/// The list of a subject is his alone; ended sessions are listed when asked for.
pub async fn a_list_keeps_to_its_query(bed: &Bed) {
    let (alice, bob) = (subject("alice"), subject("bob"));
    let mut records = Vec::new();
    for whose in [Some(&alice), None, Some(&bob), Some(&alice), None, Some(&alice)] {
        records.push(bed.inserted(bed.record(whose)).await.id);
    }
    bed.end(records[0], bed.at(1)).await;
    bed.end(records[4], bed.at(1)).await;
    for (whose, with_ended, expected) in [
        (None, false, &[1, 2, 3, 5][..]),
        (None, true, &[0, 1, 2, 3, 4, 5]),
        (Some(&alice), false, &[3, 5]),
        (Some(&alice), true, &[0, 3, 5]),
        (Some(&bob), true, &[2]),
    ] {
        let expected: Vec<SessionId> = expected.iter().map(|place| records[*place]).collect();
        for limit in [1, 2, 10] {
            let query = ListQuery { subject: whose.cloned(), with_ended, limit: at_most(limit) };
            let listed = bed.list_all(&query).await;
            assert_eq!(ids(&listed), expected, "of {whose:?}, ended too: {with_ended}");
            for stored in &listed {
                assert_eq!(*stored, bed.load(stored.record.id).await, "as a load finds them");
            }
        }
    }
    let carol = ListQuery { subject: Some(subject("carol")), ..ListQuery::default() };
    assert_eq!(bed.list_all(&carol).await, [], "nobody's list is empty");
}

/// Paging shows what was there from the beginning exactly once, whatever is inserted and ended meanwhile.
pub async fn paging_is_exact_while_others_write(bed: &Bed) {
    let mut first = Vec::new();
    for _ in 0..20 {
        // Room for ids between these, before the next one.
        first.push(bed.inserted(bed.record(None)).await.id);
    }
    let mut seen: Vec<SessionId> = Vec::new();
    let mut after: Option<Cursor> = None;
    let mut meanwhile = Vec::new();
    loop {
        let scan = bed.list(&by(3), after.as_ref()).await;
        seen.extend(scan.rows.into_iter().map(|row| readable(row).record.id));
        let Some(next) = scan.next else { break };
        after = Some(next);
        // One before the place that the reader has reached, one after it, and one at the end.
        let reached = seen.last().copied().map_or([0; 16], |id| *id.as_bytes());
        for change in [-1_i8, 1] {
            let mut bytes = reached;
            bytes[15] = bytes[15].wrapping_add_signed(change);
            if !first.iter().chain(&meanwhile).any(|id| *id.as_bytes() == bytes) {
                let mut record = bed.record(None);
                record.id = SessionId::from_bytes(bytes);
                meanwhile.push(bed.inserted(record).await.id);
            }
        }
        if meanwhile.len() < 20 {
            meanwhile.push(bed.inserted(bed.record(None)).await.id);
        }
        // The row that the cursor stands on ends: the place remains.
        if let Some(last) = seen.last() {
            bed.end(*last, bed.at(1)).await;
        }
    }
    assert!(seen.is_sorted_by(|a, b| a < b), "in order, and none twice");
    for id in &first {
        assert!(seen.contains(id), "what was there from the beginning is shown once");
    }
}

/// The due are those unended whose instant has come, in its order, page by page.
pub async fn the_due_come_in_order(bed: &Bed) {
    let offsets = [30, -5_000, 10, 20, 10, 0, -1, 10, 40, 20];
    let mut records = Vec::new();
    for seconds in offsets {
        let mut record = bed.record(None);
        record.due_at = bed.at(seconds);
        records.push(bed.inserted(record).await);
    }
    for due_at in [Timestamp::MIN, Timestamp::MAX] {
        let mut record = bed.record(None);
        record.due_at = due_at;
        records.push(bed.inserted(record).await);
    }
    bed.end(records[4].id, bed.at(0)).await;
    let millisecond = Duration::from_millis(1);
    for now in [
        Timestamp::MIN,
        bed.at(-5_000) - millisecond,
        bed.at(-5_000),
        bed.at(9),
        bed.at(10) - millisecond,
        bed.at(10),
        bed.at(35),
        Timestamp::MAX,
    ] {
        let mut expected: Vec<SessionId> = records
            .iter()
            .filter(|record| record.id != records[4].id && record.due_at <= now)
            .map(|record| record.id)
            .collect();
        expected.sort_unstable();
        for limit in [1, 2, 3, 100] {
            let due = bed.due_all(now, limit).await;
            assert!(due.is_sorted_by_key(|stored| stored.record.due_at), "in order of due_at");
            let mut found = ids(&due);
            found.sort_unstable();
            assert_eq!(found, expected, "each that is due at {now}, once, {limit} a page");
            for stored in due {
                let loaded = bed.load(stored.record.id).await;
                assert_eq!(stored, loaded, "as a load finds them");
            }
        }
    }
}

/// A touch does not move `due_at`: what it kept alive is still found.
pub async fn a_touched_session_is_still_due(bed: &Bed) {
    let record = bed.inserted(bed.record(None)).await;
    let touch = Touch {
        id: record.id,
        slot: 0,
        seen_at: bed.at(1_700),
        if_after: bed.at(-1),
        if_before: bed.at(1_700),
    };
    bed.store().touch(bed.realm(), &[touch]).await.expect("touches are answered");
    let due = bed.due_all(bed.at(1_800), 10).await;
    assert_eq!(ids(&due), [record.id], "what a touch kept alive is still found");
    assert_eq!(due[0].record.last_seen_at, bed.at(1_700), "with its last activity");
    assert_eq!(due[0].record.due_at, bed.at(1_800), "and its old place");
}

/// A reschedule moves the entry of the version that it names, and no version.
pub async fn a_reschedule_moves_no_version(bed: &Bed) {
    let record = bed.inserted(bed.record(None)).await;
    let to = |seconds, expected| {
        let due_at = bed.at(seconds);
        bed.change().reschedule(Reschedule { id: record.id, expected, due_at })
    };
    bed.apply(&to(3_600, 1)).await;
    let stored = bed.load(record.id).await;
    assert_eq!((stored.record.due_at, stored.version), (bed.at(3_600), 1), "moves no version");
    assert_eq!(bed.due_all(bed.at(3_599), 10).await, [], "it is not due before its new place");
    assert_eq!(ids(&bed.due_all(bed.at(3_600), 10).await), [record.id], "but at it");
    bed.apply(&bed.change().replace(replacement(&stored))).await;
    bed.apply(&to(7_200, 1)).await;
    let stored = bed.load(record.id).await;
    assert_eq!(stored.record.due_at, bed.at(3_600), "a record that has moved is left, no conflict");
    bed.apply(&to(60, 3)).await;
    assert_eq!(bed.load(record.id).await, stored, "nor is a version from the future moved");
    bed.end(record.id, bed.at(1)).await;
    let before = bed.load(record.id).await;
    bed.apply(&to(60, before.version)).await;
    assert_eq!(bed.load(record.id).await, before, "a tombstone is left as it is");
    assert_eq!(bed.due_all(Timestamp::MAX, 10).await, [], "and is not due again");
    let nobody = Reschedule { id: bed.id(), expected: 1, due_at: bed.at(0) };
    bed.apply(&bed.change().reschedule(nobody)).await;
    assert!(bed.find(nobody.id).await.is_none(), "a reschedule never creates");
    let told = bed.change().event(bed.event(crate::EventKind::Ended));
    bed.apply(&told.reschedule(nobody)).await;
    assert_eq!(bed.told().await.len(), 1, "the rest of its change is applied");
}

/// Sessions that a mark has ended are found, each once, page by page; the marks are named with the first.
pub async fn sessions_below_an_epoch_are_found(bed: &Bed) {
    let (alice, bob) = (subject("alice"), subject("bob"));
    let mut alices = Vec::new();
    for _ in 0..5 {
        alices.push(bed.inserted(bed.record(Some(&alice))).await.id);
    }
    let bobs = bed.inserted(bed.record(Some(&bob))).await.id;
    let nobodys = bed.inserted(bed.record(None)).await.id;
    assert_eq!(bed.below_epoch_all(10).await, (vec![], vec![]), "without a raise there is nothing");
    let key = MarkKey::Subject(alice.clone());
    bed.raise(&key, Reason::RoleChanged, bed.at(1)).await;
    bed.end(alices[1], bed.at(2)).await;
    let newer = bed.inserted(bed.record(Some(&alice))).await.id;
    let older = vec![alices[0], alices[2], alices[3], alices[4]];
    for limit in [1, 2, 3, 4, 100] {
        let (mut found, unsettled) = bed.below_epoch_all(limit).await;
        found.sort_unstable();
        assert_eq!(found, older, "those of an older epoch, unended, each once");
        assert_eq!(unsettled, [(key.clone(), 1)], "and the mark that is not settled");
    }
    bed.raise(&MarkKey::Realm, Reason::EveryoneRevoked, bed.at(3)).await;
    let mut everyone = older;
    everyone.extend([bobs, nobodys, newer]);
    for limit in [2, 100] {
        let (mut found, mut unsettled) = bed.below_epoch_all(limit).await;
        found.sort_unstable();
        assert_eq!(found, everyone, "the realm's mark reaches everyone, and each comes once");
        unsettled.sort();
        assert_eq!(unsettled, [(MarkKey::Realm, 1), (key.clone(), 1)], "both marks are named");
    }
    let found = bed.below_epoch(None, 100).await.scan.rows;
    for stored in found.into_iter().map(readable) {
        let loaded = bed.load(stored.record.id).await;
        assert_eq!(stored, Stored { data: None, ..loaded }, "as a load finds them");
    }
    let named = bed.below_epoch(None, 1).await.unsettled;
    assert_eq!(named.len(), 1, "at most as many marks as rows are named");
}

/// A mark that is settled at its epoch is passed over until it is raised again; a settle never lowers.
pub async fn settled_marks_are_passed_over(bed: &Bed) {
    let alice = subject("alice");
    for key in [MarkKey::Subject(alice.clone()), MarkKey::Realm] {
        let first = bed.raise(&key, Reason::RoleChanged, bed.at(1)).await;
        let record = bed.record(Some(&alice));
        let id = record.id;
        let record = bed.inserted(record).await;
        let epoch = bed.raise(&key, Reason::RoleChanged, bed.at(2)).await;
        assert_eq!(bed.below_epoch_all(10).await.0, [id]);
        let settle = |epoch| bed.change().settle(Settle { key: key.clone(), epoch });
        bed.apply(&settle(first)).await;
        let (found, unsettled) = bed.below_epoch_all(10).await;
        assert_eq!(found, [id], "settled below its epoch, a mark is looked at");
        assert_eq!(unsettled, [(key.clone(), epoch)]);
        let before = bed.mark(&key).await;
        bed.apply(&settle(epoch)).await;
        assert_eq!(bed.mark(&key).await, before, "a settle moves no version");
        assert_eq!(bed.below_epoch_all(10).await, (vec![], vec![]), "settled, it is passed over");
        bed.apply(&settle(first)).await;
        assert_eq!(bed.below_epoch_all(10).await, (vec![], vec![]), "a settle never lowers");
        let epoch = bed.raise(&key, Reason::RoleChanged, bed.at(3)).await;
        let (found, unsettled) = bed.below_epoch_all(10).await;
        assert_eq!(found, [id], "raised again, it is looked at again");
        assert_eq!(unsettled, [(key.clone(), epoch)]);
        bed.end(record.id, bed.at(4)).await;
        let (found, unsettled) = bed.below_epoch_all(10).await;
        assert_eq!((found.len(), unsettled.len()), (0, 1), "an empty mark waits to be settled");
        bed.apply(&settle(epoch)).await;
    }
    let nobody = Settle { key: MarkKey::Subject(subject("nobody")), epoch: 7 };
    bed.apply(&bed.change().settle(nobody.clone())).await;
    assert_eq!(bed.mark(&nobody.key).await.version, 0, "a settle of nothing creates nothing");
}

/// A limit may be as large as can be said.
pub async fn the_greatest_limit_is_one(bed: &Bed) {
    let alice = subject("alice");
    let record = bed.inserted(bed.record(Some(&alice))).await;
    bed.apply(&bed.change().event(bed.event(crate::EventKind::Issued))).await;
    bed.settle_events().await;
    bed.raise(&MarkKey::Realm, Reason::EveryoneRevoked, bed.at(1)).await;
    let limit = NonZeroUsize::MAX;
    assert_eq!(bed.list(&by(limit.get()), None).await.rows.len(), 1);
    let whose = ListQuery { subject: Some(alice.clone()), ..by(limit.get()) };
    assert_eq!(bed.list(&whose, None).await.rows.len(), 1);
    assert_eq!(bed.due(record.due_at, None, limit.get()).await.rows.len(), 1);
    assert_eq!(bed.below_epoch(None, limit.get()).await.scan.rows.len(), 1);
    let query = crate::store::EventQuery { limit, ..Default::default() };
    assert_eq!(bed.told_by(&query).await.len(), 1);
    bed.end(record.id, bed.at(0)).await;
    let purged = bed.store().purge(bed.realm(), bed.at(3_600), limit).await;
    assert_eq!(purged.expect("a purge is answered").records, 1);
    let erased = bed.store().erase(bed.realm(), &alice, limit).await;
    assert!(erased.is_ok(), "an erasure is answered");
}
