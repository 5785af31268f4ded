//! What happened is shown: to administrators all of it, to everybody else his own.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use session_engine::{MemoryStore, NewSession, Policy, Sessions};

use crate::client::Reply;
use crate::site::Site;
use crate::spy::{Fault, Spy};
use crate::visitor::{Visitor, between};

const MINUTE: Duration = Duration::from_secs(60);
const HOSTILE: &str = "Firefox/1 <script>alert('x')</script> \"&\" \\u0000";

/// The kinds of the events that a page shows, in its order.
fn kinds(page: &Reply) -> Vec<String> {
    assert_eq!(page.status, 200, "{page:?}");
    let rows = page.body.split("data-event=\"").skip(1);
    rows.map(|row| row.split('"').next().unwrap().to_owned()).collect()
}

/// The lines of a download, which is whole.
fn lines(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.status, 200);
    assert_eq!(reply.all("transfer-encoding"), ["chunked"]);
    assert!(reply.body.ends_with("0\r\n\r\n"), "the end is told");
    let lines = reply.body.lines().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn an_administrator_filters_the_audit() {
    let site = Site::new();
    let mut alice = Visitor::of(&site).with_agent(HOSTILE);
    alice.sign_in("alice");
    let id = alice.session();
    site.clock.advance(10 * MINUTE);
    let mut bob = Visitor::signed_in(&site, "bob");
    let mut root = Visitor::signed_in(&site, "root");
    root.get("/sessions");
    root.post("/sessions/end-user", &[("user", "bob")]);
    assert_eq!(bob.get("/").status, 303);
    let mut shown = |query: &str| kinds(&root.get(&format!("/audit{query}")));

    let all = shown("");
    assert_eq!(all.first().unwrap(), "ended", "the newest first: {all:?}");
    let of_alice = shown("?user=alice");
    assert_eq!(of_alice, ["device_seen", "activated", "logged_in", "issued"]);
    assert_eq!(shown(&format!("?session={id}")), of_alice);
    assert_eq!(shown(&format!("?session={id}&kind=logged_in&user=alice")), ["logged_in"]);
    assert_eq!(shown("?session=00000000-0000-7000-8000-000000000000"), [""; 0]);
    assert_eq!(shown("?kind=subject_revoked"), ["subject_revoked"]);
    assert_eq!(shown("?kind=x_own"), [""; 0], "an own kind is a kind");
    assert_eq!(shown("?user=&session=&kind=&from=&until="), all, "an empty form");
    // The first is of an instant or later, the last before it.
    assert_eq!(shown("?until=2026-01-01T12:10:00Z"), of_alice);
    assert_eq!(shown("?until=2026-01-01+12:10"), of_alice, "in the zone of the reader");
    assert_eq!(shown("?from=2026-01-01+12:10").len(), all.len() - of_alice.len());
    assert_eq!(shown("?from=2026-01-01&until=2026-01-02"), all);
    assert_eq!(shown("?from=2026-01-02"), [""; 0]);
    root.submit("/preferences", &[("tz", "Asia/Tokyo")]);
    assert_eq!(kinds(&root.get("/audit?until=2026-01-01+21:10")), of_alice);
    for (query, says) in [
        ("?user=%00", "user is no name"),
        ("?session=x", "session is no id"),
        ("?kind=two+words", "kind is none"),
        ("?from=yesterday", "from must be a date"),
        ("?until=2026-02-30", "until must be a date"),
        ("?after=!", "after is no place"),
        ("?after=AAAA", "after is no place"),
    ] {
        for path in ["/audit", "/audit.jsonl"] {
            let page = root.get(&format!("{path}{query}"));
            assert_eq!(page.status, 422, "{path}{query}");
            assert!(page.body.contains(says), "{path}{query}: {}", page.body);
        }
    }
}

#[test]
fn an_event_is_shown_with_all_that_is_known_of_it() {
    let site = Site::new();
    let mut alice = Visitor::of(&site).with_agent(HOSTILE);
    alice.sign_in("alice");
    site.clock.advance(45 * MINUTE);
    assert_eq!(alice.get("/").status, 303);
    let mut bob = Visitor::signed_in(&site, "bob");
    let mut root = Visitor::signed_in(&site, "root");
    root.get("/sessions");
    let id = bob.session();
    root.post(&format!("/sessions/{id}/end"), &[]);

    let page = root.get("/audit?user=alice&kind=ended").body;
    assert!(page.contains("2026-01-01 12:30:00 UTC"), "when it was so: {page}");
    assert!(page.contains("noticed <time datetime=\"2026-01-01T12:45:00Z\">"), "{page}");
    assert!(page.contains("Signed out after inactivity") && page.contains(">idle_timeout<"));
    assert!(page.contains("<td data-label=\"By\">system</td>"), "{page}");
    let page = root.get("/audit?user=bob&kind=ended").body;
    assert!(page.contains(">ended_by_administrator<") && page.contains("operator:root"), "{page}");
    let page = root.get("/audit?user=alice&kind=logged_in").body;
    assert!(page.contains("&lt;script&gt;alert(") && page.contains("127.0.0.1"), "{page}");
    assert!(!page.contains("<script"), "{page}");
    // What was asked for is put in escaped too.
    let page = root.get("/audit?user=%22%3E%3Cscript%3E&kind=x_own").body;
    assert!(page.contains("value=\"&quot;&gt;&lt;script&gt;\"") && !page.contains("<script"));
    assert!(page.contains("<option value=\"x_own\" selected>"));
}

