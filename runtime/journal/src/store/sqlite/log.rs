//! The one connection that appends to the log.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use dormouse_kernel::{Epoch, Position};
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, ConnectOptions, Connection, SqliteConnection};
use tracing::warn;
use uuid::Uuid;

use super::error;
use super::files::Files;
use super::holder::Patience;
use super::row;
use crate::append::Placed;
use crate::error::{CommitError, StoreError};
use crate::store::Ownership;

/// The append statements that are prepared: as many rows as this. A batch takes the next larger one, where a row that
/// stays empty costs a tenth of a full one. Each is compiled once per connection and kept: a thousand rows take
/// milliseconds and a megabyte.
const PREPARED_ROWS: [usize; 17] = [1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024];

/// Appends rows and checks the epoch. Rows without position are padding; unbound parameters are NULL, so padding costs
/// no binding. The epoch comes first for the same reason.
static APPENDS: LazyLock<[String; PREPARED_ROWS.len()]> = LazyLock::new(|| PREPARED_ROWS.map(append_sql));

fn append_sql(rows: usize) -> String {
    let one = format!("({})", ["?"; row::BOUND.len()].join(","));
    let values = vec![one; rows].join(",");
    let mut sql = String::from("WITH fence (epoch) AS (SELECT ?) ");
    // Writing to a string cannot fail.
    let _infallible = write!(
        sql,
        "INSERT INTO events ({columns}) SELECT * FROM (VALUES {values}) \
         WHERE column1 IS NOT NULL AND (SELECT epoch FROM log_head) = (SELECT epoch FROM fence)",
        columns = row::BOUND.join(","),
    );
    sql
}

/// Appends to the log, as long as it owns it.
#[derive(Debug)]
pub(super) struct Log {
    files: Files,
    /// Out of here while it is in use, and dropped instead of put back after an error.
    connection: Mutex<Option<SqliteConnection>>,
    /// An error at a commit: what the WAL holds may not be on the disk although it looks so.
    suspect: AtomicBool,
    /// A takeover that was begun and not confirmed.
    claim: Mutex<Option<Claim>>,
    closed: AtomicBool,
    /// How long a first takeover waits for a process that holds the write lock.
    takeover_timeout: Duration,
}

/// A takeover whose outcome may be unknown: if its commit did happen, the epoch that was to be replaced is gone, but by
/// our own doing.
#[derive(Clone, Debug)]
struct Claim {
    previous: Option<Epoch>,
    id: String,
}

impl Log {
    pub(super) fn new(files: Files, takeover_timeout: Duration) -> Self {
        Self {
            files,
            connection: Mutex::default(),
            suspect: AtomicBool::new(false),
            claim: Mutex::default(),
            closed: AtomicBool::new(false),
            takeover_timeout,
        }
    }

    /// See [`Store::acquire`](crate::Store::acquire). Call [`confirm`](Self::confirm) once all that follows succeeded.
    pub(super) async fn acquire(&self, previous: Option<Epoch>) -> Result<Ownership, StoreError> {
        let mut connection = self.connect().await?;
        let claim = self.claim(previous);
        self.begin(&mut connection, previous).await?;
        // From here to the commit, whatever fails drops the connection, and the transaction with it.
        let epoch: Option<i64> = sqlx::query_scalar(
            "UPDATE log_head SET epoch = epoch + 1, claim = ?2 WHERE ?1 IS NULL OR epoch = ?1 OR claim = ?2
             RETURNING epoch",
        )
        .bind(previous.map(|previous| row::signed(previous.0)))
        .bind(claim)
        .fetch_optional(&mut connection)
        .await
        .map_err(error::store)?;
        let head: Option<i64> = sqlx::query_scalar("SELECT max(position) FROM events")
            .fetch_one(&mut connection)
            .await
            .map_err(error::store)?;
        // Committed even when fenced: then there is nothing in it.
        sqlx::raw_sql("COMMIT").execute(&mut connection).await.map_err(|failure| {
            self.suspect.store(true, Ordering::Release);
            error::store(failure)
        })?;
        self.put_back(connection);
        let epoch = Epoch(row::unsigned(epoch.ok_or(StoreError::Fenced)?)?);
        Ok(Ownership { epoch, head: Position(row::unsigned(head.unwrap_or(0))?) })
    }

