//! The one connection that appends to the log.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use dormouse_kernel::{Epoch, Position};
use dormouse_storage::sqlite::make_durable;
use dormouse_storage::{from_sql, to_sql};
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

/// The numbers of rows for which append statements are prepared. A batch takes the next larger statement; a row that
/// stays empty costs a tenth of a full one. Each statement is compiled once per connection and kept: that of a thousand
/// rows takes milliseconds and a megabyte.
const PREPARED_ROWS: [usize; 17] = [1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024];

/// Appends rows and checks the epoch. Rows without a position are padding: unbound parameters are NULL, so padding
/// costs no binding. The epoch is the first parameter for the same reason.
static APPENDS: LazyLock<[String; PREPARED_ROWS.len()]> = LazyLock::new(|| PREPARED_ROWS.map(append_sql));

fn append_sql(rows: usize) -> String {
    let one = format!("({})", ["?"; row::BOUND.len()].join(","));
    let values = vec![one; rows].join(",");
    let mut sql = String::from("WITH fence (epoch) AS (SELECT ?) ");
    // A write to a string cannot fail.
    let _infallible = write!(
        sql,
        "INSERT INTO events ({columns}) SELECT * FROM (VALUES {values}) \
         WHERE column1 IS NOT NULL AND (SELECT epoch FROM log_head) = (SELECT epoch FROM fence)",
        columns = row::BOUND.join(","),
    );
    sql
}

/// Appends to the log while this process owns it.
#[derive(Debug)]
pub(super) struct Log {
    files: Files,
    /// `None` while it is in use. After an error it is dropped instead of put back.
    connection: Mutex<Option<SqliteConnection>>,
    /// Set after an error at a commit: the WAL may hold frames that are not on the disk although they can be read.
    suspect: AtomicBool,
    /// A takeover that was begun but not confirmed.
    claim: Mutex<Option<Claim>>,
    closed: AtomicBool,
    /// How long a first takeover waits for a process that holds the write lock.
    takeover_timeout: Duration,
}

/// A takeover whose outcome may be unknown. If its commit did happen, the epoch that it replaced is no longer in force,
/// and the claim shows that this process replaced it.
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

    /// See [`Store::acquire`](crate::Store::acquire). Call [`confirm`](Self::confirm) after the recovery has succeeded.
    pub(super) async fn acquire(&self, previous: Option<Epoch>) -> Result<Ownership, StoreError> {
        let mut connection = self.connect().await?;
        let claim = self.claim(previous);
        self.begin(&mut connection, previous).await?;
        // From here to the commit, any failure drops the connection, and so rolls the transaction back.
        let epoch: Option<i64> = sqlx::query_scalar(
            "UPDATE log_head SET epoch = epoch + 1, claim = ?2 WHERE ?1 IS NULL OR epoch = ?1 OR claim = ?2
             RETURNING epoch",
        )
        .bind(previous.map(|previous| to_sql(previous.0)))
        .bind(claim)
        .fetch_optional(&mut connection)
        .await
        .map_err(error::store)?;
        let head: Option<i64> = sqlx::query_scalar("SELECT max(position) FROM events")
            .fetch_one(&mut connection)
            .await
            .map_err(error::store)?;
        // If fenced, the transaction is empty, and its commit does nothing.
        sqlx::raw_sql("COMMIT").execute(&mut connection).await.map_err(|failure| {
            self.suspect.store(true, Ordering::Release);
            error::store(failure)
        })?;
        self.put_back(connection);
        let epoch = Epoch(from_sql(epoch.ok_or(StoreError::Fenced)?, "epoch")?);
        Ok(Ownership { epoch, head: Position(from_sql(head.unwrap_or(0), "position")?) })
    }

    /// Takes the write lock. The first takeover waits for a process that holds it. Later ones do not wait, since
    /// callers need their answers; the writer tries again by itself.
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

    /// Notes that the caller has the result of the takeover.
    pub(super) fn confirm(&self) {
        *self.claim.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The id of this takeover: a new one, unless the last attempt with the same `previous` was not confirmed.
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
        // After an error there is no connection until `acquire` opens another.
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

    /// Copies the WAL into the log, and closes it.
    pub(super) async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let taken = self.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut connection) = taken else { return };
        // Frames that stay in the WAL are durable too; the next start only takes longer.
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

/// The statement for a batch, and its arguments.
fn statement(epoch: Epoch, batch: &[Placed]) -> Result<(&'static str, SqliteArguments), sqlx::error::BoxDynError> {
    let rows = batch.iter().map(|placed| placed.append.events.len()).sum::<usize>();
    let prepared = PREPARED_ROWS.iter().position(|prepared| *prepared >= rows);
    let prepared = prepared.ok_or_else(|| format!("a batch of {rows} events is too large"))?;
    let mut arguments = SqliteArguments::default();
    arguments.reserve(1 + rows * row::BOUND.len(), 0);
    arguments.add(to_sql(epoch.0))?;
    for placed in batch {
        row::bind(&mut arguments, placed)?;
    }
    Ok((APPENDS[prepared].as_str(), arguments))
}
