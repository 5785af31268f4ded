//! Touches: recorded activity.

use std::time::Duration;

use super::bed::{Bed, ids, replacement, subject};
use crate::store::{Outcome, Touch, Touched};
use crate::{
    EncodedData, Limits, Reason, Record, Replacement, ScopeEntry, ScopeName, SessionId, Timestamp,
};

/// A touch at an instant, of a session seen in the half hour before it but not in the last minute.
fn touch(id: SessionId, slot: u32, seen_at: Timestamp) -> Touch {
    Touch {
        id,
        slot,
        seen_at,
        if_after: seen_at - Duration::from_secs(1_800),
        if_before: seen_at - Duration::from_secs(60),
    }
}

async fn touched(bed: &Bed, touches: &[Touch]) -> Vec<Touched> {
    let answer = bed.store().touch(bed.realm(), touches).await.expect("touches are answered");
    assert_eq!(answer.len(), touches.len(), "one answer for each touch");
    answer
}

fn scoped(bed: &Bed, slots: &[u32]) -> Record {
    let mut record = bed.record(None);
    enter(bed, &mut record, slots);
    record
}

fn enter(bed: &Bed, record: &mut Record, slots: &[u32]) {
    record.scopes = slots
        .iter()
        .map(|slot| ScopeEntry {
            name: ScopeName::new(format!("scope-{slot}")).expect("a name"),
            slot: *slot,
            limits: Limits::NONE,
            entered_at: bed.at(0),
            last_seen_at: bed.at(0),
        })
        .collect();
    record.next_slot = slots.iter().max().map_or(1, |slot| slot + 1);
}

