//! The form to change one's password.

use axum::response::Response;
use maud::{Markup, html};

use super::frame::{Place, action, page};
use crate::app::Portal;
use crate::app::guard::SignedIn;
use crate::app::password::SHORTEST;

pub(crate) fn password(portal: &Portal, who: &SignedIn, refused: Option<&str>) -> Response {
    let words = who.words;
    let content = html! {
        div.column {
            section.card {
                h1 { (words.change_password) }
                p { (words.change_password_text) }
                @if let Some(text) = refused {
                    p.notice.bad #refused role="alert" { (text) }
                }
                (action(who, "/password", html! {
                    (account(who))
                    (field("old", words.old_password, "current-password", None))
                    (field("new", words.new_password, "new-password", Some(words.password_rule)))
                    (field("again", words.new_password_again, "new-password", None))
                    button type="submit" { (words.change_password) }
                }))
            }
        }
    };
    page(portal, who, Place::Elsewhere, words.change_password, &content)
}

/// Says to a password manager whose password is asked for.
pub(super) fn account(who: &SignedIn) -> Markup {
    html! { input type="text" value=(who.name.as_str()) autocomplete="username" readonly hidden; }
}

fn field(name: &str, label: &str, filled_with: &str, rule: Option<&str>) -> Markup {
    let hint = format!("{name}-rule");
    let is_new = name != "old";
    html! {
        label for=(name) { (label) }
        @if let Some(rule) = rule { p.fine.hint #(hint) { (rule) } }
        input #(name) name=(name) type="password" autocomplete=(filled_with) required
            minlength=[is_new.then_some(SHORTEST)] aria-describedby=[rule.map(|_| &hint)] autofocus[!is_new];
    }
}
