//! Records: what is inserted, replaced and loaded again.

use std::time::Duration;

use super::bed::{Bed, replacement, subject};
use crate::store::Outcome;
use crate::{
    Actor, Authentication, Client, DataWrite, EncodedData, End, Epochs, EventKind, GroupName,
    Limits, MarkKey, Marks, Pending, Previous, Reason, ReasonCode, Record, Replacement, Reschedule,
    Rotation, Salt, ScopeEntry, ScopeName, SessionId, Settle, Timestamp,
};

/// A load finds what was inserted: the record, version 1, the data, the marks.
pub async fn an_insert_is_found(bed: &Bed) {
    let data = EncodedData::from_stored(r#"{"a":1}"#);
    let record = bed.inserted_with(bed.record(None), Some(data.clone())).await;
    let stored = bed.load(record.id).await;
    assert_eq!(stored.record, record, "the record comes back as it was inserted");
    assert_eq!(stored.version, 1, "an inserted record has version 1");
    assert_eq!(stored.data, Some(data), "and its data");
    assert_eq!(stored.marks, Marks::default(), "and marks that were never written");
    let bare = bed.inserted(bed.record(None)).await;
    assert_eq!(bed.load(bare.id).await.data, None, "no data is none, not empty");
}

/// Ids come from outside: one that nobody has is nobody's, whatever its bytes.
pub async fn unknown_ids_are_nothing(bed: &Bed) {
    let record = bed.inserted(bed.record(None)).await;
    let mut near = *record.id.as_bytes();
    near[15] ^= 1;
    for bytes in [[0; 16], [0xff; 16], [0x27; 16], near] {
        let found = bed.find(SessionId::from_bytes(bytes)).await;
        assert!(found.is_none(), "an id that nobody has is nobody's");
    }
    assert!(bed.find(record.id).await.is_some());
}

/// Every field of a record comes back, at both ends of what it can say.
pub async fn every_field_comes_back(bed: &Bed) {
    for record in [least(bed), most(bed)] {
        let mut first = record.clone();
        first.end = None;
        let change = match &first.subject {
            None => bed.change().insert(first, None),
            Some(name) => {
                let fence = crate::Fence { subject: name.clone(), version: 0 };
                bed.change().insert_fenced(first, None, &fence)
            }
        };
        bed.apply(&change).await;
        let mut stored = bed.load(record.id).await;
        stored.record.end.clone_from(&record.end);
        assert_eq!(stored.record, record, "every field of an insert comes back");
        bed.apply(&bed.change().replace(replacement(&stored))).await;
        let again = bed.load(record.id).await.record;
        assert_eq!(again, record, "every field of a replacement comes back");
    }
}

fn least(bed: &Bed) -> Record {
    let mut record = bed.record(None);
    record.limits = Limits::NONE;
    record.created_at = Timestamp::MIN;
    record.last_seen_at = Timestamp::MIN;
    record.due_at = Timestamp::MIN;
    record.activated_at = Some(Timestamp::MIN);
    record.next_slot = 1;
    record.client = Client::default().with_address("");
    record.authentications = vec![Authentication::new("", 0, Timestamp::MIN)];
    record.end = Some(End {
        reason: Reason::IdleTimeout,
        actor: Actor::Subject,
        at: Timestamp::MIN,
        observed_at: Timestamp::MIN,
        purge_at: Timestamp::MIN,
    });
    record
}

fn most(bed: &Bed) -> Record {
    let name = "n".repeat(64);
    let group = |name: &str| GroupName::new(name).expect("a name");
    let scope = |name: &str| ScopeName::new(name).expect("a name");
    let mut record = bed.record(Some(&subject(&"\u{1f511}".repeat(63))));
    record.class = crate::ClassName::new(&name).expect("a name");
    record.groups = vec![group(&name), group("b"), group("a"), group("b")];
    record.limits = Limits {
        idle_timeout: Some(Duration::from_millis(1)),
        absolute_timeout: Some(Duration::from_millis(i64::MAX.unsigned_abs())),
        unclaimed_timeout: Some(Duration::from_millis(1_001)),
    };
    record.rotation = Rotation {
        generation: u32::MAX,
        rotated_at: Some(Timestamp::MIN),
        pending: Some(Pending {
            secret: bed.secret(),
            salt: Salt::from_bytes([0xff; 32]),
            minted_at: Timestamp::MAX,
        }),
        previous: Some(Previous { secret: bed.secret(), retired_at: bed.at(4) }),
    };
    record.epochs = Epochs { realm: 1 << 40, subject: (1 << 53) + 1 };
    record.activated_at = Some(Timestamp::MAX);
    record.reauthenticated_at = Some(Timestamp::from_millis(-1));
    record.last_seen_at = Timestamp::MAX;
    record.due_at = Timestamp::MAX;
    let method = "\u{1f511}\"'\\".repeat(9);
    record.authentications = vec![
        Authentication::new(&method, 255, Timestamp::MAX),
        Authentication::new("password", 1, bed.at(0)),
    ];
    let entry = |name, slot, limits| ScopeEntry {
        name: scope(name),
        slot,
        limits,
        entered_at: bed.at(1),
        last_seen_at: bed.at(2),
    };
    record.scopes = vec![entry("z", u32::MAX - 1, Limits::NONE), entry(&name, 1, record.limits)];
    record.next_slot = u32::MAX;
    record.client = Client::default()
        .with_address("2001:db8::1")
        .with_agent(&"\u{e9}\"'\\{}".repeat(30))
        .with_device("%_");
    record.end = Some(End {
        reason: Reason::Other(ReasonCode::new(&name).expect("a name")),
        actor: Actor::Operator(subject("a'b\"c\\d:\u{1f511}")),
        at: bed.at(3),
        observed_at: Timestamp::MAX,
        purge_at: Timestamp::MAX,
    });
    record
}

/// A limit is kept in whole milliseconds: what is finer may be cut off, never added; what is longer than
/// `i64::MAX` of them stays at least that.
pub async fn durations_are_kept_in_milliseconds(bed: &Bed) {
    for given in [
        Duration::from_nanos(1),
        Duration::from_micros(1_999),
        Duration::from_nanos(59_999_999_999),
        Duration::from_millis(u64::MAX),
        Duration::MAX,
    ] {
        let mut record = bed.record(None);
        record.limits = Limits { idle_timeout: Some(given), ..Limits::NONE };
        let record = bed.inserted(record).await;
        let kept = bed.load(record.id).await.record.limits.idle_timeout;
        let kept = kept.expect("a limit is not lost");
        assert!(kept <= given, "a limit never grows: {given:?} became {kept:?}");
        let capped = |limit: Duration| limit.as_millis().min(i64::MAX.unsigned_abs().into());
        assert_eq!(capped(kept), capped(given), "a limit keeps its whole milliseconds");
    }
}

/// An insert of an id that exists is `Exists`, and leaves the first record intact.
pub async fn an_insert_never_overwrites(bed: &Bed) {
    let data = EncodedData::from_stored(r#"{"first":true}"#);
    let record = bed.inserted_with(bed.record(None), Some(data)).await;
    let before = bed.load(record.id).await;
    let mut second = bed.record(None);
    second.id = record.id;
    let data = EncodedData::from_stored(r#"{"first":false}"#);
    let outcome = bed.commit(&bed.change().insert(second, Some(data))).await;
    assert_eq!(outcome, Outcome::Exists(record.id), "an insert of an id that exists is Exists");
    assert_eq!(bed.load(record.id).await, before, "and leaves the first record intact");
}

/// An insert of the id of a tombstone is `Exists`: what has ended does not begin again.
pub async fn an_insert_never_replaces_a_tombstone(bed: &Bed) {
    let record = bed.inserted(bed.record(None)).await;
    bed.end(record.id, bed.at(1)).await;
    let before = bed.load(record.id).await;
    let outcome = bed.commit(&bed.change().insert(record.clone(), None)).await;
    assert_eq!(outcome, Outcome::Exists(record.id), "an insert never overwrites a tombstone");
    assert_eq!(bed.load(record.id).await, before, "the tombstone stays as it was");
}

/// A replacement of what was never there, or is no longer, is `Moved` and creates nothing.
pub async fn a_replacement_never_creates(bed: &Bed) {
    let never = bed.record(None);
    for expected in [0, 1, 2] {
        let replacement = Replacement {
            record: never.clone(),
            expected,
            data: DataWrite::Set(EncodedData::from_stored("{}")),
            decided_on: None,
        };
        let outcome = bed.commit(&bed.change().replace(replacement)).await;
        assert_eq!(outcome, Outcome::Moved(never.id), "a replacement never creates");
        assert!(bed.find(never.id).await.is_none(), "a replacement never creates");
    }
    let gone = bed.inserted(bed.record(None)).await;
    let read_before = bed.load(gone.id).await;
    bed.end(gone.id, bed.at(0)).await;
    let limit = super::bed::at_most(10);
    let purged = bed.store().purge(bed.realm(), bed.at(7_200), limit).await;
    assert_eq!(purged.expect("a purge is answered").records, 1);
    let outcome = bed.commit(&bed.change().replace(replacement(&read_before))).await;
    assert_eq!(outcome, Outcome::Moved(gone.id), "what was removed is not created again");
    assert!(bed.find(gone.id).await.is_none(), "what was removed is not created again");
}

/// A replacement of another version than the stored one is `Moved` and changes nothing.
pub async fn a_stale_version_changes_nothing(bed: &Bed) {
    let data = EncodedData::from_stored(r#"{"n":1}"#);
    let record = bed.inserted_with(bed.record(None), Some(data)).await;
    let read_before = bed.load(record.id).await;
    bed.replace(record.id, |record| record.activated_at = Some(bed.at(1))).await;
    let before = bed.load(record.id).await;
    assert_eq!(before.version, 2, "a replacement moves the version by one");
    for expected in [0, 1, 3, i64::MAX.unsigned_abs(), u64::MAX] {
        let mut stale = Replacement { expected, ..replacement(&read_before) };
        stale.data = DataWrite::Drop;
        stale.record.secret = bed.secret();
        stale.record.due_at = bed.at(9);
        let outcome = bed.commit(&bed.change().replace(stale)).await;
        assert_eq!(outcome, Outcome::Moved(record.id), "version {expected} is not the stored one");
        assert_eq!(bed.load(record.id).await, before, "a stale version changes nothing");
    }
    assert_eq!(bed.due_all(bed.at(9), 10).await, [], "not even in an index");
}

/// What a session ended with stays: a request that read it alive cannot write it alive again.
pub async fn an_end_is_not_undone(bed: &Bed) {
    let alice = subject("alice");
    let record = bed.inserted(bed.record(Some(&alice))).await;
    let read_before = bed.load(record.id).await;
    bed.end(record.id, bed.at(5)).await;
    let mut late = replacement(&read_before);
    late.record.activated_at = Some(bed.at(6));
    let outcome = bed.commit(&bed.change().replace(late)).await;
    assert_eq!(outcome, Outcome::Moved(record.id), "a late write finds the session moved");
    let end = bed.load(record.id).await.record.end.expect("the end stays");
    assert_eq!((end.reason, end.at), (Reason::SignedOut, bed.at(5)), "the end stays as it was");
}

/// A change with one conflict of any kind applies nothing of it.
pub async fn a_change_is_whole(bed: &Bed) {
    let (alice, bob) = (subject("alice"), subject("bob"));
    let settled = bed.inserted(bed.record(Some(&bob))).await;
    let bobs = MarkKey::Subject(bob.clone());
    let epoch = bed.raise(&bobs, Reason::RoleChanged, bed.at(0)).await;
    let taken = bed.inserted(bed.record(None)).await;
    let rescheduled = bed.inserted(bed.record(None)).await;
    let data = EncodedData::from_stored(r#"{"n":1}"#);
    let replaced = bed.inserted_with(bed.record(None), Some(data)).await;
    let stale = bed.inserted(bed.record(None)).await;
    let alices = MarkKey::Subject(alice.clone());
    for conflict in ["exists", "moved", "missing", "fenced", "seen"] {
        let before = bed.load(replaced.id).await;
        let mark_before = bed.mark(&alices).await;
        let mut fresh = bed.record(Some(&alice));
        let mut change = bed.insertion(bed.realm(), &mut fresh, None).await;
        change = change.mark(bed.raising(&alices, Reason::RoleChanged, bed.at(1)).await);
        let mut write = replacement(&before);
        write.record.secret = bed.secret();
        write.data = DataWrite::Set(EncodedData::from_stored(r#"{"n":2}"#));
        change = change
            .replace(write)
            .reschedule(Reschedule { id: rescheduled.id, expected: 1, due_at: bed.at(1) })
            .settle(Settle { key: bobs.clone(), epoch })
            .event(bed.event(EventKind::Rotated));
        let expected = match conflict {
            "exists" => {
                change = change.insert(taken.clone(), None);
                Outcome::Exists(taken.id)
            }
            "moved" => {
                let write = Replacement { expected: 7, ..replacement(&bed.load(stale.id).await) };
                change = change.replace(write);
                Outcome::Moved(stale.id)
            }
            "missing" => {
                let record = bed.record(None);
                let write = Replacement { record, expected: 1, ..replacement(&before) };
                let id = write.record.id;
                change = change.replace(Replacement { data: DataWrite::Keep, ..write });
                Outcome::Moved(id)
            }
            "fenced" => {
                let mut write = bed.raising(&MarkKey::Realm, Reason::RoleChanged, bed.at(1)).await;
                write.expected += 1;
                change = change.mark(write);
                Outcome::Fenced(MarkKey::Realm)
            }
            _ => {
                let mut write = replacement(&bed.load(stale.id).await);
                write.decided_on = Some(bed.at(-1));
                change = change.replace(write);
                Outcome::Moved(stale.id)
            }
        };
        assert_eq!(bed.commit(&change).await, expected, "the conflict {conflict} is the outcome");
        assert_eq!(bed.mark(&alices).await, mark_before, "{conflict}: no mark is written");
        assert!(bed.find(fresh.id).await.is_none(), "{conflict}: nothing is inserted");
        assert_eq!(bed.load(replaced.id).await, before, "{conflict}: nothing is replaced");
        let due = bed.load(rescheduled.id).await.record.due_at;
        assert_eq!(due, rescheduled.due_at, "{conflict}: nothing is rescheduled");
        assert_eq!(bed.due_all(bed.at(1), 10).await, [], "{conflict}: nothing is rescheduled");
        let (below, _) = bed.below_epoch_all(10).await;
        assert_eq!(below, [settled.id], "{conflict}: nothing is settled");
        assert_eq!(bed.told().await.len(), 0, "{conflict}: no event is told");
    }
}

/// Of several conflicts at once any is the outcome, and nothing is applied.
pub async fn several_conflicts_give_one_of_them(bed: &Bed) {
    let alice = subject("alice");
    let record = bed.inserted(bed.record(None)).await;
    let before = bed.load(record.id).await;
    let other = bed.inserted(bed.record(None)).await;
    let fresh = bed.record(Some(&alice));
    let fence = crate::Fence { subject: alice.clone(), version: 9 };
    let change = bed
        .change()
        .insert(other.clone(), None)
        .insert_fenced(fresh.clone(), None, &fence)
        .replace(Replacement { expected: 9, ..replacement(&before) });
    let outcome = bed.commit(&change).await;
    let key = MarkKey::Subject(alice);
    let conflicts =
        [Outcome::Exists(other.id), Outcome::Moved(record.id), Outcome::Fenced(key.clone())];
    assert!(conflicts.contains(&outcome), "{outcome:?} is one of the conflicts");
    assert_eq!(bed.load(record.id).await, before, "nothing is applied");
    assert!(bed.find(fresh.id).await.is_none(), "nothing is applied");
    assert_eq!(bed.mark(&key).await.version, 0, "nothing is applied");
}

/// A change of several parts is applied wholly: a login that ends the anonymous session it came from.
pub async fn a_change_of_several_parts_is_applied(bed: &Bed) {
    let alice = subject("alice");
    let key = MarkKey::Subject(alice.clone());
    let (one, two) = (bed.inserted(bed.record(None)).await, bed.inserted(bed.record(None)).await);
    let mut fresh = bed.record(Some(&alice));
    let mut also = bed.record(Some(&alice));
    let mut change = bed.insertion(bed.realm(), &mut fresh, None).await;
    also.epochs = fresh.epochs;
    let fence = crate::Fence { subject: alice.clone(), version: 0 };
    change = change.insert_fenced(also.clone(), None, &fence);
    for record in [&two, &one] {
        let mut write = replacement(&bed.load(record.id).await);
        write.record = bed.ended(&write.record, Reason::Replaced, bed.at(1));
        change = change.replace(write).event(bed.event(EventKind::Ended));
    }
    bed.apply(&change.event(bed.event(EventKind::LoggedIn))).await;
    for record in [&one, &two] {
        assert!(bed.load(record.id).await.record.end.is_some(), "each replacement is applied");
    }
    assert_eq!(bed.load(fresh.id).await.record, fresh, "each insert is applied");
    assert_eq!(bed.load(also.id).await.record, also, "each insert is applied");
    assert_eq!(bed.mark(&key).await.version, 1, "a mark is written once");
    let kinds: Vec<_> = bed.told().await.into_iter().map(|stored| stored.event.kind).collect();
    let expected = [EventKind::Ended, EventKind::Ended, EventKind::LoggedIn];
    assert_eq!(kinds, expected, "the events are told in their order");
}

/// A change that does nothing is applied.
pub async fn an_empty_change_is_applied(bed: &Bed) {
    bed.apply(&bed.change()).await;
    assert_eq!(bed.told().await.len(), 0);
}

/// A replacement of a live record moves it in the indexes with it.
pub async fn a_replacement_moves_the_indexes(bed: &Bed) {
    let record = bed.inserted(bed.record(None)).await;
    bed.replace(record.id, |record| record.due_at = bed.at(10)).await;
    let found = |rows: Vec<crate::store::Stored>| super::bed::ids(&rows);
    assert_eq!(found(bed.due_all(bed.at(10), 10).await), [record.id], "it is due at its new time");
    bed.replace(record.id, |record| record.due_at = bed.at(5_000)).await;
    assert_eq!(bed.due_all(bed.at(4_999), 10).await, [], "and no longer at an old one");
    bed.end(record.id, bed.at(20)).await;
    assert_eq!(bed.due_all(Timestamp::MAX, 10).await, [], "what has ended is not due any more");
    let query = crate::store::ListQuery::default();
    assert_eq!(bed.list_all(&query).await, [], "nor listed among the unended");
}
