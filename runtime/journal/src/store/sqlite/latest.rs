//! Finding the latest snapshot of one aggregate, or of several aggregates in one statement.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use dormouse_kernel::{AggregateRef, Version};
use dormouse_storage::{from_sql, to_sql};
use sqlx::sqlite::SqliteRow;
use tracing::warn;

use super::error;
use super::loads::{Load, Statements};
use super::readers::Readers;
use super::row::{chain, column, timestamp};
use crate::error::StoreError;
use crate::snapshot::{AsOf, Snapshot};

/// The columns of `snapshots AS s` as [`read`] reads them.
const COLUMNS: &str = "s.version, s.chain, s.recorded_at, s.snapshot_version, s.body, s.taken_at, s.checksum";

/// The column of the number in the rows of [`OF_ALL`], after [`COLUMNS`].
const NUMBER: usize = 7;

static OF_ONE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {COLUMNS} FROM snap.snapshots AS s
         WHERE aggregate_type = ? AND aggregate_id = ? AND version <= ? AND recorded_at <= ?
         ORDER BY version DESC LIMIT 1"
    )
});

static OF_ALL: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(|wanted| {
        format!(
            "WITH wanted (number, type, id, last, recorded) AS (VALUES {wanted})
             SELECT {COLUMNS}, number
             FROM wanted CROSS JOIN snap.snapshots AS s ON s.rowid = (
                SELECT rowid FROM snap.snapshots
                WHERE aggregate_type = type AND aggregate_id = id AND version <= last AND recorded_at <= recorded
                ORDER BY version DESC LIMIT 1
             )"
        )
    })
});

/// Finds the latest snapshot that is part of a wanted state, damaged or not.
#[derive(Clone, Debug)]
pub(super) struct Latest {
    readers: Arc<Readers>,
    /// Set to replace the file at the next write.
    damaged: Arc<AtomicBool>,
}

/// Asks for the latest snapshot of an aggregate up to a version and a time.
#[derive(Clone, Debug)]
pub(super) struct SnapshotQuery {
    pub(super) aggregate: AggregateRef,
    last: i64,
    recorded: i64,
}

impl SnapshotQuery {
    pub(super) fn new(aggregate: &AggregateRef, as_of: AsOf) -> Self {
        let (last, recorded) = match as_of {
            AsOf::Now => (i64::MAX, i64::MAX),
            AsOf::Version(version) => (to_sql(version.0), i64::MAX),
            AsOf::Time(time) => (i64::MAX, time.as_microsecond()),
        };
        Self { aggregate: aggregate.clone(), last, recorded }
    }

    /// The same query, for the snapshot before the one found.
    pub(super) fn before(self, found: &SqliteRow) -> Result<Self, StoreError> {
        Ok(Self { last: column::<i64>(found, 0)?.saturating_sub(1), ..self })
    }
}

impl Latest {
    pub(super) fn new(readers: Arc<Readers>, damaged: Arc<AtomicBool>) -> Self {
        Self { readers, damaged }
    }

    /// Finds the snapshot of one aggregate.
    pub(super) async fn find(&self, wanted: &SnapshotQuery) -> Result<Option<SqliteRow>, StoreError> {
        let mut reader = self.readers.borrow().await?;
        let row = sqlx::query(OF_ONE.as_str())
            .bind(wanted.aggregate.aggregate_type.shared())
            .bind(wanted.aggregate.id.shared())
            .bind(wanted.last)
            .bind(wanted.recorded)
            .fetch_optional(&mut reader.connection)
            .await;
        match row {
            Ok(row) => {
                reader.give_back();
                Ok(row)
            }
            Err(failure) if error::is_damage(&failure) => {
                let aggregate = &wanted.aggregate;
                warn!(%aggregate, error = error::reason(&failure), "the snapshots are damaged");
                self.damaged.store(true, Ordering::Release);
                Ok(None)
            }
            Err(failure) => Err(error::store(failure)),
        }
    }

    /// Finds the snapshots of several aggregates.
    async fn find_all(&self, wanted: &[SnapshotQuery]) -> Result<Vec<Option<SqliteRow>>, StoreError> {
        let mut reader = self.readers.borrow().await?;
        let mut query = sqlx::query(OF_ALL.of(wanted.len()));
        for wanted in wanted {
            query = query
                .bind(wanted.aggregate.aggregate_type.shared())
                .bind(wanted.aggregate.id.shared())
                .bind(wanted.last)
                .bind(wanted.recorded);
        }
        let rows = query.fetch_all(&mut reader.connection).await.map_err(error::store)?;
        reader.give_back();
        let mut found: Vec<Option<SqliteRow>> = wanted.iter().map(|_| None).collect();
        for row in rows {
            let number = usize::try_from(column::<i64>(&row, NUMBER)?).map_err(error::damaged)?;
            if let Some(found) = found.get_mut(number) {
                *found = Some(row);
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl Load for Latest {
    type Request = SnapshotQuery;
    type Output = Option<SqliteRow>;

    async fn load(&self, wanted: Vec<SnapshotQuery>) -> Vec<Result<Option<SqliteRow>, StoreError>> {
        if wanted.len() > 1 {
            match self.find_all(&wanted).await {
                Ok(found) => return found.into_iter().map(Ok).collect(),
                // Perhaps only one of them is damaged.
                Err(StoreError::Damaged(_)) => {}
                Err(failure) => return wanted.iter().map(|_| Err(failure.clone())).collect(),
            }
        }
        let mut found = Vec::with_capacity(wanted.len());
        for wanted in &wanted {
            found.push(self.find(wanted).await);
        }
        found
    }
}

/// The snapshot in a row.
pub(super) fn read(row: &SqliteRow, aggregate: &AggregateRef) -> Result<Snapshot, StoreError> {
    let snapshot = Snapshot {
        aggregate: aggregate.clone(),
        version: Version(from_sql(column(row, 0)?, "version")?),
        chain: chain(column(row, 1)?)?,
        recorded_at: timestamp(column(row, 2)?)?,
        snapshot_version: u32::try_from(column::<i64>(row, 3)?).map_err(error::damaged)?,
        body: column(row, 4)?,
        taken_at: timestamp(column(row, 5)?)?,
    };
    if snapshot.checksum() == chain(column(row, 6)?)? {
        Ok(snapshot)
    } else {
        Err(error::damaged("its checksum differs"))
    }
}
