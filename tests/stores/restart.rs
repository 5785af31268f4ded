//! Who is signed out when an application starts again.

use session_engine::{Actor, Answer, Error, Login, Policy, Reason, Sessions, Subject};

use crate::open::with_each;

/// A store of one process may be emptied when that starts again; one that others share may not be by one of them, and
/// is by an operator. Either way each session tells why it ended.
#[test]
fn a_restart_signs_out_everyone_of_a_store_that_is_nobody_elses() {
    with_each("restart", &async |opened| {
        let sessions = Sessions::new(opened.store.clone(), Policy::default());
        let alice = Subject::new("alice").unwrap();
        let ticket = sessions.begin_login(&alice).await.unwrap();
        let login = Login::new("password");
        let issued = sessions.login(&ticket, login).await.unwrap().issued().unwrap();
        assert!(matches!(sessions.resume(&issued.token).await.unwrap(), Answer::Live(_)));

        let answer = sessions.end_all_of_last_run().await;
        let shared = opened.store.is_shared();
        assert_eq!(shared, matches!(opened.name, "sqlite" | "postgres"), "{}", opened.name);
        if shared {
            assert!(matches!(answer, Err(Error::SharedStore)), "{}: {answer:?}", opened.name);
            let stands = sessions.resume(&issued.token).await.unwrap();
            assert!(matches!(stands, Answer::Live(_)), "{}: nothing was changed", opened.name);
            let operator = Actor::Operator(Subject::new("root").unwrap());
            sessions.revoke_everyone(Reason::Restarted, operator).await.unwrap();
        } else {
            answer.unwrap();
        }
        match sessions.resume(&issued.token).await.unwrap() {
            Answer::Ended(end) => assert_eq!(end.reason, Reason::Restarted, "{}", opened.name),
            other => panic!("{}: {other:?}", opened.name),
        }
    });
}
