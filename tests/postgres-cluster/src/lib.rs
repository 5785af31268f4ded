//! A Postgres server for tests: one that is given, or a throwaway cluster of its own.
