//! Tables in a schema of their own: migrations in order, each applied once.

use dormouse_config::PostgresUrl;
use sqlx::{AssertSqlSafe, Connection, PgConnection, query, query_scalar, raw_sql};

use super::failure::Failure;
use crate::error::Error;
use crate::migrated::Migrated;

/// Whether the schema exists, whether it has our table of versions, and whether it has a table with the name of one of
/// ours.
const FIND: &str = "
    SELECT current_schema() IS NOT NULL, to_regclass($1) IS NOT NULL,
        EXISTS (SELECT FROM unnest($2::text[]) AS ours (name) WHERE to_regclass(name) IS NOT NULL)";

/// The tables of one part of Dormouse, and the migrations that lead to their latest version.
#[derive(Debug)]
pub struct Schema {
    /// The table of the versions that were applied. It shows that the schema is ours.
    pub versions: &'static str,
    /// The other tables. A schema that has one of these names and not `versions` belongs to another program.
    pub tables: &'static [&'static str],
    /// The advisory lock that lets one node migrate at a time.
    pub lock: i64,
    /// Applied in order; never changed once released. The schema version is the number of applied migrations.
    pub migrations: &'static [&'static str],
}

/// Why the schema cannot be used.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("the schema {0} is missing and cannot be created: {1}; create it with this user as its owner")]
    NoSchema(String, String),
    #[error(
        "the schema {0} belongs to another program: it has tables with the names of our tables; configure another schema"
    )]
    Foreign(String),
    #[error("the schema {0} has version {1}, this binary knows it up to {2}: use a newer dormouse")]
    Newer(String, i64, i64),
    #[error(transparent)]
    Failed(#[from] sqlx::Error),
}

impl Schema {
    /// Checks the name of a schema.
    ///
    /// # Errors
    /// If a schema may not have this name.
    pub fn check_name(name: &str) -> Result<(), Failure> {
        const LONGEST: usize = 63;
        let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        let is_allowed = name.len() <= LONGEST
            && name.bytes().next().is_some_and(is_letter)
            && name.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit())
            && !name.starts_with("pg_");
        if is_allowed {
            return Ok(());
        }
        Err(Failure::Refused(format!(
            "{name:?} is not allowed as a schema: use lower-case letters, digits and underscores, and no `pg_` at the start"
        )))
    }

    /// Brings the schema with this name up to date, in one transaction. The search path of the connection contains this
    /// schema only.
    ///
    /// # Errors
    /// If the schema belongs to another program, is newer than this program, or cannot be created or written.
    pub async fn migrate(
        &self,
        connection: &mut PgConnection,
        url: &PostgresUrl,
        name: &str,
    ) -> Result<Migrated, Error> {
        match self.bring_up_to_date(connection, name).await {
            Ok(migrated) => Ok(migrated),
            Err(Problem::Failed(failure)) => match Failure::from(failure) {
                Failure::Full(reason) => Err(Error::Full(reason)),
                failure => Err(Error::Unavailable(format!("{url}: {}", failure.into_reason()))),
            },
            Err(problem) => Err(Error::Unavailable(format!("{url}: {problem}"))),
        }
    }

    async fn bring_up_to_date(&self, connection: &mut PgConnection, name: &str) -> Result<Migrated, Problem> {
        let (versions, known) = (self.versions, self.migrations.len() as i64);
        let mut transaction = connection.begin().await?;
        query("SELECT pg_advisory_xact_lock($1)").bind(self.lock).execute(&mut *transaction).await?;
        let (has_schema, _, _) = self.find(&mut transaction).await?;
        if !has_schema {
            let create = AssertSqlSafe(format!("CREATE SCHEMA \"{name}\""));
            let created = raw_sql(create).execute(&mut *transaction).await;
            created.map_err(|error| Problem::NoSchema(name.to_owned(), error.to_string()))?;
        }
        let (_, is_ours, has_tables) = self.find(&mut transaction).await?;
        if !is_ours && has_tables {
            return Err(Problem::Foreign(name.to_owned()));
        }
        if !is_ours {
            let create = format!(
                "CREATE TABLE {versions} (version bigint PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
            );
            raw_sql(AssertSqlSafe(create)).execute(&mut *transaction).await?;
        }
        let latest = AssertSqlSafe(format!("SELECT coalesce(max(version), 0) FROM {versions}"));
        let from: i64 = query_scalar(latest).fetch_one(&mut *transaction).await?;
        if from > known {
            return Err(Problem::Newer(name.to_owned(), from, known));
        }
        for (migration, version) in self.migrations.iter().zip(1_i64..).filter(|(_, version)| *version > from) {
            raw_sql(*migration).execute(&mut *transaction).await?;
            let apply = AssertSqlSafe(format!("INSERT INTO {versions} (version) VALUES ($1)"));
            query(apply).bind(version).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(Migrated { from, to: known })
    }

    async fn find(&self, connection: &mut PgConnection) -> Result<(bool, bool, bool), sqlx::Error> {
        sqlx::query_as(FIND).bind(self.versions).bind(self.tables).fetch_one(connection).await
    }
}
