//! Timers whose first attempt failed: jobs like those of other consumers.

use std::sync::Arc;

use async_trait::async_trait;
use dormouse_journal::LogFilter;
use dormouse_kernel::{AggregateRef, CodecError, NewEvent, Schedule, TimerName, Timestamp, decode, encode};
use serde::{Deserialize, Serialize};

use super::delivery;
use crate::bus::{CommandBus, Delivered};
use crate::consumer::{Attempt, AttemptError, Subject, Work};
use crate::store::{FailedAttempt, JobId, JobRow, JobState, TimerPlace, TimerRow};

/// What a job has of its timer.
#[derive(Serialize, Deserialize)]
struct FailedTimer {
    name: TimerName,
    due: Timestamp,
    schedule: Schedule,
    timer: Vec<u8>,
}

/// The job of a timer whose first attempt failed. `ordinal` is its place among those of its command.
pub(super) fn failed_job(
    row: &TimerRow,
    ordinal: u8,
    attempt: FailedAttempt,
    state: JobState,
    attempts_allowed: u32,
) -> Result<JobRow, CodecError> {
    let TimerPlace { due, aggregate, name } = row.place.clone();
    let payload =
        encode(&FailedTimer { name: name.clone(), due, schedule: row.schedule.clone(), timer: row.payload.clone() })?;
    Ok(JobRow {
        // A recurring timer may fail at several times.
        id: JobId { position: row.position, part: due.as_microsecond().max(0) * 256 + i64::from(ordinal) },
        sequence: aggregate,
        version: row.set_at,
        subject: name.to_string(),
        state,
        attempts: vec![attempt],
        attempts_allowed,
        payload: Some(payload),
    })
}

fn timer_of(row: &JobRow) -> Result<TimerRow, CodecError> {
    let FailedTimer { name, due, schedule, timer } = decode(row.payload.as_deref().unwrap_or_default())?;
    Ok(TimerRow {
        place: TimerPlace { due, aggregate: row.sequence.clone(), name },
        position: row.id.position,
        set_at: row.version,
        schedule,
        payload: timer,
    })
}

/// Attempts timers again that have failed.
pub(crate) struct RetryWork {
    pub(crate) bus: Arc<dyn CommandBus>,
}

#[async_trait]
impl Work for RetryWork {
    fn wants(&self, _: &AggregateRef, _: &NewEvent) -> bool {
        false
    }

    fn filter(&self) -> Option<LogFilter> {
        None
    }

    async fn attempt(&self, attempt: Attempt) -> Result<(), AttemptError> {
        let Subject::Row(row) = &attempt.subject else { return Ok(()) };
        let failed = |error: CodecError| AttemptError::Failed(error.to_string());
        let (delivery, _) = delivery(&timer_of(row).map_err(failed)?).map_err(failed)?;
        outcome(self.bus.deliver(delivery).await)
    }
}

/// What the outcome of a timer's command means for the timer. A refusal is an outcome.
pub(super) fn outcome(delivered: Delivered) -> Result<(), AttemptError> {
    match delivered {
        Delivered::Accepted | Delivered::TimerReplaced | Delivered::Refused(_) => Ok(()),
        Delivered::Superseded => Err(AttemptError::Failed("another command has this key".to_owned())),
        Delivered::Failed(reason) => Err(AttemptError::Failed(reason)),
        Delivered::NotNow(reason) => Err(AttemptError::NotNow(reason)),
    }
}
