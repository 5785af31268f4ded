//! Which sessions there are, and what happened to them.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::{Error, Sessions};
use crate::lifecycle::{Standing, standing};
use crate::store::{BadRow, Cursor, EventQuery, Events, ListQuery};
use crate::{
    Authentication, ClassName, Client, End, EventKind, Policy, Record, SessionId, State, Subject,
    Timestamp,
};

/// Which sessions to list.
///
/// ```
/// use std::time::Duration;
/// use session_core::{Query, State, Subject};
///
/// let forgotten = Query {
///     subject: Some(Subject::new("alice").unwrap()),
///     states: vec![State::Active],
///     idle_for: Some(Duration::from_secs(600)),
///     ..Query::default()
/// };
/// assert_eq!(forgotten.limit.get(), 100);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Only those of this subject.
    pub subject: Option<Subject>,
    /// Only those in one of these states; all live ones if empty.
    pub states: Vec<State>,
    /// Only those without recorded activity for that long.
    pub idle_for: Option<Duration>,
    /// The most sessions in one answer.
    pub limit: NonZeroUsize,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            subject: None,
            states: Vec::new(),
            idle_for: None,
            limit: const { NonZeroUsize::new(100).unwrap() },
        }
    }
}

/// Some sessions, and where to go on.
///
/// ```
/// assert!(session_core::SessionPage::default().next.is_none());
/// ```
#[derive(Debug, Default)]
pub struct SessionPage {
    /// The sessions, in order of their creation. A page may be short, or empty, and not the last.
    pub sessions: Vec<SessionInfo>,
    /// Rows that cannot be read: nobody can resume them.
    pub damaged: Vec<BadRow>,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
}

/// What an owner or an administrator sees of a session: nothing that opens it, and none of its data.
///
/// ```
/// use session_core::SessionInfo;
///
/// fn line(info: &SessionInfo) -> String {
///     format!("{} {} last seen {}", info.id, info.state.code(), info.last_seen_at)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// Its public handle.
    pub id: SessionId,
    /// Whose it is.
    pub subject: Option<Subject>,
    /// Its class.
    pub class: ClassName,
    /// Where it stands at this moment.
    pub state: State,
    /// When it was created.
    pub created_at: Timestamp,
    /// Its last recorded activity.
    pub last_seen_at: Timestamp,
    /// Until when it lives if nobody uses it.
    pub idle_deadline: Option<Timestamp>,
    /// Until when it lives at most.
    pub absolute_deadline: Option<Timestamp>,
    /// How its holder proved who he is.
    pub authentications: Vec<Authentication>,
    /// What was known of its client.
    pub client: Client,
    /// How it ended, if it has.
    pub end: Option<End>,
}

impl SessionInfo {
    pub(super) fn of(record: Record, stands: Standing) -> Self {
        let (state, deadlines, end) = match stands {
            Standing::Live { state, deadlines } => (state, Some(deadlines), None),
            Standing::Ended(end) => (end.state(), None, Some(end)),
        };
        Self {
            id: record.id,
            subject: record.subject,
            class: record.class,
            state,
            created_at: record.created_at,
            last_seen_at: record.last_seen_at,
            idle_deadline: deadlines.and_then(|deadlines| deadlines.idle),
            absolute_deadline: deadlines.and_then(|deadlines| deadlines.absolute),
            authentications: record.authentications,
            client: record.client,
            end,
        }
    }
}

/// Pages of a store that are read for one page of an answer, so that a rare state cannot make it endless.
const PAGES: usize = 10;

impl Sessions {
    /// Lists sessions as they stand at this moment: one that time or a mark has ended is not listed as live,
    /// swept or not. Reads up to ten pages of rows, writes nothing.
    ///
    /// # Errors
    /// The store fails, or the cursor is none of its own.
    pub async fn list(&self, query: &Query, after: Option<&Cursor>) -> Result<SessionPage, Error> {
        let policy = self.policy();
        let now = self.now();
        let mut page = SessionPage { next: after.cloned(), ..SessionPage::default() };
        for _ in 0..PAGES {
            let room = query.limit.get() - page.sessions.len();
            let Some(limit) = NonZeroUsize::new(room) else { break };
            let with_ended = query.states.iter().any(|state| !state.is_live());
            let rows = ListQuery { subject: query.subject.clone(), with_ended, limit };
            let scan = self.store().list(self.realm(), &rows, page.next.as_ref()).await?;
            for row in scan.rows {
                match row {
                    Ok(stored) => {
                        let stands = standing(&stored.record, &stored.marks, &policy, now);
                        let info = SessionInfo::of(stored.record, stands);
                        if query.wants(&info, now) {
                            page.sessions.push(info);
                        }
                    }
                    Err(bad) => page.damaged.push(bad),
                }
            }
            page.next = scan.next;
            if page.next.is_none() {
                break;
            }
        }
        Ok(page)
    }

    /// What is known of one session, live or ended. Reads once, writes nothing.
    ///
    /// # Errors
    /// The store fails, or the session cannot be read.
    pub async fn find(&self, id: SessionId) -> Result<Option<SessionInfo>, Error> {
        let policy: &Policy = &self.policy();
        let stored = self.store().load(self.realm(), id).await?;
        Ok(stored.map(|stored| {
            let stands = standing(&stored.record, &stored.marks, policy, self.now());
            SessionInfo::of(stored.record, stands)
        }))
    }

    /// Reads what happened. Reads once, writes nothing.
    ///
    /// # Errors
    /// The store fails, or the cursor is none of its own.
    pub async fn history(
        &self,
        query: &EventQuery,
        after: Option<&Cursor>,
    ) -> Result<Events, Error> {
        // An own kind with the text of one of ours means ours.
        let known = |kind: &EventKind| EventKind::from_code(kind.code()).unwrap_or(kind.clone());
        let kinds = query.kinds.iter().map(known).collect();
        let query = EventQuery { kinds, ..query.clone() };
        Ok(self.store().events(self.realm(), &query, after).await?)
    }
}

impl Query {
    fn wants(&self, info: &SessionInfo, now: Timestamp) -> bool {
        let state = match self.states.as_slice() {
            [] => info.state.is_live(),
            states => states.contains(&info.state),
        };
        state && self.idle_for.is_none_or(|idle_for| now.since(info.last_seen_at) >= idle_for)
    }
}
