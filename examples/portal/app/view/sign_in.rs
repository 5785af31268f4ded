//! The sign-in page.

use axum::response::IntoResponse;
use maud::html;
use session_engine::{End, Subject};

use super::frame::{document, html_page, icon};
use super::reason;
use super::words::Words;

/// What the sign-in page shows.
pub(crate) struct SignInPage<'a> {
    pub(crate) words: &'static Words,
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
    /// Whether the box was ticked in that attempt.
    pub(crate) wants_to_stay: bool,
    /// Whether a session may outlive the browser.
    pub(crate) can_be_remembered: bool,
    /// Whose live session the browser holds: signing in replaces it.
    pub(crate) held_by: Option<Subject>,
}

impl SignInPage<'_> {
    pub(crate) fn render(&self) -> impl IntoResponse + use<> {
        let words = self.words;
        let body = html! {
            main.narrow {
                p.brand.large { (icon()) span { "Portal" } }
                @if let Some(end) = &self.ended {
                    (reason::notice(end, words))
                } @else if self.signed_out {
                    (reason::signed_out(words))
                }
                section.card {
                    h1 { (words.sign_in) }
                    @if let Some(name) = &self.held_by {
                        p.notice {
                            (words.held_by.0) b { (name) } (words.held_by.1) " "
                            a href="/" { (words.to_home) }
                        }
                    }
                    @if self.held_back {
                        p.notice.bad #held-back role="alert" { (words.held_back) }
                    }
                    @if let Some(text) = self.refused {
                        p.notice.bad #refused role="alert" { (text) }
                    }
                    form method="post" action="/login" {
                        input type="hidden" name="csrf" value=(self.csrf);
                        label for="username" { (words.user_name) }
                        input #username name="username" type="text" value=(self.name) autocomplete="username"
                            autocapitalize="none" spellcheck="false" maxlength="255" required
                            autofocus[self.name.is_empty()];
                        label for="password" { (words.password) }
                        input #password name="password" type="password"
                            autocomplete="current-password" required
                            autofocus[!self.name.is_empty()];
                        @if self.can_be_remembered {
                            div.check {
                                input #remember name="remember" type="checkbox" value="yes"
                                    aria-describedby="remember-hint" checked[self.wants_to_stay];
                                label for="remember" { (words.remember) }
                            }
                            p.fine.hint #remember-hint { (words.remember_text) }
                        }
                        button.wide type="submit" { (words.sign_in) }
                    }
                    p.fine { (words.users_text) }
                }
            }
        };
        html_page(document(words.lang, words.sign_in, &body))
    }
}
