//! A hook at work: what it says is learned, told, and, if it is to be, done.

use std::sync::Arc;
use std::time::Duration;

use session_core::{Answer, Data, DataError, Error, Note, Record, Session, Sessions, Timestamp};

use super::baseline::Baseline;
use super::{Agent, Assessment, RiskHook, Sight, Verdict};
use crate::client::{ClientConfig, Seen};

/// Whether anything is done about what is noticed.
///
/// ```
/// use session_engine::risk::Mode;
///
/// assert_eq!(Mode::default(), Mode::Observe);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Nothing is done: it is told what would have been.
    #[default]
    Observe,
    /// It is done.
    Enforce,
}

impl Mode {
    fn code(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Enforce => "enforce",
        }
    }
}

/// Watches the requests of live sessions.
///
/// ```
/// use std::sync::Arc;
/// use session_engine::risk::{Sight, Signals, Verdict, Watch};
/// use session_engine::{MemoryStore, NewSession, Policy, Sessions};
///
/// # pollster::block_on(async {
/// let sessions = Sessions::new(Arc::new(MemoryStore::new()), Policy::default());
/// let session = sessions.create(NewSession::default()).await.unwrap().session;
///
/// let watch = Watch::new(Signals::default());
/// let seen = Sight { languages: Some("de".into()), ..Sight::default() };
/// let (session, step) = watch.look(&sessions, &session, &seen).await.unwrap().live().unwrap();
/// assert_eq!(step.verdict, Verdict::Allow);
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Watch {
    hook: Arc<dyn RiskHook>,
    mode: Mode,
    #[cfg(feature = "geo")]
    locate: Option<Arc<dyn super::Locate>>,
}

/// What comes of one request.
///
/// ```
/// use session_engine::risk::{Step, Verdict};
///
/// fn may_go_on(step: &Step) -> bool {
///     step.verdict == Verdict::Allow
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What is to be done: always [`Verdict::Allow`] while observing.
    pub verdict: Verdict,
    /// What the hook said.
    pub assessment: Assessment,
    /// What the next request is held against.
    pub baseline: Baseline,
    /// What is to be told.
    pub notes: Vec<Note>,
}

impl Watch {
    /// The same device, and the same set of signals, is told at most that often.
    pub const EVERY: Duration = Duration::from_secs(3_600);
    /// The code of the event that tells of signals.
    pub const NOTICED: &str = "risk_noticed";
    /// What is noticed of a baseline that cannot be read: the session is watched from the beginning.
    pub const UNREADABLE: &str = "baseline_unreadable";

    /// A watch that observes.
    pub fn new(hook: impl RiskHook + 'static) -> Self {
        Self {
            hook: Arc::new(hook),
            mode: Mode::Observe,
            #[cfg(feature = "geo")]
            locate: None,
        }
    }

    /// The same with somebody who knows where networks are.
    #[cfg(feature = "geo")]
    #[must_use]
    pub fn locating(self, locate: impl super::Locate + 'static) -> Self {
        Self { locate: Some(Arc::new(locate)), ..self }
    }

    /// What a request shows, with the place of its network if somebody knows that.
    pub fn sight(&self, seen: &Seen, config: &ClientConfig) -> Sight {
        let sight = Sight::of(seen, config);
        #[cfg(feature = "geo")]
        if let (Some(locate), Some(address)) = (&self.locate, seen.address) {
            return sight.located(address, &**locate);
        }
        sight
    }

