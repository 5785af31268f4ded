//! What a Postgres store has written down.

use postgres_cluster::Schema;

use crate::stores::assert_not_in;

/// That no row of any table holds these tokens or texts.
pub(crate) fn assert_nowhere(schema: &Schema, tokens: &[String], texts: &[String]) {
    let name = schema.name();
    let tables = schema.ask(&format!(
        "SELECT table_name::text FROM information_schema.tables \
         WHERE table_type = 'BASE TABLE' AND table_schema = '{name}'"
    ));
    assert!(tables.len() >= 4, "{tables:?}");
    for table in tables {
        let rows = schema.ask(&format!("SELECT t::text FROM {name}.{table} t"));
        assert_not_in(rows.join("\n").as_bytes(), &table, tokens, texts);
    }
}
