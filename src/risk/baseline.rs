//! What a session has shown so far: what the next request is held against.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use session_core::{Data, DataError, Timestamp};

use super::{Agent, Network, Place, Sight};

/// What a session has shown: small, bounded, and kept in its data under [`Baseline::KEY`].
///
/// ```
/// use session_engine::Data;
/// use session_engine::risk::Baseline;
///
/// assert_eq!(Baseline::read(&Data::default()).unwrap(), None, "a session that was never watched");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    format: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent: Option<Agent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    languages: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
    /// The networks that were allowed, the newest last.
    #[serde(default)]
    networks: Vec<Network>,
    /// The last changes between networks, the newest last.
    #[serde(default)]
    trail: Vec<(Network, Timestamp)>,
    /// The devices and when each was noted last.
    #[serde(default)]
    devices: Vec<(String, Timestamp)>,
    /// What was noticed and when that was told last.
    #[serde(default)]
    told: Vec<(String, Timestamp)>,
    /// Since when a step-up is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked_at: Option<Timestamp>,
}

/// What stands in the place of a baseline is none.
///
/// ```
/// use session_engine::Data;
/// use session_engine::risk::{Baseline, BaselineError};
///
/// let mut data = Data::default();
/// data.set(Baseline::KEY, 17).unwrap();
/// assert!(matches!(Baseline::read(&data), Err(BaselineError::Damaged(_))));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BaselineError {
    /// It cannot be read.
    #[error("the baseline of a session is damaged")]
    Damaged(#[source] DataError),
    /// A newer version has written it.
    #[error("the baseline of a session is of format {0}, which is not known here")]
    Format(u32),
}

const FORMAT: u32 = 1;

/// What every format has.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl Default for Baseline {
    fn default() -> Self {
        Self {
            format: FORMAT,
            agent: None,
            languages: None,
            place: None,
            networks: Vec::new(),
            trail: Vec::new(),
            devices: Vec::new(),
            told: Vec::new(),
            asked_at: None,
        }
    }
}

impl Baseline {
    /// The key of a session's data that it is kept under. An application leaves it alone.
    pub const KEY: &str = "session_engine.risk";
    /// It knows that many devices, that many networks, and that many things that were told; the oldest give way.
    pub const MAX: usize = 8;

    /// The baseline of a session, if it has one.
    ///
    /// # Errors
    /// What is there cannot be read.
    pub fn read(data: &Data) -> Result<Option<Self>, BaselineError> {
        // A derived reader takes a sequence for a struct, too.
        let parts: Option<BTreeMap<String, IgnoredAny>> =
            data.get(Self::KEY).map_err(BaselineError::Damaged)?;
        if parts.is_none() {
            return Ok(None);
        }
        let Some(Format { format }) = data.get(Self::KEY).map_err(BaselineError::Damaged)? else {
            return Ok(None);
        };
        if format != FORMAT {
            return Err(BaselineError::Format(format));
        }
        data.get(Self::KEY).map_err(BaselineError::Damaged)
    }

    /// Puts it in the place of the one before.
    ///
    /// # Errors
    /// None that can be: all of it is what JSON can say.
    pub fn write(&self, data: &mut Data) -> Result<(), DataError> {
        data.set(Self::KEY, self)
    }

    /// The user agent that the session began with, in its newest version.
    pub fn agent(&self) -> Option<&Agent> {
        self.agent.as_ref()
    }

    /// The languages that were asked for last.
    pub fn languages(&self) -> &Option<String> {
        &self.languages
    }

    /// Where the last network was.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// Since when a step-up is asked for, until the holder proves himself.
    pub fn asked_at(&self) -> Option<Timestamp> {
        self.asked_at
    }

    /// Whether the session has come from the network of this request.
    pub fn has_network(&self, seen: &Sight) -> bool {
        seen.network.as_ref().is_some_and(|network| self.networks.contains(network))
    }

    /// Whether any network is known.
    pub(super) fn knows_networks(&self) -> bool {
        !self.networks.is_empty()
    }

