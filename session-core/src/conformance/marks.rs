//! Marks and fences.

use super::bed::{Bed, replacement, subject};
use crate::store::Outcome;
use crate::{
    Actor, Epochs, Fence, Mark, MarkKey, MarkWrite, Marks, Raise, RaiseLog, Reason, ReasonCode,
    Stamp,
};

/// A mark that was never written has version and epoch 0.
pub async fn an_unwritten_mark_is_zero(bed: &Bed) {
    let alice = subject("alice");
    for subject in [None, Some(&alice)] {
        let marks = bed.store().marks(bed.realm(), subject).await.expect("marks are answered");
        assert_eq!(marks, Marks::default(), "a mark that was never written is all 0");
    }
    bed.inserted(bed.record(Some(&alice))).await;
    let marks = bed.store().marks(bed.realm(), None).await.expect("marks are answered");
    assert_eq!(marks, Marks::default(), "asked for nobody, the subject's mark is the unwritten");
}

/// Each write of a mark moves its version by one, a fence too.
pub async fn each_write_moves_the_version(bed: &Bed) {
    let alice = subject("alice");
    for key in [MarkKey::Realm, MarkKey::Subject(alice.clone())] {
        let stamp = Some(Stamp::new(b"s"));
        let writes = [(None, None), (None, None), (Some(1), None), (None, stamp), (Some(2), None)];
        for (expected, (epoch, stamp)) in (0_u64..).zip(writes) {
            let raise = epoch.map(|epoch| Raise {
                epoch,
                reason: Reason::RoleChanged,
                actor: Actor::System,
                at: bed.at(0),
            });
            let write = MarkWrite { key: key.clone(), expected, raise, stamp };
            bed.apply(&bed.change().mark(write)).await;
            let version = bed.mark(&key).await.version;
            assert_eq!(version, expected + 1, "each write of a mark moves its version by one");
        }
        assert_eq!(bed.mark(&key).await.epoch, 2);
    }
    let version = bed.mark(&MarkKey::Subject(alice.clone())).await.version;
    bed.inserted(bed.record(Some(&alice))).await;
    let after = bed.mark(&MarkKey::Subject(alice)).await;
    assert_eq!(after.version, version + 1, "a fenced insert moves the version by one");
    assert_eq!(after.epoch, 2, "and raises no epoch");
}

/// An insert with a fence that has moved is `Fenced`, and inserts nothing.
pub async fn a_stale_fence_writes_nothing(bed: &Bed) {
    let alice = subject("alice");
    let key = MarkKey::Subject(alice.clone());
    bed.inserted(bed.record(Some(&alice))).await;
    bed.inserted(bed.record(Some(&alice))).await;
    for version in [0, 1, 3, u64::MAX] {
        let late = bed.record(Some(&alice));
        let fence = Fence { subject: alice.clone(), version };
        let change = bed.change().insert_fenced(late.clone(), None, &fence);
        let outcome = bed.commit(&change).await;
        assert_eq!(outcome, Outcome::Fenced(key.clone()), "fence {version} has moved: Fenced");
        assert!(bed.find(late.id).await.is_none(), "a stale fence inserts nothing");
    }
    assert_eq!(bed.mark(&key).await.version, 2, "a stale fence moves no version");
}

/// Of two changes decided on one fence, the first wins; and a raise counts as much as an insert.
pub async fn of_two_changes_on_one_fence_one_wins(bed: &Bed) {
    let alice = subject("alice");
    let key = MarkKey::Subject(alice.clone());
    let mut record = bed.record(Some(&alice));
    let insert = bed.insertion(bed.realm(), &mut record, None).await;
    let raise = bed.change().mark(bed.raising(&key, Reason::RoleChanged, bed.at(0)).await);
    bed.apply(&raise).await;
    let outcome = bed.commit(&insert).await;
    assert_eq!(outcome, Outcome::Fenced(key.clone()), "a login older than a revoke-all is refused");
    let raise = bed.change().mark(bed.raising(&key, Reason::RoleChanged, bed.at(0)).await);
    let insert = bed.insertion(bed.realm(), &mut record, None).await;
    bed.apply(&insert).await;
    let outcome = bed.commit(&raise).await;
    assert_eq!(outcome, Outcome::Fenced(key), "a revoke-all decided before a login is refused");
}

