//! Our own tables, and how they came to be: migrations in order, each applied once.

use dormouse_config::PostgresUrl;
use dormouse_storage::postgres::Failure;
use sqlx::{AssertSqlSafe, Connection, PgConnection, query, query_scalar, raw_sql};

use crate::store::Error;

/// Applied in order; never changed once released. The schema version is how many have been.
const MIGRATIONS: [&str; 3] = [
    include_str!("schema/1_views.sql"),
    include_str!("schema/2_begun_after.sql"),
    include_str!("schema/3_of_journal.sql"),
];

const KNOWN: i64 = MIGRATIONS.len() as i64;

/// The advisory lock that lets one node migrate at a time: "dorviews" in ASCII.
const LOCK: i64 = 0x646f_7276_6965_7773;

/// Whether there is the schema, our versions in it, and a table that we would make.
const FIND: &str = "
    SELECT current_schema() IS NOT NULL, to_regclass('dormouse_views_schema') IS NOT NULL,
        to_regclass('builds') IS NOT NULL OR to_regclass('parked') IS NOT NULL OR to_regclass('paused') IS NOT NULL";

const CREATE_VERSIONS: &str = "
    CREATE TABLE dormouse_views_schema (version bigint PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())";

/// What a later opening would not recognize as ours goes; tables of builds go when their views are prepared.
const FORGET: &str = "DROP TABLE IF EXISTS builds, parked, paused, of_journal, dormouse_views_schema";

/// Why the tables are not as they must be.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("the schema {0} is not there, and cannot be made: {1}; have it made, and owned by this user")]
    NoSchema(String, String),
    #[error("the schema {0} is something else's: it has tables that are called like those of views; name another one")]
    Foreign(String),
    #[error("the schema {0} has version {1}, this binary knows it up to {KNOWN}: use a newer dormouse")]
    Newer(String, i64),
    #[error("{}", .0.to_string())]
    Failed(#[from] sqlx::Error),
}

/// Brings the schema up to date, in one transaction. The connection has it, and nothing else, in its search path.
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

/// Makes our own tables anew, empty.
pub(super) async fn make_anew(connection: &mut PgConnection, url: &PostgresUrl, schema: &str) -> Result<(), Error> {
    // Also what is newer than this binary was refused when it was opened: what is dropped here is ours.
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
