//! A user's dead sessions cost him nothing when he signs in.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use session_engine::store::ListQuery;
use session_engine::{
    Actor, Class, ClassName, Login, OnLimit, Policy, Realm, Reason, SessionStore, Sessions, Subject,
};

use crate::open::with_each;

/// As many as a busy user leaves behind in a day, and enough to be seen in a time.
const DEAD: usize = 3_000;

/// What a login under a limit reads are the sessions of its subject that have no end. That takes as long for who has
/// left thousands behind as for who has none.
#[test]
fn a_subjects_dead_sessions_do_not_slow_its_logins() {
    with_each("dead", &async |opened| {
        let lone = Class::new(Duration::from_secs(3_600)).max_sessions(1, OnLimit::EvictOldest);
        let browser = Class::new(Duration::from_secs(3_600));
        let policy = Policy::builder().class("browser", browser).class("lone", lone).build();
        let sessions = Sessions::new(opened.store.clone(), policy.unwrap());
        let [busy, fresh] = ["busy", "fresh"].map(|name| Subject::new(name).unwrap());
        for _ in 0..DEAD {
            sign_in(&sessions, &busy, "browser").await;
        }
        sessions.revoke_subject(&busy, Reason::EndedByAdministrator, Actor::System).await.unwrap();
        while sessions.sweep(const { NonZeroUsize::new(1_000).unwrap() }).await.unwrap().more {}
        for subject in [&busy, &fresh] {
            sign_in(&sessions, subject, "lone").await;
        }
        let store = &*opened.store;
        // Alternately, so that whatever else the machine does happens to both.
        let (mut of_busy, mut of_fresh) = (Vec::new(), Vec::new());
        for _ in 0..51 {
            of_fresh.push(list(store, &fresh).await);
            of_busy.push(list(store, &busy).await);
        }
        let (of_busy, of_fresh) = (median(of_busy), median(of_fresh));
        assert!(
            of_busy < 3 * of_fresh + Duration::from_micros(50),
            "{}: {of_busy:?} with {DEAD} dead sessions, {of_fresh:?} without",
            opened.name
        );
    });
}

async fn sign_in(sessions: &Sessions, subject: &Subject, class: &str) {
    let ticket = sessions.begin_login(subject).await.unwrap();
    let login = Login::new("password").class(ClassName::new(class).unwrap());
    sessions.login(&ticket, login).await.unwrap().issued().unwrap();
}

/// How long it takes to list the sessions of a subject that have no end, of which there is one.
#[expect(clippy::disallowed_methods, reason = "how long it takes is asked of a real clock")]
async fn list(store: &dyn SessionStore, subject: &Subject) -> Duration {
    let limit = const { NonZeroUsize::new(100).unwrap() };
    let query = ListQuery { subject: Some(subject.clone()), with_ended: false, limit };
    let begun = Instant::now();
    let scan = store.list(&Realm::default(), &query, None).await.unwrap();
    let took = begun.elapsed();
    assert_eq!(scan.rows.len(), 1);
    took
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
