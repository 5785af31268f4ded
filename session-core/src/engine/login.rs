//! Signing in: a new session, under a limit that holds however many sign in at once.

use std::num::NonZeroUsize;

use super::issue::{encode, fresh};
use super::{Error, Issued, Session, Sessions, look_again};
use crate::issue::{New, Room, denied, issue, make_room};
use crate::lifecycle::{Command, Decision, Write, decide};
use crate::store::{ListQuery, Stored};
use crate::{
    Actor, Authentication, Change, ClassName, Client, Data, Fence, GroupName, MarkWrite, Marks,
    Policy, Realm, Reason, SessionId, StoreErrorKind, Subject, Timestamp,
};

/// What a login is measured against: the marks as they were *before* the credential was checked.
///
/// A revocation or a change of credentials that commits after it makes the login fail: a password that was
/// verified before it was changed opens nothing.
///
/// ```
/// use session_core::LoginTicket;
///
/// fn whose(ticket: &LoginTicket) -> &str {
///     ticket.subject().as_str()
/// }
/// ```
#[derive(Clone, Debug)]
pub struct LoginTicket {
    realm: Realm,
    subject: Subject,
    marks: Marks,
}

impl LoginTicket {
    /// Who is about to sign in.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Whether it was drawn in this realm, for this subject.
    pub(super) fn is_of(&self, realm: &Realm, subject: Option<&Subject>) -> bool {
        self.realm == *realm && subject == Some(&self.subject)
    }

    /// Whether what was verified since it was drawn still holds: nothing has been revoked.
    pub(super) fn holds_under(&self, marks: &Marks) -> bool {
        let epochs = |marks: &Marks| (marks.realm.epoch, marks.subject.epoch);
        epochs(&self.marks) == epochs(marks)
    }
}

/// How somebody signs in, and what his session is to be.
///
/// ```
/// use session_core::{Client, Login};
///
/// let login = Login::new("password").client(Client::default().with_address("192.0.2.7"));
/// ```
#[derive(Clone, Debug)]
pub struct Login {
    method: String,
    level: u8,
    class: Option<ClassName>,
    groups: Vec<GroupName>,
    client: Client,
    data: Data,
    from: Option<Session>,
    carry: Vec<String>,
}

impl Login {
    /// A login by a method, in the application's words: `password`, `passkey`. It is cut to 64 bytes.
    pub fn new(method: &str) -> Self {
        Self {
            method: method.to_owned(),
            level: 0,
            class: None,
            groups: Vec::new(),
            client: Client::default(),
            data: Data::default(),
            from: None,
            carry: Vec::new(),
        }
    }

    /// Says which authenticator assurance level it reached (NIST SP 800-63B-4).
    #[must_use]
    pub fn level(mut self, level: u8) -> Self {
        self.level = level;
        self
    }

    /// Asks for a class, which the policy must name. Default: the policy's default class.
    #[must_use]
    pub fn class(mut self, class: ClassName) -> Self {
        self.class = Some(class);
        self
    }

    /// Says which groups the subject is in: the policy may limit their sessions further. Groups that it does not
    /// name limit nothing.
    #[must_use]
    pub fn groups(mut self, groups: Vec<GroupName>) -> Self {
        self.groups = groups;
        self
    }

    /// Says what is known of the client.
    #[must_use]
    pub fn client(mut self, client: Client) -> Self {
        self.client = client;
        self
    }

    /// Notes what is known of the client, unless something is noted already.
    #[must_use]
    pub fn client_if_none(self, client: Client) -> Self {
        if self.client.is_empty() { self.client(client) } else { self }
    }

    /// Gives the session data from the start.
    #[must_use]
    pub fn data(mut self, data: Data) -> Self {
        self.data = data;
        self
    }

    /// Replaces the session that the client holds, and carries over these keys of its data, if it still
    /// lives: all others are left behind, and so is everything that another subject's session holds. A session
    /// that is already dead does not refuse the login.
    #[must_use]
    pub fn replacing(mut self, from: Session, carry: &[&str]) -> Self {
        self.from = Some(from);
        self.carry = carry.iter().map(|&key| key.to_owned()).collect();
        self
    }
}

