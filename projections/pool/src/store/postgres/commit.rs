//! Committing a batch: one statement, one round trip, one transaction.

use dormouse_storage::postgres::Failure;
use sqlx::{AssertSqlSafe, PgConnection};

use super::Postgres;
use super::failure::Target;
use super::known::BuildMark;
use super::statements::storable;
use crate::definition::Definition;
use crate::store::{Advance, BuildNumber, CommitError};
use dormouse_storage::to_sql;

impl Postgres {
    /// See [`ViewStore::commit`](crate::ViewStore::commit).
    pub(super) async fn commit_batch(
        &self,
        view: &Definition,
        build: BuildNumber,
        advance: Advance,
    ) -> Result<(), CommitError> {
        let target = Target::Build(view, build);
        let changes = self.known.changes(view.name());
        let mut session = self.checked(self.writers.open().await, target).await?;
        // Sent once only: a statement whose reply was lost may have been carried out.
        let committed = self.writers.run(commit(&mut session, view, build, &advance)).await;
        let found = match committed {
            Ok(Some((mark, is_served))) => {
                session.keep();
                self.known.committed(view.name(), changes, mark, is_served);
                return Ok(());
            }
            Ok(None) => {
                session.keep();
                self.known.is_theirs(view.name());
                self.position(build).await
            }
            // Either the build was removed with its table, or only the table is missing.
            Err(Failure::Unusable(reason)) => match self.position(build).await {
                Ok(None) => Ok(None),
                Ok(Some(_)) => Err(Failure::Unusable(reason)),
                Err(failure) => Err(failure),
            },
            Err(failure) => Err(failure),
        };
        let found = self.checked(found, target).await?;
        Err(CommitError::Moved { expected: advance.from, found })
    }
}

/// Returns the build's mark and whether the build is served. `None`: the build was at another position, and nothing was
/// changed, because every part of the statement selects from `moved`.
async fn commit(
    connection: &mut PgConnection,
    view: &Definition,
    build: BuildNumber,
    advance: &Advance,
) -> Result<Option<(BuildMark, bool)>, sqlx::Error> {
    let Advance { from, to, rows, gone, parked, released } = advance;
    let parks = !parked.is_empty() || !released.is_empty();
    let mut statement = sqlx::query_as(AssertSqlSafe(commit_sql(&view.table(build), parks)))
        .bind(to_sql(build.0))
        .bind(to_sql(from.0))
        .bind(to_sql(to.position.0))
        .bind(to.chain.0.as_slice())
        .bind(rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.document.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| to_sql(row.position.0)).collect::<Vec<_>>())
        .bind(gone.iter().map(|key| key.as_str()).collect::<Vec<_>>());
    if parks {
        statement = statement
            .bind(parked.iter().map(|event| to_sql(event.position.0)).collect::<Vec<_>>())
            .bind(parked.iter().map(|event| event.aggregate.aggregate_type.as_str()).collect::<Vec<_>>())
            .bind(parked.iter().map(|event| event.aggregate.id.as_str()).collect::<Vec<_>>())
            .bind(parked.iter().map(|event| to_sql(event.version.0)).collect::<Vec<_>>())
            .bind(parked.iter().map(|event| event.reason.as_deref().map(storable)).collect::<Vec<_>>())
            .bind(parked.iter().map(|event| i64::from(event.attempts)).collect::<Vec<_>>())
            .bind(released.iter().map(|position| to_sql(position.0)).collect::<Vec<_>>());
    }
    let moved: Option<(i64, bool)> = statement.fetch_optional(connection).await?;
    Ok(moved.map(|(row, is_served)| (BuildMark { build, position: to.position, row }, is_served)))
}

/// `parks`: whether the batch parks or releases events.
fn commit_sql(table: &str, parks: bool) -> String {
    let parking = if parks {
        ", parking AS (
            INSERT INTO parked (build, position, aggregate_type, aggregate_id, version, reason, attempts)
            SELECT moved.build, event.* FROM moved, unnest(
                $9::bigint[], $10::text[], $11::text[], $12::bigint[], $13::text[], $14::bigint[]) AS event
            ON CONFLICT (build, position) DO UPDATE SET
                aggregate_type = excluded.aggregate_type, aggregate_id = excluded.aggregate_id,
                version = excluded.version, reason = excluded.reason, attempts = excluded.attempts
        ), releasing AS (
            DELETE FROM parked USING moved WHERE parked.build = moved.build AND parked.position = ANY($15::bigint[])
        )"
    } else {
        ""
    };
    format!(
        "WITH moved AS (
            UPDATE builds SET position = $3, chain = $4 WHERE build = $1 AND position = $2
            RETURNING build, xmin::text::bigint AS row, is_serving
        ), writing AS (
            INSERT INTO {table} (key, document, position)
            SELECT changed.key, changed.document::json, changed.position
            FROM moved, unnest($5::text[], $6::text[], $7::bigint[]) AS changed (key, document, position)
            ON CONFLICT (key) DO UPDATE SET document = excluded.document, position = excluded.position
        ), deleting AS (
            DELETE FROM {table} USING moved WHERE key = ANY($8::text[])
        ){parking}
        SELECT row, is_serving FROM moved"
    )
}
