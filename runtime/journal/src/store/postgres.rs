//! The log in PostgreSQL: one table with its unique indexes, and a head row that every append updates.
//!
//! The writer has a connection of its own, and another for what it looks up before it appends, so that no reader holds
//! it up; everybody else shares a few.
//!
//! Servers that follow this one relieve it of who reads the log page by page: rebuilds, projections and streams that are
//! behind. A page that a replica is known to have whole is the same there. Everything else is asked here: what the
//! writer looks up, where the log ends, and events of single aggregates, of which nobody knows how many there are.

mod batch;
mod error;
mod head;
mod ownership;
mod row;
mod schema;
mod snapshots;

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use dormouse_config::PostgresUrl;
use dormouse_kernel::{AggregateId, AggregateRef, AggregateType, CommandKey, Epoch, NewEvent, Position, Version};
use dormouse_storage::postgres::{Failure, Purpose, QueryFuture, ReplicaStatus, Replicas, Server, Sessions, identity};
use dormouse_storage::{from_sql, to_sql};
use sqlx::postgres::PgRow;
use sqlx::{Connection, PgConnection, query, query_scalar};
use tracing::warn;

use super::{Access, Connections, Migrated, Ownership, Placed, Retention, Store};
use crate::error::{CommitError, OpenError, StoreError};
use crate::filter::LogFilter;
use crate::page::{Page, PageLimit, Room};
use crate::snapshot::{AsOf, Snapshot};
use batch::Batch;
use error::unreachable;
use head::{Head, Span};
use ownership::Acquisitions;

/// Connections that are not the readers': the writer's and that for its checks.
const RESERVED: u32 = 2;

/// Every query here has its index. While the tables are small the planner would rather scan them, and then keep that
/// plan as they grow. `log_head` is scanned nevertheless: it is one page.
const BY_INDEX: [(&str, &str); 2] = [("enable_seqscan", "off"), ("enable_bitmapscan", "off")];

/// Whatever the server's default: an append is durable when it is answered.
const DURABLE: &[(&str, &str)] = &[BY_INDEX[0], BY_INDEX[1], ("synchronous_commit", "on")];

/// Migrations.
const SCHEMA: Purpose =
    Purpose { name: "dormouse schema", settings: DURABLE, statement_timeout: None, is_urgent: true };

/// Taking over and appending.
const WRITE: Purpose = Purpose { name: "dormouse writer", ..SCHEMA };

/// What the writer looks up before it appends.
const CHECK: Purpose = Purpose { name: "dormouse checks", ..SCHEMA };

/// Everything else. Only snapshots are written there, and those may get lost.
const READ: Purpose = Purpose {
    name: "dormouse reader",
    settings: &[BY_INDEX[0], BY_INDEX[1], ("synchronous_commit", "off")],
    is_urgent: false,
    ..SCHEMA
};

/// Pages of the log, of a replica.
const READ_REPLICA: Purpose = Purpose { settings: &BY_INDEX, ..READ };

const VERSIONS: &str = "
    SELECT coalesce(last.version, 0)
    FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS wanted (aggregate_type, aggregate_id, number)
    CROSS JOIN LATERAL (
        SELECT max(version) AS version FROM events
        WHERE events.aggregate_type = wanted.aggregate_type AND events.aggregate_id = wanted.aggregate_id
    ) AS last
    ORDER BY wanted.number";

const FIND_COMMAND: &str = "
    SELECT version FROM events WHERE aggregate_type = $1 AND aggregate_id = $2 AND command_key = $3";

static READ_AGGREGATE: LazyLock<String> =
    LazyLock::new(|| page_sql("aggregate_type = $4 AND aggregate_id = $5 AND version > $6", "version"));

static READ_LOG: LazyLock<String> = LazyLock::new(|| page_sql("position > $4", "position"));

/// The conditions on names are such that no index serves them: the scan goes by position, and ends at `$5`.
static SELECT_LOG: LazyLock<String> = LazyLock::new(|| {
    let condition = "position > $4 AND position <= $5
                     AND (cardinality($6::text[]) = 0 OR aggregate_type = ANY ($6))
                     AND (cardinality($7::text[]) = 0 OR event_type = ANY ($7))";
    page_sql(condition, "position")
});

const COUNT_LOG: &str = "SELECT count(*) FROM events WHERE position > $1 AND position <= $2";

