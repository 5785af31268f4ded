//! Carries a trace out on one record, as the engine and a store would, and tells each moment of it.

use std::time::Duration;

use proptest::test_runner::TestCaseResult;

use super::oracle;
use super::trace::{Act, Pause, Step, Trace};
use crate::lifecycle::{Command, Decision, Ended, Write, decide, due_at};
use crate::policy::default_touch_interval;
use crate::store::Touch;
use crate::{
    Actor, Authentication, Class, ClassName, Epochs, GroupName, Limits, Mark, Marks, Policy, Raise,
    RaiseLog, Reason, Record, Salt, ScopeName, SecretHash, SessionId, Subject, Timestamp,
};

/// One session, and the world that it lives in.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) record: Record,
    pub(crate) policy: Policy,
    pub(crate) now: Timestamp,
    /// The policy has become stricter since the record was written.
    pub(crate) tightened: bool,
    original: Policy,
    version: u64,
    realm: RaiseLog,
    subject: RaiseLog,
    epochs: Epochs,
    secrets: u8,
    pending: Option<Pending>,
}

/// Something decided and not carried out yet.
#[derive(Clone, Debug)]
struct Pending {
    command: Command,
    act: Pended,
}

#[derive(Clone, Debug)]
enum Pended {
    Touch(Touch),
    Reschedule(Timestamp, u64),
    Write(Write, u64),
}

/// A moment of a life: something was asked, or carried out, or the world changed.
#[derive(Debug)]
pub(crate) struct Moment<'a> {
    /// As everything is now.
    pub(crate) life: &'a Life,
    /// The record before.
    pub(crate) before: &'a Record,
    /// The marks before.
    pub(crate) marks: &'a Marks,
    /// What was asked of the session.
    pub(crate) command: Option<&'a Command>,
    /// What the rules said, if they were asked in this moment.
    pub(crate) answer: Option<&'a Result<Decision, Box<Ended>>>,
    /// Whether the answer is to be carried out later.
    pub(crate) pending: bool,
}

