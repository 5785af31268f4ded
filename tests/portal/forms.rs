//! Who may send which form, and what it may hold.

use crate::site::{PASSWORD, Site};
use crate::visitor::Visitor;

/// Every path that does something for somebody who is signed in, with fields that it takes.
fn actions(id: &str) -> Vec<(String, Vec<(&'static str, &'static str)>)> {
    vec![
        ("/logout".to_owned(), vec![]),
        ("/note".to_owned(), vec![("note", "changed")]),
        ("/preferences".to_owned(), vec![("lang", "de"), ("tz", "UTC")]),
        (format!("/devices/{id}/end"), vec![]),
        (
            "/password".to_owned(),
            vec![("old", PASSWORD), ("new", "fifteen letters"), ("again", "fifteen letters")],
        ),
        ("/finance/unlock".to_owned(), vec![("password", PASSWORD)]),
        ("/devices/end-others".to_owned(), vec![]),
        (format!("/sessions/{id}/end"), vec![]),
        ("/sessions/end-user".to_owned(), vec![("user", "alice")]),
        ("/sessions/end-all".to_owned(), vec![]),
        ("/users/role".to_owned(), vec![("user", "alice"), ("role", "user")]),
        ("/users/state".to_owned(), vec![("user", "alice"), ("state", "disabled")]),
    ]
}

#[test]
fn every_form_that_does_something_is_bound_to_its_session() {
    let site = Site::new();
    let mut root = Visitor::signed_in(&site, "root");
    for path in ["/", "/password", "/devices", "/sessions", "/users", "/audit", "/login"] {
        let page = root.get(path).body;
        let forms: Vec<_> = page.split("<form").skip(1).collect();
        assert!(!forms.is_empty(), "{path}");
        for form in forms {
            let form = form.split("</form>").next().unwrap();
            // What only asks is sent by GET, and would show the value in the address.
            assert_eq!(
                form.contains("method=\"post\""),
                form.contains("<input type=\"hidden\" name=\"csrf\" value=\""),
                "{path}: {form}"
            );
        }
    }
}

#[test]
fn a_form_from_elsewhere_is_refused() {
    let site = Site::new();
    let mut root = Visitor::signed_in(&site, "root");
    let mut alice = Visitor::signed_in(&site, "alice");
    let mut other = Visitor::signed_in(&site, "root");
    let sign_in_form = {
        let mut visitor = Visitor::of(&site);
        visitor.get("/login");
        visitor.csrf
    };
    let (token, id, own) = (root.token(), alice.session(), root.csrf.clone());
    other.get("/");
    let twice = format!("{own}{own}");
    let foreign = ["", "x", &*alice.csrf, &*other.csrf, &*sign_in_form, &*token, &own[1..], &twice];
    for (path, fields) in actions(&id) {
        let missing = root.post_exactly(&path, &fields);
        assert_eq!(missing.status, 403, "{path}");
        assert!(missing.body.contains("Nothing was changed"), "{path}");
        for csrf in foreign {
            let all: Vec<_> = fields.iter().copied().chain([("csrf", csrf)]).collect();
            assert_eq!(root.post_exactly(&path, &all).status, 403, "{path} with {csrf:?}");
        }
        // In the address it does not count; nor does a body that is no form.
        assert_eq!(root.post_exactly(&format!("{path}?csrf={own}"), &fields).status, 403);
        let cookie = format!("id={token}");
        for kind in ["", "text/plain", "application/json", "multipart/form-data; boundary=x"] {
            let fields = [("cookie", cookie.as_bytes()), ("content-type", kind.as_bytes())];
            assert_eq!(root.send_raw("POST", &path, &fields).status, 403, "{path} as {kind:?}");
        }
    }
    assert!(!root.get("/").body.contains("changed"));
    assert_eq!(root.csrf, own, "each of its pages has the same");
    assert_eq!((alice.get("/").status, other.get("/").status), (200, 200));
    assert_eq!(root.token(), token);
    root.sign_in("root");
    assert_ne!(root.csrf, own);
    assert_eq!(root.post_exactly("/logout", &[("csrf", &own)]).status, 403, "of the one before");
}

