//! Events as rows of the log.

use dormouse_kernel::{
    AggregateId, AggregateRef, AggregateType, Chain, CommandKey, NewEvent, Position, RecordedEvent, Timestamp, Version,
};
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, Row};

use super::error::damaged;
use crate::append::Placed;
use crate::error::StoreError;

/// The columns of `events` as [`bind`] binds them.
pub(super) const BOUND: [&str; 12] = [
    "position",
    "slice",
    "aggregate_type",
    "aggregate_id",
    "version",
    "event_type",
    "schema_version",
    "payload",
    "metadata",
    "recorded_at",
    "command_key",
    "chain",
];

/// The columns of `events AS e` as [`read_of`] reads them. Each column of a row costs an allocation, so an aggregate's
/// name is not read again by those who asked for it.
pub(super) const OF_AGGREGATE: &str = "e.position, e.version, e.event_type, e.schema_version, e.payload, e.metadata, \
                                       e.recorded_at, e.command_key, e.chain";

/// What [`read`] reads behind them.
pub(super) const AGGREGATE: &str = "e.aggregate_type, e.aggregate_id, e.slice";

/// A number as SQLite has them. No position or version comes near the end of an `i64`.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The way back.
pub(super) fn unsigned(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| damaged(format_args!("{number} is no position, version or epoch")))
}

/// Binds the rows of an append.
pub(super) fn bind(arguments: &mut SqliteArguments, placed: &Placed) -> Result<(), BoxDynError> {
    let append = &placed.append;
    let aggregate = &append.aggregate;
    let slice = i32::from(aggregate.slice().number());
    let mut key = append.command_key().map(CommandKey::shared);
    let mut position = placed.first;
    let mut version = append.expected;
    for event in &append.events {
        version = version.next();
        arguments.add(signed(position.0))?;
        arguments.add(slice)?;
        arguments.add(aggregate.aggregate_type.shared())?;
        arguments.add(aggregate.id.shared())?;
        arguments.add(signed(version.0))?;
        arguments.add(event.event_type.as_ref())?;
        arguments.add(i64::from(event.schema_version))?;
        arguments.add(event.payload.as_slice())?;
        arguments.add(event.metadata.as_slice())?;
        arguments.add(event.recorded_at.as_microsecond())?;
        arguments.add(key.take())?;
        arguments.add(event.chain.0.as_slice())?;
        position = position.next();
    }
    Ok(())
}

/// Reads a row of [`OF_AGGREGATE`] and [`AGGREGATE`].
pub(super) fn read(row: &SqliteRow) -> Result<RecordedEvent, StoreError> {
    let aggregate_type = AggregateType::new(column::<&str>(row, 9)?).map_err(damaged)?;
    let id = AggregateId::new(column::<&str>(row, 10)?).map_err(damaged)?;
    let aggregate = AggregateRef::new(aggregate_type, id);
    // The slice is a checksum of the name: with another name this would be nobody's event, or somebody else's.
    if column::<i64>(row, 11)? != i64::from(aggregate.slice().number()) {
        return Err(damaged(format_args!("an event has the slice of another aggregate than {aggregate}")));
    }
    read_of(row, aggregate)
}

/// Reads a row of [`OF_AGGREGATE`].
pub(super) fn read_of(row: &SqliteRow, aggregate: AggregateRef) -> Result<RecordedEvent, StoreError> {
    let event = NewEvent {
        event_type: column::<String>(row, 2)?.into(),
        schema_version: u32::try_from(column::<i64>(row, 3)?).map_err(damaged)?,
        payload: column(row, 4)?,
        metadata: column(row, 5)?,
        recorded_at: timestamp(column(row, 6)?)?,
        chain: chain(column(row, 8)?)?,
    };
    let key = column::<Option<&str>>(row, 7)?;
    Ok(RecordedEvent {
        position: Position(unsigned(column(row, 0)?)?),
        aggregate,
        version: Version(unsigned(column(row, 1)?)?),
        command_key: key.map(CommandKey::new).transpose().map_err(damaged)?,
        event,
    })
}

/// One value of a row.
pub(super) fn column<'r, T>(row: &'r SqliteRow, index: usize) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    // Also a NULL where a row should be, and text that is none.
    row.try_get(index).map_err(damaged)
}

pub(super) fn timestamp(microseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(microseconds).map_err(damaged)
}

pub(super) fn chain(bytes: &[u8]) -> Result<Chain, StoreError> {
    Chain::from_bytes(bytes).ok_or_else(|| damaged("a chain does not have 16 bytes"))
}
