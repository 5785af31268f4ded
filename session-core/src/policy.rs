//! How long sessions may live: validated limits, by class, group and scope.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::{
    ClassName, DataLimits, GroupName, Limits, NameError, Record, RequestLimits, ScopeName,
};

/// The rules of a realm. Once built, it is valid: every class has an absolute limit, every duration is longer
/// than zero, every name is one.
///
/// The default has the classes `browser` (30 minutes idle, 12 hours in all), `remembered` (14 and 30 days),
/// `machine` (1 hour in all) and `anonymous` (30 minutes, 2 hours); `browser` satisfies AAL2 of NIST
/// SP 800-63B-4 (2.2.3) and of its third revision.
///
/// ```
/// use std::time::Duration;
/// use session_core::{Class, Policy};
///
/// let policy = Policy::builder()
///     .class("browser", Class::new(Duration::from_secs(12 * 3600)).idle(Duration::from_secs(900)))
///     .default_class("browser")
///     .build()
///     .unwrap();
/// assert_eq!(policy.default_class().as_str(), "browser");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub(crate) default_class: ClassName,
    pub(crate) classes: BTreeMap<ClassName, Class>,
    pub(crate) groups: BTreeMap<GroupName, Limits>,
    pub(crate) scopes: BTreeMap<ScopeName, Scope>,
    pub(crate) data: DataLimits,
    pub(crate) max_clock_skew: Duration,
    pub(crate) tombstone_retention: Duration,
    pub(crate) event_retention: Duration,
    pub(crate) requests: RequestLimits,
}

impl Policy {
    /// A policy to be filled: without classes, and with the defaults for everything else.
    pub fn builder() -> PolicyBuilder {
        PolicyBuilder::default()
    }

    /// The class of sessions that name none.
    pub fn default_class(&self) -> &ClassName {
        &self.default_class
    }

    /// A class by its name; the default class if the policy does not name it (any more).
    pub fn class(&self, name: &ClassName) -> &Class {
        self.classes.get(name).unwrap_or_else(|| &self.classes[&self.default_class])
    }

    /// Whether the policy names a class.
    pub fn has_class(&self, name: &ClassName) -> bool {
        self.classes.contains_key(name)
    }

    /// The classes, by name.
    pub fn classes(&self) -> impl Iterator<Item = (&ClassName, &Class)> {
        self.classes.iter()
    }

    /// The groups that limit their members' sessions, by name.
    pub fn groups(&self) -> impl Iterator<Item = (&GroupName, &Limits)> {
        self.groups.iter()
    }

    /// The scopes, by name.
    pub fn scopes(&self) -> impl Iterator<Item = (&ScopeName, &Scope)> {
        self.scopes.iter()
    }

    /// The rules of a scope, if the policy names it.
    pub fn scope(&self, name: &ScopeName) -> Option<&Scope> {
        self.scopes.get(name)
    }

    /// How much data a session may hold. Default: 128 bytes a key, 64 KiB a value, 256 KiB in all.
    pub fn data_limits(&self) -> &DataLimits {
        &self.data
    }

    /// By how much the clocks of two nodes may differ: the sweep waits that long. Default: 5 seconds.
    pub fn max_clock_skew(&self) -> Duration {
        self.max_clock_skew
    }

    /// How long a tombstone outlives its session's absolute deadline and its end. Default: 1 day.
    pub fn tombstone_retention(&self) -> Duration {
        self.tombstone_retention
    }

    /// How long events are kept. Default: 90 days.
    pub fn event_retention(&self) -> Duration {
        self.event_retention
    }

    /// How long a request may take, for the server that it comes to. Default: no limit.
    pub fn request_limits(&self) -> &RequestLimits {
        &self.requests
    }

    /// The limits of a new session of a class and of these groups. Groups that the policy does not name limit
    /// nothing.
    pub fn limits(&self, class: &ClassName, groups: &[GroupName]) -> Limits {
        let limits = self.class(class).limits;
        groups
            .iter()
            .filter_map(|group| self.groups.get(group))
            .fold(limits, |all, group| all.min(*group))
    }

    /// The limits that a session lives by today: the minimum of those of its creation and those of the policy
    /// now. Tightening a policy acts at once, loosening it only on new sessions.
    pub fn effective(&self, record: &Record) -> Limits {
        record.limits.min(self.limits(&record.class, &record.groups))
    }

