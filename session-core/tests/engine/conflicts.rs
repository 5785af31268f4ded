//! Another change comes in between reading and writing, or an answer is lost just then.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use pollster::block_on;
use session_core::{
    Actor, Answer, Error, EventKind, Reason, Revoked, Session, Sessions, StoreError, StoreErrorKind,
};

use crate::support::hooked::{Call, Hook};
use crate::support::{World, login, minutes, put, seconds, subject, text};

type Meddling = Box<dyn FnMut() + Send>;

/// Lets somebody else in before a commit, as often as it has meddlers; and loses answers.
#[derive(Default)]
struct Between {
    meddlers: Mutex<Vec<Meddling>>,
    /// How many commits are lost before the store sees them.
    lost: AtomicUsize,
    /// Whether the store is gone from then on.
    then_gone: AtomicBool,
}

impl std::fmt::Debug for Between {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Between").finish_non_exhaustive()
    }
}

#[async_trait]
impl Hook for Between {
    async fn before(&self, call: Call) -> Result<(), StoreError> {
        if call != Call::Commit {
            return Ok(());
        }
        let meddler = self.meddlers.lock().unwrap().pop();
        if let Some(mut meddle) = meddler {
            meddle();
        }
        let lost =
            self.lost.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |lost| lost.checked_sub(1));
        match lost {
            Ok(_) => Err(StoreError::new(StoreErrorKind::OutcomeUnknown, "cut off")),
            Err(_) if self.then_gone.load(Ordering::SeqCst) => {
                Err(StoreError::new(StoreErrorKind::Unavailable, "gone"))
            }
            Err(_) => Ok(()),
        }
    }

    async fn after(&self, _: Call) -> Result<(), StoreError> {
        Ok(())
    }
}

struct Scene {
    world: World,
    engine: Sessions,
    between: Arc<Between>,
    token: session_core::SessionToken,
    session: Session,
}

impl Scene {
    fn new() -> Self {
        let world = World::new();
        let (token, session) = world.active("alice", "browser");
        let between = Arc::new(Between::default());
        let engine = world.hooked(&between);
        Self { world, engine, between, token, session }
    }

    /// Before the next commit of the engine under test, this is done by another.
    fn meddle(&self, mut meddle: impl FnMut(&World, &Session) + Send + 'static) {
        let (world, session) = (self.world.clone(), self.session.clone());
        self.between.meddlers.lock().unwrap().push(Box::new(move || meddle(&world, &session)));
    }

    fn meddle_with_data(&self, value: &'static str) {
        self.meddle(move |world, session| {
            let _ = block_on(world.sessions.edit(session, &put("other", value))).unwrap();
        });
    }

    fn lose(&self, commits: usize) {
        self.between.lost.store(commits, Ordering::SeqCst);
    }
}

fn unknown<T: std::fmt::Debug>(answer: Result<T, Error>) {
    match answer {
        Err(Error::Store(error)) if error.kind() == StoreErrorKind::OutcomeUnknown => {}
        other => panic!("its outcome is unknown: {other:?}"),
    }
}

#[test]
fn a_function_is_run_again_on_what_another_has_written() {
    let scene = Scene::new();
    scene.meddle_with_data("second");
    scene.meddle_with_data("first");
    let mut runs = 0;
    let updated = block_on(scene.engine.update(&scene.session, |data| {
        runs += 1;
        let other: Option<String> = data.get("other").unwrap();
        data.set("seen", other).unwrap();
    }));
    let (session, ()) = updated.unwrap().live().unwrap();
    assert_eq!(text(&session, "seen").as_deref(), Some("second"));
    assert_eq!(text(&session, "other").as_deref(), Some("second"));
    assert_eq!(runs, 3);
}

#[test]
fn an_edit_keeps_what_another_has_written() {
    let scene = Scene::new();
    scene.meddle_with_data("theirs");
    let edited = block_on(scene.engine.edit(&scene.session, &put("mine", "too"))).unwrap();
    let session = edited.live().unwrap();
    assert_eq!(text(&session, "other").as_deref(), Some("theirs"));
    assert_eq!(text(&session, "mine").as_deref(), Some("too"));
}

