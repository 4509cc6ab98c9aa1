//! Views in SQLite: one file beside the journal's, derived from it and made anew if anything is wrong with it.
//!
//! `views.db` has a table `view_<name>` for each view, which operators may read, and two of our own: `views` says how
//! far each view is, `parked` which events wait. One connection writes, others read. A power cut may take the latest
//! commits away (`synchronous=NORMAL`), rows and offsets alike: the journal has the events.

mod connections;
mod schema;
mod statements;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dormouse_journal::StoreError;
use dormouse_journal::store::derived_file;
use dormouse_kernel::{AggregateId, AggregateRef, AggregateType, Chain, Position, Version};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row as _, SqliteConnection};

use super::{Advance, CommitError, Error, Found, Offset, Parked, ViewStore};
use crate::definition::Definition;
use crate::key::Key;
use connections::Connections;
use schema::VIEWS;

/// How long a statement waits for another connection's lock. Only a foreign tool holds one for longer than a commit.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Pages (4 KiB) in the WAL before it is copied back: a batch touches pages all over the file, and most of them again
/// and again.
const CHECKPOINT_PAGES: &str = "16000";

/// Pages that the writing connection caches, in KiB when negative: 64 MiB, so that hot documents need no reading.
const CACHE: &str = "-65536";

/// Rows that a reading connection may be ahead of whoever takes them: at a full buffer its thread would go to sleep.
const ROWS_AHEAD: usize = 2048;

/// Keeps views in a file.
#[derive(Debug)]
pub struct Sqlite {
    writer: Connections,
    readers: Connections,
    /// The file is to be replaced when a view is prepared next.
    damaged: AtomicBool,
}

impl Sqlite {
    /// Opens `views.db` in a directory; both are made if they are missing. A file that cannot be used is replaced by an
    /// empty one.
    ///
    /// # Errors
    /// If it cannot be created or written.
    pub async fn open(directory: &Path, read_connections: u32) -> Result<Self, Error> {
        let unavailable = |failure: std::io::Error| Error::Unavailable(format!("{}: {failure}", directory.display()));
        std::fs::create_dir_all(directory).map_err(unavailable)?;
        let file = SqliteConnectOptions::new()
            .filename(directory.join("views.db"))
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(false)
            .disable_statement_logging();
        let writing = file
            .clone()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            .pragma("cache_size", CACHE)
            .pragma("temp_store", "MEMORY")
            .row_buffer_size(ROWS_AHEAD)
            .thread_name(|_| "views-write".to_owned());
        let reading = file
            .read_only(true)
            .pragma("query_only", "ON")
            .row_buffer_size(ROWS_AHEAD)
            .thread_name(|number| format!("views-read-{number}"));
        let first = derived_file::open(writing.clone(), &VIEWS, || ()).await?;
        first.close().await.map_err(failed)?;
        Ok(Self {
            writer: Connections::new(writing, 1),
            readers: Connections::new(reading, read_connections.max(1)),
            damaged: AtomicBool::new(false),
        })
    }

    /// Replaces the file if it was found to be damaged. Whoever works on a view in it finds that it has moved.
    async fn replace_if_damaged(&self) -> Result<(), Error> {
        if !self.damaged.load(Ordering::Acquire) {
            return Ok(());
        }
        // All writers are out, so nobody writes to a file that is about to go.
        let writer = self.writer.borrow().await?;
        if self.damaged.load(Ordering::Acquire) {
            tracing::warn!("the views are damaged and are built anew");
            self.readers.reopen();
            let created = derived_file::create(self.writer.options(), &VIEWS).await?;
            created.close().await.map_err(failed)?;
            self.readers.reopen();
            self.damaged.store(false, Ordering::Release);
        }
        // The connection to the old file goes, instead of being given back.
        drop(writer);
        Ok(())
    }

