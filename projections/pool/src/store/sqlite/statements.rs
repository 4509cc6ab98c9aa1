//! The statements that work on views. A statement costs thread hops, a row does not: so statements are sent together, as
//! many as can be, and each takes many rows, in parameters. They are prepared for a few numbers of rows.

use futures_util::TryStreamExt;
use serde::Serialize;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Sqlite as Driver, SqliteConnection};

use super::written::{FieldSet, Planned, Prepared, Written};
use super::{CHECKPOINT_PAGES, Sqlite, signed};
use crate::definition::Definition;
use crate::fields::{Field, Kind};
use crate::key::Key;
use crate::query::{Query, Value};
use crate::store::columns::column;
use crate::store::listing::{Bind, Dialect, Listing, fitting};
use crate::store::values::Paths;
use crate::store::{Advance, BuildNumber, Error, Loaded, Parked, Row};

type Statement<'q> = sqlx::query::Query<'q, Driver, SqliteArguments>;

/// So many rows, or keys, a statement takes: the next larger number of these, filled up with NULL. More would save little,
/// and each statement is kept for each view.
const PREPARED_ROWS: [usize; 5] = [1, 4, 16, 64, 256];

/// Parameters of a statement; SQLite allows 32,766.
const PARAMETERS: usize = 32_000;

/// Digits of the largest whole number.
const DIGITS: usize = 20;

/// A batch that writes so many rows is one of a view that is built, or far behind: it touches pages all over the file, and most
/// of them again and again.
const LARGE_BATCH: usize = 2048;

/// Pages in the WAL before it is copied back after a large batch: nobody waits for that view to be fresh.
const CHECKPOINT_PAGES_LARGE: u32 = 16_000;

/// A set that has every field, however many there are.
const EVERY_FIELD: FieldSet = FieldSet::MAX;

/// Key and document of those keys that are there. The inner error: a row does not hold what was written.
pub(super) async fn load(
    connection: &mut SqliteConnection,
    view: &Definition,
    build: BuildNumber,
    keys: &[Key],
    bytes: usize,
) -> Result<Result<Loaded, Error>, sqlx::Error> {
    let table = view.table(build);
    let (mut found, mut room) = (Vec::with_capacity(keys.len()), bytes);
    for keys in keys.chunks(prepared(keys.len(), 1)) {
        let select = format!("SELECT key, document FROM {table} WHERE key IN ({})", places(keys.len()));
        let mut rows = bind_keys(sqlx::query(AssertSqlSafe(select)), keys).fetch(&mut *connection);
        while let Some(row) = rows.try_next().await? {
            let read = super::column::<&str>(&row, 0).and_then(|key| Ok((Key::from(key), super::column(&row, 1)?)));
            let (key, document): (Key, String) = match read {
                Ok(read) => read,
                Err(damaged) => return Ok(Err(damaged)),
            };
            let Some(left) = room.checked_sub(document.len()) else { return Ok(Ok(None)) };
            room = left;
            found.push((key, document));
        }
    }
    Ok(Ok(Some(found)))
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
    let values: String = (0..query.sorted_by().len()).map(|number| format!(", found.s{number}")).collect();
    // Documents are read once it is known which fit.
    let sql = format!(
        "SELECT builds.position AS at, ({count}) AS total, found.key,
            CASE WHEN found.fits THEN (SELECT document FROM {relation} AS listed WHERE listed.key = found.key) END,
            found.position{values}
         FROM builds LEFT JOIN ({rows}) AS found WHERE builds.view = ?1 AND builds.is_serving = 1",
        relation = view.relation(),
        rows = fitting(query, &rows),
    );
    (sql, binds)
}

impl Dialect for Sqlite {
    fn field(field: Field) -> String {
        column(field)
    }

    // The smallest value there is: no index is used for `IS NOT NULL` alone.
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

    // It does not read the text.
    const DOCUMENT: &'static str = "octet_length(document) AS size";
    const DIFFERS: &'static str = "IS NOT";
    const ASCENDING: &'static str = "ASC";
    const DESCENDING: &'static str = "DESC";
    const WITHOUT_INDEX: Option<&'static str> = Some("+");
}

