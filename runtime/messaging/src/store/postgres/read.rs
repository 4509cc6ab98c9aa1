//! Reading, always from the primary: a replica may lack what a commit has returned.

use std::collections::{HashMap, HashSet};

use dormouse_kernel::{AggregateRef, Timestamp};
use dormouse_storage::{Error as Problem, from_sql, to_sql};
use sqlx::postgres::PgArguments;
use sqlx::query::QueryAs;
use sqlx::{AssertSqlSafe, PgConnection, Postgres as Driver, query_as, query_scalar};

use super::Postgres;
use crate::consumer_name::ConsumerName;
use crate::store::row::{self, BEFORE_JOBS, JOB, JobColumns, TIMER, TimerColumns, microseconds};
use crate::store::{Error, JobCounts, JobId, JobRow, JobStateName, Progress, Switch, TimerPlace, TimerRow};

/// One statement sees one state: whether the consumer is known, its shards, and the positions that are done.
const PROGRESS: &str = "
    SELECT EXISTS (SELECT FROM consumer WHERE name = $1),
        ARRAY(SELECT shards FROM progress WHERE consumer = $1 ORDER BY shards, shard),
        ARRAY(SELECT shard FROM progress WHERE consumer = $1 ORDER BY shards, shard),
        ARRAY(SELECT low FROM progress WHERE consumer = $1 ORDER BY shards, shard),
        ARRAY(SELECT position FROM done WHERE consumer = $1)";

type ProgressRow = (bool, Vec<i64>, Vec<i64>, Vec<i64>, Vec<i64>);

/// A statement that selects jobs, with its parameters.
type Jobs<'q> = QueryAs<'q, Driver, JobColumns, PgArguments>;

impl Postgres {
    pub(super) async fn read_progress(&self, consumer: &ConsumerName) -> Result<Option<Progress>, Error> {
        let read = self.readers.ask(consumer, |connection, consumer| {
            Box::pin(async move { Ok(query_as(PROGRESS).bind(consumer.as_str()).fetch_one(connection).await?) })
        });
        let (is_known, shards, shard, low, done): ProgressRow = read.await.map_err(Problem::from)?;
        let shards = shards.into_iter().zip(shard).zip(low).map(|((shards, shard), low)| (shards, shard, low));
        Ok(row::progress(is_known, shards.collect(), done)?)
    }

    pub(super) async fn read_held(
        &self,
        consumer: &ConsumerName,
        sequences: &[AggregateRef],
        dead_too: bool,
    ) -> Result<HashSet<AggregateRef>, Error> {
        let read = self.readers.ask((consumer, sequences, dead_too), |connection, (consumer, sequences, dead_too)| {
            Box::pin(async move {
                let found = query_as(AssertSqlSafe(held_sql(*dead_too)))
                    .bind(consumer.as_str())
                    .bind(sequences.iter().map(|sequence| sequence.aggregate_type.as_str()).collect::<Vec<_>>())
                    .bind(sequences.iter().map(|sequence| sequence.id.as_str()).collect::<Vec<_>>());
                Ok(found.fetch_all(connection).await?)
            })
        });
        let rows: Vec<(String, String)> = read.await.map_err(Problem::from)?;
        Ok(rows.iter().map(|(of, id)| row::aggregate(of, id)).collect::<Result<_, Problem>>()?)
    }

