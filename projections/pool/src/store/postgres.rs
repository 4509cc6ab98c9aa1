//! Views in PostgreSQL: in a schema of their own, on the journal's server or another.
//!
//! As in SQLite there is a table for each build of a view, a SQL view `view_<name>` on the served build, which
//! operators may read, and four tables of the store: `builds`, `parked`, `paused`, `of_journal`. A commit is one
//! statement and one round trip. A crash of the server may undo the latest commits (`synchronous_commit=off`), rows and
//! offsets alike: the journal has the events.
//!
//! A few connections commit, others read, and one creates indexes, which may take long.
//!
//! | file | content |
//! |---|---|
//! | this one | opening, and the implementation of the contract |
//! | `prepare`, `builds`, `indexes` | builds and their changes: the steps, and their SQL |
//! | `read`, `statements`, `fields` | reading documents, lists and parked events, from the primary or a replica |
//! | `commit` | committing a batch |
//! | `known` | what is committed here, so that no replica shows less |
//! | `failure`, `schema` | what failures mean, and the store's own tables |

mod builds;
mod commit;
mod failure;
mod fields;
mod indexes;
mod known;
mod prepare;
mod read;
mod schema;
mod statements;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dormouse_config::PostgresUrl;
use dormouse_kernel::{AggregateRef, Mark, Position};
use dormouse_storage::postgres::{Purpose, ReplicaStatus, Replicas, Schema, Server, Sessions, identity};

use super::{
    Advance, Begin, Build, BuildNumber, Builds, CommitError, DocumentAt, Error, Loaded, Offset, Parked, ViewStore,
};
use crate::definition::Definition;
use crate::key::Key;
use crate::query::{Page, Query};
use builds::Change;
use failure::{Damage, Target};
use known::Known;

/// Connections that commit. Each build has its own worker, and a statement takes milliseconds.
const WRITERS: u32 = 4;

/// The longest time for creating an index of a large view.
const INDEXING: Duration = Duration::from_secs(15 * 60);

/// Every statement here has its index. While the tables are small, the planner would prefer scans, and would keep these
/// plans as the tables grow.
const BY_INDEX: (&str, &str) = ("enable_seqscan", "off");

/// Commits that a power cut of the server undoes are projected again from the journal.
const WRITE: Purpose = Purpose {
    name: "dormouse views writer",
    settings: &[BY_INDEX, ("synchronous_commit", "off")],
    statement_timeout: None,
    is_urgent: true,
};

const READ: Purpose = Purpose {
    name: "dormouse views reader",
    settings: &[BY_INDEX, ("default_transaction_read_only", "on")],
    is_urgent: false,
    ..WRITE
};

const INDEX: Purpose = Purpose { name: "dormouse views indexer", statement_timeout: Some(INDEXING), ..WRITE };

/// Keeps views in a PostgreSQL database.
#[derive(Debug)]
pub struct Postgres {
    url: PostgresUrl,
    schema: String,
    limits: dormouse_config::Postgres,
    writers: Sessions,
    readers: Sessions,
    indexer: Sessions,
    replicas: Replicas<Known>,
    known: Arc<Known>,
    damage: Mutex<Damage>,
}

impl Postgres {
    /// The schema of the views, unless another one is named.
    pub const SCHEMA: &'static str = "dormouse_views";

    /// Opens the views in a schema, which is created if it is missing. Documents and lists are also read from
    /// `replicas` while these are available.
    ///
    /// # Errors
    /// If the server cannot be reached, or the schema belongs to another program, is newer than this binary, or may not
    /// be created.
    pub async fn open(
        url: &PostgresUrl,
        replicas: &[PostgresUrl],
        schema: &str,
        read_connections: u32,
        limits: &dormouse_config::Postgres,
    ) -> Result<Self, Error> {
        let unavailable = |reason: String| Error::Unavailable(format!("{url}: {reason}"));
        Schema::check_name(schema).map_err(|failure| unavailable(failure.into_reason()))?;
        let server = Server::new(url, limits).map_err(|failure| unavailable(failure.into_reason()))?;
        let server = server.in_schema(schema);
        let writers = Sessions::new(server.clone(), WRITE, WRITERS);
        let mut session = writers.open().await.map_err(|failure| unavailable(failure.into_reason()))?;
        schema::migrate(&mut session, url, schema).await?;
        let primary = match replicas {
            [] => String::new(),
            _ => identity(&mut session).await.map_err(|failure| unavailable(failure.into_reason()))?,
        };
        session.keep();
        let replica = |url: &PostgresUrl| match Server::new(url, limits) {
            Ok(server) => Ok((url.to_string(), server.in_schema(schema))),
            Err(failure) => Err(Error::Unavailable(format!("{url}: {}", failure.into_reason()))),
        };
        let replicas = replicas.iter().map(replica).collect::<Result<_, _>>()?;
        let known = Arc::default();
        Ok(Self {
            url: url.clone(),
            schema: schema.to_owned(),
            limits: limits.clone(),
            writers,
            readers: Sessions::kept(server.clone(), READ, read_connections),
            indexer: Sessions::new(server, INDEX, 1),
            replicas: Replicas::new(replicas, &primary, READ, read_connections, &known),
            known,
            damage: Mutex::default(),
        })
    }
}

