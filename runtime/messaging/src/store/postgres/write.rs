//! The statement of a commit: it has a part for each kind of change that there is.
//!
//! All parts see the tables as they were before the statement, so no row may be in two of them: see [`NetChanges`].

use std::fmt::Write as _;

use dormouse_kernel::{AggregateRef, Position, TimerName};
use dormouse_storage::{Error as Problem, to_sql};
use sqlx::postgres::PgArguments;
use sqlx::{Arguments, AssertSqlSafe, Encode, PgConnection, Postgres as Driver, Type};

use crate::consumer_name::ConsumerName;
use crate::store::net::NetChanges;
use crate::store::row::{encoded, microseconds};
use crate::store::{Changes, Error, JobId, JobRow, ShardProgress, Switch, TimerRow};

/// The tables that have rows of a consumer, with the column of its name.
const OF_CONSUMER: [(&str, &str); 5] =
    [("consumer", "name"), ("progress", "consumer"), ("done", "consumer"), ("job", "consumer"), ("switch", "consumer")];

/// A statement that changes nothing unless a term is in force.
///
/// Its first part, `fence`, locks the row of the owner until the end of the transaction: an acquisition waits for it. If
/// an acquisition was first, the lock shows the row of another term.
#[derive(Debug, Default)]
pub(super) struct Write {
    /// The parts after the first.
    parts: String,
    arguments: PgArguments,
}

impl Write {
    /// Returns whether the term is in force.
    pub(super) async fn run(&self, term: i64, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        let Self { parts, arguments } = self;
        let mut arguments = arguments.clone();
        arguments.add(term).map_err(sqlx::Error::Encode)?;
        let sql = format!(
            "WITH fence AS (SELECT 1 AS holds FROM owner WHERE term = ${} FOR SHARE){parts} SELECT count(*) FROM fence",
            arguments.len()
        );
        let in_force: i64 = sqlx::query_scalar_with(AssertSqlSafe(sql), arguments).fetch_one(connection).await?;
        Ok(in_force > 0)
    }

    /// Binds a value. Returns its parameter.
    fn bind<'t, T: Encode<'t, Driver> + Type<Driver>>(&mut self, value: T) -> Result<String, Error> {
        self.arguments.add(value).map_err(|error| Problem::Unavailable(error.to_string()))?;
        Ok(format!("${}", self.arguments.len()))
    }

    fn add(&mut self, name: &str, sql: &str) {
        // A write to a string cannot fail.
        let _infallible = write!(self.parts, ", {name} AS ({sql})");
    }

    fn move_on(&mut self, consumer: &str, progress: &[&ShardProgress]) -> Result<(), Error> {
        let shards = self.bind(numbers(progress, |one| i64::from(one.shards)))?;
        let shard = self.bind(numbers(progress, |one| i64::from(one.shard)))?;
        let low = self.bind(numbers(progress, |one| to_sql(one.low.0)))?;
        let sql = format!(
            "INSERT INTO progress (consumer, shards, shard, low)
             SELECT {consumer}, one.* FROM fence, unnest({shards}, {shard}, {low}) AS one
             ON CONFLICT (consumer, shards, shard) DO UPDATE SET low = excluded.low"
        );
        self.add("moving", &sql);
        Ok(())
    }

    fn forget_shards(&mut self, consumer: &str, kept: impl Iterator<Item = u16>) -> Result<(), Error> {
        let kept = self.bind(kept.map(i64::from).collect::<Vec<_>>())?;
        let sql = format!(
            "DELETE FROM progress WHERE consumer = {consumer} AND shards <> ALL({kept}) AND EXISTS (SELECT FROM fence)"
        );
        self.add("forgetting", &sql);
        Ok(())
    }

