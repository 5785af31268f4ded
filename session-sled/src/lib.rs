//! Sessions of session-engine in a sled database.
