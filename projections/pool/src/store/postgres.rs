//! Views in PostgreSQL: in a schema of their own, on the journal's server or another.
//!
//! As in SQLite there is a table for each build of a view, a SQL view `view_<name>` on the one that is served, which
//! operators may read, and tables of our own: `builds`, `parked`, `paused`, `of_journal`. A commit is one statement and one round trip.
//! A crash of the server may take the latest ones away (`synchronous_commit=off`), rows and offsets alike: the journal has
//! the events.
//!
//! A few connections move builds on, others read, and one makes indexes, which may take its time.
//!
//! Servers that follow this one may answer reads (`known`). Every answer of a replica is checked, and what it does not
//! have yet is asked again here, so they never show what is older than what this store has committed. That would cost
//! each read twice right after a commit, which reaches a replica up to half a second later (it is written behind, and
//! sent after that). So a replica is asked for what it is known to have, by its last answer or by the look that is taken
//! at it once a second; and for anything else once between two looks, for as long as that succeeds.

mod builds;
mod fields;
mod known;
mod schema;
mod statements;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dormouse_config::PostgresUrl;
use dormouse_journal::store::postgres_sessions::{
    Asking, Failure, Purpose, ReplicaStatus, Replicas, Server, Sessions, identity,
};
use dormouse_kernel::{AggregateId, AggregateRef, AggregateType, Chain, Position, Version};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};
use tracing::{debug, warn};

use super::{
    Advance, Begin, Build, BuildNumber, Builds, CommitError, DocumentAt, Error, Loaded, Offset, Parked, Row, ViewStore,
};
use crate::definition::Definition;
use crate::fields::Kind;
use crate::key::Key;
use crate::query::{Page, Query, Value};
use builds::Change;
use known::{Known, Mark};

/// How many builds are moved on at the same time: each by its own worker, and a statement takes milliseconds.
const WRITERS: u32 = 4;

/// How long the index of a large view may take to make.
const INDEXING: Duration = Duration::from_secs(15 * 60);

/// Every statement here has its index. While the tables are small the planner would rather scan them, and then keep
/// that plan as they grow.
const BY_INDEX: (&str, &str) = ("enable_seqscan", "off");

/// What is lost with the server's power is made again.
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

/// What is to be made anew when a view is prepared next.
#[derive(Debug, Default)]
struct Damage {
    tables: bool,
    views: HashSet<&'static str>,
}

/// What readers ask: how far what is served is there, and what of it they want. `None`, if nothing is served.
type Question<A, T> = for<'q> fn(&'q mut PgConnection, &'q A) -> Asking<'q, Option<(Mark, T)>>;

