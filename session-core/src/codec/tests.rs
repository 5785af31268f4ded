use proptest::prelude::*;

use super::*;
use crate::laws::any_record;

/// What format 1 has looked like from the first version on. It has to be read for ever.
const FORMAT_1: &str = "\
    535201dcf12cf7b20050a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1015820b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2\
    b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b20265616c696365036762726f7773657204816a6163636f756e7469\
    6e6705a3001a001b7740011a02932e00021a000493e006010702081b0000018bcfe56800091b0000018bcfe5\
    6be80a1b0000018bcfe56fd00b1b0000018bcfe573b80c81a30067706173736b65790102021b0000018bcfe5\
    6fd00d81a5006766696e616e6365010102a1001a000493e0031b0000018bcfe573b8041b0000018bcfe573b8\
    0e020fa300693139322e302e322e3701666375726c2f3802626431101b0000018bd000eaf811a50076656e64\
    65645f62795f61646d696e6973747261746f72016d6f70657261746f723a726f6f74021b0000018bcfe577a0\
    031b0000018bcfe57b88041b0000018bd79f0588";

fn golden() -> Record {
    let at = Timestamp::from_millis;
    let limits = Limits {
        idle_timeout: Some(Duration::from_secs(1_800)),
        absolute_timeout: Some(Duration::from_secs(43_200)),
        unclaimed_timeout: Some(Duration::from_secs(300)),
    };
    Record {
        subject: Some(Subject::new("alice").unwrap()),
        groups: vec![GroupName::new("accounting").unwrap()],
        epochs: Epochs { realm: 1, subject: 2 },
        activated_at: Some(at(1_700_000_001_000)),
        reauthenticated_at: Some(at(1_700_000_002_000)),
        last_seen_at: at(1_700_000_003_000),
        authentications: vec![Authentication::new("passkey", 2, at(1_700_000_002_000))],
        scopes: vec![ScopeEntry {
            name: ScopeName::new("finance").unwrap(),
            slot: 1,
            limits: Limits { idle_timeout: Some(Duration::from_secs(300)), ..Limits::NONE },
            entered_at: at(1_700_000_003_000),
            last_seen_at: at(1_700_000_003_000),
        }],
        next_slot: 2,
        client: Client::default().with_address("192.0.2.7").with_agent("curl/8").with_device("d1"),
        due_at: at(1_700_001_803_000),
        end: Some(End {
            reason: Reason::EndedByAdministrator,
            actor: Actor::Operator(Subject::new("root").unwrap()),
            at: at(1_700_000_004_000),
            observed_at: at(1_700_000_005_000),
            purge_at: at(1_700_129_605_000),
        }),
        ..Record::new(
            SessionId::from_bytes([0xa1; 16]),
            SecretHash::from_bytes([0xb2; 32]),
            ClassName::new("browser").unwrap(),
            limits,
            at(1_700_000_000_000),
        )
    }
}

