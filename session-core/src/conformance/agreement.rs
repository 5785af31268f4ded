//! Law 10: every store agrees with the one in memory on every trace.

use std::fmt::Write;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::bed::{Bed, at_most, readable, subject};
use super::trace::{Chance, SESSIONS, id, records};
use crate::store::{Cursor, ListQuery, Scan, StoredEvent};
use crate::{Change, MemoryStore, Realm, SessionStore, Timestamp};

const STEPS: i64 = 80;

/// Whatever is written and in whatever order, every question is answered as by [`MemoryStore`]: changes that fit
/// and that do not, sent again, touches, purges and erasures, in two realms.
pub async fn every_trace_is_answered_as_by_the_reference(bed: &Bed) {
    let memory = MemoryStore::new();
    let store = bed.store();
    let mut chance = Chance { random: bed.random() };
    let records = records(bed.at(0));
    let mut sent: Option<(Realm, Change)> = None;
    for step in 0..STEPS {
        let now = bed.at(step);
        let realm = if chance.one_in(4) { bed.elsewhere() } else { bed.realm() };
        let doing = match chance.below(10) {
            0 => {
                let touch = chance.touch(now);
                let ours = store.touch(realm, &[touch]).await.unwrap();
                let theirs = memory.touch(realm, &[touch]).await.unwrap();
                assert_eq!(ours, theirs, "step {step}: {touch:?}");
                format!("{touch:?}")
            }
            1 => {
                let until = now - Duration::from_secs(chance.below(60));
                let ours = store.purge(realm, until, at_most(100)).await.unwrap();
                let theirs = memory.purge(realm, until, at_most(100)).await.unwrap();
                assert_eq!(ours, theirs, "step {step}: a purge until {until}");
                format!("a purge until {until}")
            }
            2 => {
                let of = chance.subject();
                let ours = store.erase(realm, &of, at_most(2)).await.unwrap();
                let theirs = memory.erase(realm, &of, at_most(2)).await.unwrap();
                assert_eq!(ours, theirs, "step {step}: an erasure of {of}");
                format!("an erasure of {of}")
            }
            _ => {
                let change = match &sent {
                    Some((of, again)) if of == realm && chance.one_in(8) => again.clone(),
                    _ => chance.change(&memory, realm, &records, now).await,
                };
                let ours = store.commit(realm, &change).await.unwrap();
                let theirs = memory.commit(realm, &change).await.unwrap();
                assert_eq!(ours, theirs, "step {step}: {change:?}");
                sent = Some((realm.clone(), change));
                format!("{ours:?}")
            }
        };
        for realm in [bed.realm(), bed.elsewhere()] {
            let ours = dump(store, realm, now).await;
            let theirs = dump(&memory, realm, now).await;
            for (ours, theirs) in ours.lines().zip(theirs.lines()) {
                assert_eq!(ours, theirs, "step {step}: {doing}");
            }
            assert_eq!(ours.len(), theirs.len(), "step {step}: {doing}");
        }
    }
    let told = bed.told().await;
    let theirs = memory.events(bed.realm(), &Default::default(), None).await.unwrap();
    let crate::store::Events::Page(page) = theirs else { panic!("no cursor has expired") };
    assert!(!page.more, "a trace is short");
    assert_eq!(plain(&told), plain(&page.events), "the events, in their order");
}

/// Everything that can be asked of sessions and marks.
async fn dump(store: &dyn SessionStore, realm: &Realm, now: Timestamp) -> String {
    let mut told = String::new();
    let mut tell = |answer: &dyn std::fmt::Debug| writeln!(told, "{answer:?}").unwrap();
    for n in 0..SESSIONS {
        tell(&store.load(realm, id(n)).await.unwrap());
    }
    for of in [None, Some("alice"), Some("bob")] {
        let of = of.map(subject);
        tell(&store.marks(realm, of.as_ref()).await.unwrap());
        for with_ended in [false, true] {
            let query = ListQuery { subject: of.clone(), with_ended, limit: at_most(2) };
            let mut after: Option<Cursor> = None;
            loop {
                let page = store.list(realm, &query, after.as_ref()).await.unwrap();
                after.clone_from(&page.next);
                tell(&rows(page));
                if after.is_none() {
                    break;
                }
            }
        }
    }
    let mut after: Option<Cursor> = None;
    loop {
        let page = store.due(realm, now, after.as_ref(), NonZeroUsize::MIN).await.unwrap();
        after.clone_from(&page.next);
        tell(&rows(page));
        if after.is_none() {
            break;
        }
    }
    let below = store.below_epoch(realm, None, at_most(50)).await.unwrap();
    tell(&below.unsettled);
    // The contract leaves the order of this scan to the store.
    let mut below = rows(below.scan);
    below.sort();
    tell(&below);
    told
}

fn rows(scan: Scan) -> Vec<String> {
    scan.rows.into_iter().map(|row| format!("{:?}", readable(row))).collect()
}

/// Without their numbers, which are each store's own.
fn plain(events: &[StoredEvent]) -> Vec<String> {
    events.iter().map(|stored| format!("{:?} {:?}", stored.change, stored.event)).collect()
}
