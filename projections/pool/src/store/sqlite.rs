//! Views in SQLite: one file beside the journal's, derived from it and made anew if anything is wrong with it.
//!
//! `views.db` has a table for each build of a view, a SQL view `view_<name>` on the one that is served, which operators may
//! read, and tables of our own: `builds` says how far each is, `parked` which events wait, `paused` what stays as it is,
//! `of_journal` which journal all of them are of. One connection writes, others read. A power cut may take the latest
//! commits away (`synchronous=NORMAL`), rows and offsets alike: the journal has the events.

mod layout;
#[cfg(test)]
mod plans;
mod schema;
mod statements;
mod written;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dormouse_journal::StoreError;
use dormouse_journal::store::derived_file::{self, Borrowed, Pool, WalWatch};
use dormouse_kernel::{AggregateId, AggregateRef, AggregateType, Chain, Mark, Position, Version};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row as _, SqliteConnection};

use super::{
    Advance, Begin, Build, BuildNumber, Builds, CommitError, DocumentAt, Error, Loaded, Offset, Parked, Row, ViewStore,
};
use crate::definition::Definition;
use crate::fields::Kind;
use crate::key::Key;
use crate::query::{Page, Query, Value};
use schema::VIEWS;
use written::Written;

/// How long a statement waits for another connection's lock. Only a foreign tool holds one for longer than a commit.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Pages (4 KiB) in the WAL before it is copied back, which syncs all of it while others wait: so many take some tens of
/// milliseconds, and views are so much older then.
const CHECKPOINT_PAGES: &str = "1000";

/// What is left of a WAL that had to grow once it was copied back: the worth of a checkpoint of large batches.
const WAL_BYTES_KEPT: &str = "67108864";

/// Pages that the writing connection caches, in KiB when negative: 64 MiB, so that hot documents need no reading.
const CACHE: &str = "-65536";

/// Statements that the writing connection keeps: some twenty for each view.
const KEPT_STATEMENTS: usize = 512;

/// Rows that a reading connection may be ahead of whoever takes them: at a full buffer its thread would go to sleep.
const ROWS_AHEAD: usize = 2048;

/// Keeps views in a file.
#[derive(Debug)]
pub struct Sqlite {
    writer: File,
    readers: File,
    written: Written,
    /// The file is to be replaced when a view is prepared next.
    damaged: AtomicBool,
    /// Ends with the store.
    _wal: WalWatch,
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

    /// Replaces the file if it was found to be damaged. Whoever works on a view in it finds that it has moved.
    async fn replace_if_damaged(&self) -> Result<(), Error> {
        if !self.damaged.load(Ordering::Acquire) {
            return Ok(());
        }
        // All writers are out, so nobody writes to a file that is about to go.
        let writer = self.writer.borrow().await?;
        if self.damaged.load(Ordering::Acquire) {
            tracing::warn!("the views are damaged and are built anew");
            self.readers.pool.reopen();
            let created = derived_file::create(self.writer.options.clone(), &VIEWS).await?;
            created.close().await.map_err(failed)?;
            self.readers.pool.reopen();
            self.damaged.store(false, Ordering::Release);
        }
        // The connection to the old file goes, instead of being given back.
        drop(writer);
        Ok(())
    }