#[async_trait]
impl ViewStore for Postgres {
    async fn prepare(&self, view: &Definition) -> Result<Builds, Error> {
        self.prepare_view(view).await
    }

    async fn begin(&self, view: &Definition, after: Offset, how: Begin) -> Result<Build, Error> {
        self.begin_build(view, after, how).await
    }

    async fn serve(&self, view: &Definition, build: BuildNumber) -> Result<bool, Error> {
        self.serve_build(view, build).await
    }

    async fn abandon(&self, view: &Definition) -> Result<(), Error> {
        self.change(view.name(), Change::Abandon).await.map(|_| ())
    }

    async fn drop_view(&self, name: &str) -> Result<(), Error> {
        self.change(name, Change::Drop).await.map(|_| ())
    }

    async fn names(&self) -> Result<Vec<String>, Error> {
        let names = self.readers.ask((), |connection, ()| {
            Box::pin(async {
                let names = sqlx::query_scalar("SELECT view FROM builds UNION SELECT view FROM paused ORDER BY 1");
                Ok(names.fetch_all(connection).await?)
            })
        });
        self.checked(names.await, Target::Store).await
    }

    async fn of_journal(&self, first: Option<Mark>) -> Result<Option<Mark>, Error> {
        let first = first.map(|first| first.to_string());
        let found = self.writers.ask(first.as_deref(), |connection, first| {
            Box::pin(async move { Ok(statements::of_journal(connection, *first).await?) })
        });
        let found = self.checked(found.await, Target::Store).await?;
        found.map(|mark| super::mark(&mark)).transpose()
    }

    async fn set_paused(&self, view: &Definition, is_paused: bool) -> Result<(), Error> {
        // Idempotent, so it may be sent twice.
        let remembered = self.writers.ask((view, is_paused), |connection, (view, is_paused)| {
            Box::pin(async move {
                let sql = if *is_paused {
                    "INSERT INTO paused (view) VALUES ($1) ON CONFLICT DO NOTHING"
                } else {
                    "DELETE FROM paused WHERE view = $1"
                };
                Ok(sqlx::query(sql).bind(view.name()).execute(connection).await.map(|_| ())?)
            })
        });
        self.checked(remembered.await, Target::Store).await
    }

    async fn load(&self, view: &Definition, build: BuildNumber, keys: &[Key], bytes: usize) -> Result<Loaded, Error> {
        self.load_documents(view, build, keys, bytes).await
    }

    async fn commit(&self, view: &Definition, build: BuildNumber, advance: Advance) -> Result<(), CommitError> {
        self.commit_batch(view, build, advance).await
    }

    async fn get(&self, view: &Definition, key: &Key) -> Result<DocumentAt, Error> {
        self.read_document(view, key).await
    }

    async fn list(&self, view: &Definition, query: &Query) -> Result<Page, Error> {
        self.read_list(view, query).await
    }

    async fn parked(
        &self,
        build: BuildNumber,
        of: Option<&AggregateRef>,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Parked>, Error> {
        self.read_parked(build, of, after, limit).await
    }

    async fn parked_among(&self, build: BuildNumber, aggregates: &[AggregateRef]) -> Result<Vec<AggregateRef>, Error> {
        self.find_parked(build, aggregates).await
    }

    async fn parked_count(&self, build: BuildNumber) -> Result<usize, Error> {
        self.count_parked(build).await
    }

    async fn close(&self) {
        let replicas = self.replicas.close();
        tokio::join!(self.writers.close(), self.readers.close(), self.indexer.close(), replicas);
    }

    fn replicas(&self) -> Vec<ReplicaStatus> {
        self.replicas.statuses()
    }
}
