use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::laws::any_policy;
use crate::{
    Class, ClassName, DataLimits, GroupName, Limits, OnLimit, RequestLimits, Scope, ScopeName,
};

const NOT_A_DURATION: &str = "must be a duration such as \"30m\" or a whole number of seconds, not";
const NO_DURATION: &str = "is no duration such as \"30m\" or \"1h 30m\":";
const ROOT_KEYS: &str = "is not known here: known are default_class, max_clock_skew, \
    tombstone_retention, event_retention, limit_time_real, limit_time_cpu, data, classes, groups, scopes";
const CLASS_KEYS: &str = "is not known here: known are idle_timeout, absolute_timeout, \
    unclaimed_timeout, touch_interval, max_sessions, on_limit, rotation_interval, rotation_grace";
const LIMITS_KEYS: &str =
    "is not known here: known are idle_timeout, absolute_timeout, unclaimed_timeout";

/// A file whose one class is right, with this after it, from line 3 on.
fn after_browser(rest: &str) -> String {
    format!("[classes.browser]\nabsolute_timeout = \"12h\"\n{rest}\n")
}

fn browser(rest: &str) -> Class {
    let policy = Policy::from_toml(&after_browser(rest)).unwrap();
    policy.class(&ClassName::new("browser").unwrap()).clone()
}

fn error(text: &str) -> String {
    Policy::from_toml(text).unwrap_err().to_string()
}

#[test]
fn every_key_is_read() {
    let policy = Policy::from_toml(
        r#"
        default_class = "till"
        max_clock_skew = 0
        tombstone_retention = "2days"
        event_retention = 3600
        limit_time_real = 120
        limit_time_cpu = "500ms"
        classes.till = { session_timeout = "15m", session_expiration = 7200, max_sessions = 1 }
        [classes.desk]
        idle_timeout = "1h 30m"
        absolute_timeout = "8h"
        unclaimed_timeout = "none"
        touch_interval = "250ms"
        max_sessions = 3
        on_limit = "reject"
        rotation_interval = "20m"
        rotation_grace = 0
        [groups.accounting]
        idle_timeout = "15m"
        [scopes.finance]
        idle_timeout = "5m"
        absolute_timeout = "30m"
        max_age = 60
        level = 2
        [data]
        total = 1024
        "#,
    )
    .unwrap();
    let secs = Duration::from_secs;
    let mut desk = Class::new(secs(28_800))
        .idle(secs(5_400))
        .touch_interval(Duration::from_millis(250))
        .max_sessions(3, OnLimit::Reject)
        .rotation_interval(secs(1_200))
        .rotation_grace(Duration::ZERO);
    desk.limits.unclaimed_timeout = None;
    let till = Class::new(secs(7_200)).idle(secs(900)).max_sessions(1, OnLimit::EvictLeastRecent);
    let finance = Limits {
        idle_timeout: Some(secs(300)),
        absolute_timeout: Some(secs(1_800)),
        ..Limits::NONE
    };
    let finance = Scope { max_age: secs(60), level: 2, ..Scope::from(finance) };
    let expected = Policy::builder()
        .default_class("till")
        .class("till", till)
        .class("desk", desk)
        .group("accounting", Limits { idle_timeout: Some(secs(900)), ..Limits::NONE })
        .scope("finance", finance)
        .max_clock_skew(Duration::ZERO)
        .tombstone_retention(secs(172_800))
        .event_retention(secs(3_600))
        .request_limits(RequestLimits {
            time_real: Some(secs(120)),
            time_cpu: Some(Duration::from_millis(500)),
        })
        .data_limits(DataLimits { total: 1_024, ..DataLimits::default() })
        .build()
        .unwrap();
    assert_eq!(policy, expected);
    assert!(policy.scope(&ScopeName::new("finance").unwrap()).is_some());
    assert_eq!(policy.groups().next().unwrap().0, &GroupName::new("accounting").unwrap());
}

