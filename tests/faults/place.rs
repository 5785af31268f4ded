//! Where the sessions of a test are kept, by URL; and the rules that they live by.

use std::sync::Arc;
use std::time::Duration;

use session_core::{
    Class, ClassName, OnLimit, Policy, Random as _, Realm, SessionStore, Sessions, StoreError,
    Subject, SystemRandom,
};
use session_engine::OpenError;

/// Opens the store that a URL names.
pub(crate) async fn open(url: &str) -> Result<Arc<dyn SessionStore>, StoreError> {
    session_engine::open(url).await.map_err(|error| match error {
        OpenError::Store(error) => error,
        other => panic!("{other}"),
    })
}

/// An engine on a store, with the rules of these tests.
pub(crate) fn engine(store: Arc<dyn SessionStore>, realm: &Realm) -> Sessions {
    Sessions::builder(store).policy(policy()).realm(realm.clone()).build()
}

/// The class of which a subject may have one session.
pub(crate) const ONE: &str = "one";

/// Nothing expires while a test runs, and each presentation of a token is activity to be recorded.
pub(crate) fn policy() -> Policy {
    let day = Duration::from_secs(86_400);
    let class = || {
        Class::new(day).idle(day / 2).unclaimed(day / 2).touch_interval(Duration::from_millis(1))
    };
    Policy::builder()
        .class("many", class())
        .class(ONE, class().max_sessions(1, OnLimit::EvictOldest))
        .default_class("many")
        .build()
        .unwrap()
}

pub(crate) fn one() -> ClassName {
    ClassName::new(ONE).unwrap()
}

pub(crate) fn subject(name: &str) -> Subject {
    Subject::new(name).unwrap()
}

pub(crate) fn realm(name: &str) -> Realm {
    Realm::new(name).unwrap()
}

/// A number below `below`.
pub(crate) fn random(below: u64) -> u64 {
    let mut bytes = [0; 8];
    SystemRandom.fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes) % below
}
