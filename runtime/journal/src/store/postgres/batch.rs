//! Appending a batch: one statement, and so one transaction and one round trip.

use dormouse_kernel::{Epoch, Slice};
use dormouse_storage::to_sql;
use sqlx::PgConnection;

use crate::append::Placed;

/// The statement that inserts also updates the head row, and thereby locks it. So appends happen one after the other,
/// the order of positions is the order of commits, and an append with an old epoch updates and inserts nothing.
const APPEND: &str = "
    WITH head AS (
        UPDATE log_head SET position = position + cardinality($3::smallint[])
        WHERE epoch = $1 AND position = $2
        RETURNING 1
    )
    INSERT INTO events (position, slice, aggregate_type, aggregate_id, version, event_type, schema_version, payload,
        metadata, recorded_at, command_key, chain)
    SELECT $2 + row.number, row.slice, row.aggregate_type, row.aggregate_id, row.version, row.event_type,
        row.schema_version, row.payload, row.metadata, row.recorded_at, row.command_key, row.chain
    FROM head, unnest($3::smallint[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::integer[], $9::bytea[],
        $10::bytea[], $11::bigint[], $12::text[], $13::bytea[]) WITH ORDINALITY
        AS row (slice, aggregate_type, aggregate_id, version, event_type, schema_version, payload, metadata,
            recorded_at, command_key, chain, number)";

/// The rows of a batch, column by column.
#[derive(Default)]
pub(super) struct Batch<'a> {
    base: i64,
    slices: Vec<i16>,
    aggregate_types: Vec<&'a str>,
    aggregate_ids: Vec<&'a str>,
    versions: Vec<i64>,
    event_types: Vec<&'a str>,
    schema_versions: Vec<i32>,
    payloads: Vec<&'a [u8]>,
    metadata: Vec<&'a [u8]>,
    recorded_at: Vec<i64>,
    command_keys: Vec<Option<&'a str>>,
    chains: Vec<&'a [u8]>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(placed: &'a [Placed]) -> Self {
        let first = placed.first().map_or(1, |placed| placed.first.0);
        let mut batch = Self { base: to_sql(first) - 1, ..Self::default() };
        placed.iter().for_each(|placed| batch.push(placed));
        batch
    }

    fn push(&mut self, placed: &'a Placed) {
        let append = &*placed.append;
        let aggregate_type = append.aggregate.aggregate_type.as_str();
        let id = append.aggregate.id.as_str();
        let slice = Slice::of(aggregate_type, id).number().cast_signed();
        let mut key = append.command_key().map(|key| key.as_str());
        for (event, index) in append.events.iter().zip(1..) {
            self.slices.push(slice);
            self.aggregate_types.push(aggregate_type);
            self.aggregate_ids.push(id);
            self.versions.push(to_sql(append.expected.plus(index).0));
            self.event_types.push(&event.event_type);
            self.schema_versions.push(event.schema_version.cast_signed());
            self.payloads.push(&event.payload);
            self.metadata.push(&event.metadata);
            self.recorded_at.push(event.recorded_at.as_microsecond());
            // Only the first event carries the key.
            self.command_keys.push(key.take());
            self.chains.push(&event.chain.0);
        }
    }

    /// Gives whether the epoch is in force. If it is not, nothing was appended.
    pub(super) async fn append(self, epoch: Epoch, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        let append = sqlx::query(APPEND)
            .bind(to_sql(epoch.0))
            .bind(self.base)
            .bind(self.slices)
            .bind(self.aggregate_types)
            .bind(self.aggregate_ids)
            .bind(self.versions)
            .bind(self.event_types)
            .bind(self.schema_versions)
            .bind(self.payloads)
            .bind(self.metadata)
            .bind(self.recorded_at)
            .bind(self.command_keys)
            .bind(self.chains);
        Ok(append.execute(connection).await?.rows_affected() > 0)
    }
}
