//! Events as rows of the log.

use std::sync::LazyLock;

use dormouse_kernel::{
    AggregateId, AggregateRef, AggregateType, Chain, CommandKey, NewEvent, Position, RecordedEvent, Timestamp, Version,
};
use dormouse_storage::{from_sql, to_sql};
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, Row, SqliteConnection};

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

/// The largest payload with metadata, in bytes, that is read with its row. SQLite's thread is up to 2,048 rows ahead of
/// the reader (`ROWS_AHEAD`), so larger ones are read by themselves, once they are known to fit the page.
const BYTES_WITH_ROW: usize = 16 << 10;

/// The columns of `events AS e` as [`EventRow`] reads them. Each column of a row costs an allocation, so a read of one
/// aggregate does not read its name. A large event has its size in place of its payload, and no metadata: `length` does
/// not read the value that it measures.
pub(super) static OF_AGGREGATE: LazyLock<String> = LazyLock::new(|| {
    let size = "length(e.payload) + length(e.metadata)";
    format!(
        "e.position, e.version, e.event_type, e.schema_version,
         CASE WHEN {size} <= {BYTES_WITH_ROW} THEN e.payload ELSE {size} END,
         CASE WHEN {size} <= {BYTES_WITH_ROW} THEN e.metadata END,
         e.recorded_at, e.command_key, e.chain"
    )
});

/// The payload and the metadata of a large event.
const LARGE: &str = "SELECT payload, metadata FROM main.events WHERE position = ?";

/// The columns that [`EventRow::read`] reads after [`OF_AGGREGATE`].
pub(super) const AGGREGATE: &str = "e.aggregate_type, e.aggregate_id, e.slice";

/// The column of the payload in [`OF_AGGREGATE`]. The metadata follows it.
const PAYLOAD: usize = 4;

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
        arguments.add(to_sql(position.0))?;
        arguments.add(slice)?;
        arguments.add(aggregate.aggregate_type.shared())?;
        arguments.add(aggregate.id.shared())?;
        arguments.add(to_sql(version.0))?;
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

/// An event as it was read: its row, and the payload of a large event.
#[derive(Debug)]
pub(super) struct EventRow {
    row: SqliteRow,
    large: Option<SqliteRow>,
}

impl EventRow {
    pub(super) fn new(row: SqliteRow) -> Self {
        Self { row, large: None }
    }

    /// The bytes of payload and metadata, if they are not in the row.
    pub(super) fn missing_bytes(&self) -> Option<usize> {
        let lacks_metadata = self.row.try_get::<Option<&[u8]>, _>(PAYLOAD + 1).is_ok_and(|metadata| metadata.is_none());
        // A row that is missing or damaged is not large.
        let size = if lacks_metadata { self.row.try_get::<i64, _>(PAYLOAD).ok() } else { None };
        size.and_then(|size| usize::try_from(size).ok())
    }

    /// The size as [`NewEvent::size_bytes`] counts it.
    pub(super) fn size_bytes(&self) -> usize {
        let length = |column| self.row.try_get::<&[u8], _>(column).map_or(0, <[u8]>::len);
        NewEvent::ROW_BYTES + self.missing_bytes().unwrap_or_else(|| length(PAYLOAD) + length(PAYLOAD + 1))
    }

    /// Reads the payload of a large event.
    pub(super) async fn complete(&mut self, connection: &mut SqliteConnection) -> sqlx::Result<()> {
        if self.missing_bytes().is_some() {
            let position: i64 = self.row.try_get(0)?;
            self.large = sqlx::query(LARGE).bind(position).fetch_optional(connection).await?;
        }
        Ok(())
    }

    /// A row of [`OF_AGGREGATE`] and [`AGGREGATE`].
    pub(super) fn read(&self) -> Result<RecordedEvent, StoreError> {
        let row = &self.row;
        let aggregate_type = AggregateType::new(column::<&str>(row, 9)?).map_err(damaged)?;
        let id = AggregateId::new(column::<&str>(row, 10)?).map_err(damaged)?;
        let aggregate = AggregateRef::new(aggregate_type, id);
        // The slice is a checksum of the name: it shows that the event belongs to this aggregate and no other.
        if column::<i64>(row, 11)? != i64::from(aggregate.slice().number()) {
            return Err(damaged(format_args!("an event has the slice of another aggregate than {aggregate}")));
        }
        self.read_of(aggregate)
    }

    /// A row of [`OF_AGGREGATE`].
    pub(super) fn read_of(&self, aggregate: AggregateRef) -> Result<RecordedEvent, StoreError> {
        let row = &self.row;
        let (bytes, payload) = self.large.as_ref().map_or((row, PAYLOAD), |large| (large, 0));
        let event = NewEvent {
            event_type: column::<String>(row, 2)?.into(),
            schema_version: u32::try_from(column::<i64>(row, 3)?).map_err(damaged)?,
            payload: column(bytes, payload)?,
            metadata: column(bytes, payload + 1)?,
            recorded_at: timestamp(column(row, 6)?)?,
            chain: chain(column(row, 8)?)?,
        };
        let key = column::<Option<&str>>(row, 7)?;
        Ok(RecordedEvent {
            position: Position(from_sql(column(row, 0)?, "position")?),
            aggregate,
            version: Version(from_sql(column(row, 1)?, "version")?),
            command_key: key.map(CommandKey::new).transpose().map_err(damaged)?,
            event,
        })
    }
}

/// One value of a row.
pub(super) fn column<'r, T>(row: &'r SqliteRow, index: usize) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    // The error may also be a NULL in place of a row, or text that is not UTF-8.
    row.try_get(index).map_err(damaged)
}

pub(super) fn timestamp(microseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(microseconds).map_err(damaged)
}

pub(super) fn chain(bytes: &[u8]) -> Result<Chain, StoreError> {
    Chain::from_bytes(bytes).ok_or_else(|| damaged("a chain does not have 16 bytes"))
}