#[test]
fn what_is_left_out_has_its_default() {
    assert_eq!(browser(""), Class::new(Duration::from_secs(43_200)));
    let policy = Policy::from_toml(&after_browser("")).unwrap();
    assert_eq!(policy.data_limits(), &DataLimits::default());
    assert_eq!(policy.max_clock_skew(), Policy::default().max_clock_skew());
    assert_eq!(policy.tombstone_retention(), Policy::default().tombstone_retention());
    assert_eq!(policy.event_retention(), Policy::default().event_retention());
    assert_eq!(policy.request_limits(), &RequestLimits::default());
}

#[test]
fn durations_have_several_forms() {
    for text in ["1800", "0x708", "1_800", "\"30m\"", "\"30min\"", "\"1800s\"", "\"0h 30m\""] {
        let class = browser(&format!("idle_timeout = {text}"));
        assert_eq!(class.limits.idle_timeout, Some(Duration::from_secs(1_800)), "{text}");
    }
}

#[test]
fn errors_of_durations_name_key_and_place() {
    for (value, problem) in [
        ("0", "must be more than zero".to_owned()),
        ("\"0s\"", "must be more than zero".to_owned()),
        ("\"0.1ms\"", "must be more than zero".to_owned()),
        ("-1", "must not be negative".to_owned()),
        ("\"-5m\"", "must not be negative".to_owned()),
        ("1.5", format!("{NOT_A_DURATION} a fraction")),
        ("inf", format!("{NOT_A_DURATION} a fraction")),
        ("nan", format!("{NOT_A_DURATION} a fraction")),
        ("true", format!("{NOT_A_DURATION} a boolean")),
        ("[1]", format!("{NOT_A_DURATION} a list")),
        ("{ a = 1 }", format!("{NOT_A_DURATION} a table")),
        ("1979-05-27", format!("{NOT_A_DURATION} a date")),
        ("\"1.5.2m\"", format!("{NO_DURATION} invalid character at 3")),
        ("\"\"", format!("{NO_DURATION} value was empty")),
        ("\"never\"", format!("{NO_DURATION} expected number at 0")),
        ("\"none\"", format!("{NO_DURATION} expected number at 0")),
        ("\"30\"", format!("{NO_DURATION} time unit needed, for example 30sec or 30ms")),
        ("\"30M\"", "has a unit M: write m for minutes, or months".to_owned()),
        ("99999999999999999999", "is too long".to_owned()),
        ("9999999999999999999999999999999999999999", "is too long".to_owned()),
        ("-9999999999999999999999999999999999999999", "must not be negative".to_owned()),
    ] {
        for key in ["idle_timeout", "session_timeout", "touch_interval"] {
            assert_eq!(
                error(&after_browser(&format!("  {key} = {value}"))),
                format!("line 3, column 3: classes.browser.{key}: {problem}"),
                "{key} = {value}"
            );
        }
    }
    assert!(error(&after_browser("idle_timeout = \"99999999999999999999h\"")).starts_with(
        &format!(
            "line 3, column 1: classes.browser.idle_timeout: {NO_DURATION} number is too large"
        )
    ));
}

#[test]
fn errors_of_classes_name_key_and_place() {
    for (rest, key, problem) in [
        ("idle_timeuot = 5", "idle_timeuot", CLASS_KEYS),
        (
            "touch_interval = \"5s\"\nidle_timeout = 5",
            "touch_interval",
            "must be shorter than the idle timeout",
        ),
        ("max_sessions = 0", "max_sessions", "must be at least 1"),
        ("max_sessions = -1", "max_sessions", "must be at least 1"),
        ("max_sessions = \"5\"", "max_sessions", "must be a whole number, not a text"),
        ("max_sessions = 5000000000", "max_sessions", "is too large"),
        ("rotation_interval = 0", "rotation_interval", "must be more than zero"),
        (
            "rotation_grace = \"11m\"",
            "rotation_grace",
            "is longer than 10 minutes: a replaced secret would hardly be replaced",
        ),
        ("on_limit = 1", "on_limit", "must be a text, not a number"),
        (
            "on_limit = \"evict\"",
            "on_limit",
            "must be one of evict_least_recent, evict_oldest, reject, not evict",
        ),
        ("session_expiration = 1", "session_expiration", "says the same as absolute_timeout"),
    ] {
        let expected = format!("line 3, column 1: classes.browser.{key}: {problem}");
        assert_eq!(error(&after_browser(rest)), expected, "{rest}");
    }
}

