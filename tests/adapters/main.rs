//! One story of a browser, told to a server of each framework over real sockets.
#![expect(clippy::unwrap_used, reason = "a test")]

mod client;
mod layer;
#[cfg(unix)]
mod limits;
mod spy;

#[expect(dead_code, reason = "its main is not called here")]
#[path = "../../examples/actix.rs"]
mod actix_example;
#[expect(dead_code, reason = "its main is not called here")]
#[path = "../../examples/axum.rs"]
mod axum_example;
#[expect(dead_code, reason = "its main is not called here")]
#[path = "../../examples/hyper.rs"]
mod hyper_example;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use client::{Client, Reply};
use session_engine::cookie::CookieConfig;
use session_engine::exchange::Gate;
use session_engine::{
    Actor, ManualClock, Query, Reason, SessionInfo, SessionToken, Sessions, StoreErrorKind,
    Subject, Timestamp,
};
use spy::{Fault, Spy};

impl Client {
    fn get(&self, path: &str, cookie: &str) -> Reply {
        self.send("GET", path, &[("Cookie", cookie.as_bytes())], "")
    }

    fn post(&self, path: &str, cookie: &str) -> Reply {
        self.send("POST", path, &[("cookie", cookie.as_bytes())], "")
    }

    /// Signs in with the right password.
    fn login(&self, user: &str, cookie: &str) -> Reply {
        let form = [
            ("cookie", cookie.as_bytes()),
            ("content-type", b"application/x-www-form-urlencoded".as_slice()),
        ];
        self.send("POST", "/login", &form, &format!("user={user}&password=open+sesame"))
    }
}

impl Reply {
    /// The pair that a browser would keep from the one `Set-Cookie`, if there is one.
    fn cookie(&self) -> Option<String> {
        let set: Vec<&str> = self.cookies().collect();
        assert!(set.len() <= 1, "{set:?}");
        set.first().filter(|pair| !pair.ends_with('=')).map(|&pair| pair.to_owned())
    }
}

struct Server {
    name: &'static str,
    client: Client,
    store: Arc<Spy>,
    sessions: Sessions,
    clock: ManualClock,
}

impl Server {
    fn start(name: &'static str, run: fn(TcpListener, Gate)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = Client::new(listener.local_addr().unwrap());
        let store = Arc::new(Spy::default());
        let clock = ManualClock::at(Timestamp::from_millis(1_700_000_000_000));
        let sessions = Sessions::builder(store.clone()).clock(clock.clone()).build();
        let gate = Gate::new(sessions.clone(), CookieConfig::new());
        // It ends with the process.
        std::thread::spawn(move || run(listener, gate));
        Self { name, client, store, sessions, clock }
    }

    fn live(&self) -> Vec<SessionInfo> {
        pollster::block_on(self.sessions.list(&Query::default(), None)).unwrap().sessions
    }

    fn sign_in(&self, user: &str) -> String {
        self.client.login(user, "").cookie().unwrap()
    }
}

/// A server of each framework, with a store of its own.
fn servers() -> [Server; 3] {
    [
        Server::start("axum", |listener, gate| tokio(axum_example::run(listener, gate))),
        Server::start("hyper", |listener, gate| tokio(hyper_example::run(listener, gate))),
        Server::start("actix", |listener, gate| {
            actix_web::rt::System::new().block_on(actix_example::run(listener, gate)).unwrap();
        }),
    ]
}

fn tokio(server: impl Future<Output = std::io::Result<()>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(server).unwrap();
}

const REMOVAL: &str = "__Host-id=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0; \
                       Expires=Thu, 01 Jan 1970 00:00:00 GMT";

