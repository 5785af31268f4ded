//! One request and its response: headers in, a session in between, headers out. No framework's types.

mod proofs;
#[cfg(feature = "risk")]
mod risk;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use session_core::{
    Actor, Answer, ChangeSet, Data, End, Error, Issued, LoggedIn, Login, LoginTicket, NewSession,
    Reason, Revoked, Session, Sessions, StoreError, StoreErrorKind, Subject, Timestamp, Visit,
};

#[cfg(feature = "client")]
use crate::client::{ClientConfig, Fields, Seen};
use crate::cookie::{CookieConfig, Presented};
#[cfg(feature = "risk")]
use crate::risk::Watch;

#[cfg(feature = "risk")]
pub use self::risk::StepUpAsked;

/// The engine and the cookie that an application's requests go through.
///
/// ```
/// use std::sync::Arc;
/// use session_engine::cookie::CookieConfig;
/// use session_engine::exchange::Gate;
/// use session_engine::{MemoryStore, Policy, Sessions};
///
/// # pollster::block_on(async {
/// let sessions = Sessions::new(Arc::new(MemoryStore::new()), Policy::default());
/// let gate = Gate::new(sessions, CookieConfig::new());
///
/// let exchange = gate.begin([("cookie", b"theme=dark".as_slice())]);
/// assert!(exchange.session().await.unwrap().is_none());
/// let headers = exchange.finish();
/// assert!(headers.iter().any(|header| *header == ("vary", "cookie".to_owned())));
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Gate {
    sessions: Sessions,
    cookie: Arc<CookieConfig>,
    #[cfg(feature = "client")]
    client: Option<Arc<ClientConfig>>,
    #[cfg(feature = "risk")]
    watch: Option<Watch>,
}

impl Gate {
    /// A gate.
    pub fn new(sessions: Sessions, cookie: CookieConfig) -> Self {
        Self {
            sessions,
            cookie: Arc::new(cookie),
            #[cfg(feature = "client")]
            client: None,
            #[cfg(feature = "risk")]
            watch: None,
        }
    }

    /// The same, and each request is looked at for what it shows of its client: a session that begins with a login keeps
    /// it.
    #[cfg(feature = "client")]
    #[must_use]
    pub fn with_client(mut self, config: ClientConfig) -> Self {
        self.client = Some(Arc::new(config));
        self
    }

    /// The engine behind it.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The cookie that the token travels in.
    pub fn cookie(&self) -> &CookieConfig {
        &self.cookie
    }

    /// Begins the exchange of one request, from its header fields: names of any case and raw values. Costs no
    /// I/O: a request that never asks for its session costs no call to the store.
    ///
    /// A prefetch (`Sec-Purpose: prefetch`, WHATWG Fetch) is no sign of the user's presence and records no
    /// activity.
    pub fn begin<'h>(&self, headers: impl IntoIterator<Item = (&'h str, &'h [u8])>) -> Exchange {
        self.begin_from(None, headers)
    }

    /// The same for a request whose connection has this other end. It matters only to a gate that looks at clients
    /// (feature `client`).
    #[cfg_attr(not(feature = "client"), expect(unused_variables, reason = "nobody asks for it"))]
    pub fn begin_from<'h>(
        &self,
        peer: Option<IpAddr>,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
    ) -> Exchange {
        let mut cookies = Vec::new();
        let mut passive = false;
        #[cfg(feature = "client")]
        let mut fields = self.client.as_ref().map(|config| Fields::new(config.proxies()));
        for (name, value) in headers {
            #[cfg(feature = "client")]
            if let Some(fields) = &mut fields {
                fields.see(name, value);
            }
            if name.eq_ignore_ascii_case("cookie") {
                cookies.push(value);
            } else if name.eq_ignore_ascii_case("sec-purpose") {
                passive |= value.starts_with(b"prefetch");
            }
        }
        let presented = self.cookie.find(cookies);
        let visit = if passive { Visit::default().passive() } else { Visit::default() };
        let state = State { visit, ..State::default() };
        let begun_at = self.sessions.now();
        let inner = Inner {
            gate: self.clone(),
            presented,
            begun_at,
            #[cfg(feature = "client")]
            seen: fields.map(|fields| fields.seen(peer)),
            state: Mutex::new(state),
        };
        Exchange { inner: Arc::new(inner) }
    }
}