    /// Runs a statement or a transaction on the connection that writes.
    async fn write<T>(
        &self,
        view: &Definition,
        what: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Error> {
        self.on(&self.writer, view, what).await
    }

    /// Runs a statement on a connection that reads.
    async fn read<T>(
        &self,
        view: &Definition,
        what: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Error> {
        self.on(&self.readers, view, what).await
    }

    async fn on<T>(
        &self,
        connections: &Connections,
        view: &Definition,
        what: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Error> {
        let mut borrowed = connections.borrow().await?;
        match what(&mut borrowed.connection).await {
            Ok(value) => {
                borrowed.give_back();
                Ok(value)
            }
            Err(failure) => {
                drop(borrowed);
                match failed(failure) {
                    // A table that was never made is no damage.
                    Error::Damaged(_) if self.is_unknown(view).await => Err(unknown(view)),
                    error => Err(self.note(error)),
                }
            }
        }
    }

    /// Whether the view was never prepared, for certain.
    async fn is_unknown(&self, view: &Definition) -> bool {
        let Ok(mut reader) = self.readers.borrow().await else { return false };
        let known = sqlx::query("SELECT 1 FROM views WHERE view = ?").bind(view.name());
        let known = known.fetch_optional(&mut reader.connection).await;
        known.is_ok_and(|known| known.is_none())
    }

    /// Damage is remembered, and mended when a view is prepared.
    fn note(&self, error: Error) -> Error {
        if matches!(error, Error::Damaged(_)) {
            self.damaged.store(true, Ordering::Release);
        }
        error
    }

    fn decoded<T>(&self, rows: &[SqliteRow], decode: impl Fn(&SqliteRow) -> Result<T, Error>) -> Result<Vec<T>, Error> {
        rows.iter().map(decode).collect::<Result<_, _>>().map_err(|error| self.note(error))
    }
}

#[async_trait]
impl ViewStore for Sqlite {
    async fn prepare(&self, view: &Definition) -> Result<Offset, Error> {
        self.replace_if_damaged().await?;
        let (position, chain) = self.write(view, async |connection| schema::prepare(connection, view).await).await?;
        offset(position, &chain).map_err(|error| self.note(error))
    }

    async fn reset(&self, view: &Definition) -> Result<(), Error> {
        self.write(view, async |connection| schema::make_anew(connection, view).await).await
    }

    async fn load(&self, view: &Definition, keys: &[Key]) -> Result<Vec<(Key, String)>, Error> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let (sql, keys) = (statements::load(view), statements::keys(keys));
        // On the connection that writes: it has the hot pages in its cache.
        let rows = self
            .write(view, async |connection| sqlx::query(AssertSqlSafe(sql)).bind(keys).fetch_all(connection).await)
            .await?;
        self.decoded(&rows, |row| Ok((Key::from(column::<&str>(row, 0)?), column(row, 1)?)))
    }

    async fn commit(&self, view: &Definition, advance: Advance) -> Result<(), CommitError> {
        let from = advance.from;
        let committed =
            self.write(view, async |connection| statements::commit(connection, view, advance).await).await?;
        committed.map_err(|found| CommitError::Moved { expected: from, found: found.map(position) })
    }

    async fn get(&self, view: &Definition, key: &Key) -> Result<Found, Error> {
        let sql = statements::get(view);
        let found = self.read(view, async |connection| {
            let query = sqlx::query_as(AssertSqlSafe(sql)).bind(view.name()).bind(key.shared());
            query.fetch_optional(connection).await
        });
        let found: Option<(i64, Option<String>, Option<i64>)> = found.await?;
        let Some((at, document, changed)) = found else {
            return Err(unknown(view));
        };
        Ok(Found { document: document.zip(changed.map(position)), at: position(at) })
    }

    async fn parked(&self, view: &Definition, after: Position, limit: usize) -> Result<Vec<Parked>, Error> {
        let rows = self.read(view, async |connection| {
            sqlx::query(
                "SELECT aggregate_type, aggregate_id, version, position, reason FROM parked
                 WHERE view = ? AND position > ? ORDER BY position LIMIT ?",
            )
            .bind(view.name())
            .bind(signed(after.0))
            .bind(signed(limit as u64))
            .fetch_all(connection)
            .await
        });
        self.decoded(&rows.await?, |row| {
            Ok(Parked {
                aggregate: aggregate(row)?,
                version: Version(unsigned(column(row, 2)?)),
                position: position(column(row, 3)?),
                reason: column(row, 4)?,
            })
        })
    }

    async fn parked_aggregates(&self, view: &Definition, limit: usize) -> Result<Vec<AggregateRef>, Error> {
        let rows = self.read(view, async |connection| {
            sqlx::query("SELECT DISTINCT aggregate_type, aggregate_id FROM parked WHERE view = ? LIMIT ?")
                .bind(view.name())
                .bind(signed(limit as u64))
                .fetch_all(connection)
                .await
        });
        self.decoded(&rows.await?, aggregate)
    }

    async fn close(&self) {
        // Readers first: the last connection to go should be one that can empty the WAL.
        self.readers.close().await;
        self.writer.close().await;
    }
}

fn unknown(view: &Definition) -> Error {
    Error::Unavailable(format!("there is no view {}", view.name()))
}

fn offset(at: i64, chain: &[u8]) -> Result<Offset, Error> {
    let chain = Chain::from_bytes(chain).ok_or_else(|| Error::Damaged("a chain does not have 16 bytes".to_owned()))?;
    Ok(Offset { position: position(at), chain })
}

fn aggregate(row: &SqliteRow) -> Result<AggregateRef, Error> {
    let damaged = |error: dormouse_kernel::InvalidId| Error::Damaged(error.to_string());
    let aggregate_type = AggregateType::new(column::<&str>(row, 0)?).map_err(damaged)?;
    Ok(AggregateRef::new(aggregate_type, AggregateId::new(column::<&str>(row, 1)?).map_err(damaged)?))
}

/// One value of a row.
fn column<'r, T>(row: &'r SqliteRow, index: usize) -> Result<T, Error>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(index).map_err(|error| Error::Damaged(error.to_string()))
}

/// A number as SQLite has them. No position or version comes near the end of an `i64`.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn position(number: i64) -> Position {
    Position(unsigned(number))
}

fn failed(failure: sqlx::Error) -> Error {
    derived_file::error(failure).into()
}

/// The journal's files and this one go wrong in the same ways.
impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(reason) => Self::Unavailable(reason),
            StoreError::Full(reason) => Self::Full(reason),
            StoreError::Damaged(reason) => Self::Damaged(reason),
            StoreError::Fenced => Self::Unavailable(error.to_string()),
        }
    }
}
