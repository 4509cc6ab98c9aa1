//! The log in PostgreSQL: one table with its unique indexes, and a head row that every append updates.
//!
//! The writer has one connection to append and another to look up versions and keys, so that readers cannot hold it up.
//! Readers share a few.
//!
//! Replicas serve readers of the log page by page: rebuilds, projections and streams that are behind. A page that a
//! replica is known to have whole is the same there. Everything else is read from the primary: what the writer looks
//! up, the head, and events of single aggregates, since it cannot be known whether a replica has all of them.

mod batch;
mod error;
mod known_head;
mod open;
mod ownership;
mod pages;
mod purpose;
mod row;
mod schema;
mod snapshots;

use std::sync::Arc;

use async_trait::async_trait;
use dormouse_config::PostgresUrl;
use dormouse_kernel::{AggregateId, AggregateRef, AggregateType, CommandKey, Epoch, Position, Version};
use dormouse_storage::from_sql;
use dormouse_storage::postgres::{ReplicaStatus, Replicas, Server, Sessions};
use sqlx::query_scalar;
use tracing::warn;

use super::{Access, Connections, Migrated, Ownership, Placed, Retention, Store};
use crate::error::{CommitError, OpenError, StoreError};
use crate::filter::LogFilter;
use crate::page::{Page, PageLimit};
use crate::snapshot::{AsOf, Snapshot};
use batch::Batch;
use known_head::{KnownHead, PageRange};
use ownership::Acquisitions;
use purpose::{CHECK, READ, READ_REPLICA, WRITE};

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

/// Connections beside those of readers: one to append, and one to look up versions and keys.
const RESERVED: u32 = 2;

/// Keeps the log in a PostgreSQL database, in the first schema of the connection's search path.
#[derive(Debug)]
pub struct Postgres {
    retention: Retention,
    writer: Sessions,
    checks: Sessions,
    readers: Sessions,
    acquisitions: Acquisitions,
    head: Arc<KnownHead>,
    replicas: Replicas<KnownHead>,
}

impl Postgres {
    /// Opens the journal at `url`. Pages of the log are also read from `journal.replicas`, while these are reachable.
    ///
    /// # Errors
    /// If the server cannot be reached, the database belongs to another application, or its schema has another version.
    pub async fn open(
        url: &PostgresUrl,
        config: &dormouse_config::Journal,
        retention: Retention,
        access: Access,
    ) -> Result<Self, OpenError> {
        let server = Server::new(url, &config.postgres).map_err(|failure| error::unreachable(failure, url))?;
        open::prepare(&server, url, access).await?;
        let (replicas, primary) = open::replicas(&server, url, config).await?;
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
    /// If the server cannot be reached, or the database belongs to another application or a newer program.
    pub async fn migrate(url: &PostgresUrl, config: &dormouse_config::Postgres) -> Result<Migrated, OpenError> {
        let server = Server::new(url, config).map_err(|failure| error::unreachable(failure, url))?;
        open::prepare(&server, url, Access::Own).await
    }
}

#[async_trait]
impl Store for Postgres {
    async fn acquire(&self, previous: Option<Epoch>) -> Result<Ownership, StoreError> {
        let mut session = self.writer.open_new().await?;
        if self.writer.run(self.acquisitions.end_holders(previous, &mut session)).await? {
            warn!("ended the session of a former owner that held the lock of the journal");
        }
        let acquired = self.writer.run(self.acquisitions.acquire(previous, &mut session)).await?;
        session.keep();
        let acquired: Ownership = acquired.ok_or(StoreError::Fenced)?;
        self.head.advance(acquired.head);
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
            self.head.advance(last.last());
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
        Ok(self.readers.ask((aggregate, after, limit), pages::of_aggregate).await?)
    }

    async fn read_log(&self, after: Position, limit: PageLimit) -> Result<Page, StoreError> {
        if let Some(wanted) = PageRange::new(after, limit.events)
            && let Some(replica) = self.replicas.next_with(|head| wanted.is_within(*head))
            && let Some(page) = replica.ask((after, limit), pages::of_log).await
            && wanted.is_filled_by(&page)
        {
            return Ok(page);
        }
        Ok(self.readers.ask((after, limit), pages::of_log).await?)
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
            && let Some(page) = replica.ask(wanted, pages::selected).await
        {
            return Ok(page);
        }
        Ok(self.readers.ask(wanted, pages::selected).await?)
    }

    async fn head(&self) -> Result<Position, StoreError> {
        let position = self.readers.ask((), |connection, ()| {
            Box::pin(async { Ok(query_scalar("SELECT position FROM log_head").fetch_one(connection).await?) })
        });
        let head = Position(from_sql(position.await?, "position")?);
        self.head.advance(head);
        Ok(head)
    }

    async fn epoch(&self) -> Result<Epoch, StoreError> {
        let epoch = self.readers.ask((), |connection, ()| {
            Box::pin(async { Ok(query_scalar("SELECT epoch FROM log_head").fetch_one(connection).await?) })
        });
        Ok(Epoch(from_sql(epoch.await?, "epoch")?))
    }

    async fn save_snapshots(&self, snapshots: &[Snapshot]) -> Result<(), StoreError> {
        // Saving them twice changes nothing, so this may run twice.
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