    pub(super) async fn read_due(
        &self,
        consumer: &ConsumerName,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<JobRow>, Error> {
        let read = self.readers.ask((consumer, now, limit), |connection, (consumer, now, limit)| {
            let condition = "state = 'waiting' AND due <= $2 ORDER BY due, position, part LIMIT $3";
            let due = select(condition, consumer).bind(microseconds(*now)).bind(to_sql(*limit as u64));
            Box::pin(async move { Ok(due.fetch_all(connection).await?) })
        });
        jobs(read.await.map_err(Problem::from)?)
    }

    pub(super) async fn read_next_due(&self, consumer: &ConsumerName) -> Result<Option<Timestamp>, Error> {
        let read = self.readers.ask(consumer, |connection, consumer| {
            Box::pin(async move {
                let next = query_scalar("SELECT min(due) FROM job WHERE consumer = $1 AND state = 'waiting'");
                let next: Option<i64> = next.bind(consumer.as_str()).fetch_one(connection).await?;
                Ok(next)
            })
        });
        let due = read.await.map_err(Problem::from)?;
        Ok(due.map(|due| row::time(due, "job.due")).transpose()?)
    }

    pub(super) async fn read_sequence(
        &self,
        consumer: &ConsumerName,
        sequence: &AggregateRef,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<JobRow>, Error> {
        let wanted = (consumer, sequence, place(after), limit);
        let read = self.readers.ask(wanted, |connection, (consumer, sequence, (position, part), limit)| {
            let condition = "aggregate_type = $2 AND aggregate_id = $3 AND (position, part) > ($4, $5)
                ORDER BY position, part LIMIT $6";
            let page = select(condition, consumer)
                .bind(sequence.aggregate_type.as_str())
                .bind(sequence.id.as_str())
                .bind(position)
                .bind(part)
                .bind(to_sql(*limit as u64));
            Box::pin(async move { Ok(page.fetch_all(connection).await?) })
        });
        jobs(read.await.map_err(Problem::from)?)
    }

    pub(super) async fn read_state(
        &self,
        consumer: &ConsumerName,
        state: JobStateName,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<JobRow>, Error> {
        let wanted = (consumer, row::state(state), place(after), limit);
        let read = self.readers.ask(wanted, |connection, (consumer, state, (position, part), limit)| {
            let condition = "state = $2 AND (position, part) > ($3, $4) ORDER BY position, part LIMIT $5";
            let page = select(condition, consumer).bind(*state).bind(position).bind(part).bind(to_sql(*limit as u64));
            Box::pin(async move { Ok(page.fetch_all(connection).await?) })
        });
        jobs(read.await.map_err(Problem::from)?)
    }

    pub(super) async fn read_job(&self, consumer: &ConsumerName, id: JobId) -> Result<Option<JobRow>, Error> {
        let read = self.readers.ask((consumer, id), |connection, (consumer, id)| {
            let one = select("position = $2 AND part = $3", consumer).bind(to_sql(id.position.0)).bind(id.part);
            Box::pin(async move { Ok(one.fetch_optional(connection).await?) })
        });
        Ok(read.await.map_err(Problem::from)?.map(row::job).transpose()?)
    }

    /// Reads the index by consumer and state from one end to the other: 0.1 s to 0.2 s for 300,000 jobs. Counters
    /// would cost every commit something, and could differ from the rows.
    pub(super) async fn count_jobs(&self) -> Result<HashMap<ConsumerName, JobCounts>, Error> {
        let read = self.readers.ask((), |connection, ()| {
            Box::pin(async {
                let counts = query_as("SELECT consumer, state, count(*) FROM job GROUP BY consumer, state");
                Ok(counts.fetch_all(connection).await?)
            })
        });
        Ok(row::counts(read.await.map_err(Problem::from)?)?)
    }

    pub(super) async fn read_timers(
        &self,
        until: Timestamp,
        after: Option<&TimerPlace>,
        limit: usize,
    ) -> Result<Vec<TimerRow>, Error> {
        let read = self.readers.ask((until, after, limit), |connection, (until, after, limit)| {
            Box::pin(async move {
                let sql = AssertSqlSafe(timers_sql(after.is_some()));
                let page = query_as(sql).bind(microseconds(*until)).bind(to_sql(*limit as u64));
                let page = match after {
                    Some(TimerPlace { due, aggregate, name }) => page
                        .bind(microseconds(*due))
                        .bind(aggregate.aggregate_type.as_str())
                        .bind(aggregate.id.as_str())
                        .bind(name.as_str()),
                    None => page,
                };
                Ok(page.fetch_all(connection).await?)
            })
        });
        let rows: Vec<TimerColumns> = read.await.map_err(Problem::from)?;
        Ok(rows.into_iter().map(row::timer).collect::<Result<_, Problem>>()?)
    }

    pub(super) async fn count_timers(&self) -> Result<u64, Error> {
        let read = self.readers.ask((), |connection: &mut PgConnection, ()| {
            Box::pin(async {
                let count: i64 = query_scalar("SELECT count(*) FROM timer").fetch_one(connection).await?;
                Ok(from_sql(count, "count")?)
            })
        });
        Ok(read.await.map_err(Problem::from)?)
    }

    pub(super) async fn read_switches(&self) -> Result<HashMap<ConsumerName, Switch>, Error> {
        let read = self.readers.ask((), |connection, ()| {
            Box::pin(async {
                Ok(query_as("SELECT consumer, paused, disabled FROM switch").fetch_all(connection).await?)
            })
        });
        Ok(row::switches(read.await.map_err(Problem::from)?)?)
    }

    pub(super) async fn read_settings(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let read = self.readers.ask(prefix.to_owned(), |connection, prefix| {
            Box::pin(async move { Ok(query_as(SETTINGS).bind(prefix).fetch_all(connection).await?) })
        });
        let found: Vec<(String, Vec<u8>)> = read.await.map_err(Problem::from)?;
        Ok(found.into_iter().take_while(|(name, _)| name.starts_with(prefix)).collect())
    }
}

/// Names that begin with a text come right after it. There are few settings: the rest is read in vain.
const SETTINGS: &str = "SELECT name, value FROM setting WHERE name >= $1 ORDER BY name";

/// Selects jobs of a consumer, which is the first parameter.
fn select<'q>(condition: &str, consumer: &'q ConsumerName) -> Jobs<'q> {
    query_as(AssertSqlSafe(format!("SELECT {JOB} FROM job WHERE consumer = $1 AND {condition}")))
        .bind(consumer.as_str())
}

fn place(after: Option<JobId>) -> (i64, i64) {
    after.map_or(BEFORE_JOBS, |id| (to_sql(id.position.0), id.part))
}

fn jobs(rows: Vec<JobColumns>) -> Result<Vec<JobRow>, Error> {
    Ok(rows.into_iter().map(row::job).collect::<Result<_, Problem>>()?)
}

/// The limit keeps the planner from making a join: each sequence is looked up.
fn held_sql(dead_too: bool) -> String {
    let condition = if dead_too { "" } else { "AND state <> 'dead'" };
    format!(
        "SELECT wanted.* FROM unnest($2::text[], $3::text[]) AS wanted (aggregate_type, aggregate_id)
         CROSS JOIN LATERAL (
            SELECT FROM job WHERE consumer = $1 AND job.aggregate_type = wanted.aggregate_type
                AND job.aggregate_id = wanted.aggregate_id {condition} LIMIT 1
         ) AS found"
    )
}

fn timers_sql(is_after: bool) -> String {
    let after = if is_after { "AND (due, aggregate_type, aggregate_id, name) > ($3, $4, $5, $6)" } else { "" };
    format!(
        "SELECT {TIMER} FROM timer WHERE due <= $1 {after} ORDER BY due, aggregate_type, aggregate_id, name LIMIT $2"
    )
}
