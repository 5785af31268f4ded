//! The engine through its public surface, on the reference store: what it answers, what it costs, and what
//! stands when stores fail, callers leave, or others come in between.

#[cfg(test)]
mod conflicts;
#[cfg(test)]
mod cost;
#[cfg(test)]
mod erase;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod history;
#[cfg(test)]
mod hooks;
#[cfg(test)]
mod interleavings;
#[cfg(test)]
mod inventory;
#[cfg(test)]
mod lifetime;
#[cfg(test)]
mod login;
#[cfg(test)]
mod notes;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod prove;
#[cfg(test)]
mod revoke;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod scope;
#[cfg(test)]
mod stamp;
#[cfg(test)]
mod support;
#[cfg(test)]
mod sweep;
#[cfg(test)]
mod update;
