//! Hostile bytes are no record, or one that is written as it was read and that the lifecycle has an answer for.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use session_core::lifecycle::{Command, Decision, decide, standing, state};
use session_core::{Actor, Marks, Policy, Reason, Record, Timestamp};

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    // No fuzzer guesses a checksum: the bytes are tried as the payload of a record as well.
    check(&with_header(bytes));
});

fn check(bytes: &[u8]) {
    let Ok(record) = Record::decode(bytes) else { return };
    assert_eq!(Record::decode(&record.encode()).unwrap(), record);
    let marks = Marks::default();
    for now in
        [Timestamp::MIN, record.created_at, record.last_seen_at, record.due_at, Timestamp::MAX]
    {
        let _ = standing(&record, &marks, &POLICY, now);
        let live = state(&record, &marks, &POLICY, now).is_live();
        let revoke = Command::Revoke { reason: Reason::SignedOut, actor: Actor::Subject };
        for command in [Command::Resume { passive: false }, Command::Expire, revoke] {
            let decision = decide(&record, &marks, command, &POLICY, now);
            assert_eq!(decision.is_ok(), live, "the dead are refused, and nobody else");
            if let Ok(Decision::Write(write)) = decision {
                assert_eq!(Record::decode(&write.record.encode()).unwrap(), *write.record);
            }
        }
    }
}

fn with_header(payload: &[u8]) -> Vec<u8> {
    let format = 1;
    let mut sum = crc32fast::Hasher::new();
    sum.update(&[format]);
    sum.update(payload);
    [b"SR".as_slice(), &[format], &sum.finalize().to_be_bytes(), payload].concat()
}

static POLICY: LazyLock<Policy> = LazyLock::new(Policy::default);
