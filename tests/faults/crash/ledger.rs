//! What a killed process has been promised, and whether it is so.

use std::collections::{BTreeMap, BTreeSet};

use session_core::{EventKind, SessionId, SessionToken};

use super::said::{OUTCOME_UNKNOWN, Said, Step, UNAVAILABLE};
use super::{ENDED, OTHERS, RAISED};
use crate::look::{Found, Row};

/// What must be so in one realm.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    sessions: BTreeMap<SessionId, Known>,
    /// Sessions that gave way, by what was acknowledged.
    gave_way: BTreeSet<SessionId>,
    raises: BTreeMap<String, u64>,
    /// What each writer has begun and not been answered: it may have been done, or not.
    open: BTreeMap<usize, Step>,
    followed: BTreeMap<u64, usize>,
}

/// A session as it must be.
#[derive(Debug)]
struct Known {
    subject: String,
    count: u64,
    rotations: usize,
    /// `None` if it was never told, or if a rotation was not.
    token: Option<String>,
    end: Option<String>,
}

/// What was acknowledged, in numbers; and what was not so.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) logins: u64,
    pub(crate) updates: u64,
    pub(crate) rotations: u64,
    pub(crate) ends: u64,
    pub(crate) raises: u64,
    pub(crate) lost: Vec<String>,
    pub(crate) revived: Vec<String>,
    pub(crate) half: Vec<String>,
}

impl Ledger {
    /// Notes a line.
    pub(crate) fn note(&mut self, said: Said, tally: &mut Tally) {
        match said {
            Said::Opening => {}
            Said::Doing { writer, step } => {
                self.open.insert(writer, step);
            }
            Said::Done { writer, step, token, gave_way } => {
                self.open.remove(&writer);
                self.gave_way.extend(gave_way);
                match &step {
                    Step::Login { .. } => tally.logins += 1,
                    Step::Update { .. } => tally.updates += 1,
                    Step::Rotate { .. } => tally.rotations += 1,
                    Step::End { .. } => tally.ends += 1,
                    Step::Raise { .. } | Step::Others { .. } => tally.raises += 1,
                }
                self.done(step, token);
            }
            Said::Failed { writer, kind } => match &*kind {
                // Nothing was done: what follows holds it to that.
                UNAVAILABLE => drop(self.open.remove(&writer)),
                OUTCOME_UNKNOWN => {}
                other => tally.half.push(format!("writer {writer}: {other}")),
            },
            Said::Followed { events, last } => {
                self.followed.insert(last, events);
            }
        }
    }

    fn done(&mut self, step: Step, token: Option<String>) {
        match step {
            Step::Login { subject } => {
                let token = token.unwrap();
                let id = SessionToken::parse(&token).unwrap().id();
                self.logged_in(id, subject, Some(token));
            }
            Step::Update { id, count } => self.session(id).count = count,
            Step::Rotate { id } => {
                let session = self.session(id);
                session.token = token;
                session.rotations += 1;
            }
            Step::End { id } => self.session(id).end = Some(ENDED.code().into()),
            Step::Raise { subject } => self.raise(&subject, None, RAISED.code()),
            Step::Others { subject, kept } => self.raise(&subject, Some(kept), OTHERS.code()),
        }
    }

    fn logged_in(&mut self, id: SessionId, subject: String, token: Option<String>) {
        let known = Known { subject, count: 0, rotations: 0, token, end: None };
        self.sessions.insert(id, known);
    }

    fn session(&mut self, id: SessionId) -> &mut Known {
        self.sessions.get_mut(&id).unwrap()
    }

    fn raise(&mut self, subject: &str, kept: Option<SessionId>, reason: &str) {
        *self.raises.entry(subject.into()).or_default() += 1;
        for (id, session) in &mut self.sessions {
            if session.subject == subject && session.end.is_none() && Some(*id) != kept {
                session.end = Some(reason.into());
            }
        }
    }

    /// Takes what was begun and not answered for done, if it was done.
    fn settle(&mut self, found: &Found) {
        for step in std::mem::take(&mut self.open).into_values() {
            let row = |id: &SessionId| found.rows.get(id);
            match step {
                Step::Login { subject } => {
                    let new = |(id, row): &(&SessionId, &Row)| {
                        subject_of(row) == subject && !self.sessions.contains_key(id)
                    };
                    if let Some((id, _)) = found.rows.iter().find(new) {
                        self.logged_in(*id, subject, None);
                    }
                }
                Step::Update { id, count } => {
                    if row(&id).is_some_and(|row| row.count == Some(count)) {
                        self.session(id).count = count;
                    }
                }
                Step::Rotate { id } => {
                    let token = self.sessions[&id].token.as_ref().unwrap();
                    if row(&id).is_some_and(|row| !found.opens(token, row)) {
                        self.done(Step::Rotate { id }, None);
                    }
                }
                Step::End { id } => {
                    if row(&id).is_some_and(|row| row.ended.is_some()) {
                        self.done(Step::End { id }, None);
                    }
                }
                Step::Raise { ref subject } | Step::Others { ref subject, .. } => {
                    let mark = found.marks.iter().find(|(name, _)| name.as_str() == subject);
                    let raises = self.raises.get(subject).copied().unwrap_or_default();
                    if mark.is_some_and(|(_, mark)| mark.epoch == raises + 1) {
                        self.done(step, None);
                    }
                }
            }
        }
    }

