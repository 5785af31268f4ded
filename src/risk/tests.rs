use std::time::Duration;

use pollster::block_on;
use session_core::{
    Actor, ClassName, Data, Limits, ManualClock, MemoryStore, NewSession, Policy, Reason, Record,
    SecretHash, Session, SessionId, SessionStore, Sessions, SystemRandom, Timestamp,
};

use super::*;

const START: Timestamp = Timestamp::from_millis(1_735_689_600_000);
const MINUTE: Duration = Duration::from_secs(60);

fn seen(address: &str) -> Sight {
    Sight {
        network: Some(Network::of(address.parse().unwrap())),
        agent: Some(Agent {
            browser: "Firefox".into(),
            version: 140,
            system: "Linux".into(),
            device_class: "desktop".into(),
        }),
        languages: Some("de,en".into()),
        device: Some(format!("{address}/firefox")),
        ..Sight::default()
    }
}

fn other(change: impl FnOnce(&mut Agent)) -> Sight {
    let mut sight = seen("192.0.2.1");
    sight.agent.as_mut().map(change);
    sight
}

/// A session, its data, and a watch.
struct Watched {
    record: Record,
    data: Data,
    watch: Watch,
    now: Timestamp,
}

impl Watched {
    fn new(mode: Mode) -> Self {
        let id = SessionId::new(START, &SystemRandom).unwrap();
        let class = ClassName::new("browser").unwrap();
        let secret = SecretHash::from_bytes([0; 32]);
        let record = Record::new(id, secret, class, Limits::NONE, START);
        let watch = Watch::new(Signals::default()).mode(mode);
        let mut watched = Self { record, data: Data::default(), watch, now: START };
        watched.shows(&seen("192.0.2.1"));
        watched
    }

    fn shows(&mut self, sight: &Sight) -> Step {
        self.now = self.now + Duration::from_secs(1);
        let step = self.watch.step(&self.record, &self.data, sight, self.now);
        step.baseline.write(&mut self.data).unwrap();
        step
    }
}

fn noticed(step: &Step) -> Vec<&str> {
    step.assessment.noticed.iter().map(String::as_str).collect()
}

#[test]
fn each_signal_is_noticed_by_its_name() {
    let moved = |place: Option<Place>| Sight { place, ..seen("192.0.2.1") };
    let at = |country: &str, owner: &str| {
        Some(Place { country: Some(country.into()), owner: Some(owner.into()) })
    };
    let table: [(Sight, &[&str]); 10] = [
        (seen("192.0.2.1"), &[]),
        (other(|agent| agent.version = 141), &[]),
        (other(|agent| agent.version = 139), &["agent_downgraded"]),
        (other(|agent| agent.browser = "Chrome".into()), &["browser_changed"]),
        (other(|agent| agent.system = "Windows".into()), &["system_changed"]),
        (other(|agent| agent.device_class = "phone".into()), &["device_class_changed"]),
        (Sight { agent: None, ..seen("192.0.2.1") }, &["agent_vanished"]),
        (Sight { hinted_system: Some("macOS".into()), ..seen("192.0.2.1") }, &["hints_contradict"]),
        (Sight { languages: Some("ru".into()), ..seen("192.0.2.1") }, &["languages_changed"]),
        (seen("192.0.2.9"), &["network_changed"]),
    ];
    for (sight, expected) in table {
        let step = Watched::new(Mode::Observe).shows(&sight);
        assert_eq!(noticed(&step), expected, "{sight:?}");
    }
    let mut watched = Watched::new(Mode::Observe);
    assert!(noticed(&watched.shows(&moved(at("NZ", "one")))).is_empty(), "nothing was known");
    let step = watched.shows(&moved(at("AU", "two")));
    assert_eq!(noticed(&step), ["country_changed", "owner_changed"]);
}

#[test]
fn a_move_to_another_network_asks_nothing_wherever_it_is() {
    let signals = Signals::default();
    let moves = [Signal::NetworkChanged, Signal::CountryChanged, Signal::OwnerChanged];
    assert_eq!(signals.judge(moves).verdict, Verdict::Allow);
    assert_eq!(signals.judge([Signal::NetworkPingPong]).verdict, Verdict::Allow);
}

