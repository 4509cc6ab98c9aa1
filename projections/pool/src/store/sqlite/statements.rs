//! The statements that read documents and lists, and what commits share with them. Statements are prepared for only a
//! few numbers of rows.

use futures_util::TryStreamExt;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Sqlite as Driver, SqliteConnection};

use super::{Sqlite, decode};
use crate::definition::Definition;
use crate::fields::{Field, Kind};
use crate::key::Key;
use crate::query::{Query, Value};
use crate::store::columns::column;
use crate::store::listing::{Bind, Dialect, Listing, fitting};
use crate::store::{BuildNumber, Error, Loaded};

pub(super) type Statement<'q> = sqlx::query::Query<'q, Driver, SqliteArguments>;

/// The numbers of rows, or keys, that statements take: the next larger one is used, and filled up with NULL. More sizes
/// would save little, and each statement is kept for each view.
const PREPARED_ROWS: [usize; 5] = [1, 4, 16, 64, 256];

/// Parameters of a statement; SQLite allows 32,766.
const PARAMETERS: usize = 32_000;

/// Digits of the largest whole number.
const DIGITS: usize = 20;

/// Key and document of those keys that have a document. The inner error: a row does not hold what was written.
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
            let read = decode::column::<&str>(&row, 0).and_then(|key| Ok((Key::from(key), decode::column(&row, 1)?)));
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

/// Selects the position of a view, and one of its documents with its position. One statement sees one state.
pub(super) fn get(view: &Definition) -> String {
    format!(
        "SELECT builds.position, found.document, found.position FROM builds
         LEFT JOIN {} AS found ON found.key = ?2 WHERE builds.view = ?1 AND builds.is_serving = 1",
        view.relation()
    )
}

/// Selects a row for each document of a list: the position of the view, the total, key, document and position, then the
/// values that the list is sorted by. If the list is empty, there is one row without a document. One statement sees one
/// state.
pub(super) fn list(view: &Definition, query: &Query) -> (String, Vec<Bind>) {
    let Listing { rows, count, binds } = Listing::of::<Sqlite>(query, view.relation(), 1);
    let count = if query.is_counting() { count } else { "NULL".to_owned() };
    let values: String = (0..query.sorted_by().len()).map(|number| format!(", found.s{number}")).collect();
    // The documents are read after it is known which of them fit.
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

    // Compares with the smallest value, because SQLite uses no index for `IS NOT NULL` alone.
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

    // `octet_length` does not read the text.
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

pub(super) fn bind_value(statement: Statement<'_>, value: Value) -> Statement<'_> {
    match value {
        Value::Text(text) => statement.bind(text),
        // Integers have a sign and 64 bits here. Texts sort after all numbers, and in numeric order if they are equally
        // long.
        Value::Integer(number) => match i64::try_from(number) {
            Ok(number) => statement.bind(number),
            Err(_) => statement.bind(format!("{number:0>DIGITS$}")),
        },
        Value::Real(number) => statement.bind(number),
        Value::Boolean(truth) => statement.bind(i64::from(truth)),
    }
}

/// The number of rows that a statement takes for this many rows of this many columns. Less than `rows`, if one
/// statement cannot take all.
pub(super) fn prepared(rows: usize, columns: usize) -> usize {
    let mut sizes = PREPARED_ROWS.into_iter().filter(|size| size * columns <= PARAMETERS);
    let largest = sizes.clone().next_back().unwrap_or(1);
    sizes.find(|size| *size >= rows).unwrap_or(largest)
}

/// The parameters of a statement for this many keys.
pub(super) fn places(keys: usize) -> String {
    vec!["?"; prepared(keys, 1)].join(",")
}

pub(super) fn bind_keys<'q>(statement: Statement<'q>, keys: &[Key]) -> Statement<'q> {
    keys.iter().fold(statement, |statement, key| statement.bind(key.shared()))
}
