//! Who is there: sessions that differ as they do in an application, each known by its number alone, so that ten million
//! need no memory here.

use std::collections::HashSet;
use std::time::Duration;

use session_engine::{
    Class, OnLimit, Policy, PolicyError, Random, RandomError, SessionId, SessionToken, Subject,
    Timestamp,
};

use crate::Failure;

/// When everything is measured. The clock stands still.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

pub(crate) const IDLE: Duration = days(7);
pub(crate) const ABSOLUTE: Duration = days(60);
const TOUCH_INTERVAL: Duration = Duration::from_secs(300);

/// A limit is in force, and no subject reaches it.
pub(crate) fn policy() -> Result<Policy, PolicyError> {
    let class = Class::new(ABSOLUTE)
        .idle(IDLE)
        .touch_interval(TOUCH_INTERVAL)
        .max_sessions(50, OnLimit::EvictLeastRecent);
    Policy::builder().class("browser", class).build()
}

/// What a session is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was seen just now: a resume has nothing to write.
    Fresh,
    /// A resume records its activity.
    Stale,
    /// It has been idle for too long, and nobody has written that down.
    Due,
    /// It was signed out.
    Ended,
}

/// A session as it is before anything is measured.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: SessionId,
    pub(crate) token: SessionToken,
    pub(crate) subject: Subject,
    pub(crate) fate: Fate,
    pub(crate) created_at: Timestamp,
    pub(crate) last_seen_at: Timestamp,
}

impl Member {
    /// The session with this number. They are created one after the other, for three weeks.
    pub(crate) fn of(number: u64) -> Result<Self, Failure> {
        let mut chance = Chance::of(number);
        let fate = fate(number);
        let created = NOW - days(30) + Duration::from_millis(number * 100).min(days(21));
        let ago = match fate {
            Fate::Fresh => chance.within(TOUCH_INTERVAL / 2),
            Fate::Stale | Fate::Ended => TOUCH_INTERVAL + chance.within(days(6)),
            Fate::Due => IDLE + Duration::from_secs(60) + chance.within(days(1)),
        };
        let source = Seeded(number);
        let id = SessionId::new(created, &source)?;
        Ok(Self {
            id,
            token: SessionToken::new(id, &source)?,
            subject: subject(number)?,
            fate,
            created_at: created,
            last_seen_at: NOW - ago,
        })
    }
}

/// One in a hundred is due, two are tombstones.
fn fate(number: u64) -> Fate {
    match Chance::of(number).below(100) {
        0 => Fate::Due,
        1 | 2 => Fate::Ended,
        other if other % 2 == 0 => Fate::Fresh,
        _ => Fate::Stale,
    }
}

/// Sessions of one subject are created some time apart: each ten thousand belong to subjects of their own.
pub(crate) const CHUNK: u64 = 10_000;

/// Of nine subjects eight have five sessions, and one has ten.
fn subject(number: u64) -> Result<Subject, Failure> {
    let (chunk, place) = (number / CHUNK, number % CHUNK);
    let scattered = place * 7_919 % CHUNK;
    let (block, place) = (scattered / 50, scattered % 50);
    Ok(Subject::new(format!("user-{chunk}-{block}-{}", (place / 5).min(8)))?)
}

/// The sessions that a store holds, and what has been done to them.
#[derive(Debug, Default)]
pub(crate) struct Population {
    pub(crate) size: u64,
    used: HashSet<u64>,
    draws: u64,
}

impl Population {
    /// Up to so many different sessions of this fate, in no order, and none that was drawn to be used up.
    pub(crate) fn draw(&mut self, wanted: u64, fate: Fate) -> Vec<u64> {
        self.draws += 1;
        let mut chance = Chance::of(u64::MAX - self.draws);
        let mut drawn = HashSet::new();
        let mut found = Vec::new();
        // It may be that there are not so many.
        for _ in 0..wanted.saturating_mul(20) {
            if found.len() as u64 == wanted {
                break;
            }
            let number = chance.below(self.size);
            let wanted = self::fate(number) == fate && !self.used.contains(&number);
            if wanted && drawn.insert(number) {
                found.push(number);
            }
        }
        found
    }

    /// The same, and none of them will be drawn again.
    pub(crate) fn draw_to_use(&mut self, wanted: u64, fate: Fate) -> Vec<u64> {
        let found = self.draw(wanted, fate);
        self.used.extend(&found);
        found
    }
}

/// Numbers that look random and repeat with every run: SplitMix64.
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    fn within(&mut self, span: Duration) -> Duration {
        Duration::from_secs(self.below(span.as_secs()))
    }
}

/// The bytes of the ids and secrets of one session: they need not be kept to be presented.
#[derive(Debug)]
struct Seeded(u64);

impl Random for Seeded {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        let mut chance = Chance::of(self.0.wrapping_add(1 << 40));
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&chance.next().to_be_bytes()[..part.len()]);
        }
        Ok(())
    }
}

const fn days(days: u64) -> Duration {
    Duration::from_secs(days * 86_400)
}
