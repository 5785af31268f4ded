//! The engine: the only place that reads the clock, draws randomness, or tries again.

mod erase;
mod hook;
mod inventory;
mod issue;
mod login;
mod prove;
mod resume;
mod revoke;
mod scope;
mod session;
mod stamp;
mod sweep;
mod update;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

pub use erase::{Erased, Export};
pub use hook::Hook;
#[cfg(feature = "tracing")]
pub use hook::Tracing;
pub use inventory::{Query, SessionInfo, SessionPage};
pub use issue::{Issued, NewSession};
pub use login::{LoggedIn, Login, LoginTicket};
pub use prove::{Proof, Proved};
pub use resume::Visit;
pub use revoke::Revoked;
pub use scope::Access;
pub use session::Session;
pub use stamp::Stamped;
pub use sweep::Swept;

use self::hook::Hooks;
use crate::clock::Patience;
use crate::lifecycle::{Ended, Write};
use crate::store::{Outcome, Stored, Touch, Touched};
use crate::{
    Change, ChangeId, ClassName, Clock, DataError, End, OpenedBy, Policy, Random, RandomError,
    Realm, Reason, SecretHash, SessionId, SessionStore, StoreError, StoreErrorKind, SystemClock,
    SystemRandom, Timestamp,
};

/// The engine that an application holds: a store, a policy, a clock and a source of randomness.
///
/// Clones share everything. No method needs a particular runtime.
///
/// ```
/// use std::sync::Arc;
/// use session_core::{Answer, Login, MemoryStore, Policy, Sessions, Subject};
///
/// # pollster::block_on(async {
/// let sessions = Sessions::new(Arc::new(MemoryStore::new()), Policy::default());
/// let alice = Subject::new("alice").unwrap();
///
/// let ticket = sessions.begin_login(&alice).await.unwrap();
/// // ... here the application checks the password ...
/// let login = Login::new("password");
/// let issued = sessions.login(&ticket, login).await.unwrap().issued().unwrap();
///
/// let Answer::Live(session) = sessions.resume(&issued.token).await.unwrap() else { panic!() };
/// assert_eq!(session.subject(), Some(&alice));
///
/// sessions.sign_out(&session).await.unwrap();
/// assert!(matches!(sessions.resume(&issued.token).await.unwrap(), Answer::Ended(_)));
/// # });
/// ```
#[derive(Clone)]
pub struct Sessions {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn SessionStore>,
    policy: RwLock<Arc<Policy>>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    realm: Realm,
    patience: Duration,
    hooks: Hooks,
}

impl Sessions {
    /// An engine in the default realm, with the machine's clock and randomness.
    pub fn new(store: Arc<dyn SessionStore>, policy: Policy) -> Self {
        Self::builder(store).policy(policy).build()
    }

    /// An engine to be fitted out.
    pub fn builder(store: Arc<dyn SessionStore>) -> SessionsBuilder {
        SessionsBuilder {
            inner: Inner {
                store,
                policy: RwLock::default(),
                clock: Arc::new(SystemClock),
                random: Arc::new(SystemRandom),
                realm: Realm::default(),
                patience: Duration::from_secs(10),
                hooks: Hooks::default(),
            },
        }
    }

    /// The realm whose sessions these are.
    pub fn realm(&self) -> &Realm {
        &self.inner.realm
    }