#[test]
fn a_revocation_in_between_wins_over_everything() {
    let meddled = || {
        let scene = Scene::new();
        scene.meddle(|world, session| {
            let _ = block_on(world.sessions.sign_out(session)).unwrap();
        });
        scene
    };
    let scene = meddled();
    let edited = block_on(scene.engine.edit(&scene.session, &put("mine", "too"))).unwrap();
    assert!(matches!(edited, Answer::Ended(end) if end.reason == Reason::SignedOut));
    assert!(scene.world.stored(scene.session.id()).unwrap().data.is_none());
    let scene = meddled();
    assert!(matches!(block_on(scene.engine.rotate(&scene.session)), Ok(Answer::Ended(_))));
    let scene = meddled();
    let by = (Reason::EndedByOwner, Actor::Subject);
    let others = block_on(scene.engine.revoke_others(&scene.session, by.0, by.1)).unwrap();
    assert!(matches!(others, Answer::Ended(_)));
    assert!(!scene.world.is_live(&scene.token));
    let scene = meddled();
    let by = (Reason::EndedByAdministrator, Actor::System);
    let revoked = block_on(scene.engine.revoke(scene.session.id(), by.0, by.1)).unwrap();
    assert!(matches!(revoked, Revoked::Already(end) if end.reason == Reason::SignedOut));
}

#[test]
fn keeping_one_loses_against_a_revocation_of_all_in_between() {
    for everyone in [false, true] {
        let scene = Scene::new();
        scene.meddle(move |world, _| {
            let by = (Reason::SubjectDisabled, Actor::System);
            if everyone {
                block_on(world.sessions.revoke_everyone(by.0, by.1)).unwrap();
            } else {
                block_on(world.sessions.revoke_subject(&subject("alice"), by.0, by.1)).unwrap();
            }
        });
        let by = (Reason::EndedByOwner, Actor::Subject);
        let _ = block_on(scene.engine.revoke_others(&scene.session, by.0, by.1)).unwrap();
        assert_eq!(scene.world.ended(&scene.token).reason, Reason::SubjectDisabled);
    }
}

#[test]
fn a_touch_in_between_takes_back_an_expiry_that_was_decided_without_it() {
    let scene = Scene::new();
    scene.world.clock.advance(minutes(29));
    let busy = scene.world.clone();
    let token = scene.token.clone();
    let late = session_core::ManualClock::at(scene.world.sessions.now() + minutes(1));
    scene.meddle(move |_, _| {
        assert!(busy.is_live(&token), "this node's clock is slower");
    });
    let fast = Sessions::builder(Arc::new(crate::support::hooked::Hooked {
        inner: scene.world.memory.clone(),
        hook: scene.between.clone(),
    }))
    .policy(session_core::Policy::clone(&scene.world.sessions.policy()))
    .clock(late)
    .build();
    let resumed = block_on(fast.resume(&scene.token)).unwrap();
    assert!(resumed.live().is_some(), "it was seen a minute ago");
}

#[test]
fn an_unknown_outcome_and_then_a_conflict_is_unknown_where_it_must_not_be_decided_anew() {
    let meddled = || {
        let scene = Scene::new();
        scene.meddle_with_data("theirs");
        scene.lose(1);
        scene
    };
    let scene = meddled();
    let mut runs = 0;
    unknown(block_on(scene.engine.update(&scene.session, |data| {
        runs += 1;
        data.set("mine", "too").unwrap();
    })));
    assert_eq!(runs, 1);
    let scene = meddled();
    unknown(block_on(scene.engine.rotate(&scene.session)));
    assert!(scene.world.is_live(&scene.token));

    let scene = Scene::new();
    scene.meddle(|world, _| {
        world.login("alice", "browser");
    });
    scene.lose(1);
    let ticket = scene.world.ticket("alice");
    unknown(block_on(scene.engine.login(&ticket, login("browser"))));
    let issued =
        scene.world.events().into_iter().filter(|told| told.event.kind == EventKind::Issued);
    assert_eq!(issued.count(), 2, "the first, and the one that came in between");
}

