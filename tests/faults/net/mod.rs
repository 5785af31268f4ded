//! What becomes of Postgres's answers when the network fails.

mod cuts;
mod drops;
mod hangs;
mod kinds;
mod proxy;
mod retries;
mod rig;