    /// Runs a statement or a transaction on the connection that writes.
    async fn write<T>(
        &self,
        about: Subject<'_>,
        what: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Error> {
        self.on(&self.writer, about, what).await
    }

    /// Runs a statement on a connection that reads.
    async fn read<T>(
        &self,
        about: Subject<'_>,
        what: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Error> {
        self.on(&self.readers, about, what).await
    }

    async fn on<T>(
        &self,
        file: &File,
        about: Subject<'_>,
        what: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Error> {
        let mut borrowed = file.borrow().await?;
        match what(&mut borrowed.connection).await {
            Ok(value) => {
                borrowed.give_back();
                Ok(value)
            }
            Err(failure) => {
                drop(borrowed);
                match failed(failure) {
                    // A table that was never made, or was dropped, is no damage.
                    Error::Damaged(_) if self.is_missing(about).await => Err(missing(about)),
                    error => Err(self.note(error)),
                }
            }
        }
    }

    /// Whether what a statement was about is not there, for certain.
    async fn is_missing(&self, about: Subject<'_>) -> bool {
        let Ok(mut reader) = self.readers.borrow().await else { return false };
        let find = match about {
            Subject::Store => return false,
            Subject::Served(view) => {
                sqlx::query("SELECT 1 FROM builds WHERE view = ? AND is_serving = 1").bind(view.name())
            }
            Subject::Build(build) => sqlx::query("SELECT 1 FROM builds WHERE build = ?").bind(signed(build.0)),
        };
        find.fetch_optional(&mut reader.connection).await.is_ok_and(|found| found.is_none())
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

/// Connections of one kind to the file.
#[derive(Debug)]
struct File {
    options: SqliteConnectOptions,
    pool: Pool,
}

impl File {
    fn new(options: SqliteConnectOptions, max: u32) -> Self {
        Self { options, pool: Pool::new("the file of the views", max) }
    }

    /// A connection that is free; it is opened if none is idle.
    async fn borrow(&self) -> Result<Borrowed<'_>, Error> {
        let connect = async { self.options.connect().await.map_err(derived_file::error) };
        Ok(self.pool.borrow(connect).await?)
    }
}

/// What a statement is about.
#[derive(Clone, Copy, Debug)]
enum Subject<'a> {
    /// Our own tables, which are always there.
    Store,
    /// What is served of a view.
    Served(&'a Definition),
    /// A build, served or not.
    Build(BuildNumber),
}

#[async_trait]
impl ViewStore for Sqlite {
    async fn prepare(&self, view: &Definition) -> Result<Builds, Error> {
        self.replace_if_damaged().await?;
        // Its declared fields may be others now, and its table laid out anew.
        self.written.forget();
        let (rows, is_paused) =
            self.write(Subject::Store, async |connection| schema::prepare(connection, view).await).await?;
        let mut builds = Builds { is_paused, ..Builds::default() };
        for (number, is_serving, version, at, chain, begun_after) in rows {
            let build = Build {
                number: BuildNumber(unsigned(number)),
                version: u32::try_from(version).unwrap_or(0),
                begun_after: position(begun_after),
                offset: offset(at, &chain).map_err(|error| self.note(error))?,
            };
            *(if is_serving { &mut builds.serving } else { &mut builds.next }) = Some(build);
        }
        Ok(builds)
    }

    async fn begin(&self, view: &Definition, after: Offset, how: Begin) -> Result<Build, Error> {
        let begun = self.write(Subject::Store, async |connection| schema::begin(connection, view, after, how).await);
        let number = BuildNumber(unsigned(begun.await?));
        Ok(Build { number, version: view.version(), begun_after: after.position, offset: after })
    }

    async fn serve(&self, view: &Definition, build: BuildNumber) -> Result<bool, Error> {
        self.write(Subject::Store, async |connection| schema::serve(connection, view, build).await).await
    }

    async fn abandon(&self, view: &Definition) -> Result<(), Error> {
        self.write(Subject::Store, async |connection| schema::abandon(connection, view).await).await
    }

    async fn load(&self, view: &Definition, build: BuildNumber, keys: &[Key], bytes: usize) -> Result<Loaded, Error> {
        if keys.is_empty() {
            return Ok(Some(Vec::new()));
        }
        // On the connection that writes: it has the hot pages in its cache.
        let loaded = self.write(Subject::Build(build), async |connection| {
            statements::load(connection, view, build, keys, bytes).await
        });
        loaded.await?.map_err(|error| self.note(error))
    }

    async fn commit(&self, view: &Definition, build: BuildNumber, advance: Advance) -> Result<(), CommitError> {
        let from = advance.from;
        let committed = self
            .write(Subject::Build(build), async |connection| {
                statements::commit(connection, view, build, advance, &self.written).await
            })
            .await?;
        committed.map_err(|found| CommitError::Moved { expected: from, found: found.map(position) })
    }

    async fn get(&self, view: &Definition, key: &Key) -> Result<DocumentAt, Error> {
        let sql = statements::get(view);
        let found = self.read(Subject::Served(view), async |connection| {
            let query = sqlx::query(AssertSqlSafe(sql)).bind(view.name()).bind(key.shared());
            query.fetch_optional(connection).await
        });
        let row = found.await?.ok_or_else(|| missing(Subject::Served(view)))?;
        found_in(&row).map_err(|error| self.note(error))
    }

    async fn list(&self, view: &Definition, query: &Query) -> Result<Page, Error> {
        let (sql, binds) = statements::list(view, query);
        let rows = self.read(Subject::Served(view), async |connection| {
            let statement = sqlx::query(AssertSqlSafe(sql)).bind(view.name());
            binds.into_iter().fold(statement, statements::bind).fetch_all(connection).await
        });
        let rows = rows.await?;
        let first = rows.first().ok_or_else(|| missing(Subject::Served(view)))?;
        let (at, total) = (position(column(first, 0)?), column::<Option<i64>>(first, 1)?.map(unsigned));
        let listed = rows.iter().filter(|row| !matches!(column(row, 2), Ok(None::<&str>)));
        let listed = listed.map(|row| {
            let Some(document) = column(row, 3)? else { return Ok(None) };
            let found = Row { key: column::<&str>(row, 2)?.into(), document, position: position(column(row, 4)?) };
            let values =
                query.sorted_by().iter().enumerate().map(|(number, sort)| value(row, 5 + number, sort.field.kind));
            Ok(Some((found, values.collect::<Result<Vec<_>, Error>>()?)))
        });
        let listed = listed.collect::<Result<Vec<_>, Error>>().map_err(|error| self.note(error))?;
        Ok(Page::of(query, listed.into_iter(), at, total))
    }

    async fn parked(
        &self,
        build: BuildNumber,
        of: Option<&AggregateRef>,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Parked>, Error> {
        let rows = self.read(Subject::Build(build), async |connection| {
            sqlx::query(
                "SELECT aggregate_type, aggregate_id, version, position, reason, attempts FROM parked
                 WHERE build = ?1 AND position > ?2
                    AND (?4 IS NULL OR aggregate_type = ?4 AND aggregate_id = ?5) ORDER BY position LIMIT ?3",
            )
            .bind(signed(build.0))
            .bind(signed(after.0))
            .bind(signed(limit as u64))
            .bind(of.map(|of| of.aggregate_type.as_str()))
            .bind(of.map(|of| of.id.as_str()))
            .fetch_all(connection)
            .await
        });
        self.decoded(&rows.await?, |row| {
            Ok(Parked {
                aggregate: aggregate(row)?,
                version: Version(unsigned(column(row, 2)?)),
                position: position(column(row, 3)?),
                reason: column(row, 4)?,
                attempts: column(row, 5)?,
            })
        })
    }

    async fn parked_among(&self, build: BuildNumber, aggregates: &[AggregateRef]) -> Result<Vec<AggregateRef>, Error> {
        let names: Vec<_> = aggregates.iter().map(|one| (one.aggregate_type.as_str(), one.id.as_str())).collect();
        let names = serde_json::to_string(&names).map_err(|error| Error::Unavailable(error.to_string()))?;
        let rows = self.read(Subject::Build(build), async |connection| {
            sqlx::query(
                "SELECT value ->> 0, value ->> 1 FROM json_each(?2) WHERE EXISTS (
                    SELECT 1 FROM parked
                    WHERE build = ?1 AND aggregate_type = value ->> 0 AND aggregate_id = value ->> 1)",
            )
            .bind(signed(build.0))
            .bind(names)
            .fetch_all(connection)
            .await
        });
        self.decoded(&rows.await?, aggregate)
    }

    async fn parked_count(&self, build: BuildNumber) -> Result<usize, Error> {
        let count = self.read(Subject::Build(build), async |connection| {
            sqlx::query_scalar(
                "SELECT count(*) FROM (SELECT DISTINCT aggregate_type, aggregate_id FROM parked WHERE build = ?)",
            )
            .bind(signed(build.0))
            .fetch_one(connection)
            .await
        });
        Ok(usize::try_from(count.await.map(unsigned)?).unwrap_or(usize::MAX))
    }

    async fn drop_view(&self, name: &str) -> Result<(), Error> {
        self.write(Subject::Store, async |connection| schema::drop_view(connection, name).await).await
    }

    async fn names(&self) -> Result<Vec<String>, Error> {
        self.read(Subject::Store, async |connection| {
            let names = sqlx::query_scalar("SELECT view FROM builds UNION SELECT view FROM paused ORDER BY 1");
            names.fetch_all(connection).await
        })
        .await
    }

    async fn of_journal(&self, first: Option<Mark>) -> Result<Option<Mark>, Error> {
        let found = self.write(Subject::Store, async |connection| schema::of_journal(connection, first).await).await?;
        found.map(|mark| super::mark(&mark).map_err(|error| self.note(error))).transpose()
    }

    async fn set_paused(&self, view: &Definition, is_paused: bool) -> Result<(), Error> {
        let sql = if is_paused {
            "INSERT OR IGNORE INTO paused (view) VALUES (?)"
        } else {
            "DELETE FROM paused WHERE view = ?"
        };
        self.write(Subject::Store, async |connection| sqlx::query(sql).bind(view.name()).execute(connection).await)
            .await?;
        Ok(())
    }

    async fn close(&self) {
        // Readers first: the last connection to go should be one that can empty the WAL.
        self.readers.pool.close().await;
        self.writer.pool.close().await;
    }
}

fn missing(about: Subject<'_>) -> Error {
    Error::Unavailable(match about {
        Subject::Store => "the tables are missing".to_owned(),
        Subject::Served(view) => format!("there is no view {}", view.name()),
        Subject::Build(build) => format!("there is no build {}", build.0),
    })
}

/// What a list is sorted by, as a row has it.
fn value(row: &SqliteRow, index: usize, kind: Kind) -> Result<Option<Value>, Error> {
    Ok(match kind {
        Kind::Text => column::<Option<String>>(row, index)?.map(Value::Text),
        Kind::Integer => whole(row, index)?.map(Value::Integer),
        Kind::Real => column::<Option<f64>>(row, index)?.map(Value::Real),
        Kind::Boolean => column::<Option<i64>>(row, index)?.map(|truth| Value::Boolean(truth != 0)),
    })
}

/// A whole number: an integer, or the digits of one that is too large.
fn whole(row: &SqliteRow, index: usize) -> Result<Option<i128>, Error> {
    if let Ok(number) = row.try_get::<Option<i64>, _>(index) {
        return Ok(number.map(i128::from));
    }
    let number = column::<&str>(row, index)?.parse();
    number.map(Some).map_err(|_| Error::Damaged("a whole number is none".to_owned()))
}

/// Copied once, from where SQLite has it.
fn found_in(row: &SqliteRow) -> Result<DocumentAt, Error> {
    let document = column::<Option<&str>>(row, 1)?.map(Arc::from);
    let changed = column::<Option<i64>>(row, 2)?.map(position);
    Ok(DocumentAt { document: document.zip(changed), at: position(column(row, 0)?) })
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
