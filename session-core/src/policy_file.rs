//! A policy from a TOML file.

use toml::de::{DeTable, DeValue};

use crate::policy_form::{Entry, Tree, read_policy};
use crate::{Policy, PolicyError, PolicyProblem};

impl Policy {
    /// Reads a policy from the text of a TOML file.
    ///
    /// The file says everything: a class that it does not name is not there. What it leaves out of the rest
    /// has the default. A duration is a text such as `"30m"`, `"1h 30m"` or `"14days"`, or a whole number of
    /// seconds. `session_timeout` is another name of `idle_timeout`, and `session_expiration` one of
    /// `absolute_timeout`, as in Odoo.
    ///
    /// ```
    /// use session_core::{ClassName, Policy};
    ///
    /// let policy = Policy::from_toml(r#"
    ///     ## The class of sessions that name none. Default: "browser".
    ///     default_class = "browser"
    ///     ## By how much the clocks of two nodes may differ; may be 0. Default: "5s".
    ///     max_clock_skew = "5s"
    ///     ## How long a tombstone outlives its session. Default: "1day".
    ///     tombstone_retention = "1day"
    ///     ## How long events are kept. Default: "90days".
    ///     event_retention = "90days"
    ///     ## How long a request may take, for a server with the layers of `limits`: by the clock on the wall, and of a
    ///     ## processor's time. Default: no limit.
    ///     limit_time_real = "2m"
    ///     limit_time_cpu = "1m"
    ///
    ///     [classes.browser]
    ///     idle_timeout = "30m"             # Since the last activity. Default: none.
    ///     absolute_timeout = "12h"         # Since sign-in. The one key that every class must have.
    ///     unclaimed_timeout = "5m"         # Until the first use; may be "none". Default: "5m".
    ///     touch_interval = "60s"           # Default: a twentieth of the idle timeout, 1 s to 1 min.
    ///     max_sessions = 5                 # Live ones of one subject. Default: as many as he likes.
    ///     on_limit = "evict_least_recent"  # Or "evict_oldest", or "reject". This is the default.
    ///     rotation_interval = "1h"         # How old a secret may be. Default: it is never replaced by itself.
    ///     rotation_grace = "30s"           # For how long a replaced one is still good; may be 0. Default: "30s".
    ///
    ///     [classes.remembered]
    ///     session_timeout = 1209600        # The same as idle_timeout = "14days".
    ///     session_expiration = "30days"    # The same as absolute_timeout.
    ///
    ///     [groups.accounting]              # Members' sessions are limited further.
    ///     idle_timeout = "15m"
    ///
    ///     [scopes.finance]                 # A session inside a session. One of the timeouts has to be there.
    ///     idle_timeout = "5m"
    ///     absolute_timeout = "30m"
    ///     max_age = "5m"                   # How recent a sign-in has to be to enter it. Default: "5m".
    ///     level = 1                        # And of which level. Default: any.
    ///
    ///     [data]                           # In bytes. These are the defaults.
    ///     key = 128
    ///     value = 65536
    ///     total = 262144
    /// "#).unwrap();
    ///
    /// let remembered = policy.class(&ClassName::new("remembered").unwrap());
    /// assert_eq!(remembered.limits.idle_timeout.map(|idle| idle.as_secs()), Some(14 * 86_400));
    /// ```
    ///
    /// # Errors
    /// The text is no TOML, has a key that is not known, a value of the wrong kind, a zero or negative
    /// duration, a class without an absolute timeout, or anything else that
    /// [`PolicyBuilder::build`](crate::PolicyBuilder::build) refuses. The error names the key, the line and the
    /// column of the key (of its table, if the key is missing).
    ///
    /// ```
    /// let text = "[classes.browser]\nabsolute_timeout = \"12h\"\nidle_timeout = 0";
    /// let error = session_core::Policy::from_toml(text).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "line 3, column 1: classes.browser.idle_timeout: must be more than zero"
    /// );
    /// ```
    pub fn from_toml(text: &str) -> Result<Self, PolicyError> {
        let table = DeTable::parse(text).map_err(|error| not_toml(text, &error))?;
        let tree = tree_of_table(table.get_ref());
        read_policy(&tree).map_err(|error| {
            let offset = tree.place(error.key()).unwrap_or(0);
            let (line, column) = place(text, offset);
            error.at(line, column)
        })
    }
}

fn not_toml(text: &str, error: &toml::de::Error) -> PolicyError {
    let span = error.span().unwrap_or(0..0);
    let (line, column) = place(text, span.start);
    // The parser points at a key that stands twice, and does not tell its name.
    let problem = match error.message() {
        "duplicate key" => PolicyProblem::Twice,
        message => PolicyProblem::Form(format!("is no TOML: {message}")),
    };
    let key = match &problem {
        PolicyProblem::Twice => duplicate(text, span),
        _ => String::new(),
    };
    PolicyError::new(&key, problem).at(line, column)
}

/// The key at a place, with the header of the table above it.
fn duplicate(text: &str, span: std::ops::Range<usize>) -> String {
    let key = text.get(span.clone()).unwrap_or_default();
    let before = text.get(..span.start).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let header = |line: &str| {
        let inner = line.trim().strip_prefix('[')?;
        inner.split(']').next().map(|name| name.trim().to_owned())
    };
    let own_line = text[line_start..].lines().next().unwrap_or_default();
    let table = match header(own_line) {
        Some(whole) => return whole,
        None => before[..line_start].lines().rev().find_map(header),
    };
    table.map_or_else(|| key.to_owned(), |table| format!("{table}.{key}"))
}

fn tree_of_table(table: &DeTable<'_>) -> Tree {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            at: Some(key.span().start),
            value: tree_of(value.get_ref()),
        })
        .collect();
    // The parser sorts by name; the first error to tell is the first one of the file.
    entries.sort_by_key(|entry| entry.at);
    Tree::Table(entries)
}

fn tree_of(value: &DeValue<'_>) -> Tree {
    match value {
        DeValue::String(text) => Tree::Text(text.to_string()),
        DeValue::Integer(number) => {
            let bound = if number.as_str().starts_with('-') { i128::MIN } else { i128::MAX };
            let whole = i128::from_str_radix(number.as_str(), number.radix());
            Tree::Whole(whole.unwrap_or(bound))
        }
        DeValue::Float(_) => Tree::Other("a fraction"),
        DeValue::Boolean(_) => Tree::Other("a boolean"),
        DeValue::Datetime(_) => Tree::Other("a date"),
        DeValue::Array(_) => Tree::Other("a list"),
        DeValue::Table(table) => tree_of_table(table),
    }
}

/// The line and the column of a byte, both from 1; columns count characters.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset.min(text.len())).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests;
