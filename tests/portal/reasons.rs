//! Whoever was signed out is told why at the next request, and only then.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use session_engine::{Class, MemoryStore, OnLimit, Policy};

use crate::site::{PASSWORD, Site};
use crate::visitor::{Visitor, reason};

const MINUTE: Duration = Duration::from_secs(60);

/// The sign-in page that the next click leads to, and that a new sign-in ends what it says.
fn told(visitor: &mut Visitor) -> (String, String) {
    let reply = visitor.get("/devices");
    assert_eq!((reply.status, reply.all("location")), (303, vec!["/login"]));
    let page = visitor.get("/login");
    let reason = reason(&page).unwrap_or_default().to_owned();
    visitor.sign_in("alice");
    assert_eq!(crate::visitor::reason(&visitor.get("/login")), None, "it is over");
    (reason, page.body)
}

/// Whoever has been signed out is told why in the language of his browser.
#[test]
fn a_reason_is_told_in_the_language_of_the_browser() {
    let site = Site::new();
    let mut alice = Visitor::signed_in(&site, "alice");
    let cookie = format!("id={}", alice.token());
    alice.post("/logout", &[]);
    for (lang, title) in
        [("en", "Signed out"), ("de-AT,de;q=0.9", "Abgemeldet"), ("fr", "Déconnexion")]
    {
        let fields = [("cookie", cookie.as_bytes()), ("accept-language", lang.as_bytes())];
        let page = alice.send_raw("GET", "/login", &fields).body;
        assert!(page.contains(&format!("<strong>{title}</strong>")), "{page}");
        assert!(page.contains(&format!("<html lang=\"{}\">", &lang[..2])), "{page}");
    }
}

#[test]
fn time_ends_sessions() {
    let site = Site::new();
    let mut alice = Visitor::signed_in(&site, "alice");
    site.clock.advance(30 * MINUTE);
    assert_eq!(told(&mut alice).0, "idle_timeout");

    for _ in 0..24 {
        assert_eq!(alice.get("/").status, 200);
        site.clock.advance(29 * MINUTE);
    }
    assert_eq!(alice.get("/").status, 200);
    site.clock.advance(25 * MINUTE);
    let (reason, page) = told(&mut alice);
    assert_eq!(reason, "absolute_timeout");
    assert!(page.contains("longest allowed time"));
}

#[test]
fn people_end_sessions() {
    let site = Site::new();
    let mut alice = Visitor::signed_in(&site, "alice");
    let mut other = Visitor::signed_in(&site, "alice");
    let mut root = Visitor::signed_in(&site, "root");

    alice.post("/logout", &[]);
    assert_eq!(told(&mut alice).0, "signed_out");

    let id = alice.session();
    other.get("/devices");
    other.post(&format!("/devices/{id}/end"), &[]);
    let (reason, page) = told(&mut alice);
    assert_eq!(reason, "ended_by_owner");
    assert!(page.contains("If that was not you"));
    other.post("/devices/end-others", &[]);
    assert_eq!(told(&mut alice).0, "ended_by_owner");

    let id = alice.session();
    root.post(&format!("/sessions/{id}/end"), &[]);
    let (reason, page) = told(&mut alice);
    assert_eq!(reason, "ended_by_administrator");
    assert!(page.contains("It was done by <b>root</b>."));
    root.post("/sessions/end-user", &[("user", "alice")]);
    assert_eq!(told(&mut alice).0, "ended_by_administrator");
    root.post("/sessions/end-all", &[]);
    assert_eq!(told(&mut alice).0, "everyone_revoked");
    assert_eq!(told(&mut root).0, "everyone_revoked");
}

#[test]
fn other_sign_ins_end_sessions() {
    let browser = Class { max_sessions: NonZeroU32::new(2), ..Class::new(60 * MINUTE) };
    let policy = Policy::builder().class("browser", browser).build().unwrap();
    let site = Site::on(Arc::new(MemoryStore::new()), policy);
    let mut alice = Visitor::signed_in(&site, "alice");
    site.clock.advance(MINUTE);
    Visitor::signed_in(&site, "alice");
    Visitor::signed_in(&site, "alice");
    let (reason, page) = told(&mut alice);
    assert_eq!(reason, "superseded");
    assert!(page.contains("Signed in elsewhere"));

    let old = alice.token();
    alice.sign_in("alice");
    assert_ne!(alice.token(), old);
    alice.jar.insert("id".to_owned(), old);
    assert_eq!(told(&mut alice).0, "replaced");
}

#[test]
fn a_full_house_is_refused_with_the_number() {
    let browser = Class {
        max_sessions: NonZeroU32::new(1),
        on_limit: OnLimit::Reject,
        ..Class::new(60 * MINUTE)
    };
    let policy = Policy::builder().class("browser", browser).build().unwrap();
    let site = Site::on(Arc::new(MemoryStore::new()), policy);
    let mut first = Visitor::signed_in(&site, "alice");
    let mut second = Visitor::of(&site);
    second.get("/login");
    let reply = second.post("/login", &[("username", "alice"), ("password", PASSWORD)]);
    assert_eq!(reply.status, 409);
    assert!(reply.body.contains("as many devices as are allowed: 1"), "{}", reply.body);
    assert!(!second.jar.contains_key("id"));
    assert_eq!(first.get("/").status, 200);
    // The same browser may sign in again.
    first.sign_in("alice");
}
