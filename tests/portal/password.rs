//! Changing one's password: what it takes, and what it ends.

use std::sync::Arc;
use std::time::Duration;

use session_engine::Policy;

use crate::site::{PASSWORD, Site};
use crate::spy::{Fault, Spy};
use crate::visitor::{Visitor, between, reason};

const NEW: &str = "fifteen letters";

/// The fields of the form.
fn fields<'f>(old: &'f str, new: &'f str, again: &'f str) -> [(&'static str, &'f str); 3] {
    [("old", old), ("new", new), ("again", again)]
}

/// Whether somebody can sign in with a password.
fn opens(site: &Site, user: &str, password: &str) -> bool {
    let mut visitor = Visitor::of(site);
    visitor.get("/login");
    visitor.post("/login", &[("username", user), ("password", password)]).status == 303
}

#[test]
fn a_changed_password_ends_the_other_sessions_and_keeps_this_one() {
    let site = Site::new();
    let mut here = Visitor::signed_in(&site, "alice");
    let mut there = Visitor::signed_in(&site, "alice");
    let mut bob = Visitor::signed_in(&site, "bob");
    here.submit("/note", &[("note", "kept")]);
    let (id, old) = (here.session(), here.token());
    let deadline =
        |page: &str| between(page, "id=\"absolute-deadline\"", "</dd>").unwrap().to_owned();
    let before = deadline(&here.get("/").body);

    assert!(here.get("/").body.contains("href=\"/password\""));
    let page = here.get("/password").body;
    assert_eq!(page.matches("type=\"password\"").count(), 3);
    let home = here.submit("/password", &fields(PASSWORD, NEW, NEW)).body;
    assert!(home.contains("Your password is changed."), "{home}");
    assert!(home.contains("kept") && deadline(&home) == before, "the same session: {home}");
    assert_eq!(here.session(), id);
    assert_ne!(here.token(), old);
    // The forms of its pages are bound to the new token.
    assert!(here.submit("/note", &[("note", "still here")]).body.contains("still here"));

    let mut thief = Visitor::of(&site);
    thief.jar.insert("id".to_owned(), old);
    assert_eq!(thief.get("/").status, 303, "the token from before opens nothing");
    assert_eq!(there.get("/").status, 303);
    let told = there.get("/login");
    assert_eq!(reason(&told), Some("credentials_changed"));
    assert!(told.body.contains("Password changed"));
    assert_eq!(bob.get("/").status, 200);

    assert!(!opens(&site, "alice", PASSWORD) && opens(&site, "alice", NEW));
    assert!(opens(&site, "bob", PASSWORD), "of nobody else");
    // And back again, in the session that went on.
    assert_eq!(here.post("/password", &fields(NEW, PASSWORD, PASSWORD)).status, 303);
    assert!(opens(&site, "alice", PASSWORD) && !opens(&site, "alice", NEW));
}

#[test]
fn a_password_is_not_changed_without_the_old_one() {
    let site = Site::new();
    let mut alice = Visitor::signed_in(&site, "alice");
    let mut other = Visitor::signed_in(&site, "alice");
    alice.get("/password");
    let token = alice.token();
    for old in ["wrong", "", "correct horse & battery ", &"x".repeat(20_000)] {
        let reply = alice.post("/password", &fields(old, NEW, NEW));
        assert_eq!(reply.status, 401, "{old:?}");
        // As on the sign-in page.
        assert!(reply.body.contains("That user name or password is wrong."), "{}", reply.body);
    }
    assert_eq!(alice.token(), token, "nothing was proved");
    let short = "\u{1f511}".repeat(14);
    for (new, again, says) in [
        (&*short, &*short, "is too short"),
        ("", "", "is too short"),
        (NEW, "fifteen lettres", "not typed the same way twice"),
    ] {
        let reply = alice.post("/password", &fields(PASSWORD, new, again));
        assert_eq!(reply.status, 422, "{new:?}");
        assert!(reply.body.contains(says) && reply.body.contains("id=\"refused\""), "{new:?}");
    }
    for missing in 0..3 {
        let mut fields = fields(PASSWORD, NEW, NEW).to_vec();
        let (name, _) = fields.remove(missing);
        let reply = alice.post("/password", &fields);
        assert_eq!(reply.status, 422, "{name}");
    }
    assert_eq!((alice.get("/").status, other.get("/").status), (200, 200));
    assert!(opens(&site, "alice", PASSWORD) && !opens(&site, "alice", NEW));

    // Characters are counted, not bytes: these are as many as it needs.
    let long = "\u{1f511}".repeat(15);
    assert_eq!(alice.post("/password", &fields(PASSWORD, &long, &long)).status, 303);
    assert!(opens(&site, "alice", &long));
}

#[test]
fn changes_at_once_are_not_lost() {
    let site = Site::new();
    let mut sessions: Vec<_> = (0..4).map(|_| Visitor::signed_in(&site, "alice")).collect();
    let mut bob = Visitor::signed_in(&site, "bob");
    let passwords: Vec<_> = (0..4).map(|n| format!("the password number {n}")).collect();
    let done: Vec<bool> = std::thread::scope(|scope| {
        let changes: Vec<_> = sessions
            .iter_mut()
            .zip(&passwords)
            .map(|(alice, new)| {
                scope.spawn(move || {
                    let reply = alice.post("/password", &fields(PASSWORD, new, new));
                    (reply.status, reply.all("location")) == (303, vec!["/"])
                })
            })
            .collect();
        assert_eq!(bob.post("/password", &fields(PASSWORD, NEW, NEW)).status, 303);
        changes.into_iter().map(|change| change.join().unwrap()).collect()
    });
    assert_eq!(done.iter().filter(|done| **done).count(), 1, "{done:?}");
    for ((password, done), session) in passwords.iter().zip(done).zip(&mut sessions) {
        assert_eq!(opens(&site, "alice", password), done, "{password}");
        assert_eq!(session.get("/").status, if done { 200 } else { 303 }, "{password}");
    }
    assert!(opens(&site, "bob", NEW) && !opens(&site, "alice", PASSWORD));
}

#[test]
fn a_proof_of_the_old_password_moves_no_deadline() {
    let site = Site::new();
    let mut alice = Visitor::signed_in(&site, "alice");
    for _ in 0..28 {
        site.clock.advance(Duration::from_secs(25 * 60));
        assert_eq!(alice.get("/password").status, 200);
    }
    assert_eq!(alice.post("/password", &fields(PASSWORD, NEW, NEW)).status, 303);
    site.clock.advance(Duration::from_secs(20 * 60));
    assert_eq!(alice.get("/").status, 303, "twelve hours after the sign-in");
    assert_eq!(reason(&alice.get("/login")), Some("absolute_timeout"));
}

#[test]
fn a_password_whose_change_ends_no_session_is_not_changed() {
    let spy = Arc::new(Spy::default());
    let site = Site::on(spy.clone(), Policy::default());
    let mut alice = Visitor::signed_in(&site, "alice");
    let mut other = Visitor::signed_in(&site, "alice");
    spy.set(Some(Fault::Stamps));
    assert_eq!(alice.post("/password", &fields(PASSWORD, NEW, NEW)).status, 503);
    spy.set(None);
    assert!(opens(&site, "alice", PASSWORD) && !opens(&site, "alice", NEW));
    assert_eq!((alice.get("/").status, other.get("/").status), (200, 200));
    assert_eq!(alice.post("/password", &fields(PASSWORD, NEW, NEW)).status, 303);
    assert_eq!((alice.get("/").status, other.get("/").status), (200, 303));
}
