//! A browser and its exchanges, without a server.

#[cfg(feature = "client")]
mod clients;
#[cfg(feature = "risk")]
mod risk;
mod secrets;

use session_core::{ManualClock, MemoryStore};

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
        let outcome = exchange.login(&ticket, Login::new("password"), &["basket"]).await.unwrap();
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
fn to_look_at_what_was_presented_is_to_ask() {
    let (browser, _) = browser();
    let exchange = browser.begin();
    assert!(matches!(exchange.presented(), Presented::Nothing));
    assert!(exchange.finish().contains(&("vary", "cookie".to_owned())));
}

#[test]
fn a_write_with_a_replaced_token_does_not_take_the_new_one_away() {
    pollster::block_on(async {
        let (mut browser, _) = browser();
        let edits = ChangeSet::new().set("basket", [1]).unwrap();
        let exchange = browser.begin();
        assert_eq!(exchange.edit(&edits).await.unwrap(), Answer::Live(()));
        browser.end(&exchange);
        let parallel = browser.begin();
        browser.sign_in().await;
        let signed_in = browser.cookie.clone();
        assert!(matches!(parallel.edit(&edits).await.unwrap(), Answer::Ended(_)));
        assert!(matches!(parallel.update(|_| ()).await.unwrap(), Answer::Ended(_)));
        browser.end(&parallel);
        assert_eq!(browser.cookie, signed_in);
    });
}

#[test]
fn a_browser_that_never_had_the_answer_of_its_login_may_begin_anew() {
    pollster::block_on(async {
        let (mut browser, clock) = browser();
        let edits = ChangeSet::new().set("basket", [1]).unwrap();
        let exchange = browser.begin();
        assert_eq!(exchange.edit(&edits).await.unwrap(), Answer::Live(()));
        browser.end(&exchange);
        let old = browser.cookie.clone();
        let slow = browser.begin();
        browser.sign_in().await;
        browser.cookie = old.clone();
        clock.advance(DELIVERY - Duration::from_millis(1));
        assert!(matches!(browser.begin().edit(&edits).await.unwrap(), Answer::Ended(_)));
        clock.advance(Duration::from_millis(1));
        assert!(matches!(slow.edit(&edits).await.unwrap(), Answer::Ended(_)), "began before");
        let exchange = browser.begin();
        assert_eq!(exchange.edit(&edits).await.unwrap(), Answer::Live(()));
        browser.end(&exchange);
        assert_ne!(browser.cookie, old);
    });
}

#[test]
fn what_was_meant_for_a_session_that_ended_meanwhile_starts_no_other() {
    pollster::block_on(async {
        let (mut browser, _) = browser();
        browser.sign_in().await;
        let edits = ChangeSet::new().set("address", "Elm Street").unwrap();
        for rotated in [false, true] {
            browser.sign_in().await;
            let (slow, other) = (browser.begin(), browser.begin());
            assert!(slow.session().await.unwrap().is_some());
            match rotated {
                true => assert!(other.rotate().await.unwrap()),
                false => other.sign_out().await.unwrap(),
            }
            for _ in 0..2 {
                assert!(!matches!(slow.edit(&edits).await.unwrap(), Answer::Live(())));
                assert!(!matches!(slow.update(|_| ()).await.unwrap(), Answer::Live(())));
            }
            assert!(!slow.rotate().await.unwrap());
            assert!(slow.finish().iter().all(|(name, _)| *name != "set-cookie"));
            browser.end(&other);
        }
    });
}

#[test]
fn who_signs_out_may_leave_a_word_for_the_next_page() {
    pollster::block_on(async {
        let (mut browser, _) = browser();
        browser.sign_in().await;
        let signed_in = browser.cookie.clone();
        let exchange = browser.begin();
        exchange.sign_out().await.unwrap();
        let word = ChangeSet::new().set("flash", "good bye").unwrap();
        assert_eq!(exchange.edit(&word).await.unwrap(), Answer::Live(()));
        browser.end(&exchange);
        assert!(browser.cookie.is_some() && browser.cookie != signed_in);
        let session = browser.begin().session().await.unwrap().unwrap();
        assert_eq!(session.subject(), None);
    });
}

