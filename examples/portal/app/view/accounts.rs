//! The accounts of all users.

use axum::response::Response;
use maud::{Markup, html};

use super::frame::{Place, action, page};
use crate::app::Portal;
use crate::app::guard::SignedIn;
use crate::app::users::Account;

pub(crate) fn accounts(portal: &Portal, who: &SignedIn, accounts: &[Account]) -> Response {
    // What only administrators read is in English.
    let content = html! {
        div lang="en" {
            h1 { "Users" }
            p { "Whoever gets another role, or is disabled, is signed out everywhere." }
            div.card.scroll tabindex="0" role="region" aria-label="Users" {
                table {
                    thead {
                        tr { @for head in ["User", "Role", "Account", ""] { th scope="col" { (head) } } }
                    }
                    tbody { @for account in accounts { (row(who, account)) } }
                }
            }
        }
    };
    page(portal, who, Place::Accounts, "Users", &content)
}

fn row(who: &SignedIn, account: &Account) -> Markup {
    let Account { name, is_administrator, is_disabled, .. } = account;
    let (role, role_text) = if *is_administrator {
        ("user", "Make an ordinary user")
    } else {
        ("administrator", "Make an administrator")
    };
    let (state, state_text) =
        if *is_disabled { ("enabled", "Enable") } else { ("disabled", "Disable") };
    html! {
        tr data-user=(name.as_str()) {
            td data-label="User" { b { (name) } }
            td data-label="Role" {
                @if *is_administrator { span.tag { "administrator" } } @else { "user" }
            }
            td data-label="Account" {
                @if *is_disabled { span.tag.bad { "disabled" } } @else { span.tag.good { "enabled" } }
            }
            td.act {
                @if *name == who.name {
                    span.fine { "this is you" }
                } @else {
                    div.row {
                        (action(who, "/users/role", html! {
                            input type="hidden" name="user" value=(name.as_str());
                            button.quiet.small type="submit" name="role" value=(role)
                                aria-label={ (role_text) ": " (name) } { (role_text) }
                        }))
                        (action(who, "/users/state", html! {
                            input type="hidden" name="user" value=(name.as_str());
                            button.small.(if *is_disabled { "quiet" } else { "danger" }) type="submit"
                                name="state" value=(state) aria-label={ (state_text) " " (name) } { (state_text) }
                        }))
                    }
                }
            }
        }
    }
}
