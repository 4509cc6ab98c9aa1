//! Reading documents, lists and parked events.
//!
//! Servers that follow the primary may serve reads of documents and lists (see [`known`](super::known)). The result of
//! a replica is checked: if it lacks something that this store has committed, the primary is asked instead. Right after
//! a commit every read would then be sent twice, because a commit reaches a replica up to half a second later (the
//! primary writes it asynchronously, and sends it after that). So a replica is asked if its last result, or the probe
//! that runs once a second, has shown that it has all that this store has committed. Otherwise one read is tried at it
//! after each probe, and another one for as long as these succeed.

use std::sync::Arc;

use dormouse_kernel::{AggregateId, AggregateRef, AggregateType, Position};
use dormouse_storage::postgres::{Failure, QueryFuture};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use super::Postgres;
use super::failure::Target;
use super::known::BuildMark;
use super::statements;
use crate::definition::Definition;
use crate::fields::Kind;
use crate::key::Key;
use crate::query::{Page, Query, Value};
use crate::store::numbers::{position, version};
use crate::store::{BuildNumber, DocumentAt, Error, Loaded, Parked, Row};
use dormouse_storage::{from_sql, to_sql};

/// The build, its position and the transaction of its row; then the document, and the position of its last change.
type DocumentRow = (i64, i64, i64, Option<String>, Option<i64>);

/// A statement on what is served, for the primary or a replica: the mark of the build and what was read. `None`: no
/// build is served.
type ServedRead<A, T> = for<'q> fn(&'q mut PgConnection, &'q A) -> QueryFuture<'q, Option<(BuildMark, T)>>;

impl Postgres {
    /// Reads what is served: from a replica, if one has all that is known of the view; otherwise from the primary.
    async fn read<A: Copy + Sync, T>(
        &self,
        view: &Definition,
        arguments: A,
        read: ServedRead<A, T>,
    ) -> Result<T, Error> {
        let (name, changes) = (view.name(), self.known.changes(view.name()));
        if let Some(known) = self.known.served(name)
            && let Some(replica) =
                self.replicas.next_to_try(|seen| seen.get(&known.build).is_some_and(|mark| mark.includes(known)))
            && let Some(shown) = replica.ask(arguments, read).await
        {
            let shown = shown.filter(|(mark, _)| mark.includes(known));
            replica.record_progress(shown.is_some(), |seen| {
                if let Some((mark, _)) = &shown {
                    seen.insert(mark.build, *mark);
                }
            });
            if let Some((mark, found)) = shown {
                self.known.shown(name, changes, mark);
                return Ok(found);
            }
        }
        let shown = self.checked(self.readers.ask(arguments, read).await, Target::Served(view)).await?;
        let (mark, found) = shown.ok_or_else(|| Target::Served(view).missing())?;
        self.known.shown(name, changes, mark);
        Ok(found)
    }

    /// See [`ViewStore::get`](crate::ViewStore::get).
    pub(super) async fn read_document(&self, view: &Definition, key: &Key) -> Result<DocumentAt, Error> {
        // No key contains NUL, and PostgreSQL refuses a text that does.
        let key = Some(key.as_str()).filter(|key| !key.contains('\0'));
        let sql = statements::get(view);
        self.read(view, (sql.as_str(), view, key), |connection, (sql, view, key)| {
            Box::pin(async move {
                let select = sqlx::query_as(AssertSqlSafe(*sql)).bind(view.name()).bind(*key);
                let found: Option<DocumentRow> = select.fetch_optional(connection).await?;
                let Some((build, at, row, document, changed)) = found else { return Ok(None) };
                let mark = BuildMark::from_row((build, at, row))?;
                let changed = changed.map(|number| position("position", number)).transpose()?;
                Ok(Some((mark, DocumentAt { document: document.map(Arc::from).zip(changed), at: mark.position })))
            })
        })
        .await
    }