/// The exchange of one request and its response. Clones are the same exchange.
///
/// The session is loaded when first asked for. Each change is committed when it is made, and its error is the
/// handler's to see; what the browser must be told is collected until [`Exchange::finish`]. Changes are to be
/// made one after the other: two at once may both begin a session, of which the browser holds the last.
///
/// ```
/// use session_engine::exchange::Exchange;
/// use session_engine::{ChangeSet, Error};
///
/// async fn remember_language(exchange: &Exchange, language: &str) -> Result<(), Error> {
///     exchange.edit(&ChangeSet::new().set("language", language)?).await?;
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Exchange {
    inner: Arc<Inner>,
}

struct Inner {
    gate: Gate,
    presented: Presented,
    begun_at: Timestamp,
    #[cfg(feature = "client")]
    seen: Option<Seen>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    visit: Visit,
    answer: Option<Answer<Session>>,
    /// A live session that is not answered with before its holder proves himself.
    #[cfg(feature = "risk")]
    held: Option<StepUpAsked>,
    /// Another request has ended the session, or taken over its secret, while this one held it.
    lost: bool,
    effect: Effect,
    asked: bool,
    finished: bool,
}

/// For that long after a login a browser may still send the token that it replaced.
const DELIVERY: Duration = Duration::from_secs(60);

/// What the browser must be told of its cookie. The last change that was committed decides.
#[derive(Default)]
enum Effect {
    #[default]
    None,
    Issue(Box<Issued>),
    /// The successor of the token that was presented.
    Renew(Box<Issued>),
    Remove,
}

impl Exchange {
    /// The live session of the request, if it has one. Loads it when first asked; see
    /// [`Sessions::resume`] for the cost.
    ///
    /// # Errors
    /// The store fails: answer with [`status_code`], never as to somebody who is not signed in.
    pub async fn session(&self) -> Result<Option<Session>, Error> {
        Ok(self.answer().await?.live())
    }

    /// Why the request has no live session, for the one who held it: `None` if it has one, or never had.
    ///
    /// # Errors
    /// The store fails, as for [`Exchange::session`].
    pub async fn ended(&self) -> Result<Option<End>, Error> {
        match self.answer().await? {
            Answer::Ended(end) => Ok(Some(end)),
            Answer::Live(_) | Answer::Absent => Ok(None),
        }
    }

    async fn answer(&self) -> Result<Answer<Session>, Error> {
        let visit = {
            let mut state = self.state();
            state.asked = true;
            if let Some(answer) = &state.answer {
                return Ok(answer.clone());
            }
            // After the headers are sent, no new token can be.
            if state.finished { state.visit.keeping_token() } else { state.visit }
        };
        let answer = match &self.inner.presented {
            Presented::Token(token) => self.sessions().resume_as(token, visit).await?,
            Presented::Nothing | Presented::Malformed | Presented::Ambiguous => Answer::Absent,
        };
        let successor = match &answer {
            Answer::Live(session) => {
                session.successor().map(|token| (token.clone(), session.clone()))
            }
            Answer::Ended(_) | Answer::Absent => None,
        };
        #[cfg(feature = "risk")]
        let answer = match answer {
            Answer::Live(session) => self.watched(session).await?,
            gone => gone,
        };
        let mut state = self.state();
        // A change that was committed while this loaded knows better.
        if let Some(known) = &state.answer {
            return Ok(known.clone());
        }
        if let Some((token, session)) = successor
            // Who is held back gets no token: it may be in the wrong hands.
            && matches!(answer, Answer::Live(_))
            && matches!(state.effect, Effect::None)
        {
            state.effect = Effect::Renew(Box::new(Issued { token, session }));
        }
        state.answer = Some(answer.clone());
        Ok(answer)
    }

    #[cfg(not(feature = "risk"))]
    async fn held_or_live(&self) -> Result<Answer<Session>, Error> {
        self.answer().await
    }