#[test]
fn an_unknown_outcome_and_then_a_conflict_is_decided_anew_where_it_may_be() {
    let meddled = || {
        let scene = Scene::new();
        scene.meddle_with_data("theirs");
        scene.lose(1);
        scene
    };
    let scene = meddled();
    let session = block_on(scene.engine.edit(&scene.session, &put("mine", "too"))).unwrap();
    assert_eq!(text(&session.live().unwrap(), "other").as_deref(), Some("theirs"));
    let scene = meddled();
    assert!(matches!(block_on(scene.engine.sign_out(&scene.session)), Ok(Revoked::Now(_))));
    let scene = meddled();
    let by = (Reason::EndedByOwner, Actor::Subject);
    let others = block_on(scene.engine.revoke_others(&scene.session, by.0, by.1)).unwrap();
    assert_eq!(others, Answer::Live(()));
    let scene = Scene::new();
    scene.meddle(|world, _| {
        world.login("alice", "browser");
    });
    scene.lose(1);
    let by = (Reason::SubjectDisabled, Actor::System);
    block_on(scene.engine.revoke_subject(&subject("alice"), by.0, by.1)).unwrap();
    assert!(!scene.world.is_live(&scene.token));
}

/// Others win for ever: the engine gives up when its patience is over.
#[test]
fn whoever_always_loses_gives_up() {
    let scene = Scene::new();
    let engine = scene.world.patient(&scene.between, seconds(0));
    scene.meddle_with_data("theirs");
    match block_on(engine.edit(&scene.session, &put("mine", "too"))) {
        Err(Error::Store(error)) => assert_eq!(error.kind(), StoreErrorKind::Overloaded),
        other => panic!("it lost: {other:?}"),
    }
    assert_eq!(text(&scene.world.live(&scene.token), "mine"), None);
}

/// What was sent first may have been carried out: whoever gives up afterwards cannot tell otherwise.
#[test]
fn giving_up_after_an_unknown_outcome_is_an_unknown_outcome() {
    let giving_up = || {
        let scene = Scene::new();
        scene.meddle_with_data("theirs");
        scene.lose(1);
        let engine = scene.world.patient(&scene.between, seconds(0));
        (scene, engine)
    };
    let (scene, engine) = giving_up();
    unknown(block_on(engine.edit(&scene.session, &put("mine", "too"))));
    let (scene, engine) = giving_up();
    unknown(block_on(engine.sign_out(&scene.session)));
    let (scene, engine) = giving_up();
    let by = (Reason::EndedByOwner, Actor::Subject);
    unknown(block_on(engine.revoke_others(&scene.session, by.0, by.1)));
    let scene = Scene::new();
    scene.meddle(|world, _| {
        world.login("alice", "browser");
    });
    scene.lose(1);
    let engine = scene.world.patient(&scene.between, seconds(0));
    let by = (Reason::SubjectDisabled, Actor::System);
    unknown(block_on(engine.revoke_subject(&subject("alice"), by.0, by.1)));
}

/// The first sending may have been carried out, whatever became of the second.
#[test]
fn a_store_that_is_gone_after_an_unknown_outcome_leaves_it_unknown() {
    let gone = || {
        let scene = Scene::new();
        scene.lose(1);
        scene.between.then_gone.store(true, Ordering::SeqCst);
        scene
    };
    let scene = gone();
    unknown(block_on(scene.engine.rotate(&scene.session)));
    let scene = gone();
    unknown(block_on(scene.engine.edit(&scene.session, &put("mine", "too"))));
    let scene = gone();
    unknown(block_on(scene.engine.sign_out(&scene.session)));
    let scene = gone();
    let ticket = scene.world.ticket("alice");
    unknown(block_on(scene.engine.login(&ticket, login("browser"))));
}
