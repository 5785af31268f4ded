//! What an application relies on when secrets come of age, passwords change and people are erased: the engine over
//! the store, under concurrency.

use std::time::Duration;

use super::BoxFuture;
use super::bed::{Bed, subject};
use super::engine::builder;
use crate::{
    Access, Actor, Answer, Class, Issued, Limits, LoggedIn, Login, ManualClock, OnLimit, Policy,
    Proof, Proved, Reason, ScopeName, Session, SessionToken, Sessions, Stamp, Stamped, Subject,
    Visit,
};

const HOUR: Duration = Duration::from_secs(3_600);
/// The usual grace, and the usual allowance for clocks.
const GRACE: Duration = Duration::from_secs(35);

fn engine(bed: &Bed, clock: &ManualClock) -> Sessions {
    let browser = Class::new(12 * HOUR).idle(2 * HOUR).rotation_interval(HOUR);
    let finance = Limits { idle_timeout: Some(HOUR / 12), ..Limits::NONE };
    let policy = Policy::builder()
        .class("browser", browser.clone())
        .class("lone", browser.max_sessions(1, OnLimit::EvictLeastRecent))
        .scope("finance", finance)
        .build();
    builder(bed, clock).policy(policy.expect("a policy")).build()
}

async fn sign_in(sessions: &Sessions, whose: &Subject) -> Issued {
    let ticket = sessions.begin_login(whose).await.expect("a ticket");
    let outcome = sessions.login(&ticket, Login::new("password")).await.expect("it is answered");
    outcome.issued().expect("nothing stands against this login")
}

async fn resumed(sessions: &Sessions, token: &SessionToken) -> Answer<Session> {
    sessions.resume(token).await.expect("a resume is answered")
}

async fn live(sessions: &Sessions, token: &SessionToken) -> Session {
    resumed(sessions, token).await.live().expect("it lives")
}

async fn why(sessions: &Sessions, token: &SessionToken) -> Option<Reason> {
    match resumed(sessions, token).await {
        Answer::Ended(end) => Some(end.reason),
        Answer::Live(_) | Answer::Absent => None,
    }
}

/// A session whose secret is due.
async fn due(sessions: &Sessions, clock: &ManualClock, whose: &Subject) -> SessionToken {
    let issued = sign_in(sessions, whose).await;
    live(sessions, &issued.token).await;
    clock.advance(HOUR);
    issued.token
}

