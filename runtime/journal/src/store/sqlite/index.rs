//! The index: where in the log each version of an aggregate and each command key is.

use std::time::{Duration, Instant};

use dormouse_kernel::Position;
use sqlx::{Connection, SqliteConnection};
use tracing::{info, warn};

use super::files::Files;
use super::{derived, error, row, schema};
use crate::error::StoreError;

/// Events indexed in one transaction: sorted, they touch each page once. The size at which it was measured to keep up.
const EVENTS_PER_TRANSACTION: u64 = 32_768;

/// Between two lines about how far a long run has come.
const PROGRESS: Duration = Duration::from_secs(5);

/// What an index was made from.
enum Origin {
    Ours,
    /// A log that has, or had, another event where the index ends.
    Foreign,
    /// This log, or another, when it was longer. No crash leads here: the log is synced before the index knows of it.
    Ahead {
        indexed: Position,
        head: Position,
    },
}

/// The connection that writes the index. It reads the log itself, so that rows go from one file to the other without
/// passing through here, and in whatever state the index is, it goes on from its own watermark: nobody can leave a gap
/// in it, nor can a former owner that does not know yet that it is one.
#[derive(Debug)]
pub(super) struct Index {
    connection: SqliteConnection,
}

impl Index {
    /// Opens the index. One that cannot be used, or is not one of this log, is replaced by an empty one, after
    /// `before_replacing`.
    pub(super) async fn open(files: &Files, before_replacing: impl Fn()) -> Result<Self, StoreError> {
        let connection = derived::open(files.index_writer(), &schema::INDEX, &before_replacing).await?;
        let mut index = Self::beside_log(connection, files).await?;
        let reason = match index.belongs_to_log().await {
            Ok(Origin::Ours) => return Ok(index),
            Ok(Origin::Ahead { indexed, head }) => return Err(acknowledged_is_missing(files, indexed, head)),
            Ok(Origin::Foreign) => "it is not of this log".to_owned(),
            Err(StoreError::Damaged(reason)) => reason,
            Err(failure) => return Err(failure),
        };
        warn!(file = %files.index().display(), reason, "the index cannot be used and is made anew");
        index.close().await;
        before_replacing();
        Self::create(files).await
    }

    /// Replaces the index by an empty one.
    pub(super) async fn create(files: &Files) -> Result<Self, StoreError> {
        let connection = derived::create(files.index_writer(), &schema::INDEX).await?;
        Self::beside_log(connection, files).await
    }

    async fn beside_log(mut connection: SqliteConnection, files: &Files) -> Result<Self, StoreError> {
        // Read-only, or each BEGIN IMMEDIATE would take the write lock of the log as well.
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
        let (indexed, head) = (Position(row::unsigned(indexed)?), Position(row::unsigned(head)?));
        Ok(match is_same {
            _ if indexed > head => Origin::Ahead { indexed, head },
            true => Origin::Ours,
            false => Origin::Foreign,
        })
    }

    /// Everything up to this position is indexed.
    pub(super) async fn watermark(&mut self) -> Result<Position, StoreError> {
        let position: i64 = sqlx::query_scalar("SELECT position FROM watermark")
            .fetch_one(&mut self.connection)
            .await
            .map_err(error::store)?;
        Ok(Position(row::unsigned(position)?))
    }

    /// Indexes what follows the watermark, up to `to`, but no more than one transaction's worth. Says how far it is
    /// then. What is indexed already may be indexed again.
    pub(super) async fn advance(&mut self, to: Position) -> Result<Position, StoreError> {
        match self.try_advance(to).await {
            Ok(Some(watermark)) => Ok(Position(row::unsigned(watermark)?)),
            Ok(None) => {
                // Whose event is missing cannot be known: nobody's history can be trusted to be whole.
                let reason = "the log is damaged, restore it from a backup: a position is missing, or a version twice";
                Err(StoreError::Unavailable(reason.to_owned()))
            }
            Err(failure) if error::is_damage(&failure) && !self.is_to_blame(to).await => {
                // Making the index anew would not help.
                Err(StoreError::Unavailable(format!("the log is damaged: {}", error::reason(&failure))))
            }
            Err(failure) => Err(error::store(failure)),
        }
    }

    /// `None`: the log does not have one event for each position, with a version of its own.
    async fn try_advance(&mut self, to: Position) -> Result<Option<i64>, sqlx::Error> {
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        let from: i64 = sqlx::query_scalar("SELECT position FROM watermark").fetch_one(&mut *transaction).await?;
        let to = row::signed(to.0).min(from.saturating_add(row::signed(EVENTS_PER_TRANSACTION)));
        if to <= from {
            return Ok(Some(from));
        }
        // What a version or a key stands for is decided once: the first stays.
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

    /// Whether damage is in the index, not in that part of the log.
    async fn is_to_blame(&mut self, to: Position) -> bool {
        let Ok(watermark) = self.watermark().await else { return true };
        sqlx::query("SELECT count(chain) FROM log.events WHERE position > ? AND position <= ?")
            .bind(row::signed(watermark.0))
            .bind(row::signed(to.0))
            .execute(&mut self.connection)
            .await
            .is_ok()
    }

    /// Indexes everything up to `to`, and says so now and then.
    pub(super) async fn catch_up(&mut self, to: Position) -> Result<(), StoreError> {
        let started = Instant::now();
        let mut told = started;
        let mut watermark = self.watermark().await?;
        info!(%watermark, head = %to, "indexing the log");
        while watermark < to {
            watermark = self.advance(to).await?;
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                info!(%watermark, head = %to, "indexing the log");
            }
        }
        info!(head = %to, seconds = started.elapsed().as_secs_f64(), "the log is indexed");
        Ok(())
    }

    /// Leaves nothing in the WAL and lets go of the file.
    pub(super) async fn close(mut self) {
        // Beside other readers the WAL may have to stay; it is as good.
        let _left = sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut self.connection).await;
        let _closed_anyway = self.connection.close().await;
    }
}

/// Going on would be a wrong answer to whoever had been told that these events are durable.
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
