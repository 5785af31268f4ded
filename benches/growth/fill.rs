//! Many sessions at once: what their logins would have written, in big batches.

use std::collections::HashMap;
use std::sync::Arc;

use session_engine::lifecycle::{self, Command};
use session_engine::{
    Actor, Authentication, Change, ChangeId, ClassName, Client, Data, DataError, EncodedData,
    Event, EventKind, Fence, Marks, Policy, Reason, Record, SessionStore, Sessions, Subject,
    SystemRandom, Timestamp,
};
use tokio::task::JoinSet;

use crate::Failure;
use crate::population::{ABSOLUTE, CHUNK, Fate, IDLE, Member, Population};

/// Fills the store until it holds so many sessions. How many a second: none if there was nothing to do.
pub(crate) async fn fill(
    store: &Arc<dyn SessionStore>,
    sessions: &Sessions,
    population: &mut Population,
    size: u64,
) -> Result<Option<f64>, Failure> {
    let (started, before) = (crate::figures::now(), population.size);
    let mut lanes = JoinSet::new();
    let mut chunks = (before / CHUNK..size / CHUNK).map(|chunk| chunk * CHUNK);
    loop {
        while lanes.len() < LANES
            && let Some(from) = chunks.next()
        {
            lanes.spawn(fill_chunk(Arc::clone(store), sessions.clone(), from));
        }
        let Some(filled) = lanes.join_next().await else { break };
        filled??;
        population.size += CHUNK;
        if population.size.is_multiple_of(CHUNK * 10) {
            let rate = rate(population.size - before, started.elapsed().as_secs_f64());
            eprintln!("  {} sessions, {rate:.0} a second", population.size);
        }
    }
    let filled = population.size - before;
    Ok((filled > 0).then(|| rate(filled, started.elapsed().as_secs_f64())))
}

/// Chunks have no subject in common, so that a server may take several at once.
const LANES: usize = 4;

const BATCH: u64 = 1_000;

async fn fill_chunk(
    store: Arc<dyn SessionStore>,
    sessions: Sessions,
    from: u64,
) -> Result<(), Failure> {
    let mut filling = Filling::new(&sessions)?;
    for from in (from..from + CHUNK).step_by(usize::try_from(BATCH)?) {
        let changes = filling.changes(from..from + BATCH)?;
        let outcomes = store.commit_each(sessions.realm(), &changes).await?;
        if let Some(conflict) = outcomes.iter().find(|outcome| !outcome.is_applied()) {
            return Err(format!("the store is not empty: {conflict:?}").into());
        }
    }
    Ok(())
}

fn rate(filled: u64, seconds: f64) -> f64 {
    filled as f64 / seconds
}

struct Filling<'a> {
    sessions: &'a Sessions,
    policy: Arc<Policy>,
    class: ClassName,
    data: EncodedData,
    fences: HashMap<Subject, u64>,
}

impl<'a> Filling<'a> {
    fn new(sessions: &'a Sessions) -> Result<Self, Failure> {
        let policy = sessions.policy();
        let data = data(&policy)?;
        let class = ClassName::new("browser")?;
        Ok(Self { sessions, policy, class, data, fences: HashMap::new() })
    }

    fn changes(&mut self, numbers: std::ops::Range<u64>) -> Result<Vec<Change>, Failure> {
        let mut changes = Vec::new();
        for number in numbers {
            let member = Member::of(number)?;
            let record = self.record(&member);
            let version = self.fences.entry(member.subject.clone()).or_default();
            let fence = Fence { subject: member.subject.clone(), version: *version };
            *version += 1;
            let login = Change::new(ChangeId::new(&SystemRandom)?)
                .insert_fenced(record.clone(), Some(self.data.clone()), &fence)
                .event(self.event(EventKind::Issued, &record))
                .event(self.event(EventKind::LoggedIn, &record));
            changes.push(login);
            if member.fate == Fate::Ended {
                changes.push(self.end(&record)?);
            }
        }
        Ok(changes)
    }

    fn record(&self, member: &Member) -> Record {
        let limits = self.policy.limits(&self.class, &[]);
        let secret = member.token.hash(self.sessions.realm());
        let created = member.created_at;
        let mut record = Record::new(member.id, secret, self.class.clone(), limits, created);
        record.subject = Some(member.subject.clone());
        record.activated_at = Some(created);
        record.last_seen_at = member.last_seen_at;
        record.authentications.push(Authentication::new("password", 1, created));
        record.client = Client::default().with_address("192.0.2.7").with_agent(AGENT);
        record.due_at = (member.last_seen_at + IDLE).min(created + ABSOLUTE);
        record
    }

    fn event(&self, kind: EventKind, record: &Record) -> Event {
        let event = Event {
            session: Some(record.id),
            subject: record.subject.clone(),
            purge_at: record.created_at + self.policy.event_retention(),
            ..Event::new(kind, Actor::Subject, record.created_at)
        };
        event
            .with_detail("class", record.class.as_str())
            .with_detail("method", "password")
            .with_detail("address", "192.0.2.7")
            .with_detail("agent", AGENT)
    }

    fn end(&self, record: &Record) -> Result<Change, Failure> {
        let at: Timestamp = record.last_seen_at;
        let revoke = Command::Revoke { reason: Reason::SignedOut, actor: Actor::Subject };
        match lifecycle::decide(record, &Marks::default(), revoke, &self.policy, at) {
            Ok(lifecycle::Decision::Write(end)) => {
                Ok(end.into_change(Change::new(ChangeId::new(&SystemRandom)?), 1))
            }
            other => Err(format!("a live session is not revoked: {other:?}").into()),
        }
    }
}

const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// 256 bytes of JSON.
fn data(policy: &Policy) -> Result<EncodedData, DataError> {
    let mut data = Data::default();
    data.set("language", "en")?;
    data.set("cart", [1, 2, 3])?;
    let rest = 256 - data.encode(policy.data_limits())?.as_str().len() - r#","note":"""#.len();
    data.set("note", "x".repeat(rest))?;
    data.encode(policy.data_limits())
}
