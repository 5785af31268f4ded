//! What the portal asks of its store, and what becomes of people when it fails or the portal is started anew.

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use session_engine::{Policy, StoreErrorKind};

use crate::site::{PASSWORD, Site};
use crate::spy::{Fault, Spy};
use crate::visitor::{Visitor, reason};

#[test]
fn visitors_store_nothing() {
    let spy = Arc::new(Spy::default());
    let site = Site::on(spy.clone(), Policy::default());
    for _ in 0..3 {
        let mut nobody = Visitor::of(&site);
        for path in [
            "/",
            "/login",
            "/password",
            "/devices",
            "/history",
            "/finance",
            "/sessions",
            "/users",
            "/audit",
            "/audit.jsonl",
            "/nowhere",
            "/style.css",
            "/note",
        ] {
            nobody.get(path);
        }
        nobody.post("/note", &[("note", "x")]);
        nobody.post("/preferences", &[("lang", "de")]);
    }
    assert_eq!(spy.calls(), Vec::<&str>::new(), "not even asked");
    let mut stranger = Visitor::of(&site);
    stranger.get("/login");
    stranger.post("/login", &[("username", "alice"), ("password", "wrong")]);
    assert_eq!(spy.calls(), ["marks"], "the ticket of a login only reads");
}

#[test]
fn looking_costs_one_read() {
    let spy = Arc::new(Spy::default());
    let site = Site::on(spy.clone(), Policy::default());
    let mut alice = Visitor::signed_in(&site, "alice");
    spy.calls();
    for _ in 0..3 {
        alice.get("/");
        assert_eq!(spy.calls(), ["load"]);
    }
    for path in ["/style.css", "/icon.svg", "/nowhere"] {
        alice.get(path);
        assert_eq!(spy.calls(), Vec::<&str>::new(), "{path}");
    }
}

#[test]
fn a_store_that_fails_makes_nobody_anonymous() {
    let spy = Arc::new(Spy::default());
    let site = Site::on(spy.clone(), Policy::default());
    let mut root = Visitor::signed_in(&site, "root");
    let mut visitor = Visitor::of(&site);
    visitor.get("/login");
    let jar = root.jar.clone();
    for kind in [StoreErrorKind::Unavailable, StoreErrorKind::StorageFull] {
        spy.set(Some(Fault::Down(kind)));
        for path in [
            "/",
            "/password",
            "/devices",
            "/history",
            "/sessions",
            "/audit",
            "/audit.jsonl",
            "/login",
        ] {
            let reply = root.get(path);
            assert_eq!(reply.status, 503, "{path}");
            assert!(reply.all("set-cookie").is_empty() && reply.is_kept_out_of_caches(), "{path}");
            assert!(reply.body.contains("You have not been signed out."), "{path}");
            assert!(!reply.body.contains("out of order"), "{path}");
        }
        for (path, fields) in [
            ("/logout", vec![]),
            ("/note", vec![("note", "lost")]),
            ("/devices/end-others", vec![]),
            ("/sessions/end-all", vec![]),
        ] {
            assert_eq!(root.post(path, &fields).status, 503, "{path}");
        }
        let right = [("username", "alice"), ("password", PASSWORD)];
        assert_eq!(visitor.post("/login", &right).status, 503);
        assert_eq!(root.get("/style.css").status, 200);
        spy.set(None);
        assert_eq!(root.jar, jar, "nobody was signed out");
        assert_eq!(root.get("/").status, 200);
    }
}

#[test]
fn a_damaged_session_harms_only_its_holder_who_can_sign_in_again() {
    let spy = Arc::new(Spy::default());
    let site = Site::on(spy.clone(), Policy::default());
    let mut alice = Visitor::signed_in(&site, "alice");
    let damaged = alice.token();
    spy.set(Some(Fault::Damaged));
    let reply = alice.get("/");
    assert_eq!(reply.status, 500);
    assert!(reply.body.contains("href=\"/login\""), "{}", reply.body);
    assert_eq!(reason(&alice.get("/login")), None);
    let reply = alice.post("/login", &[("username", "alice"), ("password", PASSWORD)]);
    assert_eq!(reply.status, 303);
    spy.set(None);
    assert_ne!(alice.token(), damaged);
    assert_eq!(alice.get("/").status, 200);
}

#[test]
fn sessions_outlive_the_process_in_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("portal.db").display());
    let open = || pollster::block_on(session_engine::open(&url)).unwrap();
    let (jar, ended, secrets, forms);
    {
        let site = Site::on(open(), Policy::default());
        let mut alice = Visitor::signed_in(&site, "alice");
        alice.submit("/note", &[("note", "for later")]);
        alice.submit("/preferences", &[("lang", "de"), ("tz", "Europe/Berlin")]);
        let mut other = Visitor::signed_in(&site, "alice");
        let id = other.session();
        alice.submit(&format!("/devices/{id}/end"), &[]);
        secrets = [alice.token(), other.token()];
        forms = [alice.csrf, other.csrf];
        (jar, ended) = (alice.jar, other.jar);
    }
    let site = Site::on(open(), Policy::default());
    let mut alice = Visitor::of(&site);
    alice.jar = jar;
    let home = alice.get("/");
    assert_eq!(home.status, 200);
    assert!(home.body.contains("Guten Tag, alice") && home.body.contains("for later"));
    assert!(alice.submit("/note", &[("note", "still")]).body.contains("still"), "her forms too");
    let mut other = Visitor::of(&site);
    other.jar = ended;
    assert_eq!(other.get("/").status, 303);
    assert_eq!(reason(&other.get("/login")), Some("ended_by_owner"));

    drop(site);
    assert_nowhere(directory.path(), &secrets, &forms);
}

/// That no file of a directory holds these tokens or texts. Not to be asked while this process has a database
/// open there: to read its file would give up its locks.
pub(crate) fn assert_nowhere(directory: &Path, tokens: &[String], texts: &[String]) {
    for file in std::fs::read_dir(directory).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            assert_nowhere(&path, tokens, texts);
        } else {
            assert_not_in(
                &std::fs::read(&path).unwrap(),
                &path.display().to_string(),
                tokens,
                texts,
            );
        }
    }
}

/// That these bytes, which are of a place, hold none of these tokens or texts.
pub(crate) fn assert_not_in(bytes: &[u8], place: &str, tokens: &[String], texts: &[String]) {
    let holds = |secret: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
    for token in tokens {
        let raw = URL_SAFE_NO_PAD.decode(&token[5..]).unwrap();
        let hex: String = raw[16..].iter().map(|byte| format!("{byte:02x}")).collect();
        // The secret of a token is what follows its id.
        for secret in [&token.as_bytes()[5..], &token.as_bytes()[27..], &raw[16..], hex.as_bytes()]
        {
            assert!(!holds(secret), "a token stands in {place}");
        }
    }
    for text in texts {
        assert!(!holds(text.as_bytes()), "a secret stands in {place}");
    }
}
