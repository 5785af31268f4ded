//! A cookie that turns up in another browser.

use session_core::store::{EventQuery, Events};
use session_core::{DataLimits, EventKind, Policy, Proof, Proved, SessionStore};

use super::*;
use crate::client::ClientConfig;
use crate::risk::{Mode, Signals, Watch};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const UPGRADED: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0";
/// Another browser: 50.
const CHROME: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 \
    Safari/537.36";
/// Another browser, system and kind of device: 150.
const PHONE: &str = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/141.0.0.0 Mobile Safari/537.36";

/// A browser whose cookie others may use too.
struct Watched {
    browser: Browser,
    store: Arc<MemoryStore>,
    clock: ManualClock,
}

impl Watched {
    fn new(mode: Mode) -> Self {
        Self::with(mode, Policy::default())
    }

    /// Somebody who has signed in with Firefox, and clicked.
    fn with(mode: Mode, policy: Policy) -> Self {
        let clock = ManualClock::at(Timestamp::from_millis(1_000_000_000_000));
        let store = Arc::new(MemoryStore::new());
        let sessions = Sessions::builder(store.clone()).policy(policy).clock(clock.clone()).build();
        let gate = Gate::new(sessions, CookieConfig::new())
            .with_client(ClientConfig::default())
            .with_risk(Watch::new(Signals::default()).mode(mode));
        let mut browser = Browser { gate, cookie: None };
        pollster::block_on(browser.sign_in());
        let watched = Self { browser, store, clock };
        assert!(watched.is_in(FIREFOX));
        watched
    }

    fn begin(&self, agent: &str) -> Exchange {
        self.clock.advance(Duration::from_secs(1));
        let cookie = self.browser.cookie.as_deref().unwrap_or_default();
        let headers = [("cookie", cookie.as_bytes()), ("user-agent", agent.as_bytes())];
        self.browser.gate.begin_from(Some([192, 0, 2, 1].into()), headers)
    }

    fn is_in(&self, agent: &str) -> bool {
        pollster::block_on(self.begin(agent).session()).unwrap().is_some()
    }

    fn told(&self, kind: &str) -> usize {
        let query = EventQuery {
            kinds: vec![EventKind::from_code(kind).unwrap()],
            ..EventQuery::default()
        };
        match pollster::block_on(self.browser.gate.sessions().history(&query, None)).unwrap() {
            Events::Page(page) => page.events.len(),
            Events::CursorExpired => panic!("no cursor was given"),
        }
    }

    fn version(&self) -> u64 {
        let cookie = self.browser.cookie.as_deref().unwrap();
        let (_, token) = cookie.split_once('=').unwrap();
        let id = token.parse::<session_core::SessionToken>().unwrap().id();
        let realm = self.browser.gate.sessions().realm();
        pollster::block_on(self.store.load(realm, id)).unwrap().unwrap().version
    }
}

#[test]
fn to_observe_is_to_tell_and_to_let_everybody_pass() {
    let watched = Watched::new(Mode::Observe);
    assert!(watched.is_in(PHONE) && watched.is_in(PHONE) && watched.is_in(FIREFOX));
    assert_eq!(watched.told(Watch::NOTICED), 1, "once, and not for each request");
    assert_eq!(watched.told("device_seen"), 2);
}

#[test]
fn what_shows_nothing_new_is_not_written() {
    let watched = Watched::new(Mode::Enforce);
    let before = watched.version();
    for _ in 0..5 {
        assert!(watched.is_in(FIREFOX));
    }
    assert_eq!(watched.version(), before);
    assert!(watched.is_in(UPGRADED), "to upgrade is usual");
    assert_eq!(watched.version(), before + 1, "and learned");
}

