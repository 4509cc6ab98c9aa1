//! The log in PostgreSQL: one table with its unique indexes, and a head row that every append updates.
//!
//! The writer has a connection of its own, and another for what it looks up before it appends, so that no reader holds
//! it up; everybody else shares a pool.

mod batch;
mod failure;
mod ownership;
mod row;
mod schema;
mod session;
mod snapshots;

use async_trait::async_trait;
use dormouse_config::PostgresUrl;
use dormouse_kernel::{AggregateRef, CommandKey, Epoch, Position, RecordedEvent, Version};
use sqlx::{Connection, PgPool, query, query_scalar};
use tokio::time::timeout;

use super::{Access, Connections, Migrated, Ownership, Placed, Retention, Store};
use crate::error::{CommitError, OpenError, StoreError};
use crate::snapshot::{AsOf, Snapshot};
use batch::Batch;
use failure::Failure;
use ownership::Acquisitions;
use row::{signed, unsigned};
use session::{Purpose, Server, Session};

/// Connections outside the pool: the writer's and that for its checks.
const RESERVED: u32 = 2;

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

const READ_AGGREGATE: &str = "
    SELECT position, aggregate_type, aggregate_id, version, event_type, schema_version, payload, metadata, recorded_at,
        command_key, chain
    FROM events WHERE aggregate_type = $1 AND aggregate_id = $2 AND version > $3 ORDER BY version LIMIT $4";

const READ_LOG: &str = "
    SELECT position, aggregate_type, aggregate_id, version, event_type, schema_version, payload, metadata, recorded_at,
        command_key, chain
    FROM events WHERE position > $1 ORDER BY position LIMIT $2";

/// Keeps the log in a PostgreSQL database, in the first schema of the connection's search path.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    retention: Retention,
    writer: Session,
    checks: Session,
    readers: PgPool,
    acquisitions: Acquisitions,
}

impl Postgres {
    /// Opens the journal at `url`.
    ///
    /// # Errors
    /// If the server cannot be reached, the database is something else's, or its schema does not fit.
    pub async fn open(
        url: &PostgresUrl,
        config: &dormouse_config::Journal,
        retention: Retention,
        access: Access,
    ) -> Result<Self, OpenError> {
        let server = Server::new(url, &config.postgres).map_err(|failure| failure.into_open(url))?;
        prepare(&server, url, access).await?;
        Ok(Self {
            retention,
            writer: Session::new(server.clone(), Purpose::Write),
            checks: Session::new(server.clone(), Purpose::Check),
            readers: server.pool(RESERVED),
            acquisitions: Acquisitions::default(),
            server,
        })
    }

    /// Brings the schema at `url` up to date.
    ///
    /// # Errors
    /// If the server cannot be reached, or the database is something else's or newer than this binary.
    pub async fn migrate(url: &PostgresUrl, config: &dormouse_config::Postgres) -> Result<Migrated, OpenError> {
        let server = Server::new(url, config).map_err(|failure| failure.into_open(url))?;
        prepare(&server, url, Access::Own).await
    }

    /// Waits for an answer, but not for ever: a server that vanished says nothing.
    async fn answer<T, E>(&self, answer: impl Future<Output = Result<T, E>>) -> Result<T, Failure>
    where
        Failure: From<E>,
    {
        let patience = self.server.patience();
        Ok(timeout(patience, answer).await.map_err(|_| Failure::no_answer_within(patience))??)
    }
}

async fn prepare(server: &Server, url: &PostgresUrl, access: Access) -> Result<Migrated, OpenError> {
    let connected = server.connect(Purpose::Schema).await;
    let mut connection = connected.map_err(|failure| failure.into_open(url))?;
    let migrated = match access {
        Access::Own => schema::migrate(&mut connection, url).await?,
        Access::Read => schema::check(&mut connection, url).await.map(|()| Migrated::default())?,
    };
    // What it was for is done; the server notices anyway.
    _ = connection.close().await;
    Ok(migrated)
}

#[async_trait]
impl Store for Postgres {
    async fn acquire(&self, previous: Option<Epoch>) -> Result<Ownership, StoreError> {
        let mut session = self.writer.open_anew().await?;
        let acquired = self.answer(self.acquisitions.acquire(previous, &mut session)).await?;
        session.keep();
        acquired.ok_or(StoreError::Fenced)
    }