    /// The policy in force.
    pub fn policy(&self) -> Arc<Policy> {
        self.inner.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another policy in force, for every clone of this engine. What it makes stricter acts on the next
    /// resume of each session; what it loosens, on new sessions only.
    pub fn set_policy(&self, policy: Policy) {
        *self.inner.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }

    /// The time by the engine's clock.
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// How often, since this engine was built, a right id came with a secret that was none of its session's. A
    /// number that grows is somebody who tries.
    pub fn wrong_secrets(&self) -> u64 {
        self.inner.hooks.wrong_secrets()
    }

    fn store(&self) -> &dyn SessionStore {
        &*self.inner.store
    }

    fn random(&self) -> &dyn Random {
        &*self.inner.random
    }

    fn change(&self) -> Result<Change, Error> {
        Ok(Change::new(ChangeId::new(self.random())?))
    }

    fn patience(&self) -> Patience {
        Patience::new(self.inner.patience)
    }

    fn tries(&self) -> Tries {
        Tries { patience: self.patience(), unknown: None }
    }

    /// Finds a session for the holder of a secret: `None` if there is no such session, or if the secret is none
    /// of its own. Which of both is nobody's business.
    async fn open(
        &self,
        id: SessionId,
        secret: &SecretHash,
    ) -> Result<Option<(Stored, OpenedBy)>, Error> {
        let stored = self.store().load(self.realm(), id).await?;
        let Some(stored) = stored else { return Ok(None) };
        let by = stored.record.opened_by(secret);
        if by.is_none() {
            self.inner.hooks.wrong_secret(id);
        }
        Ok(by.map(|by| (stored, by)))
    }

    /// Finds a session again for who holds a handle of it: `None` if there is no such session, or if it has been
    /// rotated hard since. A timed rotation leaves a handle its authority: its holder has the new token too.
    async fn reopen(&self, session: &Session) -> Result<Option<Stored>, Error> {
        let stored = self.store().load(self.realm(), session.id()).await?;
        Ok(stored.filter(|stored| stored.record.rotation.generation == session.generation()))
    }

    /// Sends a change, and sends it again if its outcome is unknown: it carries its identity, so that it is
    /// carried out once.
    async fn commit(&self, change: &Change) -> Result<Sent, Error> {
        let mut unknown = None;
        for _ in 0..RESENDS {
            match self.store().commit(self.realm(), change).await {
                Ok(outcome) => {
                    if outcome.is_applied() {
                        self.inner.hooks.tell(change);
                    }
                    return Ok(Sent { outcome, after_unknown: unknown });
                }
                Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => {
                    unknown = Some(error);
                }
                // What the first sending did is still unknown, whatever is wrong now.
                Err(error) => return Err(unknown.unwrap_or(error).into()),
            }
        }
        let gave_up =
            || StoreError::new(StoreErrorKind::OutcomeUnknown, "every sending was cut off");
        Err(unknown.unwrap_or_else(gave_up).into())
    }

    /// Writes down an end that a command has found. The end if it stands now; [`Moved`] if the session has
    /// moved meanwhile and must be looked at again.
    async fn write_end(&self, ended: Ended, version: u64) -> Result<Result<End, Moved>, Error> {
        let Ended { end, tombstone } = ended;
        let Some(tombstone) = tombstone else { return Ok(Ok(end)) };
        let applied = self.write(tombstone, version).await?.outcome.is_applied();
        Ok(if applied { Ok(end) } else { Err(Moved) })
    }

    /// A class for a new session. Only a session whose class vanishes later lives by the default class: a name
    /// that was mistyped must not.
    fn known(policy: &Policy, class: ClassName) -> Result<ClassName, Error> {
        if policy.has_class(&class) { Ok(class) } else { Err(Error::UnknownClass(class)) }
    }

    /// Records activity, and again if the outcome is unknown: it cannot be recorded twice.
    async fn touch(&self, touch: Touch) -> Result<Touched, Error> {
        let mut sent = 1;
        loop {
            match self.store().touch(self.realm(), &[touch]).await {
                Ok(answers) => return Ok(answers.first().copied().unwrap_or(Touched::NotLive)),
                Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown && sent < RESENDS => {
                    sent += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn write(&self, write: Write, version: u64) -> Result<Sent, Error> {
        let change = write.into_change(self.change()?, version);
        self.commit(&change).await
    }
}

/// A write is sent that often before its outcome stays unknown.
const RESENDS: usize = 4;

/// Another change won. Whoever lost looks again.
struct Moved;

struct Sent {
    outcome: Outcome,
    /// The error of an earlier sending, if its outcome was unknown: a conflict now may be with itself.
    after_unknown: Option<StoreError>,
}

impl Sent {
    /// The outcome; but a conflict after an unknown outcome is an unknown outcome, for changes that must not be
    /// decided anew.
    fn decided_once(self) -> Result<Outcome, Error> {
        match (self.outcome, self.after_unknown) {
            (Outcome::Applied, _) => Ok(Outcome::Applied),
            (_, Some(unknown)) => Err(unknown.into()),
            (conflict, None) => Ok(conflict),
        }
    }
}

/// How a command goes on that may be decided anew even after an unknown outcome.
struct Tries {
    patience: Patience,
    unknown: Option<StoreError>,
}

impl Tries {
    /// Whether the change was carried out. If not, and an earlier sending of it may have been, that is kept.
    fn applied(&mut self, sent: Sent) -> bool {
        let applied = sent.outcome.is_applied();
        if !applied && sent.after_unknown.is_some() {
            self.unknown = sent.after_unknown;
        }
        applied
    }

    fn look_again(&self) -> Result<(), Error> {
        look_again(self.patience)
    }

    /// The answer of the command. Whatever made it fail, what it sent before may have been carried out.
    fn conclude<T>(self, answer: Result<T, Error>) -> Result<T, Error> {
        match (answer, self.unknown) {
            (Err(_), Some(unknown)) => Err(unknown.into()),
            (answer, _) => answer,
        }
    }
}

/// Whether it is worth looking again: each conflict means that another change won, but not for ever.
fn look_again(patience: Patience) -> Result<(), Error> {
    if patience.is_over() {
        return Err(
            StoreError::new(StoreErrorKind::Overloaded, "other changes kept winning").into()
        );
    }
    Ok(())
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("realm", &self.inner.realm)
            .field("store", &self.inner.store)
            .field("clock", &self.inner.clock)
            .finish_non_exhaustive()
    }
}

/// An engine to be fitted out.
///
/// ```
/// use std::sync::Arc;
/// use session_core::{ManualClock, MemoryStore, Realm, Sessions, Timestamp};
///
/// let clock = ManualClock::at(Timestamp::from_millis(0));
/// let sessions = Sessions::builder(Arc::new(MemoryStore::new()))
///     .clock(clock.clone())
///     .realm(Realm::new("shop").unwrap())
///     .build();
/// assert_eq!(sessions.realm().as_str(), "shop");
/// ```
pub struct SessionsBuilder {
    inner: Inner,
}

impl SessionsBuilder {
    /// Sets the policy. Default: [`Policy::default`].
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.inner.policy = RwLock::new(Arc::new(policy));
        self
    }

    /// Sets the clock. Default: [`SystemClock`].
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.inner.clock = Arc::new(clock);
        self
    }

    /// Sets the source of randomness. Default: [`SystemRandom`].
    #[must_use]
    pub fn random(mut self, random: impl Random) -> Self {
        self.inner.random = Arc::new(random);
        self
    }

    /// Sets the realm. Default: `default`.
    #[must_use]
    pub fn realm(mut self, realm: Realm) -> Self {
        self.inner.realm = realm;
        self
    }

    /// Adds one who is told of what happened.
    #[must_use]
    pub fn hook(mut self, hook: impl Hook) -> Self {
        self.inner.hooks.add(hook);
        self
    }

    /// Sets for how long a command looks again while other changes win. Default: 10 seconds.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.inner.patience = patience;
        self
    }

    /// The engine.
    pub fn build(self) -> Sessions {
        Sessions { inner: Arc::new(self.inner) }
    }
}

impl fmt::Debug for SessionsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionsBuilder").field("realm", &self.inner.realm).finish_non_exhaustive()
    }
}