    /// Says that the request is no sign of its user's presence, such as polling: it records no activity. To
    /// be called before the session is asked for.
    pub fn set_passive(&self) {
        let mut state = self.state();
        state.visit = state.visit.passive();
    }

    /// Says that the response can carry no cookie, such as that to the opening of a websocket: a secret that
    /// has come of age is left to another request. To be called before the session is asked for.
    pub fn keep_token(&self) {
        let mut state = self.state();
        state.visit = state.visit.keeping_token();
    }

    /// What the request presented. Costs no I/O.
    pub fn presented(&self) -> &Presented {
        self.state().asked = true;
        &self.inner.presented
    }

    /// What the request shows of its client, if its gate looks. Costs nothing.
    #[cfg(feature = "client")]
    pub fn seen(&self) -> Option<&Seen> {
        self.inner.seen.as_ref()
    }

    /// The engine.
    pub fn sessions(&self) -> &Sessions {
        self.inner.gate.sessions()
    }

    /// Signs somebody in whose credential was checked since the ticket was drawn
    /// ([`Sessions::begin_login`]). The session that the request holds is replaced, whether anonymous or
    /// somebody's; the keys in `carry` go over to the new one. What the request shows of its client is kept with it, if
    /// the gate looks and the login does not say.
    ///
    /// A session whose row is damaged has nothing to carry over, and does not keep its holder from signing in.
    ///
    /// # Errors
    /// As for [`Sessions::login`]; [`Error::Answered`] after [`Exchange::finish`]. Nobody is signed in.
    pub async fn login(
        &self,
        ticket: &LoginTicket,
        login: Login,
        carry: &[&str],
    ) -> Result<LoggedIn, Error> {
        self.may_issue()?;
        #[cfg(feature = "client")]
        let login = match (&self.inner.gate.client, self.seen()) {
            (Some(config), Some(seen)) => login.client_if_none(config.client(seen)),
            _ => login,
        };
        let login = match self.held_or_live().await {
            Ok(Answer::Live(session)) => login.replacing(session, carry),
            Ok(Answer::Ended(_) | Answer::Absent) => login,
            Err(Error::Store(error)) if is_unreadable(&error) => login,
            Err(error) => return Err(error),
        };
        let outcome = self.sessions().login(ticket, login).await?;
        if let LoggedIn::Issued(issued, _) = &outcome {
            self.now_holds(issued);
        }
        Ok(outcome)
    }

    /// Draws the ticket of a login: before the credential is checked. See [`Sessions::begin_login`].
    ///
    /// # Errors
    /// The store fails.
    pub async fn begin_login(&self, subject: &Subject) -> Result<LoginTicket, Error> {
        self.state().asked = true;
        self.sessions().begin_login(subject).await
    }

    /// Edits the data of the session, key by key. A request without a live session gets one, nobody's, if the
    /// edits leave anything to store.
    ///
    /// Nothing is written, and no session begun, if another request has ended the session while this one held
    /// it, if the session lives by a newer secret than the one presented, or if a login has replaced it less
    /// than a minute before the request began or since: its browser holds a newer token, or is about to. A
    /// browser that presents the old one for longer has never had the answer of that login.
    ///
    /// # Errors
    /// As for [`Sessions::edit`] and [`Sessions::create`]; [`Error::Answered`] if a session would begin after
    /// [`Exchange::finish`].
    pub async fn edit(&self, edits: &ChangeSet) -> Result<Answer<()>, Error> {
        match self.answer().await? {
            Answer::Live(session) => Ok(self.saw(self.sessions().edit(&session, edits).await?)),
            Answer::Ended(end) if self.is_over(Some(&end)).await? => Ok(Answer::Ended(end)),
            Answer::Absent if self.is_over(None).await? => Ok(Answer::Absent),
            _ => self.create(|data| edits.apply(data)).await.map(Answer::Live),
        }
    }

