//! A live session as a request handler sees it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::de::DeserializeOwned;

use crate::lifecycle::Deadlines;
use crate::{
    Authentication, ClassName, Client, Data, DataError, EncodedData, Record, SessionId,
    SessionToken, State, Subject, Timestamp,
};

/// A live session, as it was at one instant: a snapshot that a handler may keep for its request.
///
/// It changes nothing by itself: the methods of [`Sessions`](crate::Sessions) take it, look at the session
/// again, and answer what has become of it. Clones are cheap.
///
/// ```
/// use session_core::{DataError, Session};
///
/// fn language(session: &Session) -> Result<String, DataError> {
///     Ok(session.get("language")?.unwrap_or_else(|| "en".into()))
/// }
/// ```
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    record: Record,
    state: State,
    deadlines: Deadlines,
    encoded: Option<EncodedData>,
    data: OnceLock<Data>,
    successor: Option<SessionToken>,
}

impl Session {
    pub(super) fn new(record: Record, deadlines: Deadlines, encoded: Option<EncodedData>) -> Self {
        let state = if record.activated_at.is_some() { State::Active } else { State::Created };
        let (data, successor) = (OnceLock::new(), None);
        Self { inner: Arc::new(Inner { record, state, deadlines, encoded, data, successor }) }
    }

    /// The same with a token that its holder is to be sent.
    pub(super) fn with_successor(self, token: SessionToken) -> Self {
        let Self { inner } = self;
        match Arc::try_unwrap(inner) {
            Ok(inner) => Self { inner: Arc::new(Inner { successor: Some(token), ..inner }) },
            Err(inner) => Self { inner },
        }
    }

    /// The public handle: for logs, lists and links.
    pub fn id(&self) -> SessionId {
        self.inner.record.id
    }

    /// Whose session it is; `None` while it is anonymous.
    pub fn subject(&self) -> Option<&Subject> {
        self.inner.record.subject.as_ref()
    }

    /// The class whose limits it lives by.
    pub fn class(&self) -> &ClassName {
        &self.inner.record.class
    }

    /// [`State::Created`] or [`State::Active`].
    pub fn state(&self) -> State {
        self.inner.state
    }

    /// When it was created.
    pub fn created_at(&self) -> Timestamp {
        self.inner.record.created_at
    }

    /// Its last recorded activity.
    pub fn last_seen_at(&self) -> Timestamp {
        self.inner.record.last_seen_at
    }

    /// When it ends if nobody uses it; `None` if its class has no idle timeout.
    pub fn idle_deadline(&self) -> Option<Timestamp> {
        self.inner.deadlines.idle
    }

    /// When it ends, however much it is used.
    pub fn absolute_deadline(&self) -> Timestamp {
        self.inner.deadlines.absolute.unwrap_or(Timestamp::MAX)
    }

    /// How its holder proved who he is, oldest first; empty while it is anonymous.
    pub fn authentications(&self) -> &[Authentication] {
        &self.inner.record.authentications
    }

    /// What was known of the client when it was created.
    pub fn client(&self) -> &Client {
        &self.inner.record.client
    }

    /// The value of a key of its data, or `None`. The data is decoded when first asked for.
    ///
    /// # Errors
    /// The value is not of this type, or the stored data is damaged.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, DataError> {
        self.data()?.get(key)
    }

    /// Its data. It is decoded when first asked for.
    ///
    /// # Errors
    /// The stored data is damaged.
    pub fn data(&self) -> Result<&Data, DataError> {
        if let Some(data) = self.inner.data.get() {
            return Ok(data);
        }
        let data =
            self.inner.encoded.as_ref().map(EncodedData::decode).transpose()?.unwrap_or_default();
        Ok(self.inner.data.get_or_init(|| data))
    }

    /// The record behind it.
    pub fn record(&self) -> &Record {
        &self.inner.record
    }

    /// A new token for the holder, in the place of the one that he presented: his secret has come of age. Send it
    /// with the response. Until he presents it the old one is good, and if the response is lost, a later one
    /// brings it again.
    pub fn successor(&self) -> Option<&SessionToken> {
        self.inner.successor.as_ref()
    }

    /// How often the session had been rotated hard when this was looked at.
    pub(super) fn generation(&self) -> u32 {
        self.inner.record.rotation.generation
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id())
            .field("subject", &self.subject())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
