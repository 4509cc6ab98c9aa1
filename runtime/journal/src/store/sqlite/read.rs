//! Reads of the files, except for the events of an aggregate.
//!
//! There are two ways to see all events of an aggregate. The owner reads the index for the events that have left the
//! tail. A process without a tail reads, in one statement and so in one view of the files, the index up to its
//! watermark and the log after it.

use std::sync::LazyLock;

use dormouse_kernel::{AggregateRef, CommandKey, Epoch, Position, RecordedEvent, Version};
use dormouse_storage::sqlite::Borrowed;
use dormouse_storage::{from_sql, to_sql};

use super::error;
use super::pages::{self, Rows};
use super::readers::{Readers, index_is_rebuilt};
use super::row::{AGGREGATE, OF_AGGREGATE, column};
use crate::error::StoreError;
use crate::page::{Page, PageLimit, Room};

/// What a read covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The index alone, since the tail has the rest.
    Index,
    /// The index, and the log after its watermark.
    All,
}

/// For how many aggregates a prepared statement reads versions. As with appends, a shorter list is padded.
const PREPARED_AGGREGATES: [usize; 3] = [1, 16, 256];

static VERSIONS_IN_INDEX: LazyLock<[String; 3]> = LazyLock::new(|| {
    PREPARED_AGGREGATES.map(|aggregates| {
        let wanted = wanted_sql(aggregates);
        format!("SELECT column1, {INDEXED_VERSION} FROM ({wanted}) WHERE column2 IS NOT NULL")
    })
});

static VERSIONS_IN_ALL: LazyLock<[String; 3]> = LazyLock::new(|| {
    PREPARED_AGGREGATES.map(|aggregates| {
        let wanted = wanted_sql(aggregates);
        format!(
            "WITH late AS MATERIALIZED (
                SELECT aggregate_type, aggregate_id, max(version) AS version FROM main.events
                WHERE position > (SELECT position FROM idx.watermark) GROUP BY aggregate_type, aggregate_id
             )
             SELECT column1, coalesce(
                (SELECT version FROM late WHERE aggregate_type = column2 AND aggregate_id = column3),
                {INDEXED_VERSION}
             ) FROM ({wanted}) WHERE column2 IS NOT NULL"
        )
    })
});

const INDEXED_VERSION: &str = "coalesce((SELECT version FROM idx.event_index \
                               WHERE aggregate_type = column2 AND aggregate_id = column3 \
                               ORDER BY version DESC LIMIT 1), 0)";

/// Rows of (number, type, id).
fn wanted_sql(aggregates: usize) -> String {
    let rows: Vec<String> = (0..aggregates).map(|number| format!("({number},?,?)")).collect();
    format!("VALUES {}", rows.join(","))
}

static LOG: LazyLock<String> = LazyLock::new(|| {
    let columns = &*OF_AGGREGATE;
    format!("SELECT {columns}, {AGGREGATE} FROM main.events AS e WHERE e.position > ? ORDER BY e.position LIMIT ?")
});

const COMMAND_IN_INDEX: &str = "SELECT version FROM idx.command_index
     WHERE aggregate_type = ?1 AND aggregate_id = ?2 AND command_key = ?3";

const COMMAND_IN_ALL: &str = "SELECT version FROM idx.command_index
     WHERE aggregate_type = ?1 AND aggregate_id = ?2 AND command_key = ?3
     UNION ALL
     SELECT version FROM main.events
     WHERE position > (SELECT position FROM idx.watermark)
       AND aggregate_type = ?1 AND aggregate_id = ?2 AND command_key = ?3
     LIMIT 1";