#[test]
fn a_browser_signs_in_clicks_and_signs_out() {
    for server in servers() {
        let (client, name) = (&server.client, server.name);
        assert_eq!(client.get("/", "").body, "nobody", "{name}");
        assert!(server.live().is_empty(), "{name}: reading stores nothing");

        // The first click makes a session, which is nobody's.
        let click = client.post("/click", "theme=dark");
        assert_eq!((click.status, &*click.body), (200, "click"), "{name}");
        let anonymous = click.cookie().unwrap();
        assert_eq!(client.get("/", &anonymous).body, "nobody, 1 clicks", "{name}");

        let login = client.login("alice", &anonymous);
        let cookie = login.cookie().unwrap();
        let exact = format!("{cookie}; HttpOnly; SameSite=Lax; Secure; Path=/");
        assert_eq!(login.all("set-cookie"), [exact], "{name}");
        assert_ne!(cookie, anonymous, "{name}");
        assert_eq!(client.get("/", &cookie).body, "alice, 1 clicks", "{name}");
        assert_eq!(client.post("/click", &cookie).cookie(), None, "{name}: the cookie stays");
        assert_eq!(client.get("/", &format!("a=b; {cookie}; c=d")).body, "alice, 2 clicks");

        // Whatever still runs with the old token cannot take the new one away.
        assert_eq!(client.get("/", &anonymous).body, "nobody", "{name}");
        assert_eq!(client.get("/why", &anonymous).body, "replaced", "{name}");
        for late in [client.post("/logout", &anonymous), client.post("/click", &anonymous)] {
            assert_eq!((late.status, late.all("set-cookie")), (200, vec![]), "{name}");
        }
        assert_eq!(server.live().len(), 1, "{name}");
        assert_eq!(client.get("/account", &cookie).body, "alice", "{name}");

        // No safe method signs out; another login replaces the session.
        assert_eq!(client.get("/logout", &cookie).status, 405, "{name}");
        assert_eq!(client.get("/account", &cookie).status, 200, "{name}");
        let again = client.login("alice", &cookie).cookie().unwrap();
        assert_ne!(again, cookie, "{name}");
        assert_eq!(client.get("/account", &cookie).status, 401, "{name}");

        let logout = client.post("/logout", &again);
        assert_eq!(logout.all("set-cookie"), [REMOVAL], "{name}");
        assert_eq!(client.get("/account", &again).status, 401, "{name}");
        assert_eq!(client.get("/why", &again).body, "signed_out", "{name}");
        assert!(client.post("/logout", &again).all("set-cookie").is_empty(), "{name}");
        assert!(server.live().is_empty(), "{name}");
    }
}

#[test]
fn a_wrong_password_opens_nothing() {
    for server in servers() {
        let form = [("content-type", b"application/x-www-form-urlencoded".as_slice())];
        for body in ["user=alice&password=x", "user=&password=open+sesame", "user=alice", "", "%ff"]
        {
            let reply = server.client.send("POST", "/login", &form, body);
            assert!((400..500).contains(&reply.status), "{}: {reply:?}", server.name);
            assert!(reply.all("set-cookie").is_empty(), "{}", server.name);
        }
        assert!(server.live().is_empty(), "{}", server.name);
    }
}

#[test]
fn what_depends_on_the_session_is_kept_out_of_caches_and_nothing_else() {
    for server in servers() {
        let cookie = server.sign_in("alice");
        for cookie in ["", &cookie, "__Host-id=junk"] {
            for path in ["/", "/account", "/why"] {
                let reply = server.client.get(path, cookie);
                assert!(reply.is_kept_out_of_caches(), "{} {path}: {reply:?}", server.name);
            }
            let health = server.client.get("/health", cookie);
            for field in ["cache-control", "vary", "set-cookie"] {
                assert!(health.all(field).is_empty(), "{} {field}", server.name);
            }
        }
        assert!(server.client.login("bob", "").is_kept_out_of_caches(), "{}", server.name);
        for path in ["/click", "/logout"] {
            let reply = server.client.post(path, &cookie);
            assert!(reply.is_kept_out_of_caches(), "{} {path}: {reply:?}", server.name);
        }
    }
}

