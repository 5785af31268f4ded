//! Events: atomic with their change, in order, and none missed.

use super::bed::{Bed, at_most, replacement, subject};
use crate::clock::Patience;
use crate::store::{EventQuery, Events, Order, Outcome, StoredEvent};
use crate::{
    Actor, Change, Event, EventKind, Fence, NameError, Reason, ReasonCode, Replacement, Timestamp,
};

fn newest() -> EventQuery {
    EventQuery { order: Order::NewestFirst, ..EventQuery::default() }
}

/// An event of an application's own, told apart by its name.
fn named(bed: &Bed, name: &str) -> Event {
    let kind: Result<EventKind, NameError> = ReasonCode::new(name).map(EventKind::Other);
    bed.event(kind.expect("a name"))
}

fn names(events: &[StoredEvent]) -> Vec<&str> {
    events.iter().map(|stored| stored.event.kind.code()).collect()
}

/// Every field of an event comes back, and the change that it came with.
pub async fn every_field_comes_back(bed: &Bed) {
    let (id, alice) = (bed.id(), subject("a'b\"c\\d%_\u{1f511}"));
    let full = Event {
        session: Some(id),
        subject: Some(alice.clone()),
        reason: Some(Reason::Other(ReasonCode::new("x_own").expect("a name"))),
        actor: Actor::Operator(alice),
        at: Timestamp::MIN,
        observed_at: Timestamp::MAX,
        ..named(bed, &"k".repeat(64))
    }
    .with_detail("agent", &"\u{e9}'\"\\{}".repeat(30))
    .with_detail("", "")
    .with_detail("\u{1f511}", "%s $1 ?1");
    let bare = bed.event(EventKind::RealmRevoked);
    let ended = Event { reason: Some(Reason::IdleTimeout), ..bed.event(EventKind::Ended) };
    let change = bed.change().event(full.clone()).event(bare.clone()).event(ended.clone());
    bed.apply(&change).await;
    let told = bed.told().await;
    assert!(told.iter().all(|stored| stored.change == change.id()), "each names its change");
    let events: Vec<Event> = told.into_iter().map(|stored| stored.event).collect();
    assert_eq!(events, [full, bare, ended], "every field comes back, in order");
}

/// A change that is not applied tells nothing; one that is tells all, once.
pub async fn events_come_with_their_change(bed: &Bed) {
    let alice = subject("alice");
    let record = bed.inserted(bed.record(Some(&alice))).await;
    let stored = bed.load(record.id).await;
    let told = |change: Change| change.event(bed.event(EventKind::Rotated));
    let stale = Replacement { expected: 9, ..replacement(&stored) };
    let fence = Fence { subject: alice.clone(), version: 9 };
    let mut anonymous = record.clone();
    anonymous.subject = None;
    for change in [
        told(bed.change().insert(anonymous, None)),
        told(bed.change().replace(stale)),
        told(bed.change().insert_fenced(bed.record(Some(&alice)), None, &fence)),
    ] {
        assert_ne!(bed.commit(&change).await, Outcome::Applied);
        assert_eq!(bed.told().await.len(), 0, "what was not applied is not told");
    }
    bed.apply(&told(bed.change().replace(replacement(&stored)))).await;
    assert_eq!(names(&bed.told().await), ["rotated"], "what was applied is told once");
}

/// Events come in the order of their commits, and in that of their change; sequences grow.
pub async fn events_come_in_order(bed: &Bed) {
    let mut expected = Vec::new();
    for commit in 0..10 {
        let mut change = bed.change();
        // Their instants run the other way: the order is that of the commits.
        for place in 0..3 {
            let event = Event { at: bed.at(-commit), ..named(bed, &format!("e{commit}.{place}")) };
            expected.push(event.kind.code().to_owned());
            change = change.event(event);
        }
        bed.apply(&change).await;
    }
    let told = bed.told().await;
    assert_eq!(names(&told), expected, "oldest first");
    assert!(told.is_sorted_by(|a, b| a.sequence < b.sequence), "sequences grow");
    for limit in [1, 2, 7, 30, 31, 100] {
        let query = EventQuery { limit: at_most(limit), ..EventQuery::default() };
        assert_eq!(bed.told_by(&query).await, told, "oldest first, {limit} a page");
        let mut back = bed.told_by(&EventQuery { limit: at_most(limit), ..newest() }).await;
        back.reverse();
        assert_eq!(back, told, "newest first, {limit} a page");
    }
}

