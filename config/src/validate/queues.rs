//! The rules of what runs beside commands: messages, queues, receivers, hosting.

use super::{Violation, at_most, some_time, within};
use crate::{Config, HostingAdapter};

/// A worker that waits costs a task. More of them than this are no pool.
const WORKERS_MAX: usize = 10_000;

/// The store keeps the error of each attempt.
const TRIES_MAX: u32 = 1000;

/// The keys of one queue, for messages.
pub(super) struct QueueKeys {
    workers_min: &'static str,
    workers_max: &'static str,
    scale_up_above: &'static str,
    scale_down_below: &'static str,
    tries: &'static str,
    pub(super) backoff_min: &'static str,
    pub(super) backoff_max: &'static str,
    pub(super) timeout: &'static str,
}

macro_rules! queue_keys {
    ($name:literal) => {
        QueueKeys {
            workers_min: concat!("queues.", $name, ".workers_min"),
            workers_max: concat!("queues.", $name, ".workers_max"),
            scale_up_above: concat!("queues.", $name, ".scale_up_above"),
            scale_down_below: concat!("queues.", $name, ".scale_down_below"),
            tries: concat!("queues.", $name, ".tries"),
            backoff_min: concat!("queues.", $name, ".backoff_min"),
            backoff_max: concat!("queues.", $name, ".backoff_max"),
            timeout: concat!("queues.", $name, ".timeout"),
        }
    };
}

/// In the order of [`Queues::named`](crate::Queues::named).
pub(super) const QUEUE_KEYS: [QueueKeys; 4] =
    [queue_keys!("default"), queue_keys!("projections"), queue_keys!("modules"), queue_keys!("commands")];

impl Config {
    pub(super) fn validate_queues(&self) -> Result<(), Violation> {
        let messages = &self.messages;
        within("messages.in_flight", messages.in_flight.get(), 1, WORKERS_MAX)?;
        within("messages.tries", messages.tries.get(), 1, TRIES_MAX)?;
        some_time("messages.timeout", messages.timeout)?;
        some_time("messages.backoff_min", messages.backoff_min)?;
        at_most(("messages.backoff_min", messages.backoff_min), ("messages.backoff_max", messages.backoff_max))?;
        for ((_, queue), keys) in self.queues.named().into_iter().zip(&QUEUE_KEYS) {
            within(keys.workers_max, queue.workers_max.get(), 1, WORKERS_MAX)?;
            at_most((keys.workers_min, queue.workers_min), (keys.workers_max, queue.workers_max))?;
            at_most((keys.scale_down_below, queue.scale_down_below), (keys.scale_up_above, queue.scale_up_above))?;
            within(keys.tries, queue.tries.get(), 1, TRIES_MAX)?;
            some_time(keys.timeout, queue.timeout)?;
            some_time(keys.backoff_min, queue.backoff_min)?;
            at_most((keys.backoff_min, queue.backoff_min), (keys.backoff_max, queue.backoff_max))?;
        }
        Ok(())
    }

    pub(super) fn validate_outside(&self) -> Result<(), Violation> {
        some_time("webhooks.timeout", self.webhooks.timeout)?;
        within("webhooks.tries", self.webhooks.tries.get(), 1, TRIES_MAX)?;
        if !self.nats.has_valid_subject() {
            let expected = "words of letters, digits, dashes and underscores, separated by dots".to_owned();
            return Err(Violation { key: "nats.stream_subject", expected, other: None });
        }
        Ok(())
    }

    pub(super) fn validate_hosting(&self) -> Result<(), Violation> {
        let hosting = &self.hosting;
        let violation = |key, expected: &str| Err(Violation { key, expected: expected.to_owned(), other: None });
        if hosting.adapter == HostingAdapter::Command && hosting.command.is_empty() {
            return violation("hosting.command", "a program and its arguments, because hosting.adapter is \"command\"");
        }
        if hosting.smtp_url.get().is_some() && hosting.sender.is_empty() {
            return violation("hosting.sender", "an e-mail address, because hosting.smtp_url is set");
        }
        some_time("hosting.command_timeout", hosting.command_timeout)
    }
}