#[test]
fn two_logins_in_one_request_leave_one_session() {
    pollster::block_on(async {
        let (mut browser, _) = browser();
        let exchange = browser.begin();
        for name in ["alice", "bob"] {
            let ticket = exchange.begin_login(&Subject::new(name).unwrap()).await.unwrap();
            let login = Login::new("password");
            assert!(exchange.login(&ticket, login, &[]).await.unwrap().issued().is_some());
        }
        let headers = browser.end(&exchange);
        assert_eq!(headers.iter().filter(|(name, _)| *name == "set-cookie").count(), 1);
        let session = browser.begin().session().await.unwrap().unwrap();
        assert_eq!(session.subject().unwrap().as_str(), "bob");
        let live = exchange.sessions().list(&session_core::Query::default(), None).await.unwrap();
        assert_eq!(live.sessions.iter().filter(|info| info.state.is_live()).count(), 1);
    });
}

#[test]
fn a_token_is_not_issued_to_nobody() {
    pollster::block_on(async {
        let (mut browser, _) = browser();
        let exchange = browser.begin();
        browser.end(&exchange);
        let edits = ChangeSet::new().set("basket", [1]).unwrap();
        assert!(matches!(exchange.edit(&edits).await, Err(Error::Answered)));
        assert!(matches!(
            exchange.update(|data| data.set("basket", 1).unwrap()).await,
            Err(Error::Answered)
        ));
        let alice = Subject::new("alice").unwrap();
        let ticket = exchange.begin_login(&alice).await.unwrap();
        let login = exchange.login(&ticket, Login::new("password"), &[]).await;
        assert!(matches!(login, Err(Error::Answered)));
        assert!(exchange.finish().iter().all(|(name, _)| *name != "set-cookie"));

        // A session that the browser holds may still be written, by a handler that outlives its request.
        browser.sign_in().await;
        let exchange = browser.begin();
        assert!(exchange.session().await.unwrap().is_some());
        browser.end(&exchange);
        assert!(matches!(exchange.rotate().await, Err(Error::Answered)));
        assert_eq!(exchange.edit(&edits).await.unwrap(), Answer::Live(()));
        let session = browser.begin().session().await.unwrap().unwrap();
        assert_eq!(session.get("basket").unwrap(), Some([1]));
    });
}

#[test]
fn a_persistent_cookie_lasts_as_long_as_what_was_issued() {
    pollster::block_on(async {
        let (mut browser, _) = browser();
        let class = browser.gate.sessions().policy().default_class().clone();
        let cookie = CookieConfig::new().persistent_for(class);
        browser.gate = Gate::new(browser.gate.sessions().clone(), cookie);
        let exchange = browser.begin();
        let ticket = exchange.begin_login(&Subject::new("alice").unwrap()).await.unwrap();
        let login = exchange.login(&ticket, Login::new("password"), &[]).await.unwrap();
        let session = login.issued().unwrap().session;
        let signed_out = exchange.sessions().sign_out(&session).await.unwrap();
        assert!(matches!(signed_out, Revoked::Now(_)));
        assert!(matches!(exchange.update(|_| ()).await.unwrap(), Answer::Ended(_)));
        let headers = exchange.finish();
        assert!(!headers[0].1.contains("Max-Age=0"), "{headers:?}");
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

#[test]
fn a_late_write_with_a_rotated_token_does_not_take_the_new_one_away() {
    pollster::block_on(async {
        let (mut browser, _) = browser();
        browser.sign_in().await;
        let late = browser.begin();
        let rotating = browser.begin();
        assert!(rotating.rotate().await.unwrap());
        browser.end(&rotating);

        let edits = ChangeSet::new().set("note", "late").unwrap();
        assert_eq!(late.edit(&edits).await.unwrap(), Answer::Absent);
        assert!(late.finish().iter().all(|(name, _)| *name != "set-cookie"));
        let answer = late.update(|data| data.set("note", "late").unwrap()).await.unwrap();
        assert_eq!(answer, Answer::Absent);
        assert!(browser.begin().session().await.unwrap().is_some());
    });
}

#[test]
fn who_signs_out_everywhere_is_signed_out_here_too() {
    pollster::block_on(async {
        let (mut here, _) = browser();
        let mut there = Browser { gate: here.gate.clone(), cookie: None };
        here.sign_in().await;
        there.sign_in().await;
        let exchange = here.begin();
        exchange.sign_out_everywhere().await.unwrap();
        assert!(exchange.session().await.unwrap().is_none());
        here.end(&exchange);
        assert_eq!(here.cookie, None);
        let end = there.begin().ended().await.unwrap().unwrap();
        assert_eq!(end.reason, Reason::SignedOut);
    });
}
