//! An application tests its own policy: the laws, and a promise of its own.
//!
//! `cargo run -p session-core --example own_policy`
use std::time::Duration;

use proptest::prelude::*;
use session_core::{ClassName, Policy, laws};

const POLICY: &str = r#"
    [classes.browser]
    idle_timeout = "15m"
    absolute_timeout = "8h"
    [groups.accounting]
    idle_timeout = "5m"
    [scopes.payments]
    absolute_timeout = "10m"
"#;

fn main() {
    let policy = Policy::from_toml(POLICY).expect("our policy builds");
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config.clone(), |(trace in laws::any_trace())| laws::all(&policy, &trace)?);
    println!("the laws hold for our policy");

    let day = Some(Duration::from_secs(8 * 3600));
    proptest!(config, |(class in "[a-z]{1,12}")| {
        let limits = policy.limits(&ClassName::new(class).expect("a name"), &[]);
        prop_assert!(limits.absolute_timeout <= day, "a session outlives the working day");
    });
    println!("no session outlives the working day, whatever its class is called");
}