#[test]
fn long_histories_have_pages_and_are_downloaded_whole() {
    let store = Arc::new(MemoryStore::new());
    let site = Site::on(store.clone(), Policy::default());
    let engine = Sessions::builder(store).clock(site.clock.clone()).build();
    for _ in 0..1_050 {
        pollster::block_on(engine.create(NewSession::default())).unwrap();
    }
    let mut root = Visitor::of(&site).with_agent(HOSTILE);
    root.sign_in("root");
    let reply = root.get("/audit.jsonl");
    assert_eq!(reply.all("content-type"), ["application/x-ndjson"]);
    assert_eq!(reply.all("content-disposition"), ["attachment; filename=\"audit.jsonl\""]);
    assert!(reply.is_kept_out_of_caches());
    let all = lines(&reply);
    assert_eq!(all.len(), 1_054);
    assert_eq!(all[1]["kind"], "activated", "the newest first");
    assert_eq!(all[2]["detail"]["agent"], HOSTILE);
    let sequence = |line: &Value| line["sequence"].as_str().unwrap().parse::<u64>().unwrap();
    assert!(all.windows(2).all(|pair| sequence(&pair[0]) > sequence(&pair[1])));
    let of_root = lines(&root.get("/audit.jsonl?user=root&from=2026-01-01"));
    assert_eq!(of_root, all[..4]);
    assert_eq!(lines(&root.get("/audit.jsonl?user=nobody")), [""; 0]);

    let (mut count, mut path) = (0, "/audit?kind=issued".to_owned());
    let mut sessions = std::collections::BTreeSet::new();
    loop {
        let page = root.get(&path);
        assert!(page.body.contains("action=\"/audit.jsonl\""));
        count += kinds(&page).len();
        let ids = page.body.split("/audit?session=").skip(1);
        sessions.extend(ids.map(|id| id.split('"').next().unwrap().to_owned()));
        let Some(after) = between(&page.body, "name=\"after\" value=\"", "\"") else { break };
        path = format!("/audit?kind=issued&after={after}");
    }
    assert_eq!((count, sessions.len()), (1_051, 1_051), "each once");
}

#[test]
fn only_an_administrator_sees_what_happened_to_others() {
    let site = Site::new();
    let mut alice = Visitor::signed_in(&site, "alice");
    let mut bob = Visitor::signed_in(&site, "bob");
    let (own, other) = (alice.session(), bob.session());
    assert!(!alice.get("/").body.contains("/audit"));
    for path in ["/audit", "/audit.jsonl", "/audit?user=alice", "/audit.jsonl?user=alice"] {
        assert_eq!(alice.get(path).status, 403, "{path}");
        assert_eq!(Visitor::of(&site).get(path).all("location"), ["/login"], "{path}");
    }
    assert_eq!(Visitor::of(&site).get("/history").all("location"), ["/login"]);
    for query in ["", "?user=bob", &format!("?session={other}"), "?subject=bob"] {
        let page = alice.get(&format!("/history{query}"));
        assert_eq!(kinds(&page), ["device_seen", "activated", "logged_in", "issued"], "{query}");
        assert!(page.body.contains(&own) && !page.body.contains(&other), "{query}");
        assert!(!page.body.contains("bob"), "{query}");
    }
    // A place in somebody else's list is a place, and what stands there is still one's own.
    for _ in 0..20 {
        bob.sign_in("bob");
    }
    let page = bob.get("/history").body;
    let after = between(&page, "name=\"after\" value=\"", "\"").unwrap();
    let page = alice.get(&format!("/history?after={after}"));
    assert!(!page.body.contains(&other), "{}", page.body);
    assert_eq!(alice.get("/history?after=!").status, 422);
}

#[test]
fn everybody_sees_in_his_language_what_happened_to_him() {
    let site = Site::new();
    let mut alice = Visitor::of(&site).with_agent(HOSTILE);
    alice.sign_in("alice");
    let id = alice.session();
    let mut root = Visitor::signed_in(&site, "root");
    root.get("/sessions");
    root.post(&format!("/sessions/{id}/end"), &[]);
    alice.sign_in("alice");
    let page = alice.get("/history").body;
    assert!(page.contains("Ended by an administrator") && page.contains("<dd>root</dd>"), "{page}");
    assert!(page.contains("Firefox") && !page.contains("<script"), "{page}");
    assert_eq!(page.matches(">this device<").count(), 4, "{page}");
    alice.submit("/preferences", &[("lang", "de")]);
    let page = alice.get("/history").body;
    assert!(page.contains("Von der Verwaltung beendet") && page.contains("Sitzung beendet"));
    alice.submit("/preferences", &[("lang", "fr")]);
    assert!(alice.get("/history").body.contains("Terminée par l’administration"));
}

#[test]
fn a_download_that_is_not_whole_does_not_look_so() {
    let spy = Arc::new(Spy::default());
    let site = Site::on(spy.clone(), Policy::default());
    let engine = Sessions::builder(spy.clone()).clock(site.clock.clone()).build();
    for _ in 0..600 {
        pollster::block_on(engine.create(NewSession::default())).unwrap();
    }
    let mut root = Visitor::signed_in(&site, "root");
    let whole = lines(&root.get("/audit.jsonl"));
    assert!(whole.len() > 600);
    spy.set(Some(Fault::LaterEvents));
    // How much of it is on its way by then, the server decides.
    if let Some(reply) = root.try_send("GET", "/audit.jsonl", "") {
        assert!(reply.body.lines().filter(|line| line.starts_with('{')).count() <= 500);
        assert!(!reply.body.ends_with("0\r\n\r\n"), "it breaks off");
    }
    spy.set(None);
    assert_eq!(lines(&root.get("/audit.jsonl")), whole);
}