/// Looking back ends: where nothing is further back, there is no place to go on.
pub async fn looking_back_comes_to_an_end(bed: &Bed) {
    for name in ["a", "b", "c", "d"] {
        bed.apply(&bed.change().event(named(bed, name))).await;
    }
    bed.settle_events().await;
    for limit in [1, 2, 3, 5, 100] {
        let query = EventQuery { limit: at_most(limit), ..newest() };
        let mut after = None;
        let mut seen = Vec::new();
        loop {
            let page = bed.events(&query, after.as_ref()).await;
            assert_eq!(page.more, page.next.is_some(), "a place to go on where more follows");
            seen.extend(page.events.into_iter().map(|stored| stored.sequence));
            after = page.next;
            if after.is_none() {
                break;
            }
            assert!(seen.len() <= 5, "looking back comes to an end");
        }
        assert_eq!(seen.len(), 5, "each event once: four, and the one that was waited for");
        assert!(seen.is_sorted_by(|a, b| a > b), "newest first");
    }
    let nothing = EventQuery { subject: Some(subject("nobody")), ..newest() };
    let page = bed.events(&nothing, None).await;
    assert!(page.events.is_empty() && !page.more && page.next.is_none(), "of nothing at once");
}

/// A query keeps to its session, subject, kinds and instants, alone and together, in both orders.
pub async fn a_query_finds_what_it_asks(bed: &Bed) {
    let people = [None, Some(subject("alice")), Some(subject("bob"))];
    let sessions = [None, Some(bed.id()), Some(bed.id())];
    let kinds = [EventKind::Issued, EventKind::Ended, named(bed, "x_own").kind];
    let mut all = Vec::new();
    let mut change = bed.change();
    for (seconds, number) in (0..).zip(0..27) {
        let event = Event {
            subject: people[number % 3].clone(),
            session: sessions[number / 3 % 3],
            at: bed.at(seconds),
            ..bed.event(kinds[number / 9].clone())
        };
        all.push(event.clone());
        change = change.event(event);
    }
    bed.apply(&change).await;
    bed.settle_events().await;
    let bounds =
        [(None, None), (Some(5), None), (None, Some(20)), (Some(9), Some(9)), (Some(3), Some(14))];
    for subject in &people {
        for session in sessions {
            for chosen in [&[][..], &kinds[1..2], &kinds[1..]] {
                for (from, until) in bounds {
                    let query = EventQuery {
                        session,
                        subject: subject.clone(),
                        kinds: chosen.to_vec(),
                        from: from.map(|from| bed.at(from)),
                        until: until.map(|until| bed.at(until)),
                        order: Order::OldestFirst,
                        limit: at_most(4),
                    };
                    let mut expected: Vec<Event> = all
                        .iter()
                        .filter(|event| session.is_none() || event.session == session)
                        .filter(|event| subject.is_none() || event.subject == *subject)
                        .filter(|event| chosen.is_empty() || chosen.contains(&event.kind))
                        .filter(|event| query.from.is_none_or(|from| event.at >= from))
                        .filter(|event| query.until.is_none_or(|until| event.at < until))
                        .cloned()
                        .collect();
                    let found = |told: Vec<StoredEvent>| -> Vec<Event> {
                        told.into_iter().map(|stored| stored.event).collect()
                    };
                    assert_eq!(found(bed.told_by(&query).await), expected, "{query:?}");
                    expected.reverse();
                    let back = EventQuery { order: Order::NewestFirst, ..query };
                    assert_eq!(found(bed.told_by(&back).await), expected, "{back:?}");
                }
            }
        }
    }
}

/// A reader that follows along goes on from any answer, even an empty one.
pub async fn a_reader_follows_along(bed: &Bed) {
    let query = EventQuery { limit: at_most(2), ..EventQuery::default() };
    let mut after = None;
    let mut seen = Vec::new();
    for round in 0..5 {
        for place in 0..round {
            bed.apply(&bed.change().event(named(bed, &format!("e{round}.{place}")))).await;
        }
        bed.settle_events().await;
        loop {
            let page = bed.events(&query, after.as_ref()).await;
            assert!(page.next.is_some(), "following along, there is always a place to go on");
            after = page.next;
            seen.extend(page.events);
            if !page.more {
                break;
            }
        }
    }
    let all = bed.told_by(&EventQuery::default()).await;
    seen.retain(|stored| stored.event.kind.code().starts_with('e'));
    assert_eq!(seen, all, "each once, in order");
}

/// A reader that follows along with a filter misses nothing, though most answers are empty.
pub async fn a_filtered_reader_follows_along(bed: &Bed) {
    let (alice, bob) = (subject("alice"), subject("bob"));
    let query =
        EventQuery { subject: Some(alice.clone()), limit: at_most(1), ..EventQuery::default() };
    let mut after = None;
    let mut seen = 0;
    for round in 0..12 {
        let whose = if round % 4 == 3 { &alice } else { &bob };
        let event = Event { subject: Some(whose.clone()), ..bed.event(EventKind::Issued) };
        bed.apply(&bed.change().event(event)).await;
        bed.settle_events().await;
        let page = bed.events(&query, after.as_ref()).await;
        seen += page.events.len();
        after = page.next;
    }
    assert_eq!(seen, 3, "each event of the subject, once");
}