/// However many requests come at the due instant, one successor is minted, and all of them live.
pub async fn parallel_requests_mint_one_successor(bed: &Bed) {
    let clock = ManualClock::at(bed.at(0));
    let sessions = engine(bed, &clock);
    let token = due(&sessions, &clock, &subject("alice")).await;
    let tasks =
        (0..32).map(|_| -> BoxFuture<'_, Session> { Box::pin(live(&sessions, &token)) }).collect();
    let brought: Vec<_> = bed
        .together(tasks)
        .iter()
        .filter_map(|session| session.successor().map(|next| next.expose().to_string()))
        .collect();
    assert_eq!(brought.len(), 1, "of 32 requests one brings the successor, and all live");
    let next = brought[0].parse().expect("a token");
    live(&sessions, &next).await;
    live(&sessions, &token).await;
}

/// The successor takes over when it is presented, also by many at once; the secret before is good for the grace,
/// and later ends the session for everybody.
pub async fn a_replaced_secret_is_good_for_a_grace_and_then_ends_the_session(bed: &Bed) {
    let clock = ManualClock::at(bed.at(0));
    let sessions = engine(bed, &clock);
    let token = due(&sessions, &clock, &subject("alice")).await;
    let next = live(&sessions, &token).await.successor().cloned().expect("it is due");
    let tasks =
        (0..8).map(|_| -> BoxFuture<'_, Session> { Box::pin(live(&sessions, &next)) }).collect();
    bed.together(tasks);
    clock.advance(GRACE - Duration::from_millis(1));
    assert!(live(&sessions, &token).await.successor().is_none(), "good, and no second successor");
    clock.advance(Duration::from_millis(1));
    assert_eq!(why(&sessions, &token).await, Some(Reason::ReuseDetected), "a copy is told");
    assert_eq!(why(&sessions, &next).await, Some(Reason::ReuseDetected), "and nobody goes on");
}

/// A response that is lost costs nothing: the same successor is sent again.
pub async fn a_lost_successor_is_sent_again(bed: &Bed) {
    let clock = ManualClock::at(bed.at(0));
    let sessions = engine(bed, &clock);
    let token = due(&sessions, &clock, &subject("alice")).await;
    let first = live(&sessions, &token).await.successor().map(SessionToken::expose);
    clock.advance(HOUR);
    let again = live(&sessions, &token).await.successor().map(SessionToken::expose);
    assert_eq!(first, again, "the same successor");
    assert!(first.is_some(), "and there is one");
}

/// A changed password ends the other sessions, keeps the one at hand with a new secret, and refuses a login that
/// verified the old one.
pub async fn a_stamp_ends_all_but_the_kept_one(bed: &Bed) {
    let clock = ManualClock::at(bed.at(0));
    let sessions = engine(bed, &clock);
    let alice = subject("alice");
    let (other, own) = (sign_in(&sessions, &alice).await, sign_in(&sessions, &alice).await);
    let of_bob = sign_in(&sessions, &subject("bob")).await;
    let ticket = sessions.begin_login(&alice).await.expect("a ticket");
    let session = live(&sessions, &own.token).await;
    let (reason, actor) = (Reason::CredentialsChanged, Actor::Subject);
    let stamp = Stamp::new(b"second");
    let set = sessions.set_stamp(&alice, &stamp, reason.clone(), actor.clone(), Some(&session));
    let Stamped::Changed(Some(kept)) = set.await.expect("it is answered") else {
        panic!("the one at hand is kept");
    };
    assert_eq!(why(&sessions, &other.token).await, Some(reason.clone()), "the others end");
    assert!(matches!(resumed(&sessions, &own.token).await, Answer::Absent), "a new secret");
    live(&sessions, &kept.token).await;
    live(&sessions, &of_bob.token).await;
    let late = sessions.login(&ticket, Login::new("password")).await.expect("it is answered");
    assert!(matches!(late, LoggedIn::CredentialsChanged), "the old password opens nothing");
    let again = sessions.set_stamp(&alice, &stamp, reason, actor, None).await;
    assert!(matches!(again.expect("it is answered"), Stamped::Unchanged), "once is enough");
    live(&sessions, &kept.token).await;
}

/// A change of the password and logins with the old one at the same time: whoever comes after it is refused, and
/// whoever came before is out.
pub async fn no_login_outlives_a_stamp_that_it_raced(bed: &Bed) {
    let clock = ManualClock::at(bed.at(0));
    let sessions = engine(bed, &clock);
    let alice = subject("alice");
    let ticket = sessions.begin_login(&alice).await.expect("a ticket");
    let mut tasks: Vec<BoxFuture<'_, Option<Issued>>> = (0..15)
        .map(|_| -> BoxFuture<'_, Option<Issued>> {
            Box::pin(async {
                let outcome = sessions.login(&ticket, Login::new("password")).await;
                outcome.expect("it is answered").issued()
            })
        })
        .collect();
    tasks.push(Box::pin(async {
        let (reason, actor) = (Reason::CredentialsChanged, Actor::Subject);
        let stamp = Stamp::new(b"second");
        let set = sessions.set_stamp(&alice, &stamp, reason, actor, None).await;
        assert!(matches!(set.expect("it is answered"), Stamped::Changed(None)));
        None
    }));
    for issued in bed.together(tasks).into_iter().flatten() {
        let told = why(&sessions, &issued.token).await;
        assert_eq!(told, Some(Reason::CredentialsChanged), "it does not outlive the old password");
    }
}

/// Proving more keeps the session and its data, and replaces its secret at once.
pub async fn a_step_up_replaces_the_secret_at_once(bed: &Bed) {
    let clock = ManualClock::at(bed.at(0));
    let sessions = engine(bed, &clock);
    let alice = subject("alice");
    let issued = sign_in(&sessions, &alice).await;
    let session = live(&sessions, &issued.token).await;
    let ticket = sessions.begin_login(&alice).await.expect("a ticket");
    let proof = Proof::new("otp").level(2);
    let proved = sessions.step_up(&ticket, &session, &proof).await.expect("it is answered");
    let Proved::Accepted(stepped) = proved else { panic!("nothing stands against it") };
    assert!(matches!(resumed(&sessions, &issued.token).await, Answer::Absent), "the old one");
    let session = live(&sessions, &stepped.token).await;
    let methods: Vec<_> = session.authentications().iter().map(|one| &*one.method).collect();
    assert_eq!(methods, ["password", "otp"], "both are kept");
    assert_eq!(session.authentications()[1].level, 2);
}

/// A scope is entered after a recent sign-in, lives by its own timeout, and leaves the session alone when it closes.
pub async fn a_scope_lives_by_its_own_timeout(bed: &Bed) {
    let clock = ManualClock::at(bed.at(0));
    let sessions = engine(bed, &clock);
    let finance = ScopeName::new("finance").expect("a name");
    let issued = sign_in(&sessions, &subject("alice")).await;
    let session = live(&sessions, &issued.token).await;
    let entered = sessions.enter_scope(&session, &finance).await.expect("it is answered");
    assert!(entered.granted().is_some(), "a sign-in of a moment ago is recent");
    for _ in 0..3 {
        clock.advance(HOUR / 15);
        let session = live(&sessions, &issued.token).await;
        let visit = sessions.visit_scope(&session, &finance, Visit::default()).await;
        assert!(visit.expect("it is answered").granted().is_some(), "it is used");
    }
    clock.advance(HOUR / 12);
    let session = live(&sessions, &issued.token).await;
    let visit = sessions.visit_scope(&session, &finance, Visit::default()).await;
    assert!(matches!(visit.expect("it is answered"), Access::NeedsReauth(_)), "it has closed");
    let entered = sessions.enter_scope(&session, &finance).await.expect("it is answered");
    assert!(matches!(entered, Access::NeedsReauth(_)), "activity is no sign-in");
    live(&sessions, &issued.token).await;
}

/// Who is erased is gone, whoever logs in at the same time; what is exported holds all that there was.
pub async fn an_erasure_leaves_nothing_and_an_export_leaves_nothing_out(bed: &Bed) {
    let clock = ManualClock::at(bed.at(0));
    let sessions = engine(bed, &clock);
    let alice = subject("alice");
    let mut tokens = Vec::new();
    for _ in 0..5 {
        tokens.push(sign_in(&sessions, &alice).await.token);
    }
    let of_bob = sign_in(&sessions, &subject("bob")).await;
    let ended = live(&sessions, &tokens[0]).await;
    let _ = sessions.sign_out(&ended).await.expect("it is answered");
    let export = sessions.export(&alice).await.expect("it is answered");
    assert_eq!((export.sessions.len(), export.damaged.len()), (5, 0), "all sessions are in it");
    assert_eq!(export.events.len(), 5 * 2 + 2, "and all events");
    let erased = sessions.erase(&alice, Actor::System).await.expect("it is answered");
    assert_eq!((erased.ended, erased.sessions), (4, 5), "all sessions are removed");
    for token in &tokens {
        assert!(matches!(resumed(&sessions, token).await, Answer::Absent), "and open nothing");
    }
    let export = sessions.export(&alice).await.expect("it is answered");
    assert!(export.sessions.is_empty() && export.events.is_empty(), "nothing is left");
    live(&sessions, &of_bob.token).await;
}
