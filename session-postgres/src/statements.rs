//! The text of every statement, with the name of the schema in it.

use crate::migrate::VERSION;
use crate::rows::STORED;

/// A schema's statements.
pub(crate) struct Statements {
    pub(crate) load: String,
    pub(crate) marks: String,
    pub(crate) list: String,
    pub(crate) list_with_ended: String,
    pub(crate) list_of_subject: String,
    pub(crate) list_of_subject_with_ended: String,
    pub(crate) due: String,
    pub(crate) unsettled: String,
    pub(crate) below_epoch_of_realm: String,
    pub(crate) below_epoch_of_subjects: String,
    pub(crate) commit: String,
    pub(crate) touch: String,
    pub(crate) purge: String,
    pub(crate) erase: String,
    /// The name itself, quoted: for the one statement whose text depends on what is asked.
    pub(crate) schema: String,
}

impl Statements {
    /// For a schema whose name is already quoted.
    pub(crate) fn new(schema: &str) -> Self {
        // The limit keeps the server from reading all marks to join them: it may not know yet how many they are.
        let stored = format!(
            "FROM {schema}.sessions s \
             LEFT JOIN {schema}.marks r ON r.realm = s.realm AND r.subject = '' \
             LEFT JOIN LATERAL (SELECT * FROM {schema}.marks k \
                 WHERE k.realm = s.realm AND k.subject = s.subject LIMIT 1) m ON true \
             LEFT JOIN {schema}.realms f ON f.realm = s.realm WHERE s.realm = $1"
        );
        let list = |filter: &str| {
            format!("SELECT {STORED} {stored} AND s.id >= $2{filter} ORDER BY s.id LIMIT $3")
        };
        Self {
            load: format!("SELECT {STORED}, s.data {stored} AND s.id = $2"),
            marks: format!(
                "SELECT r.version, r.epoch, r.stamp, NULL::text, \
                 m.version, m.epoch, m.stamp, NULL::text, f.floor \
                 FROM (SELECT 1) one \
                 LEFT JOIN {schema}.marks r ON r.realm = $1 AND r.subject = '' \
                 LEFT JOIN {schema}.marks m ON m.realm = $1 AND m.subject = $2 \
                 LEFT JOIN {schema}.realms f ON f.realm = $1"
            ),
            list: list(" AND s.ended_at IS NULL"),
            list_with_ended: list(""),
            list_of_subject: list(" AND s.subject = $4 AND s.ended_at IS NULL"),
            list_of_subject_with_ended: list(" AND s.subject = $4"),
            due: format!(
                "SELECT {STORED} {stored} AND s.ended_at IS NULL AND s.due_at <= $2 \
                 AND (s.due_at, s.id) >= ($3, $4) ORDER BY s.due_at, s.id LIMIT $5"
            ),
            unsettled: format!("SELECT subject, epoch FROM {schema}.unsettled_marks($1, $2)"),
            below_epoch_of_realm: format!(
                "SELECT {STORED} {stored} AND s.ended_at IS NULL AND s.id >= $2 \
                 AND (s.realm_epoch < $4 OR (m.settled < m.epoch AND s.subject_epoch < m.epoch)) \
                 ORDER BY s.id LIMIT $3"
            ),
            below_epoch_of_subjects: format!(
                "SELECT {STORED} {stored} AND s.id = ANY (ARRAY(\
                 SELECT {schema}.sessions_of_unsettled_marks($1, $2, $3))) ORDER BY s.id"
            ),
            commit: format!("SELECT {schema}.commit_changes({VERSION}, $1, $2, $3, $4, $5::jsonb)"),
            touch: format!("SELECT {schema}.touch_sessions({VERSION}, $1, $2, $3, $4, $5, $6)"),
            purge: format!("SELECT * FROM {schema}.purge_old({VERSION}, $1, $2, $3)"),
            erase: format!("SELECT * FROM {schema}.erase_subject({VERSION}, $1, $2, $3)"),
            schema: schema.to_owned(),
        }
    }
}
