//! Decoding rows. A row that does not hold what was written is damage.

use std::sync::Arc;

use dormouse_kernel::{AggregateId, AggregateRef, AggregateType, Chain};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::schema::BuildRow;
use crate::fields::Kind;
use crate::query::{Page, Query, Value};
use crate::store::numbers::{build_number, position, version};
use crate::store::{Build, DocumentAt, Error, Offset, Parked, Row};
use dormouse_storage::from_sql;

/// A row of `builds`, and whether the build is served.
pub(super) fn build(row: BuildRow) -> Result<(Build, bool), Error> {
    let (number, is_serving, version, at, chain, begun_after) = row;
    let build = Build {
        number: build_number("builds.build", number)?,
        version: from_sql(version, "builds.version")?,
        begun_after: position("builds.begun_after", begun_after)?,
        offset: offset(at, &chain)?,
    };
    Ok((build, is_serving))
}

/// The rows of [`list`](super::statements::list), of which `first` is the first.
pub(super) fn page(query: &Query, first: &SqliteRow, rows: &[SqliteRow]) -> Result<Page, Error> {
    let (at, total) = (position("builds.position", column(first, 0)?)?, column::<Option<i64>>(first, 1)?);
    let total = total.map(|total| from_sql(total, "count")).transpose()?;
    let listed = rows.iter().filter(|row| !matches!(column(row, 2), Ok(None::<&str>)));
    let listed = listed.map(|row| {
        let Some(document) = column(row, 3)? else { return Ok(None) };
        let position = position("position", column(row, 4)?)?;
        let found = Row { key: column::<&str>(row, 2)?.into(), document, position };
        let values = query.sorted_by().iter().enumerate().map(|(number, sort)| value(row, 5 + number, sort.field.kind));
        Ok(Some((found, values.collect::<Result<Vec<_>, Error>>()?)))
    });
    Ok(Page::of(query, listed.collect::<Result<Vec<_>, Error>>()?.into_iter(), at, total))
}

pub(super) fn parked(row: &SqliteRow) -> Result<Parked, Error> {
    Ok(Parked {
        aggregate: aggregate(row)?,
        version: version("parked.version", column(row, 2)?)?,
        position: position("parked.position", column(row, 3)?)?,
        reason: column(row, 4)?,
        attempts: from_sql(column(row, 5)?, "parked.attempts")?,
    })
}

/// A value that a list is sorted by.
fn value(row: &SqliteRow, index: usize, kind: Kind) -> Result<Option<Value>, Error> {
    Ok(match kind {
        Kind::Text => column::<Option<String>>(row, index)?.map(Value::Text),
        Kind::Integer => whole(row, index)?.map(Value::Integer),
        Kind::Real => column::<Option<f64>>(row, index)?.map(Value::Real),
        Kind::Boolean => column::<Option<i64>>(row, index)?.map(|truth| Value::Boolean(truth != 0)),
    })
}

/// A whole number: an integer, or the digits of one that is too large for an `i64`.
fn whole(row: &SqliteRow, index: usize) -> Result<Option<i128>, Error> {
    if let Ok(number) = row.try_get::<Option<i64>, _>(index) {
        return Ok(number.map(i128::from));
    }
    let text = column::<&str>(row, index)?;
    text.parse().map(Some).map_err(|_| Error::Damaged(format!("{text:?} is not a whole number")))
}

/// A row of [`get`](super::statements::get). The document is copied once, from the memory of SQLite.
pub(super) fn document(row: &SqliteRow) -> Result<DocumentAt, Error> {
    let document = column::<Option<&str>>(row, 1)?.map(Arc::from);
    let changed = column::<Option<i64>>(row, 2)?.map(|number| position("position", number)).transpose()?;
    Ok(DocumentAt { document: document.zip(changed), at: position("builds.position", column(row, 0)?)? })
}

pub(super) fn offset(at: i64, chain: &[u8]) -> Result<Offset, Error> {
    let chain = Chain::from_bytes(chain).ok_or_else(|| Error::Damaged("a chain does not have 16 bytes".to_owned()))?;
    Ok(Offset { position: position("builds.position", at)?, chain })
}

pub(super) fn aggregate(row: &SqliteRow) -> Result<AggregateRef, Error> {
    let damaged = |error: dormouse_kernel::InvalidId| Error::Damaged(error.to_string());
    let aggregate_type = AggregateType::new(column::<&str>(row, 0)?).map_err(damaged)?;
    Ok(AggregateRef::new(aggregate_type, AggregateId::new(column::<&str>(row, 1)?).map_err(damaged)?))
}

/// One column of a row.
pub(super) fn column<'r, T>(row: &'r SqliteRow, index: usize) -> Result<T, Error>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(index).map_err(|error| Error::Damaged(error.to_string()))
}