#[test]
fn a_request_costs_what_it_asks_for() {
    for server in servers() {
        let (client, store, name) = (&server.client, &server.store, server.name);
        let cookie = server.sign_in("alice");
        client.get("/", &cookie);
        store.calls();

        client.get("/health", &cookie);
        assert!(store.calls().is_empty(), "{name}: who does not ask pays nothing");
        for cookie in ["", "theme=dark", "__Host-id=", "__Host-id=junk"] {
            client.get("/", cookie);
            client.get("/why", cookie);
            client.post("/logout", cookie);
            assert!(store.calls().is_empty(), "{name}: {cookie:?} names no session");
        }
        client.get("/", &cookie);
        client.get("/account", &cookie);
        assert_eq!(store.calls(), ["load", "load"], "{name}");
        server.clock.advance(Duration::from_secs(600));
        client.get("/", &cookie);
        client.get("/", &cookie);
        assert_eq!(store.calls(), ["load", "touch", "load"], "{name}");
    }
}

#[test]
fn a_store_that_fails_is_nobodys_way_in_or_out() {
    use StoreErrorKind::{OutcomeUnknown, Overloaded, StorageFull, Unavailable};
    for server in servers() {
        let (client, name) = (&server.client, server.name);
        let cookie = server.sign_in("alice");
        for kind in [Unavailable, Overloaded, StorageFull, OutcomeUnknown] {
            server.store.set(Some(Fault::Down(kind)));
            let replies = [
                client.get("/", &cookie),
                client.get("/account", &cookie),
                client.get("/why", &cookie),
                client.post("/click", &cookie),
                client.post("/click", ""),
                client.post("/logout", &cookie),
                client.login("alice", &cookie),
                client.login("alice", ""),
            ];
            for reply in replies {
                assert_eq!(reply.status, 503, "{name} {kind:?}: {reply:?}");
                assert!(reply.all("set-cookie").is_empty(), "{name} {kind:?}");
                assert!(reply.is_kept_out_of_caches(), "{name} {kind:?}");
                assert!(!reply.body.contains("out of order"), "{name}: {reply:?}");
            }
            assert_eq!(client.get("/health", &cookie).status, 200, "{name}");
            server.store.set(None);
            assert_eq!(client.get("/account", &cookie).body, "alice", "{name}: nothing was lost");
        }
        server.store.set(Some(Fault::Damaged));
        assert_eq!(client.get("/account", &cookie).status, 500, "{name}");
        let login = client.login("alice", &cookie);
        server.store.set(None);
        let cookie = login.cookie().expect("a damaged row keeps nobody from signing in");
        assert_eq!(client.get("/account", &cookie).body, "alice", "{name}");
    }
}

