//! The JSON documents about listeners, queues, failed jobs and timers.

use dormouse_kernel::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// All listeners: the consumers of the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Listeners {
    /// The last event of the log.
    pub(crate) head: u64,
    pub(crate) listeners: Vec<Listener>,
}

/// The position and state of a listener.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Listener {
    pub(crate) name: String,
    pub(crate) kind: String,
    /// The queue whose workers run its jobs.
    pub(crate) queue: String,
    /// The aggregate types whose events it gets. Empty: all.
    pub(crate) sources: Vec<String>,
    pub(crate) state: String,
    /// What is wrong, if something is.
    pub(crate) reason: Option<String>,
    /// The last event that it has read, and the number of later events.
    pub(crate) position: u64,
    pub(crate) lag: u64,
    /// Jobs in memory that wait, and jobs that run.
    pub(crate) ready: usize,
    pub(crate) running: usize,
    /// `None`: it has no circuit breaker.
    pub(crate) breaker: Option<Breaker>,
    /// Its stored jobs. `None`: the store of the queues does not answer.
    pub(crate) jobs: Option<JobNumbers>,
}

/// The state of a circuit breaker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Breaker {
    pub(crate) state: String,
    /// For how long no job is started. `None`: it is not open.
    pub(crate) open_seconds: Option<f64>,
}

/// How many jobs of a listener are stored, by state.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct JobNumbers {
    /// Jobs that are attempted again.
    pub(crate) waiting: u64,
    /// Jobs that wait until earlier ones of their sequence are done.
    pub(crate) blocked: u64,
    /// Dead letters.
    pub(crate) dead: u64,
}

/// All queues.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Queues {
    pub(crate) queues: Vec<Queue>,
}

/// A queue: the workers that listeners share.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Queue {
    pub(crate) name: String,
    /// Jobs that wait for a worker, or for an earlier job of their sequence, and events that the listeners have not read.
    pub(crate) depth: u64,
    pub(crate) workers: usize,
    /// Workers that have a job.
    pub(crate) running: usize,
    /// The listeners whose jobs it runs.
    pub(crate) listeners: Vec<String>,
}

/// A page of dead letters.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FailedPage {
    pub(crate) failed: Vec<FailedJob>,
    /// How many dead letters there are on all pages.
    pub(crate) dead: u64,
    /// The address of the next page.
    pub(crate) next: Option<String>,
}

/// A job that has failed, or that waits behind one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FailedJob {
    pub(crate) listener: String,
    /// The id of the job: the position of its event, for timers with a part behind a dot.
    pub(crate) id: String,
    /// The aggregate whose event it is about. Its jobs are done one after another.
    pub(crate) sequence: String,
    /// The version of that event.
    pub(crate) version: u64,
    /// The name of the event, or of the timer.
    pub(crate) event: String,
    /// `waiting`, `blocked` or `dead`.
    pub(crate) state: String,
    /// When it is attempted again, if it waits for that.
    pub(crate) due: Option<Timestamp>,
    /// The attempts that failed, and after how many it is a dead letter.
    pub(crate) attempts: usize,
    pub(crate) attempts_allowed: u32,
    /// The error of the last attempt, and when it ended.
    pub(crate) error: Option<String>,
    pub(crate) failed_at: Option<Timestamp>,
    /// All attempts, if the request names the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failures: Option<Vec<FailedAttempt>>,
    /// The event itself, if the request names the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) content: Option<Value>,
}

/// An attempt that failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FailedAttempt {
    pub(crate) at: Timestamp,
    pub(crate) error: String,
}

/// The result of retrying or flushing a page of dead letters.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Released {
    /// How many dead letters it was done with, and how many there still are.
    pub(crate) done: usize,
    pub(crate) left: u64,
    /// The address that goes on after them. `None`: there were no more.
    pub(crate) next: Option<String>,
}

/// A page of timers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TimerPage {
    pub(crate) timers: Vec<Timer>,
    /// How many timers are set, on all pages.
    pub(crate) set: u64,
    /// The address of the next page.
    pub(crate) next: Option<String>,
}

/// A timer that is set.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Timer {
    /// When it is due next.
    pub(crate) due: Timestamp,
    pub(crate) aggregate: String,
    pub(crate) name: String,
    /// When it is due again and again. `None`: it is due once.
    pub(crate) repeats: Option<String>,
    /// The version of the event that set it.
    pub(crate) set_at: u64,
}
