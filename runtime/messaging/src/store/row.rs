//! Rows as both databases have them. A row that does not hold what was written is damage.

use std::collections::HashMap;

use dormouse_kernel::{
    AggregateId, AggregateRef, AggregateType, Position, TimerName, Timestamp, Version, decode, encode,
};
use dormouse_storage::{Error as Problem, from_sql};
use serde::Serialize;

use super::{
    Error, JobCounts, JobId, JobRow, JobState, JobStateName, Progress, ShardProgress, Switch, TimerPlace, TimerRow,
};
use crate::consumer_name::ConsumerName;

/// The columns of a job in the order of [`JobColumns`].
pub(super) const JOB: &str = "position, part, aggregate_type, aggregate_id, version, subject, state, due, attempts, \
                              attempts_allowed, payload";

pub(super) type JobColumns =
    (i64, i64, String, String, i64, String, String, Option<i64>, Vec<u8>, i64, Option<Vec<u8>>);

/// The columns of a timer in the order of [`TimerColumns`].
pub(super) const TIMER: &str = "due, aggregate_type, aggregate_id, name, position, set_at, schedule, command";

pub(super) type TimerColumns = (i64, String, String, String, i64, i64, Vec<u8>, Vec<u8>);

/// Shards, shard and low.
pub(super) type ProgressColumns = (i64, i64, i64);

/// A place before the first job, even before one whose numbers are damaged.
pub(super) const BEFORE_JOBS: (i64, i64) = (i64::MIN, i64::MIN);

pub(super) fn job(columns: JobColumns) -> Result<JobRow, Problem> {
    let (at, part, aggregate_type, id, version, subject, state, due, attempts, allowed, payload) = columns;
    // Only the check: a part has the type that the database has.
    let _not_negative: u64 = from_sql(part, "job.part")?;
    let state = match (state.as_str(), due) {
        ("waiting", Some(due)) => JobState::Waiting { due: time(due, "job.due")? },
        ("blocked", None) => JobState::Blocked,
        ("dead", None) => JobState::Dead,
        (state, due) => return Err(damage(format!("the column job.state contains {state:?}, and job.due {due:?}"))),
    };
    Ok(JobRow {
        id: JobId { position: Position(from_sql(at, "job.position")?), part },
        sequence: aggregate(&aggregate_type, &id)?,
        version: Version(from_sql(version, "job.version")?),
        subject,
        state,
        attempts: decode(&attempts).map_err(|error| damage(format!("the column job.attempts: {error}")))?,
        attempts_allowed: from_sql(allowed, "job.attempts_allowed")?,
        payload,
    })
}

pub(super) fn timer(columns: TimerColumns) -> Result<TimerRow, Problem> {
    let (due, aggregate_type, id, name, position, set_at, schedule, command) = columns;
    Ok(TimerRow {
        place: TimerPlace {
            due: time(due, "timer.due")?,
            aggregate: aggregate(&aggregate_type, &id)?,
            name: TimerName::new(name).map_err(damage)?,
        },
        position: Position(from_sql(position, "timer.position")?),
        set_at: Version(from_sql(set_at, "timer.set_at")?),
        schedule: decode(&schedule).map_err(|error| damage(format!("the column timer.schedule: {error}")))?,
        payload: command,
    })
}

/// The progress of a consumer. `None` if it has never committed.
pub(super) fn progress(
    is_known: bool,
    shards: Vec<ProgressColumns>,
    done: Vec<i64>,
) -> Result<Option<Progress>, Problem> {
    let shards = shards.into_iter().map(|(shards, shard, low)| {
        Ok(ShardProgress {
            shard: from_sql(shard, "progress.shard")?,
            shards: from_sql(shards, "progress.shards")?,
            low: Position(from_sql(low, "progress.low")?),
        })
    });
    let shards = shards.collect::<Result<_, Problem>>()?;
    let done = done.into_iter().map(|position| Ok(Position(from_sql(position, "done.position")?)));
    let done = done.collect::<Result<_, Problem>>()?;
    Ok(is_known.then_some(Progress { shards, done }))
}

/// The counts of rows of consumer, state and count.
pub(super) fn counts(rows: Vec<(String, String, i64)>) -> Result<HashMap<ConsumerName, JobCounts>, Problem> {
    let mut counts: HashMap<ConsumerName, JobCounts> = HashMap::new();
    for (name, state, count) in rows {
        let of_consumer = counts.entry(consumer(&name)?).or_default();
        let of_state = match state.as_str() {
            "waiting" => &mut of_consumer.waiting,
            "blocked" => &mut of_consumer.blocked,
            "dead" => &mut of_consumer.dead,
            _ => return Err(damage(format!("the column job.state contains {state:?}"))),
        };
        *of_state = from_sql(count, "count")?;
    }
    Ok(counts)
}

/// The switches of rows of consumer, paused and disabled.
pub(super) fn switches(rows: Vec<(String, bool, bool)>) -> Result<HashMap<ConsumerName, Switch>, Problem> {
    rows.into_iter().map(|(name, paused, disabled)| Ok((consumer(&name)?, Switch { paused, disabled }))).collect()
}

pub(super) fn aggregate(aggregate_type: &str, id: &str) -> Result<AggregateRef, Problem> {
    let aggregate_type = AggregateType::new(aggregate_type).map_err(damage)?;
    Ok(AggregateRef::new(aggregate_type, AggregateId::new(id).map_err(damage)?))
}

pub(super) fn time(microseconds: i64, column: &'static str) -> Result<Timestamp, Problem> {
    Timestamp::from_microsecond(microseconds)
        .map_err(|_| damage(format!("the column {column} contains {microseconds}, which is no time")))
}

/// A time as databases have it: microseconds since 1970-01-01 UTC.
///
/// Jiff makes no time of the microseconds within the last second that it knows, so they become its first one. Timers
/// that are never due are there.
pub(super) fn microseconds(time: Timestamp) -> i64 {
    let microseconds = time.as_microsecond();
    if Timestamp::from_microsecond(microseconds).is_ok() { microseconds } else { time.as_second() * 1_000_000 }
}

/// A time as it is read from a database.
pub(super) fn to_microsecond(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(microseconds(time)).unwrap_or(time)
}

pub(super) const fn state(name: JobStateName) -> &'static str {
    match name {
        JobStateName::Waiting => "waiting",
        JobStateName::Blocked => "blocked",
        JobStateName::Dead => "dead",
    }
}

impl JobRow {
    /// The state and the due time as databases have them.
    pub(super) fn state_columns(&self) -> (&'static str, Option<i64>) {
        let due = match self.state {
            JobState::Waiting { due } => Some(microseconds(due)),
            JobState::Blocked | JobState::Dead => None,
        };
        (state(self.state.name()), due)
    }

    /// The last error, for people who read the table. PostgreSQL allows no NUL in a text.
    pub(super) fn last_error(&self) -> Option<String> {
        self.attempts.last().map(|attempt| attempt.error.replace('\0', "\u{fffd}"))
    }
}

/// A value as MessagePack.
pub(super) fn encoded<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    encode(value).map_err(|error| Error::Storage(Problem::Unavailable(error.to_string())))
}

fn consumer(name: &str) -> Result<ConsumerName, Problem> {
    ConsumerName::new(name).map_err(damage)
}

fn damage(reason: impl std::fmt::Display) -> Problem {
    Problem::Damaged(reason.to_string())
}
