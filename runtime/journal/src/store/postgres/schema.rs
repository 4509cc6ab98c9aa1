//! The tables: migrations in order, each applied once.

use dormouse_config::PostgresUrl;
use sqlx::{Connection, PgConnection, Row, query, query_scalar, raw_sql};

use super::error::unreachable;
use crate::error::OpenError;
use crate::store::Migrated;

/// Applied in order, and never changed once released. The schema version is the number of those applied.
const MIGRATIONS: [&str; 1] = [include_str!("schema/1_journal.sql")];

const KNOWN: i64 = MIGRATIONS.len() as i64;

/// The advisory lock that lets one node migrate at a time: "dormouse" in ASCII.
const LOCK: i64 = 0x646f_726d_6f75_7365;

/// Our tables, where `CREATE TABLE` would create them: not those in later schemas of the search path.
const FIND_TABLES: &str = "
    SELECT current_schema() IS NOT NULL,
        to_regclass(quote_ident(current_schema()) || '.dormouse_schema') IS NOT NULL,
        to_regclass(quote_ident(current_schema()) || '.events') IS NOT NULL";

const CREATE_VERSIONS: &str = "
    CREATE TABLE dormouse_schema (version bigint PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())";

/// Brings the schema up to date, in one transaction.
pub(super) async fn migrate(connection: &mut PgConnection, url: &PostgresUrl) -> Result<Migrated, OpenError> {
    let failed = |error: sqlx::Error| unreachable(error.into(), url);
    let mut transaction = connection.begin().await.map_err(failed)?;
    query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await.map_err(failed)?;
    let found = version(&mut transaction, url).await?;
    let from = found.unwrap_or(0);
    if found.is_none() {
        query(CREATE_VERSIONS).execute(&mut *transaction).await.map_err(failed)?;
    }
    for (migration, version) in MIGRATIONS.into_iter().zip(1_i64..).filter(|(_, version)| *version > from) {
        raw_sql(migration).execute(&mut *transaction).await.map_err(failed)?;
        let applied = query("INSERT INTO dormouse_schema (version) VALUES ($1)").bind(version);
        applied.execute(&mut *transaction).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(Migrated { from, to: KNOWN })
}

/// Refuses a schema that this program cannot read.
pub(super) async fn check(connection: &mut PgConnection, url: &PostgresUrl) -> Result<(), OpenError> {
    let place = || url.to_string();
    match version(connection, url).await? {
        Some(KNOWN) => Ok(()),
        Some(found) => {
            let reason = format!("its schema version is {found}, not {KNOWN}: run `dormouse migrate`");
            Err(OpenError::Unreachable { place: place(), reason })
        }
        None => Err(OpenError::Foreign { place: place(), reason: "there are no tables yet".to_owned() }),
    }
}

/// `None` if there is no journal yet.
async fn version(connection: &mut PgConnection, url: &PostgresUrl) -> Result<Option<i64>, OpenError> {
    let place = || url.to_string();
    let failed = |error: sqlx::Error| unreachable(error.into(), url);
    let tables = query(FIND_TABLES).fetch_one(&mut *connection).await.map_err(failed)?;
    let has_schema: bool = tables.try_get(0).map_err(failed)?;
    if !has_schema {
        let reason = "the search path names no existing schema, create it first".to_owned();
        return Err(OpenError::Unreachable { place: place(), reason });
    }
    let (is_ours, has_events): (bool, bool) = (tables.try_get(1).map_err(failed)?, tables.try_get(2).map_err(failed)?);
    if !is_ours && has_events {
        let reason = "it has a table `events`, but no `dormouse_schema`".to_owned();
        return Err(OpenError::Foreign { place: place(), reason });
    }
    if !is_ours {
        return Ok(None);
    }
    let latest = query_scalar("SELECT coalesce(max(version), 0) FROM dormouse_schema");
    let found: i64 = latest.fetch_one(connection).await.map_err(failed)?;
    if found > KNOWN {
        return Err(OpenError::Newer { place: place(), found, known: KNOWN });
    }
    Ok(Some(found))
}