/// The events that meet a condition, in an order, at most `$1`, as far as `$2` bytes go. The sizes are known without reading
/// what they measure. The first one is there with up to `$3` bytes; the first that has no room comes without its payload,
/// to say that there are more.
fn page_sql(condition: &str, order: &str) -> String {
    let row = NewEvent::ROW_BYTES;
    format!(
        "SELECT position, aggregate_type, aggregate_id, version, event_type, schema_version, recorded_at, command_key,
            chain, CASE WHEN fits THEN payload END AS payload, CASE WHEN fits THEN metadata END AS metadata
         FROM (
            SELECT *, taken <= $2 OR (taken = size AND size <= $3) AS fits
            FROM (
                SELECT *, sum(size) OVER (ORDER BY {order} ROWS UNBOUNDED PRECEDING) AS taken
                FROM (
                    SELECT *, octet_length(payload) + octet_length(metadata) + {row} AS size
                    FROM events WHERE {condition} ORDER BY {order} LIMIT $1
                ) AS limited
            ) AS counted
         ) AS page
         WHERE taken - size <= $2
         ORDER BY {order}"
    )
}

/// Keeps the log in a PostgreSQL database, in the first schema of the connection's search path.
#[derive(Debug)]
pub struct Postgres {
    retention: Retention,
    writer: Sessions,
    checks: Sessions,
    readers: Sessions,
    acquisitions: Acquisitions,
    head: Arc<Head>,
    replicas: Replicas<Head>,
}

impl Postgres {
    /// Opens the journal at `url`. Pages of the log are also read from `journal.replicas`, whenever they are there.
    ///
    /// # Errors
    /// If the server cannot be reached, the database is something else's, or its schema does not fit.
    pub async fn open(
        url: &PostgresUrl,
        config: &dormouse_config::Journal,
        retention: Retention,
        access: Access,
    ) -> Result<Self, OpenError> {
        let server = Server::new(url, &config.postgres).map_err(|failure| unreachable(failure, url))?;
        prepare(&server, url, access).await?;
        let (replicas, primary) = replicas(&server, url, config).await?;
        let max = config.postgres.connections_max.get().saturating_sub(RESERVED);
        let head = Arc::default();
        Ok(Self {
            retention,
            writer: Sessions::new(server.clone(), WRITE, 1),
            checks: Sessions::new(server.clone(), CHECK, 1),
            readers: Sessions::kept(server, READ, max),
            acquisitions: Acquisitions::default(),
            replicas: Replicas::new(replicas, &primary, READ_REPLICA, max, &head),
            head,
        })
    }

    /// Brings the schema at `url` up to date.
    ///
    /// # Errors
    /// If the server cannot be reached, or the database is something else's or newer than this binary.
    pub async fn migrate(url: &PostgresUrl, config: &dormouse_config::Postgres) -> Result<Migrated, OpenError> {
        let server = Server::new(url, config).map_err(|failure| unreachable(failure, url))?;
        prepare(&server, url, Access::Own).await
    }
}

async fn prepare(server: &Server, url: &PostgresUrl, access: Access) -> Result<Migrated, OpenError> {
    let connected = server.connect(&SCHEMA).await;
    let mut connection = connected.map_err(|failure| unreachable(failure, url))?;
    let migrated = match access {
        Access::Own => schema::migrate(&mut connection, url).await?,
        Access::Read => schema::check(&mut connection, url).await.map(|()| Migrated::default())?,
    };
    // What it was for is done; the server notices anyway.
    _ = connection.close().await;
    Ok(migrated)
}

/// The servers of `journal.replicas`, and what they must be replicas of.
async fn replicas(
    server: &Server,
    url: &PostgresUrl,
    config: &dormouse_config::Journal,
) -> Result<(Vec<(String, Server)>, String), OpenError> {
    if config.replicas.is_empty() {
        return Ok((Vec::new(), String::new()));
    }
    let mut connection = server.connect(&READ).await.map_err(|failure| unreachable(failure, url))?;
    let primary = identity(&mut connection).await.map_err(|failure| unreachable(failure, url))?;
    // What it was for is done; the server notices anyway.
    _ = connection.close().await;
    let replica = |url: &PostgresUrl| match Server::new(url, &config.postgres) {
        Ok(server) => Ok((url.to_string(), server)),
        Err(failure) => Err(unreachable(failure, url)),
    };
    let replicas = config.replicas.iter().map(replica).collect::<Result<_, _>>()?;
    Ok((replicas, primary))
}

