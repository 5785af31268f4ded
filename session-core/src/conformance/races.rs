//! What must hold when many do it at once.

use super::BoxFuture;
use super::bed::{Bed, replacement, subject};
use crate::store::{ListQuery, Outcome, Stored, Touch, Touched};
use crate::{DataWrite, EncodedData, Epochs, MarkKey, Reason, Replacement, Reschedule};

/// Of 32 inserts of one id at once, one wins, and it is the one that is found.
pub async fn of_many_inserts_of_one_id_one_wins(bed: &Bed) {
    let id = bed.id();
    let tasks = (0..32).map(|_| -> BoxFuture<'_, Option<crate::Record>> {
        let mut record = bed.record(None);
        record.id = id;
        Box::pin(async move {
            match bed.commit(&bed.change().insert(record.clone(), None)).await {
                Outcome::Applied => Some(record),
                Outcome::Exists(exists) if exists == id => None,
                other => panic!("an insert is applied or Exists, not {other:?}"),
            }
        })
    });
    let winners: Vec<_> = bed.together(tasks.collect()).into_iter().flatten().collect();
    assert_eq!(winners.len(), 1, "of many inserts of one id one wins");
    assert_eq!(bed.load(id).await.record, winners[0], "and it is what is found");
}

/// Of 16 replacements of one version at once, one wins.
pub async fn of_many_replacements_of_one_version_one_wins(bed: &Bed) {
    let record = bed.inserted(bed.record(None)).await;
    let stored = bed.load(record.id).await;
    let tasks = (0..16).map(|_| -> BoxFuture<'_, Option<crate::SecretHash>> {
        let mut write = replacement(&stored);
        write.record.secret = bed.secret();
        Box::pin(async move {
            let secret = write.record.secret;
            match bed.commit(&bed.change().replace(write)).await {
                Outcome::Applied => Some(secret),
                Outcome::Moved(_) => None,
                other => panic!("a replacement is applied or Moved, not {other:?}"),
            }
        })
    });
    let winners: Vec<_> = bed.together(tasks.collect()).into_iter().flatten().collect();
    assert_eq!(winners.len(), 1, "of many replacements of one version one wins");
    let after = bed.load(record.id).await;
    assert_eq!((after.record.secret, after.version), (winners[0], 2), "and it is what is found");
}

/// No update is lost: clients that try again until they win are all counted, while others touch.
pub async fn no_update_is_lost(bed: &Bed) {
    const CLIENTS: u64 = 6;
    const ROUNDS: u64 = 8;
    let data = Some(EncodedData::from_stored("0"));
    let record = bed.inserted_with(bed.record(None), data).await;
    let id = record.id;
    let mut tasks: Vec<BoxFuture<'_, ()>> = Vec::new();
    for _ in 0..CLIENTS {
        tasks.push(Box::pin(async move {
            for _ in 0..ROUNDS {
                loop {
                    let stored = bed.load(id).await;
                    let count: u64 = stored
                        .data
                        .as_ref()
                        .map_or("0", EncodedData::as_str)
                        .parse()
                        .expect("a number was stored");
                    assert_eq!(stored.version, count + 1, "version and data are of one instant");
                    let data = EncodedData::from_stored((count + 1).to_string());
                    let data = DataWrite::Set(data);
                    let write = Replacement { data, ..replacement(&stored) };
                    match bed.commit(&bed.change().replace(write)).await {
                        Outcome::Applied => break,
                        Outcome::Moved(_) => {}
                        other => panic!("a replacement is applied or Moved, not {other:?}"),
                    }
                }
            }
        }));
    }
    for offset in 0..2 {
        tasks.push(Box::pin(async move {
            for step in 1..=50 {
                let seen_at = bed.at(step * 2 + offset);
                let (if_after, if_before) = (bed.at(-1), seen_at);
                let touch = Touch { id, slot: 0, seen_at, if_after, if_before };
                let answer = bed.store().touch(bed.realm(), &[touch]).await.expect("answered");
                assert_ne!(answer, [Touched::NotLive], "a live session is touched");
                let seen = bed.load(id).await.record.last_seen_at;
                assert!(seen >= seen_at, "the last activity never goes back");
            }
        }));
    }
    bed.together(tasks);
    let stored = bed.load(id).await;
    let count = (CLIENTS * ROUNDS).to_string();
    assert_eq!(stored.data, Some(EncodedData::from_stored(count)), "no update is lost");
    assert_eq!(stored.version, CLIENTS * ROUNDS + 1, "no version is skipped");
    assert_eq!(stored.record.last_seen_at, bed.at(101), "no touch is lost");
}