    /// AAL1 of NIST SP 800-63B-4, 2.1.3: re-authentication at least every 30 days.
    pub fn nist_aal1() -> Self {
        Self::single(Class::new(days(30)))
    }

    /// AAL2 of NIST SP 800-63B-4, 2.2.3: at least every 24 hours, and after 1 hour of inactivity.
    pub fn nist_aal2() -> Self {
        Self::single(Class::new(days(1)).idle(minutes(60)))
    }

    /// AAL3 of NIST SP 800-63B-4, 2.3.3: at least every 12 hours, and after 15 minutes of inactivity.
    pub fn nist_aal3() -> Self {
        Self::single(Class::new(minutes(12 * 60)).idle(minutes(15)))
    }

    fn single(browser: Class) -> Self {
        let defaults = Self::default();
        let anonymous = defaults.classes[ANONYMOUS].clone();
        let classes = [("browser", browser), (ANONYMOUS, anonymous)];
        Self { classes: classes.map(|(name, class)| (known(name), class)).into(), ..defaults }
    }
}

/// The class of sessions without a subject, where a policy names it.
pub(crate) const ANONYMOUS: &str = "anonymous";

impl Default for Policy {
    fn default() -> Self {
        let classes = [
            ("browser", Class::new(minutes(12 * 60)).idle(minutes(30)).rotation_interval(HOUR)),
            ("remembered", Class::new(days(30)).idle(days(14)).rotation_interval(HOUR)),
            ("machine", Class::new(minutes(60))),
            (ANONYMOUS, Class::new(minutes(120)).idle(minutes(30))),
        ];
        Self {
            default_class: known("browser"),
            classes: classes.map(|(name, class)| (known(name), class)).into(),
            groups: BTreeMap::new(),
            scopes: BTreeMap::new(),
            data: DataLimits::default(),
            max_clock_skew: Duration::from_secs(5),
            tombstone_retention: days(1),
            event_retention: days(90),
            requests: RequestLimits::default(),
        }
    }
}

const HOUR: Duration = minutes(60);

#[expect(clippy::expect_used, reason = "only names written in this file are passed")]
fn known(name: &str) -> ClassName {
    ClassName::new(name).expect("a name")
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

const fn days(days: u64) -> Duration {
    Duration::from_secs(days * 86_400)
}

/// A named set of limits.
///
/// ```
/// use std::time::Duration;
/// use session_core::{Class, OnLimit};
///
/// let class = Class::new(Duration::from_secs(8 * 3600))
///     .idle(Duration::from_secs(15 * 60))
///     .max_sessions(2, OnLimit::Reject);
/// assert_eq!(class.touch_interval, Duration::from_secs(45));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// The timeouts. The absolute one is always there.
    pub limits: Limits,
    /// Activity is recorded at most that often: it may end an idle session that much early, never late.
    /// Default: a twentieth of the idle timeout, between 1 second and 1 minute.
    pub touch_interval: Duration,
    /// How many live sessions of this class a subject may have; those of other classes do not count. `None`: as
    /// many as he likes.
    pub max_sessions: Option<NonZeroU32>,
    /// What happens to a login beyond that.
    pub on_limit: OnLimit,
    /// How old a secret may be before it is replaced, in two phases: see [`Rotation`](crate::Rotation). `None`:
    /// it is not, as for machines. The default policy says one hour for browsers.
    pub rotation_interval: Option<Duration>,
    /// For how long a replaced secret is still good, for the requests that were on their way. It may be zero.
    /// Presented later, it ends the session. Default: 30 seconds; at most 10 minutes.
    pub rotation_grace: Duration,
}

impl Class {
    /// A class with an absolute timeout, no idle timeout, and 5 minutes for the first use.
    pub fn new(absolute_timeout: Duration) -> Self {
        let limits = Limits {
            idle_timeout: None,
            absolute_timeout: Some(absolute_timeout),
            unclaimed_timeout: Some(minutes(5)),
        };
        Self {
            limits,
            touch_interval: default_touch_interval(None),
            max_sessions: None,
            on_limit: OnLimit::default(),
            rotation_interval: None,
            rotation_grace: Duration::from_secs(30),
        }
    }

    /// The same with an idle timeout, and the touch interval that goes with it.
    #[must_use]
    pub fn idle(mut self, idle_timeout: Duration) -> Self {
        self.limits.idle_timeout = Some(idle_timeout);
        self.touch_interval = default_touch_interval(Some(idle_timeout));
        self
    }