#[test]
fn a_form_can_be_sent_after_its_page_came_with_a_new_cookie() {
    let site = Site::new();
    let mut alice = Visitor::signed_in(&site, "alice");
    let first = alice.token();
    for _ in 0..3 {
        site.clock.advance(std::time::Duration::from_secs(25 * 60));
        alice.get("/");
    }
    assert_ne!(alice.token(), first, "by the policy, every hour");
    assert!(alice.submit("/note", &[("note", "still here")]).body.contains("still here"));
    // The other way round: the page came with the old one, and the answer to its form brings the new one.
    site.clock.advance(std::time::Duration::from_secs(25 * 60));
    alice.get("/");
    site.clock.advance(std::time::Duration::from_secs(25 * 60));
    alice.get("/");
    let second = alice.token();
    site.clock.advance(std::time::Duration::from_secs(25 * 60));
    assert!(alice.submit("/note", &[("note", "and here")]).body.contains("and here"));
    assert_ne!(alice.token(), second);
    assert!(alice.submit("/note", &[("note", "and now")]).body.contains("and now"));
}

#[test]
fn a_sign_in_form_is_bound_to_its_browser() {
    let site = Site::new();
    let right = [("username", "alice"), ("password", PASSWORD)];
    let (mut one, mut other) = (Visitor::of(&site), Visitor::of(&site));
    assert_eq!(one.post_exactly("/login", &right).status, 403, "without any form");
    one.get("/login");
    other.get("/login");
    assert_eq!(one.post_exactly("/login", &right).status, 403);
    std::mem::swap(&mut one.csrf, &mut other.csrf);
    assert_eq!(one.post("/login", &right).status, 403, "another browser's form");
    std::mem::swap(&mut one.csrf, &mut other.csrf);
    let without = one.jar.remove("sign-in").unwrap();
    assert_eq!(one.post("/login", &right).status, 403, "without the cookie");
    let (until, rest) = without.split_once('.').unwrap();
    let later = until.parse::<i64>().unwrap() + 1_000;
    one.jar.insert("sign-in".to_owned(), format!("{later}.{rest}"));
    assert_eq!(one.post("/login", &right).status, 403, "a deadline that was moved");
    one.jar.insert("sign-in".to_owned(), without);
    assert_eq!(one.post("/login", &right).status, 303);

    site.clock.advance(std::time::Duration::from_secs(2 * 3_600));
    assert_eq!(other.post("/login", &right).status, 403, "it was open for too long");
}

#[test]
fn a_wrong_name_or_password_is_refused_alike() {
    let site = Site::new();
    let mut visitor = Visitor::of(&site);
    visitor.get("/login");
    for (user, password) in [
        ("alice", "wrong"),
        ("alice", ""),
        ("Alice", PASSWORD),
        ("nobody", PASSWORD),
        ("", PASSWORD),
        ("a\0b", PASSWORD),
        ("alice' OR '1'='1", PASSWORD),
        ("<b>alice</b>", PASSWORD),
    ] {
        let reply = visitor.post("/login", &[("username", user), ("password", password)]);
        assert_eq!(reply.status, 401, "{user:?}");
        assert!(reply.body.contains("That user name or password is wrong."), "{user:?}");
        assert!(!reply.body.contains("<b>alice"), "{user:?}");
        assert!(!visitor.jar.contains_key("id"), "{user:?}");
    }
    let long = "x".repeat(30_000);
    let reply = visitor.post("/login", &[("username", &long), ("password", &long)]);
    assert_eq!(reply.status, 401);
    for fields in [vec![("username", "alice")], vec![("password", PASSWORD)], vec![]] {
        assert_eq!(visitor.post("/login", &fields).status, 422, "{fields:?}");
    }
    let reply = visitor.post("/login", &[("username", &"x".repeat(70_000)), ("password", "")]);
    assert_eq!(reply.status, 413);
}

#[test]
fn nobody_without_a_session_gets_further_than_the_sign_in_page() {
    let site = Site::new();
    let id = Visitor::signed_in(&site, "alice").session();
    let mut nobody = Visitor::of(&site);
    for path in
        ["/", "/password", "/devices", "/sessions", "/sessions?user=alice", "/users", "/audit"]
    {
        let reply = nobody.get(path);
        assert_eq!((reply.status, reply.all("location")), (303, vec!["/login"]), "{path}");
        assert!(reply.is_kept_out_of_caches() && reply.body.is_empty(), "{path}");
    }
    for (path, fields) in actions(&id) {
        let reply = nobody.post(&path, &fields);
        assert_eq!((reply.status, reply.all("location")), (303, vec!["/login"]), "{path}");
    }
    assert_eq!(nobody.get("/nowhere").status, 404);
}