/// What the holder of a token or of a session is answered.
///
/// ```
/// use session_core::Answer;
///
/// let answer: Answer<u8> = Answer::Absent;
/// assert_eq!(answer.live(), None);
/// ```
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// It lives, and here is what was asked for.
    Live(T),
    /// It has ended, and this is how. Only who holds its secret is told.
    Ended(End),
    /// There is no such session, or the secret is not its own.
    Absent,
}

impl<T> Answer<T> {
    /// What was asked for, if the session lives.
    pub fn live(self) -> Option<T> {
        match self {
            Self::Live(value) => Some(value),
            Self::Ended(_) | Self::Absent => None,
        }
    }

    /// The same with what was asked for turned into something else.
    pub fn map<U>(self, turn: impl FnOnce(T) -> U) -> Answer<U> {
        match self {
            Self::Live(value) => Answer::Live(turn(value)),
            Self::Ended(end) => Answer::Ended(end),
            Self::Absent => Answer::Absent,
        }
    }
}

/// The engine cannot answer. Whoever asked fails closed: nobody is let in, and nobody is taken for anonymous.
///
/// ```
/// use session_core::{Error, StoreError, StoreErrorKind};
///
/// let error = Error::from(StoreError::new(StoreErrorKind::Unavailable, "no answer"));
/// assert_eq!(error.to_string(), "the store is unavailable: no answer");
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store is broken.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The source of randomness is broken.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The data cannot be read, or is larger than the policy allows. Nothing was changed.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The policy does not name the class that a session is to be of. Nothing was changed.
    #[error("the policy names no class {:?}", .0.as_str())]
    UnknownClass(ClassName),
    /// A revocation for a reason that is none: time alone brings [`Reason::IdleTimeout`] and
    /// [`Reason::AbsoluteTimeout`], and a reason of the application's own cannot have the text of one of ours.
    /// Nothing was changed.
    #[error("{0} is not a reason to revoke a session")]
    NotARevocation(Reason),
    /// A token was to be issued when the answer had been sent: it would have reached nobody. Nothing was
    /// changed.
    #[error("the answer has been sent: a new token would reach nobody")]
    Answered,
    /// The store is shared with other processes, whose sessions are not for the restart of one of them to end.
    /// Nothing was changed.
    #[error(
        "other processes may use these sessions too, and this one's restart must not end them: sign everyone out \
         by a command of its own"
    )]
    SharedStore,
}
