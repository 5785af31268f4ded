//! Asking somebody who is signed in for his password again.

use session_engine::{Proof, Proved};

use super::Portal;
use super::guard::SignedIn;
use super::refusal::Refusal;
use super::users::Verified;

/// The authenticator assurance level that a password alone reaches (NIST SP 800-63B-4, 2.1).
pub(crate) const PASSWORD_LEVEL: u8 = 1;

/// Checks the password of whoever is signed in, and notes the proof in his session, which goes on under a new
/// token until the same deadlines. `None` if it is wrong, or was changed while it was checked.
pub(crate) async fn by_password(
    portal: &Portal,
    who: &SignedIn,
    password: String,
) -> Result<Option<Verified>, Refusal> {
    // The ticket comes before the check: what is revoked meanwhile makes the proof count for nothing.
    let ticket = who.exchange.begin_login(&who.name).await?;
    let Some(verified) = portal.users.check(who.name.as_str(), password).await else {
        return Ok(None);
    };
    let proof = Proof::new("password").level(PASSWORD_LEVEL);
    match who.exchange.step_up(&ticket, &proof).await? {
        Proved::Accepted(()) => Ok(Some(verified)),
        Proved::CredentialsChanged => Ok(None),
        Proved::Ended(_) | Proved::Absent => Err(Refusal::SignIn),
    }
}