    /// See [`ViewStore::list`](crate::ViewStore::list).
    pub(super) async fn read_list(&self, view: &Definition, query: &Query) -> Result<Page, Error> {
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

    /// See [`ViewStore::load`](crate::ViewStore::load).
    pub(super) async fn load_documents(
        &self,
        view: &Definition,
        build: BuildNumber,
        keys: &[Key],
        bytes: usize,
    ) -> Result<Loaded, Error> {
        if keys.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let arguments = (statements::load(view, build), build, keys, bytes);
        let loaded = self.writers.ask(arguments, |connection, (sql, build, keys, bytes)| {
            Box::pin(async move { Ok(statements::loaded(connection, sql, *build, keys, *bytes).await?) })
        });
        let target = Target::Build(view, build);
        self.checked(loaded.await, target).await?.ok_or_else(|| target.missing())
    }

    /// See [`ViewStore::parked`](crate::ViewStore::parked).
    pub(super) async fn read_parked(
        &self,
        build: BuildNumber,
        of: Option<&AggregateRef>,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Parked>, Error> {
        let parked = self.readers.ask((build, of, after, limit), |connection, (build, of, after, limit)| {
            Box::pin(async move {
                let select = sqlx::query(
                    "SELECT aggregate_type, aggregate_id, version, position, reason, attempts FROM parked
                     WHERE build = $1 AND position > $2
                        AND ($4::text IS NULL OR aggregate_type = $4 AND aggregate_id = $5)
                     ORDER BY position LIMIT $3",
                )
                .bind(to_sql(build.0))
                .bind(to_sql(after.0))
                .bind(to_sql(*limit as u64))
                .bind(of.map(|of| of.aggregate_type.as_str()))
                .bind(of.map(|of| of.id.as_str()));
                select.fetch_all(connection).await?.iter().map(parked_event).collect()
            })
        });
        self.checked(parked.await, Target::Store).await
    }

    /// See [`ViewStore::parked_among`](crate::ViewStore::parked_among).
    pub(super) async fn find_parked(
        &self,
        build: BuildNumber,
        aggregates: &[AggregateRef],
    ) -> Result<Vec<AggregateRef>, Error> {
        let parked = self.readers.ask((build, aggregates), |connection, (build, aggregates)| {
            Box::pin(async move {
                let types: Vec<&str> = aggregates.iter().map(|one| one.aggregate_type.as_str()).collect();
                let ids: Vec<&str> = aggregates.iter().map(|one| one.id.as_str()).collect();
                let select = sqlx::query(
                    "SELECT wanted.* FROM unnest($2::text[], $3::text[]) AS wanted (aggregate_type, aggregate_id)
                     WHERE EXISTS (
                        SELECT 1 FROM parked WHERE parked.build = $1
                            AND parked.aggregate_type = wanted.aggregate_type AND parked.aggregate_id = wanted.aggregate_id)",
                )
                .bind(to_sql(build.0))
                .bind(types)
                .bind(ids);
                select.fetch_all(connection).await?.iter().map(aggregate).collect()
            })
        });
        self.checked(parked.await, Target::Store).await
    }

    /// See [`ViewStore::parked_count`](crate::ViewStore::parked_count).
    pub(super) async fn count_parked(&self, build: BuildNumber) -> Result<usize, Error> {
        let count = self.readers.ask(build, |connection, build| {
            Box::pin(async move {
                let count: i64 = sqlx::query_scalar(
                    "SELECT count(*) FROM
                        (SELECT DISTINCT aggregate_type, aggregate_id FROM parked WHERE build = $1) AS parked_aggregates",
                )
                .bind(to_sql(build.0))
                .fetch_one(connection)
                .await?;
                Ok(from_sql(count, "count")?)
            })
        });
        self.checked(count.await, Target::Store).await
    }
}

fn page(query: &Query, first: &PgRow, rows: &[PgRow]) -> Result<(BuildMark, Page), Failure> {
    let mark = BuildMark::from_row((first.try_get(0)?, first.try_get(1)?, first.try_get(2)?))?;
    let total = first.try_get::<Option<i64>, _>(3)?.map(|total| from_sql(total, "count")).transpose()?;
    let mut listed = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(key) = row.try_get::<Option<&str>, _>(4)? else { continue };
        let Some(document) = row.try_get(5)? else {
            listed.push(None);
            continue;
        };
        let found = Row { key: key.into(), document, position: position("position", row.try_get(6)?)? };
        let values = query.sorted_by().iter().enumerate().map(|(number, sort)| value(row, 7 + number, sort.field.kind));
        listed.push(Some((found, values.collect::<Result<Vec<_>, Failure>>()?)));
    }
    Ok((mark, Page::of(query, listed.into_iter(), mark.position, total)))
}

/// A value that a list is sorted by.
fn value(row: &PgRow, index: usize, kind: Kind) -> Result<Option<Value>, Failure> {
    Ok(match kind {
        Kind::Text => row.try_get::<Option<String>, _>(index)?.map(Value::Text),
        Kind::Integer => {
            let parse =
                |text: &str| text.parse().map_err(|_| Failure::Damaged(format!("{text:?} is not a whole number")));
            row.try_get::<Option<&str>, _>(index)?.map(parse).transpose()?.map(Value::Integer)
        }
        Kind::Real => row.try_get::<Option<f64>, _>(index)?.map(Value::Real),
        Kind::Boolean => row.try_get::<Option<bool>, _>(index)?.map(Value::Boolean),
    })
}

fn parked_event(row: &PgRow) -> Result<Parked, Failure> {
    Ok(Parked {
        aggregate: aggregate(row)?,
        version: version("parked.version", row.try_get(2)?)?,
        position: position("parked.position", row.try_get(3)?)?,
        reason: row.try_get(4)?,
        attempts: from_sql(row.try_get(5)?, "parked.attempts")?,
    })
}

fn aggregate(row: &PgRow) -> Result<AggregateRef, Failure> {
    let damaged = |error: dormouse_kernel::InvalidId| Failure::Damaged(error.to_string());
    let aggregate_type = AggregateType::new(row.try_get::<&str, _>(0)?).map_err(damaged)?;
    Ok(AggregateRef::new(aggregate_type, AggregateId::new(row.try_get::<&str, _>(1)?).map_err(damaged)?))
}
