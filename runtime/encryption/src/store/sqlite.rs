//! Keys in SQLite: one file, in a directory that no backup of events has.
//!
//! What is destroyed must not remain in the file. So freed bytes are overwritten with zeros (`secure_delete`), and a
//! destruction ends with a checkpoint that empties the write-ahead log. One connection writes, others read. Keys that are made
//! at the same time share a commit (`creations`).
//!
//! Limit: neither the file system nor the disk is told to overwrite what it has copied elsewhere. Copies of a destroyed
//! key are still wrapped: once the wrapping key was rotated and the old one was removed, they are useless.

mod creations;

use std::path::Path;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use dormouse_kernel::Timestamp;
use dormouse_storage::sqlite::{BUSY_TIMEOUT, Pool, Schema, error, kept_file};
use dormouse_storage::to_sql;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection, query, query_as};

use super::row::{self, COLUMNS, KeyColumns, microseconds};
use super::{DestroyedKey, Error, KeyCounts, KeyStore, LiveKey, StoredKey};
use crate::id::{KeyId, SubjectHash};
use crate::wrapping::{Wrapped, WrappingKeyId};
use creations::Creations;

/// "DORK" in ASCII.
static KEYS: Schema = Schema::new(0x444f_524b, &[KEYS_1]);

/// Times are microseconds since 1970-01-01 UTC. A destroyed key has no bytes.
const KEYS_1: &str = "
CREATE TABLE data_key (
    id BLOB PRIMARY KEY,
    subject BLOB NOT NULL,
    wrapping_key TEXT,
    wrapped BLOB,
    created_at INTEGER NOT NULL,
    destroyed_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX data_key_live ON data_key (subject) WHERE destroyed_at IS NULL;
CREATE INDEX data_key_by_subject ON data_key (subject);
";

/// What happens to an application whose file is moved away.
const WITHOUT_IT: &str = "then all encrypted data is lost";

/// The time between two attempts to empty the write-ahead log: about as long as another connection takes to do it.
const CHECKPOINT_PAUSE: Duration = Duration::from_millis(5);

/// The writing connection, so that there is only one.
const WRITERS: u32 = 1;

/// Keeps keys in a file.
#[derive(Debug)]
pub struct Sqlite {
    writing: SqliteConnectOptions,
    writer: Pool,
    reading: SqliteConnectOptions,
    readers: Pool,
    creations: Creations,
}

impl Sqlite {
    /// Opens `keys.db` in a directory; both are created if they are missing.
    ///
    /// # Errors
    /// If the file cannot be created or written, is damaged, or belongs to another program or a newer version. Such a
    /// file is left as it is.
    pub async fn open(directory: &Path, read_connections: u32) -> Result<Self, Error> {
        let unavailable = |failure: std::io::Error| Error::Unavailable(format!("{}: {failure}", directory.display()));
        std::fs::create_dir_all(directory).map_err(unavailable)?;
        let file = SqliteConnectOptions::new()
            .filename(directory.join("keys.db"))
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(false)
            .disable_statement_logging();
        let writing = file
            .clone()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("secure_delete", "ON")
            .pragma("temp_store", "MEMORY")
            .thread_name(|_| "keys-write".to_owned());
        let reading =
            file.read_only(true).pragma("query_only", "ON").thread_name(|number| format!("keys-read-{number}"));
        let first = kept_file::open(&writing, &KEYS, WITHOUT_IT).await?;
        first.close().await.map_err(failed)?;
        Ok(Self {
            // A file that is deleted while it is in use is not created again: its content would be missing.
            writing: writing.create_if_missing(false),
            writer: Pool::new("the file of the keys", WRITERS),
            reading,
            readers: Pool::new("the file of the keys", read_connections.max(1)),
            creations: Creations::default(),
        })
    }

    /// Runs a query on a connection that reads. After an error the connection is dropped.
    async fn read<T>(
        &self,
        query: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Error> {
        let mut reader = self.readers.borrow(async { self.reading.connect().await.map_err(failed) }).await?;
        let found = query(&mut reader.connection).await.map_err(failed)?;
        reader.give_back();
        Ok(found)
    }

    /// Runs statements on the connection that writes. Each of them is a transaction.
    async fn write<T>(
        &self,
        statements: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Error> {
        let mut writer = self.writer.borrow(async { self.writing.connect().await.map_err(failed) }).await?;
        let done = statements(&mut writer.connection).await.map_err(failed)?;
        writer.give_back();
        Ok(done)
    }

    /// Copies the write-ahead log into the file, and truncates it. SQLite gives up at once if another connection does
    /// the same, so this is repeated for a while.
    async fn empty_wal(&self) -> Result<(), Error> {
        let began = Instant::now();
        loop {
            let checkpoint =
                self.write(async |connection| query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(connection).await);
            let (is_busy, _, _): (i64, i64, i64) = checkpoint.await?;
            if is_busy == 0 {
                return Ok(());
            }
            if began.elapsed() >= BUSY_TIMEOUT {
                let reason = "the key is destroyed, but its bytes are still in the write-ahead log, because another \
                              program reads it: end that, and repeat";
                return Err(Error::Unavailable(reason.to_owned()));
            }
            tokio::time::sleep(CHECKPOINT_PAUSE).await;
        }
    }
}

#[async_trait]
impl KeyStore for Sqlite {
    async fn get(&self, ids: &[KeyId]) -> Result<Vec<StoredKey>, Error> {
        // One parameter, however many there are. Ids have hexadecimal digits only.
        let ids: Vec<String> = ids.iter().map(|id| format!("\"{id}\"")).collect();
        let sql = format!("SELECT {COLUMNS} FROM data_key WHERE id IN (SELECT unhex(value) FROM json_each(?1))");
        let ids = format!("[{}]", ids.join(","));
        let rows = self.read(async |connection| query_as(AssertSqlSafe(sql)).bind(ids).fetch_all(connection).await);
        let rows: Vec<KeyColumns> = rows.await?;
        rows.into_iter().map(row::stored).collect()
    }

    async fn find(&self, subject: SubjectHash) -> Result<Option<LiveKey>, Error> {
        let row = self.read(async |connection| live_row(connection, subject).await).await?;
        row.map(row::live).transpose()
    }

    async fn create(&self, key: &LiveKey) -> Result<LiveKey, Error> {
        // Each call that waits may be the one that creates what waits, and gets its result from whichever does.
        loop {
            let mut created = self.creations.add(key);
            loop {
                tokio::select! {
                    biased;
                    result = &mut created => match result {
                        Ok(result) => return result,
                        // The transaction with this key failed, and another call has its error.
                        Err(_) => break,
                    },
                    done = self.write(async |connection| creations::create(connection, self.creations.take()).await) => {
                        done?;
                    }
                }
            }
        }
    }

    async fn destroy(&self, subject: SubjectHash, now: Timestamp) -> Result<Vec<DestroyedKey>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM data_key WHERE subject = ?1");
        let rows: Vec<KeyColumns> = self
            .write(async |connection| {
                let update = query(
                    "UPDATE data_key SET wrapping_key = NULL, wrapped = NULL, destroyed_at = ?2
                     WHERE subject = ?1 AND destroyed_at IS NULL",
                );
                update.bind(&subject.as_bytes()[..]).bind(microseconds(now)).execute(&mut *connection).await?;
                query_as(AssertSqlSafe(sql)).bind(&subject.as_bytes()[..]).fetch_all(connection).await
            })
            .await?;
        // Also if nothing was destroyed now: an earlier attempt may have failed here.
        self.empty_wal().await?;
        row::destroyed(rows)
    }

    async fn wrapped_by_others(
        &self,
        current: &WrappingKeyId,
        after: Option<KeyId>,
        limit: usize,
    ) -> Result<Vec<LiveKey>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM data_key WHERE destroyed_at IS NULL AND wrapping_key <> ?1 AND id > ?2
             ORDER BY id LIMIT ?3"
        );
        // No id is shorter than any other.
        let after = after.map_or(Vec::new(), |id| id.as_bytes().to_vec());
        let rows = self.read(async |connection| {
            let page = query_as(AssertSqlSafe(sql)).bind(current.as_str()).bind(after).bind(to_sql(limit as u64));
            page.fetch_all(connection).await
        });
        let rows: Vec<KeyColumns> = rows.await?;
        rows.into_iter().map(row::live).collect()
    }

    async fn rewrap(&self, id: KeyId, from: &Wrapped, to: &Wrapped) -> Result<bool, Error> {
        let written = self.write(async |connection| {
            let update = query(
                "UPDATE data_key SET wrapping_key = ?2, wrapped = ?3
                 WHERE id = ?1 AND wrapping_key = ?4 AND wrapped = ?5",
            );
            let update = update.bind(&id.as_bytes()[..]).bind(to.by.as_str()).bind(&to.bytes[..]);
            update.bind(from.by.as_str()).bind(&from.bytes[..]).execute(connection).await
        });
        Ok(written.await?.rows_affected() == 1)
    }

    async fn counts(&self) -> Result<KeyCounts, Error> {
        let rows = self.read(async |connection| {
            query_as("SELECT wrapping_key, count(*) FROM data_key GROUP BY wrapping_key").fetch_all(connection).await
        });
        row::counts(rows.await?)
    }

    async fn close(&self) {
        // Readers first: the connection that closes last empties the WAL.
        self.readers.close().await;
        self.writer.close().await;
    }
}

async fn live_row(connection: &mut SqliteConnection, subject: SubjectHash) -> Result<Option<KeyColumns>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM data_key WHERE subject = ?1 AND destroyed_at IS NULL");
    query_as(AssertSqlSafe(sql)).bind(&subject.as_bytes()[..]).fetch_optional(connection).await
}

/// What the error of a statement means. A value of the wrong type is damage.
fn failed(failure: sqlx::Error) -> Error {
    match failure {
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Error::Damaged(failure.to_string()),
        failure => error::classify(failure),
    }
}
