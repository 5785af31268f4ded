//! The built-in judgement: signals, their weights, and two thresholds.

use std::collections::BTreeMap;
use std::time::Duration;

use session_core::{Record, Timestamp};

use super::baseline::clipped;
use super::{Assessment, Baseline, RiskHook, Sight, Verdict};

/// Something that a request shows and that its session has not shown before.
///
/// ```
/// use session_engine::risk::Signal;
///
/// assert_eq!(Signal::NetworkChanged.code(), "network_changed");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Signal {
    /// Another family of browsers: no upgrade does that.
    BrowserChanged,
    /// Another system.
    SystemChanged,
    /// Another kind of device.
    DeviceClassChanged,
    /// The user agent says nothing any more.
    AgentVanished,
    /// The browser is older than it was.
    AgentDowngraded,
    /// The client hints name another system than the user agent does.
    HintsContradict,
    /// A network that the session has not come from.
    NetworkChanged,
    /// Two networks in turn, A B A B, within ten minutes.
    NetworkPingPong,
    /// Other languages.
    LanguagesChanged,
    /// Another country.
    CountryChanged,
    /// Another owner of the network.
    OwnerChanged,
}

/// Each signal, its stable name and its default weight.
const BUILT_IN: [(Signal, &str, u32); 11] = [
    (Signal::BrowserChanged, "browser_changed", 50),
    (Signal::SystemChanged, "system_changed", 60),
    (Signal::DeviceClassChanged, "device_class_changed", 40),
    (Signal::AgentVanished, "agent_vanished", 40),
    (Signal::AgentDowngraded, "agent_downgraded", 30),
    (Signal::HintsContradict, "hints_contradict", 30),
    (Signal::NetworkChanged, "network_changed", 10),
    (Signal::NetworkPingPong, "network_ping_pong", 25),
    (Signal::LanguagesChanged, "languages_changed", 15),
    (Signal::CountryChanged, "country_changed", 25),
    (Signal::OwnerChanged, "owner_changed", 10),
];

impl Signal {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        BUILT_IN.iter().map(|(signal, ..)| *signal)
    }

    /// Its stable name.
    pub fn code(self) -> &'static str {
        BUILT_IN.iter().find(|(signal, ..)| *signal == self).map_or("", |(_, code, _)| code)
    }
}

/// Adds up the weights of what a request shows anew, and compares the sum with two thresholds.
///
/// | signal | weight | why |
/// |---|---|---|
/// | system changed | 60 | a cookie does not move between systems by itself |
/// | browser changed | 50 | nor between browsers |
/// | device class changed | 40 | a phone that asks for the desktop's page does this rightly |
/// | agent vanished | 40 | scripts say nothing; so do some privacy tools |
/// | agent downgraded | 30 | browsers go forward; a restored backup does not |
/// | hints contradict | 30 | a forged agent forgets them; so do some extensions |
/// | country changed | 25 | a traveller, a VPN |
/// | ping-pong between networks | 25 | two clients with one cookie, or one with two uplinks |
/// | languages changed | 15 | a setting that people do change |
/// | network changed | 10 | every phone, every day |
/// | owner changed | 10 | from the home to the train |
///
/// A step-up is asked from 50 on, an end from 120: a move to another country's network comes to 45, and asks
/// nothing. A weight of 0 switches a signal off.
///
/// ```
/// use session_engine::risk::{Signal, Signals};
///
/// let signals = Signals::default().weight(Signal::LanguagesChanged, 0).thresholds(40, 100);
/// assert_eq!(signals.weight_of(Signal::LanguagesChanged), 0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signals {
    weights: BTreeMap<Signal, u32>,
    step_up: u32,
    end: u32,
}

impl Default for Signals {
    fn default() -> Self {
        let weights = BUILT_IN.iter().map(|(signal, _, weight)| (*signal, *weight)).collect();
        Self { weights, step_up: 50, end: 120 }
    }
}

