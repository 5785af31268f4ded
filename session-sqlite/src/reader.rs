//! The connections that read.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use rusqlite::Connection;
use session_core::StoreError;

use crate::open;
use crate::options::SqliteOptions;

/// A few connections, used in the thread of whoever asks: a read takes microseconds, and to hand it to another
/// thread takes several times as long as the read itself.
#[derive(Debug)]
pub(crate) struct Readers {
    connections: Box<[Mutex<Connection>]>,
}

impl Readers {
    pub(crate) fn open(options: &SqliteOptions) -> Result<Self, StoreError> {
        let connections = (0..options.readers.get())
            .map(|_| open::reader(options).map(Mutex::new))
            .collect::<Result<_, _>>()?;
        Ok(Self { connections })
    }

    /// The connection of this thread or any that is free; if none is, waits for this thread's.
    pub(crate) fn get(&self) -> MutexGuard<'_, Connection> {
        let own = own_number() % self.connections.len();
        let (before, from) = self.connections.split_at(own);
        for connection in from.iter().chain(before) {
            match connection.try_lock() {
                Ok(guard) => return guard,
                // A panic while reading leaves a connection as usable as an error does.
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        self.connections[own].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Spreads threads over the connections, and keeps each on its own while it can.
fn own_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<Option<usize>> = const { Cell::new(None) };
    }
    OWN.with(|own| {
        own.get().unwrap_or_else(|| {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            own.set(Some(number));
            number
        })
    })
}