/// A record older than its mark comes back with the first raise above its epoch, whatever came later.
pub async fn a_raise_comes_back_with_older_records(bed: &Bed) {
    let alice = subject("alice");
    let key = MarkKey::Subject(alice.clone());
    let mut records = vec![bed.inserted(bed.record(Some(&alice))).await];
    let mut raises = Vec::new();
    let reasons = [
        (Reason::CredentialsChanged, Actor::Subject),
        (Reason::Other(ReasonCode::new("x_own").expect("a name")), Actor::System),
        (Reason::EndedByAdministrator, Actor::Operator(subject("o'\"\\\u{1f511}"))),
    ];
    for (seconds, (reason, actor)) in (10..).zip(reasons) {
        let mark = bed.mark(&key).await;
        let raise = Raise { epoch: mark.epoch + 1, reason, actor, at: bed.at(seconds) };
        let write = MarkWrite {
            key: key.clone(),
            expected: mark.version,
            raise: Some(raise.clone()),
            stamp: None,
        };
        bed.apply(&bed.change().mark(write)).await;
        raises.push(raise);
        records.push(bed.inserted(bed.record(Some(&alice))).await);
    }
    let told = raises.iter().cloned().map(Some).chain([None]);
    for (record, expected) in records.iter().zip(told) {
        let mark = bed.load(record.id).await.marks.subject;
        assert_eq!(mark.epoch, 3, "a load reads the mark as it is");
        assert_eq!(mark.raise, expected, "the first raise above the record's epoch comes with it");
    }
    assert_eq!(bed.mark(&key).await.raise, None, "a mark by itself comes without a raise");
    let listed = bed.list_all(&crate::store::ListQuery::default()).await;
    assert_eq!(listed.len(), 4);
    assert_eq!(listed[1].marks.subject.raise.as_ref(), Some(&raises[1]), "in scans as well");
    let due = bed.due_all(records[0].due_at, 10).await;
    let first = due.iter().find(|stored| stored.record.id == records[0].id);
    assert_eq!(
        first.and_then(|stored| stored.marks.subject.raise.clone()),
        Some(raises[0].clone())
    );
}

/// Of many raises the last 64 are told: an older record is told the oldest that is kept.
pub async fn only_the_last_raises_are_kept(bed: &Bed) {
    let record = bed.inserted(bed.record(None)).await;
    let count = RaiseLog::KEPT as u64 + 3;
    for epoch in 1..=count {
        bed.raise(&MarkKey::Realm, Reason::EveryoneRevoked, bed.at(epoch.cast_signed())).await;
    }
    let mark = bed.load(record.id).await.marks.realm;
    assert_eq!(mark.epoch, count);
    let raise = mark.raise.expect("a raise above the epoch");
    assert_eq!((raise.epoch, raise.at), (4, bed.at(4)), "the oldest raise that is kept");
}

/// A raise that restamps one record in its own commit keeps exactly that one.
pub async fn a_restamped_record_is_kept(bed: &Bed) {
    let alice = subject("alice");
    let key = MarkKey::Subject(alice.clone());
    let mut records = Vec::new();
    for _ in 0..3 {
        records.push(bed.inserted(bed.record(Some(&alice))).await);
    }
    let write = bed.raising(&key, Reason::CredentialsChanged, bed.at(9)).await;
    let mut kept = replacement(&bed.load(records[1].id).await);
    kept.record.epochs = Epochs { realm: 0, subject: 1 };
    bed.apply(&bed.change().mark(write).replace(kept)).await;
    for (place, record) in records.iter().enumerate() {
        let stored = bed.load(record.id).await;
        let is_kept = stored.record.epochs.subject == stored.marks.subject.epoch;
        assert_eq!(is_kept, place == 1, "exactly the restamped record is kept");
        assert_eq!(stored.marks.subject.raise.is_none(), place == 1, "the others learn why");
    }
    let (below, _) = bed.below_epoch_all(10).await;
    assert_eq!(below, [records[0].id, records[2].id], "exactly the others are below the epoch");
}

