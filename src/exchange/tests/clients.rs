//! What a session keeps of the client that signed in.

use super::*;
use crate::client::ClientConfig;

fn gate(proxies: &str) -> Gate {
    let sessions = Sessions::new(Arc::new(MemoryStore::new()), session_core::Policy::default());
    let config = ClientConfig::new(proxies.parse().unwrap());
    Gate::new(sessions, CookieConfig::new()).with_client(config)
}

fn signed_in(exchange: &Exchange, login: Login) -> Session {
    pollster::block_on(async {
        let ticket = exchange.begin_login(&Subject::new("alice").unwrap()).await.unwrap();
        let outcome = exchange.login(&ticket, login, &[]).await.unwrap();
        outcome.issued().unwrap().session
    })
}

const HEADERS: [(&str, &[u8]); 2] =
    [("User-Agent", b"curl/8.14.1"), ("X-Forwarded-For", b"6.6.6.6, 2001:db8::7")];

#[test]
fn a_login_keeps_network_and_agent_as_the_proxies_tell_them() {
    let exchange = gate("x-forwarded-for hops=1").begin_from(Some([10, 0, 0, 1].into()), HEADERS);
    let seen = exchange.seen().unwrap();
    assert_eq!(seen.address, Some("2001:db8::7".parse().unwrap()));
    let client = signed_in(&exchange, Login::new("password")).client().clone();
    assert_eq!(client.address.as_deref(), Some("2001:db8::/64"));
    assert_eq!(client.agent.as_deref(), Some("curl/8.14.1"));
    assert_eq!(client.device.is_some(), cfg!(feature = "risk"));
}

#[test]
fn without_trust_the_address_is_the_connections() {
    let exchange = gate("none").begin_from(Some([192, 0, 2, 1].into()), HEADERS);
    let client = signed_in(&exchange, Login::new("password")).client().clone();
    assert_eq!(client.address.as_deref(), Some("192.0.2.1"));
}

#[test]
fn what_the_application_says_of_a_client_stands() {
    let exchange = gate("none").begin_from(Some([192, 0, 2, 1].into()), HEADERS);
    let own = session_core::Client::default().with_device("till 7");
    let client = signed_in(&exchange, Login::new("password").client(own.clone())).client().clone();
    assert_eq!(client, own);
}

#[test]
fn a_gate_that_does_not_look_sees_nothing() {
    let sessions = Sessions::new(Arc::new(MemoryStore::new()), session_core::Policy::default());
    let gate = Gate::new(sessions, CookieConfig::new());
    let exchange = gate.begin_from(Some([192, 0, 2, 1].into()), HEADERS);
    assert!(exchange.seen().is_none());
    assert!(signed_in(&exchange, Login::new("password")).client().is_empty());
}

#[cfg(feature = "pseudonyms")]
#[test]
fn a_database_of_pseudonyms_holds_no_address() {
    use crate::client::Pseudonyms;

    let config = ClientConfig::default().pseudonyms(Pseudonyms::new("k1", &[7; 32]).unwrap());
    let gate = gate("none").with_client(config);
    let exchange = gate.begin_from(Some([192, 0, 2, 1].into()), HEADERS);
    let session = signed_in(&exchange, Login::new("password"));
    let kept = format!("{:?}", session.record());
    assert!(kept.contains("hmac:k1:") && !kept.contains("192.0.2") && !kept.contains("curl"));
}
