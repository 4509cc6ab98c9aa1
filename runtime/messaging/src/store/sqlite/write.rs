//! The statements of a commit: each takes many rows, and only those are sent that change something.

use dormouse_kernel::{AggregateRef, Position, TimerName};
use dormouse_storage::to_sql;

use super::statement::{Statement, json_numbers, prepared, values};
use crate::consumer_name::ConsumerName;
use crate::store::net::NetChanges;
use crate::store::row::{encoded, microseconds};
use crate::store::{Changes, Error, JobId, JobRow, ShardProgress, Switch, TimerRow};

/// The name is there or not: nothing else is in the row.
const KNOW: &str = "INSERT INTO consumer (name) VALUES (?1) ON CONFLICT (name) DO NOTHING";

const FORGET_SHARDS: &str = "
    DELETE FROM progress WHERE consumer = ?1 AND shards NOT IN (SELECT value FROM json_each(?2))";

/// A position is there or not: nothing else is in the row.
const DO: &str = "
    INSERT INTO done (consumer, position) SELECT ?1, value FROM json_each(?2) WHERE true
    ON CONFLICT (consumer, position) DO NOTHING";

pub(super) const FORGET_DONE: &str = "
    DELETE FROM done WHERE consumer = ?1 AND position IN (SELECT value FROM json_each(?2))";

pub(super) const REMOVE: &str = "
    DELETE FROM job WHERE consumer = ?1
        AND (position, part) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?2))";

const SWITCH: &str = "
    INSERT INTO switch (consumer, paused, disabled) VALUES (?1, ?2, ?3)
    ON CONFLICT (consumer) DO UPDATE SET paused = excluded.paused, disabled = excluded.disabled";

/// The tables that have rows of a consumer, with the column of its name.
const OF_CONSUMER: [(&str, &str); 5] =
    [("consumer", "name"), ("progress", "consumer"), ("done", "consumer"), ("job", "consumer"), ("switch", "consumer")];

const SET: &str = "
    INSERT INTO setting (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";

const UNSET: &str = "DELETE FROM setting WHERE name = ?1";

/// See [`QueueStore::commit`](crate::QueueStore::commit).
pub(super) fn commit(consumer: &ConsumerName, changes: &Changes) -> Result<Vec<Statement>, Error> {
    let net = NetChanges::of(changes);
    let of_consumer = |sql: &'static str| Statement::new(sql).with(consumer.as_str());
    let mut statements = vec![of_consumer(KNOW)?];
    if !net.kept_shards.is_empty() {
        let kept = json_numbers(net.kept_shards.iter().map(|shards| i64::from(*shards)));
        statements.push(of_consumer(FORGET_SHARDS)?.with(kept)?);
    }
    for rows in net.progress.chunks(prepared(net.progress.len())) {
        statements.push(move_on(consumer, rows)?);
    }
    if !net.done.is_empty() {
        statements.push(of_consumer(DO)?.with(positions(&net.done))?);
    }
    if !net.forget_done.is_empty() {
        statements.push(of_consumer(FORGET_DONE)?.with(positions(net.forget_done))?);
    }
    for jobs in net.put.chunks(prepared(net.put.len())) {
        statements.push(put(consumer, jobs)?);
    }
    if !net.remove.is_empty() {
        statements.push(of_consumer(REMOVE)?.with(ids(net.remove))?);
    }
    for timers in net.set_timers.chunks(prepared(net.set_timers.len())) {
        statements.push(set_timers(timers)?);
    }
    for timers in net.remove_timers.chunks(prepared(net.remove_timers.len())) {
        statements.push(remove_timers(timers)?);
    }
    Ok(statements)
}

/// See [`QueueStore::set_switch`](crate::QueueStore::set_switch).
pub(super) fn switch(consumer: &ConsumerName, switch: Switch) -> Result<Vec<Statement>, Error> {
    let Switch { paused, disabled } = switch;
    Ok(vec![Statement::new(SWITCH).with(consumer.as_str())?.with(i64::from(paused))?.with(i64::from(disabled))?])
}

/// See [`QueueStore::forget`](crate::QueueStore::forget).
pub(super) fn forget(consumer: &ConsumerName) -> Result<Vec<Statement>, Error> {
    let delete =
        |(table, column)| Statement::new(format!("DELETE FROM {table} WHERE {column} = ?1")).with(consumer.as_str());
    OF_CONSUMER.into_iter().map(delete).collect()
}

/// See [`QueueStore::set_setting`](crate::QueueStore::set_setting).
pub(super) fn setting(name: &str, value: Option<&[u8]>) -> Result<Vec<Statement>, Error> {
    Ok(vec![match value {
        Some(value) => Statement::new(SET).with(name)?.with(value)?,
        None => Statement::new(UNSET).with(name)?,
    }])
}

fn move_on(consumer: &ConsumerName, rows: &[&ShardProgress]) -> Result<Statement, Error> {
    let sql = format!(
        "INSERT INTO progress (consumer, shards, shard, low)
         SELECT ?, * FROM ({}) WHERE column1 IS NOT NULL
         ON CONFLICT (consumer, shards, shard) DO UPDATE SET low = excluded.low",
        values(rows.len(), 3)
    );
    let mut statement = Statement::new(sql).with(consumer.as_str())?;
    for row in rows {
        statement.bind(i64::from(row.shards))?;
        statement.bind(i64::from(row.shard))?;
        statement.bind(to_sql(row.low.0))?;
    }
    Ok(statement)
}

fn put(consumer: &ConsumerName, jobs: &[&JobRow]) -> Result<Statement, Error> {
    let sql = format!(
        "INSERT INTO job (consumer, position, part, slice, aggregate_type, aggregate_id, version, subject, state, due,
            attempts, attempts_allowed, last_error, payload)
         SELECT ?, * FROM ({}) WHERE column1 IS NOT NULL
         ON CONFLICT (consumer, position, part) DO UPDATE SET
            slice = excluded.slice, aggregate_type = excluded.aggregate_type, aggregate_id = excluded.aggregate_id,
            version = excluded.version, subject = excluded.subject, state = excluded.state, due = excluded.due,
            attempts = excluded.attempts, attempts_allowed = excluded.attempts_allowed,
            last_error = excluded.last_error, payload = excluded.payload",
        values(jobs.len(), 13)
    );
    let mut statement = Statement::new(sql).with(consumer.as_str())?;
    for job in jobs {
        let (state, due) = job.state_columns();
        statement.bind(to_sql(job.id.position.0))?;
        statement.bind(job.id.part)?;
        statement.bind(i64::from(job.sequence.slice().number()))?;
        statement.bind(job.sequence.aggregate_type.shared())?;
        statement.bind(job.sequence.id.shared())?;
        statement.bind(to_sql(job.version.0))?;
        statement.bind(job.subject.as_str())?;
        statement.bind(state)?;
        statement.bind(due)?;
        statement.bind(encoded(&job.attempts)?)?;
        statement.bind(i64::from(job.attempts_allowed))?;
        statement.bind(job.last_error())?;
        statement.bind(job.payload.as_deref())?;
    }
    Ok(statement)
}

