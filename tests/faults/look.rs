//! Everything that a store holds of one realm.

use std::collections::{BTreeMap, BTreeSet};

use session_core::lifecycle::{Standing, standing};
use session_core::store::{Cursor, EventQuery, Events, ListQuery, Scan, StoredEvent};
use session_core::{
    Clock as _, EventKind, Mark, Realm, Record, SessionId, SessionStore, SessionToken, StoreError,
    Subject, SystemClock, Timestamp,
};

use crate::place;

/// What was found.
#[derive(Debug)]
pub(crate) struct Found {
    realm: Realm,
    pub(crate) rows: BTreeMap<SessionId, Row>,
    pub(crate) marks: BTreeMap<Subject, Mark>,
    pub(crate) events: Vec<StoredEvent>,
    /// How many events there are of a session or a subject and a kind.
    told: BTreeMap<(String, String), usize>,
    /// What does not agree with itself.
    pub(crate) odd: Vec<String>,
}

/// A session.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) record: Record,
    /// Why it has ended, by its own end or by a mark; `None` if it lives.
    pub(crate) ended: Option<String>,
    pub(crate) count: Option<u64>,
}

impl Found {
    /// Reads it, in every way in which it can be read.
    pub(crate) async fn look(store: &dyn SessionStore, realm: &Realm) -> Result<Self, StoreError> {
        let mut found = Self {
            realm: realm.clone(),
            rows: BTreeMap::new(),
            marks: BTreeMap::new(),
            events: events(store, realm).await?,
            told: BTreeMap::new(),
            odd: Vec::new(),
        };
        for StoredEvent { event, .. } in &found.events {
            let session = event.session.map(|id| id.to_string());
            let subject = event.subject.as_ref().map(ToString::to_string);
            for of in session.into_iter().chain(subject) {
                *found.told.entry((of, event.kind.code().into())).or_default() += 1;
            }
        }
        let everything = ids(store, realm, None, true).await?;
        for id in &everything {
            found.row(store, realm, *id).await?;
        }
        found.unended(store, realm).await?;
        found.by_subject(store, realm, &everything).await?;
        found.events_agree();
        Ok(found)
    }

    /// How many events of a kind there are of a session or a subject.
    pub(crate) fn told(&self, of: &impl ToString, kind: &EventKind) -> usize {
        let key = (of.to_string(), kind.code().to_owned());
        self.told.get(&key).copied().unwrap_or_default()
    }

    pub(crate) fn opens(&self, token: &str, row: &Row) -> bool {
        SessionToken::parse(token).unwrap().hash(&self.realm) == row.record.secret
    }

    async fn row(
        &mut self,
        store: &dyn SessionStore,
        realm: &Realm,
        id: SessionId,
    ) -> Result<(), StoreError> {
        let Some(stored) = store.load(realm, id).await? else {
            self.odd.push(format!("{id} is listed and not there"));
            return Ok(());
        };
        let now = SystemClock.now();
        let ended = match standing(&stored.record, &stored.marks, &place::policy(), now) {
            Standing::Live { .. } => None,
            Standing::Ended(end) => Some(end.reason.code().to_owned()),
        };
        let count = stored.data.map(|data| data.decode().unwrap().get("count").unwrap().unwrap());
        if count.is_some() == stored.record.end.is_some() {
            self.odd.push(format!("{id}: data beside an end, or none without one"));
        }
        if let Some(subject) = &stored.record.subject {
            self.marks.entry(subject.clone()).or_insert(stored.marks.subject);
        }
        self.rows.insert(id, Row { record: stored.record, ended, count });
        Ok(())
    }

    /// The scans of the sweep must find what has no end of its own, and what is below its mark's epoch.
    async fn unended(&mut self, store: &dyn SessionStore, realm: &Realm) -> Result<(), StoreError> {
        let unended = |row: &&Row| row.record.end.is_none();
        let expected: BTreeSet<_> =
            self.rows.values().filter(unended).map(|row| row.record.id).collect();
        let listed = ids(store, realm, None, false).await?;
        let mut due = BTreeSet::new();
        let mut after: Option<Cursor> = None;
        loop {
            let scan = store.due(realm, Timestamp::MAX, after.as_ref(), LIMIT).await?;
            after = take(scan, &mut due);
            if after.is_none() {
                break;
            }
        }
        let below: BTreeSet<_> = self
            .rows
            .values()
            .filter(unended)
            .filter(|row| row.ended.is_some())
            .map(|row| row.record.id)
            .collect();
        let mut passed = BTreeSet::new();
        let mut after: Option<Cursor> = None;
        loop {
            let answer = store.below_epoch(realm, after.as_ref(), LIMIT).await?;
            after = take(answer.scan, &mut passed);
            if after.is_none() {
                break;
            }
        }
        for (what, found, expected) in [
            ("the list of the unended", listed, &expected),
            ("the index of the due", due, &expected),
            ("the index of epochs", passed, &below),
        ] {
            for id in found.symmetric_difference(expected) {
                self.odd.push(format!("{what} and the sessions do not agree on {id}"));
            }
        }
        Ok(())
    }

