//! Asynchronous commands: they are answered once they are durable, and carried out later.
//!
//! Each is an [`Operation`]. Its request is an event of the log, because of which the consumer `operations` carries the
//! command out, under the client's own key or one that is derived from the event, and tells the operation how that
//! ended. A crash at any step repeats the rest: the aggregate knows the key, and the operation knows whether it has
//! ended.

mod command;
mod ending;
mod operation;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use dormouse_journal::LogFilter;
use dormouse_kernel::{
    AddressedCommand, Aggregate, AggregateRef, CodecError, EventCodec, Metadata, NewEvent, RecordedEvent, Rejection,
};
use futures_util::FutureExt;
use tokio::time::{Instant, timeout_at};

pub use command::{Condition, RequestedCommand};
pub use ending::{Ending, FinalRefusal, Success};
pub use operation::{
    Operation, OperationCommand, OperationEvent, OperationRejection, OperationRequest, OperationStatus,
};

use crate::bus::{CarriedOut, ClientCommand, CommandBus, Delivered, Delivery, Origin, derived_key};
use crate::consumer::{Attempt, AttemptError, Subject, Work};
use crate::panic;
use crate::start_error::StartError;

/// The name of the consumer that carries asynchronous commands out.
pub(crate) const OPERATIONS: &str = "operations";

/// The queue whose workers do it.
pub(crate) const OPERATIONS_QUEUE: &str = "commands";

/// Carries asynchronous commands out.
pub(crate) struct OperationsWork {
    bus: Arc<dyn CommandBus>,
    codec: EventCodec<OperationEvent>,
}

impl OperationsWork {
    pub(crate) fn new(bus: Arc<dyn CommandBus>) -> Result<Self, StartError> {
        let codec = EventCodec::new().map_err(|source| StartError::NotAnEnum {
            consumer: OPERATIONS,
            aggregate: Operation::TYPE,
            source,
        })?;
        Ok(Self { bus, codec })
    }

    fn requested(&self, recorded: &RecordedEvent) -> Result<RequestedCommand, AttemptError> {
        let NewEvent { event_type, schema_version, payload, .. } = &recorded.event;
        let decoded = self.codec.decode(event_type, *schema_version, payload).map_err(failed)?;
        match decoded.as_slice() {
            [OperationEvent::Requested(requested)] => Ok(requested.clone()),
            _ => Err(AttemptError::Failed("the event requests no command".to_owned())),
        }
    }

    /// Carries a command out within nine tenths of the attempt's time, so that its end can be recorded in the rest.
    async fn carry_out(&self, command: ClientCommand, attempt: &Attempt) -> Result<Ending, AttemptError> {
        let now = Instant::now();
        let time = attempt.deadline.saturating_duration_since(now) * 9 / 10;
        let carried_out = AssertUnwindSafe(self.bus.carry_out(command)).catch_unwind();
        match timeout_at(now + time, carried_out).await {
            Ok(Ok(CarriedOut::Ended(ending))) => Ok(ending),
            Ok(Ok(CarriedOut::Failed(reason))) => Err(AttemptError::Failed(reason)),
            Ok(Ok(CarriedOut::NotNow(reason))) => Err(AttemptError::NotNow(reason)),
            Ok(Err(panic)) => Err(AttemptError::Failed(panic::reason(&*panic))),
            Err(_) => Err(AttemptError::Failed(format!("it took longer than {time:?}"))),
        }
    }
}

#[async_trait]
impl Work for OperationsWork {
    fn wants(&self, aggregate: &AggregateRef, event: &NewEvent) -> bool {
        aggregate.aggregate_type.as_str() == Operation::TYPE && event.event_type == OperationEvent::REQUESTED
    }

    fn filter(&self) -> Option<LogFilter> {
        let (types, events) = (vec![Operation::TYPE.to_owned()], vec![OperationEvent::REQUESTED.to_owned()]);
        Some(LogFilter { types, events })
    }

    fn may_be_skipped_early(&self) -> bool {
        false
    }