#[test]
fn ping_pong_is_noticed_within_a_version_of_ip_and_within_the_window() {
    let (a, b) = ("192.0.2.1", "198.51.100.1");
    let mut watched = Watched::new(Mode::Observe);
    watched.shows(&seen(b));
    watched.shows(&seen(a));
    assert_eq!(noticed(&watched.shows(&seen(b))), ["network_ping_pong"]);
    let mut watched = Watched::new(Mode::Observe);
    watched.shows(&seen(b));
    watched.shows(&seen(a));
    watched.now = watched.now + Signals::PING_PONG;
    assert!(noticed(&watched.shows(&seen(b))).is_empty(), "an hour at home, an hour at work");
    let mut watched = Watched::new(Mode::Observe);
    for _ in 0..4 {
        assert_eq!(noticed(&watched.shows(&seen("192.0.2.1"))), [""; 0]);
        let v6 = watched.shows(&seen("2001:db8::1"));
        assert!(!noticed(&v6).contains(&"network_ping_pong"), "one client with two versions of IP");
    }
}

/// Over all sets of signals: one more never lowers the score or the verdict, and no order matters.
#[test]
fn more_signals_never_weigh_less() {
    let all: Vec<Signal> = Signal::all().collect();
    let signals = Signals::default();
    for set in 0_u32..1 << all.len() {
        let chosen = || all.iter().copied().enumerate().filter(|(bit, _)| set >> bit & 1 == 1);
        let judged = signals.judge(chosen().map(|(_, signal)| signal));
        let backwards: Vec<Signal> = chosen().map(|(_, signal)| signal).collect();
        assert_eq!(signals.judge(backwards.into_iter().rev()), judged);
        for more in &all {
            let with = signals.judge(chosen().map(|(_, signal)| signal).chain([*more]));
            assert!(with.score >= judged.score && with.verdict >= judged.verdict);
        }
    }
    let heavy = Signal::all().fold(signals, |signals, signal| signals.weight(signal, u32::MAX));
    assert_eq!(heavy.judge(Signal::all()).score, u32::MAX, "a sum never goes round");
    let off = Signal::all().fold(heavy, |signals, signal| signals.weight(signal, 0));
    let judged = off.thresholds(0, 0).judge(Signal::all());
    assert_eq!(judged, Assessment::default(), "what is switched off is not noticed");
}

#[test]
fn observing_allows_everything_and_learns_nothing_of_what_it_would_refuse() {
    let mut watched = Watched::new(Mode::Observe);
    let thief = Sight {
        languages: Some("ru".into()),
        ..other(|agent| {
            *agent = Agent { browser: "curl".into(), system: "Windows".into(), ..Agent::default() };
        })
    };
    for _ in 0..3 {
        let step = watched.shows(&thief);
        assert_eq!((step.verdict, step.assessment.verdict), (Verdict::Allow, Verdict::End));
        assert_eq!(step.baseline.languages().as_deref(), Some("de,en"));
        assert_eq!(step.baseline.asked_at(), None);
    }
}

#[test]
fn a_step_up_stays_asked_for_until_it_is_proved() {
    let mut watched = Watched::new(Mode::Enforce);
    let thief = other(|agent| agent.system = "Windows".into());
    assert_eq!(watched.shows(&thief).verdict, Verdict::StepUp);
    let back = watched.shows(&seen("192.0.2.1"));
    assert_eq!((back.verdict, back.assessment.score), (Verdict::StepUp, 0), "still asked for");
    let renewed = back.baseline.renewed(&thief, watched.now);
    renewed.write(&mut watched.data).unwrap();
    assert_eq!(watched.shows(&thief).verdict, Verdict::Allow, "what was proved is the baseline");
}

#[test]
fn an_upgrade_is_learned_and_a_way_back_is_noticed() {
    let mut watched = Watched::new(Mode::Enforce);
    watched.shows(&other(|agent| agent.version = 145));
    let step = watched.shows(&other(|agent| agent.version = 144));
    assert_eq!(noticed(&step), ["agent_downgraded"]);
}