    /// The same with another time for the first use.
    #[must_use]
    pub fn unclaimed(mut self, unclaimed_timeout: Duration) -> Self {
        self.limits.unclaimed_timeout = Some(unclaimed_timeout);
        self
    }

    /// The same with another touch interval.
    #[must_use]
    pub fn touch_interval(mut self, touch_interval: Duration) -> Self {
        self.touch_interval = touch_interval;
        self
    }

    /// The same with secrets that are replaced when they are that old.
    #[must_use]
    pub fn rotation_interval(mut self, rotation_interval: Duration) -> Self {
        self.rotation_interval = Some(rotation_interval);
        self
    }

    /// The same with another time for which a replaced secret is still good.
    #[must_use]
    pub fn rotation_grace(mut self, rotation_grace: Duration) -> Self {
        self.rotation_grace = rotation_grace;
        self
    }

    /// The same with a limit of live sessions per subject; 0 counts as 1.
    #[must_use]
    pub fn max_sessions(mut self, max_sessions: u32, on_limit: OnLimit) -> Self {
        self.max_sessions = Some(NonZeroU32::new(max_sessions).unwrap_or(NonZeroU32::MIN));
        self.on_limit = on_limit;
        self
    }
}

/// The rules of a scope: a session inside a session, for what is sensitive.
///
/// ```
/// use std::time::Duration;
/// use session_core::{Limits, Scope};
///
/// let limits = Limits { idle_timeout: Some(Duration::from_secs(300)), ..Limits::NONE };
/// let finance = Scope { level: 2, ..Scope::from(limits) };
/// assert_eq!(finance.max_age, Duration::from_secs(300));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Its timeouts: since the last activity in it, and since it was entered.
    pub limits: Limits,
    /// How long ago the holder may have proved who he is when he enters it. Default: 5 minutes.
    pub max_age: Duration,
    /// The level that this proof has to have reached. Default: 0, any.
    pub level: u8,
}

/// A scope with these timeouts and the defaults for what it takes to enter it.
impl From<Limits> for Scope {
    fn from(limits: Limits) -> Self {
        Self { limits, max_age: minutes(5), level: 0 }
    }
}

pub(crate) fn default_touch_interval(idle_timeout: Option<Duration>) -> Duration {
    let minute = Duration::from_secs(60);
    idle_timeout
        .map_or(minute, |idle| (idle / 20).clamp(Duration::from_secs(1).min(idle / 2), minute))
}

/// What happens to a login beyond the limit of its class (ASVS 5.0, 7.1.2).
///
/// ```
/// assert_eq!(session_core::OnLimit::default(), session_core::OnLimit::EvictLeastRecent);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnLimit {
    /// It takes the place of the session that has not been used for the longest time.
    #[default]
    EvictLeastRecent,
    /// It takes the place of the oldest session.
    EvictOldest,
    /// It is refused.
    Reject,
}

/// A policy to be filled and built.
///
/// ```
/// use session_core::Policy;
///
/// let error = Policy::builder().build().unwrap_err();
/// assert_eq!(error.key(), "default_class");
/// ```
#[derive(Clone, Debug)]
pub struct PolicyBuilder {
    default_class: String,
    classes: Vec<(String, Class)>,
    groups: Vec<(String, Limits)>,
    scopes: Vec<(String, Scope)>,
    rest: Policy,
}

impl Default for PolicyBuilder {
    fn default() -> Self {
        Self {
            default_class: "browser".into(),
            classes: Vec::new(),
            groups: Vec::new(),
            scopes: Vec::new(),
            rest: Policy::default(),
        }
    }
}

impl PolicyBuilder {
    /// Names the class of sessions that name none. Default: `browser`.
    #[must_use]
    pub fn default_class(mut self, name: &str) -> Self {
        self.default_class = name.to_owned();
        self
    }

    /// Adds a class.
    #[must_use]
    pub fn class(mut self, name: &str, class: Class) -> Self {
        self.classes.push((name.to_owned(), class));
        self
    }

    /// Adds a group whose members' sessions are limited further.
    #[must_use]
    pub fn group(mut self, name: &str, limits: Limits) -> Self {
        self.groups.push((name.to_owned(), limits));
        self
    }

    /// Adds a scope: it needs an idle or an absolute timeout of its own.
    #[must_use]
    pub fn scope(mut self, name: &str, scope: impl Into<Scope>) -> Self {
        self.scopes.push((name.to_owned(), scope.into()));
        self
    }

