//! A policy as a tree of keys and values: what a file, or any other text that serde reads, says.
//!
//! There is one reader for all formats, so that they share their keys, their checks and their errors.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::policy::{check_class, check_limits, check_scope, join};
use crate::{
    Class, ClassName, DataLimits, GroupName, Limits, NameError, OnLimit, Policy, PolicyError,
    PolicyProblem, RequestLimits, Scope, ScopeName,
};

/// Reads what [`Serialize`] writes and what `from_toml` documents: unknown keys are refused, and everything is
/// checked as [`PolicyBuilder::build`](crate::PolicyBuilder::build) does. The format has to describe itself,
/// as JSON and TOML do.
///
/// ```
/// use session_core::Policy;
///
/// let text = r#"{ "classes": { "browser": { "idle_timeout": "30m", "absolute_timeout": 43200 } } }"#;
/// let policy: Policy = serde_json::from_str(text).unwrap();
/// let written = serde_json::to_string(&policy).unwrap();
/// assert_eq!(serde_json::from_str::<Policy>(&written).unwrap(), policy);
///
/// let error = serde_json::from_str::<Policy>(r#"{ "classes": { "browser": {} } }"#).unwrap_err();
/// assert!(error.to_string().starts_with("classes.browser.absolute_timeout: is missing"));
/// ```
impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_policy(&Tree::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// As a class stands in a policy, and as strictly checked.
///
/// ```
/// let class: session_core::Class = serde_json::from_str(r#"{ "absolute_timeout": "8h" }"#).unwrap();
/// assert_eq!(class.limits.idle_timeout, None);
/// assert!(serde_json::from_str::<session_core::Class>(r#"{ "absolute_timeout": 0 }"#).is_err());
/// ```
impl<'de> Deserialize<'de> for Class {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_class("", &Tree::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// As the limits of a group or a scope stand in a policy.
///
/// ```
/// let limits: session_core::Limits = serde_json::from_str(r#"{ "idle_timeout": "5m" }"#).unwrap();
/// assert_eq!(limits.idle_timeout.map(|idle| idle.as_secs()), Some(300));
/// ```
impl<'de> Deserialize<'de> for Limits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_limits("", &Tree::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// What stands in a text, before anybody knows what it means.
pub(crate) enum Tree {
    Text(String),
    Whole(i128),
    Table(Vec<Entry>),
    /// What no key of a policy takes, by its name.
    Other(&'static str),
}

pub(crate) struct Entry {
    pub(crate) key: String,
    /// Where the key stands in the text, if that is known.
    #[cfg_attr(not(feature = "toml"), expect(dead_code, reason = "only a file tells places"))]
    pub(crate) at: Option<usize>,
    pub(crate) value: Tree,
}

impl Tree {
    fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Whole(_) => "a number",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }

    /// Where a key stands, or else the innermost table that it would stand in.
    #[cfg(feature = "toml")]
    pub(crate) fn place(&self, key: &str) -> Option<usize> {
        let Self::Table(entries) = self else { return None };
        entries.iter().find_map(|entry| match key.strip_prefix(&*shown(&entry.key))? {
            "" => entry.at,
            rest => entry.value.place(rest.strip_prefix('.')?).or(entry.at),
        })
    }
}

pub(crate) fn read_policy(tree: &Tree) -> Result<Policy, PolicyError> {
    let fields = Fields::of("", tree, &POLICY_KEYS)?;
    if fields.get("classes").is_none() {
        return Err(form("classes", "is missing: a policy needs at least one class"));
    }
    let mut builder = Policy::builder();
    if let Some(name) = fields.text("default_class")? {
        ClassName::new(name).map_err(|error| name_error("default_class", error))?;
        builder = builder.default_class(name);
    }
    if let Some(skew) = fields.duration_or_zero("max_clock_skew")? {
        builder = builder.max_clock_skew(skew);
    }
    if let Some(retention) = fields.duration("tombstone_retention")? {
        builder = builder.tombstone_retention(retention);
    }
    if let Some(retention) = fields.duration("event_retention")? {
        builder = builder.event_retention(retention);
    }
    builder = builder.request_limits(RequestLimits {
        time_real: fields.duration("limit_time_real")?,
        time_cpu: fields.duration("limit_time_cpu")?,
    });
    if let Some((path, tree)) = fields.get("data") {
        builder = builder.data_limits(read_data(&path, tree)?);
    }
    for (name, path, tree) in fields.tables("classes")? {
        ClassName::new(name).map_err(|error| name_error(&path, error))?;
        builder = builder.class(name, read_class(&path, tree)?);
    }
    for (name, path, tree) in fields.tables("groups")? {
        GroupName::new(name).map_err(|error| name_error(&path, error))?;
        builder = builder.group(name, read_limits(&path, tree)?);
    }
    for (name, path, tree) in fields.tables("scopes")? {
        ScopeName::new(name).map_err(|error| name_error(&path, error))?;
        builder = builder.scope(name, read_scope(&path, tree)?);
    }
    builder.build()
}

const POLICY_KEYS: [&str; 10] = [
    "default_class",
    "max_clock_skew",
    "tombstone_retention",
    "event_retention",
    "limit_time_real",
    "limit_time_cpu",
    "data",
    "classes",
    "groups",
    "scopes",
];

const CLASS_KEYS: [&str; 8] = [
    "idle_timeout",
    "absolute_timeout",
    "unclaimed_timeout",
    "touch_interval",
    "max_sessions",
    "on_limit",
    "rotation_interval",
    "rotation_grace",
];

const SCOPE_KEYS: [&str; 4] = ["idle_timeout", "absolute_timeout", "max_age", "level"];

const LIMITS_KEYS: [&str; 3] = ["idle_timeout", "absolute_timeout", "unclaimed_timeout"];

/// Names that other systems have for the same: Odoo's here.
const ALIASES: [(&str, &str); 2] =
    [("session_timeout", "idle_timeout"), ("session_expiration", "absolute_timeout")];

/// What a limit says that is none, where leaving it out means the usual one.
const NONE: &str = "none";

fn read_class(path: &str, tree: &Tree) -> Result<Class, PolicyError> {
    let fields = Fields::of(path, tree, &CLASS_KEYS)?;
    let Some(absolute) = fields.duration("absolute_timeout")? else {
        let key = join(path, "absolute_timeout");
        return Err(PolicyError::new(&key, PolicyProblem::NoAbsoluteTimeout));
    };
    let mut class = Class::new(absolute);
    if let Some(idle) = fields.duration("idle_timeout")? {
        class = class.idle(idle);
    }
    match fields.get("unclaimed_timeout") {
        Some((_, Tree::Text(text))) if text == NONE => class.limits.unclaimed_timeout = None,
        Some(_) => class.limits.unclaimed_timeout = fields.duration("unclaimed_timeout")?,
        None => {}
    }
    if let Some(interval) = fields.duration("touch_interval")? {
        class.touch_interval = interval;
    }
    if let Some((path, tree)) = fields.get("max_sessions") {
        let most = whole(&path, tree)?;
        let most = u32::try_from(most).map_err(|_| form(&path, "is too large"))?;
        class.max_sessions = NonZeroU32::new(most);
    }
    if let Some(text) = fields.text("on_limit")? {
        let known = ON_LIMIT.iter().find(|(_, code)| *code == text);
        let Some((on_limit, _)) = known else {
            let codes: Vec<_> = ON_LIMIT.iter().map(|(_, code)| *code).collect();
            let problem = format!("must be one of {}, not {}", codes.join(", "), shown(text));
            return Err(form(&fields.path("on_limit"), problem));
        };
        class.on_limit = *on_limit;
    }
    class.rotation_interval = fields.duration("rotation_interval")?;
    if let Some(grace) = fields.duration_or_zero("rotation_grace")? {
        class.rotation_grace = grace;
    }
    check_class(path, &class)?;
    Ok(class)
}

const ON_LIMIT: [(OnLimit, &str); 3] = [
    (OnLimit::EvictLeastRecent, "evict_least_recent"),
    (OnLimit::EvictOldest, "evict_oldest"),
    (OnLimit::Reject, "reject"),
];

fn read_limits(path: &str, tree: &Tree) -> Result<Limits, PolicyError> {
    let fields = Fields::of(path, tree, &LIMITS_KEYS)?;
    let limits = Limits {
        idle_timeout: fields.duration("idle_timeout")?,
        absolute_timeout: fields.duration("absolute_timeout")?,
        unclaimed_timeout: fields.duration("unclaimed_timeout")?,
    };
    check_limits(path, &limits)?;
    Ok(limits)
}

fn read_scope(path: &str, tree: &Tree) -> Result<Scope, PolicyError> {
    let fields = Fields::of(path, tree, &SCOPE_KEYS)?;
    let limits = Limits {
        idle_timeout: fields.duration("idle_timeout")?,
        absolute_timeout: fields.duration("absolute_timeout")?,
        unclaimed_timeout: None,
    };
    let mut scope = Scope::from(limits);
    if let Some(age) = fields.duration("max_age")? {
        scope.max_age = age;
    }
    if let Some((path, tree)) = fields.get("level") {
        let level = whole(&path, tree)?;
        scope.level = u8::try_from(level).map_err(|_| form(&path, "is too large"))?;
    }
    check_scope(path, &scope)?;
    Ok(scope)
}

fn read_data(path: &str, tree: &Tree) -> Result<DataLimits, PolicyError> {
    let fields = Fields::of(path, tree, &["key", "value", "total"])?;
    let size = |name, usual| match fields.get(name) {
        Some((path, tree)) => {
            let bytes = whole(&path, tree)?;
            usize::try_from(bytes).map_err(|_| PolicyError::new(&path, PolicyProblem::TooMuchData))
        }
        None => Ok(usual),
    };
    let usual = DataLimits::default();
    Ok(DataLimits {
        key: size("key", usual.key)?,
        value: size("value", usual.value)?,
        total: size("total", usual.total)?,
    })
}

/// The entries of a table, each of a known key and there once.
struct Fields<'t> {
    path: String,
    entries: Vec<(&'static str, &'t Entry)>,
}

impl<'t> Fields<'t> {
    fn of(path: &str, tree: &'t Tree, known: &[&'static str]) -> Result<Self, PolicyError> {
        let mut fields = Self { path: path.to_owned(), entries: Vec::new() };
        for entry in table(path, tree)? {
            let alias = ALIASES.iter().find(|(alias, _)| *alias == entry.key);
            let name = alias.map_or(&*entry.key, |(_, name)| name);
            let key = join(path, &shown(&entry.key));
            let Some(name) = known.iter().find(|known| **known == name) else {
                let problem = format!("is not known here: known are {}", known.join(", "));
                return Err(form(&key, problem));
            };
            match fields.entry(name) {
                Some(other) if other.key == entry.key => {
                    return Err(PolicyError::new(&key, PolicyProblem::Twice));
                }
                Some(other) => {
                    return Err(form(&key, format!("says the same as {}", other.key)));
                }
                None => fields.entries.push((name, entry)),
            }
        }
        Ok(fields)
    }

    fn entry(&self, name: &str) -> Option<&'t Entry> {
        self.entries.iter().find(|(known, _)| *known == name).map(|(_, entry)| *entry)
    }

    /// The key as the text has it, from the root on.
    fn path(&self, name: &str) -> String {
        join(&self.path, self.entry(name).map_or(name, |entry| &entry.key))
    }

    fn get(&self, name: &str) -> Option<(String, &'t Tree)> {
        self.entry(name).map(|entry| (self.path(name), &entry.value))
    }

    fn text(&self, name: &str) -> Result<Option<&'t str>, PolicyError> {
        match self.get(name) {
            Some((_, Tree::Text(text))) => Ok(Some(text)),
            Some((path, other)) => {
                Err(form(&path, format!("must be a text, not {}", other.kind())))
            }
            None => Ok(None),
        }
    }

    fn duration(&self, name: &str) -> Result<Option<Duration>, PolicyError> {
        match self.duration_or_zero(name)? {
            Some(duration) if duration.as_millis() == 0 => {
                Err(PolicyError::new(&self.path(name), PolicyProblem::Zero))
            }
            other => Ok(other),
        }
    }

    fn duration_or_zero(&self, name: &str) -> Result<Option<Duration>, PolicyError> {
        self.get(name).map(|(path, tree)| duration(&path, tree)).transpose()
    }

    /// The tables in the table of this name, each with its own name and its path.
    fn tables(&self, name: &str) -> Result<Vec<(&'t str, String, &'t Tree)>, PolicyError> {
        let Some((path, tree)) = self.get(name) else { return Ok(Vec::new()) };
        let named = |entry: &'t Entry| (&*entry.key, join(&path, &shown(&entry.key)), &entry.value);
        Ok(table(&path, tree)?.iter().map(named).collect())
    }
}