fn log_page<'q>(connection: &'q mut PgConnection, (after, limit): &'q (Position, PageLimit)) -> QueryFuture<'q, Page> {
    Box::pin(async move {
        let select = query(READ_LOG.as_str())
            .bind(to_sql(limit.events as u64))
            .bind(to_sql(limit.bytes as u64))
            .bind(to_sql(limit.largest as u64))
            .bind(to_sql(after.0));
        page(select.fetch_all(connection).await?, *limit)
    })
}

fn log_selection<'q>(
    connection: &'q mut PgConnection,
    (after, until, filter, limit): &'q (Position, Position, &LogFilter, PageLimit),
) -> QueryFuture<'q, Page> {
    Box::pin(async move {
        let select = query(SELECT_LOG.as_str())
            .bind(to_sql(limit.events as u64))
            .bind(to_sql(limit.bytes as u64))
            .bind(to_sql(limit.largest as u64))
            .bind(to_sql(after.0))
            .bind(to_sql(until.0))
            .bind(&filter.types)
            .bind(&filter.events);
        let page = page(select.fetch_all(&mut *connection).await?, *limit)?;
        if !page.is_cut {
            // A position that is missing would pass for one that is not wanted.
            let count = query_scalar(COUNT_LOG).bind(to_sql(after.0)).bind(to_sql(until.0));
            let there: i64 = count.fetch_one(connection).await?;
            if there != to_sql(until.0.saturating_sub(after.0)) {
                return Err(Failure::Damaged(format!("the log lacks a position between {after} and {until}")));
            }
        }
        Ok(page)
    })
}

/// Each row goes as its event comes, so that a page is not there twice.
fn page(rows: Vec<PgRow>, limit: PageLimit) -> Result<Page, Failure> {
    let (mut page, mut room) = (Page::default(), Room::new(limit));
    for row in rows {
        let Some(event) = row::event(&row)? else {
            page.is_cut = true;
            return Ok(page);
        };
        // There is: the statement counts alike.
        room.take(event.event.size_bytes());
        page.events.push(event);
    }
    page.is_cut = room.is_used_up();
    Ok(page)
}

#[async_trait]
impl Store for Postgres {
    async fn acquire(&self, previous: Option<Epoch>) -> Result<Ownership, StoreError> {
        let mut session = self.writer.open_new().await?;
        if self.writer.run(self.acquisitions.end_holders(previous, &mut session)).await? {
            warn!("ended the session of a former owner that held the journal locked");
        }
        let acquired = self.writer.run(self.acquisitions.acquire(previous, &mut session)).await?;
        session.keep();
        let acquired: Ownership = acquired.ok_or(StoreError::Fenced)?;
        self.head.heard(acquired.head);
        Ok(acquired)
    }

    async fn commit(&self, epoch: Epoch, batch: &[Placed]) -> Result<(), CommitError> {
        let mut session = self.writer.open().await?;
        let is_in_force = self.writer.run(Batch::new(batch).append(epoch, &mut session)).await?;
        session.keep();
        if !is_in_force {
            return Err(CommitError::Fenced);
        }
        if let Some(last) = batch.last() {
            self.head.heard(last.last());
        }
        Ok(())
    }

    async fn versions(&self, aggregates: &[AggregateRef]) -> Result<Vec<Version>, StoreError> {
        let types: Vec<&str> = aggregates.iter().map(|aggregate| aggregate.aggregate_type.as_str()).collect();
        let ids: Vec<&str> = aggregates.iter().map(|aggregate| aggregate.id.as_str()).collect();
        let select = self.checks.ask((types, ids), |connection, (types, ids)| {
            Box::pin(async move {
                let found: Vec<i64> = query_scalar(VERSIONS).bind(types).bind(ids).fetch_all(connection).await?;
                found.into_iter().map(|version| Ok(Version(from_sql(version, "version")?))).collect()
            })
        });
        Ok(select.await?)
    }

    async fn find_command(&self, aggregate: &AggregateRef, key: &CommandKey) -> Result<Option<Version>, StoreError> {
        let select = self.checks.ask((aggregate, key), |connection, (aggregate, key)| {
            Box::pin(async move {
                let select = query_scalar(FIND_COMMAND)
                    .bind(aggregate.aggregate_type.as_str())
                    .bind(aggregate.id.as_str())
                    .bind(key.as_str());
                let found: Option<i64> = select.fetch_optional(connection).await?;
                Ok(found.map(|version| from_sql(version, "version").map(Version)).transpose()?)
            })
        });
        Ok(select.await?)
    }

