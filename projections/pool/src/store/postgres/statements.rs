//! The statements that read documents and lists. Each is one round trip, and sees one state.

use futures_util::TryStreamExt;
use sqlx::postgres::PgArguments;
use sqlx::{AssertSqlSafe, PgConnection};

use super::fields::Expressions;
use crate::definition::Definition;
use crate::fields::Kind;
use crate::key::Key;
use crate::query::{Query, Sort, Value};
use crate::store::listing::{Bind, Listing, fitting};
use crate::store::{BuildNumber, Loaded};
use dormouse_storage::to_sql;

pub(super) type Statement<'q> = sqlx::query::Query<'q, sqlx::Postgres, PgArguments>;

/// Selects key and document of those keys that have a document. Without any, the result is one row of NULLs; without
/// the build, it has no row.
pub(super) fn load(view: &Definition, build: BuildNumber) -> String {
    format!(
        "SELECT held.key, held.document::text FROM builds LEFT JOIN {} AS held ON held.key = ANY($2)
         WHERE builds.build = $1",
        view.table(build)
    )
}

/// The result of [`load`]. `None`: there is no such build. `Some(None)`: the documents have more than `bytes`.
pub(super) async fn loaded(
    connection: &mut PgConnection,
    sql: &str,
    build: BuildNumber,
    keys: &[Key],
    bytes: usize,
) -> Result<Option<Loaded>, sqlx::Error> {
    let texts: Vec<&str> = keys.iter().map(Key::as_str).collect();
    let select = sqlx::query_as(AssertSqlSafe(sql)).bind(to_sql(build.0)).bind(texts);
    let mut rows = select.fetch(connection);
    let (mut found, mut room, mut is_there) = (Vec::with_capacity(keys.len()), bytes, false);
    while let Some((key, document)) = rows.try_next().await? {
        is_there = true;
        let (key, document): (Option<String>, Option<String>) = (key, document);
        if let (Some(key), Some(document)) = (key, document) {
            // The driver skips the remaining rows before the next statement.
            let Some(left) = room.checked_sub(document.len()) else { return Ok(Some(None)) };
            room = left;
            found.push((Key::from(key), document));
        }
    }
    Ok(is_there.then_some(Some(found)))
}

/// The columns of the [`BuildMark`](super::known::BuildMark) of the served build.
const MARK: &str = "builds.build, builds.position, builds.xmin::text::bigint";

/// Selects the mark of the served build, and one of its documents with its position.
pub(super) fn get(view: &Definition) -> String {
    format!(
        "SELECT {MARK}, found.document::text, found.position FROM builds
         LEFT JOIN {} AS found ON found.key = $2 WHERE builds.view = $1 AND builds.is_serving",
        view.relation()
    )
}

/// Selects a row for each document of a list: the mark of the served build, the total, key, document and position, then
/// the values that the list is sorted by. If the list is empty, there is one row without a document.
pub(super) fn list(view: &Definition, query: &Query) -> (String, Vec<Bind>) {
    let Listing { rows, count, binds } = Listing::of::<Expressions>(query, view.relation(), 1);
    let count = if query.is_counting() { count } else { "NULL::bigint".to_owned() };
    // As text: no type of the driver holds all whole numbers.
    let value = |(number, sort): (usize, &Sort)| match sort.field.kind {
        Kind::Integer => format!(", found.s{number}::text"),
        Kind::Text | Kind::Real | Kind::Boolean => format!(", found.s{number}"),
    };
    let values: String = query.sorted_by().iter().enumerate().map(value).collect();
    let sized = format!("SELECT *, octet_length(text) AS size FROM ({rows}) AS listed");
    let rows = fitting(query, &sized);
    let sql = format!(
        "SELECT {MARK}, ({count}), found.key, CASE WHEN found.fits THEN found.text END, found.position{values}
         FROM builds LEFT JOIN ({rows}) AS found ON true
         WHERE builds.view = $1 AND builds.is_serving ORDER BY found.number"
    );
    (sql, binds)
}

pub(super) fn bind<'q>(statement: Statement<'q>, value: &Bind) -> Statement<'q> {
    match value {
        Bind::Key(text) | Bind::Value(Value::Text(text)) => statement.bind(storable(text)),
        Bind::Value(Value::Integer(number)) => statement.bind(number.to_string()),
        Bind::Value(Value::Real(number)) => statement.bind(*number),
        Bind::Value(Value::Boolean(truth)) => statement.bind(*truth),
    }
}

/// The text without NUL, which PostgreSQL does not allow. No document or key contains NUL, so in a comparison the next
/// character is equivalent; in a text that is only displayed, the difference does not matter.
pub(super) fn storable(text: &str) -> String {
    text.replace('\0', "\u{1}")
}

/// See [`ViewStore::of_journal`](crate::ViewStore::of_journal).
pub(super) async fn of_journal(
    connection: &mut PgConnection,
    first: Option<&str>,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query("INSERT INTO of_journal (first_event) SELECT $1 WHERE $1 IS NOT NULL ON CONFLICT DO NOTHING")
        .bind(first)
        .execute(&mut *connection)
        .await?;
    sqlx::query_scalar("SELECT first_event FROM of_journal").fetch_optional(connection).await
}