/// The realm's mark is everybody's, a subject's mark his alone.
pub async fn marks_reach_whom_they_should(bed: &Bed) {
    let (alice, bob) = (subject("alice"), subject("bob"));
    let nobodys = bed.inserted(bed.record(None)).await;
    let alices = bed.inserted(bed.record(Some(&alice))).await;
    let bobs = bed.inserted(bed.record(Some(&bob))).await;
    bed.raise(&MarkKey::Subject(alice.clone()), Reason::RoleChanged, bed.at(1)).await;
    assert_eq!(bed.load(alices.id).await.marks.subject.epoch, 1, "alice's mark is alice's");
    assert_eq!(bed.load(bobs.id).await.marks.subject.epoch, 0, "and not bob's");
    assert_eq!(bed.load(nobodys.id).await.marks.subject, Mark::default(), "nor nobody's");
    bed.raise(&MarkKey::Realm, Reason::EveryoneRevoked, bed.at(2)).await;
    for record in [&nobodys, &alices, &bobs] {
        let mark = bed.load(record.id).await.marks.realm;
        assert_eq!(mark.epoch, 1, "the realm's mark is everybody's");
        let raise = mark.raise.expect("with its raise");
        assert_eq!((raise.reason, raise.at), (Reason::EveryoneRevoked, bed.at(2)));
    }
    let marks = bed.store().marks(bed.realm(), Some(&alice)).await.expect("marks are answered");
    assert_eq!((marks.realm.epoch, marks.subject.epoch), (1, 1), "both marks are read at once");
}

/// A stamp is kept until another is set: through raises and fences, whatever its bytes.
pub async fn stamps_are_kept(bed: &Bed) {
    let alice = subject("alice");
    let key = MarkKey::Subject(alice.clone());
    assert_eq!(bed.mark(&key).await.stamp, None, "no stamp was set");
    let all: Vec<u8> = (192..=255).collect();
    for bytes in [&b"\0\xff'\""[..], b"", &all] {
        let stamp = Stamp::new(bytes);
        let expected = bed.mark(&key).await.version;
        let write =
            MarkWrite { key: key.clone(), expected, raise: None, stamp: Some(stamp.clone()) };
        bed.apply(&bed.change().mark(write)).await;
        assert_eq!(bed.mark(&key).await.stamp.as_ref(), Some(&stamp), "a stamp comes back");
        bed.raise(&key, Reason::CredentialsChanged, bed.at(1)).await;
        let record = bed.inserted(bed.record(Some(&alice))).await;
        let kept = bed.load(record.id).await.marks.subject.stamp;
        assert_eq!(kept.as_ref(), Some(&stamp), "raises and fences keep the stamp");
    }
    assert_eq!(bed.mark(&MarkKey::Realm).await.stamp, None, "the realm's stamp is its own");
}

/// A write of a mark of another version than the stored one is `Fenced`, and names the mark.
pub async fn a_stale_write_of_a_mark_is_fenced(bed: &Bed) {
    for key in [MarkKey::Realm, MarkKey::Subject(subject("alice"))] {
        bed.raise(&key, Reason::RoleChanged, bed.at(0)).await;
        let before = bed.mark(&key).await;
        for expected in [0, 2, u64::MAX] {
            let mut write = bed.raising(&key, Reason::RoleChanged, bed.at(1)).await;
            write.expected = expected;
            write.stamp = Some(Stamp::new(b"other"));
            let outcome = bed.commit(&bed.change().mark(write)).await;
            assert_eq!(outcome, Outcome::Fenced(key.clone()), "version {expected} is not stored");
            assert_eq!(bed.mark(&key).await, before, "and nothing is written");
        }
    }
}
