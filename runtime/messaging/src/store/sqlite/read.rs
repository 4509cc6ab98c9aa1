//! Reading. Every statement has its index; the tests in `plans` show it.

use std::collections::{HashMap, HashSet};

use dormouse_kernel::{AggregateRef, Timestamp};
use dormouse_storage::{Error as Problem, from_sql, to_sql};
use sqlx::{AssertSqlSafe, Connection};

use super::Sqlite;
use super::statement::{Statement, prepared, values};
use crate::consumer_name::ConsumerName;
use crate::store::row::{self, BEFORE_JOBS, JOB, JobColumns, TIMER, TimerColumns, microseconds};
use crate::store::{Error, JobCounts, JobId, JobRow, JobStateName, Progress, Switch, TimerPlace, TimerRow};

pub(super) const NEXT_DUE: &str = "SELECT min(due) FROM job WHERE consumer = ?1 AND state = 'waiting'";
pub(super) const COUNT_JOBS: &str = "SELECT consumer, state, count(*) FROM job GROUP BY consumer, state";
pub(super) const COUNT_TIMERS: &str = "SELECT count(*) FROM timer";

impl Sqlite {
    pub(super) async fn read_progress(&self, consumer: &ConsumerName) -> Result<Option<Progress>, Error> {
        let consumer = consumer.as_str();
        let read = self.read(async |connection| {
            // One transaction, so that the parts are of one commit.
            let mut state = connection.begin().await?;
            let known = sqlx::query_scalar("SELECT 1 FROM consumer WHERE name = ?1").bind(consumer);
            let known: Option<i64> = known.fetch_optional(&mut *state).await?;
            let shards =
                sqlx::query_as("SELECT shards, shard, low FROM progress WHERE consumer = ?1 ORDER BY shards, shard");
            let shards = shards.bind(consumer).fetch_all(&mut *state).await?;
            let done = sqlx::query_scalar("SELECT position FROM done WHERE consumer = ?1").bind(consumer);
            let done = done.fetch_all(&mut *state).await?;
            state.commit().await?;
            Ok((known.is_some(), shards, done))
        });
        let (is_known, shards, done) = read.await?;
        Ok(row::progress(is_known, shards, done)?)
    }

    pub(super) async fn read_held(
        &self,
        consumer: &ConsumerName,
        sequences: &[AggregateRef],
        dead_too: bool,
    ) -> Result<HashSet<AggregateRef>, Error> {
        let mut held = HashSet::new();
        for sequences in sequences.chunks(prepared(sequences.len())) {
            let mut statement = Statement::new(held_sql(sequences.len(), dead_too)).with(consumer.as_str())?;
            for sequence in sequences {
                statement.bind(sequence.aggregate_type.shared())?;
                statement.bind(sequence.id.shared())?;
            }
            let (sql, arguments) = statement.into_parts();
            let read = self.read(async |connection| sqlx::query_as_with(sql, arguments).fetch_all(connection).await);
            let rows: Vec<(String, String)> = read.await?;
            for (aggregate_type, id) in rows {
                held.insert(row::aggregate(&aggregate_type, &id)?);
            }
        }
        Ok(held)
    }

