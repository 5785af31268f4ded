//! The accounts of all users, for administrators: who is one, and who may sign in.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use session_engine::{Actor, Reason};

use super::Portal;
use super::everyone::subject;
use super::guard::{Administrator, Fields, Sent, SignedIn};
use super::refusal::Refusal;
use super::users::{Account, NotChanged};
use super::view::{self, Notice};

pub(crate) async fn show(
    State(portal): State<Portal>,
    Administrator(who): Administrator,
) -> Response {
    view::accounts(&portal, &who, &portal.users.all())
}

pub(crate) async fn change_role(
    State(portal): State<Portal>,
    Sent { who: Administrator(who), fields }: Sent<Administrator>,
) -> Result<Response, Refusal> {
    let is_administrator = match fields.required("role")? {
        "administrator" => true,
        "user" => false,
        _ => return Err(Refusal::Invalid("role must be administrator or user.".to_owned())),
    };
    let edit = |account: &mut Account| account.is_administrator = is_administrator;
    let account = change(&portal, &who, &fields, edit)?;
    end_sessions(&who, &account, Reason::RoleChanged).await?;
    Ok(done(&portal, Notice::RoleChanged))
}

pub(crate) async fn change_state(
    State(portal): State<Portal>,
    Sent { who: Administrator(who), fields }: Sent<Administrator>,
) -> Result<Response, Refusal> {
    let is_disabled = match fields.required("state")? {
        "disabled" => true,
        "enabled" => false,
        _ => return Err(Refusal::Invalid("state must be disabled or enabled.".to_owned())),
    };
    let edit = |account: &mut Account| account.is_disabled = is_disabled;
    let account = change(&portal, &who, &fields, edit)?;
    if is_disabled {
        // Nobody signs in any more, and a login that has checked the password already fails by its ticket.
        end_sessions(&who, &account, Reason::SubjectDisabled).await?;
        return Ok(done(&portal, Notice::AccountDisabled));
    }
    Ok(done(&portal, Notice::AccountEnabled))
}

fn change(
    portal: &Portal,
    who: &SignedIn,
    fields: &Fields,
    edit: impl FnOnce(&mut Account),
) -> Result<Account, Refusal> {
    let user = subject(fields.required("user")?)?;
    portal.users.administer(&who.name, &user, edit).map_err(|reason| match reason {
        NotChanged::NoAdministrator => Refusal::NotAllowed,
        NotChanged::Own => {
            let text = "Your own account is another administrator's to change.";
            Refusal::Invalid(text.to_owned())
        }
        NotChanged::Unknown => Refusal::Invalid(format!("Nobody is called {user}.")),
    })
}

/// Ends the sessions of an account that has changed. If the store fails, the account stays changed: no two stamps are
/// the same, so that the same form, sent again, ends them.
async fn end_sessions(who: &SignedIn, account: &Account, reason: Reason) -> Result<(), Refusal> {
    let (stamp, by) = (account.stamp(), Actor::Operator(who.name.clone()));
    // Whether it changed or not, it is the account's now.
    let _ = who.exchange.sessions().set_stamp(&account.name, &stamp, reason, by, None).await?;
    Ok(())
}

fn done(portal: &Portal, notice: Notice) -> Response {
    (view::headers([notice.give(portal)]), Redirect::to("/users")).into_response()
}