#[test]
fn only_an_administrator_sees_and_ends_the_sessions_of_others() {
    let site = Site::new();
    let mut alice = Visitor::signed_in(&site, "alice");
    let mut bob = Visitor::signed_in(&site, "bob");
    let id = bob.session();
    assert!(!alice.get("/").body.contains("/sessions"));
    assert_eq!(alice.get("/sessions").status, 403);
    let of_others = |path: &str| path.starts_with("/sessions/") || path.starts_with("/users/");
    for (path, fields) in actions(&id).into_iter().filter(|(path, _)| of_others(path)) {
        assert_eq!(alice.post(&path, &fields).status, 403, "{path}");
    }

    // Another's session is like one that does not exist.
    let theirs = alice.post(&format!("/devices/{id}/end"), &[]).without_date();
    assert_eq!(theirs.status, 404);
    let mut root = Visitor::signed_in(&site, "root");
    for id in
        ["00000000000000000000000000000000", "AAAAAAAAAAAAAAAAAAAAAA", "x", "%00", "..", "' OR 1"]
    {
        let id = id.replace(' ', "%20");
        assert_eq!(alice.post(&format!("/devices/{id}/end"), &[]).without_date(), theirs, "{id}");
        assert_eq!(root.post(&format!("/sessions/{id}/end"), &[]).status, 404, "{id}");
    }
    assert_eq!(root.post(&format!("/devices/{id}/end"), &[]).status, 404, "root's devices only");
    assert_eq!(bob.get("/").status, 200);
}

#[test]
fn actions_are_not_done_by_looking() {
    let site = Site::new();
    let mut root = Visitor::signed_in(&site, "root");
    let id = root.session();
    // Those that have their form at the same address show it.
    let shown = ["/password", "/finance/unlock"];
    for (path, _) in actions(&id).into_iter().filter(|(path, _)| !shown.contains(&&**path)) {
        let reply = root.get(&path);
        assert_eq!((reply.status, reply.all("allow")), (405, vec!["POST"]), "{path}");
        assert_eq!(root.send("HEAD", &path, "").status, 405, "{path}");
        let mut nobody = Visitor::of(&site);
        assert_eq!(nobody.get(&path).status, 405, "{path}");
    }
    for path in ["/", "/devices", "/sessions"] {
        assert_eq!(root.post(path, &[]).status, 405, "{path}");
        assert_eq!(root.send("DELETE", path, "").status, 405, "{path}");
    }
    assert_eq!(root.get("/").status, 200);
}

#[test]
fn bad_values_are_refused_with_a_message() {
    let site = Site::new();
    let mut alice = Visitor::signed_in(&site, "alice");
    let long = "x".repeat(5_000);
    let (zone, lang) = ("tz must be the name of a time zone", "lang must be one of de, en, fr");
    for (path, fields, says) in [
        ("/preferences", vec![("tz", "Mars/Olympus")], zone),
        ("/preferences", vec![("tz", "")], zone),
        ("/preferences", vec![("tz", "../../etc/passwd")], zone),
        ("/preferences", vec![("tz", &*long)], zone),
        ("/preferences", vec![("lang", "tlh"), ("tz", "UTC")], lang),
        ("/preferences", vec![("lang", "")], lang),
        ("/preferences", vec![("lang", "de"), ("tz", "x")], zone),
        ("/preferences", vec![], "are both missing"),
        ("/note", vec![("note", &*long)], "at most 4000 characters"),
        ("/note", vec![], "The field note is missing"),
    ] {
        let reply = alice.post(path, &fields);
        assert_eq!(reply.status, 422, "{path} {fields:?}");
        assert!(reply.body.contains(says), "{path} {fields:?}: {}", reply.body);
    }
    let home = alice.get("/");
    assert!(home.body.contains("Hello, alice") && home.body.contains("value=\"UTC\""));
    // As long as it may be, in the characters that take most.
    let longest = "\u{1f511}".repeat(4_000);
    assert!(alice.submit("/note", &[("note", &longest)]).body.contains(&longest));
    let reply = alice.post("/note", &[("note", &"x".repeat(70_000))]);
    assert_eq!(reply.status, 413);
}