    /// Sets how much data a session may hold.
    #[must_use]
    pub fn data_limits(mut self, limits: DataLimits) -> Self {
        self.rest.data = limits;
        self
    }

    /// Sets by how much the clocks of two nodes may differ. It may be zero.
    #[must_use]
    pub fn max_clock_skew(mut self, skew: Duration) -> Self {
        self.rest.max_clock_skew = skew;
        self
    }

    /// Sets how long a tombstone outlives its session.
    #[must_use]
    pub fn tombstone_retention(mut self, retention: Duration) -> Self {
        self.rest.tombstone_retention = retention;
        self
    }

    /// Sets how long events are kept.
    #[must_use]
    pub fn event_retention(mut self, retention: Duration) -> Self {
        self.rest.event_retention = retention;
        self
    }

    /// Sets how long a request may take, for the server that it comes to.
    #[must_use]
    pub fn request_limits(mut self, limits: RequestLimits) -> Self {
        self.rest.requests = limits;
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    /// A name is none or stands twice, a duration is zero, a touch interval is not shorter than its idle
    /// timeout, a grace is too long, a class has no absolute timeout, a scope has no limit, or the default class is not among the
    /// classes. The error names the key.
    pub fn build(self) -> Result<Policy, PolicyError> {
        let mut policy = self.rest;
        policy.classes = BTreeMap::new();
        for (name, class) in self.classes {
            let key = format!("classes.{name}");
            check_class(&key, &class)?;
            let name = ClassName::new(&name).map_err(|error| PolicyError::name(&key, error))?;
            if policy.classes.insert(name, class).is_some() {
                return Err(PolicyError::new(&key, PolicyProblem::Twice));
            }
        }
        for (name, limits) in self.groups {
            let key = format!("groups.{name}");
            check_limits(&key, &limits)?;
            let name = GroupName::new(&name).map_err(|error| PolicyError::name(&key, error))?;
            if policy.groups.insert(name, limits).is_some() {
                return Err(PolicyError::new(&key, PolicyProblem::Twice));
            }
        }
        for (name, scope) in self.scopes {
            let key = format!("scopes.{name}");
            check_scope(&key, &scope)?;
            let name = ScopeName::new(&name).map_err(|error| PolicyError::name(&key, error))?;
            if policy.scopes.insert(name, scope).is_some() {
                return Err(PolicyError::new(&key, PolicyProblem::Twice));
            }
        }
        check_data(&policy.data)?;
        longer_than_zero("tombstone_retention", Some(policy.tombstone_retention))?;
        longer_than_zero("event_retention", Some(policy.event_retention))?;
        longer_than_zero("limit_time_real", policy.requests.time_real)?;
        longer_than_zero("limit_time_cpu", policy.requests.time_cpu)?;
        policy.default_class = ClassName::new(&self.default_class)
            .map_err(|error| PolicyError::name("default_class", error))?;
        if !policy.classes.contains_key(&policy.default_class) {
            return Err(PolicyError::new(
                "default_class",
                PolicyProblem::NoSuchClass(policy.default_class),
            ));
        }
        Ok(policy)
    }
}

pub(crate) fn check_class(key: &str, class: &Class) -> Result<(), PolicyError> {
    check_limits(key, &class.limits)?;
    if class.limits.absolute_timeout.is_none() {
        return Err(PolicyError::new(
            &join(key, "absolute_timeout"),
            PolicyProblem::NoAbsoluteTimeout,
        ));
    }
    longer_than_zero(&join(key, "rotation_interval"), class.rotation_interval)?;
    if class.rotation_grace > LONGEST_GRACE {
        return Err(PolicyError::new(&join(key, "rotation_grace"), PolicyProblem::GraceTooLong));
    }
    let touch_key = join(key, "touch_interval");
    longer_than_zero(&touch_key, Some(class.touch_interval))?;
    match class.limits.idle_timeout {
        Some(idle) if class.touch_interval >= idle => {
            Err(PolicyError::new(&touch_key, PolicyProblem::TouchTooRare))
        }
        _ => Ok(()),
    }
}

pub(crate) fn check_scope(key: &str, scope: &Scope) -> Result<(), PolicyError> {
    check_limits(key, &scope.limits)?;
    longer_than_zero(&join(key, "max_age"), Some(scope.max_age))?;
    if scope.limits.unclaimed_timeout.is_some() {
        return Err(PolicyError::new(&join(key, "unclaimed_timeout"), PolicyProblem::NotOfAScope));
    }
    if scope.limits == Limits::NONE {
        return Err(PolicyError::new(key, PolicyProblem::NoLimit));
    }
    Ok(())
}

/// A replaced secret that is good for longer is hardly replaced.
const LONGEST_GRACE: Duration = minutes(10);

pub(crate) fn check_limits(key: &str, limits: &Limits) -> Result<(), PolicyError> {
    longer_than_zero(&join(key, "idle_timeout"), limits.idle_timeout)?;
    longer_than_zero(&join(key, "absolute_timeout"), limits.absolute_timeout)?;
    longer_than_zero(&join(key, "unclaimed_timeout"), limits.unclaimed_timeout)
}

/// A key in a table; a table without a name is the root.
pub(crate) fn join(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
}

fn check_data(limits: &DataLimits) -> Result<(), PolicyError> {
    for (key, bytes) in
        [("data.key", limits.key), ("data.value", limits.value), ("data.total", limits.total)]
    {
        if bytes == 0 {
            return Err(PolicyError::new(key, PolicyProblem::Zero));
        }
        if bytes > DataLimits::MAX_TOTAL {
            return Err(PolicyError::new(key, PolicyProblem::TooMuchData));
        }
    }
    Ok(())
}

/// Durations are told in whole milliseconds: a shorter one would be zero.
fn longer_than_zero(key: &str, duration: Option<Duration>) -> Result<(), PolicyError> {
    match duration {
        Some(duration) if duration.as_millis() == 0 => {
            Err(PolicyError::new(key, PolicyProblem::Zero))
        }
        _ => Ok(()),
    }
}

/// A policy cannot be built: which key, what is wrong, and where it stands in the file that it came from.
///
/// ```
/// use std::time::Duration;
/// use session_core::{Class, Policy};
///
/// let error = Policy::builder().class("browser", Class::new(Duration::ZERO)).build().unwrap_err();
/// assert_eq!(error.to_string(), "classes.browser.absolute_timeout: must be more than zero");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    key: String,
    problem: PolicyProblem,
    place: Option<(usize, usize)>,
}