#[test]
fn hostile_headers_are_nobody() {
    for server in servers() {
        let (client, name) = (&server.client, server.name);
        let (alice, bob) = (server.sign_in("alice"), server.sign_in("bob"));
        let value = alice.strip_prefix("__Host-id=").unwrap();
        let secret = bob.strip_prefix("__Host-id=ses1_").unwrap();
        let mut cookies: Vec<Vec<u8>> = [
            " ".to_owned(),
            ";;;===;; ;".to_owned(),
            "A".repeat(8192),
            format!("__Host-id={}", "A".repeat(8192)),
            "a=b; ".repeat(1638),
            "__Host-id".to_owned(),
            "__Host-id=".to_owned(),
            "__Host-id=\"\"".to_owned(),
            "__Host-id=../../etc/passwd".to_owned(),
            "__Host-id=' OR 1=1 --".to_owned(),
            format!("{alice}; {alice}"),
            format!("{alice}; {bob}"),
            format!("{alice}; __Host-id=x"),
            format!("__Host-id=\"{value}\""),
            format!("__host-id={value}"),
            format!("__HOST-ID={value}"),
            format!("__Host-id2={value}"),
            format!("__Host%2Did={value}"),
            format!("__Host-id ={value}"),
            format!("\u{2000}__Host-id={value}"),
            format!("=__Host-id={value}"),
            format!("id={value}"),
            format!("__Host-id=ses1_{}", &value[5..].to_ascii_uppercase()),
            format!("{alice}="),
            format!("{alice}A"),
            // Alice's id and Bob's secret.
            format!("__Host-id={}{}", &value[..27], &secret[22..]),
        ]
        .map(String::into_bytes)
        .into();
        cookies
            .extend((0..value.len()).map(|end| alice.as_bytes()[..alice.len() - end - 1].to_vec()));
        cookies.push(b"__Host-id=\xff\xfe\x80".to_vec());
        cookies.push(b"\xc3\x28=1; __Host-id=\xf0\x28\x8c\x28".to_vec());
        cookies.extend((5..value.len()).map(|at| {
            let mut flipped = alice.clone().into_bytes();
            let at = "__Host-id=".len() + at;
            flipped[at] = if flipped[at] == b'A' { b'B' } else { b'A' };
            flipped
        }));
        for cookie in &cookies {
            let shown = String::from_utf8_lossy(cookie);
            let fields = [("cookie", cookie.as_slice())];
            let home = client.send("GET", "/", &fields, "");
            assert_eq!((home.status, &*home.body), (200, "nobody"), "{name} {shown:?}");
            assert!(home.all("set-cookie").is_empty(), "{name} {shown:?}");
            let account = client.send("GET", "/account", &fields, "");
            assert_eq!(account.status, 401, "{name} {shown:?}");
        }
        // Two header fields count as one.
        let twice = [("cookie", alice.as_bytes()), ("Cookie", bob.as_bytes())];
        assert_eq!(client.send("GET", "/", &twice, "").body, "nobody", "{name}");
        // What the server itself refuses, it may; it must not break.
        for byte in [0, 1, 0x7f] {
            let cookie = [b"__Host-id=", [byte].as_slice()].concat();
            if let Some(reply) = client.try_send("GET", "/", &[("cookie", &cookie)], "") {
                assert!(reply.status < 500 && reply.body != "alice, 0 clicks", "{name}");
            }
        }
        assert_eq!(client.get("/account", &alice).body, "alice", "{name}: none ended her session");
        assert_eq!(client.get("/account", &bob).body, "bob", "{name}");
        assert_eq!(server.live().len(), 2, "{name}");
    }
}

#[test]
fn a_token_counts_in_its_cookie_only() {
    for server in servers() {
        let (client, name) = (&server.client, server.name);
        let cookie = server.sign_in("alice");
        let value = cookie.strip_prefix("__Host-id=").unwrap();
        let bearer = format!("Bearer {value}");
        let fields: [(&str, &[u8]); 4] = [
            ("authorization", bearer.as_bytes()),
            ("x-session", value.as_bytes()),
            ("cookie2", cookie.as_bytes()),
            ("content-type", b"application/x-www-form-urlencoded"),
        ];
        let query = format!("/account?{cookie}&id={value}");
        assert_eq!(client.send("GET", &query, &fields, "").status, 401, "{name}");
        assert_eq!(client.send("GET", &query, &fields, &cookie).status, 401, "{name}");
        let form = format!("{cookie}&user=alice&password=no");
        assert_eq!(client.send("POST", "/login", &fields, &form).status, 401, "{name}");
        client.send("POST", "/logout", &fields, &cookie);
        assert_eq!(client.get("/account", &cookie).status, 200, "{name}");
    }
}

