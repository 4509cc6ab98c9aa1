//! The delivery of messages, and the consumer that delivers those of aggregates.

use std::sync::Arc;

use async_trait::async_trait;
use dormouse_journal::LogFilter;
use dormouse_kernel::{AddressedCommand, AggregateRef, Message, Metadata, NewEvent, RecordedEvent, Refusal};
use futures_util::future::try_join_all;
use tracing::{info, warn};

use crate::bus::{CommandBus, Delivered, Delivery, Origin, derived_key};
use crate::consumer::{Attempt, AttemptError, Subject, Work};
use crate::metric;

/// The name of the consumer that delivers what aggregates send.
pub(crate) const MESSAGES: &str = "messages";

/// The event because of which messages are delivered.
pub(crate) struct MessageSource<'e> {
    /// Distinguishes what else sends messages because of the same event. Part of the key.
    pub(crate) kind: &'e str,
    pub(crate) event: &'e RecordedEvent,
    /// The messages may have been delivered before.
    pub(crate) may_be_repeated: bool,
}

/// Delivers the messages of one event: those to one aggregate in order, those to several at the same time.
pub(crate) async fn deliver(
    bus: &dyn CommandBus,
    source: &MessageSource<'_>,
    messages: &[Message],
) -> Result<(), AttemptError> {
    if messages.is_empty() {
        return Ok(());
    }
    let metadata = source.event.metadata().map_err(|error| AttemptError::Failed(error.to_string()))?;
    let mut by_target: Vec<(AggregateRef, Vec<(usize, &Message)>)> = Vec::new();
    for (ordinal, message) in messages.iter().enumerate() {
        let target = message.to.aggregate();
        match by_target.iter_mut().find(|(other, _)| *other == target) {
            Some((_, messages)) => messages.push((ordinal, message)),
            None => by_target.push((target, vec![(ordinal, message)])),
        }
    }
    let metadata = &metadata;
    let targets = by_target.into_iter().map(|(_, messages)| async move {
        for (ordinal, message) in messages {
            deliver_one(bus, source, metadata, ordinal, message).await?;
        }
        Ok(())
    });
    try_join_all(targets).await.map(|_: Vec<()>| ())
}

async fn deliver_one(
    bus: &dyn CommandBus,
    source: &MessageSource<'_>,
    metadata: &Metadata,
    ordinal: usize,
    message: &Message,
) -> Result<(), AttemptError> {
    let failed = |error: dormouse_kernel::CodecError| AttemptError::Failed(error.to_string());
    let key = derived_key(source.kind, metadata.event_id, ordinal).map_err(failed)?;
    let refused_key = derived_key(&format!("{}.r", source.kind), metadata.event_id, ordinal).map_err(failed)?;
    if source.may_be_repeated
        && let Some(on_refused) = &message.on_refused
    {
        // The target has refused the message, and could accept it now. But its sender was told of the refusal.
        let was_told = bus.is_known(&on_refused.aggregate(), &refused_key).await.map_err(AttemptError::NotNow)?;
        if was_told {
            return Ok(());
        }
    }
    let delivery = |to: &AddressedCommand, key, refusal| Delivery {
        to: to.clone(),
        key,
        is_first: !source.may_be_repeated,
        origin: Origin::of(metadata),
        timer: None,
        refusal,
    };
    let Some(refusal) = accepted_or_refused(bus.deliver(delivery(&message.to, key, None)).await)? else {
        return Ok(());
    };
    metric::refused(message.to.aggregate_type().as_str());
    let (sender, target) = (&source.event.aggregate, &message.to);
    let Some(on_refused) = &message.on_refused else {
        info!(%sender, ?target, code = refusal.code, "a message was refused, and its sender does not want to know");
        return Ok(());
    };
    let told = bus.deliver(delivery(on_refused, refused_key, Some(refusal.clone()))).await;
    if let Some(again) = accepted_or_refused(told)? {
        warn!(%sender, ?target, code = refusal.code, refused_with = again.code,
            "a message was refused, and so was the command that answers the refusal");
    }
    Ok(())
}

/// Why the domain refused a command. `None` if it accepted the command.
fn accepted_or_refused(delivered: Delivered) -> Result<Option<Refusal>, AttemptError> {
    match delivered {
        Delivered::Accepted | Delivered::TimerReplaced => Ok(None),
        Delivered::Refused(refusal) => Ok(Some(refusal)),
        Delivered::Superseded => Err(AttemptError::Failed("another command has this key".to_owned())),
        Delivered::Failed(reason) => Err(AttemptError::Failed(reason)),
        Delivered::NotNow(reason) => Err(AttemptError::NotNow(reason)),
    }
}

/// Delivers what aggregates send.
pub(crate) struct MessagesWork {
    pub(crate) bus: Arc<dyn CommandBus>,
}

#[async_trait]
impl Work for MessagesWork {
    fn wants(&self, _: &AggregateRef, event: &NewEvent) -> bool {
        RecordedEvent::may_have_outgoing(event)
    }

    fn filter(&self) -> Option<LogFilter> {
        None
    }

    async fn attempt(&self, attempt: Attempt) -> Result<(), AttemptError> {
        let Subject::Event(event) = &attempt.subject else { return Ok(()) };
        let outgoing = event.outgoing().map_err(|error| AttemptError::Failed(error.to_string()))?;
        let messages = outgoing.map(|outgoing| outgoing.messages).unwrap_or_default();
        let source = MessageSource { kind: "m", event, may_be_repeated: attempt.may_be_repeated };
        deliver(&*self.bus, &source, &messages).await
    }
}
