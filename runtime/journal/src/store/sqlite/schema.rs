//! The tables of each file.

use dormouse_storage::sqlite::Schema;

/// The log. "DORJ" in ASCII.
pub(super) static LOG: Schema = Schema::new(0x444f_524a, &[LOG_1]);

/// The index. "DORI" in ASCII.
pub(super) static INDEX: Schema = Schema::new(0x444f_5249, &[INDEX_1]);

/// The snapshots. "DORS" in ASCII.
pub(super) static SNAPSHOTS: Schema = Schema::new(0x444f_5253, &[SNAPSHOTS_1]);

/// The log has no index, because a commit must touch only the end of one table. The claim tells an owner whose takeover
/// had an unknown outcome that the takeover was its own.
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

/// The id precedes the type in the keys: it nearly always decides a comparison, both when rows are sorted and in the
/// tree, where the type hardly ever differs. Ids that are made in order stay together.
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

/// With a rowid, unlike the index: bodies are large, and large rows slow a tree without a rowid.
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

#[cfg(test)]
mod tests {
    use dormouse_storage::Migrated;
    use dormouse_storage::sqlite::FileIdentity;
    use sqlx::{Connection, SqliteConnection};

    use super::*;

    async fn memory() -> SqliteConnection {
        SqliteConnection::connect("sqlite::memory:").await.unwrap()
    }

    #[tokio::test]
    async fn a_new_file_is_brought_to_the_latest_version_once() {
        for schema in [&LOG, &INDEX, &SNAPSHOTS] {
            let mut connection = memory().await;
            assert_eq!(schema.inspect(&mut connection).await.unwrap(), FileIdentity::Empty);
            let first = schema.migrate(&mut connection).await.unwrap();
            assert_eq!(first, Migrated { from: 0, to: schema.latest() });
            let again = schema.migrate(&mut connection).await.unwrap();
            assert_eq!(again, Migrated { from: schema.latest(), to: schema.latest() });
            assert_eq!(schema.inspect(&mut connection).await.unwrap(), FileIdentity::Ours(schema.latest()));
        }
    }

    #[tokio::test]
    async fn files_of_other_applications_are_recognized() {
        for theirs in ["PRAGMA application_id = 7", "PRAGMA user_version = 3", "CREATE TABLE theirs (id INTEGER)"] {
            let mut connection = memory().await;
            sqlx::raw_sql(theirs).execute(&mut connection).await.unwrap();
            assert!(matches!(LOG.inspect(&mut connection).await.unwrap(), FileIdentity::Foreign(_)), "{theirs}");
        }
        let mut index = memory().await;
        INDEX.migrate(&mut index).await.unwrap();
        assert!(matches!(LOG.inspect(&mut index).await.unwrap(), FileIdentity::Foreign(_)));
    }
}
