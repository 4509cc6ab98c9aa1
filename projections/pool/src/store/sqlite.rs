//! Views in SQLite: one file, beside the journal's or in another directory. It is derived from the journal, and created
//! anew if it is damaged.
//!
//! `views.db` has a table for each build of a view, a SQL view `view_<name>` on the served build, which operators may
//! read, and four tables of the store: `builds` (how far each is), `parked` (the events that wait), `paused` (the views
//! that are paused), `of_journal` (the journal that the views belong to). One connection writes, others read. A power
//! cut may undo the latest commits (`synchronous=NORMAL`), rows and offsets alike: the journal has the events.

mod commit;
mod connections;
mod decode;
mod layout;
#[cfg(test)]
mod plans;
mod schema;
mod statements;
mod written;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use dormouse_kernel::{AggregateRef, Mark, Position};
use dormouse_storage::sqlite::{WalWatch, derived_file};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::numbers::{build_number, position};
use super::{
    Advance, Begin, Build, BuildNumber, Builds, CommitError, DocumentAt, Error, Loaded, Offset, Parked, ViewStore,
};
use crate::definition::Definition;
use crate::key::Key;
use crate::query::{Page, Query};
use connections::{File, Target, failed};
use dormouse_storage::sqlite::BUSY_TIMEOUT;
use dormouse_storage::{from_sql, to_sql};
use schema::VIEWS;
use written::Written;

/// Pages (4 KiB) in the WAL before a checkpoint, which syncs the whole WAL while all commits wait. With this number a
/// checkpoint takes some tens of milliseconds, and delays the views by as much.
const CHECKPOINT_PAGES: &str = "1000";

/// The size to which a checkpoint truncates a WAL that has grown (64 MiB): the WAL of large batches has this size.
const WAL_BYTES_KEPT: &str = "67108864";

/// Cache of the writing connection, in KiB because it is negative: 64 MiB, so that hot documents are not read from the
/// file.
const CACHE: &str = "-65536";

/// Prepared statements that the writing connection keeps: about twenty for each view.
const KEPT_STATEMENTS: usize = 512;

/// Rows that a connection may be ahead of its reader. If the buffer is full, the thread of the connection sleeps.
const ROWS_AHEAD: usize = 2048;

/// Keeps views in a file.
#[derive(Debug)]
pub struct Sqlite {
    writer: File,
    readers: File,
    written: Written,
    /// Whether the file was found to be damaged. It is then replaced when a view is prepared next.
    damaged: AtomicBool,
    /// Measures the WAL until the store is dropped.
    _wal: WalWatch,
}

impl Sqlite {
    /// Opens `views.db` in a directory; both are created if they are missing. A damaged file is replaced by an empty
    /// one.
    ///
    /// # Errors
    /// If the file cannot be created or written, or belongs to another program or a newer version.
    pub async fn open(directory: &Path, read_connections: u32) -> Result<Self, Error> {
        let unavailable = |failure: std::io::Error| Error::Unavailable(format!("{}: {failure}", directory.display()));
        std::fs::create_dir_all(directory).map_err(unavailable)?;
        let file = SqliteConnectOptions::new()
            .filename(directory.join("views.db"))
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("journal_size_limit", WAL_BYTES_KEPT)
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
            .statement_cache_capacity(KEPT_STATEMENTS)
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
            writer: File::new(writing, 1),
            readers: File::new(reading, read_connections.max(1)),
            written: Written::default(),
            damaged: AtomicBool::new(false),
            _wal: WalWatch::start([("views", directory.join("views.db"))]),
        })
    }

    /// Returns what was decoded, and remembers damage.
    fn decoded<T, E: Into<Error>>(&self, decoded: Result<T, E>) -> Result<T, Error> {
        decoded.map_err(|error| self.note(error.into()))
    }
}

#[async_trait]
impl ViewStore for Sqlite {
    async fn prepare(&self, view: &Definition) -> Result<Builds, Error> {
        self.replace_if_damaged().await?;
        // The declared fields may have changed, and the table may get another layout.
        self.written.forget();
        let found = self.write(Target::Store, async |connection| schema::prepare(connection, view).await);
        self.decoded(found.await?)
    }

    async fn begin(&self, view: &Definition, after: Offset, how: Begin) -> Result<Build, Error> {
        let begun = self.write(Target::Store, async |connection| schema::begin(connection, view, after, how).await);
        let number = self.decoded(build_number("builds.build", begun.await?))?;
        Ok(Build { number, version: view.version(), begun_after: after.position, offset: after })
    }

    async fn serve(&self, view: &Definition, build: BuildNumber) -> Result<bool, Error> {
        self.write(Target::Store, async |connection| schema::serve(connection, view, build).await).await
    }

    async fn abandon(&self, view: &Definition) -> Result<(), Error> {
        self.write(Target::Store, async |connection| schema::abandon(connection, view).await).await
    }

    async fn load(&self, view: &Definition, build: BuildNumber, keys: &[Key], bytes: usize) -> Result<Loaded, Error> {
        if keys.is_empty() {
            return Ok(Some(Vec::new()));
        }
        // On the writing connection, which has the hot pages in its cache.
        let loaded = self.write(Target::Build(build), async |connection| {
            statements::load(connection, view, build, keys, bytes).await
        });
        self.decoded(loaded.await?)
    }

