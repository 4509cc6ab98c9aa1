//! What a handler knows of its job besides the event.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dormouse_kernel::{AddressedCommand, Aggregate, EventId, RecordedEvent, Refusal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Failure;
use crate::bus::{CommandBus, Delivered, Delivery, Origin, derived_key};
use crate::consumer::{Attempt, AttemptError};

/// One attempt at the job of a handler for one event.
pub struct Job {
    /// The name of the handler or of the publisher.
    handler: Cow<'static, str>,
    event_id: EventId,
    key: String,
    /// The place of the event among those that the stored event decodes to.
    part: usize,
    attempt: u32,
    may_be_repeated: bool,
    deadline: Instant,
    cancelled: CancellationToken,
    origin: Origin,
    bus: Arc<dyn CommandBus>,
    /// How many commands this attempt has sent.
    sent: AtomicUsize,
}

/// The outcome of a command that a handler sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "the aggregate may have refused the command"]
pub enum Sent {
    /// The aggregate has accepted the command, and its events are durable. Or it has accepted the command that an earlier
    /// attempt sent in its place, with a time that it measured, for example: that one stands.
    Accepted,
    /// The domain has refused it.
    Refused(Refusal),
}

impl Job {
    pub(crate) fn new(
        handler: Cow<'static, str>,
        attempt: &Attempt,
        event: &RecordedEvent,
        bus: Arc<dyn CommandBus>,
    ) -> Result<Self, AttemptError> {
        let metadata = event.metadata().map_err(|error| AttemptError::Failed(error.to_string()))?;
        Ok(Self {
            handler,
            event_id: metadata.event_id,
            key: String::new(),
            part: 0,
            attempt: attempt.number,
            may_be_repeated: attempt.may_be_repeated,
            deadline: attempt.deadline,
            cancelled: attempt.cancelled.clone(),
            origin: Origin::of(&metadata),
            bus,
            sent: AtomicUsize::new(0),
        })
    }

    /// The next event of those that the stored event decodes to.
    pub(crate) fn begin_part(&mut self, part: usize) {
        self.part = part;
        let end = if part == 0 { String::new() } else { format!(".{part}") };
        self.key = format!("{}-{}{end}", self.handler, self.event_id.0.simple());
        self.sent = AtomicUsize::new(0);
    }

    /// The key of the job: visible ASCII, the same at each attempt, and different for each handler and event. Pass it on
    /// as the idempotency key of what happens outside.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The number of the attempt, from 1. After a crash, an attempt may be repeated under the same number.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// When the attempt is cut off.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// It is cancelled at the deadline, and when the process stops. Work on other threads has to watch it.
    #[must_use]
    pub const fn cancelled(&self) -> &CancellationToken {
        &self.cancelled
    }

    /// Sends a command to the aggregate of type `B` with this id, and waits until its events are durable. The command has
    /// a key that is derived from the job's and from how many commands were sent before it, so that a repetition of the
    /// job does nothing twice if it sends the same commands in the same order.
    ///
    /// # Errors
    /// If the command could not be delivered: return the error, and the job is attempted again.
    pub async fn send<B: Aggregate>(&self, id: impl AsRef<str> + Send, command: B::Command) -> Result<Sent, Failure> {
        let ordinal = self.sent.fetch_add(1, Ordering::Relaxed);
        let kind = format!("h.{}.{}", self.handler, self.part);
        let delivery = Delivery {
            to: AddressedCommand::new::<B>(id, &command)?,
            key: derived_key(&kind, self.event_id, ordinal)?,
            is_first: !self.may_be_repeated,
            origin: self.origin.clone(),
            timer: None,
            refusal: None,
        };
        drop(command);
        match self.bus.deliver(delivery).await {
            Delivered::Accepted | Delivered::Superseded | Delivered::TimerReplaced => Ok(Sent::Accepted),
            Delivered::Refused(refusal) => Ok(Sent::Refused(refusal)),
            Delivered::Failed(reason) => Err(Failure::new(reason)),
            Delivered::NotNow(reason) => Err(Failure::not_now(reason)),
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, attempt, .. } = self;
        formatter.debug_struct("Job").field("key", key).field("attempt", attempt).finish_non_exhaustive()
    }
}