impl Signals {
    /// Two networks in turn count as ping-pong within that long.
    pub const PING_PONG: Duration = Duration::from_secs(600);

    /// The same with another weight for a signal; 0 switches it off.
    #[must_use]
    pub fn weight(mut self, of: Signal, weight: u32) -> Self {
        self.weights.insert(of, weight);
        self
    }

    /// The same with other thresholds: from which score on a step-up is asked, and from which the session ends. A
    /// score of 0 asks nothing, whatever they are.
    #[must_use]
    pub fn thresholds(self, step_up: u32, end: u32) -> Self {
        Self { step_up, end, ..self }
    }

    /// The weight of a signal.
    pub fn weight_of(&self, signal: Signal) -> u32 {
        self.weights.get(&signal).copied().unwrap_or(0)
    }

    /// What comes of these signals.
    pub fn judge(&self, shown: impl IntoIterator<Item = Signal>) -> Assessment {
        let counted: BTreeMap<Signal, u32> = shown
            .into_iter()
            .map(|signal| (signal, self.weight_of(signal)))
            .filter(|(_, weight)| *weight > 0)
            .collect();
        let score = counted.values().fold(0_u32, |sum, weight| sum.saturating_add(*weight));
        let verdict = match score {
            0 => Verdict::Allow,
            score if score >= self.end => Verdict::End,
            score if score >= self.step_up => Verdict::StepUp,
            _ => Verdict::Allow,
        };
        let noticed = counted.keys().map(|signal| signal.code().to_owned()).collect();
        Assessment { verdict, score, noticed }
    }
}

impl RiskHook for Signals {
    fn assess(&self, _: &Record, known: &Baseline, seen: &Sight, now: Timestamp) -> Assessment {
        self.judge(shown(known, seen, now))
    }
}

/// The signals of a request. What was never known cannot change.
fn shown(known: &Baseline, seen: &Sight, now: Timestamp) -> Vec<Signal> {
    let mut shown = Vec::new();
    let mut notice = |signal, when: bool| {
        if when {
            shown.push(signal);
        }
    };
    match (known.agent(), &seen.agent) {
        (Some(before), Some(agent)) => {
            let same_browser = !differ(&before.browser, &agent.browser);
            notice(Signal::BrowserChanged, !same_browser);
            notice(Signal::SystemChanged, differ(&before.system, &agent.system));
            notice(Signal::DeviceClassChanged, differ(&before.device_class, &agent.device_class));
            let downgraded = agent.version != 0 && agent.version < before.version;
            notice(Signal::AgentDowngraded, same_browser && downgraded);
        }
        (Some(_), None) => notice(Signal::AgentVanished, true),
        (None, _) => {}
    }
    if let (Some(agent), Some(hinted)) = (&seen.agent, &seen.hinted_system) {
        notice(Signal::HintsContradict, differ(&agent.system, hinted));
    }
    if let Some(network) = &seen.network {
        notice(Signal::NetworkChanged, known.knows_networks() && !known.has_network(seen));
        notice(Signal::NetworkPingPong, known.ping_pongs(network, Signals::PING_PONG, now));
    }
    let text = |text: &Option<String>| text.as_deref().unwrap_or_default().to_owned();
    notice(Signal::LanguagesChanged, differ(&text(known.languages()), &text(&seen.languages)));
    if let (Some(before), Some(place)) = (known.place(), &seen.place) {
        notice(Signal::CountryChanged, differ(&text(&before.country), &text(&place.country)));
        notice(Signal::OwnerChanged, differ(&text(&before.owner), &text(&place.owner)));
    }
    shown
}

/// Whether both say something, and not the same. Case says nothing.
fn differ(before: &str, now: &str) -> bool {
    let (before, now) = (clipped(before), clipped(now));
    !before.is_empty() && !now.is_empty() && !before.eq_ignore_ascii_case(&now)
}