fn table<'t>(path: &str, tree: &'t Tree) -> Result<&'t [Entry], PolicyError> {
    match tree {
        Tree::Table(entries) => Ok(entries),
        other => Err(form(path, format!("must be a table, not {}", other.kind()))),
    }
}

fn duration(path: &str, tree: &Tree) -> Result<Duration, PolicyError> {
    match tree {
        Tree::Whole(seconds) if *seconds < 0 => Err(form(path, "must not be negative")),
        Tree::Whole(seconds) => {
            u64::try_from(*seconds).map(Duration::from_secs).map_err(|_| form(path, "is too long"))
        }
        // 30M would be thirty months to the parser, and thirty minutes to its reader.
        Tree::Text(text) if text.contains('M') => {
            Err(form(path, "has a unit M: write m for minutes, or months"))
        }
        Tree::Text(text) if text.trim_start().starts_with('-') => {
            Err(form(path, "must not be negative"))
        }
        Tree::Text(text) => humantime::parse_duration(text).map_err(|error| {
            form(path, format!("is no duration such as \"30m\" or \"1h 30m\": {error}"))
        }),
        other => Err(form(
            path,
            format!(
                "must be a duration such as \"30m\" or a whole number of seconds, not {}",
                other.kind()
            ),
        )),
    }
}

