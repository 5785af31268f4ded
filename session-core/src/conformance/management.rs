//! What those rely on who answer for the sessions of others: policies, limits, accounts and the history of it all,
//! the engine over the store.

use std::time::Duration;

use super::bed::{Bed, subject};
use super::engine::builder;
use crate::{
    Actor, Answer, ChangeSet, Class, ClassName, Clock as _, End, Event, EventKind, GroupName,
    Issued, Limits, LoggedIn, Login, ManualClock, OnLimit, Policy, PolicyBuilder, Proof, Proved,
    Reason, ScopeName, Session, SessionId, SessionToken, Sessions, Stamp, Stamped, Subject,
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const MILLI: Duration = Duration::from_millis(1);

/// Classes whose limits are these.
fn classes(idle: Duration, absolute: Duration) -> PolicyBuilder {
    let browser = Class::new(absolute).idle(idle);
    Policy::builder()
        .class("browser", browser.clone())
        .class("lone", browser.clone().max_sessions(1, OnLimit::EvictLeastRecent))
        .class("full", browser.max_sessions(1, OnLimit::Reject))
        .class("machine", Class::new(HOUR).max_sessions(1, OnLimit::EvictLeastRecent))
}

fn built(policy: PolicyBuilder) -> Policy {
    policy.build().expect("a policy")
}

fn usual() -> Policy {
    built(classes(30 * MINUTE, 12 * HOUR))
}

fn login(class: &str) -> Login {
    Login::new("password").class(ClassName::new(class).expect("a name"))
}

async fn try_sign_in(sessions: &Sessions, whose: &Subject, login: Login) -> LoggedIn {
    let ticket = sessions.begin_login(whose).await.expect("a ticket");
    sessions.login(&ticket, login).await.expect("it is answered")
}

/// Somebody who has signed in and used his session.
async fn active(sessions: &Sessions, whose: &Subject, class: &str) -> Issued {
    let outcome = try_sign_in(sessions, whose, login(class)).await;
    let issued = outcome.issued().expect("nothing stands against this login");
    let session = live(sessions, &issued.token).await;
    Issued { session, ..issued }
}

async fn resumed(sessions: &Sessions, token: &SessionToken) -> Answer<Session> {
    sessions.resume(token).await.expect("a resume is answered")
}

async fn live(sessions: &Sessions, token: &SessionToken) -> Session {
    resumed(sessions, token).await.live().expect("it lives")
}

async fn ended(sessions: &Sessions, token: &SessionToken) -> End {
    match resumed(sessions, token).await {
        Answer::Ended(end) => end,
        other => panic!("it has ended, and is {other:?}"),
    }
}

async fn history(bed: &Bed, of: SessionId) -> Vec<Event> {
    let told = bed.told().await.into_iter().map(|told| told.event);
    told.filter(|event| event.session == Some(of)).collect()
}

/// A stricter policy acts at the next resume of whoever is signed in; a looser one on new sessions alone.
pub async fn a_stricter_policy_acts_at_once_and_a_looser_one_on_new_sessions(bed: &Bed) {
    let clock = ManualClock::at(bed.at(0));
    let sessions = builder(bed, &clock).policy(usual()).build();
    let alice = subject("alice");
    let (old, other) =
        (active(&sessions, &alice, "browser").await, active(&sessions, &alice, "browser").await);
    sessions.set_policy(built(classes(10 * MINUTE, 6 * HOUR)));
    clock.advance(10 * MINUTE - MILLI);
    let deadline = live(&sessions, &old.token).await.absolute_deadline();
    assert_eq!(deadline, bed.at(0) + 6 * HOUR, "the stricter absolute timeout holds");
    clock.advance(MILLI);
    let end = ended(&sessions, &other.token).await;
    assert_eq!((end.reason, end.at), (Reason::IdleTimeout, clock.now()), "and the idle one");

    sessions.set_policy(built(classes(2 * HOUR, 24 * HOUR)));
    let begun = clock.now();
    let new = active(&sessions, &alice, "browser").await;
    assert_eq!(new.session.absolute_deadline(), begun + 24 * HOUR, "a new one has the new limits");
    let deadline = live(&sessions, &old.token).await.absolute_deadline();
    assert_eq!(deadline, bed.at(0) + 12 * HOUR, "an old one has those of its creation");
}

/// Of several groups the strictest limit counts, and none loosens anything.
pub async fn groups_limit_by_the_strictest(bed: &Bed) {
    let clock = ManualClock::at(bed.at(0));
    let limits = |idle: Duration, absolute: Duration| Limits {
        idle_timeout: Some(idle),
        absolute_timeout: Some(absolute),
        ..Limits::NONE
    };
    let policy = classes(30 * MINUTE, 12 * HOUR)
        .group("accounting", limits(10 * MINUTE, 9 * HOUR))
        .group("clerks", limits(20 * MINUTE, 8 * HOUR))
        .group("guests", limits(24 * HOUR, 99 * HOUR));
    let sessions = builder(bed, &clock).policy(built(policy)).build();
    let groups = ["accounting", "clerks", "guests"].map(|name| GroupName::new(name).expect("one"));
    let login = login("browser").groups(groups.to_vec());
    let issued = try_sign_in(&sessions, &subject("alice"), login).await.issued().expect("let in");
    let session = live(&sessions, &issued.token).await;
    assert_eq!(session.idle_deadline(), Some(bed.at(0) + 10 * MINUTE), "the strictest idle one");
    assert_eq!(session.absolute_deadline(), bed.at(0) + 8 * HOUR, "the strictest absolute one");
    clock.advance(10 * MINUTE);
    assert_eq!(ended(&sessions, &issued.token).await.reason, Reason::IdleTimeout);
}

/// One session at a time is a limit of one: the newer takes the place of the older, which is told why. A program
/// that signs in takes nobody's browser away.
pub async fn one_at_a_time_tells_the_other_and_machines_evict_nobody(bed: &Bed) {
    let clock = ManualClock::at(bed.at(0));
    let sessions = builder(bed, &clock).policy(usual()).build();
    let alice = subject("alice");
    let first = active(&sessions, &alice, "lone").await;
    for _ in 0..3 {
        active(&sessions, &alice, "machine").await;
    }
    live(&sessions, &first.token).await;
    clock.advance(MINUTE);
    let second = active(&sessions, &alice, "lone").await;
    let end = ended(&sessions, &first.token).await;
    assert_eq!((end.reason, end.at), (Reason::Superseded, clock.now()), "it is told why");
    live(&sessions, &second.token).await;
}

/// A login that is refused for the limit is told in the history, and ends nothing.
pub async fn a_refused_login_is_told_and_ends_nothing(bed: &Bed) {
    let clock = ManualClock::at(bed.at(0));
    let sessions = builder(bed, &clock).policy(usual()).build();
    let alice = subject("alice");
    let first = active(&sessions, &alice, "full").await;
    let refused = try_sign_in(&sessions, &alice, login("full")).await;
    assert!(matches!(refused, LoggedIn::LimitReached { live } if live == 1), "{refused:?}");
    live(&sessions, &first.token).await;
    let denied: Vec<_> = bed.told().await.into_iter().map(|told| told.event).collect();
    let denied = denied.iter().filter(|event| event.kind == EventKind::LoginDenied);
    let whose: Vec<_> = denied.map(|event| event.subject.clone()).collect();
    assert_eq!(whose, [Some(alice)], "once, and whose");
}

/// A disabled account has no session left, of whatever class, nor gets one by a password that was verified before.
pub async fn a_disabled_account_has_no_session_left(bed: &Bed) {
    let clock = ManualClock::at(bed.at(0));
    let sessions = builder(bed, &clock).policy(usual()).build();
    let (alice, bob) = (subject("alice"), subject("bob"));
    let of_bob = active(&sessions, &bob, "browser").await;
    let mut of_alice = Vec::new();
    for class in ["browser", "browser", "machine", "lone"] {
        of_alice.push(active(&sessions, &alice, class).await);
    }
    let ticket = sessions.begin_login(&alice).await.expect("a ticket");
    let actor = Actor::Operator(subject("root"));
    let reason = Reason::SubjectDisabled;
    sessions.revoke_subject(&alice, reason.clone(), actor.clone()).await.expect("it is revoked");
    let late = sessions.login(&ticket, login("browser")).await.expect("it is answered");
    assert!(matches!(late, LoggedIn::CredentialsChanged), "{late:?}");
    for issued in &of_alice {
        let end = ended(&sessions, &issued.token).await;
        assert_eq!((&end.reason, &end.actor), (&reason, &actor), "all of them, and by whom");
    }
    live(&sessions, &of_bob.token).await;
}

/// Everyone is signed out by one change, which is one event, and each session tells of it when it is looked at.
pub async fn everyone_is_signed_out_by_one_change(bed: &Bed) {
    let clock = ManualClock::at(bed.at(0));
    let sessions = builder(bed, &clock).policy(usual()).build();
    let issued = [
        active(&sessions, &subject("alice"), "browser").await,
        active(&sessions, &subject("bob"), "lone").await,
    ];
    let before = bed.told().await.len();
    sessions.revoke_everyone(Reason::EveryoneRevoked, Actor::System).await.expect("it is revoked");
    let told = bed.told().await;
    let kinds: Vec<_> = told[before..].iter().map(|told| &told.event.kind).collect();
    assert_eq!(kinds, [&EventKind::RealmRevoked], "one event, however many sessions");
    for issued in &issued {
        assert_eq!(ended(&sessions, &issued.token).await.reason, Reason::EveryoneRevoked);
    }
    active(&sessions, &subject("alice"), "browser").await;
}

/// A changed role ends the sessions for a reason of its own, and the same role again ends nothing.
pub async fn a_changed_role_ends_sessions_for_its_own_reason(bed: &Bed) {
    let clock = ManualClock::at(bed.at(0));
    let sessions = builder(bed, &clock).policy(usual()).build();
    let alice = subject("alice");
    let actor = Actor::Operator(subject("root"));
    let set = async |stamp: &[u8]| {
        let stamp = Stamp::new(stamp);
        let set = sessions.set_stamp(&alice, &stamp, Reason::RoleChanged, actor.clone(), None);
        matches!(set.await.expect("it is answered"), Stamped::Changed(None))
    };
    assert!(set(b"clerk").await, "the first one is set");
    let clerk = active(&sessions, &alice, "browser").await;
    assert!(!set(b"clerk").await, "the same again changes nothing");
    live(&sessions, &clerk.token).await;
    assert!(set(b"manager").await, "another does");
    let end = ended(&sessions, &clerk.token).await;
    assert_eq!((end.reason, end.actor), (Reason::RoleChanged, actor.clone()));
}

/// Signing in wholly again begins both deadlines anew, keeps the data, and leaves the old token nothing; activity
/// and a step-up move no absolute deadline, and only a proof is recent.
pub async fn only_a_proof_is_recent_and_only_a_sign_in_moves_the_deadline(bed: &Bed) {
    let clock = ManualClock::at(bed.at(0));
    let sessions = builder(bed, &clock).policy(usual()).build();
    let alice = subject("alice");
    let issued = active(&sessions, &alice, "browser").await;
    let basket = ChangeSet::new().set("basket", 3).expect("it is kept");
    let kept = sessions.edit(&issued.session, &basket).await.expect("it is answered");
    assert!(kept.live().is_some(), "it lives");
    clock.advance(20 * MINUTE);
    let session = live(&sessions, &issued.token).await;
    assert!(sessions.require(&session, 20 * MINUTE, 0).is_ok(), "so long ago it was proved");
    clock.advance(MILLI);
    let session = live(&sessions, &issued.token).await;
    assert!(sessions.require(&session, 20 * MINUTE, 0).is_err(), "activity is no proof");

    let ticket = sessions.begin_login(&alice).await.expect("a ticket");
    let proof = Proof::new("otp").level(2);
    let Proved::Accepted(stepped) =
        sessions.step_up(&ticket, &session, &proof).await.expect("it is answered")
    else {
        panic!("nothing stands against it")
    };
    assert!(sessions.require(&stepped.session, MINUTE, 2).is_ok(), "a proof is");
    assert_eq!(stepped.session.absolute_deadline(), bed.at(0) + 12 * HOUR, "and moves no deadline");

    let ticket = sessions.begin_login(&alice).await.expect("a ticket");
    let again = Proof::new("password");
    let Proved::Accepted(renewed) = sessions
        .reauthenticate(&ticket, &stepped.session, &again, Vec::new())
        .await
        .expect("it is answered")
    else {
        panic!("nothing stands against it")
    };
    let session = live(&sessions, &renewed.token).await;
    assert_eq!(session.absolute_deadline(), clock.now() + 12 * HOUR, "both begin anew");
    assert_eq!(session.idle_deadline(), Some(clock.now() + 30 * MINUTE));
    assert_eq!(session.get::<u32>("basket").expect("it is read"), Some(3), "the data stays");
    for old in [&issued.token, &stepped.token] {
        assert!(matches!(resumed(&sessions, old).await, Answer::Absent), "the old tokens do not");
    }
}

/// Each step of a life is told, in order, with who did it; an expiry with its true instant and the one when it was
/// noticed.
pub async fn each_step_is_told_with_its_actor_and_its_instants(bed: &Bed) {
    let clock = ManualClock::at(bed.at(0));
    let policy = classes(30 * MINUTE, 12 * HOUR)
        .scope("finance", Limits { idle_timeout: Some(5 * MINUTE), ..Limits::NONE });
    let sessions = builder(bed, &clock).policy(built(policy)).build();
    let alice = subject("alice");
    let issued = active(&sessions, &alice, "browser").await;
    let finance = ScopeName::new("finance").expect("a name");
    let entered = sessions.enter_scope(&issued.session, &finance).await.expect("it is answered");
    let session = entered.granted().expect("the sign-in is recent");
    let rotated =
        sessions.rotate(&session).await.expect("it is answered").live().expect("it lives");
    let ticket = sessions.begin_login(&alice).await.expect("a ticket");
    let stepped = sessions.step_up(&ticket, &rotated.session, &Proof::new("otp")).await;
    let stepped = stepped.expect("it is answered").accepted().expect("nothing stands against it");
    let ticket = sessions.begin_login(&alice).await.expect("a ticket");
    let again = Proof::new("password");
    let renewed = sessions.reauthenticate(&ticket, &stepped.session, &again, Vec::new()).await;
    let renewed = renewed.expect("it is answered").accepted().expect("nothing stands against it");
    clock.advance(HOUR);
    assert_eq!(ended(&sessions, &renewed.token).await.reason, Reason::IdleTimeout);

    let told = history(bed, session.id()).await;
    let kinds: Vec<_> = told.iter().map(|event| event.kind.clone()).collect();
    assert_eq!(
        kinds,
        [
            EventKind::Issued,
            EventKind::LoggedIn,
            EventKind::Activated,
            EventKind::ScopeEntered,
            EventKind::Rotated,
            EventKind::SteppedUp,
            EventKind::Reauthenticated,
            EventKind::Ended,
        ],
        "each step once, and in order"
    );
    for event in &told {
        assert_eq!(event.subject.as_ref(), Some(&alice), "whose");
        assert!(event.at <= event.observed_at && event.observed_at < event.purge_at, "{event:?}");
    }
    let end = told.last().expect("there is an end");
    assert_eq!((&end.reason, &end.actor), (&Some(Reason::IdleTimeout), &Actor::System));
    assert_eq!(end.at, bed.at(0) + 30 * MINUTE, "when it died");
    assert_eq!(end.observed_at, clock.now(), "and when that was noticed");
}