/// Clients that insert under one fence, again until they win, are never let in two at a time.
pub async fn a_fence_lets_in_one_at_a_time(bed: &Bed) {
    let alice = subject("alice");
    let tasks = (0..8).map(|_| -> BoxFuture<'_, u64> {
        let alice = &alice;
        Box::pin(async move {
            let mut refused = 0;
            for _ in 0..4 {
                let mut record = bed.record(Some(alice));
                loop {
                    let change = bed.insertion(bed.realm(), &mut record, None).await;
                    match bed.commit(&change).await {
                        Outcome::Applied => break,
                        Outcome::Fenced(_) => refused += 1,
                        other => panic!("a fenced insert is applied or Fenced, not {other:?}"),
                    }
                }
            }
            refused
        })
    });
    bed.together(tasks.collect());
    let mark = bed.mark(&MarkKey::Subject(alice.clone())).await;
    assert_eq!(mark.version, 32, "every fenced commit moves the version by one");
    let query = ListQuery { subject: Some(alice), ..ListQuery::default() };
    assert_eq!(bed.list_all(&query).await.len(), 32, "and every one of them is there");
}

/// The first fence of a mark that was never written lets in one, too.
pub async fn an_unwritten_mark_is_a_fence(bed: &Bed) {
    for round in 0..5 {
        let alice = subject(&format!("alice-{round}"));
        let tasks = (0..8).map(|_| -> BoxFuture<'_, bool> {
            let record = bed.record(Some(&alice));
            let fence = crate::Fence { subject: alice.clone(), version: 0 };
            let change = bed.change().insert_fenced(record, None, &fence);
            Box::pin(async move { bed.commit(&change).await.is_applied() })
        });
        let winners = bed.together(tasks.collect()).into_iter().filter(|won| *won).count();
        assert_eq!(winners, 1, "of two changes on one fence one wins");
    }
}

/// A login and a revoke-all at once: whatever was let in before the raise is below it.
pub async fn a_raise_catches_every_insert_before_it(bed: &Bed) {
    let alice = subject("alice");
    let key = MarkKey::Subject(alice.clone());
    let mut tasks: Vec<BoxFuture<'_, Option<(u64, u64)>>> = Vec::new();
    for _ in 0..6 {
        let (alice, key) = (&alice, &key);
        tasks.push(Box::pin(async move {
            for _ in 0..4 {
                let mut record = bed.record(Some(alice));
                let change = bed.insertion(bed.realm(), &mut record, None).await;
                if bed.commit(&change).await.is_applied() {
                    let marks = bed.load(record.id).await.marks.subject;
                    assert!(marks.epoch >= record.epochs.subject);
                }
            }
            None
        }));
        tasks.push(Box::pin(async move {
            let write = bed.raising(key, Reason::RoleChanged, bed.at(1)).await;
            let raised = (write.expected, write.raise.as_ref().map_or(0, |raise| raise.epoch));
            bed.commit(&bed.change().mark(write)).await.is_applied().then_some(raised)
        }));
    }
    let mut raises: Vec<_> = bed.together(tasks).into_iter().flatten().collect();
    raises.sort_unstable();
    assert!(raises.is_sorted_by(|a, b| a.1 < b.1), "no two raises name one epoch");
    let epoch = bed.mark(&key).await.epoch;
    assert_eq!(epoch, raises.len() as u64, "each raise that was applied counts");
    for stored in bed.list_all(&ListQuery::default()).await {
        let raise = stored.marks.subject.raise.map(|raise| raise.epoch);
        let own = stored.record.epochs.subject;
        assert_eq!(raise, (own < epoch).then_some(own + 1), "each is told the raise that ended it");
    }
}

/// A load is of one instant: it never sees a raise without the record that was restamped in its commit.
pub async fn a_load_is_of_one_instant(bed: &Bed) {
    let alice = subject("alice");
    let key = MarkKey::Subject(alice.clone());
    let record = bed.inserted(bed.record(Some(&alice))).await;
    let id = record.id;
    let of_one_instant = |stored: &Stored| {
        let (own, mark) = (stored.record.epochs.subject, &stored.marks.subject);
        assert_eq!(own, mark.epoch, "the record and its mark are of one instant");
        assert_eq!(stored.version, own + 1, "and so is its version");
        assert_eq!(stored.data, Some(EncodedData::from_stored(own.to_string())), "and its data");
        assert_eq!(mark.raise, None, "and so is the raise");
    };
    let write = Replacement {
        expected: 1,
        data: DataWrite::Set(EncodedData::from_stored("1")),
        ..replacement(&bed.load(id).await)
    };
    let restamp = |epoch: u64, write: Replacement| {
        let mut write = write;
        write.record.epochs = Epochs { realm: 0, subject: epoch };
        write.data = DataWrite::Set(EncodedData::from_stored(epoch.to_string()));
        write
    };
    let raise = bed.raising(&key, Reason::CredentialsChanged, bed.at(1)).await;
    bed.apply(&bed.change().mark(raise).replace(restamp(1, write))).await;
    of_one_instant(&bed.load(id).await);
    let done = std::sync::atomic::AtomicBool::new(false);
    let mut tasks: Vec<BoxFuture<'_, ()>> = Vec::new();
    let (done, key, restamp) = (&done, &key, &restamp);
    let ordering = std::sync::atomic::Ordering::SeqCst;
    tasks.push(Box::pin(async move {
        for _ in 0..40 {
            let stored = bed.load(id).await;
            let raise = bed.raising(key, Reason::CredentialsChanged, bed.at(1)).await;
            let epoch = stored.record.epochs.subject + 1;
            bed.apply(&bed.change().mark(raise).replace(restamp(epoch, replacement(&stored))))
                .await;
        }
        done.store(true, ordering);
    }));
    for _ in 0..3 {
        tasks.push(Box::pin(async move {
            while !done.load(ordering) {
                of_one_instant(&bed.load(id).await);
            }
        }));
    }
    bed.together(tasks);
}