    async fn commit(&self, epoch: Epoch, batch: &[Placed]) -> Result<(), CommitError> {
        let mut session = self.writer.open().await?;
        let is_in_force = self.answer(Batch::new(batch).append(epoch, &mut session)).await?;
        session.keep();
        if is_in_force { Ok(()) } else { Err(CommitError::Fenced) }
    }

    async fn versions(&self, aggregates: &[AggregateRef]) -> Result<Vec<Version>, StoreError> {
        let types: Vec<&str> = aggregates.iter().map(|aggregate| aggregate.aggregate_type.as_str()).collect();
        let ids: Vec<&str> = aggregates.iter().map(|aggregate| aggregate.id.as_str()).collect();
        let mut session = self.checks.open().await?;
        let select = query_scalar(VERSIONS).bind(types).bind(ids);
        let found: Vec<i64> = self.answer(select.fetch_all(&mut *session)).await?;
        session.keep();
        let versions: Result<_, Failure> = found.into_iter().map(|version| Ok(Version(unsigned(version)?))).collect();
        Ok(versions?)
    }

    async fn find_command(&self, aggregate: &AggregateRef, key: &CommandKey) -> Result<Option<Version>, StoreError> {
        let mut session = self.checks.open().await?;
        let select = query_scalar(FIND_COMMAND)
            .bind(aggregate.aggregate_type.as_str())
            .bind(aggregate.id.as_str())
            .bind(key.as_str());
        let found: Option<i64> = self.answer(select.fetch_optional(&mut *session)).await?;
        session.keep();
        Ok(found.map(unsigned).transpose()?.map(Version))
    }

    async fn read_aggregate(
        &self,
        aggregate: &AggregateRef,
        after: Version,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        let select = query(READ_AGGREGATE)
            .bind(aggregate.aggregate_type.as_str())
            .bind(aggregate.id.as_str())
            .bind(signed(after.0))
            .bind(signed(limit as u64));
        let rows = self.answer(select.fetch_all(&self.readers)).await?;
        Ok(rows.iter().map(row::event).collect::<Result<_, _>>()?)
    }

    async fn read_log(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        let select = query(READ_LOG).bind(signed(after.0)).bind(signed(limit as u64));
        let rows = self.answer(select.fetch_all(&self.readers)).await?;
        Ok(rows.iter().map(row::event).collect::<Result<_, _>>()?)
    }

    async fn head(&self) -> Result<Position, StoreError> {
        let select = query_scalar("SELECT position FROM log_head");
        let position: i64 = self.answer(select.fetch_one(&self.readers)).await?;
        Ok(Position(unsigned(position)?))
    }

    async fn epoch(&self) -> Result<Epoch, StoreError> {
        let select = query_scalar("SELECT epoch FROM log_head");
        let epoch: i64 = self.answer(select.fetch_one(&self.readers)).await?;
        Ok(Epoch(unsigned(epoch)?))
    }

    async fn save_snapshots(&self, snapshots: &[Snapshot]) -> Result<(), StoreError> {
        let save = async {
            let mut connection = self.readers.acquire().await?;
            snapshots::save(snapshots, self.retention, &mut connection).await
        };
        Ok(self.answer(save).await?)
    }

    async fn snapshot(&self, aggregate: &AggregateRef, as_of: AsOf) -> Result<Option<Snapshot>, StoreError> {
        let find = async {
            let mut connection = self.readers.acquire().await?;
            snapshots::find(aggregate, as_of, &mut connection).await
        };
        Ok(self.answer(find).await?)
    }

    fn connections(&self) -> Connections {
        let pooled = self.readers.size().saturating_sub(u32::try_from(self.readers.num_idle()).unwrap_or(u32::MAX));
        let own = [&self.writer, &self.checks].into_iter().filter(|session| session.is_open()).count();
        Connections {
            active: pooled + u32::try_from(own).unwrap_or(RESERVED),
            max: self.readers.options().get_max_connections() + RESERVED,
        }
    }

    async fn close(&self) {
        self.writer.close().await;
        self.checks.close().await;
        // Readers get their answers, but nobody waits for those that get none.
        _ = timeout(self.server.patience(), self.readers.close()).await;
    }
}