    fn do_above_low<'p>(&mut self, consumer: &str, done: impl IntoIterator<Item = &'p Position>) -> Result<(), Error> {
        let done = self.bind(positions(done))?;
        // A position is there or not: nothing else is in the row.
        let sql = format!(
            "INSERT INTO done (consumer, position) SELECT {consumer}, one FROM fence, unnest({done}) AS one
             ON CONFLICT (consumer, position) DO NOTHING"
        );
        self.add("doing", &sql);
        Ok(())
    }

    fn forget_done(&mut self, consumer: &str, done: &[Position]) -> Result<(), Error> {
        let done = self.bind(positions(done))?;
        let sql = format!(
            "DELETE FROM done WHERE consumer = {consumer} AND position = ANY({done}) AND EXISTS (SELECT FROM fence)"
        );
        self.add("undoing", &sql);
        Ok(())
    }

    fn put(&mut self, consumer: &str, jobs: &[&JobRow]) -> Result<(), Error> {
        let attempts = jobs.iter().map(|job| encoded(&job.attempts)).collect::<Result<Vec<_>, _>>()?;
        let subjects: Vec<String> = jobs.iter().map(|job| storable(&job.subject)).collect();
        let columns = [
            self.bind(numbers(jobs, |job| to_sql(job.id.position.0)))?,
            self.bind(numbers(jobs, |job| job.id.part))?,
            self.bind(jobs.iter().map(|job| job.sequence.slice().number().cast_signed()).collect::<Vec<_>>())?,
            self.bind(jobs.iter().map(|job| job.sequence.aggregate_type.as_str()).collect::<Vec<_>>())?,
            self.bind(jobs.iter().map(|job| job.sequence.id.as_str()).collect::<Vec<_>>())?,
            self.bind(numbers(jobs, |job| to_sql(job.version.0)))?,
            self.bind(subjects)?,
            self.bind(jobs.iter().map(|job| job.state_columns().0).collect::<Vec<_>>())?,
            self.bind(jobs.iter().map(|job| job.state_columns().1).collect::<Vec<_>>())?,
            self.bind(attempts)?,
            self.bind(numbers(jobs, |job| i64::from(job.attempts_allowed)))?,
            self.bind(jobs.iter().map(|job| job.last_error()).collect::<Vec<_>>())?,
            self.bind(jobs.iter().map(|job| job.payload.as_deref()).collect::<Vec<_>>())?,
        ];
        let sql = format!(
            "INSERT INTO job (consumer, position, part, slice, aggregate_type, aggregate_id, version, subject, state,
                due, attempts, attempts_allowed, last_error, payload)
             SELECT {consumer}, one.* FROM fence, unnest({columns}) AS one
             ON CONFLICT (consumer, position, part) DO UPDATE SET
                slice = excluded.slice, aggregate_type = excluded.aggregate_type,
                aggregate_id = excluded.aggregate_id, version = excluded.version, subject = excluded.subject,
                state = excluded.state, due = excluded.due, attempts = excluded.attempts,
                attempts_allowed = excluded.attempts_allowed, last_error = excluded.last_error,
                payload = excluded.payload",
            columns = columns.join(", ")
        );
        self.add("putting", &sql);
        Ok(())
    }

    fn remove(&mut self, consumer: &str, ids: &[JobId]) -> Result<(), Error> {
        let positions = self.bind(numbers(ids, |id| to_sql(id.position.0)))?;
        let parts = self.bind(numbers(ids, |id| id.part))?;
        // The positions find the rows in the key's index, and the pairs are exact. `IS TRUE` keeps the planner from
        // making a join of them, which could read all jobs of the consumer.
        let sql = format!(
            "DELETE FROM job WHERE consumer = {consumer} AND position = ANY({positions})
                AND ((position, part) IN (SELECT one.* FROM unnest({positions}, {parts}) AS one)) IS TRUE
                AND EXISTS (SELECT FROM fence)"
        );
        self.add("removing", &sql);
        Ok(())
    }

    fn set_timers(&mut self, timers: &[&TimerRow]) -> Result<(), Error> {
        let schedules = timers.iter().map(|timer| encoded(&timer.schedule)).collect::<Result<Vec<_>, _>>()?;
        let aggregates = || timers.iter().map(|timer| &timer.place.aggregate);
        let columns = [
            self.bind(aggregates().map(|aggregate| aggregate.aggregate_type.as_str()).collect::<Vec<_>>())?,
            self.bind(aggregates().map(|aggregate| aggregate.id.as_str()).collect::<Vec<_>>())?,
            self.bind(timers.iter().map(|timer| timer.place.name.as_str()).collect::<Vec<_>>())?,
            self.bind(aggregates().map(|aggregate| aggregate.slice().number().cast_signed()).collect::<Vec<_>>())?,
            self.bind(numbers(timers, |timer| microseconds(timer.place.due)))?,
            self.bind(numbers(timers, |timer| to_sql(timer.position.0)))?,
            self.bind(numbers(timers, |timer| to_sql(timer.set_at.0)))?,
            self.bind(schedules)?,
            self.bind(timers.iter().map(|timer| &timer.payload[..]).collect::<Vec<_>>())?,
        ];
        let sql = format!(
            "INSERT INTO timer (aggregate_type, aggregate_id, name, slice, due, position, set_at, schedule, command)
             SELECT one.* FROM fence, unnest({columns}) AS one
             ON CONFLICT (aggregate_id, aggregate_type, name) DO UPDATE SET
                due = excluded.due, position = excluded.position, set_at = excluded.set_at,
                schedule = excluded.schedule, command = excluded.command",
            columns = columns.join(", ")
        );
        self.add("setting", &sql);
        Ok(())
    }

    fn remove_timers(&mut self, timers: &[(AggregateRef, TimerName)]) -> Result<(), Error> {
        let types = self.bind(timers.iter().map(|(of, _)| of.aggregate_type.as_str()).collect::<Vec<_>>())?;
        let ids = self.bind(timers.iter().map(|(of, _)| of.id.as_str()).collect::<Vec<_>>())?;
        let names = self.bind(timers.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>())?;
        // As with jobs: the ids find the rows.
        let sql = format!(
            "DELETE FROM timer WHERE aggregate_id = ANY({ids}) AND ((aggregate_type, aggregate_id, name) IN
                (SELECT one.* FROM unnest({types}, {ids}, {names}) AS one)) IS TRUE AND EXISTS (SELECT FROM fence)"
        );
        self.add("unsetting", &sql);
        Ok(())
    }
}

