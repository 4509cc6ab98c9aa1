//! The log in PostgreSQL: one table with its unique indexes, and a head row that every append updates.
//!
//! The writer has a connection of its own, and another for what it looks up before it appends, so that no reader holds
//! it up; everybody else shares a few.

mod batch;
mod failure;
mod ownership;
mod row;
mod schema;
mod server;
mod session;
mod snapshots;

use std::pin::Pin;

use async_trait::async_trait;
use dormouse_config::PostgresUrl;
use dormouse_kernel::{AggregateRef, CommandKey, Epoch, Position, RecordedEvent, Version};
use sqlx::{Connection, PgConnection, query, query_scalar};
use tokio::time::timeout;
use tracing::warn;

use super::{Access, Connections, Migrated, Ownership, Placed, Retention, Store};
use crate::error::{CommitError, OpenError, StoreError};
use crate::snapshot::{AsOf, Snapshot};
use batch::Batch;
use failure::Failure;
use ownership::Acquisitions;
use row::{signed, unsigned};
use server::{Purpose, Server};
use session::Sessions;

/// Connections that are not the readers': the writer's and that for its checks.
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

/// A question under way. It is a function of what it asks about, since no signature says of a closure that borrows that
/// its future can be sent.
type Asking<'q, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'q>>;

/// Keeps the log in a PostgreSQL database, in the first schema of the connection's search path.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    retention: Retention,
    writer: Sessions,
    checks: Sessions,
    readers: Sessions,
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
            writer: Sessions::new(server.clone(), Purpose::Write, 1),
            checks: Sessions::new(server.clone(), Purpose::Check, 1),
            readers: Sessions::kept(
                server.clone(),
                Purpose::Read,
                config.postgres.connections_max.get().saturating_sub(RESERVED),
            ),
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
        let answered = timeout(patience, answer).await;
        let answered = answered.map_or_else(|_| Err(Failure::no_answer_within(patience)), |found| Ok(found?));
        if matches!(answered, Err(Failure::Lost(_))) {
            self.server.doubt();
        }
        answered
    }

    /// Asks what changes nothing. A connection that turns out to be dead is no answer: then it asks once more, on a new
    /// one.
    async fn ask<A: Sync, T>(
        &self,
        sessions: &Sessions,
        about: A,
        question: for<'q> fn(&'q mut PgConnection, &'q A) -> Asking<'q, T>,
    ) -> Result<T, Failure> {
        let mut session = sessions.open().await?;
        let mut answer = self.answer(question(&mut session, &about)).await;
        if matches!(answer, Err(Failure::Lost(_))) {
            let Some(renewed) = session.renewed().await? else { return answer };
            session = renewed;
            answer = self.answer(question(&mut session, &about)).await;
        }
        if answer.is_ok() {
            session.keep();
        }
        answer
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
        if self.answer(self.acquisitions.end_holders(previous, &mut session)).await? {
            warn!("ended the session of a former owner that held the journal locked");
        }
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
        let select = self.ask(&self.checks, (types, ids), |connection, (types, ids)| {
            Box::pin(async move {
                let found: Vec<i64> = query_scalar(VERSIONS).bind(types).bind(ids).fetch_all(connection).await?;
                found.into_iter().map(|version| Ok(Version(unsigned(version)?))).collect()
            })
        });
        Ok(select.await?)
    }

    async fn find_command(&self, aggregate: &AggregateRef, key: &CommandKey) -> Result<Option<Version>, StoreError> {
        let select = self.ask(&self.checks, (aggregate, key), |connection, (aggregate, key)| {
            Box::pin(async move {
                let select = query_scalar(FIND_COMMAND)
                    .bind(aggregate.aggregate_type.as_str())
                    .bind(aggregate.id.as_str())
                    .bind(key.as_str());
                let found: Option<i64> = select.fetch_optional(connection).await?;
                Ok(found.map(unsigned).transpose()?.map(Version))
            })
        });
        Ok(select.await?)
    }

    async fn read_aggregate(
        &self,
        aggregate: &AggregateRef,
        after: Version,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        let select = self.ask(&self.readers, (aggregate, after, limit), |connection, (aggregate, after, limit)| {
            Box::pin(async move {
                let select = query(READ_AGGREGATE)
                    .bind(aggregate.aggregate_type.as_str())
                    .bind(aggregate.id.as_str())
                    .bind(signed(after.0))
                    .bind(signed(*limit as u64));
                select.fetch_all(connection).await?.iter().map(row::event).collect()
            })
        });
        Ok(select.await?)
    }

    async fn read_log(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        let select = self.ask(&self.readers, (after, limit), |connection, (after, limit)| {
            Box::pin(async move {
                let select = query(READ_LOG).bind(signed(after.0)).bind(signed(*limit as u64));
                select.fetch_all(connection).await?.iter().map(row::event).collect()
            })
        });
        Ok(select.await?)
    }

    async fn head(&self) -> Result<Position, StoreError> {
        let position = self.ask(&self.readers, (), |connection, ()| {
            Box::pin(async { Ok(query_scalar("SELECT position FROM log_head").fetch_one(connection).await?) })
        });
        Ok(Position(unsigned(position.await?)?))
    }

    async fn epoch(&self) -> Result<Epoch, StoreError> {
        let epoch = self.ask(&self.readers, (), |connection, ()| {
            Box::pin(async { Ok(query_scalar("SELECT epoch FROM log_head").fetch_one(connection).await?) })
        });
        Ok(Epoch(unsigned(epoch.await?)?))
    }

    async fn save_snapshots(&self, snapshots: &[Snapshot]) -> Result<(), StoreError> {
        // To save them again changes nothing, so this too may be asked twice.
        let save = self.ask(&self.readers, (snapshots, self.retention), |connection, (snapshots, retention)| {
            Box::pin(async move { Ok(snapshots::save(snapshots, *retention, connection).await?) })
        });
        Ok(save.await?)
    }

    async fn snapshot(&self, aggregate: &AggregateRef, as_of: AsOf) -> Result<Option<Snapshot>, StoreError> {
        let find = self.ask(&self.readers, (aggregate, as_of), |connection, (aggregate, as_of)| {
            Box::pin(snapshots::find(aggregate, *as_of, connection))
        });
        Ok(find.await?)
    }

    fn connections(&self) -> Connections {
        let counts = [&self.writer, &self.checks, &self.readers].map(Sessions::count);
        Connections { active: counts.iter().map(|(open, _)| open).sum(), max: counts.iter().map(|(_, max)| max).sum() }
    }

    async fn close(&self) {
        tokio::join!(self.writer.close(), self.checks.close(), self.readers.close());
    }
}
