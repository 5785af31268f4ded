//! Futures that are dropped half-way.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::bed::{Bed, at_most, replacement, subject};
use crate::store::{EventQuery, ListQuery, Outcome, Touch};
use crate::{DataWrite, EncodedData, Event, EventKind, MarkKey, Reason};

/// Polls a future so many times at most, and drops it if it is not done by then.
struct Cut<F> {
    future: Pin<Box<F>>,
    left: usize,
}

fn cut<F: Future>(future: F, polls: usize) -> Cut<F> {
    Cut { future: Box::pin(future), left: polls }
}

impl<F: Future> Future for Cut<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        match self.future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// How often a future is polled before it is dropped, at most.
const POLLS: usize = 8;

/// A commit that is dropped half-way leaves everything old or everything new, and the next works.
pub async fn a_dropped_commit_is_whole(bed: &Bed) {
    for polls in 0..=POLLS {
        let alice = subject(&format!("alice-{polls}"));
        let key = MarkKey::Subject(alice.clone());
        let data = Some(EncodedData::from_stored("1"));
        let record = bed.inserted_with(bed.record(Some(&alice)), data).await;
        let stored = bed.load(record.id).await;
        let mut write = replacement(&stored);
        write.record.activated_at = Some(bed.at(1));
        write.data = DataWrite::Set(EncodedData::from_stored("2"));
        let change = bed
            .change()
            .mark(bed.raising(&key, Reason::RoleChanged, bed.at(1)).await)
            .replace(write)
            .event(Event { subject: Some(alice.clone()), ..bed.event(EventKind::Rotated) });
        let outcome = cut(bed.store().commit(bed.realm(), &change), polls).await;
        let seen = bed.load(record.id).await;
        let is_new = seen.version == 2;
        assert!(is_new || seen == stored, "wholly old, after {polls} polls: {seen:?}");
        if is_new {
            assert_eq!(seen.record.activated_at, Some(bed.at(1)), "wholly new");
            assert_eq!(seen.data, Some(EncodedData::from_stored("2")), "wholly new");
            assert_eq!(seen.marks.subject.epoch, 1, "wholly new");
        }
        if let Some(outcome) = outcome {
            assert_eq!(outcome.expect("a commit is answered"), Outcome::Applied);
            assert!(is_new, "once it is applied, a load that starts after sees it");
        }
        // What was cut may still be on its way: the same change sent again is applied once in any case.
        bed.apply(&change).await;
        let after = bed.load(record.id).await;
        assert_eq!((after.version, after.marks.subject.epoch), (2, 1), "it is applied once");
        bed.settle_events().await;
        let query = EventQuery { subject: Some(alice), ..EventQuery::default() };
        assert_eq!(bed.told_by(&query).await.len(), 1, "it is told once");
    }
}

/// Whatever is dropped half-way, the store goes on, and what it holds is whole.
pub async fn a_store_goes_on_after_dropped_calls(bed: &Bed) {
    let alice = subject("alice");
    let record = bed.inserted(bed.record(Some(&alice))).await;
    let limit = at_most(10);
    let (store, realm) = (bed.store(), bed.realm());
    for polls in 0..=POLLS {
        let touch = Touch {
            id: record.id,
            slot: 0,
            seen_at: bed.at(600),
            if_after: bed.at(-1),
            if_before: bed.at(60),
        };
        let touches = [touch];
        let batch = [bed.change().insert(bed.record(None), None), bed.change()];
        let (list, events) = (ListQuery::default(), EventQuery::default());
        cut(store.load(realm, record.id), polls).await;
        cut(store.marks(realm, Some(&alice)), polls).await;
        cut(store.touch(realm, &touches), polls).await;
        cut(store.list(realm, &list, None), polls).await;
        cut(store.due(realm, bed.at(9_000), None, limit), polls).await;
        cut(store.below_epoch(realm, None, limit), polls).await;
        cut(store.events(realm, &events, None), polls).await;
        cut(store.commit_each(realm, &batch), polls).await;
        cut(store.purge(realm, bed.at(-9_000), limit), polls).await;
        cut(store.erase(realm, &subject("nobody"), limit), polls).await;
        let stored = bed.load(record.id).await;
        let seen = stored.record.last_seen_at;
        assert!(seen == bed.at(0) || seen == bed.at(600), "a touch is recorded or not");
        assert_eq!(stored.version, 1 + polls as u64);
        bed.replace(record.id, |_| {}).await;
    }
    let many = 4 * POLLS;
    for _ in 0..many {
        // As often as a pool could have connections: none of them may stay behind.
        let change = bed.change().insert(bed.record(None), None);
        cut(store.commit(realm, &change), 1).await;
        cut(store.load(realm, record.id), 1).await;
    }
    bed.replace(record.id, |_| {}).await;
    let stored = bed.load(record.id).await;
    assert_eq!(stored.version, 2 + POLLS as u64 + 1, "the store goes on");
}