#[test]
fn who_may_be_somebody_else_is_held_back_and_nothing_is_written_for_him() {
    pollster::block_on(async {
        let watched = Watched::new(Mode::Enforce);
        let exchange = watched.begin(CHROME);
        assert!(exchange.session().await.unwrap().is_none());
        assert!(exchange.ended().await.unwrap().is_none(), "it has not ended");
        let asked = exchange.step_up_asked().await.unwrap().unwrap();
        assert_eq!(asked.session.subject().unwrap().as_str(), "alice");
        assert!(asked.noticed.contains("browser_changed"));
        let edits = ChangeSet::new().set("note", "mine").unwrap();
        assert_eq!(exchange.edit(&edits).await.unwrap(), Answer::Absent);
        assert!(!exchange.rotate().await.unwrap());
        let headers = exchange.finish();
        assert!(headers.iter().all(|(name, _)| *name != "set-cookie"), "{headers:?}");
        assert!(!watched.is_in(FIREFOX), "nobody gets rid of it by going back");
    });
}

#[test]
fn a_proof_lets_him_go_on_where_he_is() {
    pollster::block_on(async {
        let mut watched = Watched::new(Mode::Enforce);
        let exchange = watched.begin(CHROME);
        assert!(exchange.step_up_asked().await.unwrap().is_some());
        let ticket = exchange.begin_login(&Subject::new("alice").unwrap()).await.unwrap();
        let proved = exchange.step_up(&ticket, &Proof::new("password")).await.unwrap();
        assert!(matches!(proved, Proved::Accepted(())));
        assert!(exchange.step_up_asked().await.unwrap().is_none());
        assert!(exchange.session().await.unwrap().is_some(), "in the same request");
        watched.browser.end(&exchange);
        assert!(watched.is_in(CHROME), "what was proved is the baseline");
        assert!(!watched.is_in(FIREFOX), "and the other browser is the stranger");
    });
}

#[test]
fn who_is_held_back_may_sign_out_or_in_anew() {
    pollster::block_on(async {
        let mut watched = Watched::new(Mode::Enforce);
        let exchange = watched.begin(CHROME);
        let ticket = exchange.begin_login(&Subject::new("alice").unwrap()).await.unwrap();
        let held = exchange.step_up_asked().await.unwrap().unwrap().session;
        let outcome = exchange.login(&ticket, Login::new("password"), &[]).await.unwrap();
        assert_ne!(outcome.issued().unwrap().session.id(), held.id());
        let ended = watched.browser.gate.sessions().check(&held).await.unwrap();
        assert!(matches!(ended, Answer::Ended(end) if end.reason == Reason::Replaced));
        watched.browser.end(&exchange);
        assert!(watched.is_in(CHROME));

        let exchange = watched.begin(FIREFOX);
        assert!(exchange.step_up_asked().await.unwrap().is_some());
        exchange.sign_out().await.unwrap();
        watched.browser.end(&exchange);
        assert_eq!(watched.browser.cookie, None);
    });
}

#[test]
fn who_is_surely_somebody_else_ends_the_session_for_both() {
    pollster::block_on(async {
        let watched = Watched::new(Mode::Enforce);
        let exchange = watched.begin(PHONE);
        assert!(exchange.session().await.unwrap().is_none());
        assert_eq!(exchange.ended().await.unwrap().unwrap().reason, Reason::RiskDetected);
        let exchange = watched.begin(FIREFOX);
        assert_eq!(exchange.ended().await.unwrap().unwrap().reason, Reason::RiskDetected);
    });
}

#[test]
fn a_session_without_room_locks_nobody_out() {
    let total = 700;
    let limits = DataLimits { total, ..DataLimits::default() };
    let class = session_core::Class::new(Duration::from_secs(3_600));
    let policy = Policy::builder().class("browser", class).data_limits(limits).build().unwrap();
    let watched = Watched::with(Mode::Enforce, policy);
    pollster::block_on(async {
        let exchange = watched.begin(FIREFOX);
        for length in (0..total).rev() {
            let edits = ChangeSet::new().set("filler", "x".repeat(length)).unwrap();
            if exchange.edit(&edits).await.is_ok() {
                break;
            }
        }
        assert!(exchange.session().await.unwrap().unwrap().get::<String>("filler").is_ok());
    });
    assert!(watched.is_in(UPGRADED), "there is no room to learn of it, and no harm");
    assert!(!watched.is_in(CHROME), "who is judged by what was known is held back still");
}