#[test]
fn errors_of_the_rest_name_key_and_place() {
    for (rest, expected) in [
        ("idle_timeout = 5\nidle_timeout = 6", "line 4, column 1: classes.browser.idle_timeout: stands twice".to_owned()),
        ("[classes.browser]", "line 3, column 10: classes.browser: stands twice".to_owned()),
        (
            "idle_timeout = 5\nsession_timeout = 6",
            "line 4, column 1: classes.browser.session_timeout: says the same as idle_timeout".to_owned(),
        ),
        ("[groups.a]\nidle_timeout = 0", "line 4, column 1: groups.a.idle_timeout: must be more than zero".to_owned()),
        ("[groups.a]\ntouch_interval = 1", format!("line 4, column 1: groups.a.touch_interval: {LIMITS_KEYS}")),
        ("[groups]\na = 1", "line 4, column 1: groups.a: must be a table, not a number".to_owned()),
        ("[scopes.a]", "line 3, column 9: scopes.a: has no limit".to_owned()),
        (
            "[scopes.a]\nunclaimed_timeout = 5",
            "line 4, column 1: scopes.a.unclaimed_timeout: is not known here: known are idle_timeout, \
             absolute_timeout, max_age, level"
                .to_owned(),
        ),
        (
            "[scopes.a]\nidle_timeout = 5\nlevel = 256",
            "line 5, column 1: scopes.a.level: is too large".to_owned(),
        ),
        ("[scopes.\"a b\"]", "line 3, column 9: scopes.\"a b\": a name cannot hold the character ' '".to_owned()),
        ("[data]\nkey = 0", "line 4, column 1: data.key: must be at least 1".to_owned()),
        (
            "[data]\ntotal = 2000000",
            "line 4, column 1: data.total: is more than the 1048576 bytes that every store can keep".to_owned(),
        ),
        ("[data]\nsize = 1", "line 4, column 1: data.size: is not known here: known are key, value, total".to_owned()),
        ("[data]\nvalue = \"64k\"", "line 4, column 1: data.value: must be a whole number, not a text".to_owned()),
        ("[limits]", format!("line 3, column 2: limits: {ROOT_KEYS}")),
    ] {
        assert_eq!(error(&after_browser(rest)), expected, "{rest}");
    }
}