    pub(super) async fn read_due(
        &self,
        consumer: &ConsumerName,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<JobRow>, Error> {
        let read = self.read(async |connection| {
            let due = sqlx::query_as(AssertSqlSafe(due_sql())).bind(consumer.as_str()).bind(microseconds(now));
            due.bind(to_sql(limit as u64)).fetch_all(connection).await
        });
        jobs(read.await?)
    }

    pub(super) async fn read_next_due(&self, consumer: &ConsumerName) -> Result<Option<Timestamp>, Error> {
        let read = self
            .read(async |connection| sqlx::query_scalar(NEXT_DUE).bind(consumer.as_str()).fetch_one(connection).await);
        let due: Option<i64> = read.await?;
        Ok(due.map(|due| row::time(due, "job.due")).transpose()?)
    }

    pub(super) async fn read_sequence(
        &self,
        consumer: &ConsumerName,
        sequence: &AggregateRef,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<JobRow>, Error> {
        let (position, part) = after.map_or(BEFORE_JOBS, |id| (to_sql(id.position.0), id.part));
        let read = self.read(async |connection| {
            let page = sqlx::query_as(AssertSqlSafe(sequence_sql())).bind(consumer.as_str());
            let page = page.bind(sequence.aggregate_type.as_str()).bind(sequence.id.as_str());
            page.bind(position).bind(part).bind(to_sql(limit as u64)).fetch_all(connection).await
        });
        jobs(read.await?)
    }

    pub(super) async fn read_state(
        &self,
        consumer: &ConsumerName,
        state: JobStateName,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<JobRow>, Error> {
        let (position, part) = after.map_or(BEFORE_JOBS, |id| (to_sql(id.position.0), id.part));
        let read = self.read(async |connection| {
            let page = sqlx::query_as(AssertSqlSafe(state_sql())).bind(consumer.as_str()).bind(row::state(state));
            page.bind(position).bind(part).bind(to_sql(limit as u64)).fetch_all(connection).await
        });
        jobs(read.await?)
    }

    pub(super) async fn read_job(&self, consumer: &ConsumerName, id: JobId) -> Result<Option<JobRow>, Error> {
        let read = self.read(async |connection| {
            let one = sqlx::query_as(AssertSqlSafe(job_sql())).bind(consumer.as_str());
            one.bind(to_sql(id.position.0)).bind(id.part).fetch_optional(connection).await
        });
        Ok(read.await?.map(row::job).transpose()?)
    }

    /// Reads the index by consumer and state from one end to the other: about 0.1 s for 300,000 jobs in a debug build. Counters
    /// would cost every commit something, and could differ from the rows.
    pub(super) async fn count_jobs(&self) -> Result<HashMap<ConsumerName, JobCounts>, Error> {
        let read = self.read(async |connection| sqlx::query_as(COUNT_JOBS).fetch_all(connection).await);
        Ok(row::counts(read.await?)?)
    }

    pub(super) async fn read_timers(
        &self,
        until: Timestamp,
        after: Option<&TimerPlace>,
        limit: usize,
    ) -> Result<Vec<TimerRow>, Error> {
        let read = self.read(async |connection| {
            let sql = AssertSqlSafe(timers_sql(after.is_some()));
            let page = sqlx::query_as(sql).bind(microseconds(until)).bind(to_sql(limit as u64));
            let page = match after {
                Some(TimerPlace { due, aggregate, name }) => page
                    .bind(microseconds(*due))
                    .bind(aggregate.aggregate_type.as_str())
                    .bind(aggregate.id.as_str())
                    .bind(name.as_str()),
                None => page,
            };
            page.fetch_all(connection).await
        });
        let rows: Vec<TimerColumns> = read.await?;
        Ok(rows.into_iter().map(row::timer).collect::<Result<_, Problem>>()?)
    }

    pub(super) async fn count_timers(&self) -> Result<u64, Error> {
        let read = self.read(async |connection| sqlx::query_scalar(COUNT_TIMERS).fetch_one(connection).await);
        let count: Result<u64, _> = from_sql(read.await?, "count");
        Ok(count.map_err(Problem::from)?)
    }

    pub(super) async fn read_switches(&self) -> Result<HashMap<ConsumerName, Switch>, Error> {
        let read = self.read(async |connection| {
            sqlx::query_as("SELECT consumer, paused, disabled FROM switch").fetch_all(connection).await
        });
        Ok(row::switches(read.await?)?)
    }

    pub(super) async fn read_settings(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let read = self.read(async |connection| sqlx::query_as(SETTINGS).bind(prefix).fetch_all(connection).await);
        let found: Vec<(String, Vec<u8>)> = read.await?;
        Ok(found.into_iter().take_while(|(name, _)| name.starts_with(prefix)).collect())
    }
}

/// Names that begin with a text come right after it. There are few settings: the rest is read in vain.
const SETTINGS: &str = "SELECT name, value FROM setting WHERE name >= ?1 ORDER BY name";

fn jobs(rows: Vec<JobColumns>) -> Result<Vec<JobRow>, Error> {
    Ok(rows.into_iter().map(row::job).collect::<Result<_, Problem>>()?)
}

/// A value and not `EXISTS`, of which the planner may make a join that begins with the jobs.
pub(super) fn held_sql(sequences: usize, dead_too: bool) -> String {
    let condition = if dead_too { "" } else { "AND state <> 'dead'" };
    format!(
        "WITH asked (consumer) AS (SELECT ?)
         SELECT column1, column2 FROM ({}) WHERE (
            SELECT 1 FROM job WHERE consumer = (SELECT consumer FROM asked)
                AND aggregate_type = column1 AND aggregate_id = column2 {condition} LIMIT 1) IS NOT NULL",
        values(sequences, 2)
    )
}

pub(super) fn due_sql() -> String {
    format!(
        "SELECT {JOB} FROM job WHERE consumer = ?1 AND state = 'waiting' AND due <= ?2
         ORDER BY due, position, part LIMIT ?3"
    )
}

pub(super) fn sequence_sql() -> String {
    format!(
        "SELECT {JOB} FROM job WHERE consumer = ?1 AND aggregate_type = ?2 AND aggregate_id = ?3
            AND (position, part) > (?4, ?5) ORDER BY position, part LIMIT ?6"
    )
}

pub(super) fn state_sql() -> String {
    format!(
        "SELECT {JOB} FROM job WHERE consumer = ?1 AND state = ?2 AND (position, part) > (?3, ?4)
         ORDER BY position, part LIMIT ?5"
    )
}

pub(super) fn job_sql() -> String {
    format!("SELECT {JOB} FROM job WHERE consumer = ?1 AND position = ?2 AND part = ?3")
}

pub(super) fn timers_sql(is_after: bool) -> String {
    let after = if is_after { "AND (due, aggregate_type, aggregate_id, name) > (?3, ?4, ?5, ?6)" } else { "" };
    format!(
        "SELECT {TIMER} FROM timer WHERE due <= ?1 {after} ORDER BY due, aggregate_type, aggregate_id, name LIMIT ?2"
    )
}