/// A touch raises the last activity, and nothing else: no version, no data, no index.
pub async fn a_touch_moves_nothing_else(bed: &Bed) {
    let data = EncodedData::from_stored(r#"{"n":1}"#);
    let record = bed.inserted_with(bed.record(None), Some(data)).await;
    let mut expected = bed.load(record.id).await;
    assert_eq!(touched(bed, &[touch(record.id, 0, bed.at(600))]).await, [Touched::Touched]);
    expected.record.last_seen_at = bed.at(600);
    assert_eq!(bed.load(record.id).await, expected, "only the last activity is raised, at once");
    assert_eq!(ids(&bed.due_all(record.due_at, 10).await), [record.id], "it is due as before");
    assert_eq!(bed.told().await.len(), 0, "a touch tells nothing");
    let scans = [
        bed.due_all(record.due_at, 10).await,
        bed.list_all(&crate::store::ListQuery::default()).await,
    ];
    for rows in scans {
        assert_eq!(rows[0].record.last_seen_at, bed.at(600), "scans see the touch too");
    }
    let write = replacement(&expected);
    bed.apply(&bed.change().replace(write)).await;
    assert_eq!(bed.load(record.id).await.version, 2, "a decision from before it still holds");
}

/// `if_after < last activity ≤ if_before` is what it says, at the very millisecond.
pub async fn a_touch_keeps_its_bounds(bed: &Bed) {
    let millisecond = Duration::from_millis(1);
    let record = bed.inserted(bed.record(None)).await;
    let seen = bed.at(0);
    let with = |if_after, if_before| Touch {
        id: record.id,
        slot: 0,
        seen_at: bed.at(600),
        if_after,
        if_before,
    };
    for (case, bounds, expected) in [
        ("seen at if_after", with(seen, bed.at(60)), Touched::NotLive),
        ("seen before if_after", with(seen + millisecond, bed.at(60)), Touched::NotLive),
        ("seen after if_before", with(bed.at(-60), seen - millisecond), Touched::Fresh),
    ] {
        assert_eq!(touched(bed, &[bounds]).await, [expected], "{case}");
        assert_eq!(bed.load(record.id).await.record.last_seen_at, seen, "{case}: not recorded");
    }
    assert_eq!(touched(bed, &[with(seen - millisecond, seen)]).await, [Touched::Touched]);
    assert_eq!(bed.load(record.id).await.record.last_seen_at, bed.at(600));
}

/// A touch that is late never takes later activity back.
pub async fn a_touch_never_goes_back(bed: &Bed) {
    let record = bed.inserted(scoped(bed, &[1])).await;
    for slot in [0, 1] {
        touched(bed, &[touch(record.id, slot, bed.at(900))]).await;
        let late = touch(record.id, slot, bed.at(300));
        assert_eq!(touched(bed, &[late]).await, [Touched::Fresh], "later activity is recorded");
        let blind = Touch { if_before: Timestamp::MAX, ..late };
        touched(bed, &[blind]).await;
    }
    let stored = bed.load(record.id).await.record;
    assert_eq!(stored.last_seen_at, bed.at(900), "the last activity never goes back");
    assert_eq!(stored.scopes[0].last_seen_at, bed.at(900), "nor does that of a scope");
}

/// A touch of what is not there, has ended, or has no such slot is `NotLive`, and creates nothing.
pub async fn a_touch_of_nothing_is_not_live(bed: &Bed) {
    let ended = bed.inserted(bed.record(None)).await;
    bed.end(ended.id, bed.at(1)).await;
    let before = bed.load(ended.id).await;
    let live = bed.inserted(scoped(bed, &[3])).await;
    let nobody = bed.id();
    let at = bed.at(600);
    let touches = [
        touch(nobody, 0, at),
        touch(ended.id, 0, at),
        touch(live.id, 1, at),
        touch(live.id, 2, at),
        touch(live.id, u32::MAX, at),
        touch(nobody, 7, at),
    ];
    assert_eq!(touched(bed, &touches).await, [Touched::NotLive; 6]);
    assert!(bed.find(nobody).await.is_none(), "a touch never creates");
    assert_eq!(bed.load(ended.id).await, before, "a tombstone is not touched");
    assert_eq!(bed.load(live.id).await.record, live, "nor another slot than the one that is named");
}

/// Each slot is touched by itself.
pub async fn slots_are_touched_by_themselves(bed: &Bed) {
    let record = bed.inserted(scoped(bed, &[1, 2, u32::MAX - 1])).await;
    let answer = touched(bed, &[touch(record.id, 2, bed.at(100))]).await;
    assert_eq!(answer, [Touched::Touched]);
    let stored = bed.load(record.id).await;
    assert_eq!(stored.version, 1, "no version is moved");
    assert_eq!(stored.record.last_seen_at, bed.at(0), "the session is not touched by it");
    let seen: Vec<_> = stored.record.scopes.iter().map(|entry| entry.last_seen_at).collect();
    assert_eq!(seen, [bed.at(0), bed.at(100), bed.at(0)], "only the slot that is named");
    touched(bed, &[touch(record.id, u32::MAX - 1, bed.at(200)), touch(record.id, 0, bed.at(300))])
        .await;
    let stored = bed.load(record.id).await.record;
    let seen: Vec<_> = stored.scopes.iter().map(|entry| entry.last_seen_at).collect();
    assert_eq!(seen, [bed.at(0), bed.at(100), bed.at(200)]);
    assert_eq!(stored.last_seen_at, bed.at(300));
    let listed = bed.list_all(&crate::store::ListQuery::default()).await;
    assert_eq!(listed[0].record, stored, "scans merge the touches of scopes too");
}

/// A scope that was left and entered again has another slot, which an old touch does not reach.
pub async fn an_old_touch_does_not_reach_a_new_entry(bed: &Bed) {
    let record = bed.inserted(scoped(bed, &[1])).await;
    touched(bed, &[touch(record.id, 1, bed.at(100))]).await;
    bed.replace(record.id, |record| {
        enter(bed, record, &[2]);
        record.scopes[0].name = ScopeName::new("scope-1").expect("a name");
    })
    .await;
    let old = touch(record.id, 1, bed.at(500));
    assert_eq!(touched(bed, &[old]).await, [Touched::NotLive], "the old entry is gone");
    let entry = bed.load(record.id).await.record.scopes[0].clone();
    assert_eq!(entry.last_seen_at, bed.at(0), "and its activity is not the new one's");
}

/// The touches of an entry that the new record no longer has are forgotten.
pub async fn the_touches_of_a_left_scope_are_forgotten(bed: &Bed) {
    let record = bed.inserted(scoped(bed, &[1, 2])).await;
    touched(bed, &[touch(record.id, 1, bed.at(100)), touch(record.id, 2, bed.at(200))]).await;
    bed.replace(record.id, |record| enter(bed, record, &[2])).await;
    assert_eq!(bed.load(record.id).await.record.scopes[0].last_seen_at, bed.at(200), "kept");
    bed.replace(record.id, |record| {
        let seen = record.scopes[0].last_seen_at;
        enter(bed, record, &[1, 2]);
        record.scopes[1].last_seen_at = seen;
    })
    .await;
    let scopes = bed.load(record.id).await.record.scopes;
    assert_eq!(scopes[0].last_seen_at, bed.at(0), "what was left is forgotten");
    assert_eq!(scopes[1].last_seen_at, bed.at(200), "what stayed is not");
}

/// A batch is answered in order, and one id may be in it several times.
pub async fn a_batch_is_answered_in_order(bed: &Bed) {
    let one = bed.inserted(bed.record(None)).await;
    let two = bed.inserted(bed.record(None)).await;
    let batch = [
        touch(two.id, 0, bed.at(100)),
        touch(bed.id(), 0, bed.at(100)),
        touch(one.id, 0, bed.at(100)),
        touch(two.id, 0, bed.at(130)),
        touch(two.id, 0, bed.at(170)),
        touch(one.id, 9, bed.at(170)),
        touch(two.id, 0, bed.at(90)),
    ];
    let expected = [
        Touched::Touched,
        Touched::NotLive,
        Touched::Touched,
        Touched::Fresh,
        Touched::Touched,
        Touched::NotLive,
        Touched::Fresh,
    ];
    assert_eq!(touched(bed, &batch).await, expected, "one answer for each touch, in order");
    assert_eq!(bed.load(one.id).await.record.last_seen_at, bed.at(100));
    assert_eq!(bed.load(two.id).await.record.last_seen_at, bed.at(170));
    assert_eq!(touched(bed, &[]).await, [], "no touch, no answer");
    let mut many = Vec::new();
    for _ in 0..300 {
        many.push(touch(bed.id(), 0, bed.at(600)));
    }
    many.push(touch(one.id, 0, bed.at(600)));
    let answer = touched(bed, &many).await;
    assert_eq!(answer.last(), Some(&Touched::Touched), "a batch may be large");
}

/// A replacement never writes the last activity down, neither the session's nor a scope's.
pub async fn a_replacement_never_lowers_the_last_activity(bed: &Bed) {
    let record = bed.inserted(scoped(bed, &[1])).await;
    let read_before = bed.load(record.id).await;
    touched(bed, &[touch(record.id, 0, bed.at(500)), touch(record.id, 1, bed.at(400))]).await;
    let mut write = replacement(&read_before);
    write.record.activated_at = Some(bed.at(1));
    bed.apply(&bed.change().replace(write)).await;
    let stored = bed.load(record.id).await;
    assert_eq!(stored.record.activated_at, Some(bed.at(1)), "the replacement is applied");
    assert_eq!(stored.record.last_seen_at, bed.at(500), "the greater last activity stays");
    assert_eq!(stored.record.scopes[0].last_seen_at, bed.at(400), "that of a scope too");
    let mut write = replacement(&stored);
    write.record.last_seen_at = bed.at(900);
    write.record.scopes[0].last_seen_at = bed.at(800);
    bed.apply(&bed.change().replace(write)).await;
    let stored = bed.load(record.id).await.record;
    assert_eq!(stored.last_seen_at, bed.at(900), "a greater one is written");
    assert_eq!(stored.scopes[0].last_seen_at, bed.at(800), "that of a scope too");
    let touches = [touch(record.id, 0, bed.at(700)), touch(record.id, 1, bed.at(700))];
    assert_eq!(touched(bed, &touches).await, [Touched::Fresh; 2], "and counts for touches");
    let read_before = bed.load(record.id).await;
    touched(bed, &[touch(record.id, 0, bed.at(1_500))]).await;
    let record = bed.ended(&read_before.record, Reason::SignedOut, bed.at(1_501));
    bed.apply(&bed.change().replace(Replacement { record, ..replacement(&read_before) })).await;
    let stored = bed.load(read_before.record.id).await.record;
    assert_eq!(stored.last_seen_at, bed.at(1_500), "a tombstone keeps the last activity");
}

/// An end by idleness that was decided before the last activity is `Moved`.
pub async fn an_idle_end_decided_on_old_activity_is_moved(bed: &Bed) {
    let record = bed.inserted(bed.record(None)).await;
    let read_before = bed.load(record.id).await;
    let end_on = |seen: Timestamp| Replacement {
        record: bed.ended(&read_before.record, Reason::IdleTimeout, bed.at(1_800)),
        decided_on: Some(seen),
        ..replacement(&read_before)
    };
    touched(bed, &[touch(record.id, 0, bed.at(600))]).await;
    for seconds in [-1, 0, 599] {
        let outcome = bed.commit(&bed.change().replace(end_on(bed.at(seconds)))).await;
        assert_eq!(outcome, Outcome::Moved(record.id), "decided on older activity: Moved");
        assert!(bed.load(record.id).await.record.end.is_none(), "the session lives on");
    }
    bed.apply(&bed.change().replace(end_on(bed.at(600)))).await;
    let stored = bed.load(record.id).await.record;
    assert!(stored.end.is_some(), "decided on the last activity it is applied");
    assert_eq!(stored.last_seen_at, bed.at(600));
}

/// A session of a subject is touched like any other.
pub async fn sessions_of_subjects_are_touched(bed: &Bed) {
    let record = bed.inserted(bed.record(Some(&subject("alice")))).await;
    assert_eq!(touched(bed, &[touch(record.id, 0, bed.at(600))]).await, [Touched::Touched]);
    let stored = bed.load(record.id).await;
    assert_eq!(stored.record.last_seen_at, bed.at(600));
    assert_eq!(stored.marks.subject.version, 1, "no mark is moved");
}