    /// Whether a request from `network` makes the trail one of A B A B. Clients with both versions of IP change
    /// between them as they like, so that each version has a trail of its own.
    pub(super) fn ping_pongs(&self, network: &Network, within: Duration, now: Timestamp) -> bool {
        let mut before = self.trail.iter().rev().filter(|(other, _)| network.is_like(other));
        let [Some((last, _)), Some((one, _)), Some((first, at))] =
            [before.next(), before.next(), before.next()]
        else {
            return false;
        };
        one == network && last == first && last != network && now.since(*at) < within
    }

    /// Learns what a request shows that was allowed: what is soft moves along, the kinds of browser, system and
    /// device stay those that the session began with.
    pub(super) fn learn(&mut self, seen: &Sight, ping_pongs: bool, now: Timestamp) {
        match (&mut self.agent, &seen.agent) {
            (Some(known), Some(agent)) if known.browser == clipped(&agent.browser) => {
                known.version = known.version.max(agent.version);
            }
            (known @ None, Some(agent)) => *known = Some(clipped_agent(agent)),
            _ => {}
        }
        if let Some(languages) = &seen.languages {
            self.languages = Some(clipped(languages));
        }
        if let Some(place) = &seen.place {
            let [country, owner] =
                [&place.country, &place.owner].map(|text| text.as_deref().map(clipped));
            self.place = Some(Place { country, owner });
        }
        if let Some(network) = &seen.network {
            // In the order of their first sight: to come back to a known one is no news.
            if !self.networks.contains(network) {
                keep_newest(&mut self.networks, network.clone());
            }
            let last = self.trail.iter().rev().find(|(other, _)| network.is_like(other));
            // What goes on as it was told is not written again.
            if !ping_pongs && last.is_none_or(|(last, _)| last != network) {
                keep_newest(&mut self.trail, (network.clone(), now));
            }
        }
    }

    /// A baseline of this request alone: the holder has proved himself. Devices and what was told stay, so that
    /// neither is told again.
    #[must_use]
    pub fn renewed(&self, seen: &Sight, now: Timestamp) -> Self {
        let (devices, told) = (self.devices.clone(), self.told.clone());
        let mut next = Self { devices, told, ..Self::default() };
        next.learn(seen, false, now);
        next
    }

    /// From now on a step-up is asked for.
    pub(super) fn ask(&mut self, now: Timestamp) {
        self.asked_at.get_or_insert(now);
    }

    /// Whether a device is to be noted; if so, it is noted.
    pub(super) fn note_device(&mut self, key: &str, every: Duration, now: Timestamp) -> bool {
        due(&mut self.devices, &clipped(key), every, now)
    }

    /// Whether what was noticed is to be told; if so, it is told.
    pub(super) fn tell(&mut self, what: &str, every: Duration, now: Timestamp) -> bool {
        due(&mut self.told, what, every, now)
    }
}

/// Whether something is to be told: new, or not for so long. Who shows something else with each request is told of eight
/// times in that long, and not with each of them: each is a write.
fn due(known: &mut Vec<(String, Timestamp)>, key: &str, every: Duration, now: Timestamp) -> bool {
    let lately = |at: &Timestamp| now.since(*at) < every;
    let told = known.iter().any(|(other, at)| other == key && lately(at));
    if told || known.iter().filter(|(_, at)| lately(at)).count() >= Baseline::MAX {
        return false;
    }
    known.retain(|(other, _)| other != key);
    keep_newest(known, (key.to_owned(), now));
    true
}

fn keep_newest<T>(list: &mut Vec<T>, item: T) {
    list.push(item);
    let forgotten = list.len().saturating_sub(Baseline::MAX);
    list.drain(..forgotten);
}

/// The beginning of a text: what is kept of it, and compared.
pub(super) fn clipped(text: &str) -> String {
    let end = (0..=Sight::TEXT.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text[..end.unwrap_or(0)].to_owned()
}

fn clipped_agent(agent: &Agent) -> Agent {
    Agent {
        browser: clipped(&agent.browser),
        version: agent.version,
        system: clipped(&agent.system),
        device_class: clipped(&agent.device_class),
    }
}
