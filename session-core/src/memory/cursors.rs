//! Places in the scans of the store in memory.

use crate::store::Cursor;
use crate::{SessionId, StoreError, Timestamp};

pub(super) fn cursor_of(id: SessionId) -> Cursor {
    Cursor::from_bytes(*id.as_bytes())
}

pub(super) fn id_of(cursor: &Cursor) -> Result<SessionId, StoreError> {
    cursor
        .as_bytes()
        .try_into()
        .map(SessionId::from_bytes)
        .map_err(|_| StoreError::invalid_cursor())
}

pub(super) fn due_cursor(due_at: Timestamp, id: SessionId) -> Cursor {
    let mut bytes = due_at.as_millis().to_be_bytes().to_vec();
    bytes.extend(id.as_bytes());
    Cursor::from_bytes(bytes)
}

pub(super) fn due_of(cursor: &Cursor) -> Result<(Timestamp, SessionId), StoreError> {
    let bytes: [u8; 24] = cursor.as_bytes().try_into().map_err(|_| StoreError::invalid_cursor())?;
    let (due_at, id) = bytes.split_at(8);
    let due_at =
        due_at.try_into().map(i64::from_be_bytes).map_err(|_| StoreError::invalid_cursor())?;
    let id = id.try_into().map(SessionId::from_bytes).map_err(|_| StoreError::invalid_cursor())?;
    Ok((Timestamp::from_millis(due_at), id))
}

pub(super) fn sequence_cursor(sequence: u64) -> Cursor {
    Cursor::from_bytes(sequence.to_be_bytes())
}

pub(super) fn sequence_of(cursor: &Cursor) -> Result<u64, StoreError> {
    cursor.as_bytes().try_into().map(u64::from_be_bytes).map_err(|_| StoreError::invalid_cursor())
}