/// What became of a login.
///
/// ```
/// use session_core::LoggedIn;
///
/// fn message(outcome: &LoggedIn) -> &str {
///     match outcome {
///         LoggedIn::Issued(..) => "welcome",
///         LoggedIn::LimitReached { .. } => "you are signed in elsewhere",
///         LoggedIn::CredentialsChanged => "please try again",
///     }
/// }
/// ```
#[must_use]
#[derive(Clone, Debug)]
pub enum LoggedIn {
    /// A session was issued; those with the ids gave way to it.
    Issued(Issued, Vec<SessionId>),
    /// The class allows no more sessions, and none gives way.
    LimitReached {
        /// How many live.
        live: usize,
    },
    /// All sessions of the subject or of the realm were ended since the ticket was drawn, or it was drawn in
    /// another realm: what was verified may be out of date.
    CredentialsChanged,
}

impl LoggedIn {
    /// The session and its token, if one was issued.
    pub fn issued(self) -> Option<Issued> {
        match self {
            Self::Issued(issued, _) => Some(issued),
            Self::LimitReached { .. } | Self::CredentialsChanged => None,
        }
    }
}

impl Sessions {
    /// Draws the ticket of a login. To be called *before* the credential is checked. Reads once.
    ///
    /// A ticket does not age, and may be used more than once: it says only what was revoked when it was drawn.
    /// Draw one for each attempt, and keep none beyond it.
    ///
    /// # Errors
    /// The store fails.
    pub async fn begin_login(&self, subject: &Subject) -> Result<LoginTicket, Error> {
        let marks = self.store().marks(self.realm(), Some(subject)).await?;
        Ok(LoginTicket { realm: self.realm().clone(), subject: subject.clone(), marks })
    }

    /// Issues a session to the subject of a ticket, whose credential the application has checked since.
    ///
    /// Always a new id and a new secret (ASVS 5.0, 7.2.4). Under a limit it ends, in its own change, the
    /// sessions of its class that give way and up to 500 that have ended by themselves; the limit is exact,
    /// however many sign in at once. Reads once to check, once for the session it replaces, and once for each
    /// 500 of the subject's unended sessions if its class has a limit; writes once.
    ///
    /// # Errors
    /// The policy does not name the class; the data is larger than it allows; a session that counts is of a
    /// newer format than this version reads; the store or the source of randomness fails.
    pub async fn login(&self, ticket: &LoginTicket, login: Login) -> Result<LoggedIn, Error> {
        if !ticket.is_of(self.realm(), Some(&ticket.subject)) {
            return Ok(LoggedIn::CredentialsChanged);
        }
        let policy = self.policy();
        let class = login.class.clone().unwrap_or_else(|| policy.default_class().clone());
        let class = Self::known(&policy, class)?;
        let patience = self.patience();
        loop {
            let marks = self.store().marks(self.realm(), Some(&ticket.subject)).await?;
            if !ticket.holds_under(&marks) {
                return Ok(LoggedIn::CredentialsChanged);
            }
            let fence = Fence { subject: ticket.subject.clone(), version: marks.subject.version };
            let now = self.now();
            let source = self.source(ticket, &login, &policy, now).await?;
            // The sessions are read after the fence: whatever is added to them meanwhile moves it.
            let room = match policy.class(&class).max_sessions {
                Some(_) => {
                    let mut sessions = self.unended(&ticket.subject).await?;
                    sessions.retain(|stored| Some(stored.record.id) != source.id);
                    make_room(&sessions, &class, &policy, now)
                }
                None => Room::Made(Vec::new()),
            };
            let ended = match room {
                Room::Made(ended) => ended,
                Room::None { live } => {
                    let event = denied(&ticket.subject, &class, &login.client, &policy, now);
                    let change = self.change()?.mark(MarkWrite::fence(&fence)).event(event);
                    if self.commit(&change).await?.decided_once()?.is_applied() {
                        return Ok(LoggedIn::LimitReached { live });
                    }
                    look_again(patience)?;
                    continue;
                }
            };
            let (id, token) = self.mint(now)?;
            let new = New {
                id,
                secret: token.hash(self.realm()),
                class: class.clone(),
                groups: login.groups.clone(),
                client: login.client.clone(),
                login: Some((
                    ticket.subject.clone(),
                    Authentication::new(&login.method, login.level, now),
                )),
            };
            let encoded = encode(&source.data, &policy)?;
            let (record, events) = issue(new, &marks, &policy, now);
            let change = self.change()?.insert_fenced(record.clone(), encoded.clone(), &fence);
            let change = source
                .end
                .into_iter()
                .fold(change, |change, (end, version)| end.into_change(change, version));
            let gave_way = ended
                .iter()
                .filter(|(end, _)| superseded(end))
                .map(|(end, _)| end.record.id)
                .collect();
            let change = ended
                .into_iter()
                .fold(change, |change, (end, version)| end.into_change(change, version));
            let change = events.into_iter().fold(change, Change::event);
            if self.commit(&change).await?.decided_once()?.is_applied() {
                let session = fresh(record, &policy, now, encoded);
                return Ok(LoggedIn::Issued(Issued { token, session }, gave_way));
            }
            look_again(patience)?;
        }
    }

