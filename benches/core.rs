//! What the pure core costs: no I/O in any of these.
#![expect(clippy::unwrap_used, reason = "the inputs are fixed and right")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use session_core::lifecycle::{self, Command};
use session_core::{
    Actor, ClassName, Marks, Policy, Realm, Reason, Record, SessionId, SessionToken, Subject,
    SystemRandom, Timestamp,
};

criterion_group!(core, token, lifecycle, record);
criterion_main!(core);

fn token(c: &mut Criterion) {
    let id = SessionId::new(NOW, &SystemRandom).unwrap();
    let token = SessionToken::new(id, &SystemRandom).unwrap();
    let text = token.expose();
    let realm = Realm::default();
    let hash = token.hash(&realm);

    c.bench_function("token: parse, hash and compare", |b| {
        b.iter(|| SessionToken::parse(black_box(&text)).unwrap().hash(&realm) == hash);
    });
    c.bench_function("token: parse", |b| b.iter(|| SessionToken::parse(black_box(&text))));
    c.bench_function("token: expose", |b| b.iter(|| black_box(&token).expose()));
    c.bench_function("token: make", |b| b.iter(|| SessionToken::new(id, &SystemRandom)));
    c.bench_function("id: make", |b| b.iter(|| SessionId::new(NOW, &SystemRandom)));
}

fn lifecycle(c: &mut Criterion) {
    let policy = Policy::default();
    let marks = Marks::default();
    let record = active(&policy);

    c.bench_function("lifecycle: state", |b| {
        b.iter(|| lifecycle::state(black_box(&record), &marks, &policy, NOW));
    });
    c.bench_function("lifecycle: decide a resume, nothing due", |b| {
        let resume = Command::Resume { passive: false };
        b.iter(|| lifecycle::decide(black_box(&record), &marks, resume.clone(), &policy, NOW));
    });
    c.bench_function("lifecycle: decide a revocation", |b| {
        let revoke = Command::Revoke { reason: Reason::SignedOut, actor: Actor::Subject };
        b.iter(|| lifecycle::decide(black_box(&record), &marks, revoke.clone(), &policy, NOW));
    });
}

fn record(c: &mut Criterion) {
    let record = active(&Policy::default());
    let bytes = record.encode();

    c.bench_function("record: encode", |b| b.iter(|| black_box(&record).encode()));
    c.bench_function("record: decode", |b| b.iter(|| Record::decode(black_box(&bytes))));
}

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// An active session of a subject, seen just now.
fn active(policy: &Policy) -> Record {
    let id = SessionId::new(NOW, &SystemRandom).unwrap();
    let secret = SessionToken::new(id, &SystemRandom).unwrap().hash(&Realm::default());
    let class = ClassName::new("browser").unwrap();
    let limits = policy.limits(&class, &[]);
    let mut record = Record::new(id, secret, class, limits, NOW);
    record.subject = Some(Subject::new("alice").unwrap());
    record.activated_at = Some(NOW);
    record
}
