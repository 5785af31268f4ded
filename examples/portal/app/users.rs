//! The people who may sign in. The engine knows nothing of them.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use session_engine::Subject;
use tokio::sync::Semaphore;

/// Somebody who may sign in, and with which password. It is hashed before the application starts, and dropped.
pub(crate) struct Account<'a> {
    pub(crate) name: &'a str,
    pub(crate) password: &'a str,
    pub(crate) is_administrator: bool,
}

/// Everybody who may sign in. Clones are the same.
#[derive(Clone)]
pub(crate) struct Users {
    inner: Arc<Inner>,
}

struct Inner {
    known: Vec<Known>,
    /// The hash that the password of nobody is checked against, so that a name that does not exist costs
    /// the same time as a wrong password.
    nobody: String,
    /// Each check takes 19 MiB for its time: only as many run at once as there are processors.
    turns: Semaphore,
}

struct Known {
    name: Subject,
    hash: String,
    is_administrator: bool,
}

impl Users {
    /// Hashes the passwords with Argon2id, in the parameters of its library (OWASP: 19 MiB, 2 passes).
    ///
    /// # Errors
    /// A name is none, or the source of randomness fails.
    pub(crate) fn new(accounts: &[Account<'_>]) -> Result<Self, Box<dyn std::error::Error>> {
        let hash = |password: &str| {
            Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string())
        };
        let known = accounts
            .iter()
            .map(|account| {
                Ok(Known {
                    name: Subject::new(account.name)?,
                    hash: hash(account.password).map_err(|error| error.to_string())?,
                    is_administrator: account.is_administrator,
                })
            })
            .collect::<Result<Vec<_>, Box<dyn std::error::Error>>>()?;
        let nobody = hash("nobody's").map_err(|error| error.to_string())?;
        let turns = Semaphore::new(std::thread::available_parallelism()?.get());
        Ok(Self { inner: Arc::new(Inner { known, nobody, turns }) })
    }

    /// Whether this is the password of somebody of this name. Takes the same time for every name.
    pub(crate) async fn check(&self, name: &str, password: String) -> bool {
        let known = self.find(name);
        let exists = known.is_some();
        let hash = known.map_or(&self.inner.nobody, |known| &known.hash).clone();
        let Ok(_turn) = self.inner.turns.acquire().await else { return false };
        let verified = tokio::task::spawn_blocking(move || {
            PasswordHash::new(&hash).is_ok_and(|hash| {
                Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
            })
        });
        verified.await.unwrap_or(false) && exists
    }

    pub(crate) fn exists(&self, name: &Subject) -> bool {
        self.find(name.as_str()).is_some()
    }

    pub(crate) fn is_administrator(&self, name: &Subject) -> bool {
        self.find(name.as_str()).is_some_and(|known| known.is_administrator)
    }

    fn find(&self, name: &str) -> Option<&Known> {
        self.inner.known.iter().find(|known| known.name.as_str() == name)
    }
}
