//! Sessions that begin without a login.

use super::{Error, Session, Sessions, look_again};
use crate::issue::{New, issue};
use crate::lifecycle::{self, Standing};
use crate::policy::ANONYMOUS;
use crate::store::Outcome;
use crate::{
    Change, ClassName, Client, Data, EncodedData, Marks, Policy, Record, SessionId, SessionToken,
    Timestamp,
};

/// A session that was issued, and the token for its holder.
///
/// ```
/// use session_core::Issued;
///
/// fn set_cookie(issued: &Issued) -> String {
///     format!("__Host-id={}", *issued.token.expose())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Issued {
    /// What the client gets, and nobody else.
    pub token: SessionToken,
    /// The session.
    pub session: Session,
}

/// A session to create: nobody's yet.
///
/// ```
/// use session_core::{Client, Data, NewSession};
///
/// let mut data = Data::default();
/// data.set("basket", vec![17, 4]).unwrap();
/// let new = NewSession { data, client: Client::default().with_address("192.0.2.7"), ..Default::default() };
/// assert!(new.class.is_none());
/// ```
#[derive(Clone, Debug, Default)]
pub struct NewSession {
    /// Its class, which the policy must name. Default: `anonymous` if it does, else the default class.
    pub class: Option<ClassName>,
    /// What it holds from the start.
    pub data: Data,
    /// What is known of its client.
    pub client: Client,
}

impl Sessions {
    /// Creates a session that is nobody's. Reads once, writes once.
    ///
    /// # Errors
    /// The policy does not name the class; the data is larger than it allows; the store or the source of randomness fails.
    pub async fn create(&self, new: NewSession) -> Result<Issued, Error> {
        let policy = self.policy();
        let class = Self::known(&policy, new.class.unwrap_or_else(|| anonymous(&policy)))?;
        let encoded = encode(&new.data, &policy)?;
        let patience = self.patience();
        loop {
            let marks = self.store().marks(self.realm(), None).await?;
            let now = self.now();
            let (id, token) = self.mint(now)?;
            let new = New {
                id,
                secret: token.hash(self.realm()),
                class: class.clone(),
                groups: Vec::new(),
                client: new.client.clone(),
                login: None,
            };
            let (record, events) = issue(new, &marks, &policy, now);
            let change = self.change()?.insert(record.clone(), encoded.clone());
            let change = events.into_iter().fold(change, Change::event);
            match self.commit(&change).await?.decided_once()? {
                Outcome::Applied => {
                    let session = fresh(record, &policy, now, encoded);
                    return Ok(Issued { token, session });
                }
                Outcome::Exists(_) | Outcome::Moved(_) | Outcome::Fenced(_) => {
                    look_again(patience)?;
                }
            }
        }
    }

    /// An id and a token for it.
    pub(super) fn mint(&self, now: Timestamp) -> Result<(SessionId, SessionToken), Error> {
        let id = SessionId::new(now, self.random())?;
        Ok((id, SessionToken::new(id, self.random())?))
    }
}

/// The data as it is stored: nothing for no data.
pub(super) fn encode(data: &Data, policy: &Policy) -> Result<Option<EncodedData>, Error> {
    if data.is_empty() {
        return Ok(None);
    }
    Ok(Some(data.encode(policy.data_limits())?))
}

/// The handle of a session that was just issued.
pub(super) fn fresh(
    record: Record,
    policy: &Policy,
    now: Timestamp,
    encoded: Option<EncodedData>,
) -> Session {
    let deadlines = match lifecycle::standing(&record, &Marks::issued(&record), policy, now) {
        Standing::Live { deadlines, .. } => deadlines,
        Standing::Ended(end) => lifecycle::Deadlines { idle: Some(end.at), absolute: Some(end.at) },
    };
    Session::new(record, deadlines, encoded)
}

fn anonymous(policy: &Policy) -> ClassName {
    match ClassName::new(ANONYMOUS) {
        Ok(name) if policy.has_class(&name) => name,
        _ => policy.default_class().clone(),
    }
}
