//! TLS, with certificates made for the test: what is trusted and named right is let in, and nothing else.
//!
//! The server is given a certificate while this runs, by its superuser.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::fs;
use std::path::Path;

use common::{Schema, client, insert, realm, record, run, server_url, with_option};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use session_core::{SessionStore, StoreErrorKind};
use session_postgres::{PostgresOptions, PostgresStore};
use tokio_postgres::Config;

/// An authority.
fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// The server's settings are as before when this is dropped.
struct Certified;

impl Certified {
    /// Has the server show a certificate for `localhost`.
    fn by(authority: &CertifiedIssuer<'static, KeyPair>) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, authority).unwrap();
        run(async {
            let client = client().await;
            for (name, text) in [("crt", certificate.pem()), ("key", key.serialize_pem())] {
                let lines = text.replace('\n', "'), ('");
                let sql = format!(
                    "COPY (SELECT * FROM (VALUES ('{lines}')) t (line) WHERE line <> '') \
                     TO PROGRAM 'umask 077; cat > session_engine_test.{name}'"
                );
                client.batch_execute(&sql).await.unwrap();
            }
            let guard = Self;
            for sql in [
                "ALTER SYSTEM SET ssl_cert_file = 'session_engine_test.crt'",
                "ALTER SYSTEM SET ssl_key_file = 'session_engine_test.key'",
                "ALTER SYSTEM SET ssl = on",
                "SELECT pg_reload_conf()",
            ] {
                client.batch_execute(sql).await.unwrap();
            }
            // The server takes notice when it gets to it.
            loop {
                let fresh = common::client().await;
                let ssl: String = fresh.query_one("SHOW ssl", &[]).await.unwrap().get(0);
                if ssl == "on" {
                    return guard;
                }
            }
        })
    }
}

impl Drop for Certified {
    fn drop(&mut self) {
        run(async {
            let client = client().await;
            for sql in [
                "ALTER SYSTEM RESET ssl",
                "ALTER SYSTEM RESET ssl_cert_file",
                "ALTER SYSTEM RESET ssl_key_file",
                "SELECT pg_reload_conf()",
            ] {
                client.batch_execute(sql).await.unwrap();
            }
        });
    }
}

/// The server's URL with another name for its host, and with an authority.
fn url(host: &str, authority: &Path) -> String {
    let server: Config = server_url().parse().unwrap();
    let password = server.get_password().map_or("", |bytes| std::str::from_utf8(bytes).unwrap());
    format!(
        "postgres://{}:{password}@{host}:{}/{}?sslmode=verify-full&sslrootcert={}",
        server.get_user().unwrap(),
        server.get_ports().first().unwrap_or(&5432),
        server.get_dbname().unwrap_or("postgres"),
        authority.display(),
    )
}

#[test]
fn certificates_are_checked() {
    let directory = tempfile::tempdir().unwrap();
    let (ours, other) = (directory.path().join("ours.pem"), directory.path().join("other.pem"));
    let authority = self::authority();
    fs::write(&ours, authority.pem()).unwrap();
    fs::write(&other, self::authority().pem()).unwrap();
    let _certified = Certified::by(&authority);

    let schema = Schema::new();
    let named = with_option(&url("localhost", &ours), &format!("application_name={}", schema.name));
    let store = run(PostgresStore::open_with(&schema.options_of(&named))).unwrap();
    run(async {
        assert!(store.commit(&realm(), &insert(&record())).await.unwrap().is_applied());
        let sql = "SELECT bool_and(s.ssl), count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) \
                   WHERE a.application_name = $1";
        let row = client().await.query_one(sql, &[&schema.name]).await.unwrap();
        assert!(row.get::<_, bool>(0) && row.get::<_, i64>(1) > 0, "every connection is by TLS");
    });
    for (url, why) in [
        (url("localhost", &other), "an authority that did not sign it"),
        (url("127.0.0.1", &ours), "a name that is not in it"),
        // Of the system's authorities none has signed it, and nothing is sent in clear instead.
        (with_option(&server_url(), "sslmode=prefer"), "no authority"),
    ] {
        let error = run(PostgresStore::open_with(&schema.options_of(&url))).unwrap_err();
        let expected = [StoreErrorKind::Unavailable, StoreErrorKind::Invalid];
        assert!(expected.contains(&error.kind()), "{why}: {error}");
    }
    let plain = with_option(&server_url(), "sslmode=disable");
    run(PostgresStore::open_with(&schema.options_of(&plain))).unwrap();
}

#[test]
fn a_file_of_authorities_that_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let (missing, empty) =
        (directory.path().join("missing.pem"), directory.path().join("empty.pem"));
    fs::write(&empty, "").unwrap();
    for path in [missing, empty] {
        let options = PostgresOptions::new(&url("localhost", &path)).unwrap();
        let error = run(PostgresStore::open_with(&options)).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}
