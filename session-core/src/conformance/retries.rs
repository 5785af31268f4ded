//! The identical change, sent again: it is applied once.

use super::bed::{Bed, replacement, subject};
use crate::store::{Outcome, Touch};
use crate::{Change, DataWrite, EncodedData, EventKind, MarkKey, Reason, Replacement};

async fn events(bed: &Bed, change: &Change) -> usize {
    bed.told().await.iter().filter(|stored| stored.change == change.id()).count()
}

/// An insert sent again is `Applied`, and inserts nothing more.
pub async fn an_insert_is_applied_once(bed: &Bed) {
    let alice = subject("alice");
    let mut record = bed.record(Some(&alice));
    let data = Some(EncodedData::from_stored(r#"{"n":1}"#));
    let change = bed.insertion(bed.realm(), &mut record, data).await;
    let change = change.event(bed.event(EventKind::LoggedIn));
    bed.apply(&change).await;
    let before = bed.load(record.id).await;
    for _ in 0..3 {
        bed.apply(&change).await;
        assert_eq!(bed.load(record.id).await, before, "it is not applied again");
    }
    assert_eq!(events(bed, &change).await, 1, "its event is told once");
    assert_eq!(before.marks.subject.version, 1, "its fence is moved once");
}

/// An insert sent again after a touch is still `Applied`, and takes nothing back.
pub async fn a_touch_does_not_hide_a_change(bed: &Bed) {
    let record = bed.record(None);
    let change = bed.change().insert(record.clone(), None);
    bed.apply(&change).await;
    let touch = Touch {
        id: record.id,
        slot: 0,
        seen_at: bed.at(600),
        if_after: bed.at(-1),
        if_before: bed.at(60),
    };
    bed.store().touch(bed.realm(), &[touch]).await.expect("touches are answered");
    bed.apply(&change).await;
    let stored = bed.load(record.id).await;
    assert_eq!((stored.version, stored.record.last_seen_at), (1, bed.at(600)));
}

/// A replacement sent again is `Applied`, and moves the version once.
pub async fn a_replacement_is_applied_once(bed: &Bed) {
    let record = bed.inserted(bed.record(None)).await;
    let stored = bed.load(record.id).await;
    let data = DataWrite::Set(EncodedData::from_stored(r#"{"n":1}"#));
    let write = Replacement { data, ..replacement(&stored) };
    let change = bed.change().replace(write).event(bed.event(EventKind::Rotated));
    for _ in 0..3 {
        bed.apply(&change).await;
        assert_eq!(bed.load(record.id).await.version, 2, "the version is moved once");
    }
    assert_eq!(events(bed, &change).await, 1, "its event is told once");
}

/// A write of marks sent again is `Applied`, and raises once.
pub async fn a_raise_is_applied_once(bed: &Bed) {
    for key in [MarkKey::Realm, MarkKey::Subject(subject("alice"))] {
        let write = bed.raising(&key, Reason::RoleChanged, bed.at(1)).await;
        let change = bed.change().mark(write).event(bed.event(EventKind::SubjectRevoked));
        for _ in 0..3 {
            bed.apply(&change).await;
            let mark = bed.mark(&key).await;
            assert_eq!((mark.version, mark.epoch), (1, 1), "a mark is raised once");
        }
        assert_eq!(events(bed, &change).await, 1, "its event is told once");
    }
}

/// A change of several rows sent again is `Applied` as long as one of them still carries it.
pub async fn one_row_is_enough_to_know_a_change(bed: &Bed) {
    let alice = subject("alice");
    let first = bed.inserted(bed.record(None)).await;
    let second = bed.inserted(bed.record(None)).await;
    for moved in ["first", "second", "inserted", "mark"] {
        let mut fresh = bed.record(Some(&alice));
        let mut change = bed.insertion(bed.realm(), &mut fresh, None).await;
        for id in [first.id, second.id] {
            change = change.replace(replacement(&bed.load(id).await));
        }
        let change = change.event(bed.event(EventKind::LoggedIn));
        bed.apply(&change).await;
        match moved {
            "first" => drop(bed.replace(first.id, |_| {}).await),
            "second" => drop(bed.replace(second.id, |_| {}).await),
            "inserted" => bed.end(fresh.id, bed.at(1)).await,
            _ => drop(bed.inserted(bed.record(Some(&alice))).await),
        }
        let before =
            [bed.load(first.id).await, bed.load(second.id).await, bed.load(fresh.id).await];
        bed.apply(&change).await;
        let after = [bed.load(first.id).await, bed.load(second.id).await, bed.load(fresh.id).await];
        assert_eq!(after, before, "after the {moved} has moved on: not applied again");
        assert_eq!(events(bed, &change).await, 1, "after the {moved} has moved on: told once");
    }
}

/// Sent again after all of its rows have moved on, a change is a conflict like any other, and not applied.
pub async fn a_change_whose_rows_moved_on_is_a_conflict(bed: &Bed) {
    let record = bed.record(None);
    let insert = bed.change().insert(record.clone(), None).event(bed.event(EventKind::Issued));
    bed.apply(&insert).await;
    let stored = bed.load(record.id).await;
    let change = bed.change().replace(replacement(&stored)).event(bed.event(EventKind::Rotated));
    bed.apply(&change).await;
    assert_eq!(bed.commit(&insert).await, Outcome::Exists(record.id), "its row has moved on");
    bed.end(record.id, bed.at(1)).await;
    assert_eq!(bed.commit(&change).await, Outcome::Moved(record.id), "its row has moved on");
    assert!(bed.load(record.id).await.record.end.is_some(), "nothing is undone");
    assert_eq!(events(bed, &insert).await, 1, "nothing is told again");
    assert_eq!(events(bed, &change).await, 1, "nothing is told again");
}

/// The same content under another id is another change: it is a conflict.
pub async fn another_change_is_another(bed: &Bed) {
    let record = bed.inserted(bed.record(None)).await;
    let write = replacement(&bed.load(record.id).await);
    bed.apply(&bed.change().replace(write.clone())).await;
    let outcome = bed.commit(&bed.change().replace(write)).await;
    assert_eq!(outcome, Outcome::Moved(record.id), "another change with the same content");
    let outcome = bed.commit(&bed.change().insert(record.clone(), None)).await;
    assert_eq!(outcome, Outcome::Exists(record.id), "another change with the same content");
}

/// A change that was not applied is not taken for one that was: sent again, it is decided again.
pub async fn a_conflict_leaves_no_trace(bed: &Bed) {
    let record = bed.inserted(bed.record(None)).await;
    let stored = bed.load(record.id).await;
    let fresh = bed.record(None);
    let ahead = Replacement { expected: 2, ..replacement(&stored) };
    let change = bed.change().insert(fresh.clone(), None).replace(ahead);
    assert_eq!(bed.commit(&change).await, Outcome::Moved(record.id));
    bed.apply(&bed.change().replace(replacement(&stored))).await;
    bed.apply(&change).await;
    assert!(bed.find(fresh.id).await.is_some(), "now it is applied, wholly");
    assert_eq!(bed.load(record.id).await.version, 3);
}