#[test]
fn devices_and_signals_are_told_at_most_hourly() {
    let mut watched = Watched::new(Mode::Observe);
    let moved = seen("192.0.2.9");
    let codes = |step: &Step| -> Vec<String> {
        step.notes.iter().map(|note| note.kind().code().to_owned()).collect()
    };
    let phone = Sight { device: moved.device.clone(), ..other(|agent| agent.version = 1) };
    assert_eq!(codes(&watched.shows(&phone)), ["device_seen", "risk_noticed"]);
    assert!(watched.shows(&phone).notes.is_empty());
    watched.now = watched.now + 60 * MINUTE;
    assert_eq!(codes(&watched.shows(&phone)), ["device_seen", "risk_noticed"]);
}

#[test]
fn who_shows_another_device_with_each_request_is_told_of_eight_times_an_hour() {
    let mut watched = Watched::new(Mode::Observe);
    let mut told = 1;
    for index in 0..100 {
        let device = Some(format!("device {index}"));
        told += watched.shows(&Sight { device, ..seen("192.0.2.1") }).notes.len();
    }
    assert_eq!(told, Baseline::MAX);
    watched.now = watched.now + Watch::EVERY;
    let step = watched.shows(&Sight { device: Some("another".into()), ..seen("192.0.2.1") });
    assert_eq!(step.notes.len(), 1, "an hour later it goes on");
}

#[test]
fn a_baseline_stays_small() {
    let mut watched = Watched::new(Mode::Observe);
    for index in 0..200_u32 {
        let mut sight = seen(&format!("192.0.2.{index}"));
        sight.languages = Some("\u{e9}".repeat(5_000));
        sight.device = Some(format!("{index}{}", "x".repeat(5_000)));
        watched.shows(&sight);
    }
    let size = serde_json::to_vec(&watched.data.get::<serde_json::Value>(Baseline::KEY).unwrap());
    assert!(size.unwrap().len() < 3_000);
}

#[test]
fn what_cannot_be_read_is_noted_and_locks_nobody_out() {
    for junk in [serde_json::json!({"format": 9}), serde_json::json!([1]), serde_json::json!(null)]
    {
        let mut watched = Watched::new(Mode::Enforce);
        watched.data.set(Baseline::KEY, &junk).unwrap();
        let step = watched.shows(&seen("192.0.2.1"));
        assert_eq!(step.verdict, Verdict::Allow);
        assert_eq!(noticed(&step), [Watch::UNREADABLE], "{junk}");
        assert!(noticed(&watched.shows(&seen("192.0.2.1"))).is_empty(), "watched anew");
    }
}

#[test]
fn nothing_new_writes_nothing() {
    let clock = ManualClock::at(START);
    let store = std::sync::Arc::new(MemoryStore::new());
    let sessions =
        Sessions::builder(store.clone()).policy(Policy::default()).clock(clock.clone()).build();
    let session = block_on(sessions.create(NewSession::default())).unwrap().session;
    let watch = Watch::new(Signals::default());
    let look = |session: &Session, sight: &Sight| {
        block_on(watch.look(&sessions, session, sight)).unwrap().live().unwrap().0
    };
    let version = || {
        let stored = block_on(store.load(sessions.realm(), session.id()));
        stored.unwrap().unwrap().version
    };
    let known = look(&session, &seen("192.0.2.1"));
    let before = version();
    clock.advance(MINUTE);
    look(&known, &seen("192.0.2.1"));
    assert_eq!(version(), before, "a request that shows nothing new");
    look(&known, &seen("192.0.2.9"));
    assert_eq!(version(), before + 1, "one commit for the baseline and what is told");
    let revoked = block_on(sessions.revoke(session.id(), Reason::RiskDetected, Actor::System));
    assert!(revoked.is_ok());
    let gone = block_on(watch.look(&sessions, &known, &seen("192.0.2.77"))).unwrap();
    assert!(gone.live().is_none(), "what has ended is told to have");
}
