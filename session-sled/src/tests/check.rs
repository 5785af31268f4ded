//! Whether the indexes of a store say what its records say.

use std::collections::BTreeSet;

use session_core::store::Order;
use session_core::{MarkKey, Realm};

use crate::SledStore;
use crate::keys::{Keys, Kind, id_at_end, sequence_at_end};
use crate::known::{self, Found};
use crate::rows;

/// Fails unless every record, event and mark of a realm is in just the indexes that it belongs to, and nothing
/// else is. Returns how many sessions there are.
pub(crate) fn check(store: &SledStore, realm: &Realm) -> usize {
    let keys = Keys::new(realm);
    let (expected, found, sessions) = store
        .shared
        .read(|view| {
            let mut expected = BTreeSet::new();
            let mut sessions = BTreeSet::new();
            for key in view.keys(keys.all(Kind::Record)) {
                let id = id_at_end(&key?).unwrap();
                let Found::Session(session) = known::session(view, &keys, id)? else {
                    panic!("session {id} cannot be read");
                };
                sessions.insert(id);
                if let Some(subject) = &session.record.subject {
                    expected.insert(keys.of_subject(subject, id));
                }
                match &session.record.end {
                    None => {
                        if let Some(subject) = &session.record.subject {
                            expected.insert(keys.unended_of_subject(subject, id));
                        }
                        expected.insert(keys.unended(id));
                        expected.insert(keys.due(session.record.due_at, id));
                    }
                    Some(end) => {
                        expected.insert(keys.tombstone(end.purge_at, id));
                    }
                }
            }
            for found in view.scan(keys.all(Kind::Event), Order::OldestFirst) {
                let (key, value) = found?;
                let sequence = sequence_at_end(&key).unwrap();
                let event = rows::open_event(&key, sequence, &value)?.event;
                expected.insert(keys.old_event(event.purge_at, sequence));
                if let Some(session) = event.session {
                    expected.insert(keys.event_of_session(session, sequence));
                }
                if let Some(subject) = &event.subject {
                    expected.insert(keys.event_of_subject(subject, sequence));
                }
            }
            for key in view.keys(keys.all(Kind::Mark)) {
                let key: MarkKey = keys.mark_of(&key?).unwrap();
                let mark = known::stored_mark(view, &keys, &key)?.unwrap();
                if mark.settled < mark.epoch {
                    expected.insert(keys.mark(Kind::Unsettled, &key));
                }
            }
            let mut found = BTreeSet::new();
            for kind in [
                Kind::OfSubject,
                Kind::Unended,
                Kind::UnendedOfSubject,
                Kind::Due,
                Kind::Tombstones,
                Kind::OldEvents,
                Kind::EventsOfSession,
                Kind::EventsOfSubject,
                Kind::Unsettled,
            ] {
                found.extend(known::keys_of(view, keys.all(kind))?);
            }
            for kind in [Kind::Data, Kind::Touch] {
                for key in view.keys(keys.all(kind)) {
                    let key = key?;
                    let (before, _) = key.split_last_chunk::<4>().unwrap();
                    assert!(sessions.contains(&id_at_end(before).unwrap()), "of a session");
                }
            }
            Ok((expected, found, sessions.len()))
        })
        .unwrap_or_else(|failed| panic!("{:?}", failed.error));
    assert_eq!(found, expected, "the indexes say what the records say");
    sessions
}
