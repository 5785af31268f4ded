//! A policy as the table that an auditor asks for.

use std::fmt;
use std::time::Duration;

use crate::policy::ANONYMOUS;
use crate::{Class, Limits, OnLimit, Policy, RequestLimits};

/// A policy in words: every limit, and where it falls short of what the standards ask. Shown, it is Markdown.
///
/// It answers ASVS 5.0, 7.1.1 (the documented lifetimes, and the deviations from NIST SP 800-63B) and 7.1.2 (the
/// documented number of parallel sessions, and what happens beyond it).
///
/// ```
/// use session_core::{Policy, Standard};
///
/// let table = Policy::default().describe().to_string();
/// assert!(table.contains("| `browser` | 30m | 12h |"));
/// let strict = Policy::nist_aal3().describe();
/// let browser = strict.deviations().iter().filter(|one| one.class == "browser");
/// assert!(browser.filter(|one| one.standard == Standard::Nist).next().is_none());
/// ```
#[derive(Clone, Debug)]
pub struct Description {
    policy: Policy,
    deviations: Vec<Deviation>,
}

/// Where a policy asks less than a standard does.
///
/// ```
/// use session_core::Policy;
///
/// let policy = Policy::default();
/// let machine = policy.describe().deviations().iter().find(|one| one.class == "machine").cloned();
/// assert!(machine.unwrap().to_string().contains("no idle timeout"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// The class; empty if it is the policy's as a whole.
    pub class: String,
    /// Which standard.
    pub standard: Standard,
    /// The level that asks for it: of authenticator assurance (1 to 3), or of verification (1 to 3).
    pub level: u8,
    /// Where the standard says so.
    pub section: &'static str,
    /// What it says, and what the class does.
    pub what: String,
}

/// The standards that a policy is compared with.
///
/// ```
/// assert_eq!(session_core::Standard::Asvs.to_string(), "OWASP ASVS 5.0");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standard {
    /// NIST SP 800-63B-4, Digital Identity Guidelines.
    Nist,
    /// OWASP Application Security Verification Standard 5.0.
    Asvs,
}

impl fmt::Display for Standard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nist => "NIST SP 800-63B-4",
            Self::Asvs => "OWASP ASVS 5.0",
        })
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { class, standard, level, section, what } = self;
        match standard {
            Standard::Nist => {
                write!(f, "`{class}` is not of AAL{level} ({standard}, {section}): {what}")
            }
            Standard::Asvs if class.is_empty() => {
                write!(f, "the policy is not of level {level} ({standard}, {section}): {what}")
            }
            Standard::Asvs => {
                write!(f, "`{class}` is not of level {level} ({standard}, {section}): {what}")
            }
        }
    }
}

impl Description {
    /// Where the policy falls short: its classes of NIST's levels, one after the other, and then of ASVS. A class that
    /// is in none satisfies even the strictest.
    pub fn deviations(&self) -> &[Deviation] {
        &self.deviations
    }
}

impl Policy {
    /// The policy in words, for those who document and those who audit it.
    pub fn describe(&self) -> Description {
        let of_nist = self.classes().flat_map(|(name, class)| {
            LEVELS.iter().filter_map(|level| level.missed_by(name.as_str(), class))
        });
        let deviations = of_nist.chain(self.missed_of_asvs()).collect();
        Description { policy: self.clone(), deviations }
    }

    /// What ASVS asks that a policy alone can miss: it gives no lengths, and leaves them to the documentation.
    fn missed_of_asvs(&self) -> Vec<Deviation> {
        let deviation = |class: &str, level, section, what: &str| Deviation {
            class: class.to_owned(),
            standard: Standard::Asvs,
            level,
            section,
            what: what.to_owned(),
        };
        let mut missed = Vec::new();
        for (name, class) in self.classes() {
            if class.limits.idle_timeout.is_none() {
                missed.push(deviation(name.as_str(), 2, "7.3.1", "there is no inactivity timeout"));
            }
            if class.max_sessions.is_none() && name.as_str() != ANONYMOUS {
                let what = "it sets no number of parallel sessions: say in your documentation why";
                missed.push(deviation(name.as_str(), 2, "7.1.2", what));
            }
        }
        if self.scopes().next().is_none() {
            let what = "it names no scope: highly sensitive operations have to ask for a recent proof by `require`";
            missed.push(deviation("", 3, "7.5.3", what));
        }
        missed
    }
}

/// What a level asks: the overall and the inactivity timeout, none of the latter at AAL1.
struct Level {
    level: u8,
    section: &'static str,
    absolute: Duration,
    idle: Option<Duration>,
}

