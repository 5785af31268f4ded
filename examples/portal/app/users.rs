//! The people who may sign in. The engine knows nothing of them.

use std::sync::{Arc, PoisonError, RwLock};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use session_engine::{Stamp, Subject};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

/// Somebody who may sign in, with the hash of his password.
#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) name: Subject,
    pub(crate) is_administrator: bool,
    pub(crate) is_disabled: bool,
    hash: String,
    /// How often it was changed: no two changes have the same stamp.
    version: u64,
}

impl Account {
    /// Hashes the password with Argon2id, in the parameters of its library (OWASP: 19 MiB, 2 passes).
    ///
    /// # Errors
    /// The name is none, or the source of randomness fails.
    pub(crate) fn new(
        name: &str,
        password: &str,
        is_administrator: bool,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let (name, hash) = (Subject::new(name)?, hash(password)?);
        Ok(Self { name, is_administrator, is_disabled: false, hash, version: 0 })
    }

    /// What a session of this account must not outlive. It changes with the password, the role and the state, and
    /// tells nothing about any of them.
    pub(crate) fn stamp(&self) -> Stamp {
        let mut stamp = Sha256::new();
        stamp.update(b"account of the portal\0");
        stamp.update(self.version.to_be_bytes());
        stamp.update([u8::from(self.is_administrator), u8::from(self.is_disabled)]);
        stamp.update(self.hash.as_bytes());
        Stamp::new(stamp.finalize())
    }
}

/// Everybody who may sign in, for the life of the process. Clones are the same.
#[derive(Clone)]
pub(crate) struct Users {
    inner: Arc<Inner>,
}

struct Inner {
    known: RwLock<Vec<Account>>,
    /// The hash that the password of nobody is checked against, so that a name that does not exist costs
    /// the same time as a wrong password.
    nobody: String,
    /// Each check takes 19 MiB for its time: only as many run at once as there are processors.
    turns: Semaphore,
}

/// A password that was right, and which one it was: what it is exchanged for, if it is still the same by then.
pub(crate) struct Verified(String);

/// Why an account was not changed.
pub(crate) enum NotChanged {
    NoAdministrator,
    Own,
    Unknown,
}

impl Users {
    /// These accounts.
    ///
    /// # Errors
    /// The source of randomness fails.
    pub(crate) fn new(accounts: Vec<Account>) -> Result<Self, Box<dyn std::error::Error>> {
        let nobody = hash("nobody's")?;
        let turns = Semaphore::new(std::thread::available_parallelism()?.get());
        Ok(Self { inner: Arc::new(Inner { known: RwLock::new(accounts), nobody, turns }) })
    }

    /// Whether this is the password of somebody of this name who may sign in. Takes the same time for every name.
    pub(crate) async fn check(&self, name: &str, password: String) -> Option<Verified> {
        let known = self.find(name).filter(|known| !known.is_disabled);
        let exists = known.is_some();
        let hash = known.map_or_else(|| self.inner.nobody.clone(), |known| known.hash);
        let _turn = self.inner.turns.acquire().await.ok()?;
        let verified = tokio::task::spawn_blocking(move || {
            let is_right = PasswordHash::new(&hash).is_ok_and(|hash| {
                Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
            });
            is_right.then_some(Verified(hash))
        });
        verified.await.ok()?.filter(|_| exists)
    }

    /// Puts a new password in the place of the one that was verified. Nothing is done, and the answer is `None`, if
    /// it is another one by now, or the source of randomness fails.
    pub(crate) async fn change_password(
        &self,
        name: &Subject,
        old: &Verified,
        new: String,
    ) -> Option<(Account, Verified)> {
        let turn = self.inner.turns.acquire().await.ok()?;
        let hashed = tokio::task::spawn_blocking(move || hash(&new).ok());
        let new = Verified(hashed.await.ok()??);
        drop(turn);
        Some((self.exchange(name, old, &new)?, new))
    }

    /// Puts one hash in the place of another, if it is still that.
    pub(crate) fn exchange(
        &self,
        name: &Subject,
        old: &Verified,
        new: &Verified,
    ) -> Option<Account> {
        self.change(name, |account| {
            let is_same = account.hash == old.0 && !account.is_disabled;
            if is_same {
                account.hash.clone_from(&new.0);
            }
            is_same
        })
    }

    /// Changes somebody's account for an administrator: what he may do, or whether he may sign in.
    ///
    /// # Errors
    /// Whoever asks is no administrator any more, it is his own account, or there is no such one: nothing is changed.
    pub(crate) fn administer(
        &self,
        by: &Subject,
        name: &Subject,
        edit: impl FnOnce(&mut Account),
    ) -> Result<Account, NotChanged> {
        let mut known = self.inner.known.write().unwrap_or_else(PoisonError::into_inner);
        // In the same turn: of two who take this from each other, one keeps it.
        let may = |account: &Account| account.is_administrator && !account.is_disabled;
        if !known.iter().any(|account| account.name == *by && may(account)) {
            return Err(NotChanged::NoAdministrator);
        }
        if by == name {
            return Err(NotChanged::Own);
        }
        let account = known.iter_mut().find(|account| account.name == *name);
        let account = account.ok_or(NotChanged::Unknown)?;
        edit(account);
        account.version += 1;
        Ok(account.clone())
    }

    /// Everybody.
    pub(crate) fn all(&self) -> Vec<Account> {
        self.inner.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes an account by a function, which says whether it did; one change after the other. What came of it.
    fn change(&self, name: &Subject, edit: impl FnOnce(&mut Account) -> bool) -> Option<Account> {
        let mut known = self.inner.known.write().unwrap_or_else(PoisonError::into_inner);
        let account = known.iter_mut().find(|account| account.name == *name)?;
        if !edit(account) {
            return None;
        }
        account.version += 1;
        Some(account.clone())
    }

    pub(crate) fn exists(&self, name: &Subject) -> bool {
        self.find(name.as_str()).is_some()
    }

    pub(crate) fn is_administrator(&self, name: &Subject) -> bool {
        self.find(name.as_str()).is_some_and(|known| known.is_administrator)
    }

    fn find(&self, name: &str) -> Option<Account> {
        // Whoever panicked while holding it has left whole accounts.
        let known = self.inner.known.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|known| known.name.as_str() == name).cloned()
    }
}

fn hash(password: &str) -> Result<String, String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|error| error.to_string())
}
