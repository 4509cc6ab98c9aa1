//! What operators see of consumers and queues.

use dormouse_kernel::Position;

use crate::consumer::{BreakerState, ConsumerState};
use crate::consumer_name::ConsumerName;
use crate::store::JobCounts;

/// A consumer, and what it does now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerInfo {
    /// Its name.
    pub name: ConsumerName,
    /// What sort of consumer it is.
    pub kind: ConsumerKind,
    /// The queue whose workers run its jobs.
    pub queue: &'static str,
    /// The aggregate types whose events it gets. Empty: all.
    pub sources: Vec<&'static str>,
    /// Whether it runs.
    pub state: ConsumerState,
    /// The position up to which it has read the log.
    pub position: Position,
    /// How many events of the log are behind that position, whether or not it wants them.
    pub lag: u64,
    /// Jobs in memory that wait.
    pub ready: usize,
    /// Jobs that run.
    pub running: usize,
    /// Its circuit breaker, if it has one.
    pub breaker: Option<BreakerState>,
    /// Its stored jobs.
    pub jobs: JobCounts,
}

/// What the names of the consumers of webhooks begin with.
pub(crate) const WEBHOOKS: &str = "webhook/";

/// A sort of consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsumerKind {
    /// It delivers what aggregates send.
    Messages,
    /// It carries asynchronous commands out.
    Operations,
    /// It keeps and fires timers.
    Timers,
    /// A [`Reactor`](crate::Reactor).
    Reactor,
    /// A [`Handler`](crate::Handler).
    Handler,
    /// A publisher that sends events to a receiver of webhooks.
    Webhook,
    /// Any other [publisher](crate::Publish).
    Publisher,
}

impl ConsumerKind {
    /// The kind of a publisher, by its name: that of a webhook begins with `webhook/`.
    pub(crate) fn of_publisher(name: &str) -> Self {
        if name.starts_with(WEBHOOKS) { Self::Webhook } else { Self::Publisher }
    }

    /// Whether such a consumer can be added and removed while messaging runs.
    pub(crate) const fn is_publisher(self) -> bool {
        matches!(self, Self::Webhook | Self::Publisher)
    }

    /// Failures of different sequences have a common cause: the outside is away.
    pub(crate) const fn has_breaker(self) -> bool {
        matches!(self, Self::Handler | Self::Webhook)
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Operations => "operations",
            Self::Timers => "timers",
            Self::Reactor => "reactor",
            Self::Handler => "handler",
            Self::Webhook => "webhook",
            Self::Publisher => "publisher",
        }
    }
}

/// A queue, and what it does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueInfo {
    /// Its name.
    pub name: &'static str,
    /// What waits: jobs in memory that wait for a worker or for an earlier job of their sequence, and events that the
    /// queue's consumers have not read yet, whether or not they want them.
    pub depth: u64,
    /// Its workers now.
    pub workers: usize,
    /// Workers that have a job.
    pub running: usize,
}
