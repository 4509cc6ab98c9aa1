//! The index: the position of each version of an aggregate, and the version of each command key.

use std::time::{Duration, Instant};

use dormouse_kernel::Position;
use dormouse_storage::sqlite::derived_file;
use dormouse_storage::{from_sql, to_sql};
use sqlx::{Connection, SqliteConnection};
use tracing::{info, warn};

use super::files::Files;
use super::{error, schema};
use crate::error::StoreError;

/// Events indexed in one transaction. Sorted, they touch each page once. With this size the index was measured to keep
/// up.
const EVENTS_PER_TRANSACTION: u64 = 32_768;

/// The time between two log lines about the progress of a long run.
const PROGRESS: Duration = Duration::from_secs(5);

/// Which log an index was made from.
enum Origin {
    Ours,
    /// A log with another event at the end of the index.
    Foreign,
    /// A log that was longer. A crash cannot cause this, because the log is synced before its events are indexed.
    Ahead {
        indexed: Position,
        head: Position,
    },
}

/// The connection that writes the index. It reads the log itself, so that SQLite copies rows from one file to the
/// other. It always continues at the watermark of the index, so no process can leave a gap in it, not even a former
/// owner that does not know yet that it has lost the log.
#[derive(Debug)]
pub(super) struct Index {
    connection: SqliteConnection,
}

impl Index {
    /// Opens the index. If it cannot be used, or does not belong to this log, calls `before_replacing` and replaces it
    /// by an empty one.
    pub(super) async fn open(files: &Files, before_replacing: impl Fn()) -> Result<Self, StoreError> {
        let connection = derived_file::open(files.index_writer(), &schema::INDEX, &before_replacing).await?;
        let mut index = Self::beside_log(connection, files).await?;
        let reason = match index.belongs_to_log().await {
            Ok(Origin::Ours) => return Ok(index),
            Ok(Origin::Ahead { indexed, head }) => return Err(acknowledged_is_missing(files, indexed, head)),
            Ok(Origin::Foreign) => "it belongs to another log".to_owned(),
            Err(StoreError::Damaged(reason)) => reason,
            Err(failure) => return Err(failure),
        };
        warn!(file = %files.index().display(), reason, "the index cannot be used and is made again");
        index.close().await;
        before_replacing();
        Self::create(files).await
    }

    /// Replaces the index by an empty one.
    pub(super) async fn create(files: &Files) -> Result<Self, StoreError> {
        let connection = derived_file::create(files.index_writer(), &schema::INDEX).await?;
        Self::beside_log(connection, files).await
    }

    async fn beside_log(mut connection: SqliteConnection, files: &Files) -> Result<Self, StoreError> {
        // Read-only: otherwise each BEGIN IMMEDIATE would take the write lock of the log too.
        sqlx::query("ATTACH DATABASE ? AS log")
            .bind(files.log_read_only_uri())
            .execute(&mut connection)
            .await
            .map_err(error::store)?;
        Ok(Self { connection })
    }

    /// Whether the last indexed event is the one at that position of the log.
    async fn belongs_to_log(&mut self) -> Result<Origin, StoreError> {
        let (is_same, indexed, head): (bool, i64, i64) = sqlx::query_as(
            "SELECT chain IS (SELECT chain FROM log.events WHERE position = watermark.position), position,
             coalesce((SELECT max(position) FROM log.events), 0) FROM watermark",
        )
        .fetch_one(&mut self.connection)
        .await
        .map_err(error::store)?;
        let (indexed, head) = (Position(from_sql(indexed, "position")?), Position(from_sql(head, "position")?));
        Ok(match is_same {
            _ if indexed > head => Origin::Ahead { indexed, head },
            true => Origin::Ours,
            false => Origin::Foreign,
        })
    }

    /// The position up to which the log is indexed.
    pub(super) async fn watermark(&mut self) -> Result<Position, StoreError> {
        let position: i64 = sqlx::query_scalar("SELECT position FROM watermark")
            .fetch_one(&mut self.connection)
            .await
            .map_err(error::store)?;
        Ok(Position(from_sql(position, "position")?))
    }

