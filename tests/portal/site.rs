//! The portal, served on a port of the loopback interface from within the test, with a clock that the test moves.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use session_engine::client::Proxies;
use session_engine::cookie::CookieConfig;
use session_engine::risk::Mode;
use session_engine::{ManualClock, MemoryStore, Policy, SessionStore, Sessions, Timestamp};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::app::{Account, REMEMBERED, Users, app, gate};

/// A portal of its own. It stops when dropped.
pub(crate) struct Site {
    pub(crate) url: String,
    pub(crate) clock: ManualClock,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
}

impl Site {
    /// On an empty store in memory, with the usual policy.
    pub(crate) fn new() -> Self {
        Self::on(Arc::new(MemoryStore::new()), Policy::default())
    }

    pub(crate) fn on(store: Arc<dyn SessionStore>, policy: Policy) -> Self {
        Self::fitted(store, policy, Proxies::none(), Mode::Observe)
    }

    pub(crate) fn fitted(
        store: Arc<dyn SessionStore>,
        policy: Policy,
        proxies: Proxies,
        risk: Mode,
    ) -> Self {
        let clock = ManualClock::at(START);
        let sessions = Sessions::builder(store).policy(policy).clock(clock.clone()).build();
        let cookie = CookieConfig::insecure_development().persistent_for(REMEMBERED.clone());
        let gate = gate(sessions, cookie, proxies, risk);
        let app = app(gate, users()).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let server = std::thread::spawn(move || {
            let service = app.into_make_service_with_connect_info::<SocketAddr>();
            let serving = std::future::IntoFuture::into_future(axum::serve(listener, service));
            runtime.block_on(async {
                tokio::select! { _ = serving => {}, _ = stopped => {} }
            });
        });
        Self { url, clock, stop: Some(stop), server: Some(server) }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

/// 2026-01-01T12:00:00Z.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_767_268_800_000);
/// The password of all users.
pub(crate) const PASSWORD: &str = "correct horse & battery";

/// Alice, Bob and Root, hashed once for all tests of a process. What a test changes of them is its own.
fn users() -> Users {
    static ACCOUNTS: OnceLock<Vec<Account>> = OnceLock::new();
    let accounts = ACCOUNTS.get_or_init(|| {
        let names = ["alice", "bob", "root"];
        names.map(|name| Account::new(name, PASSWORD, name == "root").unwrap()).into()
    });
    Users::new(accounts.clone()).unwrap()
}
