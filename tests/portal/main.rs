//! The example `portal` over real sockets: every path, every field, every refusal.
#![expect(clippy::unwrap_used, reason = "a test")]

mod accounts;
#[path = "../../examples/portal/app/mod.rs"]
mod app;
mod audit;
#[path = "../adapters/client.rs"]
mod client;
mod clients;
mod finance;
mod forms;
mod hostile;
mod password;
mod policy;
mod process;
mod reasons;
mod remembered;
mod schema;
mod site;
#[expect(dead_code, reason = "no handler of the portal is made to panic")]
#[path = "../adapters/spy.rs"]
mod spy;
mod stores;
mod story;
mod visitor;
