//! Stories that a person lives through in a browser. `cargo xtask test` finds or installs the browser.

#[path = "../../examples/portal/app/mod.rs"]
mod app;
mod looks;
mod portal;
mod sensitive;
#[expect(clippy::unwrap_used, reason = "a test")]
#[path = "../portal/site.rs"]
mod site;
mod tools;
mod webdriver;
