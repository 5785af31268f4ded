//! Cookies that nobody was given: whoever sends them is nobody.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::site::Site;
use crate::visitor::{Visitor, reason};

#[test]
fn a_hostile_cookie_is_nobodys() {
    let site = Site::new();
    let mut alice = Visitor::signed_in(&site, "alice");
    let bob = Visitor::signed_in(&site, "bob");
    let (token, other) = (alice.token(), bob.token());
    let long = "A".repeat(8_192);

    let mut cookies: Vec<Vec<u8>> = [
        " ".to_owned(),
        "id".to_owned(),
        "id=".to_owned(),
        "=".to_owned(),
        ";;;=;".to_owned(),
        format!("id={long}"),
        format!("{long}={long}"),
        format!("id={token}; id={token}"),
        format!("id={token}; id={other}"),
        format!("id={token}; id="),
        format!("ID={token}"),
        format!("Id={token}"),
        format!("id2={token}"),
        format!("__Host-id={token}"),
        format!("__host-id={token}"),
        format!("i%64={token}"),
        format!("=id={token}"),
        format!("id ={token}"),
        format!("id= {token}"),
        format!("id=\"{token}\""),
        format!("id={token}{token}"),
        format!("id={token}="),
        format!("id={}", token.to_uppercase()),
        format!("id={}", token.replace("ses1_", "ses2_")),
        format!("id={}", &token[5..]),
        "id=../../etc/passwd".to_owned(),
        "id=' OR 1=1 --".to_owned(),
        "notice=<script>alert(1)</script>; sign-in=1.x".to_owned(),
        "sign-in=99999999999999999999.x; notice=signed-outer".to_owned(),
        // Another session's id, with this one's secret.
        format!("id={}{}", &other[..27], &token[27..]),
    ]
    .map(String::into_bytes)
    .to_vec();
    cookies.push(b"id=\xff\xfe\x80".to_vec());
    cookies.push("id=\u{2603}".into());
    cookies.push([b"\xe2\x80\x80id=", token.as_bytes()].concat());
    cookies.extend((0..token.len()).map(|length| format!("id={}", &token[..length]).into_bytes()));
    let bytes = URL_SAFE_NO_PAD.decode(&token[5..]).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        cookies.push(format!("id=ses1_{}", URL_SAFE_NO_PAD.encode(flipped)).into_bytes());
    }

    let nobody = Visitor::of(&site);
    for cookie in &cookies {
        let shown = String::from_utf8_lossy(cookie);
        let home = nobody.send_raw("GET", "/", &[("cookie", cookie)]);
        assert_eq!((home.status, home.all("location")), (303, vec!["/login"]), "{shown}");
        assert!(home.all("set-cookie").is_empty(), "{shown}");
        let page = nobody.send_raw("GET", "/login", &[("cookie", cookie)]);
        assert_eq!(reason(&page), None, "{shown}");
        assert!(!page.body.contains("alice</b>"), "{shown}");
        let out = nobody.send_raw("POST", "/logout", &[("cookie", cookie)]);
        assert_eq!(out.status, 303, "{shown}");
    }
    let (one, two) = (format!("id={token}"), format!("id={other}"));
    let twice = [("cookie", one.as_bytes()), ("cookie", two.as_bytes())];
    assert_eq!(nobody.send_raw("GET", "/", &twice).status, 303, "two header fields");
    assert_eq!(nobody.send_raw("GET", "/", &twice[..1]).status, 200);
    assert_eq!(alice.get("/").status, 200, "her session is not harmed");
}

#[test]
fn every_answer_has_its_guards() {
    let site = Site::new();
    let mut root = Visitor::signed_in(&site, "root");
    for path in [
        "/",
        "/login",
        "/password",
        "/history",
        "/audit",
        "/audit.jsonl",
        "/devices",
        "/sessions",
        "/nowhere",
        "/note",
        "/style.css",
    ] {
        let reply = root.get(path);
        for (name, value) in [
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
        ] {
            assert_eq!(reply.all(name), [value], "{path}");
        }
        let policy = reply.all("content-security-policy").join("");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{path}");
        assert!(!reply.body.contains("style=\"") && !reply.body.contains("<script"), "{path}");
    }
}