    /// Compares what must be with what is.
    pub(crate) fn check(&mut self, found: &Found, tally: &mut Tally) {
        self.settle(found);
        tally.half.extend(found.odd.iter().cloned());
        for (id, known) in &self.sessions {
            match found.rows.get(id) {
                Some(row) => self.check_session(*id, known, row, found, tally),
                None => tally.lost.push(format!("the login of {id}")),
            }
        }
        for (id, row) in &found.rows {
            if !self.sessions.contains_key(id) {
                tally.half.push(format!("{id} of {}: nobody logged in", subject_of(row)));
            }
        }
        self.check_limits(found, tally);
        self.check_marks(found, tally);
        self.check_events(found, tally);
    }

    fn check_session(
        &self,
        id: SessionId,
        known: &Known,
        row: &Row,
        found: &Found,
        tally: &mut Tally,
    ) {
        let superseded = Some("superseded".to_owned());
        let end = if self.gave_way.contains(&id) { &superseded } else { &known.end };
        match (end, &row.ended) {
            (None, None) => {}
            (Some(expected), Some(end)) if expected == end => {}
            (Some(expected), None) => tally.revived.push(format!("{id}, ended as {expected}")),
            // Who took its place was not acknowledged; that somebody did, `check_limits` shows.
            (None, Some(end)) if is_limited(&known.subject) && *end == "superseded" => {}
            (expected, end) => tally.half.push(format!("{id} ended as {end:?}, not {expected:?}")),
        }
        if row.record.end.is_none() {
            let count = row.count.unwrap_or_default();
            if count < known.count {
                tally.lost.push(format!("update {} of {id}: it is at {count}", known.count));
            } else if count > known.count {
                tally.half.push(format!("{id} is at {count}, and not {}", known.count));
            }
        }
        if known.token.as_ref().is_some_and(|token| !found.opens(token, row)) {
            tally.lost.push(format!("rotation {} of {id}", known.rotations));
        }
        let told = found.told(&id, &EventKind::Rotated);
        if told != known.rotations {
            tally.half.push(format!("{id}: {told} events of {} rotations", known.rotations));
        }
    }

    /// Of those under a limit of one, one lives: no more, and no fewer, since nothing else ends them.
    fn check_limits(&self, found: &Found, tally: &mut Tally) {
        let subjects: BTreeSet<&str> =
            found.rows.values().map(subject_of).filter(|name| is_limited(name)).collect();
        for subject in subjects {
            let of_his = |row: &&Row| subject_of(row) == subject;
            let live = found.rows.values().filter(of_his).filter(|row| row.ended.is_none()).count();
            if live != 1 {
                tally.half.push(format!("{live} sessions of {subject} live"));
            }
        }
    }

    /// Each raise is there. What else a mark counts is compared with the events when they are read.
    fn check_marks(&self, found: &Found, tally: &mut Tally) {
        for (subject, mark) in &found.marks {
            let raises = self.raises.get(subject.as_str()).copied().unwrap_or_default();
            if mark.epoch < raises {
                tally.lost.push(format!("{subject:?}: epoch {}, not {raises}", mark.epoch));
            } else if mark.epoch > raises {
                tally.half.push(format!("{subject:?}: epoch {}, not {raises}", mark.epoch));
            }
        }
    }

    /// What a reader was told stays: no event is lost, and none appears before what was read.
    fn check_events(&self, found: &Found, tally: &mut Tally) {
        let places: Vec<u64> = found.events.iter().map(|stored| stored.sequence).collect();
        for (last, events) in &self.followed {
            let before = places.iter().filter(|place| *place <= last).count();
            if before < *events {
                tally.lost.push(format!("{} events up to {last}", events - before));
            } else if before > *events {
                tally.half.push(format!("{} events before {last} came later", before - events));
            }
        }
    }
}

fn subject_of(row: &Row) -> &str {
    row.record.subject.as_ref().map_or("", |subject| subject.as_str())
}

fn is_limited(subject: &str) -> bool {
    !subject.starts_with("many")
}