    async fn attempt(&self, attempt: Attempt) -> Result<(), AttemptError> {
        let Subject::Event(event) = &attempt.subject else { return Ok(()) };
        let requested = self.requested(event)?;
        let metadata = event.metadata().map_err(failed)?;
        let operation = OperationHandle { bus: &*self.bus, event, metadata: &metadata, attempt: &attempt };
        if attempt.may_be_repeated && operation.has_ended().await? {
            return Ok(());
        }
        let RequestedCommand { to, key, content, condition, only_own } = requested;
        let command = ClientCommand {
            to,
            // The client may have sent its key in another request.
            is_first: key.is_none() && !attempt.may_be_repeated,
            key: match key {
                Some(key) => key,
                None => derived_key("o", metadata.event_id, 0).map_err(failed)?,
            },
            content,
            condition,
            only_own,
            origin: Origin::of(&metadata),
        };
        match self.carry_out(command, &attempt).await {
            Ok(ending) => match operation.finish(ending).await {
                Err(AttemptError::Failed(reason)) => {
                    let reason = format!("the command has its outcome, which cannot be recorded: {reason}");
                    Err(operation.failed(reason).await)
                }
                finished => finished,
            },
            Err(AttemptError::Failed(reason)) => Err(operation.failed(reason).await),
            Err(not_now) => Err(not_now),
        }
    }
}

/// The operation of an attempt.
struct OperationHandle<'h> {
    bus: &'h dyn CommandBus,
    event: &'h RecordedEvent,
    metadata: &'h Metadata,
    attempt: &'h Attempt,
}

impl OperationHandle<'_> {
    async fn has_ended(&self) -> Result<bool, AttemptError> {
        let number = self.attempt.number as usize;
        match self.tell("o.b", number, &OperationCommand::Begin {}).await? {
            None => Ok(false),
            Some(code) if code == OperationRejection::Ended.code() => Ok(true),
            Some(code) => Err(AttemptError::Failed(code)),
        }
    }

    async fn finish(&self, ending: Ending) -> Result<(), AttemptError> {
        self.tell("o.f", 0, &OperationCommand::Finish(ending)).await.map(|_| ())
    }

    /// The failure of this attempt. If it was the last one, the operation is told: it is dead until an operator has the
    /// command attempted again.
    async fn failed(&self, reason: String) -> AttemptError {
        if !self.attempt.is_last {
            return AttemptError::Failed(reason);
        }
        let give_up = OperationCommand::GiveUp { reason: reason.clone() };
        match self.tell("o.d", self.attempt.number as usize, &give_up).await {
            // The attempt does not count: the next one is the last one again.
            Err(AttemptError::NotNow(reason)) => AttemptError::NotNow(reason),
            Ok(_) | Err(AttemptError::Failed(_)) => AttemptError::Failed(reason),
        }
    }

    /// Sends a command to the operation. Returns the code of its refusal, if it refuses.
    async fn tell(
        &self,
        kind: &str,
        ordinal: usize,
        command: &OperationCommand,
    ) -> Result<Option<String>, AttemptError> {
        let to = AddressedCommand::new::<Operation>(&self.event.aggregate.id, command);
        let delivery = Delivery {
            to: to.map_err(|error| AttemptError::Failed(error.to_string()))?,
            key: derived_key(kind, self.metadata.event_id, ordinal).map_err(failed)?,
            is_first: !self.attempt.may_be_repeated,
            origin: Origin::of(self.metadata),
            timer: None,
            refusal: None,
        };
        match self.bus.deliver(delivery).await {
            Delivered::Accepted | Delivered::TimerReplaced => Ok(None),
            Delivered::Refused(refusal) => Ok(Some(refusal.code)),
            Delivered::Superseded => Err(AttemptError::Failed("another command has this key".to_owned())),
            Delivered::Failed(reason) => Err(AttemptError::Failed(reason)),
            Delivered::NotNow(reason) => Err(AttemptError::NotNow(reason)),
        }
    }
}

fn failed(error: CodecError) -> AttemptError {
    AttemptError::Failed(error.to_string())
}