/// A whole number of at least 1.
fn whole(path: &str, tree: &Tree) -> Result<u64, PolicyError> {
    match tree {
        Tree::Whole(number) if *number < 1 => Err(form(path, "must be at least 1")),
        Tree::Whole(number) => u64::try_from(*number).map_err(|_| form(path, "is too large")),
        other => Err(form(path, format!("must be a whole number, not {}", other.kind()))),
    }
}

fn form(key: &str, problem: impl Into<String>) -> PolicyError {
    PolicyError::new(key, PolicyProblem::Form(problem.into()))
}

fn name_error(key: &str, error: NameError) -> PolicyError {
    PolicyError::new(key, PolicyProblem::Name(error))
}

/// A word of the text, quoted if it is not a plain one: it could forge a line of a log.
fn shown(word: &str) -> std::borrow::Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !word.is_empty() && word.chars().all(plain) {
        return word.into();
    }
    format!("{:?}", word.chars().take(64).collect::<String>()).into()
}

/// Takes any value of a format that describes itself.
impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyValue;

        impl<'de> Visitor<'de> for AnyValue {
            type Value = Tree;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a part of a policy")
            }

            fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
                Ok(Tree::Text(text.to_owned()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Tree, E> {
                Ok(Tree::Whole(number.into()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
                Ok(Tree::Whole(number.into()))
            }

            fn visit_i128<E>(self, number: i128) -> Result<Tree, E> {
                Ok(Tree::Whole(number))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
                Ok(Tree::Other("a fraction"))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
                Ok(Tree::Other("a boolean"))
            }

            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Other("nothing"))
            }

            fn visit_none<E>(self) -> Result<Tree, E> {
                Ok(Tree::Other("nothing"))
            }

            fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Tree, D::Error> {
                Tree::deserialize(inner)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Tree::Other("a list"))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut entries = Vec::new();
                while let Some((key, value)) = map.next_entry()? {
                    entries.push(Entry { key, at: None, value });
                }
                Ok(Tree::Table(entries))
            }
        }

        deserializer.deserialize_any(AnyValue)
    }
}

