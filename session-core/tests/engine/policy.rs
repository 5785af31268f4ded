//! Policies that change while sessions live; classes and groups.

use std::sync::Arc;

use async_trait::async_trait;
use pollster::block_on;
use session_core::{
    Class, Error, GroupName, Limits, NewSession, OnLimit, Policy, Reason, StoreError,
};

use crate::support::hooked::{Call, Hook};
use crate::support::{MILLI, START, World, class, classes, login, minutes};

fn browser(idle: u64, absolute: u64) -> Policy {
    Policy::builder()
        .class("browser", Class::new(minutes(absolute)).idle(minutes(idle)))
        .build()
        .unwrap()
}

#[test]
fn tightening_acts_on_the_next_resume() {
    let world = World::with(browser(30, 720));
    let (token, _) = world.active("alice", "browser");
    world.clock.advance(minutes(10));
    world.sessions.set_policy(browser(5, 720));
    let end = world.ended(&token);
    assert_eq!((end.reason, end.at), (Reason::IdleTimeout, START + minutes(5)));
    world.sessions.set_policy(browser(30, 720));
    assert_eq!(world.ended(&token).reason, Reason::IdleTimeout, "it was told, and stays");
}

#[test]
fn tightening_the_absolute_timeout_ends_a_busy_session() {
    let world = World::with(browser(30, 720));
    let (token, _) = world.active("alice", "browser");
    world.sessions.set_policy(browser(30, 20));
    world.clock.set(START + minutes(20) - MILLI);
    assert_eq!(world.live(&token).absolute_deadline(), START + minutes(20));
    world.clock.advance(MILLI);
    assert_eq!(world.ended(&token).reason, Reason::AbsoluteTimeout);
}

#[test]
fn loosening_acts_on_new_sessions_only() {
    let world = World::with(browser(5, 60));
    let (old, _) = world.active("alice", "browser");
    world.sessions.set_policy(browser(30, 720));
    let (new, session) = world.active("alice", "browser");
    assert_eq!(session.absolute_deadline(), START + minutes(720));
    assert_eq!(world.live(&old).idle_deadline(), Some(START + minutes(5)));
    world.clock.set(START + minutes(5));
    assert_eq!(world.ended(&old).reason, Reason::IdleTimeout);
    assert!(world.is_live(&new));
}

#[test]
fn a_session_whose_class_is_gone_lives_by_the_stricter_of_its_own_and_the_default() {
    let world = World::new();
    let (token, _) = world.active("alice", "steady");
    world.sessions.set_policy(browser(30, 60));
    let session = world.live(&token);
    assert_eq!(session.idle_deadline(), Some(START + minutes(30)));
    assert_eq!(session.absolute_deadline(), START + minutes(60));
}

#[test]
fn groups_limit_further_and_only_further() {
    let limits = Limits { idle_timeout: Some(minutes(10)), ..Limits::NONE };
    let wide = Limits { absolute_timeout: Some(minutes(10_000)), ..Limits::NONE };
    let policy = classes().group("staff", limits).group("guests", wide).build().unwrap();
    let world = World::with(policy);
    let groups = ["staff", "guests", "unheard"].map(|name| GroupName::new(name).unwrap());
    let ticket = world.ticket("alice");
    let issued = world.try_login(&ticket, login("browser").groups(groups.to_vec()));
    let session = world.live(&issued.issued().unwrap().token);
    assert_eq!(session.idle_deadline(), Some(START + minutes(10)));
    assert_eq!(session.absolute_deadline(), START + minutes(720));
}

#[test]
fn anonymous_sessions_live_by_a_class_of_their_own_if_there_is_one() {
    let world = World::new();
    assert_eq!(world.create().session.class().as_str(), "browser");
    let policy = classes().class("anonymous", Class::new(minutes(20)));
    world.sessions.set_policy(policy.build().unwrap());
    let issued = block_on(world.sessions.create(NewSession::default())).unwrap();
    assert_eq!(issued.session.class().as_str(), "anonymous");
    assert_eq!(issued.session.absolute_deadline(), START + minutes(20));
}

#[test]
fn the_touch_interval_of_a_class_is_the_one_that_counts() {
    let browser = Class::new(minutes(720)).idle(minutes(30)).touch_interval(minutes(10));
    let steady = Class::new(minutes(720)).touch_interval(minutes(20));
    let policy = Policy::builder().class("browser", browser).class("steady", steady);
    let world = World::with(policy.build().unwrap());
    for (class, interval) in [("browser", minutes(10)), ("steady", minutes(20))] {
        let (token, session) = world.active("alice", class);
        let begin = session.last_seen_at();
        world.clock.advance(interval - MILLI);
        assert_eq!(world.live(&token).last_seen_at(), begin, "{class}: too early");
        world.clock.advance(MILLI);
        assert_eq!(world.live(&token).last_seen_at(), begin + interval, "{class}: too late");
    }
}

#[test]
fn an_idle_timeout_stricter_than_its_class_does_not_outrun_the_recording_of_activity() {
    let browser = Class::new(minutes(720)).idle(minutes(30)).touch_interval(minutes(10));
    let limits = Limits { idle_timeout: Some(minutes(5)), ..Limits::NONE };
    let policy = Policy::builder().class("browser", browser).group("staff", limits);
    let world = World::with(policy.build().unwrap());
    let ticket = world.ticket("alice");
    let staff = login("browser").groups(vec![GroupName::new("staff").unwrap()]);
    let token = world.try_login(&ticket, staff).issued().unwrap().token;
    for _ in 0..60 {
        assert!(world.is_live(&token), "an active user was logged out");
        world.clock.advance(minutes(4));
    }
}

#[test]
fn a_limit_counts_what_lives_by_its_class_whatever_it_is_called() {
    let lone = Class::new(minutes(720)).max_sessions(1, OnLimit::Reject);
    let policy = Policy::builder().class("browser", lone.clone()).class("kiosk", lone.clone());
    let world = World::with(policy.build().unwrap());
    let kiosk = world.login("alice", "kiosk");
    world.sessions.set_policy(Policy::builder().class("browser", lone).build().unwrap());
    assert!(world.is_live(&kiosk.token));
    let refused = world.try_login(&world.ticket("alice"), login("browser")).issued();
    assert!(refused.is_none(), "a second session by the rules of browser");
}

#[test]
fn a_class_that_the_policy_does_not_name_is_refused_before_anything_is_read() {
    let world = World::new();
    let ticket = world.ticket("alice");
    let refusal = world.hooked(&Arc::new(Unreachable));
    let new = NewSession { class: Some(class("brwoser")), ..NewSession::default() };
    let answers = [
        block_on(refusal.create(new)).map(drop),
        block_on(refusal.login(&ticket, login("brwoser"))).map(drop),
    ];
    for answer in answers {
        let Err(Error::UnknownClass(name)) = answer else { panic!("{answer:?}") };
        assert_eq!(name, class("brwoser"));
    }
}

/// A store that nobody may ask.
#[derive(Debug)]
struct Unreachable;

#[async_trait]
impl Hook for Unreachable {
    async fn before(&self, call: Call) -> Result<(), StoreError> {
        panic!("{call:?} was asked");
    }

    async fn after(&self, _: Call) -> Result<(), StoreError> {
        Ok(())
    }
}
