//! Staying signed in, and how many sessions one may have.

use std::sync::Arc;
use std::time::Duration;

use session_engine::{Class, MemoryStore, OnLimit, Policy};

use crate::client::Reply;
use crate::site::{PASSWORD, Site};
use crate::visitor::{Visitor, between, reason};

const HOUR: Duration = Duration::from_secs(3_600);
const FILE: &str = include_str!("../../examples/portal/policy.toml");

/// Signs in with these fields beside name and password; what the browser is told of the session's cookie.
fn sign_in(visitor: &mut Visitor, more: &[(&str, &str)]) -> String {
    visitor.get("/login");
    let fields: Vec<_> =
        [("username", "alice"), ("password", PASSWORD)].iter().chain(more).copied().collect();
    let reply = visitor.post("/login", &fields);
    assert_eq!(reply.status, 303, "{more:?}");
    cookie(&reply)
}

fn cookie(reply: &Reply) -> String {
    let set = reply.all("set-cookie").into_iter().find(|set| set.starts_with("id=ses1_"));
    set.unwrap().to_owned()
}

#[test]
fn whoever_asks_for_it_stays_signed_in_over_the_end_of_his_browser() {
    let site = Site::new();
    let mut alice = Visitor::of(&site);
    assert!(alice.get("/login").body.contains("name=\"remember\" type=\"checkbox\""));
    let set = sign_in(&mut alice, &[("remember", "yes")]);
    assert!(set.ends_with("; Max-Age=2592000"), "thirty days: {set}");
    for more in [vec![], vec![("remember", "")], vec![("remember", "no")]] {
        let mut other = Visitor::of(&site);
        let set = sign_in(&mut other, &more);
        assert!(set.ends_with("; Path=/"), "gone with the browser: {set}");
        assert!(other.get("/").body.contains("in 12h"));
    }
    assert!(alice.get("/").body.contains("in 14days") && alice.get("/").body.contains("in 30days"));
    site.clock.advance(13 * 24 * HOUR);
    let home = alice.get("/");
    assert_eq!(home.status, 200);
    // The secret is of age: its successor stays no longer than the session.
    assert!(cookie(&home).ends_with("; Max-Age=1468800"), "seventeen days: {}", cookie(&home));
    for _ in 0..2 {
        site.clock.advance(9 * 24 * HOUR);
        let status = alice.get("/").status;
        assert!(status == 200 || reason(&alice.get("/login")) == Some("absolute_timeout"));
    }
    assert_eq!(alice.get("/").status, 303);
}

#[test]
fn without_such_a_class_nobody_is_asked() {
    let policy = Policy::builder().class("browser", Class::new(HOUR)).build().unwrap();
    let site = Site::on(Arc::new(MemoryStore::new()), policy);
    let mut alice = Visitor::of(&site);
    assert!(!alice.get("/login").body.contains("remember"));
    let set = sign_in(&mut alice, &[("remember", "yes")]);
    assert!(set.ends_with("; Path=/"), "{set}");
}

#[test]
fn the_devices_page_tells_how_many_there_may_be() {
    let site = Site::on(Arc::new(MemoryStore::new()), Policy::from_toml(FILE).unwrap());
    let mut alice = Visitor::signed_in(&site, "alice");
    let mut phone = Visitor::signed_in(&site, "alice");
    let mut remembered = Visitor::of(&site);
    sign_in(&mut remembered, &[("remember", "yes")]);
    Visitor::signed_in(&site, "bob");
    let room = |visitor: &mut Visitor| {
        let page = visitor.get("/devices").body;
        between(&page, "id=\"room\" ", "</span>").map(str::to_owned)
    };
    let told = room(&mut alice).unwrap();
    assert!(told.contains("data-live=\"2\" data-limit=\"10\""), "of this class alone: {told}");
    assert!(told.contains("These are <b>2</b> of at most <b>10</b> sessions"), "{told}");
    assert_eq!(room(&mut remembered), None, "its class has no limit");
    phone.post("/logout", &[]);
    assert!(room(&mut alice).unwrap().contains("data-live=\"1\""));
}

#[test]
fn all_pages_are_counted() {
    let browser = Class::new(HOUR).max_sessions(150, OnLimit::EvictLeastRecent);
    let policy = Policy::builder().class("browser", browser).build().unwrap();
    let site = Site::on(Arc::new(MemoryStore::new()), policy);
    let mut alice = Visitor::signed_in(&site, "alice");
    for _ in 0..101 {
        Visitor::signed_in(&site, "alice");
    }
    assert!(alice.get("/devices").body.contains("data-live=\"102\" data-limit=\"150\""));
}
