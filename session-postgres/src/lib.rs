//! Sessions of session-engine in a Postgres database.