const HOUR: Duration = Duration::from_secs(3_600);

const LEVELS: [Level; 3] = [
    Level { level: 1, section: "2.1.3", absolute: HOUR.saturating_mul(24 * 30), idle: None },
    Level { level: 2, section: "2.2.3", absolute: HOUR.saturating_mul(24), idle: Some(HOUR) },
    Level {
        level: 3,
        section: "2.3.3",
        absolute: HOUR.saturating_mul(12),
        idle: Some(Duration::from_secs(900)),
    },
];

impl Level {
    fn missed_by(&self, class: &str, rules: &Class) -> Option<Deviation> {
        let mut missed = Vec::new();
        let absolute = rules.limits.absolute_timeout;
        if absolute.is_none_or(|absolute| absolute > self.absolute) {
            missed.push(format!(
                "an absolute timeout of {}, where at most {} is asked for",
                shown(absolute),
                shown(Some(self.absolute))
            ));
        }
        match (self.idle, rules.limits.idle_timeout) {
            (Some(asked), None) => {
                missed.push(format!(
                    "no idle timeout, where at most {} is asked for",
                    shown(Some(asked))
                ));
            }
            (Some(asked), Some(idle)) if idle > asked => missed.push(format!(
                "an idle timeout of {}, where at most {} is asked for",
                shown(Some(idle)),
                shown(Some(asked))
            )),
            _ => {}
        }
        (!missed.is_empty()).then(|| Deviation {
            class: class.to_owned(),
            standard: Standard::Nist,
            level: self.level,
            section: self.section,
            what: missed.join("; "),
        })
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = &self.policy;
        writeln!(
            f,
            "| class | idle | absolute | first use | activity recorded | secret replaced | sessions |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for (name, class) in policy.classes() {
            let Limits { idle_timeout, absolute_timeout, unclaimed_timeout } = class.limits;
            let (idle, absolute) = (shown(idle_timeout), shown(absolute_timeout));
            let first = shown(unclaimed_timeout);
            let touch = shown(Some(class.touch_interval));
            let rotated = match class.rotation_interval {
                Some(interval) => {
                    format!(
                        "every {}, grace {}",
                        shown(Some(interval)),
                        shown(Some(class.rotation_grace))
                    )
                }
                None => "never".to_owned(),
            };
            let sessions = match class.max_sessions {
                Some(most) => format!("{most}, {}", beyond(class.on_limit)),
                None => "no limit".to_owned(),
            };
            writeln!(
                f,
                "| `{name}` | {idle} | {absolute} | {first} | {touch} | {rotated} | {sessions} |"
            )?;
        }
        writeln!(f, "\nThe default class is `{}`.", policy.default_class())?;
        if policy.groups().next().is_some() {
            writeln!(f, "\n| group | idle | absolute | first use |\n|---|---|---|---|")?;
            for (name, limits) in policy.groups() {
                let Limits { idle_timeout, absolute_timeout, unclaimed_timeout } = *limits;
                let (idle, absolute) = (shown(idle_timeout), shown(absolute_timeout));
                writeln!(f, "| `{name}` | {idle} | {absolute} | {} |", shown(unclaimed_timeout))?;
            }
            writeln!(f, "\nOf a class and the groups of its user the strictest limit counts.")?;
        }
        if policy.scopes().next().is_some() {
            writeln!(
                f,
                "\n| scope | idle | absolute | sign-in at most | level |\n|---|---|---|---|---|"
            )?;
            for (name, scope) in policy.scopes() {
                let Limits { idle_timeout, absolute_timeout, .. } = scope.limits;
                let (idle, absolute) = (shown(idle_timeout), shown(absolute_timeout));
                let age = shown(Some(scope.max_age));
                let level = match scope.level {
                    0 => "any".to_owned(),
                    level => level.to_string(),
                };
                writeln!(f, "| `{name}` | {idle} | {absolute} | {age} ago | {level} |")?;
            }
        }
        writeln!(
            f,
            "\nWhy a session ended is kept for {} after its absolute deadline and its end, events for {}; clocks \
             may differ by {}.",
            shown(Some(policy.tombstone_retention())),
            shown(Some(policy.event_retention())),
            shown(Some(policy.max_clock_skew())),
        )?;
        let RequestLimits { time_real, time_cpu } = *policy.request_limits();
        if time_real.is_some() || time_cpu.is_some() {
            let (real, cpu) = (shown(time_real), shown(time_cpu));
            writeln!(f, "\nA request may take: by the clock {real}, of a processor's time {cpu}.")?;
        }
        if !self.deviations.is_empty() {
            writeln!(f, "\nDeviations:\n")?;
            self.deviations.iter().try_for_each(|one| writeln!(f, "- {one}."))?;
        }
        Ok(())
    }
}

