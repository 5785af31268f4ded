//! Changing one's password: it ends all other sessions, and this one goes on under a new token.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use session_engine::Reason;

use super::Portal;
use super::guard::{Sent, SignedIn};
use super::proof;
use super::refusal::Refusal;
use super::view::{self, Notice};

/// The fewest characters of a password that is the only factor (NIST SP 800-63B-4, 3.1.1.2). Nothing else is asked of
/// it; against a list of common passwords, which the same section asks for, this example checks nothing.
pub(crate) const SHORTEST: usize = 15;

pub(crate) async fn show(State(portal): State<Portal>, who: SignedIn) -> Response {
    view::password(&portal, &who, None)
}

pub(crate) async fn change(
    State(portal): State<Portal>,
    Sent { who, fields }: Sent<SignedIn>,
) -> Result<Response, Refusal> {
    let old = fields.required("old")?.to_owned();
    let new = fields.required("new")?.to_owned();
    let words = who.words;
    let refused = |status, text| {
        let page = view::password(&portal, &who, Some(text));
        Ok((status, page).into_response())
    };
    // What a person takes for a character may be several of these: they count as the standard counts them.
    if new.chars().count() < SHORTEST {
        return refused(StatusCode::UNPROCESSABLE_ENTITY, words.password_too_short);
    }
    if new != fields.required("again")? {
        return refused(StatusCode::UNPROCESSABLE_ENTITY, words.passwords_differ);
    }
    let Some(old) = proof::by_password(&portal, &who, old).await? else {
        return refused(StatusCode::UNAUTHORIZED, words.wrong_password);
    };
    let Some((account, new)) = portal.users.change_password(&who.name, &old, new).await else {
        // Of two changes at once, one finds that its old password is not the old one any more. The page has a form of
        // the session as it came, and the proof has given it a new token: it is to be loaded anew.
        return Ok(Redirect::to("/password").into_response());
    };
    match who.exchange.set_stamp(&account.stamp(), Reason::CredentialsChanged).await {
        // The forms of this session are bound to its token, which is another one now.
        Ok(true) => {
            let told = view::headers([Notice::PasswordChanged.give(&portal)]);
            Ok((told, Redirect::to("/")).into_response())
        }
        outcome => {
            // The other sessions may live, so nothing must have happened.
            portal.users.exchange(&who.name, &new, &old);
            outcome?;
            Err(Refusal::SignIn)
        }
    }
}
