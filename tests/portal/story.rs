//! What people do with the portal, when all goes well.

use std::time::Duration;

use crate::site::{PASSWORD, Site};
use crate::visitor::{Visitor, between};

#[test]
fn signing_in_gives_a_new_cookie_and_signing_out_takes_it_away() {
    let site = Site::new();
    let mut alice = Visitor::of(&site);
    let form = alice.get("/login");
    assert_eq!(form.status, 200);
    assert!(form.is_kept_out_of_caches(), "{:?}", form.headers);
    assert!(!alice.jar.contains_key("id"), "nothing is begun for a visitor");

    let reply = alice.post("/login", &[("username", "alice"), ("password", PASSWORD)]);
    assert_eq!((reply.status, reply.all("location")), (303, vec!["/"]));
    assert!(reply.is_kept_out_of_caches(), "{:?}", reply.headers);
    let first = alice.token();
    let set = reply.all("set-cookie").into_iter().find(|set| set.starts_with("id=ses1_")).unwrap();
    assert_eq!(set, format!("id={first}; HttpOnly; SameSite=Lax; Path=/"));

    let home = alice.get("/");
    assert_eq!(home.status, 200);
    assert!(home.is_kept_out_of_caches(), "{:?}", home.headers);
    assert!(home.body.contains("Hello, alice!") && home.body.contains("data-state=\"active\""));
    assert!(home.body.contains("in 30m") && home.body.contains("in 12h"), "{}", home.body);
    assert!(home.body.contains("2026-01-01 12:30:00 UTC"));
    assert!(home.body.contains("2026-01-02 00:00:00 UTC"));

    // Another sign-in in the same browser: another token.
    alice.sign_in("alice");
    assert_ne!(alice.token(), first);
    let devices = alice.get("/devices").body;
    assert_eq!(devices.matches("data-session=").count(), 1);

    let out = alice.post("/logout", &[]);
    assert_eq!((out.status, out.all("location")), (303, vec!["/login"]));
    assert!(out.all("set-cookie").iter().any(|set| set.starts_with("id=; ")));
    assert!(!alice.jar.contains_key("id"));
    assert_eq!(alice.get("/").status, 303);
}

#[test]
fn a_note_and_preferences_are_kept_and_shown() {
    let site = Site::new();
    let mut alice = Visitor::signed_in(&site, "alice");
    let note = "</textarea><script>alert('x')</script> \"&\" Zo\u{eb}\r\n\r\nlast";
    let home = alice.submit("/note", &[("note", note)]);
    assert!(home.body.contains("Your note is saved."));
    let shown = between(&home.body, "<textarea", "</textarea>").unwrap();
    let escaped = "&lt;/textarea&gt;&lt;script&gt;alert('x')&lt;/script&gt; &quot;&amp;&quot; Zo\u{eb}\n\nlast";
    assert!(shown.ends_with(&format!(">\n{escaped}")), "{shown}");
    assert!(!home.body.contains("<script"), "{}", home.body);
    assert!(!alice.get("/").body.contains("Your note is saved."), "it is said once");

    let home = alice.submit("/preferences", &[("lang", "fr"), ("tz", "america/new_york")]);
    assert!(home.body.contains("<html lang=\"fr\">") && home.body.contains("Bonjour, alice"));
    assert!(home.body.contains("2026-01-01 07:30:00 EST"), "{}", home.body);
    assert!(home.body.contains("value=\"America/New_York\""));
    // Each by itself too.
    let home = alice.submit("/preferences", &[("tz", "UTC")]);
    assert!(home.body.contains("Bonjour") && home.body.contains("12:30:00 UTC"));
    let home = alice.submit("/preferences", &[("lang", "de")]);
    assert!(home.body.contains("Guten Tag") && home.body.contains(escaped));

    let home = alice.submit("/note", &[("note", "")]);
    assert_eq!(
        between(&home.body, "<textarea", "</textarea>").unwrap().split('>').nth(1),
        Some("\n")
    );

    // Whoever signs in once more keeps the preferences, but not the note; somebody else gets neither.
    alice.submit("/note", &[("note", "for me only")]);
    let home = alice.sign_in("alice").body;
    assert!(home.contains("Guten Tag, alice") && !home.contains("for me only"), "{home}");
    let home = alice.sign_in("bob").body;
    assert!(home.contains("Hello, bob") && !home.contains("for me only"), "{home}");
}

#[test]
fn two_tabs_that_save_at_once_keep_both() {
    let site = Site::new();
    let mut alice = Visitor::signed_in(&site, "alice");
    let jar = alice.jar.clone();
    std::thread::scope(|scope| {
        for tab in 0..2 {
            let mut visitor = Visitor::of(&site);
            visitor.jar.clone_from(&jar);
            visitor.csrf.clone_from(&alice.csrf);
            scope.spawn(move || {
                for round in 0..10 {
                    let reply = if tab == 0 {
                        visitor.post("/note", &[("note", &format!("round {round}"))])
                    } else {
                        let lang = ["de", "fr"][round % 2];
                        visitor.post("/preferences", &[("lang", lang), ("tz", "Asia/Tokyo")])
                    };
                    assert_eq!((reply.status, reply.all("location")), (303, vec!["/"]));
                }
            });
        }
    });
    let home = alice.get("/").body;
    assert!(home.contains("round 9") && home.contains("Bonjour") && home.contains("JST"), "{home}");
}

