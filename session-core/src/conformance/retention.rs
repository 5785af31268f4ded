//! What is removed, when, and what remembers it.

use std::time::Duration;

use super::bed::{Bed, at_most, ids, replacement, subject};
use crate::store::{ListQuery, Outcome, Purged};
use crate::{
    DataWrite, Event, EventKind, Fence, MarkKey, Reason, Replacement, Stamp, Subject, Timestamp,
};

async fn purge(bed: &Bed, now: Timestamp, limit: usize) -> Purged {
    let purged = bed.store().purge(bed.realm(), now, at_most(limit)).await;
    let purged = purged.expect("a purge is answered");
    assert!(purged.records <= limit && purged.events <= limit, "at most the limit of each");
    purged
}

async fn erase(bed: &Bed, whose: &Subject, limit: usize) -> Purged {
    let erased = bed.store().erase(bed.realm(), whose, at_most(limit)).await;
    let erased = erased.expect("an erasure is answered");
    assert!(erased.records <= limit && erased.events <= limit, "at most the limit of each");
    erased
}

/// A purge removes tombstones whose time has come, and nothing that lives.
pub async fn a_purge_removes_old_tombstones_only(bed: &Bed) {
    let live = bed.inserted(bed.record(Some(&subject("alice")))).await;
    let mut overdue = bed.record(None);
    overdue.due_at = Timestamp::MIN;
    let overdue = bed.inserted(overdue).await;
    let mut tombstones = Vec::new();
    for seconds in [0, 0, 60] {
        let record = bed.inserted(bed.record(Some(&subject("alice")))).await;
        bed.end(record.id, bed.at(seconds)).await;
        tombstones.push(record.id);
    }
    let kept = bed.inserted(bed.record(None)).await;
    let stored = bed.load(kept.id).await;
    let mut record = bed.ended(&stored.record, Reason::SignedOut, bed.at(0));
    record.end = record.end.map(|end| crate::End { purge_at: Timestamp::MAX, ..end });
    bed.apply(&bed.change().replace(Replacement { record, ..replacement(&stored) })).await;

    let due = bed.at(3_600);
    assert_eq!(purge(bed, due - Duration::from_millis(1), 10).await.records, 0, "not yet");
    assert_eq!(purge(bed, due, 10).await.records, 2, "at its instant a tombstone is removed");
    assert!(bed.find(tombstones[0]).await.is_none() && bed.find(tombstones[1]).await.is_none());
    assert!(bed.find(tombstones[2]).await.is_some(), "a later one is not");
    assert_eq!(purge(bed, Timestamp::MAX - Duration::from_millis(1), 10).await.records, 1);
    for id in [live.id, overdue.id, kept.id] {
        assert!(bed.find(id).await.is_some(), "what lives or is kept for ever stays");
    }
    let query = ListQuery { with_ended: true, ..ListQuery::default() };
    assert_eq!(ids(&bed.list_all(&query).await), [live.id, overdue.id, kept.id]);
}

/// A purge removes events whose time has come.
pub async fn a_purge_removes_old_events_only(bed: &Bed) {
    let mut change = bed.change();
    for seconds in [10, 0, 20, 10] {
        let purge_at = bed.at(seconds);
        change = change.event(Event { purge_at, at: purge_at, ..bed.event(EventKind::Issued) });
    }
    bed.apply(&change.event(bed.event(EventKind::Ended))).await;
    bed.settle_events().await;
    for (now, removed, left) in [(-1, 0, 5), (0, 1, 4), (10, 2, 2), (19, 0, 2), (20, 1, 1)] {
        assert_eq!(purge(bed, bed.at(now), 10).await.events, removed, "at {now} s");
        assert_eq!(bed.told().await.len(), left, "at {now} s");
    }
    let left = bed.told().await;
    assert_eq!(left[0].event.kind, EventKind::Ended, "what is kept for ever stays");
}

