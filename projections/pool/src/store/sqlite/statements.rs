//! The statements that work on views. A statement costs thread hops, a row does not: so everything goes in one bind.

use serde::Serialize;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use super::{Sqlite, signed};
use crate::definition::Definition;
use crate::fields::{Field, Kind};
use crate::key::Key;
use crate::limits::TEXT_CHARS;
use crate::query::Query;
use crate::store::listing::{Bind, Dialect, Listing};
use crate::store::{Advance, BuildNumber, Parked, Row};

/// Key and document of those [keys](keys) that are there.
pub(super) fn load(view: &Definition, build: BuildNumber) -> String {
    format!("SELECT key, document FROM {} WHERE key IN (SELECT value FROM json_each(?))", view.table(build))
}

/// The position of a view, and one of its documents with its position. One statement sees one state.
pub(super) fn get(view: &Definition) -> String {
    format!(
        "SELECT builds.position, found.document, found.position FROM builds
         LEFT JOIN {} AS found ON found.key = ?2 WHERE builds.view = ?1 AND builds.is_serving = 1",
        view.relation()
    )
}

/// A row for each document of a list, behind the position of the view and how many there are in all; one row without
/// a document if there are none. One statement sees one state.
pub(super) fn list(view: &Definition, query: &Query) -> (String, Vec<Bind>) {
    let Listing { rows, count, binds } = Listing::of::<Sqlite>(query, view.relation(), 1);
    let count = if query.is_counting() { count } else { "NULL".to_owned() };
    let sql = format!(
        "SELECT builds.position AS at, ({count}) AS total, found.* FROM builds
         LEFT JOIN ({rows}) AS found WHERE builds.view = ?1 AND builds.is_serving = 1"
    );
    (sql, binds)
}

impl Dialect for Sqlite {
    // What is of another kind is NULL. Otherwise it would be sorted among, or compared with, what it is not; and a field
    // may be declared later than its documents were written.
    fn field(field: Field) -> String {
        let (found, kind) =
            (format!("document ->> '$.{}'", field.path), format!("json_type(document, '$.{}')", field.path));
        match field.kind {
            Kind::Text => format!("CASE {kind} WHEN 'text' THEN substr({found}, 1, {TEXT_CHARS}) END"),
            // Whole numbers beyond 64 bits come as numbers with a fraction.
            Kind::Integer => format!("CASE WHEN {kind} = 'integer' AND typeof({found}) = 'integer' THEN {found} END"),
            Kind::Real => format!("CASE WHEN {kind} IN ('real', 'integer') THEN CAST({found} AS REAL) END"),
            Kind::Boolean => format!("CASE {kind} WHEN 'true' THEN 1 WHEN 'false' THEN 0 END"),
        }
    }

    // The smallest value there is: no index is used for `IS NOT NULL` on an expression.
    fn is_there(field: Field) -> String {
        let smallest = if field.kind == Kind::Text { "''" } else { "-9e999" };
        format!("{} >= {smallest}", Self::field(field))
    }

    fn parameter(number: usize, _: Field) -> String {
        format!("?{number}")
    }

    fn key_parameter(number: usize) -> String {
        format!("?{number}")
    }

    const DIFFERS: &'static str = "IS NOT";
    const ASCENDING: &'static str = "ASC";
    const DESCENDING: &'static str = "DESC";
    const WITHOUT_INDEX: Option<&'static str> = Some("+");
}

/// Keys as a JSON array.
pub(super) fn keys(keys: &[Key]) -> String {
    json(keys.iter().map(Key::as_str))
}

/// See [`ViewStore::commit`](crate::ViewStore::commit). An error says where the view is instead.
pub(super) async fn commit(
    connection: &mut SqliteConnection,
    view: &Definition,
    build: BuildNumber,
    advance: Advance,
) -> Result<Result<(), Option<i64>>, sqlx::Error> {
    let Advance { from, to, rows, gone, parked, released } = advance;
    // Dropped, it is rolled back.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let moved = sqlx::query("UPDATE builds SET position = ?1, chain = ?2 WHERE build = ?3 AND position = ?4")
        .bind(signed(to.position.0))
        .bind(to.chain.0.as_slice())
        .bind(signed(build.0))
        .bind(signed(from.0))
        .execute(&mut *transaction)
        .await?;
    if moved.rows_affected() != 1 {
        let found = sqlx::query_scalar("SELECT position FROM builds WHERE build = ?")
            .bind(signed(build.0))
            .fetch_optional(&mut *transaction)
            .await?;
        transaction.rollback().await?;
        return Ok(Err(found));
    }
    let table = view.table(build);
    if !rows.is_empty() {
        let upsert = format!(
            "INSERT INTO {table} (key, document, position)
             SELECT value ->> 0, value -> 1, value ->> 2 FROM json_each(?) WHERE true
             ON CONFLICT (key) DO UPDATE SET document = excluded.document, position = excluded.position"
        );
        sqlx::query(AssertSqlSafe(upsert)).bind(documents(&rows)).execute(&mut *transaction).await?;
    }
    if !gone.is_empty() {
        let delete = format!("DELETE FROM {table} WHERE key IN (SELECT value FROM json_each(?))");
        sqlx::query(AssertSqlSafe(delete)).bind(keys(&gone)).execute(&mut *transaction).await?;
    }
    if !parked.is_empty() {
        sqlx::query(
            "INSERT OR REPLACE INTO parked (build, position, aggregate_type, aggregate_id, version, reason, attempts)
             SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each(?2)",
        )
        .bind(signed(build.0))
        .bind(json(parked.iter().map(columns)))
        .execute(&mut *transaction)
        .await?;
    }
    if !released.is_empty() {
        sqlx::query("DELETE FROM parked WHERE build = ?1 AND position IN (SELECT value FROM json_each(?2))")
            .bind(signed(build.0))
            .bind(json(released.iter().map(|position| position.0)))
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(Ok(()))
}

/// Rows as a JSON array. The documents are JSON already.
fn documents(rows: &[Row]) -> String {
    const AROUND: usize = 32;
    let length = rows.iter().map(|row| row.key.as_str().len() + row.document.len() + AROUND).sum();
    let mut array = String::with_capacity(length);
    array.push('[');
    for row in rows {
        if array.len() > 1 {
            array.push(',');
        }
        array.push('[');
        array.push_str(&json_text(row.key.as_str()));
        array.push(',');
        array.push_str(&row.document);
        array.push(',');
        array.push_str(&row.position.0.to_string());
        array.push(']');
    }
    array.push(']');
    array
}

fn columns(event: &Parked) -> (u64, &str, &str, u64, Option<&str>, u32) {
    let Parked { aggregate, version, position, reason, attempts } = event;
    (position.0, aggregate.aggregate_type.as_str(), aggregate.id.as_str(), version.0, reason.as_deref(), *attempts)
}

fn json<T: Serialize>(items: impl Iterator<Item = T>) -> String {
    let items: Vec<T> = items.collect();
    json_text(&items)
}

fn json_text<T: Serialize + ?Sized>(value: &T) -> String {
    let Ok(text) = serde_json::to_string(value) else { unreachable!("texts and numbers are JSON") };
    text
}
