//! Realms and subjects: what one holds, another cannot see, touch or end.

use super::bed::{Bed, at_most, ids, replacement, subject};
use crate::store::{EventQuery, ListQuery, Order, Outcome, Touch, Touched};
use crate::{
    EncodedData, Event, EventKind, MarkKey, Marks, Reason, Record, Reschedule, Settle, Stamp,
    Subject, Timestamp,
};

/// A session of alice in the case's realm, dead below her epoch, due, with data and an event.
async fn inhabited(bed: &Bed) -> Record {
    let alice = subject("alice");
    let data = EncodedData::from_stored(r#"{"n":1}"#);
    let record = bed.inserted_with(bed.record(Some(&alice)), Some(data)).await;
    let ended = bed.inserted(bed.record(Some(&alice))).await;
    bed.end(ended.id, bed.at(0)).await;
    let key = MarkKey::Subject(alice.clone());
    let mut write = bed.raising(&key, Reason::RoleChanged, bed.at(1)).await;
    write.stamp = Some(Stamp::new(b"stamp"));
    let event = Event {
        session: Some(record.id),
        subject: Some(alice),
        purge_at: bed.at(1),
        ..bed.event(EventKind::SubjectRevoked)
    };
    bed.apply(&bed.change().mark(write).event(event)).await;
    bed.settle_events().await;
    record
}

/// `load` and `marks` find nothing of another realm.
pub async fn loads_keep_to_their_realm(bed: &Bed) {
    let record = inhabited(bed).await;
    let found = bed.store().load(bed.elsewhere(), record.id).await.expect("a load is answered");
    assert!(found.is_none(), "a session of one realm is nobody's in another");
    let marks = bed.store().marks(bed.elsewhere(), record.subject.as_ref()).await;
    assert_eq!(marks.expect("marks are answered"), Marks::default(), "nor are marks seen");
    let there = bed.inserted_elsewhere(Record { secret: bed.secret(), ..record.clone() }).await;
    let found = bed.store().load(bed.elsewhere(), record.id).await.expect("a load is answered");
    assert_eq!(found.expect("it is there").record.secret, there.secret, "each has its own");
    assert_eq!(bed.load(record.id).await.record.secret, record.secret, "each has its own");
}

/// `commit` and `commit_each` reach nothing of another realm: no replacement, reschedule, settle or mark.
pub async fn commits_keep_to_their_realm(bed: &Bed) {
    let record = inhabited(bed).await;
    let before = bed.load(record.id).await;
    let key = MarkKey::Subject(subject("alice"));
    let replace = bed.change().replace(replacement(&before));
    for batch in [false, true] {
        let outcome = if batch {
            let outcomes =
                bed.store().commit_each(bed.elsewhere(), std::slice::from_ref(&replace)).await;
            outcomes.expect("a batch is answered").remove(0)
        } else {
            bed.store().commit(bed.elsewhere(), &replace).await.expect("a commit is answered")
        };
        assert_eq!(outcome, Outcome::Moved(record.id), "nothing of another realm is replaced");
    }
    let due_at = bed.at(9);
    let mut write = bed.raising(&key, Reason::RoleChanged, bed.at(2)).await;
    write.expected = 0;
    let change = bed
        .change()
        .reschedule(Reschedule { id: record.id, expected: before.version, due_at })
        .settle(Settle { key: key.clone(), epoch: 1 })
        .mark(write);
    let outcome = bed.store().commit(bed.elsewhere(), &change).await;
    assert_eq!(outcome.expect("a commit is answered"), Outcome::Applied, "the other's own mark");
    assert_eq!(bed.load(record.id).await, before, "nothing of another realm is moved");
    assert_eq!(bed.below_epoch_all(10).await.0, [record.id], "or settled");
    // The id of a change is looked for in its own realm only.
    let insert = bed.change().insert(Record { subject: None, ..bed.record(None) }, None);
    bed.apply(&insert).await;
    let id = insert.inserts()[0].record.id;
    let outcome = bed.store().commit(bed.elsewhere(), &insert).await;
    assert_eq!(outcome.expect("a commit is answered"), Outcome::Applied);
    let found = bed.store().load(bed.elsewhere(), id).await.expect("a load is answered");
    assert!(found.is_some(), "a change of one realm was not carried out in another");
}

/// `touch` reaches nothing of another realm.
pub async fn touches_keep_to_their_realm(bed: &Bed) {
    let record = inhabited(bed).await;
    let touch = Touch {
        id: record.id,
        slot: 0,
        seen_at: bed.at(600),
        if_after: Timestamp::MIN,
        if_before: Timestamp::MAX,
    };
    let answer = bed.store().touch(bed.elsewhere(), &[touch]).await.expect("it is answered");
    assert_eq!(answer, [Touched::NotLive], "nothing of another realm is touched");
    assert_eq!(bed.load(record.id).await.record.last_seen_at, record.last_seen_at);
    bed.inserted_elsewhere(record.clone()).await;
    let answer = bed.store().touch(bed.elsewhere(), &[touch]).await.expect("it is answered");
    assert_eq!(answer, [Touched::Touched]);
    assert_eq!(bed.load(record.id).await.record.last_seen_at, record.last_seen_at);
}

/// `list`, `due` and `below_epoch` find nothing of another realm.
pub async fn scans_keep_to_their_realm(bed: &Bed) {
    let record = inhabited(bed).await;
    let limit = at_most(10);
    for whose in [None, record.subject.clone()] {
        let query = ListQuery { subject: whose, with_ended: true, limit };
        let scan = bed.store().list(bed.elsewhere(), &query, None).await.expect("it is answered");
        assert!(scan.rows.is_empty() && scan.next.is_none(), "nothing of another realm is listed");
    }
    let scan = bed.store().due(bed.elsewhere(), Timestamp::MAX, None, limit).await;
    assert!(scan.expect("it is answered").rows.is_empty(), "nothing of another realm is due");
    let below = bed.store().below_epoch(bed.elsewhere(), None, limit).await;
    let below = below.expect("it is answered");
    assert!(below.scan.rows.is_empty(), "nothing of another realm is below an epoch");
    assert!(below.unsettled.is_empty(), "and no mark of another realm is named");
    // A mark of one realm ends nothing in another, though the ids and the subjects are the same.
    bed.inserted_elsewhere(record).await;
    let below = bed.store().below_epoch(bed.elsewhere(), None, limit).await;
    assert!(below.expect("it is answered").scan.rows.is_empty(), "marks end only their realm's");
    let scan = bed.store().due(bed.elsewhere(), Timestamp::MAX, None, limit).await;
    assert_eq!(scan.expect("it is answered").rows.len(), 1);
}

/// `events` tells nothing of another realm.
pub async fn events_keep_to_their_realm(bed: &Bed) {
    let record = inhabited(bed).await;
    for order in [Order::OldestFirst, Order::NewestFirst] {
        for query in [
            EventQuery { order, ..EventQuery::default() },
            EventQuery { order, session: Some(record.id), ..EventQuery::default() },
            EventQuery { order, subject: record.subject.clone(), ..EventQuery::default() },
        ] {
            let answer = bed.store().events(bed.elsewhere(), &query, None).await;
            match answer.expect("events are answered") {
                crate::store::Events::Page(page) => {
                    assert!(page.events.is_empty() && !page.more, "nothing of another realm");
                }
                other @ crate::store::Events::CursorExpired => panic!("{other:?}"),
            }
        }
    }
}

/// `purge` and `erase` remove nothing of another realm, and a purge there expires no cursor here.
pub async fn removals_keep_to_their_realm(bed: &Bed) {
    let record = inhabited(bed).await;
    let whose = record.subject.clone().expect("alice's");
    let query = ListQuery { with_ended: true, ..ListQuery::default() };
    let before = bed.list_all(&query).await;
    let told = bed.told().await;
    let limit = at_most(100);
    let purged = bed.store().purge(bed.elsewhere(), Timestamp::MAX, limit).await;
    assert_eq!(purged.expect("a purge is answered"), crate::store::Purged::default());
    let erased = bed.store().erase(bed.elsewhere(), &whose, limit).await;
    assert_eq!(erased.expect("an erasure is answered"), crate::store::Purged::default());
    assert_eq!(bed.list_all(&query).await, before, "no session of another realm is removed");
    assert_eq!(bed.told().await, told, "and no event");
    let page = bed.events(&EventQuery { limit: at_most(1), ..EventQuery::default() }, None).await;
    let event = Event { purge_at: bed.at(0), ..bed.event(EventKind::Issued) };
    let change = bed.change().event(event);
    let outcome = bed.store().commit(bed.elsewhere(), &change).await;
    assert_eq!(outcome.expect("a commit is answered"), Outcome::Applied);
    let purged = bed.store().purge(bed.elsewhere(), bed.at(0), limit).await;
    assert!(purged.is_ok());
    bed.events(&EventQuery::default(), page.next.as_ref()).await;
}

/// Subjects that something might take for one another, or for a piece of a statement.
fn hostile() -> Vec<Subject> {
    let long = "x".repeat(255);
    let mut names = vec![
        "alice",
        "Alice",
        "ALICE",
        "alic",
        "alice2",
        "alice ",
        " alice",
        "alice\n",
        "alice\t",
        "al%",
        "al_ce",
        "%",
        "_",
        "*",
        "?",
        "\\",
        "\\%",
        "'",
        "''",
        "\"",
        "`",
        "alice'--",
        "alice'; DROP TABLE session; --",
        "$1",
        "?1",
        ":realm",
        "{}",
        "null",
        "NULL",
        "0",
        "00",
        "1",
        "1.0",
        "1e0",
        "true",
        "\u{e9}",
        "e\u{301}",
        "\u{1}",
        "alice\u{1}",
        "alice\u{1}x",
        "\u{1}\u{1}",
        "\u{7f}",
        "alice\u{ffff}",
        "\u{10ffff}",
        "\u{1f511}",
        "\u{feff}alice",
        "\u{202e}alice",
        "\u{645}\u{631}\u{62d}\u{628}\u{627}",
        "\u{df}",
        "ss",
        "\u{130}",
        "i",
        "\u{fb01}",
        "fi",
        "\u{2126}",
        "\u{3a9}",
        "a/b",
        "a|b",
        "a:b",
        "a\u{1f}b",
        "../alice",
        " ",
        "  ",
    ];
    let wide = "\u{1f511}".repeat(63);
    names.extend([long.as_str(), &long[..254], wide.as_str()]);
    names.into_iter().map(subject).collect()
}

/// A subject is compared byte for byte: no other sees, counts or ends what is his.
pub async fn subjects_are_compared_byte_for_byte(bed: &Bed) {
    let subjects = hostile();
    let mut records = Vec::new();
    for whose in &subjects {
        let mut record = bed.record(Some(whose));
        let event = Event { subject: Some(whose.clone()), ..bed.event(EventKind::LoggedIn) };
        let change = bed.insertion(bed.realm(), &mut record, None).await.event(event);
        assert_eq!(record.epochs.subject, 0, "{whose:?} has no mark of another");
        bed.apply(&change).await;
        records.push(record);
    }
    bed.settle_events().await;
    for (whose, record) in subjects.iter().zip(&records) {
        let query = ListQuery { subject: Some(whose.clone()), ..ListQuery::default() };
        let listed = bed.list_all(&query).await;
        assert_eq!(ids(&listed), [record.id], "{whose:?} sees his own");
        assert_eq!(listed[0].record.subject.as_ref(), Some(whose), "{whose:?} comes back");
        assert_eq!(listed[0].marks.subject.version, 1, "{whose:?} has a mark of his own");
        let query = EventQuery { subject: Some(whose.clone()), ..EventQuery::default() };
        let told = bed.told_by(&query).await;
        assert_eq!(told.len(), 1, "{whose:?} reads his own");
        assert_eq!(told[0].event.subject.as_ref(), Some(whose));
    }
    for (place, whose) in subjects.iter().enumerate().step_by(3) {
        let key = MarkKey::Subject(whose.clone());
        bed.raise(&key, Reason::RoleChanged, bed.at(1)).await;
        let (found, unsettled) = bed.below_epoch_all(100).await;
        assert_eq!(found, [records[place].id], "a raise for {whose:?} ends only his");
        assert_eq!(unsettled, [(key.clone(), 1)], "and names him");
        bed.end(records[place].id, bed.at(2)).await;
        let erased = bed.store().erase(bed.realm(), whose, at_most(100)).await;
        let erased = erased.expect("an erasure is answered");
        assert_eq!((erased.records, erased.events), (1, 1), "{whose:?} is erased");
        assert!(bed.find(records[place].id).await.is_none());
    }
    let mut left: Vec<_> = (0..records.len()).filter(|place| place % 3 != 0).collect();
    left.sort_unstable();
    let expected: Vec<_> = left.iter().map(|place| records[*place].id).collect();
    let query = ListQuery { with_ended: true, ..ListQuery::default() };
    assert_eq!(ids(&bed.list_all(&query).await), expected, "and nobody else");
    assert_eq!(bed.told().await.len(), left.len());
}