    /// Indexes the events after the watermark, up to `to` and up to the size of one transaction. Returns the new
    /// watermark. Events that are indexed already may be indexed again.
    pub(super) async fn advance(&mut self, to: Position) -> Result<Position, StoreError> {
        match self.try_advance(to).await {
            Ok(Some(watermark)) => Ok(Position(from_sql(watermark, "position")?)),
            Ok(None) => {
                // It cannot be known which aggregate lacks an event, so no history can be trusted to be whole.
                let reason = "the log is damaged, restore it from a backup: a position is missing, or a version twice";
                Err(StoreError::Unavailable(reason.to_owned()))
            }
            Err(failure) if error::is_damage(&failure) && !self.is_index_damaged(to).await => {
                // Making the index again would not help.
                Err(StoreError::Unavailable(format!("the log is damaged: {}", error::reason(&failure))))
            }
            Err(failure) => Err(error::store(failure)),
        }
    }

    /// `None`: the log lacks a position, or has a version twice.
    async fn try_advance(&mut self, to: Position) -> Result<Option<i64>, sqlx::Error> {
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        let from: i64 = sqlx::query_scalar("SELECT position FROM watermark").fetch_one(&mut *transaction).await?;
        let to = to_sql(to.0).min(from.saturating_add(to_sql(EVENTS_PER_TRANSACTION)));
        if to <= from {
            return Ok(Some(from));
        }
        // The first event with a version, and the first with a key, are the ones that count.
        let events = sqlx::query(
            "INSERT OR IGNORE INTO event_index (aggregate_type, aggregate_id, version, position)
             SELECT aggregate_type, aggregate_id, version, position FROM log.events
             WHERE position > ?1 AND position <= ?2
             ORDER BY aggregate_id, aggregate_type, version",
        );
        let indexed = events.bind(from).bind(to).execute(&mut *transaction).await?.rows_affected();
        if i64::try_from(indexed) != Ok(to - from) {
            return Ok(None);
        }
        let statements = [
            "INSERT OR IGNORE INTO command_index (aggregate_type, aggregate_id, command_key, version)
             SELECT aggregate_type, aggregate_id, command_key, version FROM log.events
             WHERE position > ?1 AND position <= ?2 AND command_key IS NOT NULL
             ORDER BY aggregate_id, aggregate_type, command_key",
            "UPDATE watermark SET position = ?2, chain = (SELECT chain FROM log.events WHERE position = ?2)
             WHERE position = ?1",
        ];
        for statement in statements {
            sqlx::query(statement).bind(from).bind(to).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(Some(to))
    }

    /// Whether the damage is in the index, and not in this part of the log.
    async fn is_index_damaged(&mut self, to: Position) -> bool {
        let Ok(watermark) = self.watermark().await else { return true };
        sqlx::query("SELECT count(chain) FROM log.events WHERE position > ? AND position <= ?")
            .bind(to_sql(watermark.0))
            .bind(to_sql(to.0))
            .execute(&mut self.connection)
            .await
            .is_ok()
    }

    /// Indexes everything up to `to`, and logs its progress.
    pub(super) async fn catch_up(&mut self, to: Position) -> Result<(), StoreError> {
        let started = Instant::now();
        let mut logged = started;
        let mut watermark = self.watermark().await?;
        info!(%watermark, head = %to, "indexing the log");
        while watermark < to {
            watermark = self.advance(to).await?;
            if logged.elapsed() >= PROGRESS {
                logged = Instant::now();
                info!(%watermark, head = %to, "indexing the log");
            }
        }
        info!(head = %to, seconds = started.elapsed().as_secs_f64(), "the log is indexed");
        Ok(())
    }

    /// Empties the WAL and closes the file.
    pub(super) async fn close(mut self) {
        // If other processes read, frames stay in the WAL, which loses nothing.
        let _left = sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut self.connection).await;
        let _closed_anyway = self.connection.close().await;
    }
}

/// The error of a log that has lost events. To continue would break the promise to clients that these events are
/// durable.
fn acknowledged_is_missing(files: &Files, indexed: Position, head: Position) -> StoreError {
    let (log, index, snapshots) = (files.log(), files.index(), files.snapshots());
    StoreError::Unavailable(format!(
        "it knows of events up to position {indexed}, and the log ends at {head}: {log} was deleted, cut, or restored from \
         an older backup. Put the latest one back, or delete {index} and {snapshots} to go on without those events",
        log = log.display(),
        index = index.display(),
        snapshots = snapshots.display(),
    ))
}
