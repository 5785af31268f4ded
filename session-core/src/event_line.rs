//! An event as one line of JSON, for logs and auditors.

use std::fmt::Write as _;

use serde::ser::{Serialize, SerializeMap, Serializer};
use uuid::Uuid;

use crate::Timestamp;
use crate::store::StoredEvent;

impl StoredEvent {
    /// The event as one line of JSON (RFC 8259), without the end of the line: what logs take in, and what is handed
    /// to an auditor.
    ///
    /// | name | value |
    /// |---|---|
    /// | `sequence` | its place among the events of its store: a text, because many readers round large numbers |
    /// | `change` | the change that it came with: with `kind` and `session` it tells an event that is read twice |
    /// | `kind` | [`EventKind::code`](crate::EventKind::code) |
    /// | `session`, `subject` | whose; left out if it concerns no single one |
    /// | `reason` | [`Reason::code`](crate::Reason::code), of an end or a revocation |
    /// | `actor` | [`Actor::code`](crate::Actor::code) |
    /// | `at`, `observed_at` | when it was so, and when it was noticed: RFC 3339 in UTC, to the millisecond |
    /// | `purge_at` | from when on it may be removed; left out if never |
    /// | `detail` | more, by name; left out if there is nothing |
    ///
    /// Names are only ever added. Whatever is not printable ASCII is escaped, so that no text of a client can begin
    /// another line, turn the direction of writing, or steer a terminal (ASVS 5.0, 16.4.1). Nothing in it opens a
    /// session.
    ///
    /// ```
    /// use session_core::store::StoredEvent;
    /// use session_core::{Actor, ChangeId, Event, EventKind, Timestamp};
    ///
    /// let now = Timestamp::from_millis(1_700_000_000_250);
    /// let event = Event::new(EventKind::LoggedIn, Actor::Subject, now).with_detail("class", "browser");
    /// let stored = StoredEvent { sequence: 1, change: ChangeId::from_bytes([7; 16]), event };
    /// assert!(stored.to_json_line().contains(r#""kind":"logged_in","actor":"subject""#));
    /// ```
    pub fn to_json_line(&self) -> String {
        // Texts and maps of texts can always be written.
        ascii(&serde_json::to_string(&Line(self)).unwrap_or_default())
    }
}

struct Line<'e>(&'e StoredEvent);

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let StoredEvent { sequence, change, event } = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("sequence", &sequence.to_string())?;
        map.serialize_entry("change", &Uuid::from_bytes(*change.as_bytes()).to_string())?;
        map.serialize_entry("kind", event.kind.code())?;
        if let Some(session) = event.session {
            map.serialize_entry("session", &session.to_string())?;
        }
        if let Some(subject) = &event.subject {
            map.serialize_entry("subject", subject.as_str())?;
        }
        if let Some(reason) = &event.reason {
            map.serialize_entry("reason", reason.code())?;
        }
        map.serialize_entry("actor", &event.actor.code())?;
        map.serialize_entry("at", &instant(event.at))?;
        map.serialize_entry("observed_at", &instant(event.observed_at))?;
        if event.purge_at != Timestamp::MAX {
            map.serialize_entry("purge_at", &instant(event.purge_at))?;
        }
        if !event.detail.is_empty() {
            map.serialize_entry("detail", &event.detail)?;
        }
        map.end()
    }
}

/// RFC 3339 with all its milliseconds, so that texts sort like instants. What no calendar covers is told in
/// milliseconds.
fn instant(at: Timestamp) -> String {
    let shown = at.to_string();
    match shown.strip_suffix('Z').map(|seconds| (seconds, seconds.split_once('.'))) {
        Some((seconds, None)) => format!("{seconds}.000Z"),
        Some((_, Some((seconds, fraction)))) => format!("{seconds}.{fraction:0<3}Z"),
        None => shown,
    }
}

/// The same JSON in printable ASCII: what else there is stands within texts only, where it may be escaped.
fn ascii(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    for c in json.chars() {
        if c == ' ' || c.is_ascii_graphic() {
            line.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a text does not fail.
            let _ = write!(line, "\\u{unit:04x}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::{Actor, ChangeId, Event, EventKind, Reason, SessionId, Subject};

    fn stored(event: Event) -> StoredEvent {
        StoredEvent { sequence: u64::MAX, change: ChangeId::from_bytes([7; 16]), event }
    }

    /// The names and their order are what others read: this line never changes.
    #[test]
    fn a_line_says_everything() {
        let root = Actor::Operator(Subject::new("root").unwrap());
        let at = Timestamp::from_millis(1_700_000_000_250);
        let mut event = Event::new(EventKind::Ended, root, at).with_detail("address", "192.0.2.7");
        event.session = Some(SessionId::from_bytes([1; 16]));
        event.subject = Some(Subject::new("al\u{ef}ce").unwrap());
        event.reason = Some(Reason::EndedByAdministrator);
        event.observed_at = Timestamp::from_millis(1_700_000_001_000);
        event.purge_at = Timestamp::from_millis(-1);
        let expected = concat!(
            r#"{"sequence":"18446744073709551615","change":"07070707-0707-0707-0707-070707070707","#,
            r#""kind":"ended","session":"01010101-0101-0101-0101-010101010101","#,
            r#""subject":"al\u00efce","reason":"ended_by_administrator","actor":"operator:root","#,
            r#""at":"2023-11-14T22:13:20.250Z","observed_at":"2023-11-14T22:13:21.000Z","#,
            r#""purge_at":"1969-12-31T23:59:59.999Z","detail":{"address":"192.0.2.7"}}"#,
        );
        assert_eq!(stored(event).to_json_line(), expected);
    }

    #[test]
    fn instants_have_one_width_and_any_instant_is_told() {
        let shown = |millis| instant(Timestamp::from_millis(millis));
        assert_eq!(shown(1), "1970-01-01T00:00:00.001Z");
        assert_eq!(shown(120), "1970-01-01T00:00:00.120Z");
        assert_eq!(shown(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(shown(i64::MIN), format!("{} ms", i64::MIN));
    }

    proptest! {
        /// Whatever a client sends: one line, of printable ASCII, that reads back as what it was.
        #[test]
        fn any_text_is_one_line_and_comes_back(name in any::<String>(), text in any::<String>()) {
            let now = Timestamp::from_millis(0);
            let mut event = Event::new(EventKind::Issued, Actor::System, now);
            // Past the constructor, which takes control characters away: a store may hold anything.
            event.detail.insert(name.clone(), text.clone());
            let line = stored(event).to_json_line();
            prop_assert!(line.chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{}", line);
            let read: Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(read["detail"][&name].as_str(), Some(text.as_str()));
        }
    }
}
