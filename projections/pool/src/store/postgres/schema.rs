//! The store's own tables: migrations in order, each applied once.

use dormouse_config::PostgresUrl;
use dormouse_storage::postgres::Failure;
use sqlx::{AssertSqlSafe, Connection, PgConnection, query, query_scalar, raw_sql};

use crate::store::Error;

/// Applied in order; never changed once released. The schema version is the number of applied migrations.
const MIGRATIONS: [&str; 3] = [
    include_str!("schema/1_views.sql"),
    include_str!("schema/2_begun_after.sql"),
    include_str!("schema/3_of_journal.sql"),
];

const KNOWN: i64 = MIGRATIONS.len() as i64;

/// The advisory lock that lets one node migrate at a time: "dorviews" in ASCII.
const LOCK: i64 = 0x646f_7276_6965_7773;

/// Whether the schema exists, whether it has our table of versions, and whether it has a table with the name of one of
/// ours.
const FIND: &str = "
    SELECT current_schema() IS NOT NULL, to_regclass('dormouse_views_schema') IS NOT NULL,
        to_regclass('builds') IS NOT NULL OR to_regclass('parked') IS NOT NULL OR to_regclass('paused') IS NOT NULL";

const CREATE_VERSIONS: &str = "
    CREATE TABLE dormouse_views_schema (version bigint PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())";

/// Drops all tables of the store: without the table of versions, the next opening would take the other tables for those
/// of another program. Tables of builds are dropped when their views are prepared.
const FORGET: &str = "DROP TABLE IF EXISTS builds, parked, paused, of_journal, dormouse_views_schema";

/// Why the schema cannot be used.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("the schema {0} is missing and cannot be created: {1}; create it with this user as its owner")]
    NoSchema(String, String),
    #[error(
        "the schema {0} belongs to another program: it has tables with the names of our tables; configure another schema"
    )]
    Foreign(String),
    #[error("the schema {0} has version {1}, this binary knows it up to {KNOWN}: use a newer dormouse")]
    Newer(String, i64),
    #[error(transparent)]
    Failed(#[from] sqlx::Error),
}

/// Brings the schema up to date, in one transaction. The search path of the connection contains this schema only.
pub(super) async fn migrate(connection: &mut PgConnection, url: &PostgresUrl, schema: &str) -> Result<(), Error> {
    match bring_up_to_date(connection, schema).await {
        Ok(()) => Ok(()),
        Err(Problem::Failed(failure)) => match Failure::from(failure) {
            Failure::Full(reason) => Err(Error::Full(reason)),
            failure => Err(Error::Unavailable(format!("{url}: {}", failure.into_reason()))),
        },
        Err(problem) => Err(Error::Unavailable(format!("{url}: {problem}"))),
    }
}

/// Creates the store's own tables anew, empty.
pub(super) async fn make_anew(connection: &mut PgConnection, url: &PostgresUrl, schema: &str) -> Result<(), Error> {
    // The opening has refused foreign and newer schemas, so the tables that are dropped here are ours.
    let forgotten = query(FORGET).execute(&mut *connection).await;
    if let Err(failure) = forgotten {
        return Err(Error::Unavailable(format!("{url}: {}", Failure::from(failure).into_reason())));
    }
    migrate(connection, url, schema).await
}

async fn bring_up_to_date(connection: &mut PgConnection, schema: &str) -> Result<(), Problem> {
    let mut transaction = connection.begin().await?;
    query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await?;
    let (has_schema, _, _) = find(&mut transaction).await?;
    if !has_schema {
        let create = format!("CREATE SCHEMA \"{schema}\"");
        let created = raw_sql(AssertSqlSafe(create)).execute(&mut *transaction).await;
        created.map_err(|error| Problem::NoSchema(schema.to_owned(), error.to_string()))?;
    }
    let (_, is_ours, has_tables) = find(&mut transaction).await?;
    if !is_ours && has_tables {
        return Err(Problem::Foreign(schema.to_owned()));
    }
    if !is_ours {
        query(CREATE_VERSIONS).execute(&mut *transaction).await?;
    }
    let latest = query_scalar("SELECT coalesce(max(version), 0) FROM dormouse_views_schema");
    let found: i64 = latest.fetch_one(&mut *transaction).await?;
    if found > KNOWN {
        return Err(Problem::Newer(schema.to_owned(), found));
    }
    for (migration, version) in MIGRATIONS.into_iter().zip(1_i64..).filter(|(_, version)| *version > found) {
        raw_sql(migration).execute(&mut *transaction).await?;
        let applied = query("INSERT INTO dormouse_views_schema (version) VALUES ($1)").bind(version);
        applied.execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn find(connection: &mut PgConnection) -> Result<(bool, bool, bool), sqlx::Error> {
    sqlx::query_as(FIND).fetch_one(connection).await
}
