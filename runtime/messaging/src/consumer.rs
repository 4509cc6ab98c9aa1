//! Consumers of the log: what each one does with an event, and by which rules.

mod requests;
mod sequences;
mod session;
mod status;
mod task;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dormouse_journal::LogFilter;
use dormouse_kernel::{AggregateRef, Backoff, NewEvent, RecordedEvent};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::consumer_name::ConsumerName;
use crate::store::JobRow;
use crate::worker_pool::WorkerPool;
pub(crate) use requests::Request;
pub use requests::{DeadPage, RequestError};
pub use status::{BreakerState, ConsumerState, ConsumerStatus};
pub(crate) use task::{ConsumerTask, Shared, Stop};

/// What a consumer does, without the type of its domain code.
#[async_trait]
pub(crate) trait Work: Send + Sync + 'static {
    /// Whether the consumer wants an event. It must be quick: it is asked for each event of the log.
    fn wants(&self, aggregate: &AggregateRef, event: &NewEvent) -> bool;

    /// Which events the store need not even read, when the consumer reads the log. `None`: it must read all.
    fn filter(&self) -> Option<LogFilter>;

    /// Whether an operator may give a job up that is attempted again later. Not if somebody waits for its end, and is told
    /// of a failure only by the last attempt.
    fn may_be_skipped_early(&self) -> bool {
        true
    }

    /// Does a job. A panic counts as a failure.
    async fn attempt(&self, attempt: Attempt) -> Result<(), AttemptError>;
}

/// One attempt at a job.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) subject: Subject,
    /// 1 for the first.
    pub(crate) number: u32,
    /// If it fails, the job is a dead letter.
    pub(crate) is_last: bool,
    /// The job may have been attempted before, perhaps by another process that did not say so.
    pub(crate) may_be_repeated: bool,
    /// When the attempt is cut off.
    pub(crate) deadline: Instant,
    /// Cancelled at the deadline, and when the process stops.
    pub(crate) cancelled: CancellationToken,
}

/// What a job is about.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    /// An event of the log.
    Event(Arc<RecordedEvent>),
    /// Something that stands in the job itself.
    Row(Box<JobRow>),
}

/// Why an attempt did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AttemptError {
    /// It failed. The job is attempted again after a pause, until it has failed too often.
    Failed(String),
    /// Nothing can be done now, and that is no fault of the job: the attempt does not count.
    NotNow(String),
}

/// Whether later jobs of a sequence wait behind a dead letter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// They wait until an operator has retried or skipped it.
    #[default]
    Ordered,
    /// They go on. While a job waits for another attempt, they wait nevertheless.
    Independent,
}

/// Where a consumer begins that has never run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Begin {
    /// At the beginning of the log.
    #[default]
    Beginning,
    /// After the events that exist when it starts for the first time.
    Now,
}

/// The rules of a consumer.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) order: Order,
    pub(crate) begin: Begin,
    pub(crate) pool: Arc<WorkerPool>,
    /// After this many failed attempts, a job is a dead letter.
    pub(crate) tries: u32,
    /// The pause before the next attempt.
    pub(crate) backoff: Backoff,
    /// How long an attempt may take.
    pub(crate) timeout: Duration,
    /// Failures of different sequences have a common cause: a circuit breaker spares the outside.
    pub(crate) has_breaker: bool,
    /// `false`: the consumer reads no events. All of its jobs come from the store.
    pub(crate) reads_log: bool,
}

/// A consumer that can be run.
#[derive(Clone)]
pub(crate) struct Consumer {
    pub(crate) name: ConsumerName,
    pub(crate) work: Arc<dyn Work>,
    pub(crate) settings: Settings,
}