#[test]
fn errors_of_whole_files_name_key_and_place() {
    let missing = "is missing: a session that never ends is not allowed";
    for (text, expected) in [
        ("", "line 1, column 1: classes: is missing: a policy needs at least one class".to_owned()),
        (
            "# none\n",
            "line 1, column 1: classes: is missing: a policy needs at least one class".to_owned(),
        ),
        ("classes = 1", "line 1, column 1: classes: must be a table, not a number".to_owned()),
        ("[[classes]]", "line 1, column 3: classes: must be a table, not a list".to_owned()),
        (
            "[classes]",
            "line 1, column 1: default_class: names no class of this policy: there is no \"browser\""
                .to_owned(),
        ),
        (
            "[classes.browser]\nidle_timeout = 5",
            format!("line 1, column 10: classes.browser.absolute_timeout: {missing}"),
        ),
        (
            "\ndefault_class = \"b\"\n[classes.a]\nabsolute_timeout = 1",
            "line 2, column 1: default_class: names no class of this policy: there is no \"b\""
                .to_owned(),
        ),
        (
            "default_class = \"a b\"\n[classes.a]\nabsolute_timeout = 1",
            "line 1, column 1: default_class: a name cannot hold the character ' '".to_owned(),
        ),
        (
            "tombstone_retention = 0\n[classes.browser]\nabsolute_timeout = 1",
            "line 1, column 1: tombstone_retention: must be more than zero".to_owned(),
        ),
        (
            "event_retention = 0\n[classes.browser]\nabsolute_timeout = 1",
            "line 1, column 1: event_retention: must be more than zero".to_owned(),
        ),
        (
            "[classes.a]\r\nabsolute_timeout = 1\r\nidle_timeout = 0\r\n",
            "line 3, column 1: classes.a.idle_timeout: must be more than zero".to_owned(),
        ),
        (
            "classes = { \"\u{e9}\" = {} }",
            "line 1, column 13: classes.\"\u{e9}\": a name cannot hold the character '\u{e9}'"
                .to_owned(),
        ),
        ("\"\u{e9}\\n\" = 1", format!("line 1, column 1: \"\u{e9}\\n\": {ROOT_KEYS}")),
        (
            "classes = {b = {absolute_timeout = 1, absolute_timeout = 2}}",
            "line 1, column 39: absolute_timeout: stands twice".to_owned(),
        ),
        ("x = [", "line 1, column 6: is no TOML: unclosed array, expected `]`".to_owned()),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
}

#[test]
fn other_formats_are_read_by_the_same_rules() {
    let read = |text: &str| serde_json::from_str::<Policy>(text).map_err(|error| error.to_string());
    let class =
        r#""classes": { "browser": { "session_timeout": 1800, "absolute_timeout": "12h" } }"#;
    assert!(read(&format!("{{ {class} }}")).is_ok());
    for (text, expected) in [
        (format!("{{ {class}, {class} }}"), "classes: stands twice"),
        (format!("{{ {class}, \"x\": [null, 1.5] }}"), "x: is not known here"),
        ("[]".to_owned(), "must be a table, not a list"),
        (
            format!("{{ {class}, \"default_class\": null }}"),
            "default_class: must be a text, not nothing",
        ),
    ] {
        let error = read(&text).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    let error = serde_json::from_str::<Class>(r#"{ "absolute_timeout": 9, "touch_interval": 0 }"#);
    assert!(error.unwrap_err().to_string().starts_with("touch_interval: must be more than zero"));
    let error = serde_json::from_str::<Limits>(r#"{ "max_sessions": 9 }"#).unwrap_err();
    assert!(error.to_string().starts_with("max_sessions: is not known here"));
}

proptest! {
    #[test]
    fn a_policy_that_is_written_out_is_read_again(policy in any_policy()) {
        let text = toml::to_string(&policy).unwrap();
        prop_assert_eq!(&Policy::from_toml(&text).unwrap(), &policy, "{}", text);
        let text = serde_json::to_string(&policy).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Policy>(&text).unwrap(), &policy, "{}", text);
    }

    #[test]
    fn any_text_is_answered(text in any::<String>(), lines in "([a-z\\[\\]\\.\"={}0-9\u{e9} ]{0,12}\r?\n){0,8}") {
        let _ = Policy::from_toml(&text);
        let _ = Policy::from_toml(&lines);
    }

    #[test]
    fn any_damage_is_answered(
        policy in any_policy(),
        at in any::<prop::sample::Index>(),
        cut in 0..20_usize,
        put in "\\PC{0,8}",
    ) {
        let mut text: Vec<char> = toml::to_string(&policy).unwrap().chars().collect();
        let from = at.index(text.len());
        let to = text.len().min(from + cut);
        text.splice(from..to, put.chars());
        if let Err(error) = Policy::from_toml(&text.into_iter().collect::<String>()) {
            prop_assert!(error.place().is_some());
        }
    }
}
