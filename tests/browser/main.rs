//! Stories that a person lives through in a browser. `cargo xtask test` finds or installs the browser.

mod tools;
mod webdriver;
