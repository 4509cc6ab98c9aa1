//! The options of messaging.

use std::time::Duration;

use dormouse_config::{Config, Queue};
use dormouse_kernel::Backoff;

use crate::worker_pool::PoolLimits;

/// The options of messaging.
#[derive(Clone, Debug)]
pub struct Options {
    /// The number of shards: progress is kept for each.
    pub shards: u16,
    /// The queues of handlers, by name.
    pub queues: Vec<(&'static str, QueueOptions)>,
    /// How messages, reactors and timers are delivered.
    pub messages: QueueOptions,
    /// Listeners that start paused.
    pub paused: Vec<String>,
    /// Listeners that are disabled.
    pub disabled: Vec<String>,
}

/// The options of a queue.
#[derive(Clone, Copy, Debug)]
pub struct QueueOptions {
    /// How many jobs run at the same time.
    pub pool: PoolLimits,
    /// After this many failed attempts, a job is a dead letter.
    pub tries: u32,
    /// The pauses between attempts.
    pub backoff: Backoff,
    /// How long an attempt may take.
    pub timeout: Duration,
}

impl Options {
    /// The options that a configuration says.
    #[must_use]
    pub fn from_config(config: &Config) -> Self {
        let messages = &config.messages;
        let in_flight = messages.in_flight.get();
        let pool = PoolLimits {
            workers_min: in_flight,
            workers_max: in_flight,
            scale_up_above: usize::MAX,
            scale_down_below: 0,
        };
        let queues = &config.queues;
        Self {
            shards: u16::try_from(config.runtime.shards.get()).unwrap_or(u16::MAX),
            queues: vec![
                ("default", QueueOptions::of(&queues.default)),
                ("projections", QueueOptions::of(&queues.projections)),
                ("modules", QueueOptions::of(&queues.modules)),
                ("commands", QueueOptions::of(&queues.commands)),
            ],
            messages: QueueOptions {
                pool,
                tries: messages.tries.get(),
                backoff: Backoff { first: messages.backoff_min, longest: messages.backoff_max },
                timeout: messages.timeout,
            },
            paused: config.listeners.paused.clone(),
            disabled: config.listeners.disabled.clone(),
        }
    }
}

impl QueueOptions {
    fn of(queue: &Queue) -> Self {
        Self {
            pool: PoolLimits {
                workers_min: queue.workers_min.get(),
                workers_max: queue.workers_max.get(),
                scale_up_above: queue.scale_up_above,
                scale_down_below: queue.scale_down_below,
            },
            tries: queue.tries.get(),
            backoff: Backoff { first: queue.backoff_min, longest: queue.backoff_max },
            timeout: queue.timeout,
        }
    }
}
