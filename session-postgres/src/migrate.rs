//! The versions of the schema.

use session_core::{StoreError, StoreErrorKind};
use tokio_postgres::{Error, IsolationLevel, SimpleQueryMessage, SimpleQueryRow};

use crate::error::{self, Asked};
use crate::options::{self, PostgresOptions, quoted};

/// What makes one version of the schema the next: the first makes version 1 of nothing. A step that was
/// released is never changed again.
const STEPS: [&str; 1] = [concat!(include_str!("schema.sql"), "\n", include_str!("functions.sql"))];

/// The version that this program reads and writes.
pub(crate) const VERSION: u32 = STEPS.len() as u32;

/// The key of the advisory lock that is held while the schema is brought up to date: `SessionE`. Of several
/// programs that do so at once, one does, and the others wait for it.
const LOCK: i64 = 0x5365_7373_696f_6e45;

/// A step that makes one version of the schema the next.
///
/// ```
/// for migration in session_postgres::migrations("session_engine") {
///     println!("-- version {}\n{}", migration.version, migration.sql);
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// The version that it makes.
    pub version: u32,
    /// Its SQL: several statements, to be run in one transaction, as by `psql --single-transaction`.
    pub sql: String,
}

/// All steps in their order, for who brings schemas up to date with tools of his own: each as text, to be run once
/// on a database whose schema of this name has the version before it. [`PostgresOptions::migrate`] is switched off
/// then.
///
/// ```
/// let migrations = session_postgres::migrations("shop \"sessions\"");
/// assert_eq!(migrations[0].version, 1);
/// assert!(migrations[0].sql.contains(r#"CREATE SCHEMA IF NOT EXISTS "shop ""sessions""";"#));
/// ```
pub fn migrations(schema: &str) -> Vec<Migration> {
    let schema = quoted(schema);
    (1..)
        .zip(STEPS)
        .map(|(version, step)| {
            let create = match version {
                1 => format!("CREATE SCHEMA IF NOT EXISTS {schema};\n"),
                _ => String::new(),
            };
            Migration { version, sql: create + &text(&schema, version, step) }
        })
        .collect()
}

/// A step without the making of the schema, for which a role needs a right that it may not have.
fn text(schema: &str, version: u32, step: &str) -> String {
    let noted = match version {
        1 => "INSERT INTO session_engine_meta (schema_version) VALUES (1);".to_owned(),
        _ => format!("UPDATE session_engine_meta SET schema_version = {version};"),
    };
    // The functions keep this path, whatever their caller's is.
    format!("SET LOCAL search_path = {schema}, pg_temp;\n\n{step}\n{noted}\n")
}

/// What is there.
enum Found {
    Nothing {
        schema: bool,
    },
    Foreign,
    Version(u32),
    /// The database has another encoding than UTF8.
    Encoding(String),
}

/// So many times the wait for an answer, another program may take to bring the schema up to date. Nobody waits
/// without end: whoever may connect to the database may take an advisory lock.
const PATIENCE: u32 = 6;

/// Brings the schema up to date, step by step, all in one transaction; or finds out that it is.
pub(crate) async fn migrate(
    options: &PostgresOptions,
    client: &mut tokio_postgres::Client,
) -> Result<(), StoreError> {
    let place = &options.place();
    let failed = |error: Error| error::statement(place, Asked::Read, error);
    let looked = async {
        let found = look(options, client).await?;
        let up_to_date =
            matches!(found, Found::Version(VERSION)) && !is_behind(options, client).await?;
        Ok((found, up_to_date))
    };
    let looked = tokio::time::timeout(options.answer_timeout, looked).await;
    let (found, up_to_date) =
        looked.map_err(|_| error::late(place, Asked::Read))?.map_err(failed)?;
    if up_to_date {
        return Ok(());
    }
    if !options.migrate && known(place, &found)? < STEPS.len() {
        return Err(error::at(
            StoreErrorKind::Invalid,
            place,
            format_args!(
                "the schema has version {}, this program needs version {VERSION}; run the SQL of \
                 `session_postgres::migrations({:?})`, or open with `migrate(true)`",
                known(place, &found)?,
                options.schema,
            ),
        ));
    }
    let transaction = client
        .build_transaction()
        .isolation_level(IsolationLevel::ReadCommitted)
        .read_only(false)
        .start()
        .await
        .map_err(failed)?;
    // A large table may take longer than a request may.
    let begin = format!(
        "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = {}; SELECT pg_advisory_xact_lock({LOCK})",
        options::setting(options.answer_timeout.saturating_mul(PATIENCE)),
    );
    transaction.batch_execute(&begin).await.map_err(failed)?;
    let found = look(options, transaction.client()).await.map_err(failed)?;
    let schema = options.quoted_schema();
    if matches!(found, Found::Nothing { schema: false }) {
        let create = format!("CREATE SCHEMA {schema}");
        transaction.batch_execute(&create).await.map_err(failed)?;
    }
    for (version, step) in (1..).zip(STEPS).skip(known(place, &found)?) {
        transaction.batch_execute(&text(&schema, version, step)).await.map_err(failed)?;
    }
    if is_behind(options, transaction.client()).await.map_err(failed)? {
        transaction.batch_execute(&catch_up(&schema)).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)
}

