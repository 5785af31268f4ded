//! The file of the example's limits shows every setting, and the portal can run by it.

use std::sync::Arc;
use std::time::Duration;

use session_engine::{MemoryStore, Policy};

use crate::site::Site;
use crate::visitor::{Visitor, reason};

const FILE: &str = include_str!("../../examples/portal/policy.toml");

#[test]
fn the_file_names_every_setting() {
    Policy::from_toml(FILE).unwrap();
    for table in ["", "classes.browser", "groups.accounting", "scopes.finance", "data"] {
        let (before, after) = match table {
            "" => ("", FILE),
            table => FILE.split_once(&format!("[{table}]\n")).unwrap(),
        };
        // What a table may hold is told by the refusal of what it may not.
        let header = if table.is_empty() { String::new() } else { format!("[{table}]\n") };
        let error =
            Policy::from_toml(&format!("{before}{header}nonsense = 1\n{after}")).unwrap_err();
        let text = error.to_string();
        let known = text.split_once("known are ").unwrap().1;
        let known =
            known.split(|c: char| !c.is_alphanumeric() && !"_, ".contains(c)).next().unwrap();
        let section = after.split("\n[").next().unwrap();
        let known: Vec<_> = known.split(", ").collect();
        assert!(known.len() >= 3, "{text}");
        for key in known {
            let is_set = section.lines().any(|line| line.starts_with(&format!("{key} = ")));
            let is_table = table.is_empty()
                && (FILE.contains(&format!("\n[{key}]")) || FILE.contains(&format!("\n[{key}.")));
            assert!(is_set || is_table, "{key} of [{table}]");
        }
    }
    for alias in ["session_timeout", "session_expiration"] {
        assert!(FILE.contains(alias), "{alias}");
    }
}

#[test]
fn the_portal_lives_by_the_file() {
    let policy = Policy::from_toml(&FILE.replace("max_sessions = 10", "max_sessions = 1")).unwrap();
    let site = Site::on(Arc::new(MemoryStore::new()), policy);
    let mut first = Visitor::signed_in(&site, "alice");
    let mut second = Visitor::signed_in(&site, "alice");
    assert_eq!(first.get("/").status, 303);
    assert_eq!(reason(&first.get("/login")), Some("superseded"));
    site.clock.advance(Duration::from_secs(1_800));
    assert_eq!(second.get("/").status, 303);
    assert_eq!(reason(&second.get("/login")), Some("idle_timeout"));
}