    /// Edits the data of the session by a function, which is run again on the newest data when another request
    /// wins. Begins a session, or writes nothing, as [`Exchange::edit`] does.
    ///
    /// # Errors
    /// As for [`Sessions::update`] and [`Sessions::create`]; [`Error::Answered`] if a session would begin after
    /// [`Exchange::finish`].
    pub async fn update<T: Send>(
        &self,
        edit: impl FnMut(&mut Data) -> T + Send,
    ) -> Result<Answer<T>, Error> {
        let session = match self.answer().await? {
            Answer::Live(session) => session,
            Answer::Ended(end) if self.is_over(Some(&end)).await? => return Ok(Answer::Ended(end)),
            Answer::Absent if self.is_over(None).await? => return Ok(Answer::Absent),
            _ => return self.create(edit).await.map(Answer::Live),
        };
        let mut value = None;
        let answer = self.sessions().update(&session, edit).await?.map(|(session, new)| {
            value = Some(new);
            session
        });
        Ok(match (self.saw(answer), value) {
            (Answer::Live(()), Some(value)) => Answer::Live(value),
            (Answer::Ended(end), _) => Answer::Ended(end),
            _ => Answer::Absent,
        })
    }

    /// Whether the browser's session has gone over to another request: what this one writes belongs to no new
    /// session, whose cookie would take the newer one away.
    async fn is_over(&self, end: Option<&End>) -> Result<bool, Error> {
        if self.state().lost {
            return Ok(true);
        }
        match (end, &self.inner.presented) {
            (Some(end), _) => {
                Ok(end.reason == Reason::Replaced && self.inner.begun_at < end.at + DELIVERY)
            }
            // The session lives, but not by this secret: another request has rotated it.
            (None, Presented::Token(token)) => {
                let info = self.sessions().find(token.id()).await?;
                Ok(info.is_some_and(|info| info.state.is_live()))
            }
            (None, _) => Ok(false),
        }
    }

    async fn create<T>(&self, mut edit: impl FnMut(&mut Data) -> T) -> Result<T, Error> {
        let mut data = Data::default();
        let value = edit(&mut data);
        if !data.is_empty() {
            self.may_issue()?;
            let issued =
                self.sessions().create(NewSession { data, ..NewSession::default() }).await?;
            self.now_holds(&issued);
        }
        Ok(value)
    }

    /// Notes how the session that the request held stands now.
    fn saw(&self, answer: Answer<Session>) -> Answer<()> {
        let mut state = self.state();
        state.lost = !matches!(answer, Answer::Live(_));
        if state.lost && matches!(state.effect, Effect::Renew(_)) {
            // Another request has given the browser something newer, or taken all away.
            state.effect = Effect::None;
        }
        state.answer = Some(answer.clone());
        answer.map(|_| ())
    }