/// How many steps have been done.
fn known(place: &str, found: &Found) -> Result<usize, StoreError> {
    match found {
        Found::Nothing { .. } => Ok(0),
        Found::Encoding(encoding) => Err(error::at(
            StoreErrorKind::Invalid,
            place,
            format_args!(
                "the database has the encoding {encoding}; make one with UTF8, which holds every text"
            ),
        )),
        Found::Foreign => Err(error::at(
            StoreErrorKind::Invalid,
            place,
            "this schema holds what is another application's; name another schema",
        )),
        Found::Version(version) => match usize::try_from(*version) {
            Ok(known) if known <= STEPS.len() => Ok(known),
            _ => Err(error::at(
                StoreErrorKind::Unsupported,
                place,
                format_args!(
                    "the schema has version {version}, this program knows versions up to {VERSION}; use \
                     the newer program"
                ),
            )),
        },
    }
}

/// Of the functions that are called here and in the statements, the types fit exactly, or there is no argument: else
/// one of the same name that somebody has put in `public` could fit better, and be called with our rights.
async fn look(options: &PostgresOptions, client: &tokio_postgres::Client) -> Result<Found, Error> {
    let there = |catalog: &str, namespace: &str| {
        format!("EXISTS (SELECT FROM pg_catalog.{catalog} c WHERE c.{namespace} = n.oid)")
    };
    let sql = format!(
        "SELECT pg_catalog.current_setting('server_encoding'), n.oid, {} OR {} OR {} OR {}, EXISTS \
         (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid AND c.relname = 'session_engine_meta') \
         FROM (SELECT) one LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = {}",
        there("pg_class", "relnamespace"),
        there("pg_proc", "pronamespace"),
        there("pg_operator", "oprnamespace"),
        there("pg_type", "typnamespace"),
        options::literal(&options.schema),
    );
    let rows = rows(client, &sql).await?;
    let Some(row) = rows.first() else { return Ok(Found::Nothing { schema: false }) };
    let encoding = row.get(0).unwrap_or_default();
    if encoding != "UTF8" {
        return Ok(Found::Encoding(encoding.to_owned()));
    }
    match (row.get(1), row.get(2), row.get(3)) {
        (None, ..) => return Ok(Found::Nothing { schema: false }),
        (_, Some("f"), _) => return Ok(Found::Nothing { schema: true }),
        (_, _, Some("f")) => return Ok(Found::Foreign),
        _ => {}
    }
    let sql = format!("SELECT schema_version FROM {}.session_engine_meta", options.quoted_schema());
    let rows = self::rows(client, &sql).await?;
    let version = rows.first().and_then(|row| row.get(0)).and_then(|text| text.parse().ok());
    Ok(Found::Version(version.unwrap_or(u32::MAX)))
}

/// The number of the last transaction that an event tells of; NULL if none does.
fn last_transaction(schema: &str) -> String {
    format!(
        "(WITH RECURSIVE each (realm) AS ( \
             (SELECT realm FROM {schema}.events ORDER BY realm LIMIT 1) \
             UNION ALL SELECT (SELECT e.realm FROM {schema}.events e \
                               WHERE e.realm > each.realm ORDER BY e.realm LIMIT 1) \
             FROM each WHERE each.realm IS NOT NULL) \
         SELECT greatest((SELECT max(events_purged) FROM {schema}.realms), \
                         max((SELECT max(e.seq) FROM {schema}.events e WHERE e.realm = each.realm))) >> 20 \
         FROM each)"
    )
}

/// Whether the server's transactions are numbered below those that events tell of: the database was restored into
/// another cluster. New events would come before old ones.
async fn is_behind(
    options: &PostgresOptions,
    client: &tokio_postgres::Client,
) -> Result<bool, Error> {
    let schema = options.quoted_schema();
    let sql = format!(
        "SELECT {} >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint + xact_offset \
         FROM {schema}.session_engine_meta",
        last_transaction(&schema)
    );
    Ok(rows(client, &sql).await?.first().and_then(|row| row.get(0)) == Some("t"))
}

fn catch_up(schema: &str) -> String {
    format!(
        "UPDATE {schema}.session_engine_meta \
         SET xact_offset = {} + 1 - pg_snapshot_xmax(pg_current_snapshot())::text::bigint",
        last_transaction(schema)
    )
}

async fn rows(client: &tokio_postgres::Client, sql: &str) -> Result<Vec<SimpleQueryRow>, Error> {
    let messages = client.simple_query(sql).await?;
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    };
    Ok(messages.into_iter().filter_map(row).collect())
}