/// What a statement is about.
#[derive(Clone, Copy, Debug)]
enum Subject<'a> {
    /// Our own tables, which are always there.
    Store,
    /// What is served of a view.
    Served(&'a Definition),
    /// A build, served or not.
    Build(&'a Definition, BuildNumber),
}

impl Postgres {
    /// The schema that views are kept in unless another one is named.
    pub const SCHEMA: &'static str = "dormouse_views";

    /// Opens the views in a schema, which is made if it is missing. Documents and lists are also read from `replicas`,
    /// whenever they are there.
    ///
    /// # Errors
    /// If the server cannot be reached, or the schema is something else's, newer than this binary, or may not be made.
    pub async fn open(
        url: &PostgresUrl,
        replicas: &[PostgresUrl],
        schema: &str,
        read_connections: u32,
        limits: &dormouse_config::Postgres,
    ) -> Result<Self, Error> {
        let unavailable = |reason: String| Error::Unavailable(format!("{url}: {reason}"));
        if !is_schema(schema) {
            return Err(unavailable(format!(
                "{schema:?} is no name of a schema: lower-case letters, digits and underscores, not at the start `pg_`"
            )));
        }
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

    /// Changes what there is of a view, then drops what nobody needs any more.
    async fn change(&self, name: &str, change: Change<'_>) -> Result<Option<i64>, Error> {
        // Shorter than readers wait, who queue behind who waits: none of them is refused because of this.
        let mut patience = self.limits.lock_timeout / 8;
        let _forgetting = Forgetting::begin(&self.known, name);
        loop {
            match self.try_to_change(name, change, patience).await {
                Ok(build) => {
                    self.tidy(name).await;
                    return Ok(build);
                }
                Err(Failure::Busy(_)) if patience < self.limits.lock_timeout / 2 => {
                    // Those who waited have their turn first.
                    tokio::time::sleep(patience).await;
                    patience *= 2;
                }
                Err(failure) => return Err(self.failed(failure, Subject::Store).await),
            }
        }
    }

    async fn try_to_change(&self, name: &str, change: Change<'_>, patience: Duration) -> Result<Option<i64>, Failure> {
        let mut session = self.writers.open().await?;
        let changed = self.writers.answer(builds::change(&mut session, name, change, patience)).await?;
        session.keep();
        Ok(changed)
    }

    /// Drops the tables that are no build's. If that fails, it is tried again when the view is prepared.
    async fn tidy(&self, name: &str) {
        let tidied = async {
            let mut session = self.writers.open().await?;
            self.writers.answer(builds::tidy(&mut session, name)).await?;
            session.keep();
            Ok::<(), Failure>(())
        };
        if let Err(failure) = tidied.await {
            debug!(view = name, reason = failure.into_reason(), "a table that is not served any more stays for now");
        }
    }

    /// Makes our tables anew if they were found to be damaged.
    async fn mend(&self) -> Result<(), Error> {
        if !self.damage().tables {
            return Ok(());
        }
        warn!("the tables of the views are damaged and are made anew");
        let mut session = match self.writers.open().await {
            Ok(session) => session,
            Err(failure) => return Err(self.failed(failure, Subject::Store).await),
        };
        schema::make_anew(&mut session, &self.url, &self.schema).await?;
        session.keep();
        self.damage().tables = false;
        Ok(())
    }

    /// Reads what is served: from a replica, if one has all that is known of it; else from the primary.
    async fn read<A: Copy + Sync, T>(&self, view: &Definition, about: A, question: Question<A, T>) -> Result<T, Error> {
        let (name, asked) = (view.name(), self.known.asked(view.name()));
        if let Some(known) = self.known.served(name)
            && let Some(replica) =
                self.replicas.next_to_try(|seen| seen.get(&known.build).is_some_and(|mark| mark.includes(known)))
            && let Some(answer) = replica.ask(about, question).await
        {
            let answer = answer.filter(|(mark, _)| mark.includes(known));
            replica.has_shown(answer.is_some(), |seen| {
                if let Some((mark, _)) = &answer {
                    seen.insert(mark.build, *mark);
                }
            });
            if let Some((mark, found)) = answer {
                self.known.shown(name, asked, mark);
                return Ok(found);
            }
        }
        match self.readers.ask(about, question).await {
            Ok(Some((mark, found))) => {
                self.known.shown(name, asked, mark);
                Ok(found)
            }
            Ok(None) => Err(missing(Subject::Served(view))),
            Err(failure) => Err(self.failed(failure, Subject::Served(view)).await),
        }
    }

    async fn try_to_prepare(&self, view: &Definition) -> Result<Builds, Error> {
        self.mend().await?;
        // Who prepares it moves it from now on; what was committed in doubt is in what is found.
        self.known.forget(view.name());
        self.known.is_ours(view.name());
        let asked = self.known.asked(view.name());
        let found = self
            .writers
            .ask(view, |connection, view| Box::pin(async move { Ok(builds::find(connection, view).await?) }));
        let (rows, is_paused, is_untidy) = match found.await {
            Ok(found) => found,
            Err(failure) => return Err(self.failed(failure, Subject::Store).await),
        };
        let is_damaged = self.damage().views.contains(view.name());
        let is_whole = |(.., chain, is_there, _, _): &builds::BuildRow| *is_there && Chain::from_bytes(chain).is_some();
        let mut found = Builds { is_paused, ..Builds::default() };
        if is_damaged || !rows.iter().all(is_whole) {
            warn!(view = view.name(), "the view is damaged and is built anew");
            self.change(view.name(), Change::Forget).await?;
            self.damage().views.remove(view.name());
            return Ok(found);
        }
        if is_untidy && rows.is_empty() {
            // If our own tables were lost, its tables are still shown under its name.
            self.change(view.name(), Change::Forget).await?;
        } else if is_untidy {
            self.tidy(view.name()).await;
        }
        for (number, is_serving, version, at, chain, _, row, begun_after) in rows {
            if is_serving {
                self.known.shown(view.name(), asked, Mark::from_row((number, at, row)));
            }
            if version == i64::from(view.version()) {
                self.index(view, number).await?;
            }
            let Some(chain) = Chain::from_bytes(&chain) else { continue };
            let build = Build {
                number: BuildNumber(unsigned(number)),
                version: u32::try_from(version).unwrap_or(0),
                begun_after: position(begun_after),
                offset: Offset { position: position(at), chain },
            };
            *(if is_serving { &mut found.serving } else { &mut found.next }) = Some(build);
        }
        Ok(found)
    }

    /// Makes and drops indexes, so that there is one for each declared field.
    async fn index(&self, view: &Definition, build: i64) -> Result<(), Error> {
        let about = Subject::Build(view, BuildNumber(unsigned(build)));
        let reindexed = async {
            let mut session = self.writers.open().await?;
            let reindexing = self.writers.answer(builds::reindexing(&mut session, view, build)).await?;
            session.keep();
            let Some(reindexing) = reindexing else { return Ok(()) };
            let mut session = self.indexer.open().await?;
            self.indexer.answer(reindexing.carry_out(&mut session)).await?;
            session.keep();
            Ok(())
        };
        match reindexed.await {
            Ok(()) => Ok(()),
            Err(failure) => Err(self.failed(failure, about).await),
        }
    }

    /// What a failure means, of which this is known.
    async fn failed(&self, failure: Failure, about: Subject<'_>) -> Error {
        match failure {
            Failure::Refused(reason) | Failure::Busy(reason) | Failure::Lost(reason) => Error::Unavailable(reason),
            Failure::Full(reason) => Error::Full(reason),
            // A table that was never made, or was dropped, is no damage.
            Failure::Unfit(_) if self.is_missing(about).await => missing(about),
            Failure::Unfit(reason) | Failure::Damaged(reason) => {
                let mut damage = self.damage();
                match about {
                    Subject::Store => damage.tables = true,
                    Subject::Served(view) | Subject::Build(view, _) => _ = damage.views.insert(view.name()),
                }
                drop(damage);
                Error::Damaged(reason)
            }
        }
    }

    /// Whether what a statement was about is not there, for certain.
    async fn is_missing(&self, about: Subject<'_>) -> bool {
        match about {
            Subject::Store => false,
            Subject::Build(_, build) => matches!(self.position(build).await, Ok(None)),
            Subject::Served(view) => {
                let find = self.readers.ask(view.name(), |connection, name| {
                    Box::pin(async move {
                        let find = sqlx::query_scalar("SELECT 1 FROM builds WHERE view = $1 AND is_serving");
                        let found: Option<i32> = find.bind(*name).fetch_optional(connection).await?;
                        Ok(found)
                    })
                });
                matches!(find.await, Ok(None))
            }
        }
    }

    /// Where a build is, if it is there.
    async fn position(&self, build: BuildNumber) -> Result<Option<Position>, Failure> {
        let find = self.writers.ask(build, |connection, build| {
            Box::pin(async move {
                let find = sqlx::query_scalar("SELECT position FROM builds WHERE build = $1");
                let found: Option<i64> = find.bind(signed(build.0)).fetch_optional(connection).await?;
                Ok(found.map(position))
            })
        });
        find.await
    }

    fn damage(&self) -> MutexGuard<'_, Damage> {
        // Every change is a single step.
        self.damage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ViewStore for Postgres {
    async fn prepare(&self, view: &Definition) -> Result<Builds, Error> {
        match self.try_to_prepare(view).await {
            // Now it is known what is damaged, and can be made anew.
            Err(Error::Damaged(_)) => self.try_to_prepare(view).await,
            prepared => prepared,
        }
    }

    async fn begin(&self, view: &Definition, after: Offset, how: Begin) -> Result<Build, Error> {
        let begun = self.change(view.name(), Change::Begin(view, after, how)).await?;
        let number = begun.ok_or_else(|| missing(Subject::Served(view)))?;
        let number = BuildNumber(unsigned(number));
        Ok(Build { number, version: view.version(), begun_after: after.position, offset: after })
    }

    async fn serve(&self, view: &Definition, build: BuildNumber) -> Result<bool, Error> {
        let far_enough = self.writers.ask((view, build), |connection, (view, build)| {
            Box::pin(async move { Ok(builds::is_far_enough(connection, view, *build).await?) })
        });
        match far_enough.await {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(failure) => return Err(self.failed(failure, Subject::Store).await),
        }
        // It is served as well without: only slower, until the server gets to it by itself.
        if let Ok(mut session) = self.indexer.open().await
            && self.indexer.answer(builds::analyze(&mut session, view, build)).await.is_ok()
        {
            session.keep();
        }
        Ok(self.change(view.name(), Change::Serve(view, build)).await?.is_some())
    }

    async fn abandon(&self, view: &Definition) -> Result<(), Error> {
        self.change(view.name(), Change::Abandon).await.map(|_| ())
    }

    async fn load(&self, view: &Definition, build: BuildNumber, keys: &[Key], bytes: usize) -> Result<Loaded, Error> {
        if keys.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let about = (statements::load(view, build), build, keys, bytes);
        let loaded = self.writers.ask(about, |connection, (sql, build, keys, bytes)| {
            Box::pin(async move { Ok(statements::loaded(connection, sql, *build, keys, *bytes).await?) })
        });
        match loaded.await {
            Ok(Some(found)) => Ok(found),
            Ok(None) => Err(missing(Subject::Build(view, build))),
            Err(failure) => Err(self.failed(failure, Subject::Build(view, build)).await),
        }
    }

    async fn commit(&self, view: &Definition, build: BuildNumber, advance: Advance) -> Result<(), CommitError> {
        let about = Subject::Build(view, build);
        let asked = self.known.asked(view.name());
        let mut session = match self.writers.open().await {
            Ok(session) => session,
            Err(failure) => return Err(self.failed(failure, about).await.into()),
        };
        // Once: what was lost on the way may have happened.
        let committed = self.writers.answer(statements::commit(&mut session, view, build, &advance)).await;
        let found = match committed {
            Ok(Some((mark, is_served))) => {
                session.keep();
                self.known.committed(view.name(), asked, mark, is_served);
                return Ok(());
            }
            Ok(None) => {
                session.keep();
                self.known.is_theirs(view.name());
                self.position(build).await
            }
            // Either the build is gone with its table, or the table is gone alone.
            Err(Failure::Unfit(reason)) => match self.position(build).await {
                Ok(None) => Ok(None),
                Ok(Some(_)) => Err(Failure::Unfit(reason)),
                Err(failure) => Err(failure),
            },
            Err(failure) => Err(failure),
        };
        match found {
            Ok(found) => Err(CommitError::Moved { expected: advance.from, found }),
            Err(failure) => Err(self.failed(failure, about).await.into()),
        }
    }

    async fn get(&self, view: &Definition, key: &Key) -> Result<DocumentAt, Error> {
        // No key has a NUL, and PostgreSQL would not hear of one.
        let key = Some(key.as_str()).filter(|key| !key.contains('\0'));
        let sql = statements::get(view);
        self.read(view, (sql.as_str(), view, key), |connection, (sql, view, key)| {
            Box::pin(async move {
                let select = sqlx::query_as(AssertSqlSafe(*sql)).bind(view.name()).bind(*key);
                let found: Option<(i64, i64, i64, Option<String>, Option<i64>)> =
                    select.fetch_optional(connection).await?;
                Ok(found.map(|(build, at, row, document, changed)| {
                    let document = document.map(Arc::from).zip(changed.map(position));
                    (Mark::from_row((build, at, row)), DocumentAt { document, at: position(at) })
                }))
            })
        })
        .await
    }

    async fn list(&self, view: &Definition, query: &Query) -> Result<Page, Error> {
        let (sql, binds) = statements::list(view, query);
        self.read(view, (sql.as_str(), binds.as_slice(), view, query), |connection, (sql, binds, view, query)| {
            Box::pin(async move {
                let statement = sqlx::query(AssertSqlSafe(*sql)).bind(view.name());
                let rows = binds.iter().fold(statement, statements::bind).fetch_all(connection).await?;
                rows.first().map(|first| page(query, first, &rows)).transpose()
            })
        })
        .await
    }

    async fn parked(
        &self,
        build: BuildNumber,
        of: Option<&AggregateRef>,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Parked>, Error> {
        let waiting = self.readers.ask((build, of, after, limit), |connection, (build, of, after, limit)| {
            Box::pin(async move {
                let select = sqlx::query(
                    "SELECT aggregate_type, aggregate_id, version, position, reason, attempts FROM parked
                     WHERE build = $1 AND position > $2
                        AND ($4::text IS NULL OR aggregate_type = $4 AND aggregate_id = $5)
                     ORDER BY position LIMIT $3",
                )
                .bind(signed(build.0))
                .bind(signed(after.0))
                .bind(signed(*limit as u64))
                .bind(of.map(|of| of.aggregate_type.as_str()))
                .bind(of.map(|of| of.id.as_str()));
                select.fetch_all(connection).await?.iter().map(parked).collect()
            })
        });
        match waiting.await {
            Ok(waiting) => Ok(waiting),
            Err(failure) => Err(self.failed(failure, Subject::Store).await),
        }
    }

    async fn parked_among(&self, build: BuildNumber, aggregates: &[AggregateRef]) -> Result<Vec<AggregateRef>, Error> {
        let waiting = self.readers.ask((build, aggregates), |connection, (build, aggregates)| {
            Box::pin(async move {
                let types: Vec<&str> = aggregates.iter().map(|one| one.aggregate_type.as_str()).collect();
                let ids: Vec<&str> = aggregates.iter().map(|one| one.id.as_str()).collect();
                let select = sqlx::query(
                    "SELECT wanted.* FROM unnest($2::text[], $3::text[]) AS wanted (aggregate_type, aggregate_id)
                     WHERE EXISTS (
                        SELECT 1 FROM parked WHERE parked.build = $1
                            AND parked.aggregate_type = wanted.aggregate_type AND parked.aggregate_id = wanted.aggregate_id)",
                )
                .bind(signed(build.0))
                .bind(types)
                .bind(ids);
                select.fetch_all(connection).await?.iter().map(aggregate).collect()
            })
        });
        match waiting.await {
            Ok(waiting) => Ok(waiting),
            Err(failure) => Err(self.failed(failure, Subject::Store).await),
        }
    }

    async fn parked_count(&self, build: BuildNumber) -> Result<usize, Error> {
        let waiting = self.readers.ask(build, |connection, build| {
            Box::pin(async move {
                let count: i64 = sqlx::query_scalar(
                    "SELECT count(*) FROM
                        (SELECT DISTINCT aggregate_type, aggregate_id FROM parked WHERE build = $1) AS parked_aggregates",
                )
                .bind(signed(build.0))
                .fetch_one(connection)
                .await?;
                Ok(usize::try_from(count).unwrap_or_default())
            })
        });
        match waiting.await {
            Ok(waiting) => Ok(waiting),
            Err(failure) => Err(self.failed(failure, Subject::Store).await),
        }
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
        match names.await {
            Ok(names) => Ok(names),
            Err(failure) => Err(self.failed(failure, Subject::Store).await),
        }
    }

    async fn of_journal(&self, first: Option<dormouse_kernel::Mark>) -> Result<Option<dormouse_kernel::Mark>, Error> {
        let first = first.map(|first| first.to_string());
        let found = self.writers.ask(first.as_deref(), |connection, first| {
            Box::pin(async move { Ok(statements::of_journal(connection, *first).await?) })
        });
        match found.await {
            Ok(found) => found.map(|mark| super::mark(&mark)).transpose(),
            Err(failure) => Err(self.failed(failure, Subject::Store).await),
        }
    }

    async fn set_paused(&self, view: &Definition, is_paused: bool) -> Result<(), Error> {
        // To remember it again changes nothing, so this may be asked twice.
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
        match remembered.await {
            Ok(()) => Ok(()),
            Err(failure) => Err(self.failed(failure, Subject::Store).await),
        }
    }

    async fn close(&self) {
        let replicas = self.replicas.close();
        tokio::join!(self.writers.close(), self.readers.close(), self.indexer.close(), replicas);
    }

    fn replicas(&self) -> Vec<ReplicaStatus> {
        self.replicas.statuses()
    }
}

/// While this is there, and when it goes, nothing is known of what is served: it is about to change, or has changed.
struct Forgetting<'a>(&'a Known, &'a str);

impl<'a> Forgetting<'a> {
    fn begin(known: &'a Known, view: &'a str) -> Self {
        known.forget(view);
        Self(known, view)
    }
}

impl Drop for Forgetting<'_> {
    fn drop(&mut self) {
        self.0.forget(self.1);
    }
}

fn is_schema(name: &str) -> bool {
    const LONGEST: usize = 63;
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    name.len() <= LONGEST
        && name.bytes().next().is_some_and(is_letter)
        && name.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit())
        && !name.starts_with("pg_")
}

fn missing(about: Subject<'_>) -> Error {
    Error::Unavailable(match about {
        Subject::Store => "the tables are missing".to_owned(),
        Subject::Served(view) => format!("there is no view {}", view.name()),
        Subject::Build(_, build) => format!("there is no build {}", build.0),
    })
}

fn page(query: &Query, first: &PgRow, rows: &[PgRow]) -> Result<(Mark, Page), Failure> {
    let mark = Mark::from_row((first.try_get(0)?, first.try_get(1)?, first.try_get(2)?));
    let total = first.try_get::<Option<i64>, _>(3)?.map(unsigned);
    let mut listed = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(key) = row.try_get::<Option<&str>, _>(4)? else { continue };
        let Some(document) = row.try_get(5)? else {
            listed.push(None);
            continue;
        };
        let found = Row { key: key.into(), document, position: position(row.try_get(6)?) };
        let values = query.sorted_by().iter().enumerate().map(|(number, sort)| value(row, 7 + number, sort.field.kind));
        listed.push(Some((found, values.collect::<Result<Vec<_>, Failure>>()?)));
    }
    Ok((mark, Page::of(query, listed.into_iter(), mark.position, total)))
}

/// What a list is sorted by.
fn value(row: &PgRow, index: usize, kind: Kind) -> Result<Option<Value>, Failure> {
    Ok(match kind {
        Kind::Text => row.try_get::<Option<String>, _>(index)?.map(Value::Text),
        Kind::Integer => {
            let number = row.try_get::<Option<&str>, _>(index)?.map(str::parse).transpose();
            number.map_err(|_| Failure::Damaged("a whole number is none".to_owned()))?.map(Value::Integer)
        }
        Kind::Real => row.try_get::<Option<f64>, _>(index)?.map(Value::Real),
        Kind::Boolean => row.try_get::<Option<bool>, _>(index)?.map(Value::Boolean),
    })
}

fn parked(row: &PgRow) -> Result<Parked, Failure> {
    Ok(Parked {
        aggregate: aggregate(row)?,
        version: Version(unsigned(row.try_get(2)?)),
        position: position(row.try_get(3)?),
        reason: row.try_get(4)?,
        attempts: u32::try_from(row.try_get::<i64, _>(5)?).unwrap_or(u32::MAX),
    })
}

fn aggregate(row: &PgRow) -> Result<AggregateRef, Failure> {
    let damaged = |error: dormouse_kernel::InvalidId| Failure::Damaged(error.to_string());
    let aggregate_type = AggregateType::new(row.try_get::<&str, _>(0)?).map_err(damaged)?;
    Ok(AggregateRef::new(aggregate_type, AggregateId::new(row.try_get::<&str, _>(1)?).map_err(damaged)?))
}

/// A number as PostgreSQL has them. No position or version comes near the end of an `i64`.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn position(number: i64) -> Position {
    Position(unsigned(number))
}