    /// The same in another mode.
    #[must_use]
    pub fn mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// Judges a request: pure.
    ///
    /// Only a request that is allowed, or would be, is learned from. A step-up that was asked for stays asked for
    /// until [`Watch::renew`], whatever later requests show: nobody gets rid of it by going back to the browser
    /// that the session began with.
    pub fn step(&self, record: &Record, data: &Data, seen: &Sight, now: Timestamp) -> Step {
        let (known, readable) = match Baseline::read(data) {
            Ok(known) => (known.unwrap_or_default(), true),
            Err(_) => (Baseline::default(), false),
        };
        let mut assessment = self.hook.assess(record, &known, seen, now);
        if !readable {
            assessment.noticed.insert(Self::UNREADABLE.to_owned());
        }
        let mut next = known.clone();
        let said = assessment.verdict;
        let verdict = match self.mode {
            Mode::Observe => Verdict::Allow,
            Mode::Enforce if known.asked_at().is_some() => said.max(Verdict::StepUp),
            Mode::Enforce => said,
        };
        if verdict == Verdict::StepUp {
            next.ask(now);
        }
        if said == Verdict::Allow && verdict == Verdict::Allow {
            let ping_pongs = seen
                .network
                .as_ref()
                .is_some_and(|network| known.ping_pongs(network, super::Signals::PING_PONG, now));
            next.learn(seen, ping_pongs, now);
        }
        let mut notes = Vec::new();
        if let Some(key) = &seen.device
            && next.note_device(key, Self::EVERY, now)
        {
            notes.push(device(key, seen));
        }
        if !assessment.noticed.is_empty() {
            let signals = Vec::from_iter(assessment.noticed.iter().map(String::as_str)).join(" ");
            if next.tell(&signals, Self::EVERY, now) {
                notes.extend(Note::new(Self::NOTICED).map(|note| {
                    note.with_detail("signals", &signals)
                        .with_detail("score", &assessment.score.to_string())
                        .with_detail("verdict", said.code())
                        .with_detail("mode", self.mode.code())
                }));
            }
        }
        Step { verdict, assessment, baseline: next, notes }
    }

    /// Judges a request of a live session, and writes down what is new of it, in one commit. It ends nothing and
    /// asks for nothing: that is for the caller to do.
    ///
    /// A request that shows nothing new costs no I/O. Else reads once and writes once; again when another change
    /// wins.
    ///
    /// # Errors
    /// What is stored is damaged, or has no room for the baseline; the store fails. The request is not to be
    /// answered as if it had been allowed.
    pub async fn look(
        &self,
        sessions: &Sessions,
        session: &Session,
        seen: &Sight,
    ) -> Result<Answer<(Session, Step)>, Error> {
        let step = self.step(session.record(), session.data()?, seen, sessions.now());
        if step.notes.is_empty()
            && Baseline::read(session.data()?).ok().flatten().as_ref() == Some(&step.baseline)
        {
            return Ok(Answer::Live((session.clone(), step)));
        }
        let answer = sessions.update_noting(session, |data| {
            let step = self.step(session.record(), data, seen, sessions.now());
            let written = step.baseline.write(data);
            (written.map(|()| step.clone()), step.notes)
        });
        settled(answer.await?)
    }

    /// The holder has proved himself with this request: its session is held against nothing older from now on, and
    /// what was asked for is given. Reads once and writes once; again when another change wins.
    ///
    /// # Errors
    /// As those of [`Watch::look`].
    pub async fn renew(
        &self,
        sessions: &Sessions,
        session: &Session,
        seen: &Sight,
    ) -> Result<Answer<Session>, Error> {
        let answer = sessions.update_noting(session, |data| {
            let known = Baseline::read(data).ok().flatten().unwrap_or_default();
            let now = sessions.now();
            let mut next = known.renewed(seen, now);
            let noted = seen.device.as_ref().filter(|key| next.note_device(key, Self::EVERY, now));
            let notes = noted.map(|key| device(key, seen)).into_iter().collect();
            (next.write(data), notes)
        });
        Ok(settled(answer.await?)?.map(|(session, ())| session))
    }
}

fn settled<T>(
    answer: Answer<(Session, Result<T, DataError>)>,
) -> Result<Answer<(Session, T)>, Error> {
    Ok(match answer {
        Answer::Live((session, written)) => Answer::Live((session, written?)),
        Answer::Ended(end) => Answer::Ended(end),
        Answer::Absent => Answer::Absent,
    })
}

/// What is told of a device.
fn device(key: &str, seen: &Sight) -> Note {
    let note = Note::device_seen().with_detail("device", key);
    let Some(Agent { browser, system, device_class, .. }) = &seen.agent else { return note };
    let said = [("browser", browser), ("system", system), ("class", device_class)];
    said.iter()
        .filter(|(_, text)| !text.is_empty())
        .fold(note, |note, (name, text)| note.with_detail(name, text))
}
