//! Sessions of session-engine in a sled database: a directory, no server, and no C in the build.
//!
//! ```
//! use session_core::{Realm, SessionStore};
//! use session_sled::SledStore;
//!
//! # fn main() -> Result<(), session_core::StoreError> {
//! # let directory = tempfile::tempdir().unwrap();
//! # let path = directory.path().join("sessions.sled");
//! let store = SledStore::open(path)?;
//! let marks = pollster::block_on(store.marks(&Realm::default(), None))?;
//! assert_eq!(marks.realm.epoch, 0);
//! # Ok(())
//! # }
//! ```
//!
//! # For whom it is
//!
//! For one process that wants its sessions to outlive it, on a machine where it is no misfortune if after a bad
//! crash everybody has to sign in again. sled 0.34 is the last stable version, of 2021, and its authors say: if
//! reliability is your primary constraint, use SQLite. So do we: `session-sqlite` keeps the same promises on a
//! file format that loses nothing.
//!
//! # What durable means
//!
//! A commit is answered after sled has flushed it **and** its log was synced by `fdatasync`: it survives the end
//! of the process, also by `kill -9`, and was handed to the disk. sled's own flush is not enough for that: on
//! Linux it is `sync_file_range`, which reaches neither the disk's cache nor the length of a file.
//! [`Durability::Normal`] leaves it at that. Touches are not waited for, and durable within a second.
//!
//! A change is atomic: all keys are in one tree, and all that a group of writes changes is one batch, of which
//! sled recovers all or nothing. Readers see a change only when it is durable.
//!
//! What a loss of power may cost even so is the store: there are reports of databases that sled could not open
//! after one (spacejam/sled#1533, #1527, #1351). Half a snapshot, which is the cause of some of them, is removed
//! when the store is opened. What sled would pass over in silence is not: it takes a damaged end of its log for the
//! end, and skips a damaged part in its midst, and a session that had ended would live again. So the number of the
//! last group of writes is kept in a file beside it (with [`Durability::Full`]), and a sum over all keys in the
//! database. If either does not match, the store does not open, and the error says what to do: put a copy in its
//! place, or go on with what is left. What is lost then are sessions, and the events that tell of them: make copies
//! ([`SledStore::copy_to`]) if those matter.
//!
//! When a sync fails, the write is [`OutcomeUnknown`](session_core::StoreErrorKind::OutcomeUnknown), and so it is
//! when the disk does not answer for half a minute; until it does, every call is an error.
//!
//! On damage sled panics. The store makes errors of these panics, but not in a program that is built to abort on
//! them (`panic = "abort"`).
//!
//! # What it costs
//!
//! A load takes five to ten microseconds in the thread that asks, four reads of sled and one more for data; a row of a
//! list takes a little less. A filter of events by
//! kind or time reads past what it leaves out. A write is handed to the one thread that writes, and all that wait
//! at a moment share a batch, a flush and a sync: a login by itself takes as long as the disk takes to sync, and of
//! 64 at once each takes a quarter of a millisecond. A replacement rewrites no data. A touch writes one key of its
//! own, and the record only takes it up when it is written for another reason.
//!
//! To open it, sled reads its log since the last time it was opened: milliseconds, if the store was closed in good
//! order, by dropping it. **After a crash**, or an error of the disk, or of a copied directory, everything in it is
//! read to see that nothing is missing: one to three seconds for a million keys, half a minute for a million sessions
//! with their events. A session has six keys, and each event four. [`SledOptions::verify`] has that done always, or
//! never. In memory it takes [`SledOptions::cache`] and half as much again.
//!
//! Each write takes a lock that sled has once for the whole process: an application that uses sled for other
//! things too waits for it there.
//!
//! # One process
//!
//! Only one process can have a directory open, and only once. Another one gets
//! [`Unavailable`](session_core::StoreErrorKind::Unavailable) at once; the lock ends with the process that holds it.
//! It must be on a local disk. Do not copy the files while they are in use: [`SledStore::copy_to`] makes a whole
//! copy. Do not fork the process while it is open: the child would hold it too.
//!
//! # The directory
//!
//! It and the files in it are made for their owner alone, and it is refused if anybody may write to it, or if a link
//! is in it. Put a copy in its place as a whole: parts of two states are refused.
//!
//! | file | |
//! |---|---|
//! | `db`, `blobs`, `conf`, `snap.*` | sled's. Half a snapshot, `snap.*.generating`, is removed |
//! | `lock` | held by the process that has the store open |
//! | `committed` | the number of the last group of writes, and whether the store was closed in good order. Without it, a log that lost its end is taken for whole |
//! | `undo` | after an error of the disk, what stood in the place of the writes that failed |
//! | `reserve` | four megabytes that are given up when the disk is full, and made again when there is room |
//!
//! # The disk
//!
//! sled writes everything to the end of a log, and uses a part of it again when nothing in it is needed any more.
//! Files hardly ever get smaller, also not when they are opened again. With ten thousand living sessions, as many
//! dead ones and the events of both, this is what a million logins, ends and removals took:
//!
//! | cycles | MiB |
//! |---|---|
//! | 100 000 | 134 |
//! | 200 000 | 189 |
//! | 300 000 | 226 |
//! | 400 000 | 193 |
//! | 600 000 | 227 |
//! | 800 000 | 210 |
//! | 1 000 000 | 206 |
//! | a copy of the last | 65 |
//!
//! `cargo run --release -p session-sled --example space` prints it again. What helps is a copy, while nobody writes:
//! [`SledStore::copy_to`] a new directory, end the process, and put the copy in the place of the store.
//!
//! **A full disk.** With less than [`SledOptions::min_free`] left, what inserts sessions or sets data is
//! [`StorageFull`](session_core::StoreErrorKind::StorageFull); what ends and removes sessions goes on. Where sled
//! runs out of room nevertheless, it takes no more writes until it is opened again. The store does that by itself,
//! with the help of four megabytes that it holds back in the file `reserve`, and sees what became of the write.
//! While even that does not help, every call is an error, and each tries again.
//!
//! **What is removed** is not overwritten: what a session held stays in the files until sled uses that part of the
//! log again, which may be never. A copy has only what is there.
//!
//! # Reading it
//!
//! sled has no shell. Sessions, marks and events are read through [`SessionStore`](session_core::SessionStore), and
//! only while no other process has the directory open. A session that cannot be read is an error that names it, and
//! harms no other. An event that cannot be read comes as one of the kind `damaged`, where it stands.
//!
//! All keys are in sled's default tree. Each begins with its realm's name after its length, followed by a letter;
//! numbers are big-endian, instants have their sign turned, and a subject stands after its length unless it ends the
//! key:
//!
//! | key | value |
//! |---|---|
//! | `R` id | a record: version, change, [`Record::encode`](session_core::Record::encode) |
//! | `D` id, part | the text of its data, in parts of 4 KiB |
//! | `T` id, slot | activity later than the record tells |
//! | `u` id; `d` due_at, id; `s` subject, id; `p` purge_at, id | the living; by their due time; by subject; tombstones by age |
//! | `M` subject; `L` subject; `w` subject | a mark; its raises, in JSON; unsettled marks. Without a subject, the realm's |
//! | `E` sequence | an event: change, JSON |
//! | `i` id, sequence; `t` subject, sequence; `o` purge_at, sequence | events by session, by subject, by age |
//! | `S` | what is left of marks and events that were removed, and the number of the last event |
//!
//! Each value that is not empty begins with the CRC-32 of its key and itself. The key `00 'F'` has the version of the layout: a newer one is
//! [`Unsupported`](session_core::StoreErrorKind::Unsupported), and a database without it is another application's.
//! `00 'B'` has the number of the last batch, and the sum over everything but touches.
//!
//! Do not write to it by other means: no event would tell of it, and the sum would not match.
#![cfg_attr(not(test), warn(clippy::expect_used))]

mod commit;
mod copy;
mod digest;
mod error;
mod events;
mod files;
mod flush;
mod job;
mod keys;
mod known;
mod migrate;
mod noted;
mod open;
mod options;
mod purge;
mod reserve;
mod rows;
mod scan;
mod shared;
mod store;
#[cfg(test)]
mod tests;
mod transaction;
mod undo;
mod view;
mod write;
mod writer;

pub use options::{Durability, SledOptions, Verify};
pub use store::SledStore;
