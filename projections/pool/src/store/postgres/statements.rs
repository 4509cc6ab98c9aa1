//! The statements that work on views. Each is one round trip, and sees one state.

use futures_util::TryStreamExt;
use sqlx::postgres::PgArguments;
use sqlx::{AssertSqlSafe, PgConnection};

use super::fields::Expressions;
use super::known::Mark;
use super::signed;
use crate::definition::Definition;
use crate::fields::Kind;
use crate::key::Key;
use crate::query::{Query, Sort, Value};
use crate::store::listing::{Bind, Listing, fitting};
use crate::store::{Advance, BuildNumber, Loaded};

pub(super) type Statement<'q> = sqlx::query::Query<'q, sqlx::Postgres, PgArguments>;

/// Key and document of those keys that are there. One row without them, if there are none; no row, if there is no such
/// build.
pub(super) fn load(view: &Definition, build: BuildNumber) -> String {
    format!(
        "SELECT held.key, held.document::text FROM builds LEFT JOIN {} AS held ON held.key = ANY($2)
         WHERE builds.build = $1",
        view.table(build)
    )
}

/// What [`load`] comes to. `None`: there is no such build. `Some(None)`: the documents have more bytes.
pub(super) async fn loaded(
    connection: &mut PgConnection,
    sql: &str,
    build: BuildNumber,
    keys: &[Key],
    bytes: usize,
) -> Result<Option<Loaded>, sqlx::Error> {
    let texts: Vec<&str> = keys.iter().map(Key::as_str).collect();
    let select = sqlx::query_as(AssertSqlSafe(sql)).bind(signed(build.0)).bind(texts);
    let mut rows = select.fetch(connection);
    let (mut found, mut room, mut is_there) = (Vec::with_capacity(keys.len()), bytes, false);
    while let Some((key, document)) = rows.try_next().await? {
        is_there = true;
        let (key, document): (Option<String>, Option<String>) = (key, document);
        if let (Some(key), Some(document)) = (key, document) {
            // The rest is read past before the next statement.
            let Some(left) = room.checked_sub(document.len()) else { return Ok(Some(None)) };
            room = left;
            found.push((Key::from(key), document));
        }
    }
    Ok(is_there.then_some(Some(found)))
}

/// Which build is served, how far it is, and which transaction brought it there.
const MARK: &str = "builds.build, builds.position, builds.xmin::text::bigint";

/// The mark of a view, and one of its documents with its position.
pub(super) fn get(view: &Definition) -> String {
    format!(
        "SELECT {MARK}, found.document::text, found.position FROM builds
         LEFT JOIN {} AS found ON found.key = $2 WHERE builds.view = $1 AND builds.is_serving",
        view.relation()
    )
}

/// A row for each document of a list, behind the mark of the view and how many there are in all; one row without
/// a document if there are none. After them comes what the list is sorted by.
pub(super) fn list(view: &Definition, query: &Query) -> (String, Vec<Bind>) {
    let Listing { rows, count, binds } = Listing::of::<Expressions>(query, view.relation(), 1);
    let count = if query.is_counting() { count } else { "NULL::bigint".to_owned() };
    // No type of ours holds all whole numbers.
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

/// PostgreSQL has no NUL in a text, and no document or key has one either. To compare with, the next character does as
/// well; in what is only read by people, it is as good.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{1}")
}

/// See [`ViewStore::commit`](crate::ViewStore::commit): the build's mark and whether it is served, if it was where it
/// must be. Everything depends on that, in one statement, and so in one transaction.
pub(super) async fn commit(
    connection: &mut PgConnection,
    view: &Definition,
    build: BuildNumber,
    advance: &Advance,
) -> Result<Option<(Mark, bool)>, sqlx::Error> {
    let Advance { from, to, rows, gone, parked, released } = advance;
    let table = view.table(build);
    let waits = !parked.is_empty() || !released.is_empty();
    let parking = if waits {
        ", parking AS (
            INSERT INTO parked (build, position, aggregate_type, aggregate_id, version, reason, attempts)
            SELECT moved.build, event.* FROM moved, unnest(
                $9::bigint[], $10::text[], $11::text[], $12::bigint[], $13::text[], $14::bigint[]) AS event
            ON CONFLICT (build, position) DO UPDATE SET
                aggregate_type = excluded.aggregate_type, aggregate_id = excluded.aggregate_id,
                version = excluded.version, reason = excluded.reason, attempts = excluded.attempts
        ), releasing AS (
            DELETE FROM parked USING moved WHERE parked.build = moved.build AND parked.position = ANY($15::bigint[])
        )"
    } else {
        ""
    };
    let sql = format!(
        "WITH moved AS (
            UPDATE builds SET position = $3, chain = $4 WHERE build = $1 AND position = $2
            RETURNING build, xmin::text::bigint AS row, is_serving
        ), writing AS (
            INSERT INTO {table} (key, document, position)
            SELECT changed.key, changed.document::json, changed.position
            FROM moved, unnest($5::text[], $6::text[], $7::bigint[]) AS changed (key, document, position)
            ON CONFLICT (key) DO UPDATE SET document = excluded.document, position = excluded.position
        ), deleting AS (
            DELETE FROM {table} USING moved WHERE key = ANY($8::text[])
        ){parking}
        SELECT row, is_serving FROM moved"
    );
    let mut statement = sqlx::query_as(AssertSqlSafe(sql))
        .bind(signed(build.0))
        .bind(signed(from.0))
        .bind(signed(to.position.0))
        .bind(to.chain.0.as_slice())
        .bind(rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.document.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| signed(row.position.0)).collect::<Vec<_>>())
        .bind(gone.iter().map(|key| key.as_str()).collect::<Vec<_>>());
    if waits {
        statement = statement
            .bind(parked.iter().map(|event| signed(event.position.0)).collect::<Vec<_>>())
            .bind(parked.iter().map(|event| event.aggregate.aggregate_type.as_str()).collect::<Vec<_>>())
            .bind(parked.iter().map(|event| event.aggregate.id.as_str()).collect::<Vec<_>>())
            .bind(parked.iter().map(|event| signed(event.version.0)).collect::<Vec<_>>())
            .bind(parked.iter().map(|event| event.reason.as_deref().map(storable)).collect::<Vec<_>>())
            .bind(parked.iter().map(|event| i64::from(event.attempts)).collect::<Vec<_>>())
            .bind(released.iter().map(|position| signed(position.0)).collect::<Vec<_>>());
    }
    let moved: Option<(i64, bool)> = statement.fetch_optional(connection).await?;
    Ok(moved.map(|(row, is_served)| (Mark { build, position: to.position, row }, is_served)))
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