/// Changes that write the same rows in different orders wait for each other for ever in no store.
pub async fn changes_in_opposite_orders_go_through(bed: &Bed) {
    let (alice, bob) = (subject("alice"), subject("bob"));
    let (one, two) = (bed.inserted(bed.record(None)).await, bed.inserted(bed.record(None)).await);
    let tasks = (0..4).map(|client| -> BoxFuture<'_, ()> {
        let (alice, bob) = (&alice, &bob);
        let order = if client % 2 == 0 { [one.id, two.id] } else { [two.id, one.id] };
        Box::pin(async move {
            for round in 0..6 {
                loop {
                    let mut change = bed.change();
                    for id in order {
                        change = change.replace(replacement(&bed.load(id).await));
                    }
                    for whose in if client % 2 == 0 { [alice, bob] } else { [bob, alice] } {
                        let key = MarkKey::Subject(whose.clone());
                        let version = bed.mark(&key).await.version;
                        let fence = crate::Fence { subject: whose.clone(), version };
                        change = change.mark(crate::MarkWrite::fence(&fence));
                    }
                    let outcome = if round % 2 == 0 {
                        bed.commit(&change).await
                    } else {
                        let batch = [change, bed.change()];
                        let outcomes = bed.store().commit_each(bed.realm(), &batch).await;
                        outcomes.expect("a batch is answered").remove(0)
                    };
                    if outcome.is_applied() {
                        break;
                    }
                }
            }
        })
    });
    bed.together(tasks.collect());
    for id in [one.id, two.id] {
        assert_eq!(bed.load(id).await.version, 25, "each change was applied once");
    }
    for whose in [alice, bob] {
        assert_eq!(bed.mark(&MarkKey::Subject(whose)).await.version, 24);
    }
}

/// Two sweepers at once: each due session is ended once or moved on, and none is lost.
pub async fn two_sweepers_end_each_session_once(bed: &Bed) {
    let mut records = Vec::new();
    for number in 0..20 {
        let mut record = bed.record(None);
        record.due_at = bed.at(number % 4);
        records.push(bed.inserted(record).await.id);
    }
    let now = bed.at(10);
    let tasks = (0..2).map(|_| -> BoxFuture<'_, usize> {
        Box::pin(async move {
            let mut ended = 0;
            let mut after = None;
            loop {
                let scan = bed.due(now, after.as_ref(), 3).await;
                let mut changes = Vec::new();
                for row in scan.rows {
                    let stored = super::bed::readable(row);
                    let id = stored.record.id;
                    // Every fourth was kept alive: it moves forward in the index.
                    if id.as_bytes()[7] & 3 == 0 {
                        let (expected, due_at) = (stored.version, bed.at(100));
                        let entry = Reschedule { id, expected, due_at };
                        changes.push((false, bed.change().reschedule(entry)));
                    } else {
                        let record = bed.ended(&stored.record, Reason::IdleTimeout, bed.at(9));
                        let write = Replacement {
                            record,
                            decided_on: Some(stored.record.last_seen_at),
                            data: DataWrite::Drop,
                            ..replacement(&stored)
                        };
                        let event = bed.event(crate::EventKind::Ended);
                        changes.push((true, bed.change().replace(write).event(event)));
                    }
                }
                let batch: Vec<_> = changes.iter().map(|(_, change)| change.clone()).collect();
                let outcomes = bed.store().commit_each(bed.realm(), &batch).await;
                for ((is_end, _), outcome) in changes.iter().zip(outcomes.expect("answered")) {
                    ended += usize::from(*is_end && outcome.is_applied());
                }
                match scan.next {
                    Some(next) => after = Some(next),
                    None => return ended,
                }
            }
        })
    });
    let ended: usize = bed.together(tasks.collect()).into_iter().sum();
    assert_eq!(ended, 15, "each due session is ended once");
    assert_eq!(bed.told().await.len(), 15, "and told once");
    assert_eq!(bed.due_all(now, 10).await, [], "nothing due is left");
    assert_eq!(bed.due_all(bed.at(100), 3).await.len(), 5, "what was kept alive is due later");
}
