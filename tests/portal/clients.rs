//! Where a session seems to come from, and what becomes of it when that changes.

use std::sync::Arc;

use session_engine::client::Proxies;
use session_engine::risk::Mode;
use session_engine::{MemoryStore, Policy};

use crate::site::Site;
use crate::visitor::{Visitor, reason};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const CHROME: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 \
    Safari/537.36";
const PHONE: &str = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/141.0.0.0 Mobile Safari/537.36";

fn site(proxies: Proxies, risk: Mode) -> Site {
    Site::fitted(Arc::new(MemoryStore::new()), Policy::default(), proxies, risk)
}

/// Somebody who has signed in with Firefox, and clicked.
fn alice(site: &Site) -> Visitor {
    let mut alice = Visitor::of(site).with_agent(FIREFOX);
    alice.sign_in("alice");
    assert_eq!(alice.get("/").status, 200);
    alice
}

/// The same cookie in another browser.
fn stolen(from: &Visitor, site: &Site, agent: &'static str) -> Visitor {
    let mut thief = Visitor::of(site).with_agent(agent);
    thief.jar = from.jar.clone();
    thief
}

#[test]
fn a_cookie_in_another_browser_is_held_back_until_its_holder_signs_in() {
    let site = site(Proxies::none(), Mode::Enforce);
    let alice = alice(&site);
    let mut thief = stolen(&alice, &site, CHROME);
    assert_eq!(thief.get("/").status, 303);
    let page = thief.get("/login");
    assert!(page.body.contains("held-back"), "{}", page.body);
    assert_eq!(reason(&page), None, "it has not ended");

    let mut alice = stolen(&alice, &site, FIREFOX);
    assert_eq!(alice.get("/").status, 303, "nobody gets rid of it by going back");
    alice.sign_in("alice");
    assert_eq!(alice.get("/").status, 200);
    assert_eq!(thief.get("/").status, 303);
    assert_eq!(reason(&thief.get("/login")), Some("replaced"));
}

#[test]
fn a_cookie_on_another_device_ends_the_session_and_both_are_told() {
    let site = site(Proxies::none(), Mode::Enforce);
    let mut alice = alice(&site);
    let mut thief = stolen(&alice, &site, PHONE);
    assert_eq!(thief.get("/").status, 303);
    for visitor in [&mut thief, &mut alice] {
        assert_eq!(visitor.get("/").status, 303);
        assert_eq!(reason(&visitor.get("/login")), Some("risk_detected"));
    }
}

#[test]
fn to_observe_changes_nothing_for_anybody() {
    let site = site(Proxies::none(), Mode::Observe);
    let mut alice = alice(&site);
    assert!(!alice.get("/devices").body.contains("id=\"unusual\""));
    for agent in [CHROME, PHONE, FIREFOX] {
        assert_eq!(stolen(&alice, &site, agent).get("/").status, 200);
    }
    let page = alice.get("/devices").body;
    assert!(page.contains("id=\"unusual\""), "but its owner is told: {page}");
    assert!(alice.get("/history").body.contains("Unusual use noticed"));
}

#[test]
fn the_address_is_the_one_that_a_trusted_proxy_tells_and_no_other() {
    for (proxies, shown) in [("none", "127.0.0.1"), ("x-forwarded-for hops=1", "203.0.113.9")] {
        let site = site(proxies.parse().unwrap(), Mode::Observe);
        let mut alice = Visitor::of(&site).forwarded_for("6.6.6.6, 203.0.113.9");
        alice.sign_in("alice");
        let page = alice.get("/devices").body;
        assert!(page.contains(shown) && !page.contains("6.6.6.6"), "{proxies}: {page}");
    }
}
