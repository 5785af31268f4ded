//! Several changes in one transaction.

use super::bed::{Bed, replacement, subject};
use crate::store::Outcome;
use crate::{EventKind, Fence, MarkKey, Replacement};

async fn commit_each(bed: &Bed, changes: &[crate::Change]) -> Vec<Outcome> {
    let outcomes = bed.store().commit_each(bed.realm(), changes).await;
    let outcomes = outcomes.expect("a batch is answered");
    assert_eq!(outcomes.len(), changes.len(), "an outcome for each change");
    outcomes
}

/// Each change has an outcome of its own, in order, and is whole by itself.
pub async fn each_change_has_its_own_outcome(bed: &Bed) {
    let alice = subject("alice");
    let key = MarkKey::Subject(alice.clone());
    let record = bed.inserted(bed.record(None)).await;
    let stored = bed.load(record.id).await;
    let (one, two, three) = (bed.record(None), bed.record(None), bed.record(Some(&alice)));
    let stale = Replacement { expected: 5, ..replacement(&stored) };
    let fence = Fence { subject: alice.clone(), version: 5 };
    let told = |change: crate::Change| change.event(bed.event(EventKind::Issued));
    let changes = [
        told(bed.change().insert(one.clone(), None)),
        told(bed.change().insert(two.clone(), None).replace(stale)),
        told(bed.change().insert(record.clone(), None)),
        told(bed.change().insert_fenced(three.clone(), None, &fence)),
        told(bed.change().replace(replacement(&stored))),
    ];
    let expected = [
        Outcome::Applied,
        Outcome::Moved(record.id),
        Outcome::Exists(record.id),
        Outcome::Fenced(key.clone()),
        Outcome::Applied,
    ];
    assert_eq!(commit_each(bed, &changes).await, expected, "an outcome for each, in order");
    assert!(bed.find(one.id).await.is_some(), "what is applied is applied");
    assert!(bed.find(two.id).await.is_none(), "nothing of a conflict is");
    assert!(bed.find(three.id).await.is_none(), "nothing of a conflict is");
    assert_eq!(bed.mark(&key).await.version, 0, "nothing of a conflict is");
    assert_eq!(bed.load(record.id).await.version, 2);
    let told: Vec<_> = bed.told().await.into_iter().map(|stored| stored.change).collect();
    assert_eq!(told, [changes[0].id(), changes[4].id()], "told in their order");
}

/// A later change of a batch is decided on what an earlier one wrote.
pub async fn later_changes_see_earlier_ones(bed: &Bed) {
    let alice = subject("alice");
    let (mut one, mut two) = (bed.record(Some(&alice)), bed.record(Some(&alice)));
    let first = bed.insertion(bed.realm(), &mut one, None).await;
    let late = bed.insertion(bed.realm(), &mut two, None).await;
    let fence = Fence { subject: alice.clone(), version: 1 };
    let next = bed.change().insert_fenced(two.clone(), None, &fence);
    let write = Replacement {
        record: one.clone(),
        expected: 1,
        data: crate::DataWrite::Keep,
        decided_on: None,
    };
    let replace = bed.change().replace(write.clone());
    let again = bed.change().replace(write);
    let outcomes = commit_each(bed, &[first, late, next, replace, again]).await;
    let key = MarkKey::Subject(alice);
    let expected = [
        Outcome::Applied,
        Outcome::Fenced(key.clone()),
        Outcome::Applied,
        Outcome::Applied,
        Outcome::Moved(one.id),
    ];
    assert_eq!(outcomes, expected, "as if one after the other");
    assert_eq!((bed.load(one.id).await.version, bed.mark(&key).await.version), (2, 2));
}

/// A batch sent again is applied once, and so is a change that is in it twice.
pub async fn a_batch_is_applied_once(bed: &Bed) {
    let record = bed.inserted(bed.record(None)).await;
    let write = replacement(&bed.load(record.id).await);
    let insert = bed.change().insert(bed.record(None), None).event(bed.event(EventKind::Issued));
    let replace = bed.change().replace(write).event(bed.event(EventKind::Rotated));
    let batch = [insert.clone(), replace, insert];
    for _ in 0..2 {
        assert!(commit_each(bed, &batch).await.iter().all(Outcome::is_applied));
    }
    assert_eq!(bed.load(record.id).await.version, 2);
    assert_eq!(bed.told().await.len(), 2, "each event is told once");
}

/// No changes, no outcomes; and many are carried out.
pub async fn a_batch_may_be_of_any_size(bed: &Bed) {
    assert_eq!(commit_each(bed, &[]).await, []);
    let mut changes = Vec::new();
    for _ in 0..200 {
        changes.push(bed.change().insert(bed.record(None), None));
    }
    let outcomes = commit_each(bed, &changes).await;
    assert!(outcomes.iter().all(Outcome::is_applied));
    let listed = bed.list_all(&crate::store::ListQuery::default()).await;
    assert_eq!(listed.len(), 200);
}