    /// Gives the session a new secret, and the browser the new token. See [`Sessions::rotate`]. `false` if there
    /// is no live session.
    ///
    /// # Errors
    /// As for [`Sessions::rotate`]; [`Error::Answered`] after [`Exchange::finish`].
    pub async fn rotate(&self) -> Result<bool, Error> {
        let Some(session) = self.session().await? else { return Ok(false) };
        self.may_issue()?;
        match self.sessions().rotate(&session).await? {
            Answer::Live(issued) => self.now_holds(&issued),
            gone => {
                let _: Answer<()> = self.saw(gone.map(|issued| issued.session));
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Ends the session because its holder signs out, and takes the cookie away. Only the request that ends a
    /// session does that: a parallel one with an old token must not take away the new one.
    ///
    /// # Errors
    /// The store fails: the session may still live, and the answer must not say otherwise.
    pub async fn sign_out(&self) -> Result<(), Error> {
        let Answer::Live(session) = self.held_or_live().await? else { return Ok(()) };
        let (answer, ended) = match self.sessions().sign_out(&session).await? {
            Revoked::Now(end) => (Answer::Ended(end), true),
            Revoked::Already(end) => (Answer::Ended(end), false),
            Revoked::Absent => (Answer::Absent, false),
        };
        let mut state = self.state();
        state.answer = Some(answer);
        state.lost = !ended;
        if ended {
            state.effect = Effect::Remove;
        }
        Ok(())
    }

    /// Ends all sessions of the session's subject, this one included, because its holder signs out everywhere,
    /// and takes the cookie away. An anonymous session has no others.
    ///
    /// # Errors
    /// The store fails: the sessions may still live, and the answer must not say otherwise.
    pub async fn sign_out_everywhere(&self) -> Result<(), Error> {
        let Answer::Live(session) = self.held_or_live().await? else { return Ok(()) };
        let Some(subject) = session.subject() else { return self.sign_out().await };
        let (reason, actor) = (Reason::SignedOut, Actor::Subject);
        self.sessions().revoke_subject(subject, reason, actor).await?;
        let answer = self.sessions().check(&session).await?;
        let mut state = self.state();
        state.answer = Some(answer);
        state.effect = Effect::Remove;
        Ok(())
    }

    /// Finishes the exchange: the header fields to add to the response, names in lower case.
    ///
    /// `set-cookie` if a token was issued or the session was ended here. `cache-control: no-store` and
    /// `vary: cookie` whenever the session was asked for, so that no cache gives one user's answer to another;
    /// `cache-control` replaces the handler's own, the others are added to it.
    ///
    /// From then on no token can be issued ([`Error::Answered`]); a session that the browser holds can still be
    /// read, edited and ended.
    pub fn finish(&self) -> Vec<(&'static str, String)> {
        let mut state = self.state();
        state.finished = true;
        let cookie = &self.inner.gate.cookie;
        let mut headers = Vec::new();
        match &state.effect {
            Effect::None => {}
            Effect::Issue(issued) | Effect::Renew(issued) => {
                let Issued { token, session } = &**issued;
                let lives_for = session.absolute_deadline().since(self.sessions().now());
                headers.push(("set-cookie", cookie.issue(token, session.class(), lives_for)));
            }
            Effect::Remove => headers.push(("set-cookie", cookie.removal())),
        }
        if state.asked {
            headers.push(("cache-control", "no-store".to_owned()));
            headers.push(("vary", "cookie".to_owned()));
        }
        headers
    }

    fn may_issue(&self) -> Result<(), Error> {
        if self.state().finished { Err(Error::Answered) } else { Ok(()) }
    }

    fn now_holds(&self, issued: &Issued) {
        let mut state = self.state();
        state.effect = Effect::Issue(Box::new(issued.clone()));
        state.answer = Some(Answer::Live(issued.session.clone()));
        state.lost = false;
        #[cfg(feature = "risk")]
        {
            state.held = None;
        }
    }

    // Whoever panicked while holding it has left a whole state.
    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A row that nobody can resume here, because it is damaged or of a newer format.
fn is_unreadable(error: &StoreError) -> bool {
    matches!(error.kind(), StoreErrorKind::Corrupt | StoreErrorKind::Unsupported)
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("presented", &self.inner.presented).finish_non_exhaustive()
    }
}

/// The status to answer an error of the engine with: 503 when the store or the source of randomness fails, 413
/// when the data would be too large, 500 when what is stored is damaged or not of the type asked for, and for
/// other mistakes that trying again does not mend.
///
/// ```
/// use session_engine::exchange::status_code;
/// use session_engine::{Error, StoreError, StoreErrorKind};
///
/// let down = Error::from(StoreError::new(StoreErrorKind::Unavailable, "no answer"));
/// assert_eq!(status_code(&down), 503);
/// ```
pub fn status_code(error: &Error) -> u16 {
    use session_core::DataError;
    match error {
        Error::Data(
            DataError::KeyTooLong { .. }
            | DataError::ValueTooLarge { .. }
            | DataError::TooLarge { .. }
            | DataError::TooDeep { .. },
        ) => 413,
        Error::Store(error) => match error.kind() {
            StoreErrorKind::Corrupt | StoreErrorKind::Unsupported | StoreErrorKind::Invalid => 500,
            _ => 503,
        },
        Error::Data(_)
        | Error::Answered
        | Error::UnknownClass(_)
        | Error::NotARevocation(_)
        | Error::SharedStore => 500,
        _ => 503,
    }
}

#[cfg(test)]
mod tests;
