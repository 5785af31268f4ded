//! An administrator changes roles and disables accounts: sessions end with that reason.

use std::sync::Arc;

use session_engine::{MemoryStore, Policy};

use crate::site::{PASSWORD, Site};
use crate::spy::{Fault, Spy};
use crate::visitor::{Visitor, between, reason};

fn role(root: &mut Visitor, user: &str, role: &str) {
    let page = root.submit("/users/role", &[("user", user), ("role", role)]).body;
    assert!(page.contains("The role is changed."), "{page}");
}

fn state(root: &mut Visitor, user: &str, state: &str) -> String {
    root.submit("/users/state", &[("user", user), ("state", state)]).body
}

/// What a sign-in with the right password is answered.
fn sign_in(site: &Site, user: &str, password: &str) -> (u16, String) {
    let mut visitor = Visitor::of(site);
    visitor.get("/login");
    let reply = visitor.post("/login", &[("username", user), ("password", password)]);
    let refused = between(&reply.body, "id=\"refused\"", "</p>").unwrap_or_default();
    (reply.status, refused.to_owned())
}

#[test]
fn a_changed_role_ends_the_users_sessions_and_takes_effect() {
    let site = Site::new();
    let mut alice = Visitor::signed_in(&site, "alice");
    let mut bob = Visitor::signed_in(&site, "bob");
    let mut root = Visitor::signed_in(&site, "root");
    assert!(root.get("/").body.contains("href=\"/users\""));
    assert_eq!(root.get("/users").body.matches("data-user=\"").count(), 3);
    // As often as it is changed, and to what it was before too.
    for _ in 0..2 {
        for (to, status) in [("administrator", 200), ("user", 403)] {
            role(&mut root, "alice", to);
            assert_eq!(alice.get("/").status, 303);
            let page = alice.get("/login");
            assert_eq!(reason(&page), Some("role_changed"));
            assert!(page.body.contains("Permissions changed"), "{}", page.body);
            assert!(page.body.contains("It was done by <b>root</b>."), "{}", page.body);
            alice.sign_in("alice");
            assert_eq!(alice.get("/users").status, status);
            assert_eq!(alice.get("/audit").status, status);
        }
    }
    assert_eq!((bob.get("/").status, root.get("/").status), (200, 200));
}

#[test]
fn a_disabled_account_is_signed_out_and_refused_like_any_other() {
    let site = Site::new();
    let mut alice = Visitor::signed_in(&site, "alice");
    let mut other = Visitor::signed_in(&site, "alice");
    let mut root = Visitor::signed_in(&site, "root");
    root.get("/users");
    assert!(state(&mut root, "alice", "disabled").contains("The account is disabled."));
    for visitor in [&mut alice, &mut other] {
        assert_eq!(visitor.get("/").status, 303);
        let page = visitor.get("/login");
        assert_eq!(reason(&page), Some("subject_disabled"));
    }
    let refused = sign_in(&site, "alice", PASSWORD);
    assert_eq!(refused.0, 401);
    assert_eq!(refused, sign_in(&site, "nobody", PASSWORD));
    assert_eq!(refused, sign_in(&site, "bob", "wrong"));

    assert!(state(&mut root, "alice", "enabled").contains("The account is enabled."));
    assert_eq!(alice.get("/").status, 303, "what has ended stays so");
    alice.sign_in("alice");
    assert_eq!(alice.get("/").status, 200);
}

#[test]
fn nobody_changes_his_own_account_or_without_being_an_administrator() {
    let site = Site::new();
    let mut alice = Visitor::signed_in(&site, "alice");
    let mut root = Visitor::signed_in(&site, "root");
    assert!(!alice.get("/").body.contains("/users"));
    assert_eq!(alice.get("/users").status, 403);
    assert_eq!(
        alice.post("/users/role", &[("user", "alice"), ("role", "administrator")]).status,
        403
    );
    root.get("/users");
    for (path, fields, says) in [
        ("/users/role", vec![("user", "root"), ("role", "user")], "Your own account"),
        ("/users/state", vec![("user", "root"), ("state", "disabled")], "Your own account"),
        ("/users/role", vec![("user", "nobody"), ("role", "user")], "Nobody is called nobody."),
        ("/users/role", vec![("user", "<b>"), ("role", "user")], "called &lt;b&gt;."),
        ("/users/role", vec![("user", ""), ("role", "user")], "user is no name"),
        ("/users/role", vec![("user", "alice"), ("role", "king")], "role must be"),
        ("/users/role", vec![("user", "alice")], "The field role is missing"),
        ("/users/role", vec![("role", "user")], "The field user is missing"),
        ("/users/state", vec![("user", "alice"), ("state", "")], "state must be"),
    ] {
        let reply = root.post(path, &fields);
        assert_eq!(reply.status, 422, "{fields:?}");
        assert!(reply.body.contains(says), "{fields:?}: {}", reply.body);
    }
    assert_eq!((alice.get("/").status, root.get("/users").status), (200, 200));
}

#[test]
fn an_administrator_of_the_past_changes_nothing() {
    let site = Site::new();
    let mut root = Visitor::signed_in(&site, "root");
    let mut alice = Visitor::signed_in(&site, "alice");
    root.get("/users");
    role(&mut root, "alice", "administrator");
    alice.sign_in("alice");
    alice.get("/users");
    // They disable each other at once: one of them stays.
    let mut statuses = std::thread::scope(|scope| {
        let one = scope.spawn(|| root.post("/users/role", &[("user", "alice"), ("role", "user")]));
        let two = scope.spawn(|| alice.post("/users/role", &[("user", "root"), ("role", "user")]));
        [one, two].map(|thread| thread.join().unwrap())
    });
    statuses.sort_by_key(|reply| (reply.status, reply.all("location") != ["/users"]));
    let done = statuses.iter().filter(|reply| reply.all("location") == ["/users"]).count();
    assert_eq!(done, 1, "{statuses:?}");
}

#[test]
fn what_the_store_fails_to_end_is_ended_by_the_same_form_sent_again() {
    let spy = Arc::new(Spy::default());
    let site = Site::on(spy.clone(), Policy::default());
    let mut alice = Visitor::signed_in(&site, "alice");
    let mut root = Visitor::signed_in(&site, "root");
    root.get("/users");
    spy.set(Some(Fault::Stamps));
    let fields = [("user", "alice"), ("state", "disabled")];
    assert_eq!(root.post("/users/state", &fields).status, 503);
    spy.set(None);
    assert_eq!(alice.get("/").status, 200, "her session lives, and nothing else was said");
    assert_eq!(sign_in(&site, "alice", PASSWORD).0, 401, "she is disabled");
    assert_eq!(root.post("/users/state", &fields).status, 303);
    assert_eq!(alice.get("/").status, 303);
}

#[test]
fn roles_and_passwords_that_change_at_once_both_change() {
    let site = Site::on(Arc::new(MemoryStore::new()), Policy::default());
    let mut root = Visitor::signed_in(&site, "root");
    root.get("/users");
    let mut alice = Visitor::signed_in(&site, "alice");
    let new = "fifteen letters";
    std::thread::scope(|scope| {
        scope.spawn(|| {
            alice.post("/password", &[("old", PASSWORD), ("new", new), ("again", new)]);
        });
        for to in ["administrator", "user", "administrator"] {
            role(&mut root, "bob", to);
        }
    });
    assert_eq!(sign_in(&site, "alice", new).0, 303);
    let mut bob = Visitor::signed_in(&site, "bob");
    assert_eq!(bob.get("/users").status, 200);
}