pub(super) fn bind(statement: Statement<'_>, value: Bind) -> Statement<'_> {
    match value {
        Bind::Key(key) => statement.bind(key),
        Bind::Value(value) => bind_value(statement, value),
    }
}

fn bind_value(statement: Statement<'_>, value: Value) -> Statement<'_> {
    match value {
        Value::Text(text) => statement.bind(text),
        // Integers have a sign and 64 bits here. Texts come after all numbers, and are in order if they are as long.
        Value::Integer(number) => match i64::try_from(number) {
            Ok(number) => statement.bind(number),
            Err(_) => statement.bind(format!("{number:0>DIGITS$}")),
        },
        Value::Real(number) => statement.bind(number),
        Value::Boolean(truth) => statement.bind(i64::from(truth)),
    }
}

/// See [`ViewStore::commit`](crate::ViewStore::commit). An error says where the view is instead.
pub(super) async fn commit(
    connection: &mut SqliteConnection,
    view: &Definition,
    build: BuildNumber,
    advance: Advance,
    written: &Written,
) -> Result<Result<(), Option<i64>>, sqlx::Error> {
    let Advance { from, to, rows, gone, parked, released } = advance;
    let is_large = rows.len() >= LARGE_BATCH;
    let writer = Writer::of(view, build);
    let mut known = written.take(build, from);
    let Planned { upserts, updates } = known.plan(rows, &writer.paths, writer.fields.len(), is_large);
    // What fails, or is given up, drops the connection; that rolls it back.
    let moving =
        "BEGIN IMMEDIATE; UPDATE builds SET position = ?, chain = ? WHERE build = ? AND position = ? RETURNING 1";
    let (first, mut rest) = writer.chunk(upserts);
    let moving = match &first[..] {
        [] => moving.to_owned(),
        rows => format!("{moving}; {}", writer.upsert(rows.len())),
    };
    let moving = sqlx::query(AssertSqlSafe(moving))
        .bind(signed(to.position.0))
        .bind(to.chain.0.to_vec())
        .bind(signed(build.0))
        .bind(signed(from.0));
    let moved = writer.bind(moving, first, EVERY_FIELD).fetch_all(&mut *connection).await;
    if !matches!(&moved, Ok(moved) if moved.len() == 1) {
        sqlx::query("ROLLBACK").execute(&mut *connection).await?;
        let find = sqlx::query_scalar("SELECT position FROM builds WHERE build = ?");
        let found = find.bind(signed(build.0)).fetch_optional(&mut *connection).await?;
        return match moved {
            // It is where it should be: something else is wrong.
            Err(error) if found == Some(signed(from.0)) => Err(error),
            _ => Ok(Err(found)),
        };
    }
    while !rest.is_empty() {
        let (next, others) = writer.chunk(rest);
        let upsert = writer.upsert(next.len());
        writer.bind(sqlx::query(AssertSqlSafe(upsert)), next, EVERY_FIELD).execute(&mut *connection).await?;
        rest = others;
    }
    for (fields, mut rest) in updates {
        while !rest.is_empty() {
            let (next, others) = writer.chunk(rest);
            let (count, update) = (next.len() as u64, writer.update(next.len(), fields));
            let updated = writer.bind(sqlx::query(AssertSqlSafe(update)), next, fields);
            if updated.execute(&mut *connection).await?.rows_affected() != count {
                // Somebody else has deleted rows: what is known is wrong, and forgotten with this error.
                return Err(sqlx::Error::Protocol("a row that was written before is not there".to_owned()));
            }
            rest = others;
        }
    }
    for keys in gone.chunks(prepared(gone.len(), 1)) {
        let delete = format!("DELETE FROM {} WHERE key IN ({})", writer.table, places(keys.len()));
        bind_keys(sqlx::query(AssertSqlSafe(delete)), keys).execute(&mut *connection).await?;
    }
    if !parked.is_empty() {
        sqlx::query(
            "INSERT OR REPLACE INTO parked (build, position, aggregate_type, aggregate_id, version, reason, attempts)
             SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each(?2)",
        )
        .bind(signed(build.0))
        .bind(json(parked.iter().map(columns)))
        .execute(&mut *connection)
        .await?;
    }
    if !released.is_empty() {
        sqlx::query("DELETE FROM parked WHERE build = ?1 AND position IN (SELECT value FROM json_each(?2))")
            .bind(signed(build.0))
            .bind(json(released.iter().map(|position| position.0)))
            .execute(&mut *connection)
            .await?;
    }
    if is_large {
        let commit = format!(
            "PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES_LARGE}; COMMIT; PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}"
        );
        sqlx::raw_sql(AssertSqlSafe(commit)).execute(connection).await?;
    } else {
        sqlx::query("COMMIT").execute(connection).await?;
    }
    gone.iter().for_each(|key| known.remove(key));
    written.keep(build, known, to.position);
    Ok(Ok(()))
}

/// Writes rows into the table of a build.
struct Writer {
    table: String,
    fields: Vec<String>,
    paths: Paths,
}

impl Writer {
    fn of(view: &Definition, build: BuildNumber) -> Self {
        let fields = view.fields().iter().map(|field| column(*field)).collect();
        Self { table: view.table(build), fields, paths: Paths::of(view.fields().iter()) }
    }

    /// The rows that go into one statement, and those behind them.
    fn chunk(&self, mut rows: Vec<Prepared>) -> (Vec<Prepared>, Vec<Prepared>) {
        let rest = rows.split_off(rows.len().min(prepared(rows.len(), self.columns())));
        (rows, rest)
    }

    fn columns(&self) -> usize {
        self.fields.len() + 3
    }

    /// The statement for so many rows.
    fn upsert(&self, rows: usize) -> String {
        let names: String = self.fields.iter().map(|name| format!(", {name}")).collect();
        let changes: String = self.fields.iter().map(|name| format!(", {name} = excluded.{name}")).collect();
        let row = format!("({})", vec!["?"; self.columns()].join(","));
        let values = vec![row; prepared(rows, self.columns())].join(",");
        format!(
            "INSERT INTO {} (key, document, position{names}) SELECT * FROM (VALUES {values}) WHERE column1 IS NOT NULL
             ON CONFLICT (key) DO UPDATE SET document = excluded.document, position = excluded.position{changes}",
            self.table
        )
    }

    /// The statement for so many rows that are there, and of which only these fields change. Columns are numbered as they are
    /// [bound](Self::bind).
    fn update(&self, rows: usize, fields: FieldSet) -> String {
        let named: Vec<&String> = chosen(self.fields.iter(), fields).collect();
        let row = format!("({})", vec!["?"; named.len() + 3].join(","));
        let values = vec![row; prepared(rows, self.columns())].join(",");
        let numbered = named.iter().zip(4..);
        let changes: String = numbered.map(|(name, column)| format!(", {name} = new.column{column}")).collect();
        format!(
            "UPDATE {table} SET document = new.column2, position = new.column3{changes}
             FROM (VALUES {values}) AS new WHERE {table}.key = new.column1",
            table = self.table
        )
    }

    /// Key, document, position and, of each row, the values of these fields.
    fn bind<'q>(&self, statement: Statement<'q>, rows: Vec<Prepared>, fields: FieldSet) -> Statement<'q> {
        rows.into_iter().fold(statement, |statement, Prepared { row, values }| {
            let Row { key, document, position } = row;
            let statement = statement.bind(key.shared()).bind(document).bind(signed(position.0));
            chosen(values.iter(), fields).fold(statement, |statement, value| match value {
                Some(value) => bind_value(statement, value.clone()),
                None => statement.bind(None::<i64>),
            })
        })
    }
}

/// Those of the fields that are in a set. More than the set has bits are never taken apart.
fn chosen<T>(of_fields: impl Iterator<Item = T>, set: FieldSet) -> impl Iterator<Item = T> {
    of_fields.enumerate().filter(move |(number, _)| set == EVERY_FIELD || set >> number & 1 == 1).map(|(_, one)| one)
}

/// How many rows of so many columns the statement takes that takes these, or as many of them as one can.
fn prepared(rows: usize, columns: usize) -> usize {
    let mut sizes = PREPARED_ROWS.into_iter().filter(|size| size * columns <= PARAMETERS);
    let largest = sizes.clone().next_back().unwrap_or(1);
    sizes.find(|size| *size >= rows).unwrap_or(largest)
}

/// The parameters of a statement that takes so many keys.
fn places(keys: usize) -> String {
    vec!["?"; prepared(keys, 1)].join(",")
}

fn bind_keys<'q>(statement: Statement<'q>, keys: &[Key]) -> Statement<'q> {
    keys.iter().fold(statement, |statement, key| statement.bind(key.shared()))
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