#[test]
fn devices_are_listed_and_ended() {
    let site = Site::new();
    let mut laptop = Visitor::of(&site)
        .with_agent("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0");
    laptop.sign_in("alice");
    site.clock.advance(Duration::from_secs(120));
    let (mut phone, mut tablet) =
        (Visitor::signed_in(&site, "alice"), Visitor::signed_in(&site, "alice"));
    let mut bob = Visitor::signed_in(&site, "bob");
    site.clock.advance(Duration::from_secs(30));

    let page = laptop.get("/devices").body;
    assert_eq!(page.matches("data-session=").count(), 3);
    assert_eq!(page.matches(">this device<").count(), 1);
    let own = page.split("<li ").nth(1).unwrap();
    assert!(own.contains("Firefox (Linux)") && own.contains("this device"), "{own}");
    assert!(own.contains("127.0.0.1") && own.contains("2026-01-01 12:00:00 UTC"));
    assert!(page.contains("curl") && page.contains("30s ago"));

    let id = phone.session();
    let page = laptop.submit(&format!("/devices/{id}/end"), &[]);
    assert!(page.body.contains("That device is signed out."));
    assert_eq!(page.body.matches("data-session=").count(), 2);
    assert_eq!(phone.get("/").all("location"), ["/login"]);
    assert_eq!(tablet.get("/").status, 200);

    let page = laptop.submit("/devices/end-others", &[]);
    assert!(page.body.contains("All other devices are signed out."));
    assert_eq!(tablet.get("/").status, 303);
    assert_eq!((laptop.get("/").status, bob.get("/").status), (200, 200));

    // Ending this very device is signing out.
    let own = laptop.session();
    let page = laptop.submit(&format!("/devices/{own}/end"), &[]);
    assert!(page.body.contains("You have signed out on this device."), "{}", page.body);
    assert!(!laptop.jar.contains_key("id"));
}

#[test]
fn an_administrator_filters_and_ends_sessions() {
    let site = Site::new();
    let mut bob = Visitor::signed_in(&site, "bob");
    bob.post("/logout", &[]);
    bob.sign_in("bob");
    site.clock.advance(Duration::from_secs(15 * 60));
    let mut alice = Visitor::signed_in(&site, "alice");
    let mut root = Visitor::signed_in(&site, "root");

    let mut shown = |query: &str| {
        let page = root.get(&format!("/sessions{query}"));
        assert_eq!(page.status, 200, "{query}");
        let users = page.body.split("data-label=\"User\"><b>").skip(1);
        let mut users: Vec<_> =
            users.map(|row| row.split('<').next().unwrap().to_owned()).collect();
        users.sort();
        users.join(" ")
    };
    assert_eq!(shown(""), "alice bob root");
    assert_eq!(shown("?user=&state=&idle_for="), "alice bob root", "an empty form");
    assert_eq!(shown("?user=bob"), "bob");
    assert_eq!(shown("?user=nobody"), "");
    assert_eq!(shown("?state=live"), "alice bob root");
    assert_eq!(shown("?state=active"), "alice bob root");
    assert_eq!(shown("?state=created"), "");
    assert_eq!(shown("?state=ended"), "bob");
    assert_eq!(shown("?state=revoked"), "bob");
    assert_eq!(shown("?state=idle_expired"), "");
    assert_eq!(shown("?state=absolute_expired"), "");
    assert_eq!(shown("?state=all"), "alice bob bob root");
    assert_eq!(shown("?idle_for=10m"), "bob");
    assert_eq!(shown("?idle_for=900"), "bob");
    assert_eq!(shown("?idle_for=901"), "");
    assert_eq!(shown("?user=bob&state=all&idle_for=1m"), "bob bob");
    for (query, says) in [
        ("?state=asleep", "state must be one of live, "),
        ("?idle_for=soon", "idle_for must be a duration"),
        ("?user=%00", "user is no name"),
        ("?after=somewhere", "after is no place"),
    ] {
        let page = root.get(&format!("/sessions{query}"));
        assert_eq!(page.status, 422, "{query}");
        assert!(page.body.contains(says), "{query}: {}", page.body);
    }

    root.get("/sessions");
    let id = alice.session();
    let page = root.submit(&format!("/sessions/{id}/end"), &[]);
    assert!(page.body.contains("The session has ended."));
    assert_eq!(alice.get("/").status, 303);
    assert_eq!(bob.get("/").status, 200);

    let page = root.submit("/sessions/end-user", &[("user", "bob")]);
    assert!(page.body.contains("All sessions of that user have ended."));
    assert_eq!(bob.get("/").status, 303);
    let reply = root.post("/sessions/end-user", &[("user", "bbo")]);
    assert_eq!(reply.status, 422);
    assert!(reply.body.contains("Nobody is called bbo."));

    alice.sign_in("alice");
    let end = root.post("/sessions/end-all", &[]);
    assert_eq!(end.status, 303);
    assert_eq!((alice.get("/").status, root.get("/").status), (303, 303));
}

#[test]
fn long_lists_have_pages() {
    let site = Site::new();
    for _ in 0..52 {
        Visitor::signed_in(&site, "bob");
    }
    let mut root = Visitor::signed_in(&site, "root");
    let mut seen = std::collections::BTreeSet::new();
    let mut path = "/sessions?state=live".to_owned();
    loop {
        let page = root.get(&path).body;
        let rows = page.split("<tr data-session=\"").skip(1);
        let before = seen.len();
        seen.extend(rows.map(|row| row.split('"').next().unwrap().to_owned()));
        assert!(seen.len() > before, "a page shows something");
        let Some(after) = between(&page, "name=\"after\" value=\"", "\"") else { break };
        path = format!("/sessions?state=live&after={after}");
    }
    assert_eq!(seen.len(), 53);
}