/// See [`QueueStore::commit`](crate::QueueStore::commit).
pub(super) fn commit(consumer: &ConsumerName, changes: &Changes) -> Result<Write, Error> {
    let net = NetChanges::of(changes);
    let mut write = Write::default();
    let consumer = &format!("{}::text", write.bind(consumer.as_str())?);
    // The name is there or not: nothing else is in the row.
    let know = format!("INSERT INTO consumer (name) SELECT {consumer} FROM fence ON CONFLICT (name) DO NOTHING");
    write.add("knowing", &know);
    if !net.progress.is_empty() {
        write.move_on(consumer, &net.progress)?;
    }
    if !net.kept_shards.is_empty() {
        write.forget_shards(consumer, net.kept_shards.into_iter())?;
    }
    if !net.done.is_empty() {
        write.do_above_low(consumer, &net.done)?;
    }
    if !net.forget_done.is_empty() {
        write.forget_done(consumer, net.forget_done)?;
    }
    if !net.put.is_empty() {
        write.put(consumer, &net.put)?;
    }
    if !net.remove.is_empty() {
        write.remove(consumer, net.remove)?;
    }
    if !net.set_timers.is_empty() {
        write.set_timers(&net.set_timers)?;
    }
    if !net.remove_timers.is_empty() {
        write.remove_timers(net.remove_timers)?;
    }
    Ok(write)
}

/// See [`QueueStore::set_switch`](crate::QueueStore::set_switch).
pub(super) fn switch(consumer: &ConsumerName, switch: Switch) -> Result<Write, Error> {
    let mut write = Write::default();
    let consumer = write.bind(consumer.as_str())?;
    let (paused, disabled) = (write.bind(switch.paused)?, write.bind(switch.disabled)?);
    let sql = format!(
        "INSERT INTO switch (consumer, paused, disabled)
         SELECT {consumer}::text, {paused}::boolean, {disabled}::boolean FROM fence
         ON CONFLICT (consumer) DO UPDATE SET paused = excluded.paused, disabled = excluded.disabled"
    );
    write.add("switching", &sql);
    Ok(write)
}

/// See [`QueueStore::forget`](crate::QueueStore::forget).
pub(super) fn forget(consumer: &ConsumerName) -> Result<Write, Error> {
    let mut write = Write::default();
    let consumer = write.bind(consumer.as_str())?;
    for (table, column) in OF_CONSUMER {
        let sql = format!("DELETE FROM {table} WHERE {column} = {consumer}::text AND EXISTS (SELECT FROM fence)");
        write.add(&format!("forgetting_{table}"), &sql);
    }
    Ok(write)
}

/// See [`QueueStore::set_setting`](crate::QueueStore::set_setting).
pub(super) fn setting(name: &str, value: Option<&[u8]>) -> Result<Write, Error> {
    let mut write = Write::default();
    let name = write.bind(name)?;
    let sql = match value {
        Some(value) => format!(
            "INSERT INTO setting (name, value) SELECT {name}::text, {}::bytea FROM fence
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            write.bind(value)?
        ),
        None => format!("DELETE FROM setting WHERE name = {name}::text AND EXISTS (SELECT FROM fence)"),
    };
    write.add("setting_one", &sql);
    Ok(write)
}

/// A column of numbers.
fn numbers<T>(rows: &[T], number: impl Fn(&T) -> i64) -> Vec<i64> {
    rows.iter().map(number).collect()
}

fn positions<'p>(positions: impl IntoIterator<Item = &'p Position>) -> Vec<i64> {
    positions.into_iter().map(|position| to_sql(position.0)).collect()
}

/// A text that is only displayed, without NUL, which PostgreSQL does not allow.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