    async fn read_aggregate(
        &self,
        aggregate: &AggregateRef,
        after: Version,
        limit: PageLimit,
    ) -> Result<Page, StoreError> {
        let select = self.readers.ask((aggregate, after, limit), |connection, (aggregate, after, limit)| {
            Box::pin(async move {
                let select = query(READ_AGGREGATE.as_str())
                    .bind(to_sql(limit.events as u64))
                    .bind(to_sql(limit.bytes as u64))
                    .bind(to_sql(limit.largest as u64))
                    .bind(aggregate.aggregate_type.as_str())
                    .bind(aggregate.id.as_str())
                    .bind(to_sql(after.0));
                page(select.fetch_all(connection).await?, *limit)
            })
        });
        Ok(select.await?)
    }

    async fn read_log(&self, after: Position, limit: PageLimit) -> Result<Page, StoreError> {
        if let Some(wanted) = Span::new(after, limit.events)
            && let Some(replica) = self.replicas.next_with(|head| wanted.is_within(*head))
            && let Some(page) = replica.ask((after, limit), log_page).await
            && wanted.is(&page)
        {
            return Ok(page);
        }
        Ok(self.readers.ask((after, limit), log_page).await?)
    }

    async fn select_log(
        &self,
        after: Position,
        until: Position,
        filter: &LogFilter,
        limit: PageLimit,
    ) -> Result<Page, StoreError> {
        let wanted = (after, until, filter, limit);
        if let Some(replica) = self.replicas.next_with(|head| until <= *head)
            && let Some(page) = replica.ask(wanted, log_selection).await
        {
            return Ok(page);
        }
        Ok(self.readers.ask(wanted, log_selection).await?)
    }

    async fn head(&self) -> Result<Position, StoreError> {
        let position = self.readers.ask((), |connection, ()| {
            Box::pin(async { Ok(query_scalar("SELECT position FROM log_head").fetch_one(connection).await?) })
        });
        let head = Position(from_sql(position.await?, "position")?);
        self.head.heard(head);
        Ok(head)
    }

    async fn epoch(&self) -> Result<Epoch, StoreError> {
        let epoch = self.readers.ask((), |connection, ()| {
            Box::pin(async { Ok(query_scalar("SELECT epoch FROM log_head").fetch_one(connection).await?) })
        });
        Ok(Epoch(from_sql(epoch.await?, "epoch")?))
    }

    async fn save_snapshots(&self, snapshots: &[Snapshot]) -> Result<(), StoreError> {
        // To save them again changes nothing, so this too may be asked twice.
        let save = self.readers.ask((snapshots, self.retention), |connection, (snapshots, retention)| {
            Box::pin(async move { Ok(snapshots::save(snapshots, *retention, connection).await?) })
        });
        Ok(save.await?)
    }

    async fn snapshot(&self, aggregate: &AggregateRef, as_of: AsOf) -> Result<Option<Snapshot>, StoreError> {
        let find = self.readers.ask((aggregate, as_of), |connection, (aggregate, as_of)| {
            Box::pin(snapshots::find(aggregate, *as_of, connection))
        });
        Ok(find.await?)
    }

    async fn snapshotted(
        &self,
        aggregate_type: &AggregateType,
        after: Option<&AggregateId>,
        limit: usize,
    ) -> Result<Vec<AggregateId>, StoreError> {
        let find = self.readers.ask((aggregate_type, after, limit), |connection, (aggregate_type, after, limit)| {
            Box::pin(snapshots::owners(aggregate_type, *after, *limit, connection))
        });
        Ok(find.await?)
    }

    async fn count_snapshotted(&self, aggregate_type: &AggregateType) -> Result<u64, StoreError> {
        let count = self.readers.ask(aggregate_type, |connection, aggregate_type| {
            Box::pin(snapshots::count_owners(aggregate_type, connection))
        });
        Ok(count.await?)
    }

    fn connections(&self) -> Connections {
        let counts = [&self.writer, &self.checks, &self.readers].map(Sessions::count);
        Connections { active: counts.iter().map(|(open, _)| open).sum(), max: counts.iter().map(|(_, max)| max).sum() }
    }

    async fn close(&self) {
        tokio::join!(self.writer.close(), self.checks.close(), self.readers.close(), self.replicas.close());
    }

    fn replicas(&self) -> Vec<ReplicaStatus> {
        self.replicas.statuses()
    }
}