fn beyond(on_limit: OnLimit) -> &'static str {
    match on_limit {
        OnLimit::EvictLeastRecent => "then the least recently used ends",
        OnLimit::EvictOldest => "then the oldest ends",
        OnLimit::Reject => "then a sign-in is refused",
    }
}

fn shown(limit: Option<Duration>) -> String {
    limit.map_or_else(|| "none".to_owned(), |limit| humantime::format_duration(limit).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GroupName, Scope};

    fn levels_missed(policy: &Policy, class: &str) -> Vec<u8> {
        let described = policy.describe();
        let of_nist = |one: &&Deviation| one.standard == Standard::Nist && one.class == class;
        let of = described.deviations().iter().filter(of_nist);
        of.map(|one| one.level).collect()
    }

    #[test]
    fn each_preset_satisfies_its_level_and_not_the_next() {
        assert_eq!(levels_missed(&Policy::nist_aal1(), "browser"), [2, 3]);
        assert_eq!(levels_missed(&Policy::nist_aal2(), "browser"), [3]);
        assert_eq!(levels_missed(&Policy::nist_aal3(), "browser"), Vec::<u8>::new());
        assert_eq!(levels_missed(&Policy::default(), "browser"), [3]);
        assert_eq!(levels_missed(&Policy::default(), "remembered"), [2, 3]);
    }

    #[test]
    fn a_millisecond_over_is_a_deviation() {
        let milli = Duration::from_millis(1);
        for (over, missed) in [(Duration::ZERO, vec![]), (milli, vec![3])] {
            let class = Class::new(HOUR * 12).idle(Duration::from_secs(900) + over);
            let policy = Policy::builder().class("browser", class).build().unwrap();
            assert_eq!(levels_missed(&policy, "browser"), missed);
        }
    }

    #[test]
    fn what_asvs_asks_of_a_policy_is_named() {
        let asked = |policy: &Policy| -> Vec<(String, &str)> {
            let described = policy.describe();
            let of_asvs =
                described.deviations().iter().filter(|one| one.standard == Standard::Asvs);
            of_asvs.map(|one| (one.class.clone(), one.section)).collect()
        };
        let browser = Class::new(HOUR).idle(HOUR / 2).max_sessions(3, OnLimit::EvictOldest);
        let vault = Limits { idle_timeout: Some(HOUR / 6), ..Limits::NONE };
        let whole = Policy::builder().class("browser", browser).scope("vault", vault);
        assert_eq!(asked(&whole.clone().build().unwrap()), []);
        let lacking = whole.class("machine", Class::new(HOUR)).build().unwrap();
        let machine = || "machine".to_owned();
        assert_eq!(asked(&lacking), [(machine(), "7.3.1"), (machine(), "7.1.2")]);
        assert!(asked(&Policy::nist_aal3()).contains(&(String::new(), "7.5.3")));
    }

    #[test]
    fn everything_that_limits_a_session_stands_in_it() {
        let minutes = |minutes: u64| Some(Duration::from_secs(minutes * 60));
        let group = Limits { idle_timeout: minutes(7), ..Limits::NONE };
        let scope =
            Scope { level: 2, ..Scope::from(Limits { idle_timeout: minutes(3), ..Limits::NONE }) };
        let class = Class::new(HOUR * 8)
            .idle(HOUR)
            .max_sessions(5, OnLimit::Reject)
            .rotation_interval(HOUR * 2);
        let policy = Policy::builder()
            .class("browser", class)
            .group("till", group)
            .scope("vault", scope)
            .request_limits(RequestLimits { time_real: minutes(2), time_cpu: None })
            .build()
            .unwrap();
        assert!(policy.groups().any(|(name, _)| *name == GroupName::new("till").unwrap()));
        let text = policy.describe().to_string();
        for part in [
            "| `browser` | 1h | 8h | 5m | 1m | every 2h, grace 30s | 5, then a sign-in is refused |",
            "| `till` | 7m | none | none |",
            "| `vault` | 3m | none | 5m ago | 2 |",
            "1day after its absolute deadline",
            "A request may take: by the clock 2m, of a processor's time none.",
            "`browser` is not of AAL3 (NIST SP 800-63B-4, 2.3.3): an idle timeout of 1h, where at most 15m",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }
}