/// A purge with a limit removes that many, says that there may be more, and comes to an end.
pub async fn a_purge_keeps_its_limit(bed: &Bed) {
    for _ in 0..7 {
        let record = bed.inserted(bed.record(None)).await;
        bed.end(record.id, bed.at(0)).await;
        let event = Event { purge_at: bed.at(0), ..bed.event(EventKind::Ended) };
        bed.apply(&bed.change().event(event)).await;
    }
    bed.settle_events().await;
    let mut removed = (0, 0);
    for round in 0.. {
        assert!(round < 10, "a purge comes to an end");
        let purged = purge(bed, bed.at(3_600), 2).await;
        removed = (removed.0 + purged.records, removed.1 + purged.events);
        if !purged.more {
            break;
        }
    }
    assert_eq!(removed, (7, 7), "a purge that says that nothing is left has removed everything");
}

/// An erasure removes the ended sessions and the events of one subject, and nothing that lives.
pub async fn an_erasure_keeps_to_its_subject(bed: &Bed) {
    let (alice, bob) = (subject("alice"), subject("bob"));
    let mut kept = Vec::new();
    for whose in [Some(&alice), Some(&bob), None] {
        let live = bed.inserted(bed.record(whose)).await;
        let ended = bed.inserted(bed.record(whose)).await;
        bed.end(ended.id, bed.at(0)).await;
        let event = Event { subject: whose.cloned(), ..bed.event(EventKind::Ended) };
        bed.apply(&bed.change().event(event.clone()).event(event)).await;
        kept.push(live.id);
        if whose != Some(&alice) {
            kept.push(ended.id);
        }
    }
    bed.settle_events().await;
    let mark = bed.mark(&MarkKey::Subject(alice.clone())).await;
    let erased = erase(bed, &alice, 10).await;
    assert_eq!((erased.records, erased.events), (1, 2), "his ended session and his events");
    let query = ListQuery { with_ended: true, ..ListQuery::default() };
    assert_eq!(ids(&bed.list_all(&query).await), kept, "everything else stays");
    let told = bed.told().await;
    assert!(told.iter().all(|stored| stored.event.subject != Some(alice.clone())));
    assert_eq!(told.len(), 4);
    let after = bed.mark(&MarkKey::Subject(alice.clone())).await;
    assert_eq!(after, mark, "while a session is left, his mark is kept");
    assert_eq!(erase(bed, &alice, 10).await, Purged::default(), "a second time there is nothing");
}

/// An erasure with a limit comes to an end, and then his mark is gone too.
pub async fn an_erasure_keeps_its_limit(bed: &Bed) {
    let alice = subject("alice");
    let key = MarkKey::Subject(alice.clone());
    let write = crate::MarkWrite {
        key: key.clone(),
        expected: 0,
        raise: None,
        stamp: Some(Stamp::new(b"old")),
    };
    bed.apply(&bed.change().mark(write)).await;
    for _ in 0..5 {
        let record = bed.inserted(bed.record(Some(&alice))).await;
        bed.end(record.id, bed.at(0)).await;
        let event = Event { subject: Some(alice.clone()), ..bed.event(EventKind::Ended) };
        bed.apply(&bed.change().event(event)).await;
    }
    bed.settle_events().await;
    let mut removed = (0, 0);
    for round in 0.. {
        assert!(round < 10, "an erasure comes to an end");
        let erased = erase(bed, &alice, 2).await;
        removed = (removed.0 + erased.records, removed.1 + erased.events);
        if !erased.more {
            break;
        }
    }
    assert_eq!(removed, (5, 5), "an erasure that says that nothing is left has removed all");
    assert_eq!(bed.mark(&key).await.stamp, None, "and his mark with them");
}

