//! The application's own small cookies. None of them is a secret or says who somebody is: the session's cookie
//! is the engine's business alone.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header::SET_COOKIE};
use cookie::{Cookie, SameSite, time::Duration};

use super::Portal;

/// A cookie of the application.
#[derive(Clone, Copy)]
pub(crate) enum Name {
    /// What the sign-in form is bound to.
    SignIn,
    /// A message for the next page.
    Notice,
}

impl Name {
    fn text(self, secure: bool) -> &'static str {
        // The prefix keeps other hosts of the domain from setting it.
        match (self, secure) {
            (Self::SignIn, true) => "__Host-sign-in",
            (Self::SignIn, false) => "sign-in",
            (Self::Notice, true) => "__Host-notice",
            (Self::Notice, false) => "notice",
        }
    }
}

impl Portal {
    /// The value of a cookie that a request presents, the first if there are several.
    pub(crate) fn cookie(&self, headers: &HeaderMap, name: Name) -> Option<String> {
        let name = name.text(self.secure_cookies);
        headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(Cookie::split_parse)
            .flatten()
            .find(|cookie| cookie.name() == name)
            .map(|cookie| cookie.value().to_owned())
    }

    /// The header that gives the browser a cookie for so many seconds, or takes it away for none.
    pub(crate) fn set_cookie(&self, name: Name, value: &str, seconds: u32) -> Header {
        let cookie = Cookie::build((name.text(self.secure_cookies), value))
            .path("/")
            .http_only(true)
            .secure(self.secure_cookies)
            .same_site(SameSite::Lax)
            .max_age(Duration::seconds(seconds.into()));
        // Only values of this application's own making are passed, all of them ASCII.
        let text = HeaderValue::try_from(cookie.to_string());
        (SET_COOKIE, text.unwrap_or(HeaderValue::from_static("")))
    }
}

pub(crate) type Header = (HeaderName, HeaderValue);