fn plain() -> Record {
    let record = golden();
    Record {
        groups: Vec::new(),
        epochs: Epochs::default(),
        reauthenticated_at: None,
        scopes: Vec::new(),
        next_slot: 1,
        client: Client::default(),
        end: None,
        ..record
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn enveloped(format: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.push(format);
    bytes.extend(checksum(format, payload).to_be_bytes());
    bytes.extend(payload);
    bytes
}

fn kind(bytes: &[u8]) -> StoreErrorKind {
    Record::decode(bytes).unwrap_err().kind()
}

#[test]
fn format_1_is_read_for_ever() {
    assert_eq!(Record::decode(&unhex(FORMAT_1)).unwrap(), golden());
    let hex: String = golden().encode().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, FORMAT_1);
}

#[test]
fn secrets_before_and_after_are_kept() {
    let rotation = Rotation {
        generation: 3,
        rotated_at: Some(Timestamp::from_millis(1)),
        pending: Some(Pending {
            secret: SecretHash::from_bytes([1; 32]),
            salt: Salt::from_bytes([2; 32]),
            minted_at: Timestamp::from_millis(2),
        }),
        previous: Some(Previous {
            secret: SecretHash::from_bytes([3; 32]),
            retired_at: Timestamp::from_millis(1),
        }),
    };
    let record = Record { rotation, ..golden() };
    assert_eq!(Record::decode(&record.encode()).unwrap(), record);
}

#[test]
fn a_plain_record_is_small() {
    let length = plain().encode().len();
    assert!(length <= 192, "{length} bytes");
}

#[test]
fn every_flipped_bit_and_every_cut_is_an_error() {
    for record in [plain(), golden()] {
        let bytes = record.encode();
        for cut in 0..bytes.len() {
            assert_eq!(kind(&bytes[..cut]), StoreErrorKind::Corrupt, "cut to {cut}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Record::decode(&bytes).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn a_format_of_the_future_is_not_taken_for_damage() {
    let bytes = enveloped(2, b"whatever it may be");
    let error = Record::decode(&bytes).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unsupported);
    assert_eq!(
        error.to_string(),
        "stored data is of an unknown format: a record is of format 2, and only 1 is known"
    );
}

#[test]
fn what_follows_a_record_is_an_error() {
    let mut bytes = plain().encode();
    bytes.push(0);
    assert_eq!(kind(&bytes), StoreErrorKind::Corrupt);
    let mut payload = plain().encode()[HEADER..].to_vec();
    payload.push(0);
    let error = Record::decode(&enveloped(FORMAT, &payload)).unwrap_err();
    assert_eq!(error.to_string(), "stored data is corrupt: something follows a record");
}

#[test]
fn fields_of_the_future_are_passed_over() {
    let mut payload = plain().encode()[HEADER..].to_vec();
    assert!((0xa0..0xb7).contains(&payload[0]), "a map of fewer than 23 fields");
    payload[0] += 1;
    payload.extend([0x18, 99, 0x82, 0x61, b'x', 0xf6]);
    assert_eq!(Record::decode(&enveloped(FORMAT, &payload)).unwrap(), plain());
}

#[test]
fn names_are_checked() {
    let bytes = golden().encode();
    let words: [(&[u8], &[u8]); 6] = [
        (b"alice", b"ali\0e"),
        (b"browser", b"br/wser"),
        (b"accounting", b"acc unting"),
        (b"finance", b"fin\nnce"),
        (b"ended_by_administrator", b"ended by administrator"),
        (b"operator:root", b"operator/root"),
    ];
    for (word, hostile) in words {
        let mut payload = bytes[HEADER..].to_vec();
        let at = payload.windows(word.len()).position(|window| window == word).unwrap();
        payload[at..at + word.len()].copy_from_slice(hostile);
        assert_eq!(kind(&enveloped(FORMAT, &payload)), StoreErrorKind::Corrupt, "{hostile:?}");
    }
}

#[test]
fn promised_lengths_reserve_nothing() {
    // A list of groups that claims to hold 2^63 of them, and a map that claims as many fields.
    for payload in [
        &[0xa1, 0x04, 0x9b, 0x80, 0, 0, 0, 0, 0, 0, 0][..],
        &[0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0xa1, 0x02, 0x7b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    ] {
        assert_eq!(kind(&enveloped(FORMAT, payload)), StoreErrorKind::Corrupt);
    }
}

#[test]
fn durations_saturate() {
    let mut record = plain();
    record.limits.idle_timeout = Some(Duration::MAX);
    let read = Record::decode(&record.encode()).unwrap();
    assert_eq!(read.limits.idle_timeout, Some(Duration::from_millis(u64::MAX)));
}

proptest! {
    #[test]
    fn any_record_comes_back(record in any_record()) {
        prop_assert_eq!(Record::decode(&record.encode()).unwrap(), record);
    }

    #[test]
    fn damage_is_never_another_record(
        record in any_record(),
        at in any::<prop::sample::Index>(),
        mask in 1..=u8::MAX,
    ) {
        let mut bytes = record.encode();
        let at = at.index(bytes.len());
        bytes[at] ^= mask;
        prop_assert!(Record::decode(&bytes).is_err());
    }

    #[test]
    fn any_bytes_are_answered(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        record in any_record(),
        at in any::<prop::sample::Index>(),
        mask in any::<u8>(),
    ) {
        let _ = Record::decode(&bytes);
        let _ = Record::decode(&enveloped(FORMAT, &bytes));
        let mut payload = record.encode()[HEADER..].to_vec();
        let at = at.index(payload.len());
        payload[at] ^= mask;
        let _ = Record::decode(&enveloped(FORMAT, &payload));
    }
}
