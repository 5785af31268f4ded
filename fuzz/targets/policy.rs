//! A file is refused with a place inside of it, or is a policy: one that is written as it was read, whose every class
//! ends its sessions, and which the lifecycle has an answer for at every instant.
#![no_main]

use libfuzzer_sys::fuzz_target;
use session_core::lifecycle::{Command, decide, state};
use session_core::{Marks, Policy, Record, SecretHash, SessionId, State, Timestamp};

fuzz_target!(|text: &str| {
    let policy = match Policy::from_toml(text) {
        Ok(policy) => policy,
        Err(error) => {
            let (line, column) = error.place().expect("an error in a file has a place");
            assert!((1..=text.split('\n').count()).contains(&line), "{error}");
            let length = text.split('\n').nth(line - 1).map_or(0, str::len);
            assert!((1..=length + 1).contains(&column), "{error}");
            return;
        }
    };
    let written = serde_json::to_string(&policy).unwrap();
    assert_eq!(serde_json::from_str::<Policy>(&written).unwrap(), policy, "{written}");

    let (id, secret) = (SessionId::from_bytes([1; 16]), SecretHash::from_bytes([2; 32]));
    let marks = Marks::default();
    for (name, class) in policy.classes() {
        assert!(class.limits.absolute_timeout.is_some_and(|limit| !limit.is_zero()));
        let limits = policy.limits(name, &[]);
        for created in [Timestamp::MIN, Timestamp::from_millis(0), Timestamp::MAX] {
            let record = Record::new(id, secret, name.clone(), limits, created);
            for now in [Timestamp::MIN, created, Timestamp::MAX] {
                let live = state(&record, &marks, &policy, now).is_live();
                let resume = Command::Resume { passive: false };
                assert_eq!(decide(&record, &marks, resume, &policy, now).is_ok(), live);
            }
        }
        let record = Record::new(id, secret, name.clone(), limits, Timestamp::from_millis(0));
        assert_eq!(state(&record, &marks, &policy, Timestamp::from_millis(0)), State::Created);
        assert!(!state(&record, &marks, &policy, Timestamp::MAX).is_live());
    }
});