    /// What the login takes over from the session that it replaces.
    async fn source(
        &self,
        ticket: &LoginTicket,
        login: &Login,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<Source, Error> {
        let nothing = Source { id: None, data: login.data.clone(), end: None };
        let Some(from) = &login.from else { return Ok(nothing) };
        let stored = match self.reopen(from).await {
            Ok(Some(stored)) => stored,
            Ok(None) => return Ok(nothing),
            // A session that cannot be read cannot be resumed either: it has nothing to give, and must not
            // keep its holder from signing in.
            Err(Error::Store(error))
                if matches!(
                    error.kind(),
                    StoreErrorKind::Corrupt | StoreErrorKind::Unsupported
                ) =>
            {
                return Ok(nothing);
            }
            Err(error) => return Err(error),
        };
        let command = Command::Revoke { reason: Reason::Replaced, actor: Actor::Subject };
        let Stored { record, version, data, marks } = stored;
        match decide(&record, &marks, command, policy, now) {
            Ok(Decision::Write(end)) => {
                // What one subject has left behind is not for the next one at the same browser.
                let own = record.subject.as_ref().is_none_or(|owner| *owner == ticket.subject);
                let data = data.filter(|_| own);
                let held = data.and_then(|data| data.decode().ok()).unwrap_or_default();
                let mut kept = held.only(&login.carry);
                kept.extend(&login.data);
                Ok(Source { id: Some(record.id), data: kept, end: Some((end, version)) })
            }
            Ok(_) => Ok(nothing),
            // It died by itself: its end is written in the same change.
            Err(ended) => Ok(Source {
                id: Some(record.id),
                end: ended.tombstone.map(|end| (end, version)),
                ..nothing
            }),
        }
    }

    /// All sessions of a subject whose end is not written down. A damaged row cannot be resumed, and does not
    /// count. One of a newer format may live by a newer node: without it the limit cannot be told.
    async fn unended(&self, subject: &Subject) -> Result<Vec<Stored>, Error> {
        let query =
            ListQuery { subject: Some(subject.clone()), limit: PAGE, ..ListQuery::default() };
        let mut sessions = Vec::new();
        let mut after = None;
        loop {
            let scan = self.store().list(self.realm(), &query, after.as_ref()).await?;
            for row in scan.rows {
                match row {
                    Ok(stored) => sessions.push(stored),
                    Err(bad) if bad.error.kind() == StoreErrorKind::Unsupported => {
                        return Err(bad.error.into());
                    }
                    Err(_) => {}
                }
            }
            after = scan.next;
            if after.is_none() {
                return Ok(sessions);
            }
        }
    }
}

/// Sessions of a subject that are read at once.
const PAGE: NonZeroUsize = const { NonZeroUsize::new(500).unwrap() };

struct Source {
    id: Option<SessionId>,
    data: Data,
    end: Option<(Write, u64)>,
}

fn superseded(end: &Write) -> bool {
    end.record.end.as_ref().is_some_and(|end| end.reason == Reason::Superseded)
}