#[test]
fn every_dead_token_is_answered_alike() {
    for server in servers() {
        let (client, name) = (&server.client, server.name);
        let expired = server.sign_in("alice");
        server.clock.advance(Duration::from_secs(30 * 86_400));
        let signed_out = server.sign_in("alice");
        client.post("/logout", &signed_out);
        let replaced = server.sign_in("alice");
        let live = client.login("alice", &replaced).cookie().unwrap();
        let revoked = server.sign_in("bob");
        assert_eq!(client.get("/account", &live).status, 200, "{name}");
        let everyone = server.sessions.revoke_everyone(Reason::EveryoneRevoked, Actor::Subject);
        pollster::block_on(everyone).unwrap();

        let unknown = token_of_nobody();
        let without = client.get("/account", "").without_date();
        assert_eq!(without.status, 401, "{name}");
        let long = format!("__Host-id={}", "A".repeat(500));
        for cookie in [&expired, &signed_out, &replaced, &revoked, &live, &unknown, &long] {
            assert_eq!(client.get("/account", cookie).without_date(), without, "{name}");
        }
        // The reason is for the holder only.
        assert_eq!(client.get("/why", &expired).body, "idle_timeout", "{name}");
        assert_eq!(client.get("/why", &revoked).body, "everyone_revoked", "{name}");
        let guessed = format!("{}A", &expired[..expired.len() - 1]);
        let other = format!("{}Q", &expired[..expired.len() - 1]);
        let wrong = if guessed == expired { other } else { guessed };
        assert_eq!(client.get("/why", &wrong).body, "nothing has ended", "{name}");
    }
}

/// A token that no store knows.
fn token_of_nobody() -> String {
    let id = session_engine::SessionId::from_bytes([9; 16]);
    let token = SessionToken::new(id, &session_engine::SystemRandom).unwrap();
    format!("__Host-id={}", *token.expose())
}

#[test]
fn head_and_options_change_nothing() {
    for server in servers() {
        let (client, name) = (&server.client, server.name);
        let cookie = server.sign_in("alice");
        for method in ["HEAD", "OPTIONS"] {
            for path in ["/", "/account", "/why", "/click", "/login", "/logout", "/nowhere"] {
                let reply = client.send(method, path, &[("cookie", cookie.as_bytes())], "");
                assert!(reply.status < 500, "{name} {method} {path}: {reply:?}");
                assert!(reply.all("set-cookie").is_empty(), "{name} {method} {path}");
                assert!(method != "HEAD" || reply.body.is_empty(), "{name} {path}");
            }
        }
        assert_eq!(client.get("/", &cookie).body, "alice, 0 clicks", "{name}");
        for path in ["/click", "/login", "/logout"] {
            assert_eq!(client.get(path, &cookie).status, 405, "{name} {path}");
        }
    }
}

#[test]
fn a_panic_leaves_the_old_or_the_new_and_nothing_between() {
    for server in servers() {
        let (client, name) = (&server.client, server.name);
        let cookie = server.sign_in("alice");
        let fields = [("cookie", cookie.as_bytes())];
        for (fault, clicks) in [(Fault::PanicBefore, 0), (Fault::PanicAfter, 1)] {
            server.store.set(Some(fault));
            let reply = client.try_send("POST", "/click", &fields, "");
            assert!(reply.is_none_or(|reply| reply.status >= 500), "{name} {fault:?}");
            server.store.set(None);
            assert_eq!(client.get("/", &cookie).body, format!("alice, {clicks} clicks"), "{name}");
        }
        server.store.set(Some(Fault::PanicAfter));
        let reply = client.try_send("POST", "/logout", &fields, "");
        assert!(reply.is_none_or(|reply| reply.status >= 500), "{name}");
        server.store.set(None);
        assert_eq!(client.get("/why", &cookie).body, "signed_out", "{name}");
    }
}

#[test]
fn parallel_clicks_all_count() {
    for server in servers() {
        let cookie = server.sign_in("alice");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..4 {
                        let click: Reply = server.client.post("/click", &cookie);
                        assert_eq!((click.status, click.cookie()), (200, None), "{}", server.name);
                    }
                });
            }
        });
        let home = server.client.get("/", &cookie);
        assert_eq!(home.body, "alice, 32 clicks", "{}", server.name);
        let alice = Subject::new("alice").unwrap();
        let info = server.live().pop().unwrap();
        assert_eq!(info.subject, Some(alice), "{}", server.name);
    }
}
