//! Reading rows of events until the page is full.

use futures_util::TryStreamExt;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, SqliteConnection};

use super::row::EventRow;
use crate::page::Room;

/// The rows of a page.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) rows: Vec<EventRow>,
    /// There was no room for another row.
    pub(super) is_cut: bool,
}

/// Reads rows as far as there is room. Events that do not fit are not loaded: the size of a large event is read first,
/// and its payload once it is known to fit.
pub(super) async fn read(
    connection: &mut SqliteConnection,
    query: Query<'_, Sqlite, SqliteArguments>,
    mut room: Room,
) -> sqlx::Result<Rows> {
    let mut page = Rows::default();
    let mut rows = query.fetch(&mut *connection);
    while let Some(row) = rows.try_next().await? {
        let event = EventRow::new(row);
        if !room.take(event.size_bytes()) {
            page.is_cut = true;
            break;
        }
        page.rows.push(event);
    }
    drop(rows);
    page.is_cut |= room.is_used_up();
    for event in &mut page.rows {
        event.complete(connection).await?;
    }
    Ok(page)
}
