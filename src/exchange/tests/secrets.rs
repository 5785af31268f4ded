//! Secrets that come of age, proofs, scopes and changed passwords, as a browser meets them.

use session_core::{Access, Class, Limits, Policy, Proof, ScopeName, Stamp};

use super::*;

/// Signed in, and the secret is due after an hour of use.
async fn browser_whose_secret_is_due() -> (Browser, ManualClock) {
    let (mut browser, clock) = browser();
    browser.sign_in().await;
    for _ in 0..3 {
        browser.begin().session().await.unwrap().unwrap();
        clock.advance(Duration::from_secs(20 * 60));
    }
    (browser, clock)
}

fn cookies(headers: &[(&'static str, String)]) -> usize {
    headers.iter().filter(|(name, _)| *name == "set-cookie").count()
}

#[test]
fn a_secret_that_is_due_is_replaced_by_two_responses_and_one_cookie() {
    pollster::block_on(async {
        let (mut browser, clock) = browser_whose_secret_is_due().await;
        let before = browser.cookie.clone().unwrap();
        let burst: Vec<Exchange> = (0..5).map(|_| browser.begin()).collect();
        let mut sent = 0;
        for exchange in &burst {
            assert!(exchange.session().await.unwrap().is_some());
            sent += cookies(&browser.end(exchange));
        }
        assert_eq!(sent, 1);
        assert_ne!(browser.cookie.as_ref(), Some(&before));
        let exchange = browser.begin();
        assert!(exchange.session().await.unwrap().is_some());
        assert_eq!(cookies(&browser.end(&exchange)), 0);

        let after = browser.cookie.replace(before).unwrap();
        let late = browser.begin();
        assert!(late.session().await.unwrap().is_some(), "a request that was on its way");
        assert_eq!(cookies(&late.finish()), 0, "takes nothing away");
        clock.advance(Duration::from_secs(60));
        let stolen = browser.begin();
        assert_eq!(stolen.ended().await.unwrap().unwrap().reason, Reason::ReuseDetected);
        assert_eq!(cookies(&stolen.finish()), 0);
        browser.cookie = Some(after);
        let end = browser.begin().ended().await.unwrap().unwrap();
        assert_eq!(end.reason, Reason::ReuseDetected);
    });
}

#[test]
fn a_cookie_that_never_arrived_is_sent_again() {
    pollster::block_on(async {
        let (browser, clock) = browser_whose_secret_is_due().await;
        let lost = browser.begin();
        assert!(lost.session().await.unwrap().is_some());
        let first = lost.finish();
        clock.advance(Duration::from_secs(15));
        let again = browser.begin();
        assert!(again.session().await.unwrap().is_some());
        assert_eq!(again.finish(), first);
    });
}

#[test]
fn who_can_send_no_cookie_brings_no_new_token() {
    pollster::block_on(async {
        let (mut browser, _) = browser_whose_secret_is_due().await;
        let websocket = browser.begin();
        websocket.keep_token();
        assert!(websocket.session().await.unwrap().is_some());
        assert_eq!(cookies(&websocket.finish()), 0);
        let late = browser.begin();
        let _ = late.finish();
        assert!(late.session().await.unwrap().is_some(), "asked after the headers were sent");
        let next = browser.begin();
        assert!(next.session().await.unwrap().is_some());
        assert_eq!(cookies(&browser.end(&next)), 1, "it is left to a request that can");
    });
}

#[test]
fn a_new_token_that_another_request_has_made_stale_is_not_sent() {
    pollster::block_on(async {
        let (mut browser, _) = browser_whose_secret_is_due().await;
        let slow = browser.begin();
        assert!(slow.session().await.unwrap().is_some());
        let quick = browser.begin();
        assert!(quick.rotate().await.unwrap());
        browser.end(&quick);
        let answer = slow.edit(&ChangeSet::new().set("k", 1).unwrap()).await.unwrap();
        assert_eq!(answer, Answer::Absent);
        assert_eq!(cookies(&browser.end(&slow)), 0);
        assert!(browser.begin().session().await.unwrap().is_some());
    });
}

#[test]
fn who_signs_out_when_his_secret_is_due_is_out() {
    pollster::block_on(async {
        let (mut browser, _) = browser_whose_secret_is_due().await;
        let exchange = browser.begin();
        exchange.sign_out().await.unwrap();
        browser.end(&exchange);
        assert_eq!(browser.cookie, None);
    });
}

fn proof() -> Proof {
    Proof::new("password").level(1)
}

async fn ticket(browser: &Browser) -> LoginTicket {
    browser.begin().begin_login(&Subject::new("alice").unwrap()).await.unwrap()
}

#[test]
fn a_proof_gives_the_browser_a_new_token_and_closes_the_old_one() {
    pollster::block_on(async {
        let (mut browser, clock) = browser();
        browser.sign_in().await;
        for anew in [false, true] {
            clock.advance(Duration::from_secs(60));
            let before = browser.cookie.clone();
            let exchange = browser.begin();
            let ticket = ticket(&browser).await;
            let proved = if anew {
                exchange.reauthenticate(&ticket, &proof(), Vec::new()).await
            } else {
                exchange.step_up(&ticket, &proof()).await
            };
            assert!(proved.unwrap().accepted().is_some());
            let fresh = exchange.require(Duration::from_secs(1), 1).await.unwrap();
            assert!(fresh.granted().is_some(), "it is known in the same request");
            assert_eq!(cookies(&browser.end(&exchange)), 1);
            let old = Browser { gate: browser.gate.clone(), cookie: before };
            assert!(old.begin().session().await.unwrap().is_none());
            assert!(browser.begin().session().await.unwrap().is_some());
        }
        clock.advance(Duration::from_secs(2));
        let stale = browser.begin().require(Duration::from_secs(1), 1).await.unwrap();
        assert!(matches!(stale, Access::NeedsReauth(_)), "{stale:?}");
    });
}

#[test]
fn a_changed_password_ends_the_other_browser_and_gives_this_one_a_new_token() {
    pollster::block_on(async {
        let (mut browser, _) = browser();
        browser.sign_in().await;
        let mut other = Browser { gate: browser.gate.clone(), cookie: None };
        other.sign_in().await;
        let exchange = browser.begin();
        let stamp = Stamp::new(b"new hash");
        assert!(exchange.set_stamp(&stamp, Reason::CredentialsChanged).await.unwrap());
        assert_eq!(cookies(&browser.end(&exchange)), 1);
        assert!(browser.begin().session().await.unwrap().is_some());
        let end = other.begin().ended().await.unwrap().unwrap();
        assert_eq!(end.reason, Reason::CredentialsChanged);
        other.cookie = None;
        assert!(!other.begin().set_stamp(&stamp, Reason::CredentialsChanged).await.unwrap());
    });
}

#[test]
fn a_scope_is_entered_and_visited_through_the_exchange() {
    pollster::block_on(async {
        let (mut browser, clock) = browser();
        let limits = Limits { idle_timeout: Some(Duration::from_secs(300)), ..Limits::NONE };
        let class = Class::new(Duration::from_secs(43_200));
        let policy = Policy::builder().class("browser", class);
        browser.gate.sessions().set_policy(policy.scope("finance", limits).build().unwrap());
        let finance = ScopeName::new("finance").unwrap();
        let nobody = browser.begin().enter_scope(&finance).await.unwrap();
        assert!(matches!(nobody, Access::Absent), "{nobody:?}");
        browser.sign_in().await;
        let exchange = browser.begin();
        let refused = exchange.visit_scope(&finance).await.unwrap();
        assert!(matches!(refused, Access::NeedsReauth(_)), "{refused:?}");
        assert!(exchange.enter_scope(&finance).await.unwrap().granted().is_some());
        assert!(exchange.visit_scope(&finance).await.unwrap().granted().is_some(), "at once");
        clock.advance(Duration::from_secs(299));
        assert!(browser.begin().visit_scope(&finance).await.unwrap().granted().is_some());
        clock.advance(Duration::from_secs(301));
        let closed = browser.begin().visit_scope(&finance).await.unwrap();
        assert!(matches!(closed, Access::NeedsReauth(_)), "{closed:?}");
        assert!(browser.begin().session().await.unwrap().is_some());
    });
}

#[test]
fn nothing_is_proved_after_the_headers_are_sent() {
    pollster::block_on(async {
        let (mut browser, _) = browser();
        browser.sign_in().await;
        let ticket = ticket(&browser).await;
        let exchange = browser.begin();
        assert!(exchange.session().await.unwrap().is_some());
        exchange.finish();
        let late = exchange.step_up(&ticket, &proof()).await;
        assert!(matches!(late, Err(Error::Answered)), "{late:?}");
        let stamp = Stamp::new(b"x");
        let late = exchange.set_stamp(&stamp, Reason::CredentialsChanged).await;
        assert!(matches!(late, Err(Error::Answered)), "{late:?}");
    });
}