/// An erased mark leaves a floor: no fence and no record from before looks as if it were of the new one.
pub async fn an_erasure_leaves_a_floor(bed: &Bed) {
    let alice = subject("alice");
    let key = MarkKey::Subject(alice.clone());
    let mut highest = bed.mark(&key).await;
    for round in 0..3 {
        let old = bed.inserted(bed.record(Some(&alice))).await;
        let read_before = bed.load(old.id).await;
        for _ in 0..3 {
            bed.raise(&key, Reason::RoleChanged, bed.at(1)).await;
        }
        bed.end(old.id, bed.at(2)).await;
        let before = bed.mark(&key).await;
        assert!(before.version > highest.version && before.epoch > highest.epoch, "{round}");
        let erased = erase(bed, &alice, 10).await;
        let ended = if round == 0 { 1 } else { 2 };
        assert_eq!((erased.records, bed.find(old.id).await), (ended, None));
        let floor = bed.mark(&key).await;
        assert!(floor.version > before.version, "the floor is above every version before");
        assert!(floor.epoch > before.epoch, "and above every epoch before");
        for version in 0..=before.version {
            let late = bed.record(Some(&alice));
            let fence = Fence { subject: alice.clone(), version };
            let change = bed.change().insert_fenced(late.clone(), None, &fence);
            let outcome = bed.commit(&change).await;
            assert_eq!(outcome, Outcome::Fenced(key.clone()), "fence {version} is from before");
            assert!(bed.find(late.id).await.is_none());
        }
        let outcome = bed.commit(&bed.change().replace(replacement(&read_before))).await;
        assert_eq!(outcome, Outcome::Moved(old.id), "what was erased is not created again");
        assert_eq!(bed.mark(&key).await, floor, "and none of that moves the floor");
        let new = bed.inserted(bed.record(Some(&alice))).await;
        let stored = bed.load(new.id).await;
        assert_eq!(stored.record.epochs.subject, stored.marks.subject.epoch, "a new one lives");
        assert_eq!(stored.marks.subject.version, floor.version + 1);
        assert_eq!(stored.marks.subject.raise, None, "and nothing has ended it");
        assert_eq!(bed.below_epoch_all(10).await, (vec![], vec![]), "for any scan");
        highest = before;
        let data = DataWrite::Drop;
        let record = bed.ended(&stored.record, Reason::SignedOut, bed.at(3));
        let write = Replacement { record, data, ..replacement(&stored) };
        bed.apply(&bed.change().replace(write)).await;
    }
}

/// The mark of a subject who still has a session or an event is not erased.
pub async fn a_mark_is_kept_while_anything_is_left(bed: &Bed) {
    let alice = subject("alice");
    let key = MarkKey::Subject(alice.clone());
    let live = bed.inserted(bed.record(Some(&alice))).await;
    bed.raise(&key, Reason::RoleChanged, bed.at(1)).await;
    let before = bed.mark(&key).await;
    erase(bed, &alice, 10).await;
    assert_eq!(bed.mark(&key).await, before, "while a session is left, the mark is kept");
    assert_eq!(bed.load(live.id).await.marks.subject.epoch, 1, "and has ended it");
    bed.end(live.id, bed.at(2)).await;
    for _ in 0..2 {
        let event = Event { subject: Some(alice.clone()), ..bed.event(EventKind::Ended) };
        bed.apply(&bed.change().event(event)).await;
    }
    bed.settle_events().await;
    assert_eq!(erase(bed, &alice, 1).await.events, 1);
    let mark = bed.mark(&key).await;
    assert_eq!(mark.version, before.version, "while an event is left, the mark is kept");
}

/// The realm's own mark is not the floor's: erasing subjects does not move it.
pub async fn an_erasure_leaves_the_realms_mark(bed: &Bed) {
    let alice = subject("alice");
    let anonymous = bed.inserted(bed.record(None)).await;
    let record = bed.inserted(bed.record(Some(&alice))).await;
    bed.end(record.id, bed.at(0)).await;
    erase(bed, &alice, 10).await;
    let stored = bed.load(anonymous.id).await;
    assert_eq!(stored.marks.realm, crate::Mark::default(), "the realm's mark was never written");
    assert_eq!(bed.mark(&MarkKey::Realm).await, crate::Mark::default());
}
