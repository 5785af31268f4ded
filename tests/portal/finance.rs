//! The finance area: opened with the password, and closed by limits of its own.

use std::sync::Arc;
use std::time::Duration;

use session_engine::{MemoryStore, Policy};

use crate::site::{PASSWORD, Site};
use crate::visitor::{Visitor, between};

const FILE: &str = include_str!("../../examples/portal/policy.toml");
const MINUTE: Duration = Duration::from_secs(60);

fn site(policy: &str) -> Site {
    Site::on(Arc::new(MemoryStore::new()), Policy::from_toml(policy).unwrap())
}

/// Why the area asks for the password; empty if it is open.
fn why(visitor: &mut Visitor) -> Vec<String> {
    let reply = visitor.get("/finance");
    if reply.status == 200 {
        assert!(reply.body.contains("12 480.00 EUR"));
        return Vec::new();
    }
    assert_eq!((reply.status, reply.all("location")), (303, vec!["/finance/unlock"]));
    let page = visitor.get("/finance/unlock");
    assert_eq!(page.status, 200);
    assert!(!page.body.contains("12 480.00 EUR"));
    let codes = page.body.split("data-why=\"").skip(1);
    codes.map(|code| code.split('"').next().unwrap().to_owned()).collect()
}

fn unlock(visitor: &mut Visitor) {
    let reply = visitor.post("/finance/unlock", &[("password", PASSWORD)]);
    assert_eq!((reply.status, reply.all("location")), (303, vec!["/finance"]));
}

#[test]
fn the_area_is_opened_by_the_password_and_closes_by_itself() {
    let site = site(FILE);
    let mut alice = Visitor::signed_in(&site, "alice");
    let old = alice.token();
    assert!(alice.get("/").body.contains("href=\"/finance\""));
    assert_eq!(why(&mut alice), ["not_entered"], "the sign-in was a moment ago, and is not enough");
    unlock(&mut alice);
    assert_ne!(alice.token(), old, "whoever proves more gets a new token");
    let page = alice.get("/finance").body;
    let deadline = |page: &str, name: &str| {
        let text = between(page, &format!("id=\"scope-{name}-deadline\"><strong>"), "<").unwrap();
        text.to_owned()
    };
    assert_eq!(deadline(&page, "idle"), "in 5m");
    assert_eq!(deadline(&page, "absolute"), "in 30m");
    assert_eq!(alice.get("/finance/unlock").all("location"), ["/finance"], "it is open");

    // To use it keeps it open, to use something else does not.
    site.clock.advance(4 * MINUTE);
    let page = alice.get("/finance").body;
    assert_eq!(deadline(&page, "idle"), "in 5m");
    assert_eq!(deadline(&page, "absolute"), "in 26m");
    site.clock.advance(4 * MINUTE);
    assert_eq!(why(&mut alice), [""; 0]);
    for _ in 0..5 {
        site.clock.advance(MINUTE);
        assert_eq!(alice.get("/").status, 200);
        alice.get("/note");
    }
    assert_eq!(why(&mut alice), ["idle_timeout", "too_long_ago"]);
    assert!(alice.get("/").body.contains("Hello, alice"), "the session goes on");

    alice.get("/finance/unlock");
    unlock(&mut alice);
    for _ in 0..7 {
        assert_eq!(why(&mut alice), [""; 0]);
        site.clock.advance(4 * MINUTE);
    }
    assert_eq!(why(&mut alice), [""; 0]);
    site.clock.advance(2 * MINUTE);
    assert_eq!(why(&mut alice), ["absolute_timeout", "too_long_ago"]);
}

#[test]
fn it_is_not_opened_by_less_than_the_password() {
    let site = site(FILE);
    let mut alice = Visitor::signed_in(&site, "alice");
    let mut other = Visitor::signed_in(&site, "alice");
    site.clock.advance(6 * MINUTE);
    assert_eq!(why(&mut alice), ["not_entered", "too_long_ago"]);
    let token = alice.token();
    for wrong in ["", "wrong", "fifteen letters"] {
        let reply = alice.post("/finance/unlock", &[("password", wrong)]);
        assert_eq!(reply.status, 401);
        assert!(reply.body.contains("That user name or password is wrong."));
        assert_eq!(why(&mut alice), ["not_entered", "too_long_ago"]);
    }
    assert_eq!(alice.post("/finance/unlock", &[]).status, 422);
    assert_eq!(alice.token(), token);
    unlock(&mut alice);
    assert_eq!(why(&mut alice), [""; 0]);
    assert_eq!(why(&mut other), ["not_entered", "too_long_ago"], "each session by itself");
    alice.sign_in("alice");
    assert_eq!(why(&mut alice), ["not_entered"], "a new session has opened nothing");
}

#[test]
fn a_password_is_too_little_for_a_higher_level() {
    let site = site(&FILE.replace("level = 1", "level = 2"));
    let mut alice = Visitor::signed_in(&site, "alice");
    assert_eq!(why(&mut alice), ["not_entered", "level"]);
    let page = alice.get("/finance/unlock").body;
    assert!(page.contains("A password alone does not open it") && !page.contains("#password"));
    let reply = alice.post("/finance/unlock", &[("password", PASSWORD)]);
    assert_eq!((reply.status, reply.all("location")), (303, vec!["/finance/unlock"]));
    assert_eq!(why(&mut alice), ["not_entered", "level"]);
}

#[test]
fn a_proof_moves_no_deadline_of_the_session() {
    let site = site(FILE);
    let mut alice = Visitor::signed_in(&site, "alice");
    for _ in 0..28 {
        site.clock.advance(25 * MINUTE);
        alice.get("/finance/unlock");
    }
    unlock(&mut alice);
    let page = alice.get("/finance").body;
    assert!(page.contains("id=\"scope-absolute-deadline\"><strong>in 20m<"), "{page}");
    site.clock.advance(20 * MINUTE);
    assert_eq!(alice.get("/finance").all("location"), ["/login"]);
}

#[test]
fn without_the_scope_there_is_no_such_area() {
    let site = Site::new();
    let mut root = Visitor::signed_in(&site, "root");
    assert!(!root.get("/").body.contains("/finance"));
    assert_eq!(root.get("/finance").status, 404);
    assert_eq!(root.get("/finance/unlock").status, 404);
    let token = root.token();
    root.get("/");
    assert_eq!(root.post("/finance/unlock", &[("password", PASSWORD)]).status, 404);
    assert_eq!(root.token(), token);
}

#[test]
fn its_words_are_in_the_language_of_its_user() {
    let site = site(FILE);
    let mut alice = Visitor::signed_in(&site, "alice");
    for (lang, says) in [("de", "noch nicht ge\u{f6}ffnet"), ("fr", "pas encore ouvert")] {
        alice.submit("/preferences", &[("lang", lang)]);
        assert!(alice.get("/finance/unlock").body.contains(says), "{lang}");
    }
}
