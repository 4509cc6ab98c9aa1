//! What operators ask of a running consumer.

use tokio::sync::oneshot;

use crate::store::{self, JobId};

/// A request of an operator, or of another task.
#[derive(Debug)]
pub(crate) enum Request {
    /// Attempt a dead letter again.
    Retry(JobId, oneshot::Sender<Result<(), RequestError>>),
    /// Attempt this many dead letters after a job again, the oldest first.
    RetryDead(Option<JobId>, usize, oneshot::Sender<Result<DeadPage, RequestError>>),
    /// Give a job up that has failed.
    Skip(JobId, oneshot::Sender<Result<(), RequestError>>),
    /// Give this many dead letters after a job up, the oldest first.
    SkipDead(Option<JobId>, usize, oneshot::Sender<Result<DeadPage, RequestError>>),
    /// Jobs were stored that the consumer does not know of.
    JobsAdded(u64),
}

/// The dead letters that one request was carried out on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeadPage {
    /// How many there were.
    pub count: usize,
    /// The last of them. The next request goes on after it, so that none is retried twice.
    pub last: Option<JobId>,
}

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// There is no such consumer.
    #[error("there is no consumer {0:?}")]
    NoConsumer(String),
    /// The application itself has the consumer.
    #[error("the application has the consumer {0:?}: it cannot be removed")]
    NotRemovable(String),
    /// The consumer has no such job.
    #[error("the consumer has no such failed job")]
    NoJob,
    /// The job is in a state in which this cannot be done.
    #[error("the job is {state}: only a dead letter can be {what}")]
    WrongState {
        /// The state.
        state: &'static str,
        /// What was asked for.
        what: &'static str,
    },
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The consumer does not answer, because it is stopping or has failed.
    #[error("the consumer does not run")]
    NotRunning,
}
