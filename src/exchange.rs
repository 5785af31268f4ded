//! One request and its response: headers in, a session in between, headers out. No framework's types.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use session_core::{
    Answer, ChangeSet, ClassName, Data, End, Error, Issued, LoggedIn, Login, NewSession, Revoked,
    Session, SessionToken, Sessions, Subject,
};

use crate::cookie::{CookieConfig, Presented};

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
}

impl Gate {
    /// A gate.
    pub fn new(sessions: Sessions, cookie: CookieConfig) -> Self {
        Self { sessions, cookie: Arc::new(cookie) }
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
        let mut cookies = Vec::new();
        let mut passive = false;
        for (name, value) in headers {
            if name.eq_ignore_ascii_case("cookie") {
                cookies.push(value);
            } else if name.eq_ignore_ascii_case("sec-purpose") {
                passive |= value.starts_with(b"prefetch");
            }
        }
        let presented = self.cookie.find(cookies);
        let state = State { passive, answer: None, effect: Effect::None, asked: false };
        let inner = Inner { gate: self.clone(), presented, state: Mutex::new(state) };
        Exchange { inner: Arc::new(inner) }
    }
}

/// The exchange of one request and its response. Clones are the same exchange.
///
/// The session is loaded when first asked for. Each change is committed when it is made, and its error is the
/// handler's to see; what the browser must be told is collected until [`Exchange::finish`].
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
    state: Mutex<State>,
}

struct State {
    passive: bool,
    answer: Option<Answer<Session>>,
    effect: Effect,
    asked: bool,
}

