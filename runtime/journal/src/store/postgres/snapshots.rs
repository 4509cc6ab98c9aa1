//! Snapshots: saved in one transaction, together with the deletion of those that the retention drops.

use std::collections::BTreeMap;

use dormouse_kernel::{AggregateId, AggregateRef, AggregateType, Version};
use dormouse_storage::postgres::Failure;
use dormouse_storage::{from_sql, to_sql};
use sqlx::{Connection, PgConnection};

use super::row;
use crate::snapshot::{AsOf, Snapshot};
use crate::store::Retention;

const SAVE: &str = "
    INSERT INTO snapshots (aggregate_type, aggregate_id, version, chain, recorded_at, snapshot_version, body, taken_at,
        checksum)
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[], $5::bigint[], $6::integer[], $7::bytea[],
        $8::bigint[], $9::bytea[])
    ON CONFLICT (aggregate_type, aggregate_id, version) DO UPDATE
    SET chain = excluded.chain, recorded_at = excluded.recorded_at, snapshot_version = excluded.snapshot_version,
        body = excluded.body, taken_at = excluded.taken_at, checksum = excluded.checksum";

const DROP_SUPERFLUOUS: &str = "
    DELETE FROM snapshots USING (
        SELECT aggregate_type, aggregate_id, version, taken_at < oldest AS is_old, row_number() OVER (
            PARTITION BY aggregate_type, aggregate_id ORDER BY version DESC
        ) AS rank, version >= step AND version = min(version) OVER (
            PARTITION BY aggregate_type, aggregate_id, version / step
        ) AS is_sparse
        FROM unnest($1::text[], $2::text[], $3::bigint[], $5::bigint[]) AS saved (aggregate_type, aggregate_id, oldest, step)
        JOIN snapshots USING (aggregate_type, aggregate_id)
    ) AS kept
    WHERE (snapshots.aggregate_type, snapshots.aggregate_id, snapshots.version)
        = (kept.aggregate_type, kept.aggregate_id, kept.version)
        AND rank > 1 AND (rank > $4 OR is_old) AND NOT is_sparse";

const FIND: &str = "
    SELECT * FROM snapshots
    WHERE aggregate_type = $1 AND aggregate_id = $2 AND version <= $3 AND recorded_at <= $4
    ORDER BY version DESC LIMIT 1";

/// Ids are never empty, so the empty text sorts before all of them.
const OWNERS: &str = "
    SELECT DISTINCT aggregate_id FROM snapshots WHERE aggregate_type = $1 AND aggregate_id > $2
    ORDER BY aggregate_id LIMIT $3";

const COUNT_OWNERS: &str = "SELECT count(DISTINCT aggregate_id) FROM snapshots WHERE aggregate_type = $1";

pub(super) async fn save(
    snapshots: &[Snapshot],
    retention: Retention,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    // One statement cannot write a row twice: of the same version, the later snapshot counts. Sorted, so that two
    // writers cannot deadlock.
    let rows: BTreeMap<(&AggregateRef, Version), &Snapshot> =
        snapshots.iter().map(|snapshot| ((&snapshot.aggregate, snapshot.version), snapshot)).collect();
    let mut transaction = connection.begin().await?;
    save_rows(&rows.into_values().collect::<Vec<_>>(), &mut transaction).await?;
    drop_superfluous(snapshots, retention, &mut transaction).await?;
    transaction.commit().await
}

async fn save_rows(rows: &[&Snapshot], connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let (types, ids): (Vec<&str>, Vec<&str>) = rows.iter().map(|row| names(&row.aggregate)).unzip();
    let save = sqlx::query(SAVE)
        .bind(types)
        .bind(ids)
        .bind(rows.iter().map(|row| to_sql(row.version.0)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| &row.chain.0[..]).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.recorded_at.as_microsecond()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.snapshot_version.cast_signed()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| &row.body[..]).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.taken_at.as_microsecond()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.checksum().0.to_vec()).collect::<Vec<_>>());
    save.execute(connection).await.map(drop)
}

async fn drop_superfluous(
    snapshots: &[Snapshot],
    retention: Retention,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    let mut now = BTreeMap::new();
    for snapshot in snapshots {
        let (taken_at, version) = now.entry(&snapshot.aggregate).or_insert((snapshot.taken_at, snapshot.version));
        (*taken_at, *version) = (snapshot.taken_at.max(*taken_at), snapshot.version.max(*version));
    }
    let (types, ids): (Vec<&str>, Vec<&str>) = now.keys().map(|aggregate| names(aggregate)).unzip();
    let oldest: Vec<i64> = now.values().map(|(now, _)| retention.oldest(*now).as_microsecond()).collect();
    let steps: Vec<i64> = now.values().map(|(_, latest)| to_sql(retention.sparse_step(*latest).0)).collect();
    let keep_count = to_sql(retention.keep_count as u64);
    let delete = sqlx::query(DROP_SUPERFLUOUS).bind(types).bind(ids).bind(oldest).bind(keep_count).bind(steps);
    delete.execute(connection).await.map(drop)
}

pub(super) async fn find(
    aggregate: &AggregateRef,
    as_of: AsOf,
    connection: &mut PgConnection,
) -> Result<Option<Snapshot>, Failure> {
    let (mut last, latest) = match as_of {
        AsOf::Now => (i64::MAX, i64::MAX),
        AsOf::Version(version) => (to_sql(version.0), i64::MAX),
        AsOf::Time(time) => (i64::MAX, time.as_microsecond()),
    };
    let (aggregate_type, id) = names(aggregate);
    loop {
        let find = sqlx::query(FIND).bind(aggregate_type).bind(id).bind(last).bind(latest);
        let Some(found) = find.fetch_optional(&mut *connection).await? else { return Ok(None) };
        match row::snapshot(&found) {
            Ok((snapshot, checksum)) if snapshot.checksum() == checksum => return Ok(Some(snapshot)),
            // A damaged snapshot is skipped: the one before it may be whole.
            _ => last = sqlx::Row::try_get::<i64, _>(&found, "version")? - 1,
        }
    }
}

pub(super) async fn owners(
    aggregate_type: &AggregateType,
    after: Option<&AggregateId>,
    limit: usize,
    connection: &mut PgConnection,
) -> Result<Vec<AggregateId>, Failure> {
    let find = sqlx::query_scalar(OWNERS)
        .bind(aggregate_type.as_str())
        .bind(after.map_or("", AggregateId::as_str))
        .bind(to_sql(limit as u64));
    let found: Vec<String> = find.fetch_all(connection).await?;
    found.into_iter().map(|id| AggregateId::new(id).map_err(|error| Failure::Damaged(error.to_string()))).collect()
}

pub(super) async fn count_owners(
    aggregate_type: &AggregateType,
    connection: &mut PgConnection,
) -> Result<u64, Failure> {
    let count: i64 = sqlx::query_scalar(COUNT_OWNERS).bind(aggregate_type.as_str()).fetch_one(connection).await?;
    Ok(from_sql(count, "count")?)
}

fn names(aggregate: &AggregateRef) -> (&str, &str) {
    (aggregate.aggregate_type.as_str(), aggregate.id.as_str())
}
