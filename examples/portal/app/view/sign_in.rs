//! The sign-in page.

use axum::response::IntoResponse;
use maud::html;
use session_engine::{End, Subject};

use super::frame::{document, html_page, icon};
use super::reason;

/// What the sign-in page shows.
pub(crate) struct SignInPage<'a> {
    pub(crate) csrf: &'a str,
    /// Why the last attempt was refused.
    pub(crate) refused: Option<&'a str>,
    /// Whether the session of this browser is held back until its holder signs in again.
    pub(crate) held_back: bool,
    /// The name of that attempt.
    pub(crate) name: &'a str,
    /// How the session ended that the browser still holds.
    pub(crate) ended: Option<End>,
    /// Whether this browser has just signed out.
    pub(crate) signed_out: bool,
    /// Whose live session the browser holds: signing in replaces it.
    pub(crate) held_by: Option<Subject>,
}

impl SignInPage<'_> {
    pub(crate) fn render(&self) -> impl IntoResponse + use<> {
        let body = html! {
            main.narrow {
                p.brand.large { (icon()) span { "Portal" } }
                @if let Some(end) = &self.ended {
                    (reason::notice(end))
                } @else if self.signed_out {
                    (reason::signed_out())
                }
                section.card {
                    h1 { "Sign in" }
                    @if let Some(name) = &self.held_by {
                        p.notice {
                            "You are signed in as " b { (name) } ". Signing in again replaces that session. "
                            a href="/" { "To the home page" }
                        }
                    }
                    @if self.held_back {
                        p.notice.bad #held-back role="alert" {
                            "This does not look like the browser that you signed in with. Please sign in again; if \
                             that was not you, nobody has seen anything of yours."
                        }
                    }
                    @if let Some(text) = self.refused {
                        p.notice.bad #refused role="alert" { (text) }
                    }
                    form method="post" action="/login" {
                        input type="hidden" name="csrf" value=(self.csrf);
                        label for="username" { "User name" }
                        input #username name="username" type="text" value=(self.name) autocomplete="username"
                            autocapitalize="none" spellcheck="false" maxlength="255" required
                            autofocus[self.name.is_empty()];
                        label for="password" { "Password" }
                        input #password name="password" type="password"
                            autocomplete="current-password" required
                            autofocus[!self.name.is_empty()];
                        button.wide type="submit" { "Sign in" }
                    }
                    p.fine { "The users are alice, bob and root; their passwords were printed at start." }
                }
            }
        };
        html_page(document("en", "Sign in", &body))
    }
}
