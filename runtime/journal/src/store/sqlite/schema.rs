//! What the tables of each file are, and bringing them up to date.

use sqlx::{Connection, SqliteConnection};

use crate::store::Migrated;

/// One kind of file: how it is recognized, and the steps that lead to its latest version.
#[derive(Debug)]
pub struct Schema {
    /// Written into the header of the file (`PRAGMA application_id`); fixed for ever.
    application_id: i64,
    /// Step n leads from version n to n + 1. Steps are never changed, only added.
    migrations: &'static [&'static str],
}

/// The log. "DORJ" in ASCII.
pub(super) static LOG: Schema = Schema::new(0x444f_524a, &[LOG_1]);

/// The index. "DORI" in ASCII.
pub(super) static INDEX: Schema = Schema::new(0x444f_5249, &[INDEX_1]);

/// The snapshots. "DORS" in ASCII.
pub(super) static SNAPSHOTS: Schema = Schema::new(0x444f_5253, &[SNAPSHOTS_1]);

/// No index here: a commit must touch only the end of one table. The claim tells an owner whose takeover had an unknown
/// outcome that it was its own.
const LOG_1: &str = "
CREATE TABLE events (
    position INTEGER PRIMARY KEY,
    slice INTEGER NOT NULL,
    aggregate_type TEXT NOT NULL,
    aggregate_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    schema_version INTEGER NOT NULL,
    payload BLOB NOT NULL,
    metadata BLOB NOT NULL,
    recorded_at INTEGER NOT NULL,
    command_key TEXT,
    chain BLOB NOT NULL
) STRICT;
CREATE TABLE log_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    epoch INTEGER NOT NULL,
    claim TEXT
) STRICT;
INSERT INTO log_head VALUES (1, 0, NULL);
";

/// The id comes before the type: it nearly always settles a comparison, of rows that are sorted as of places in a tree,
/// where the type hardly ever differs. Ids that come in order stay together.
///
/// The watermark: every event up to this position is indexed. The chain of that event shows that the index belongs to
/// this log.
const INDEX_1: &str = "
CREATE TABLE event_index (
    aggregate_id TEXT NOT NULL,
    aggregate_type TEXT NOT NULL,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (aggregate_id, aggregate_type, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE command_index (
    aggregate_id TEXT NOT NULL,
    aggregate_type TEXT NOT NULL,
    command_key TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (aggregate_id, aggregate_type, command_key)
) STRICT, WITHOUT ROWID;
CREATE TABLE watermark (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    position INTEGER NOT NULL,
    chain BLOB
) STRICT;
INSERT INTO watermark VALUES (1, 0, NULL);
";

/// With a rowid, unlike the index: bodies are large, and rows larger than a fraction of a page slow a tree without one.
const SNAPSHOTS_1: &str = "
CREATE TABLE snapshots (
    aggregate_type TEXT NOT NULL,
    aggregate_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    chain BLOB NOT NULL,
    recorded_at INTEGER NOT NULL,
    snapshot_version INTEGER NOT NULL,
    body BLOB NOT NULL,
    taken_at INTEGER NOT NULL,
    checksum BLOB NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, version)
) STRICT;
";

/// What a file turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A database without anything in it.
    Empty,
    /// One of this kind, with this version.
    Ours(i64),
    /// Somebody else's, and how that shows.
    Foreign(String),
}

impl Schema {
    /// A kind of file with an application id, which nobody else may use, and the steps that lead to its latest version.
    #[must_use]
    pub const fn new(application_id: i64, migrations: &'static [&'static str]) -> Self {
        Self { application_id, migrations }
    }

    /// The application id as the header of a file has it: big-endian.
    pub(super) fn application_id_bytes(&self) -> [u8; 4] {
        u32::try_from(self.application_id).unwrap_or_default().to_be_bytes()
    }

    /// The latest version this binary knows.
    pub(super) fn latest(&self) -> i64 {
        self.migrations.len() as i64
    }

    /// Looks what a database is, without changing it.
    pub(super) async fn inspect(&self, connection: &mut SqliteConnection) -> Result<Found, sqlx::Error> {
        let (application_id, version, tables): (i64, i64, i64) = sqlx::query_as(
            "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)
             FROM pragma_application_id, pragma_user_version",
        )
        .fetch_one(connection)
        .await?;
        Ok(if application_id == self.application_id {
            Found::Ours(version)
        } else if application_id != 0 {
            Found::Foreign(format!("it belongs to the application {application_id:#x}"))
        } else if tables > 0 || version != 0 {
            Found::Foreign("it is the database of another application".to_owned())
        } else {
            Found::Empty
        })
    }

    /// Takes the steps that are missing, all or none. The file must be [`Found::Empty`] or [`Found::Ours`]; one that is
    /// newer stays as it is.
    pub(super) async fn migrate(&self, connection: &mut SqliteConnection) -> Result<Migrated, sqlx::Error> {
        // The lock comes first: another process may be at it too.
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let from: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *transaction).await?;
        let taken = usize::try_from(from).unwrap_or(usize::MAX).min(self.migrations.len());
        for step in &self.migrations[taken..] {
            sqlx::raw_sql(*step).execute(&mut *transaction).await?;
        }
        let to = from.max(self.latest());
        if to != from {
            let header = format!("PRAGMA application_id = {}; PRAGMA user_version = {to}", self.application_id);
            sqlx::raw_sql(sqlx::AssertSqlSafe(header)).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(Migrated { from, to })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn memory() -> SqliteConnection {
        SqliteConnection::connect("sqlite::memory:").await.unwrap()
    }

    #[tokio::test]
    async fn a_new_file_is_brought_to_the_latest_version_once() {
        for schema in [&LOG, &INDEX, &SNAPSHOTS] {
            let mut connection = memory().await;
            assert_eq!(schema.inspect(&mut connection).await.unwrap(), Found::Empty);
            let first = schema.migrate(&mut connection).await.unwrap();
            assert_eq!(first, Migrated { from: 0, to: schema.latest() });
            let again = schema.migrate(&mut connection).await.unwrap();
            assert_eq!(again, Migrated { from: schema.latest(), to: schema.latest() });
            assert_eq!(schema.inspect(&mut connection).await.unwrap(), Found::Ours(schema.latest()));
        }
    }

    #[tokio::test]
    async fn what_others_made_is_recognized() {
        for theirs in ["PRAGMA application_id = 7", "PRAGMA user_version = 3", "CREATE TABLE theirs (id INTEGER)"] {
            let mut connection = memory().await;
            sqlx::raw_sql(theirs).execute(&mut connection).await.unwrap();
            assert!(matches!(LOG.inspect(&mut connection).await.unwrap(), Found::Foreign(_)), "{theirs}");
        }
        let mut index = memory().await;
        INDEX.migrate(&mut index).await.unwrap();
        assert!(matches!(LOG.inspect(&mut index).await.unwrap(), Found::Foreign(_)));
    }
}
