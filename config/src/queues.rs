//! `[queues.*]`: the workers of handlers.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::text;

/// The queues of handlers. A handler names one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queues {
    /// Handlers that name no other queue.
    pub default: Queue,
    /// Handlers that keep copies of data up to date.
    pub projections: Queue,
    /// Handlers that pass data between modules.
    pub modules: Queue,
    /// Asynchronous commands.
    pub commands: Queue,
}

/// One queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// Fewest workers: jobs that run at the same time.
    pub workers_min: NonZeroUsize,
    /// Most workers. Raise it if jobs mostly wait for something outside.
    pub workers_max: NonZeroUsize,
    /// With more waiting jobs than this, the queue gains workers.
    pub scale_up_above: usize,
    /// With fewer waiting jobs than this, it loses workers.
    pub scale_down_below: usize,
    /// After this many failed attempts, a job is a dead letter. A handler may have a number of its own.
    pub tries: NonZeroU32,
    /// The pause before the second attempt. It doubles with each further one, up to `backoff_max`.
    #[serde(with = "text::duration")]
    pub backoff_min: Duration,
    /// Longest pause between attempts.
    #[serde(with = "text::duration")]
    pub backoff_max: Duration,
    /// Longest time of one attempt.
    #[serde(with = "text::duration")]
    pub timeout: Duration,
}

impl Queues {
    /// All queues, with their names.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, &Queue); 4] {
        let Self { default, projections, modules, commands } = self;
        [("default", default), ("projections", projections), ("modules", modules), ("commands", commands)]
    }
}