    /// Takes the write lock. The first time, a process that holds it is waited for; later there are callers to answer
    /// meanwhile, and the writer tries again by itself.
    async fn begin(&self, connection: &mut SqliteConnection, previous: Option<Epoch>) -> Result<(), StoreError> {
        let patience = Patience::new(self.files.log(), self.takeover_timeout);
        while let Err(failure) = sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *connection).await {
            if previous.is_some() || !error::is_busy(&failure) {
                return Err(error::store(failure));
            }
            if !patience.lasts() {
                return Err(StoreError::Unavailable(patience.exhausted()));
            }
        }
        Ok(())
    }

    /// The takeover has reached whoever asked for it.
    pub(super) fn confirm(&self) {
        *self.claim.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The id of this takeover: a new one, unless the last attempt at the same did not come to an end.
    fn claim(&self, previous: Option<Epoch>) -> String {
        let mut claim = self.claim.lock().unwrap_or_else(PoisonError::into_inner);
        match &*claim {
            Some(begun) if begun.previous == previous => begun.id.clone(),
            _ => {
                let id = Uuid::new_v4().to_string();
                *claim = Some(Claim { previous, id: id.clone() });
                id
            }
        }
    }

    /// Appends a batch in one statement, which commits by itself.
    pub(super) async fn append(&self, epoch: Epoch, batch: &[Placed]) -> Result<(), CommitError> {
        let (sql, arguments) = statement(epoch, batch).map_err(|failure| CommitError::Refused(failure.to_string()))?;
        // A connection that is not there was lost to an error; only acquiring makes a new one.
        let taken = self.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut connection) = taken else {
            return Err(CommitError::Refused("the log is not open for appending".to_owned()));
        };
        match sqlx::query_with(sql, arguments).execute(&mut connection).await {
            Ok(done) => {
                self.put_back(connection);
                if done.rows_affected() == 0 { Err(CommitError::Fenced) } else { Ok(()) }
            }
            Err(failure) => {
                let failure = error::commit(&failure);
                if matches!(failure, CommitError::Unknown(_)) {
                    self.suspect.store(true, Ordering::Release);
                } else {
                    self.put_back(connection);
                }
                Err(failure)
            }
        }
    }

    /// Copies what is left in the WAL into the log, and closes it.
    pub(super) async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let taken = self.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut connection) = taken else { return };
        // Whatever stays in the WAL is as durable there, only slower to open.
        if let Err(failure) = sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await {
            warn!(error = error::reason(&failure), "cannot empty the write-ahead log of the journal");
        }
        let _closed_anyway = connection.close().await;
    }

    async fn connect(&self) -> Result<SqliteConnection, StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Unavailable("the journal is closed".to_owned()));
        }
        let kept = self.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.files.log_writer().connect().await.map_err(error::store)?,
        };
        if self.suspect.load(Ordering::Acquire) {
            make_durable(&mut connection).await?;
            self.suspect.store(false, Ordering::Release);
        }
        Ok(connection)
    }

    fn put_back(&self, connection: SqliteConnection) {
        if !self.closed.load(Ordering::Acquire) {
            *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
        }
    }
}

/// After a failed sync the system may count pages as written that are not, and a later sync would not write them: what
/// is visible in the WAL may be lost with the power. Copying it into the log writes it anew and syncs that.
async fn make_durable(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let checkpoint = sqlx::query_as("PRAGMA wal_checkpoint(FULL)").fetch_one(connection).await;
    let (busy, _in_wal, _copied): (i64, i64, i64) = checkpoint.map_err(error::store)?;
    if busy == 0 { Ok(()) } else { Err(StoreError::Unavailable("the log is busy".to_owned())) }
}

/// The statement for a batch, and what to bind to it.
fn statement(epoch: Epoch, batch: &[Placed]) -> Result<(&'static str, SqliteArguments), sqlx::error::BoxDynError> {
    let rows = batch.iter().map(|placed| placed.append.events.len()).sum::<usize>();
    let prepared = PREPARED_ROWS.iter().position(|prepared| *prepared >= rows);
    let prepared = prepared.ok_or_else(|| format!("a batch of {rows} events is too large"))?;
    let mut arguments = SqliteArguments::default();
    arguments.reserve(1 + rows * row::BOUND.len(), 0);
    arguments.add(row::signed(epoch.0))?;
    for placed in batch {
        row::bind(&mut arguments, placed)?;
    }
    Ok((APPENDS[prepared].as_str(), arguments))
}
