//! Rows as events and snapshots.

use dormouse_kernel::{
    AggregateId, AggregateRef, AggregateType, Chain, CommandKey, NewEvent, Position, RecordedEvent, Timestamp, Version,
};
use dormouse_storage::from_sql;
use dormouse_storage::postgres::Failure;
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::snapshot::Snapshot;

/// A row of a [page](super::pages). `None`: the page has no room for this event.
pub(super) fn event(row: &PgRow) -> Result<Option<RecordedEvent>, Failure> {
    let (payload, metadata) = (row.try_get("payload")?, row.try_get("metadata")?);
    let (Some(payload), Some(metadata)) = (payload, metadata) else { return Ok(None) };
    let command_key: Option<&str> = row.try_get("command_key")?;
    let event_type: String = row.try_get("event_type")?;
    let schema_version: i32 = row.try_get("schema_version")?;
    Ok(Some(RecordedEvent {
        position: Position(from_sql(row.try_get("position")?, "position")?),
        aggregate: aggregate(row)?,
        version: Version(from_sql(row.try_get("version")?, "version")?),
        command_key: command_key.map(CommandKey::new).transpose().map_err(damaged)?,
        event: NewEvent {
            event_type: event_type.into(),
            schema_version: schema_version.cast_unsigned(),
            payload,
            metadata,
            recorded_at: time(row.try_get("recorded_at")?)?,
            chain: chain(row.try_get("chain")?)?,
        },
    }))
}

/// A row of `snapshots`, and its checksum.
pub(super) fn snapshot(row: &PgRow) -> Result<(Snapshot, Chain), Failure> {
    let snapshot_version: i32 = row.try_get("snapshot_version")?;
    let snapshot = Snapshot {
        aggregate: aggregate(row)?,
        version: Version(from_sql(row.try_get("version")?, "version")?),
        chain: chain(row.try_get("chain")?)?,
        recorded_at: time(row.try_get("recorded_at")?)?,
        snapshot_version: snapshot_version.cast_unsigned(),
        body: row.try_get("body")?,
        taken_at: time(row.try_get("taken_at")?)?,
    };
    Ok((snapshot, chain(row.try_get("checksum")?)?))
}

fn aggregate(row: &PgRow) -> Result<AggregateRef, Failure> {
    let aggregate_type = AggregateType::new(row.try_get::<&str, _>("aggregate_type")?).map_err(damaged)?;
    let id = AggregateId::new(row.try_get::<&str, _>("aggregate_id")?).map_err(damaged)?;
    Ok(AggregateRef::new(aggregate_type, id))
}

fn time(microseconds: i64) -> Result<Timestamp, Failure> {
    Timestamp::from_microsecond(microseconds).map_err(damaged)
}

fn chain(bytes: &[u8]) -> Result<Chain, Failure> {
    Chain::from_bytes(bytes).ok_or_else(|| damaged("a hash has not 16 bytes"))
}

fn damaged(problem: impl ToString) -> Failure {
    Failure::Damaged(problem.to_string())
}