    async fn commit(&self, view: &Definition, build: BuildNumber, advance: Advance) -> Result<(), CommitError> {
        let from = advance.from;
        let committed = self
            .write(Target::Build(build), async |connection| {
                commit::commit(connection, view, build, advance, &self.written).await
            })
            .await?;
        let Err(found) = committed else { return Ok(()) };
        let found = self.decoded(found.map(|number| position("builds.position", number)).transpose())?;
        Err(CommitError::Moved { expected: from, found })
    }

    async fn get(&self, view: &Definition, key: &Key) -> Result<DocumentAt, Error> {
        let sql = statements::get(view);
        let found = self.read(Target::Served(view), async |connection| {
            let query = sqlx::query(AssertSqlSafe(sql)).bind(view.name()).bind(key.shared());
            query.fetch_optional(connection).await
        });
        let row = found.await?.ok_or_else(|| Target::Served(view).missing())?;
        self.decoded(decode::document(&row))
    }

    async fn list(&self, view: &Definition, query: &Query) -> Result<Page, Error> {
        let (sql, binds) = statements::list(view, query);
        let rows = self.read(Target::Served(view), async |connection| {
            let statement = sqlx::query(AssertSqlSafe(sql)).bind(view.name());
            binds.into_iter().fold(statement, statements::bind).fetch_all(connection).await
        });
        let rows = rows.await?;
        let first = rows.first().ok_or_else(|| Target::Served(view).missing())?;
        self.decoded(decode::page(query, first, &rows))
    }

    async fn parked(
        &self,
        build: BuildNumber,
        of: Option<&AggregateRef>,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Parked>, Error> {
        let rows = self.read(Target::Build(build), async |connection| {
            sqlx::query(
                "SELECT aggregate_type, aggregate_id, version, position, reason, attempts FROM parked
                 WHERE build = ?1 AND position > ?2
                    AND (?4 IS NULL OR aggregate_type = ?4 AND aggregate_id = ?5) ORDER BY position LIMIT ?3",
            )
            .bind(to_sql(build.0))
            .bind(to_sql(after.0))
            .bind(to_sql(limit as u64))
            .bind(of.map(|of| of.aggregate_type.as_str()))
            .bind(of.map(|of| of.id.as_str()))
            .fetch_all(connection)
            .await
        });
        self.decoded(rows.await?.iter().map(decode::parked).collect())
    }

    async fn parked_among(&self, build: BuildNumber, aggregates: &[AggregateRef]) -> Result<Vec<AggregateRef>, Error> {
        let names: Vec<_> = aggregates.iter().map(|one| (one.aggregate_type.as_str(), one.id.as_str())).collect();
        let names = serde_json::to_string(&names).map_err(|error| Error::Unavailable(error.to_string()))?;
        let rows = self.read(Target::Build(build), async |connection| {
            sqlx::query(
                "SELECT value ->> 0, value ->> 1 FROM json_each(?2) WHERE EXISTS (
                    SELECT 1 FROM parked
                    WHERE build = ?1 AND aggregate_type = value ->> 0 AND aggregate_id = value ->> 1)",
            )
            .bind(to_sql(build.0))
            .bind(names)
            .fetch_all(connection)
            .await
        });
        self.decoded(rows.await?.iter().map(decode::aggregate).collect())
    }

    async fn parked_count(&self, build: BuildNumber) -> Result<usize, Error> {
        let count = self.read(Target::Build(build), async |connection| {
            sqlx::query_scalar(
                "SELECT count(*) FROM (SELECT DISTINCT aggregate_type, aggregate_id FROM parked WHERE build = ?)",
            )
            .bind(to_sql(build.0))
            .fetch_one(connection)
            .await
        });
        self.decoded(from_sql(count.await?, "count"))
    }

    async fn drop_view(&self, name: &str) -> Result<(), Error> {
        self.write(Target::Store, async |connection| schema::drop_view(connection, name).await).await
    }

    async fn names(&self) -> Result<Vec<String>, Error> {
        self.read(Target::Store, async |connection| {
            let names = sqlx::query_scalar("SELECT view FROM builds UNION SELECT view FROM paused ORDER BY 1");
            names.fetch_all(connection).await
        })
        .await
    }

    async fn of_journal(&self, first: Option<Mark>) -> Result<Option<Mark>, Error> {
        let found = self.write(Target::Store, async |connection| schema::of_journal(connection, first).await).await?;
        self.decoded(found.map(|mark| super::mark(&mark)).transpose())
    }

    async fn set_paused(&self, view: &Definition, is_paused: bool) -> Result<(), Error> {
        let sql = if is_paused {
            "INSERT OR IGNORE INTO paused (view) VALUES (?)"
        } else {
            "DELETE FROM paused WHERE view = ?"
        };
        self.write(Target::Store, async |connection| sqlx::query(sql).bind(view.name()).execute(connection).await)
            .await?;
        Ok(())
    }

    async fn close(&self) {
        // Readers first: the last connection that closes must be able to empty the WAL.
        self.readers.pool.close().await;
        self.writer.pool.close().await;
    }
}