/// A reader that follows the cursors misses no event, whatever commits at the same time.
pub async fn a_reader_misses_nothing_under_concurrent_commits(bed: &Bed) {
    const WRITERS: usize = 6;
    const COMMITS: usize = 15;
    let total = WRITERS * COMMITS * 2;
    let mut tasks: Vec<super::BoxFuture<'_, Vec<String>>> = Vec::new();
    for writer in 0..WRITERS {
        tasks.push(Box::pin(async move {
            let mut written = Vec::new();
            for commit in 0..COMMITS {
                let mut change = bed.change().insert(bed.record(None), None);
                for place in 0..2 {
                    let event = named(bed, &format!("w{writer}.{commit:02}.{place}"));
                    written.push(event.kind.code().to_owned());
                    change = change.event(event);
                }
                bed.apply(&change).await;
            }
            written
        }));
    }
    for _ in 0..2 {
        tasks.push(Box::pin(async move {
            let query = EventQuery { limit: at_most(7), ..EventQuery::default() };
            let patience = Patience::new(std::time::Duration::from_secs(60));
            let mut seen: Vec<StoredEvent> = Vec::new();
            let mut after = None;
            while seen.len() < total && !patience.is_over() {
                let page = bed.events(&query, after.as_ref()).await;
                seen.extend(page.events);
                after = page.next;
                std::thread::yield_now();
            }
            assert!(seen.is_sorted_by(|a, b| a.sequence < b.sequence), "in order, none twice");
            names(&seen).into_iter().map(str::to_owned).collect()
        }));
    }
    let mut said = bed.together(tasks);
    let readers = said.split_off(WRITERS);
    for seen in readers {
        for (writer, written) in said.iter().enumerate() {
            let prefix = format!("w{writer}.");
            let of_writer: Vec<&String> =
                seen.iter().filter(|name| name.starts_with(&prefix)).collect();
            let written: Vec<&String> = written.iter().collect();
            assert_eq!(of_writer, written, "each event of a writer, once, in his order");
        }
        assert_eq!(seen.len(), total, "and no other");
    }
}

/// A reader whose next events were purged is told so; one who looks back is not, nor one who begins anew.
pub async fn a_cursor_before_a_purge_has_expired(bed: &Bed) {
    for name in ["a", "b", "c", "d"] {
        let purge_at = if name == "c" { bed.at(10) } else { Timestamp::MAX };
        bed.apply(&bed.change().event(Event { purge_at, ..named(bed, name) })).await;
    }
    bed.settle_events().await;
    let one = EventQuery { limit: at_most(1), ..EventQuery::default() };
    let three = EventQuery { limit: at_most(3), ..EventQuery::default() };
    let after_a = bed.events(&one, None).await.next.expect("a place to go on");
    let after_c = bed.events(&three, None).await.next.expect("a place to go on");
    let back = EventQuery { limit: at_most(2), ..newest() };
    let after_d = bed.events(&back, None).await.next.expect("a place to go on");
    let purged = bed.store().purge(bed.realm(), bed.at(10), at_most(10)).await;
    assert_eq!(purged.expect("a purge is answered").events, 1);
    let answer = bed.store().events(bed.realm(), &one, Some(&after_a)).await;
    let expired = matches!(answer, Ok(Events::CursorExpired));
    assert!(expired, "events after this cursor were purged: {answer:?}");
    let page = bed.events(&one, Some(&after_c)).await;
    assert_eq!(names(&page.events), ["d"], "nothing after this cursor was purged");
    let page = bed.events(&newest(), Some(&after_d)).await;
    assert_eq!(names(&page.events), ["b", "a"], "looking back goes on with what is there");
    assert_eq!(names(&bed.told().await), ["a", "b", "d"], "as does beginning anew");
}

/// What was erased is not to be read by anybody, and expires no cursor.
pub async fn an_erasure_expires_no_cursor(bed: &Bed) {
    let alice = subject("alice");
    for (name, whose) in [("a", None), ("b", Some(&alice)), ("c", None)] {
        let event = Event { subject: whose.cloned(), ..named(bed, name) };
        bed.apply(&bed.change().event(event)).await;
    }
    bed.settle_events().await;
    let one = EventQuery { limit: at_most(1), ..EventQuery::default() };
    let after_a = bed.events(&one, None).await.next.expect("a place to go on");
    let erased = bed.store().erase(bed.realm(), &alice, at_most(10)).await;
    assert_eq!(erased.expect("an erasure is answered").events, 1);
    let page = bed.events(&one, Some(&after_a)).await;
    assert_eq!(names(&page.events), ["c"], "the reader goes on behind what was erased");
}