/// Every key, durations as text: read again, it is the same policy.
impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("default_class", &self.default_class)?;
        map.serialize_entry("max_clock_skew", &Text(self.max_clock_skew))?;
        map.serialize_entry("tombstone_retention", &Text(self.tombstone_retention))?;
        map.serialize_entry("event_retention", &Text(self.event_retention))?;
        if let Some(limit) = self.requests.time_real {
            map.serialize_entry("limit_time_real", &Text(limit))?;
        }
        if let Some(limit) = self.requests.time_cpu {
            map.serialize_entry("limit_time_cpu", &Text(limit))?;
        }
        map.serialize_entry("data", &self.data)?;
        map.serialize_entry("classes", &self.classes)?;
        map.serialize_entry("groups", &self.groups)?;
        map.serialize_entry("scopes", &self.scopes)?;
        map.end()
    }
}

/// As it stands in a policy.
impl Serialize for Class {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        serialize_limits(&self.limits, &mut map)?;
        if self.limits.unclaimed_timeout.is_none() {
            map.serialize_entry("unclaimed_timeout", NONE)?;
        }
        map.serialize_entry("touch_interval", &Text(self.touch_interval))?;
        if let Some(most) = self.max_sessions {
            map.serialize_entry("max_sessions", &most)?;
        }
        let code = ON_LIMIT.iter().find(|(on_limit, _)| *on_limit == self.on_limit);
        map.serialize_entry("on_limit", code.map_or("", |(_, code)| code))?;
        if let Some(interval) = self.rotation_interval {
            map.serialize_entry("rotation_interval", &Text(interval))?;
        }
        map.serialize_entry("rotation_grace", &Text(self.rotation_grace))?;
        map.end()
    }
}

/// As it stands in a policy.
impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        serialize_limits(&self.limits, &mut map)?;
        map.serialize_entry("max_age", &Text(self.max_age))?;
        if self.level > 0 {
            map.serialize_entry("level", &self.level)?;
        }
        map.end()
    }
}

/// The limits that there are.
impl Serialize for Limits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        serialize_limits(self, &mut map)?;
        map.end()
    }
}

/// In bytes.
impl Serialize for DataLimits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("key", &self.key)?;
        map.serialize_entry("value", &self.value)?;
        map.serialize_entry("total", &self.total)?;
        map.end()
    }
}

fn serialize_limits<M: SerializeMap>(limits: &Limits, map: &mut M) -> Result<(), M::Error> {
    let all = [limits.idle_timeout, limits.absolute_timeout, limits.unclaimed_timeout];
    for (name, limit) in LIMITS_KEYS.iter().zip(all) {
        if let Some(limit) = limit {
            map.serialize_entry(name, &Text(limit))?;
        }
    }
    Ok(())
}

struct Text(Duration);

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(self.0))
    }
}