    /// Each session has its events, once; and a mark counts the logins and the raises, each of which moved it by
    /// one.
    fn events_agree(&mut self) {
        let mut odd = Vec::new();
        for (id, Row { record, .. }) in &self.rows {
            for (kind, expected) in [
                (EventKind::LoggedIn, true),
                (EventKind::Activated, record.activated_at.is_some()),
                (EventKind::Ended, record.end.is_some()),
            ] {
                let told = self.told(id, &kind);
                if told != usize::from(expected) {
                    odd.push(format!("{id}: {told} events {kind}"));
                }
            }
        }
        for (subject, mark) in &self.marks {
            let told = |kind| u64::try_from(self.told(subject, kind)).unwrap();
            let (logins, raises) = (told(&EventKind::LoggedIn), told(&EventKind::SubjectRevoked));
            if (mark.version, mark.epoch) != (logins + raises, raises) {
                let Mark { version, epoch, .. } = mark;
                odd.push(format!(
                    "{subject:?}: version {version}, epoch {epoch}; {logins} logins, {raises} raises"
                ));
            }
        }
        if !self.events.is_sorted_by(|one, next| one.sequence < next.sequence) {
            odd.push("the places of the events do not grow".into());
        }
        self.odd.extend(odd);
    }

    async fn by_subject(
        &mut self,
        store: &dyn SessionStore,
        realm: &Realm,
        everything: &BTreeSet<SessionId>,
    ) -> Result<(), StoreError> {
        let subjects: BTreeSet<Subject> =
            self.rows.values().filter_map(|row| row.record.subject.clone()).collect();
        let mut found = BTreeSet::new();
        for subject in subjects {
            // Read by itself, a mark must be what it is when read with a session.
            let mark = store.marks(realm, Some(&subject)).await?.subject;
            let beside = self.marks.get(&subject).map(|mark| (mark.version, mark.epoch));
            if beside != Some((mark.version, mark.epoch)) {
                self.odd.push(format!("two marks of {subject:?}"));
            }
            found.extend(ids(store, realm, Some(subject), true).await?);
        }
        for id in found.symmetric_difference(everything) {
            self.odd.push(format!("the lists by subject and of all do not agree on {id}"));
        }
        Ok(())
    }
}

const LIMIT: std::num::NonZeroUsize = std::num::NonZeroUsize::new(500).unwrap();

async fn ids(
    store: &dyn SessionStore,
    realm: &Realm,
    subject: Option<Subject>,
    with_ended: bool,
) -> Result<BTreeSet<SessionId>, StoreError> {
    let query = ListQuery { subject, with_ended, limit: LIMIT };
    let mut ids = BTreeSet::new();
    let mut after: Option<Cursor> = None;
    loop {
        let scan = store.list(realm, &query, after.as_ref()).await?;
        after = take(scan, &mut ids);
        if after.is_none() {
            return Ok(ids);
        }
    }
}

fn take(scan: Scan, ids: &mut BTreeSet<SessionId>) -> Option<Cursor> {
    // A row that cannot be read is what no crash may leave.
    ids.extend(scan.rows.into_iter().map(|row| row.unwrap().record.id));
    scan.next
}

async fn events(store: &dyn SessionStore, realm: &Realm) -> Result<Vec<StoredEvent>, StoreError> {
    let query = EventQuery { limit: LIMIT, ..EventQuery::default() };
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let Events::Page(page) = store.events(realm, &query, after.as_ref()).await? else {
            panic!("no event has been purged")
        };
        all.extend(page.events);
        after = page.next;
        if !page.more {
            return Ok(all);
        }
    }
}
