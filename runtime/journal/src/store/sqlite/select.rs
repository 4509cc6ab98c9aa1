//! Events of the log that meet a filter. No index serves it: a scan by position reads the small columns, which precede
//! the payload in a row, and SQLite does not load the rest of a large row.

use dormouse_kernel::{Position, RecordedEvent};
use dormouse_storage::to_sql;
use sqlx::AssertSqlSafe;

use super::error;
use super::pages::{self, Rows};
use super::readers::Readers;
use super::row::{AGGREGATE, OF_AGGREGATE};
use crate::error::StoreError;
use crate::filter::LogFilter;
use crate::page::{Page, PageLimit, Room};

const COUNT: &str = "SELECT count(*) FROM main.events WHERE position > ? AND position <= ?";

impl Readers {
    /// See [`Store::select_log`](crate::Store::select_log).
    pub(super) async fn select_log(
        &self,
        after: Position,
        until: Position,
        filter: &LogFilter,
        limit: PageLimit,
    ) -> Result<Page, StoreError> {
        let mut reader = self.borrow().await?;
        // Few filters are used more than once, so their statements are not kept.
        let mut query = sqlx::query(AssertSqlSafe(select_sql(filter))).persistent(false);
        query = query.bind(to_sql(after.0)).bind(to_sql(until.0));
        for name in filter.types.iter().chain(&filter.events) {
            query = query.bind(name.as_str());
        }
        let query = query.bind(to_sql(limit.events as u64));
        let read = pages::read(&mut reader.connection, query, Room::new(limit)).await;
        let Rows { rows, is_cut } = read.map_err(error::store)?;
        if !is_cut {
            // Without this count a missing position would look like one that does not meet the filter.
            let select = sqlx::query_scalar(COUNT).bind(to_sql(after.0)).bind(to_sql(until.0));
            let count: i64 = select.fetch_one(&mut reader.connection).await.map_err(error::store)?;
            if count != to_sql(until.0.saturating_sub(after.0)) {
                return Err(error::damaged(format_args!("the log lacks a position between {after} and {until}")));
            }
        }
        reader.give_back();
        let events: Vec<RecordedEvent> = rows.into_iter().map(|row| row.read()).collect::<Result<_, _>>()?;
        Ok(Page { events, is_cut })
    }
}

fn select_sql(filter: &LogFilter) -> String {
    let columns = &*OF_AGGREGATE;
    let among = |column: &str, names: &[String]| match names.len() {
        0 => String::new(),
        count => format!(" AND e.{column} IN ({})", vec!["?"; count].join(",")),
    };
    format!(
        "SELECT {columns}, {AGGREGATE} FROM main.events AS e WHERE e.position > ? AND e.position <= ?{types}{events}
         ORDER BY e.position LIMIT ?",
        types = among("aggregate_type", &filter.types),
        events = among("event_type", &filter.events),
    )
}