/// What is wrong with a policy.
///
/// ```
/// assert_eq!(session_core::PolicyProblem::Zero.to_string(), "must be more than zero");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyProblem {
    /// A duration or a size is zero.
    #[error("must be more than zero")]
    Zero,
    /// A class has no absolute timeout: its sessions could live for ever.
    #[error("is missing: a session that never ends is not allowed")]
    NoAbsoluteTimeout,
    /// A scope has no limit of its own.
    #[error("has no limit")]
    NoLimit,
    /// A scope is in use from the moment that it is entered.
    #[error("says nothing of a scope, which is in use as soon as it is entered")]
    NotOfAScope,
    /// An active user would be logged out for not being recorded.
    #[error("must be shorter than the idle timeout")]
    TouchTooRare,
    /// A replaced secret would be good for too long.
    #[error("is longer than 10 minutes: a replaced secret would hardly be replaced")]
    GraceTooLong,
    /// The default class is not among the classes.
    #[error("names no class of this policy: there is no {:?}", .0.as_str())]
    NoSuchClass(ClassName),
    /// A name stands twice.
    #[error("stands twice")]
    Twice,
    /// More data than every store can keep.
    #[error("is more than the {} bytes that every store can keep", DataLimits::MAX_TOTAL)]
    TooMuchData,
    /// A name is none.
    #[error(transparent)]
    Name(NameError),
    /// The file is not of the right form.
    #[error("{0}")]
    Form(String),
}

impl PolicyError {
    pub(crate) fn new(key: &str, problem: PolicyProblem) -> Self {
        Self { key: key.to_owned(), problem, place: None }
    }

    fn name(key: &str, error: NameError) -> Self {
        Self::new(key, PolicyProblem::Name(error))
    }

    /// The same with the line and the column of the file, both from 1.
    #[cfg(feature = "toml")]
    pub(crate) fn at(mut self, line: usize, column: usize) -> Self {
        self.place = Some((line, column));
        self
    }

    /// The key, as in `classes.browser.idle_timeout`.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is wrong.
    pub fn problem(&self) -> &PolicyProblem {
        &self.problem
    }

    /// The line and the column in the file, both from 1, if it came from one.
    pub fn place(&self) -> Option<(usize, usize)> {
        self.place
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.place {
            write!(f, "line {line}, column {column}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        fmt::Display::fmt(&self.problem, f)
    }
}

impl std::error::Error for PolicyError {}
