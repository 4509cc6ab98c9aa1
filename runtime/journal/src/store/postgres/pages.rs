//! Pages of events, cut by the statement itself.

use std::sync::LazyLock;

use dormouse_kernel::{AggregateRef, NewEvent, Position, Version};
use dormouse_storage::postgres::{Failure, QueryFuture};
use dormouse_storage::to_sql;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres, query, query_scalar};

use super::row;
use crate::filter::LogFilter;
use crate::page::{Page, PageLimit, Room};

static READ_AGGREGATE: LazyLock<String> =
    LazyLock::new(|| page_sql("aggregate_type = $4 AND aggregate_id = $5 AND version > $6", "version"));

static READ_LOG: LazyLock<String> = LazyLock::new(|| page_sql("position > $4", "position"));

/// The conditions on names are written so that no index serves them: the scan follows the positions, and ends at `$5`.
static SELECT_LOG: LazyLock<String> = LazyLock::new(|| {
    let condition = "position > $4 AND position <= $5
                     AND (cardinality($6::text[]) = 0 OR aggregate_type = ANY ($6))
                     AND (cardinality($7::text[]) = 0 OR event_type = ANY ($7))";
    page_sql(condition, "position")
});

const COUNT_LOG: &str = "SELECT count(*) FROM events WHERE position > $1 AND position <= $2";

/// The events that meet a condition, in an order: at most `$1` events, and `$2` bytes. PostgreSQL knows the sizes
/// without reading the payloads. The first event may have up to `$3` bytes. The first event that does not fit is
/// returned without its payload, to show that there are more.
fn page_sql(condition: &str, order: &str) -> String {
    let row = NewEvent::ROW_BYTES;
    format!(
        "SELECT position, aggregate_type, aggregate_id, version, event_type, schema_version, recorded_at, command_key,
            chain, CASE WHEN fits THEN payload END AS payload, CASE WHEN fits THEN metadata END AS metadata
         FROM (
            SELECT *, taken <= $2 OR (taken = size AND size <= $3) AS fits
            FROM (
                SELECT *, sum(size) OVER (ORDER BY {order} ROWS UNBOUNDED PRECEDING) AS taken
                FROM (
                    SELECT *, octet_length(payload) + octet_length(metadata) + {row} AS size
                    FROM events WHERE {condition} ORDER BY {order} LIMIT $1
                ) AS limited
            ) AS counted
         ) AS page
         WHERE taken - size <= $2
         ORDER BY {order}"
    )
}

/// A page of the events of an aggregate.
pub(super) fn of_aggregate<'q>(
    connection: &'q mut PgConnection,
    (aggregate, after, limit): &'q (&AggregateRef, Version, PageLimit),
) -> QueryFuture<'q, Page> {
    Box::pin(async move {
        let select = limited(&READ_AGGREGATE, *limit)
            .bind(aggregate.aggregate_type.as_str())
            .bind(aggregate.id.as_str())
            .bind(to_sql(after.0));
        page(select.fetch_all(connection).await?, *limit)
    })
}

/// A page of the log.
pub(super) fn of_log<'q>(
    connection: &'q mut PgConnection,
    (after, limit): &'q (Position, PageLimit),
) -> QueryFuture<'q, Page> {
    Box::pin(async move {
        let select = limited(&READ_LOG, *limit).bind(to_sql(after.0));
        page(select.fetch_all(connection).await?, *limit)
    })
}

/// A page of the events that meet a filter.
pub(super) fn selected<'q>(
    connection: &'q mut PgConnection,
    (after, until, filter, limit): &'q (Position, Position, &LogFilter, PageLimit),
) -> QueryFuture<'q, Page> {
    Box::pin(async move {
        let select = limited(&SELECT_LOG, *limit)
            .bind(to_sql(after.0))
            .bind(to_sql(until.0))
            .bind(&filter.types)
            .bind(&filter.events);
        let page = page(select.fetch_all(&mut *connection).await?, *limit)?;
        if !page.is_cut {
            // Without this count a missing position would look like one that does not meet the filter.
            let select = query_scalar(COUNT_LOG).bind(to_sql(after.0)).bind(to_sql(until.0));
            let count: i64 = select.fetch_one(connection).await?;
            if count != to_sql(until.0.saturating_sub(after.0)) {
                return Err(Failure::Damaged(format!("the log lacks a position between {after} and {until}")));
            }
        }
        Ok(page)
    })
}

/// A statement of [`page_sql`] with its limits.
fn limited<'q>(sql: &'static str, limit: PageLimit) -> Query<'q, Postgres, PgArguments> {
    query(sql).bind(to_sql(limit.events as u64)).bind(to_sql(limit.bytes as u64)).bind(to_sql(limit.largest as u64))
}

/// Consumes the rows one by one, so that a page is not in memory twice.
fn page(rows: Vec<PgRow>, limit: PageLimit) -> Result<Page, Failure> {
    let (mut page, mut room) = (Page::default(), Room::new(limit));
    for row in rows {
        let Some(event) = row::event(&row)? else {
            page.is_cut = true;
            return Ok(page);
        };
        // There is room: the statement counts in the same way.
        room.take(event.event.size_bytes());
        page.events.push(event);
    }
    page.is_cut = room.is_used_up();
    Ok(page)
}