/// What the browser must be told of its cookie. The last change that was committed decides.
enum Effect {
    None,
    Issue(SessionToken, ClassName),
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
        let passive = {
            let mut state = self.state();
            state.asked = true;
            if let Some(answer) = &state.answer {
                return Ok(answer.clone());
            }
            state.passive
        };
        let answer = match (&self.inner.presented, passive) {
            (Presented::Token(token), false) => self.sessions().resume(token).await?,
            (Presented::Token(token), true) => self.sessions().resume_passively(token).await?,
            (Presented::Nothing | Presented::Malformed | Presented::Ambiguous, _) => Answer::Absent,
        };
        // A change that was committed while this loaded knows better.
        Ok(self.state().answer.get_or_insert(answer).clone())
    }

    /// Says that the request is no sign of its user's presence, such as polling: it records no activity. To
    /// be called before the session is asked for.
    pub fn set_passive(&self) {
        self.state().passive = true;
    }

    /// What the request presented.
    pub fn presented(&self) -> &Presented {
        &self.inner.presented
    }

    /// The engine.
    pub fn sessions(&self) -> &Sessions {
        self.inner.gate.sessions()
    }

    /// Signs somebody in whose credential was checked since the ticket was drawn
    /// ([`Sessions::begin_login`]). The session that the request holds is replaced, whether anonymous or
    /// somebody's; the keys in `carry` go over to the new one.
    ///
    /// # Errors
    /// As for [`Sessions::login`]. Nobody is signed in.
    pub async fn login(
        &self,
        ticket: &session_core::LoginTicket,
        login: Login,
        carry: &[&str],
    ) -> Result<LoggedIn, Error> {
        let login = match self.session().await? {
            Some(session) => login.replacing(session, carry),
            None => login,
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
    pub async fn begin_login(&self, subject: &Subject) -> Result<session_core::LoginTicket, Error> {
        self.state().asked = true;
        self.sessions().begin_login(subject).await
    }

    /// Edits the data of the session, key by key. A request without a live session gets one, nobody's, if the
    /// edits leave anything to store. If the session ends under the handler's hands, nothing is written.
    ///
    /// # Errors
    /// As for [`Sessions::edit`] and [`Sessions::create`].
    pub async fn edit(&self, edits: &ChangeSet) -> Result<Answer<()>, Error> {
        match self.session().await? {
            Some(session) => Ok(self.saw(self.sessions().edit(&session, edits).await?)),
            None => self.create(|data| edits.apply(data)).await,
        }
    }

    /// Edits the data of the session by a function, which is run again when another request wins. A request
    /// without a live session gets one, nobody's, if the function leaves anything to store. If the session
    /// ends under the handler's hands, nothing is written.
    ///
    /// # Errors
    /// As for [`Sessions::update`] and [`Sessions::create`].
    pub async fn update<T: Send>(
        &self,
        edit: impl FnMut(&mut Data) -> T + Send,
    ) -> Result<Answer<T>, Error> {
        let Some(session) = self.session().await? else { return self.create(edit).await };
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

    async fn create<T>(&self, mut edit: impl FnMut(&mut Data) -> T) -> Result<Answer<T>, Error> {
        let mut data = Data::default();
        let value = edit(&mut data);
        if !data.is_empty() {
            let issued =
                self.sessions().create(NewSession { data, ..NewSession::default() }).await?;
            self.now_holds(&issued);
        }
        Ok(Answer::Live(value))
    }

    /// Notes how the session stands now.
    fn saw(&self, answer: Answer<Session>) -> Answer<()> {
        self.state().answer = Some(answer.clone());
        answer.map(|_| ())
    }

    /// Gives the session a new secret, and the browser the new token. See [`Sessions::rotate`]. `false` if there
    /// is no live session.
    ///
    /// # Errors
    /// As for [`Sessions::rotate`].
    pub async fn rotate(&self) -> Result<bool, Error> {
        let Some(session) = self.session().await? else { return Ok(false) };
        match self.sessions().rotate(&session).await? {
            Answer::Live(issued) => self.now_holds(&issued),
            gone => {
                self.state().answer = Some(gone.map(|issued| issued.session));
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
        let Some(session) = self.session().await? else { return Ok(()) };
        let (answer, ended) = match self.sessions().sign_out(&session).await? {
            Revoked::Now(end) => (Answer::Ended(end), true),
            Revoked::Already(end) => (Answer::Ended(end), false),
            Revoked::Absent => (Answer::Absent, false),
        };
        let mut state = self.state();
        state.answer = Some(answer);
        if ended {
            state.effect = Effect::Remove;
        }
        Ok(())
    }

    /// Finishes the exchange: the header fields to add to the response, names in lower case.
    ///
    /// `set-cookie` if a token was issued or the session was ended here. `cache-control: no-store` and
    /// `vary: cookie` whenever the session was asked for, so that no cache gives one user's answer to another;
    /// `cache-control` replaces the handler's own, the others are added to it.
    pub fn finish(&self) -> Vec<(&'static str, String)> {
        let state = self.state();
        let mut headers = Vec::new();
        match &state.effect {
            Effect::None => {}
            Effect::Issue(token, class) => {
                let until = match &state.answer {
                    Some(Answer::Live(session)) => session.absolute_deadline(),
                    _ => self.sessions().now(),
                };
                let lives_for = until.since(self.sessions().now());
                headers.push(("set-cookie", self.inner.gate.cookie.issue(token, class, lives_for)));
            }
            Effect::Remove => headers.push(("set-cookie", self.inner.gate.cookie.removal())),
        }
        if state.asked {
            headers.push(("cache-control", "no-store".to_owned()));
            headers.push(("vary", "cookie".to_owned()));
        }
        headers
    }

    fn now_holds(&self, issued: &Issued) {
        let mut state = self.state();
        state.effect = Effect::Issue(issued.token.clone(), issued.session.class().clone());
        state.answer = Some(Answer::Live(issued.session.clone()));
    }

    // Whoever panicked while holding it has left a whole state: each is written in one assignment.
    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("presented", &self.inner.presented).finish_non_exhaustive()
    }
}

/// The status to answer an error of the engine with: 503 when the store or the source of randomness fails, 413
/// when the data would be too large, 500 when what is stored is damaged or not of the type asked for.
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
            | DataError::TooLarge { .. },
        ) => 413,
        Error::Data(_) => 500,
        _ => 503,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use session_core::{ManualClock, MemoryStore, Timestamp};

    use super::*;

    struct Browser {
        gate: Gate,
        cookie: Option<String>,
    }

    impl Browser {
        fn begin(&self) -> Exchange {
            let header = self.cookie.as_ref().map(|cookie| ("Cookie", cookie.as_bytes()));
            self.gate.begin(header)
        }

        /// Takes the response's headers as a browser does.
        fn end(&mut self, exchange: &Exchange) -> Vec<(&'static str, String)> {
            let headers = exchange.finish();
            for (name, value) in &headers {
                if *name == "set-cookie" {
                    let pair = value.split(';').next().unwrap_or_default().to_owned();
                    self.cookie = (!pair.ends_with('=')).then_some(pair);
                }
            }
            headers
        }

        async fn sign_in(&mut self) {
            let exchange = self.begin();
            let alice = Subject::new("alice").unwrap();
            let ticket = exchange.begin_login(&alice).await.unwrap();
            let outcome =
                exchange.login(&ticket, Login::new("password"), &["basket"]).await.unwrap();
            assert!(outcome.issued().is_some());
            self.end(&exchange);
        }
    }

    fn browser() -> (Browser, ManualClock) {
        let clock = ManualClock::at(Timestamp::from_millis(1_000_000_000_000));
        let store = Arc::new(MemoryStore::new());
        let sessions = Sessions::builder(store).clock(clock.clone()).build();
        (Browser { gate: Gate::new(sessions, CookieConfig::new()), cookie: None }, clock)
    }

    #[test]
    fn a_request_that_never_asks_gets_no_header() {
        let (browser, _) = browser();
        assert!(browser.begin().finish().is_empty());
    }

    #[test]
    fn an_answer_that_depends_on_the_cookie_is_kept_out_of_caches() {
        pollster::block_on(async {
            let (mut browser, _) = browser();
            let exchange = browser.begin();
            assert!(exchange.session().await.unwrap().is_none());
            let headers = browser.end(&exchange);
            assert_eq!(headers, [("cache-control", "no-store".into()), ("vary", "cookie".into())]);
        });
    }

    #[test]
    fn the_first_write_makes_a_session_and_a_login_replaces_it() {
        pollster::block_on(async {
            let (mut browser, _) = browser();
            let exchange = browser.begin();
            let edits = ChangeSet::new().set("basket", [1]).unwrap().set("draft", 2).unwrap();
            assert_eq!(exchange.edit(&edits).await.unwrap(), Answer::Live(()));
            browser.end(&exchange);
            let anonymous = browser.cookie.clone().unwrap();

            browser.sign_in().await;
            assert_ne!(browser.cookie.as_ref().unwrap(), &anonymous);
            let session = browser.begin().session().await.unwrap().unwrap();
            assert_eq!(session.get("basket").unwrap(), Some([1]));
            assert_eq!(session.get::<u8>("draft").unwrap(), None, "only what is on the list");

            browser.cookie = Some(anonymous);
            let end = browser.begin().ended().await.unwrap().unwrap();
            assert_eq!(end.reason, session_core::Reason::Replaced);
        });
    }

    #[test]
    fn edits_that_leave_nothing_store_nothing() {
        pollster::block_on(async {
            let (mut browser, _) = browser();
            let exchange = browser.begin();
            let removed = exchange.edit(&ChangeSet::new().remove("basket")).await.unwrap();
            assert_eq!(removed, Answer::Live(()));
            browser.end(&exchange);
            assert_eq!(browser.cookie, None);
        });
    }

    #[test]
    fn only_the_request_that_ends_a_session_removes_the_cookie() {
        pollster::block_on(async {
            let (mut browser, _) = browser();
            browser.sign_in().await;
            let (first, parallel) = (browser.begin(), browser.begin());
            assert!(parallel.session().await.unwrap().is_some());
            first.sign_out().await.unwrap();
            parallel.sign_out().await.unwrap();
            let removal = ("set-cookie", CookieConfig::new().removal());
            assert!(first.finish().contains(&removal));
            assert!(!parallel.finish().contains(&removal));
            let late = browser.begin();
            assert!(late.session().await.unwrap().is_none());
            assert!(!late.finish().contains(&removal));
        });
    }

    #[test]
    fn a_write_to_a_session_that_ends_meanwhile_is_written_to_nobody() {
        pollster::block_on(async {
            let (mut browser, _) = browser();
            browser.sign_in().await;
            let (slow, other) = (browser.begin(), browser.begin());
            assert!(slow.session().await.unwrap().is_some());
            other.sign_out().await.unwrap();
            let answer = slow.update(|data| data.set("note", "late").unwrap()).await.unwrap();
            assert!(matches!(answer, Answer::Ended(_)));
            assert!(slow.finish().iter().all(|(name, _)| *name != "set-cookie"));
        });
    }

    #[test]
    fn a_prefetch_records_no_activity() {
        pollster::block_on(async {
            let (mut browser, clock) = browser();
            browser.sign_in().await;
            let start = browser.begin().session().await.unwrap().unwrap().last_seen_at();
            clock.advance(Duration::from_secs(600));
            let cookie = browser.cookie.clone().unwrap();
            let headers =
                [("cookie", cookie.as_bytes()), ("Sec-Purpose", b"prefetch;prerender".as_slice())];
            let prefetch = browser.gate.begin(headers);
            assert_eq!(prefetch.session().await.unwrap().unwrap().last_seen_at(), start);
            assert!(browser.begin().session().await.unwrap().unwrap().last_seen_at() > start);
        });
    }

    #[test]
    fn rotation_hands_out_the_new_token() {
        pollster::block_on(async {
            let (mut browser, _) = browser();
            browser.sign_in().await;
            let old = browser.cookie.clone();
            let exchange = browser.begin();
            assert!(exchange.rotate().await.unwrap());
            browser.end(&exchange);
            assert_ne!(browser.cookie, old);
            assert!(browser.begin().session().await.unwrap().is_some());
            browser.cookie = old;
            assert!(browser.begin().session().await.unwrap().is_none());
        });
    }

    #[test]
    fn nothing_shows_the_token() {
        pollster::block_on(async {
            let (mut browser, _) = browser();
            browser.sign_in().await;
            let exchange = browser.begin();
            let session = exchange.session().await.unwrap();
            let secret = &browser.cookie.as_ref().unwrap()["__Host-id=ses1_".len() + 22..];
            let shown = format!("{exchange:?} {session:?} {:?}", browser.gate);
            assert!(!shown.contains(secret), "{shown}");
        });
    }
}
