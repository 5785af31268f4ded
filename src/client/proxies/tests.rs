use proptest::prelude::*;

use super::*;

fn ask(proxies: &str, peer: &str, fields: &[&str]) -> String {
    let proxies: Proxies = proxies.parse().unwrap();
    let fields: Vec<_> = fields.iter().map(|field| field.as_bytes()).collect();
    let peer = (!peer.is_empty()).then(|| peer.parse().unwrap());
    proxies.client(peer, &fields).map_or_else(|| "nobody".into(), |client| client.to_string())
}

#[test]
fn without_trust_no_header_counts() {
    assert_eq!(ask("none", "192.0.2.1", &["203.0.113.9"]), "192.0.2.1");
    assert_eq!(ask("none", "::ffff:192.0.2.1", &[]), "192.0.2.1");
    assert_eq!(ask("none", "", &["203.0.113.9"]), "nobody");
}

#[test]
fn hops_are_counted_from_the_right() {
    for (hops, fields, client) in [
        (1, &["203.0.113.9"][..], "203.0.113.9"),
        (1, &["6.6.6.6, 203.0.113.9"], "203.0.113.9"),
        (1, &["6.6.6.6", "203.0.113.9"], "203.0.113.9"),
        (2, &["6.6.6.6, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        (2, &["6.6.6.6, 203.0.113.9", "10.0.0.2"], "203.0.113.9"),
        (1, &["203.0.113.9:4711"], "203.0.113.9"),
        (1, &["[2001:db8::1]:4711"], "2001:db8::1"),
        (1, &["2001:db8::1"], "2001:db8::1"),
        (1, &["::ffff:203.0.113.9"], "203.0.113.9"),
    ] {
        let told = ask(&format!("x-forwarded-for hops={hops}"), "10.0.0.1", fields);
        assert_eq!(told, client, "{hops} {fields:?}");
    }
}

#[test]
fn what_is_not_known_for_sure_is_not_guessed() {
    for (hops, fields, client) in [
        (1, &[][..], "10.0.0.1"),
        (2, &["203.0.113.9"], "10.0.0.1"),
        (1, &["unknown"], "10.0.0.1"),
        (1, &["203.0.113.9, "], "10.0.0.1"),
        (1, &["203.0.113.9, _hidden"], "10.0.0.1"),
        (2, &["6.6.6.6, unknown, 10.0.0.2"], "10.0.0.2"),
        (1, &["203.0.113.9, 1.2.3"], "10.0.0.1"),
        (1, &["203.0.113.9, 999.1.1.1"], "10.0.0.1"),
        (1, &["203.0.113.9:"], "10.0.0.1"),
        (1, &["[2001:db8::1"], "10.0.0.1"),
        (1, &["[203.0.113.9]"], "10.0.0.1"),
    ] {
        let told = ask(&format!("x-forwarded-for hops={hops}"), "10.0.0.1", fields);
        assert_eq!(told, client, "{hops} {fields:?}");
    }
}

#[test]
fn networks_are_walked_from_the_right_and_nobody_else_is_believed() {
    let trust = "x-forwarded-for networks=10.0.0.0/8,fd00::/8,192.0.2.1";
    for (peer, fields, client) in [
        ("203.0.113.9", &["6.6.6.6"][..], "203.0.113.9"),
        ("10.0.0.1", &["6.6.6.6, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", &["6.6.6.6, 203.0.113.9, 10.9.9.9, fd00::7"], "203.0.113.9"),
        ("::ffff:10.0.0.1", &["203.0.113.9, ::ffff:10.2.3.4"], "203.0.113.9"),
        ("192.0.2.1", &["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", &["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
        ("10.0.0.1", &["6.6.6.6, unknown, 10.2.2.2"], "10.2.2.2"),
        ("10.0.0.1", &[], "10.0.0.1"),
        ("", &["203.0.113.9"], "nobody"),
    ] {
        assert_eq!(ask(trust, peer, fields), client, "{peer} {fields:?}");
    }
}

#[test]
fn forwarded_is_read_as_the_standard_says() {
    for (fields, client) in [
        (&["for=203.0.113.9"][..], "203.0.113.9"),
        (&["For=\"203.0.113.9:4711\"; proto=https;by=10.0.0.1"], "203.0.113.9"),
        (&["for=6.6.6.6, for=\"[2001:db8::17]:4711\""], "2001:db8::17"),
        (&["for=6.6.6.6", "proto=https ; FOR=203.0.113.9"], "203.0.113.9"),
        (&["by=\"a,b;c\\\"d\";for=203.0.113.9"], "203.0.113.9"),
        (&["for=6.6.6.6,, for=203.0.113.9,"], "203.0.113.9"),
        // Hidden, unknown, doubled or none at all: not known for sure.
        (&["for=6.6.6.6, for=unknown"], "10.0.0.1"),
        (&["for=6.6.6.6, for=\"_hidden:_port\""], "10.0.0.1"),
        (&["for=6.6.6.6, proto=https"], "10.0.0.1"),
        (&["for=6.6.6.6;for=7.7.7.7"], "10.0.0.1"),
        // Broken by whoever wrote the left part: nothing of the field counts.
        (&["for=\"6.6.6.6, for=203.0.113.9"], "10.0.0.1"),
        (&["for=\"x, for=\"[2001:db8::17]\""], "10.0.0.1"),
        (&["for=6.6.6.6 for=203.0.113.9"], "10.0.0.1"),
        (&["6.6.6.6"], "10.0.0.1"),
    ] {
        assert_eq!(ask("forwarded hops=1", "10.0.0.1", fields), client, "{fields:?}");
    }
}

#[test]
fn a_field_that_is_no_text_counts_as_hidden() {
    let proxies: Proxies = "x-forwarded-for hops=1".parse().unwrap();
    let peer = Some([10, 0, 0, 1].into());
    assert_eq!(proxies.client(peer, &[b"6.6.6.6", b"\xff"]), peer);
    let told = proxies.client(peer, &[b"\xff, 203.0.113.9"]);
    assert_eq!(told, Some([203, 0, 113, 9].into()), "but what stands beside it counts");
}

#[test]
fn a_text_is_read_and_written() {
    for text in [
        "none",
        "forwarded hops=3",
        "x-forwarded-for hops=1",
        "x-forwarded-for networks=10.0.0.0/8,fd00::/8,192.0.2.1/32",
    ] {
        assert_eq!(text.parse::<Proxies>().unwrap().to_string(), text);
    }
    for (text, error) in [
        ("", ProxiesError::Form),
        ("none hops=1", ProxiesError::Form),
        ("x-real-ip hops=1", ProxiesError::Form),
        ("forwarded", ProxiesError::Form),
        ("forwarded hops=1 networks=::/0", ProxiesError::Form),
        ("forwarded hops=0", ProxiesError::Hops("0".into())),
        ("forwarded hops=many", ProxiesError::Hops("many".into())),
        ("forwarded networks=", ProxiesError::Network(String::new())),
        ("forwarded networks=10.0.0.0/8,here", ProxiesError::Network("here".into())),
        ("forwarded networks=0.0.0.0/0", ProxiesError::Everybody),
        ("forwarded networks=fd00::/8,::/0", ProxiesError::Everybody),
        (
            "forwarded networks=::ffff:10.0.0.0/104",
            ProxiesError::Mapped("::ffff:10.0.0.0/104".into()),
        ),
    ] {
        assert_eq!(text.parse::<Proxies>(), Err(error), "{text}");
    }
}

proptest! {
    /// What a client writes to the left of what the proxy appends never matters, whatever it is, in a field of its own.
    #[test]
    fn nobody_chooses_his_address(forged in any::<Vec<u8>>(), header in 0..2_u8) {
        let (name, appended) = if header == 0 {
            ("forwarded", b"for=203.0.113.9".as_slice())
        } else {
            ("x-forwarded-for", b"203.0.113.9".as_slice())
        };
        let peer = Some([10, 0, 0, 1].into());
        for trust in ["hops=1", "networks=10.0.0.0/8"] {
            let proxies: Proxies = format!("{name} {trust}").parse().unwrap();
            prop_assert_eq!(proxies.client(peer, &[&forged, appended]), Some([203, 0, 113, 9].into()));
        }
    }

    /// In the same field he may at worst hide behind the proxy, and never be somebody else.
    #[test]
    fn nobody_is_somebody_else_in_one_field(forged in any::<Vec<u8>>()) {
        let (client, peer) = (Some([203, 0, 113, 9].into()), Some([10, 0, 0, 1].into()));
        let proxies: Proxies = "forwarded hops=1".parse().unwrap();
        let told = proxies.client(peer, &[&[&forged, b", for=203.0.113.9".as_slice()].concat()]);
        prop_assert!(told == peer || told == client, "{:?}", told);
        let proxies: Proxies = "x-forwarded-for hops=1".parse().unwrap();
        let told = proxies.client(peer, &[&[&forged, b", 203.0.113.9".as_slice()].concat()]);
        prop_assert_eq!(told, client, "without quotes nobody hides");
    }
}