fn set_timers(timers: &[&TimerRow]) -> Result<Statement, Error> {
    let mut statement = Statement::new(format!(
        "INSERT INTO timer (aggregate_type, aggregate_id, name, slice, due, position, set_at, schedule, command)
         SELECT * FROM ({}) WHERE column1 IS NOT NULL
         ON CONFLICT (aggregate_id, aggregate_type, name) DO UPDATE SET
            due = excluded.due, position = excluded.position, set_at = excluded.set_at, schedule = excluded.schedule,
            command = excluded.command",
        values(timers.len(), 9)
    ));
    for timer in timers {
        let aggregate = &timer.place.aggregate;
        statement.bind(aggregate.aggregate_type.shared())?;
        statement.bind(aggregate.id.shared())?;
        statement.bind(timer.place.name.shared())?;
        statement.bind(i64::from(aggregate.slice().number()))?;
        statement.bind(microseconds(timer.place.due))?;
        statement.bind(to_sql(timer.position.0))?;
        statement.bind(to_sql(timer.set_at.0))?;
        statement.bind(encoded(&timer.schedule)?)?;
        statement.bind(&timer.payload[..])?;
    }
    Ok(statement)
}

fn remove_timers(timers: &[(AggregateRef, TimerName)]) -> Result<Statement, Error> {
    let mut statement = Statement::new(remove_timers_sql(timers.len()));
    for (aggregate, name) in timers {
        statement.bind(aggregate.aggregate_type.shared())?;
        statement.bind(aggregate.id.shared())?;
        statement.bind(name.shared())?;
    }
    Ok(statement)
}

pub(super) fn remove_timers_sql(timers: usize) -> String {
    format!("DELETE FROM timer WHERE (aggregate_type, aggregate_id, name) IN ({})", values(timers, 3))
}

fn positions<'p>(positions: impl IntoIterator<Item = &'p Position>) -> String {
    json_numbers(positions.into_iter().map(|position| to_sql(position.0)))
}

fn ids(ids: &[JobId]) -> String {
    let ids: Vec<String> = ids.iter().map(|id| format!("[{},{}]", to_sql(id.position.0), id.part)).collect();
    format!("[{}]", ids.join(","))
}