impl Readers {
    /// The versions of aggregates, in their order.
    pub(super) async fn versions(&self, scope: Scope, wanted: &[&AggregateRef]) -> Result<Vec<Version>, StoreError> {
        let statements = if scope == Scope::Index { &*VERSIONS_IN_INDEX } else { &*VERSIONS_IN_ALL };
        let [.., largest] = PREPARED_AGGREGATES;
        let mut versions = Vec::with_capacity(wanted.len());
        for chunk in wanted.chunks(largest) {
            let prepared = PREPARED_AGGREGATES.partition_point(|prepared| *prepared < chunk.len());
            let mut query = sqlx::query(statements[prepared].as_str());
            for aggregate in chunk {
                query = query.bind(aggregate.aggregate_type.shared()).bind(aggregate.id.shared());
            }
            let mut reader = self.borrow_in(scope).await?;
            let rows = query.fetch_all(&mut reader.connection).await;
            let rows = rows.map_err(|failure| self.index_failed(failure))?;
            reader.give_back();
            let first = versions.len();
            versions.resize(first + chunk.len(), Version::ZERO);
            for row in &rows {
                let number = usize::try_from(column::<i64>(row, 0)?).map_err(error::damaged)?;
                if let Some(version) = versions.get_mut(first + number) {
                    *version = Version(from_sql(column(row, 1)?, "version")?);
                }
            }
        }
        Ok(versions)
    }

    /// The version of the first event of the command with this key.
    pub(super) async fn find_command(
        &self,
        scope: Scope,
        aggregate: &AggregateRef,
        key: &CommandKey,
    ) -> Result<Option<Version>, StoreError> {
        let sql = if scope == Scope::Index { COMMAND_IN_INDEX } else { COMMAND_IN_ALL };
        let mut reader = self.borrow_in(scope).await?;
        let found: Option<i64> = sqlx::query_scalar(sql)
            .bind(aggregate.aggregate_type.shared())
            .bind(aggregate.id.shared())
            .bind(key.shared())
            .fetch_optional(&mut reader.connection)
            .await
            .map_err(|failure| self.index_failed(failure))?;
        reader.give_back();
        Ok(found.map(|version| from_sql(version, "version").map(Version)).transpose()?)
    }

    /// The events after a position, within `limit`.
    pub(super) async fn log(&self, after: Position, limit: PageLimit) -> Result<Page, StoreError> {
        let mut reader = self.borrow().await?;
        let query = sqlx::query(LOG.as_str()).bind(to_sql(after.0)).bind(to_sql(limit.events as u64));
        let read = pages::read(&mut reader.connection, query, Room::new(limit)).await;
        let Rows { rows, is_cut } = read.map_err(error::store)?;
        reader.give_back();
        // The rows are consumed one by one, so that a page is not in memory twice.
        let events: Vec<RecordedEvent> = rows.into_iter().map(|row| row.read()).collect::<Result<_, _>>()?;
        for (event, expected) in events.iter().zip(after.0 + 1..) {
            if event.position != Position(expected) {
                return Err(error::damaged(format_args!("the log lacks position {expected}")));
            }
        }
        Ok(Page { events, is_cut })
    }

    /// The position of the last event.
    pub(super) async fn head(&self) -> Result<Position, StoreError> {
        let mut reader = self.borrow().await?;
        let head: Option<i64> = sqlx::query_scalar("SELECT max(position) FROM main.events")
            .fetch_one(&mut reader.connection)
            .await
            .map_err(error::store)?;
        reader.give_back();
        Ok(Position(from_sql(head.unwrap_or(0), "position")?))
    }

    /// The epoch in force.
    pub(super) async fn epoch(&self) -> Result<Epoch, StoreError> {
        let mut reader = self.borrow().await?;
        let epoch: i64 = sqlx::query_scalar("SELECT epoch FROM main.log_head")
            .fetch_one(&mut reader.connection)
            .await
            .map_err(error::store)?;
        reader.give_back();
        Ok(Epoch(from_sql(epoch, "epoch")?))
    }

    pub(super) async fn borrow_in(&self, scope: Scope) -> Result<Borrowed<'_>, StoreError> {
        match scope {
            Scope::Index => self.borrow_for_index().await,
            Scope::All => self.borrow().await,
        }
    }

    /// The error of a statement that reads mainly the index.
    fn index_failed(&self, failure: sqlx::Error) -> StoreError {
        if error::is_damage(&failure) {
            self.report_index_damage();
            return index_is_rebuilt();
        }
        error::store(failure)
    }
}