/// Lives a trace through, and shows every moment of it.
pub(crate) fn live(
    policy: &Policy,
    trace: &Trace,
    mut watch: impl FnMut(&Moment<'_>) -> TestCaseResult,
) -> TestCaseResult {
    let mut life = Life::new(policy, trace);
    let born = Moment {
        before: &life.record.clone(),
        marks: &life.marks(),
        life: &life,
        command: None,
        answer: None,
        pending: false,
    };
    watch(&born)?;
    for step in &trace.steps {
        life.step(step, &mut watch)?;
    }
    life.carry_out_pending(&mut watch)
}

impl Life {
    pub(crate) fn new(policy: &Policy, trace: &Trace) -> Self {
        let class = policy.classes().map(|(name, _)| name.clone()).nth(trace.class);
        let class = class.unwrap_or_else(|| known(ClassName::new("no-longer-named")));
        let groups = groups(policy, &trace.groups);
        let limits = policy.limits(&class, &groups);
        let id = SessionId::from_bytes([1; 16]);
        let secret = SecretHash::from_bytes([0; 32]);
        let mut record = Record::new(id, secret, class, limits, trace.start);
        record.groups = groups;
        if !trace.anonymous {
            record.subject = Some(known(Subject::new("alice")));
            record.authentications.push(Authentication::new("password", 1, trace.start));
        }
        record.due_at = due_at(&record, policy);
        Self {
            record,
            policy: policy.clone(),
            now: trace.start,
            tightened: false,
            original: policy.clone(),
            version: 1,
            realm: RaiseLog::default(),
            subject: RaiseLog::default(),
            epochs: Epochs::default(),
            secrets: 0,
            pending: None,
        }
    }

    /// The marks as a load of the record would find them.
    pub(crate) fn marks(&self) -> Marks {
        let mark = |epoch, log: &RaiseLog, issued_under| Mark {
            version: epoch,
            epoch,
            stamp: None,
            raise: log.first_above(issued_under).cloned(),
        };
        Marks {
            realm: mark(self.epochs.realm, &self.realm, self.record.epochs.realm),
            subject: mark(self.epochs.subject, &self.subject, self.record.epochs.subject),
        }
    }

    /// The marks as a load would find them if both had been raised, at these instants.
    pub(crate) fn marks_raised(&self, realm: Timestamp, subject: Timestamp) -> Marks {
        let Epochs { realm: realm_epoch, subject: subject_epoch } = self.record.epochs;
        let mark = |epoch: u64, reason, at| {
            let raise = Raise { epoch: epoch + 1, reason, actor: Actor::System, at };
            Mark { version: epoch + 1, epoch: epoch + 1, stamp: None, raise: Some(raise) }
        };
        Marks {
            realm: mark(realm_epoch, Reason::EveryoneRevoked, realm),
            subject: mark(subject_epoch, Reason::CredentialsChanged, subject),
        }
    }

    fn step(
        &mut self,
        step: &Step,
        watch: &mut impl FnMut(&Moment<'_>) -> TestCaseResult,
    ) -> TestCaseResult {
        self.pass(step.pause);
        let overtaken = self.pending.take();
        let before = self.record.clone();
        let marks = self.marks();
        match self.command(&step.act) {
            Some(command) => self.ask(&command, step.overtaken, watch)?,
            None => {
                self.change_world(&step.act);
                let (command, answer) = (None, None);
                watch(&Moment {
                    life: self,
                    before: &before,
                    marks: &marks,
                    command,
                    answer,
                    pending: false,
                })?;
            }
        }
        if let Some(overtaken) = overtaken {
            self.carry_out(&overtaken, watch)?;
        }
        Ok(())
    }

    pub(crate) fn pass(&mut self, pause: Pause) {
        let shift = |at: Timestamp, millis: i64| {
            Timestamp::from_millis(at.as_millis().saturating_add(millis))
        };
        let share = |of: u32, whole: Duration| {
            let millis = whole.as_millis().min(u128::from(u64::MAX)) * u128::from(of) / 1_000;
            Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
        };
        self.now = match pause {
            Pause::None => self.now,
            Pause::Forward(time) => self.now + time,
            Pause::Back(time) => self.now - time,
            Pause::Share(thousandths) => {
                let left = oracle::first_deadline(&self.record, &self.policy).since(self.now);
                self.now + share(thousandths, left)
            }
            Pause::Idle(by) => oracle::idle_deadline(&self.record, &self.policy)
                .map_or(self.now, |at| shift(at, by)),
            Pause::Absolute(by) => shift(oracle::absolute_deadline(&self.record, &self.policy), by),
            Pause::TouchInterval(by) => {
                let interval = self.policy.class(&self.record.class).touch_interval;
                shift(self.record.last_seen_at + interval, by)
            }
        };
    }

    /// The command that an act is, or `None` if it concerns the world.
    pub(crate) fn command(&mut self, act: &Act) -> Option<Command> {
        let now = self.now;
        let subject = self.record.subject.is_some();
        Some(match act {
            Act::Resume { passive } => Command::Resume { passive: *passive },
            Act::Check => Command::Check,
            Act::Update => Command::Update,
            Act::Rotate => Command::Rotate { secret: self.secret() },
            Act::Mint => {
                Command::Mint { secret: self.secret(), salt: Salt::from_bytes([self.secrets; 32]) }
            }
            Act::Promote => Command::Promote,
            Act::Reuse => Command::Reuse,
            Act::StepUp => Command::StepUp {
                authentication: Authentication::new("otp", 2, now),
                secret: self.secret(),
            },
            Act::Reauthenticate { groups: picked } => Command::Reauthenticate {
                authentication: Authentication::new("passkey", 2, now),
                secret: self.secret(),
                groups: groups(&self.policy, picked),
            },
            Act::EnterScope(pick) => Command::EnterScope { scope: self.scope(*pick) },
            Act::TouchScope(pick) => Command::TouchScope { scope: self.scope(*pick) },
            Act::Expire => Command::Expire,
            Act::Revoke(reason) => {
                Command::Revoke { reason: reason.clone(), actor: Actor::Subject }
            }
            Act::RaiseSubject { keep: true, skew } if subject => Command::Restamp {
                epochs: Epochs { realm: self.record.epochs.realm, ..self.raised_subject() },
                secret: (*skew > 0).then(|| self.secret()),
            },
            _ => return None,
        })
    }

    fn secret(&mut self) -> SecretHash {
        self.secrets = self.secrets.wrapping_add(1);
        SecretHash::from_bytes([self.secrets; 32])
    }

    fn raised_subject(&self) -> Epochs {
        Epochs { subject: self.epochs.subject + 1, ..self.epochs }
    }

    fn scope(&self, pick: usize) -> ScopeName {
        let named = self.original.scopes().map(|(name, _)| name.clone()).nth(pick);
        named.unwrap_or_else(|| known(ScopeName::new("no-such-scope")))
    }

    fn ask(
        &mut self,
        command: &Command,
        overtaken: bool,
        watch: &mut impl FnMut(&Moment<'_>) -> TestCaseResult,
    ) -> TestCaseResult {
        let before = self.record.clone();
        let marks = self.marks();
        let answer = decide(&before, &marks, command.clone(), &self.policy, self.now);
        let act = match &answer {
            Ok(Decision::Nothing) => None,
            Ok(Decision::Touch(touch)) => Some(Pended::Touch(*touch)),
            Ok(Decision::Reschedule(at)) => Some(Pended::Reschedule(*at, self.version)),
            Ok(Decision::Write(write)) => Some(Pended::Write(write.clone(), self.version)),
            Err(ended) => {
                ended.tombstone.clone().map(|tombstone| Pended::Write(tombstone, self.version))
            }
        };
        let raise = matches!(command, Command::Restamp { .. });
        // The raise and the new stamp are one commit.
        let pending = overtaken && !raise && act.is_some();
        if raise {
            self.raise(true, 0);
        }
        if pending {
            let command = command.clone();
            self.pending = act.map(|act| Pending { command, act });
        } else if let Some(act) = act {
            self.apply(&act);
        }
        watch(&Moment {
            life: self,
            before: &before,
            marks: &marks,
            command: Some(command),
            answer: Some(&answer),
            pending,
        })
    }

    fn carry_out_pending(
        &mut self,
        watch: &mut impl FnMut(&Moment<'_>) -> TestCaseResult,
    ) -> TestCaseResult {
        match self.pending.take() {
            Some(pending) => self.carry_out(&pending, watch),
            None => Ok(()),
        }
    }

    fn carry_out(
        &mut self,
        pending: &Pending,
        watch: &mut impl FnMut(&Moment<'_>) -> TestCaseResult,
    ) -> TestCaseResult {
        let before = self.record.clone();
        let marks = self.marks();
        let tightened = self.tightened;
        self.apply(&pending.act);
        // What was decided before the policy changed says nothing about the policy of now.
        self.tightened |= tightened;
        watch(&Moment {
            life: self,
            before: &before,
            marks: &marks,
            command: Some(&pending.command),
            answer: None,
            pending: false,
        })
    }

    /// What a store does.
    fn apply(&mut self, act: &Pended) {
        match act {
            Pended::Touch(touch) => {
                let seen = match touch.slot {
                    0 => Some(&mut self.record.last_seen_at),
                    slot => self
                        .record
                        .scopes
                        .iter_mut()
                        .find(|entry| entry.slot == slot)
                        .map(|entry| &mut entry.last_seen_at),
                };
                let live = self.record.end.is_none();
                if let Some(seen) =
                    seen.filter(|seen| live && touch.if_after < **seen && **seen <= touch.if_before)
                {
                    *seen = touch.seen_at.max(*seen);
                }
            }
            Pended::Reschedule(at, expected) => {
                if self.version == *expected && self.record.end.is_none() {
                    self.record.due_at = *at;
                }
            }
            Pended::Write(write, expected) => {
                let moved = write.decided_on.is_some_and(|seen| self.record.last_seen_at > seen);
                if self.version == *expected && !moved {
                    let old = std::mem::replace(&mut self.record, (*write.record).clone());
                    self.record.last_seen_at = self.record.last_seen_at.max(old.last_seen_at);
                    for entry in &mut self.record.scopes {
                        if let Some(known) = old.scopes.iter().find(|old| old.slot == entry.slot) {
                            entry.last_seen_at = entry.last_seen_at.max(known.last_seen_at);
                        }
                    }
                    self.version += 1;
                    self.tightened = false;
                }
            }
        }
    }

    fn change_world(&mut self, act: &Act) {
        let tightened = !matches!(act, Act::RaiseRealm { .. } | Act::RaiseSubject { .. });
        match act {
            Act::RaiseRealm { skew } => self.raise(false, *skew),
            Act::RaiseSubject { skew, .. } => self.raise(self.record.subject.is_some(), *skew),
            Act::Tighten(thousandths) => self.policy = tighten(&self.policy, *thousandths),
            Act::Loosen { drop } => self.policy = loosen(&self.policy, *drop),
            Act::ForgetClass => self.policy = without(&self.policy, &self.record.class),
            _ => self.policy = self.original.clone(),
        }
        self.tightened |= tightened;
    }

    fn raise(&mut self, subject: bool, skew: i64) {
        let at = Timestamp::from_millis(self.now.as_millis().saturating_add(skew));
        let raise = |epoch, reason| Raise { epoch, reason, actor: Actor::System, at };
        if subject {
            self.epochs.subject += 1;
            self.subject.push(raise(self.epochs.subject, Reason::CredentialsChanged));
        } else {
            self.epochs.realm += 1;
            self.realm.push(raise(self.epochs.realm, Reason::EveryoneRevoked));
        }
    }
}

fn known<T>(name: Result<T, crate::NameError>) -> T {
    match name {
        Ok(name) => name,
        Err(error) => unreachable!("the names of traces are names: {error}"),
    }
}

fn groups(policy: &Policy, picked: &[usize]) -> Vec<GroupName> {
    let unknown = || known(GroupName::new("no-such-group"));
    let name =
        |pick: &usize| policy.groups().nth(*pick).map_or_else(unknown, |(name, _)| name.clone());
    picked.iter().map(name).collect()
}

/// A policy with shorter limits, and idle timeouts where none were.
pub(crate) fn tighten(policy: &Policy, thousandths: u32) -> Policy {
    let shorter = |limit: Duration| {
        let millis = limit.as_millis() * u128::from(thousandths) / 1_000;
        Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX).max(2)).min(limit)
    };
    let limits = |limits: &Limits| Limits {
        idle_timeout: limits.idle_timeout.or(limits.absolute_timeout).map(shorter),
        absolute_timeout: limits.absolute_timeout.map(shorter),
        unclaimed_timeout: limits.unclaimed_timeout.map(shorter),
    };
    reshaped(policy, limits)
}

/// A policy with longer limits, or without those that it can do without.
pub(crate) fn loosen(policy: &Policy, drop: bool) -> Policy {
    let longer = |limit: Option<Duration>| limit.map(|limit| limit.saturating_mul(2));
    let limits = |limits: &Limits| Limits {
        idle_timeout: longer(limits.idle_timeout).filter(|_| !drop),
        absolute_timeout: longer(limits.absolute_timeout),
        unclaimed_timeout: longer(limits.unclaimed_timeout).filter(|_| !drop),
    };
    reshaped(policy, limits)
}

fn reshaped(policy: &Policy, limits: impl Fn(&Limits) -> Limits) -> Policy {
    let class = |class: &Class| {
        let limits = limits(&class.limits);
        let usual = default_touch_interval(limits.idle_timeout);
        Class { limits, touch_interval: class.touch_interval.min(usual), ..class.clone() }
    };
    let mut policy = policy.clone();
    policy.classes.values_mut().for_each(|known| *known = class(known));
    policy.groups.values_mut().for_each(|known| *known = limits(known));
    policy.scopes.values_mut().for_each(|known| known.limits = limits(&known.limits));
    policy
}

/// A policy that does not name a class; the only one it names stays.
pub(crate) fn without(policy: &Policy, class: &ClassName) -> Policy {
    let mut policy = policy.clone();
    if policy.classes.len() > 1 {
        policy.classes.remove(class);
        if policy.default_class == *class {
            policy.default_class.clone_from(policy.classes.keys().next().unwrap_or(class));
        }
    }
    policy
}
