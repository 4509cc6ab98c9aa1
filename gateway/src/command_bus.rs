//! The engine's command bus as messaging sees it: encoded commands for aggregates of all types.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use dormouse_engine::{
    Aggregates, CommandError, CommandOptions, Engine, Expected, FiringTimer, Outcome, QueryError, Reply,
};
use dormouse_kernel::{
    Aggregate, AggregateId, AggregateRef, CodecError, CommandKey, Refusal, Rejection, decode, encode,
};
use dormouse_messaging::{
    CarriedOut, ClientCommand, CommandBus, Condition, Delivered, Delivery, Ending, Origin, Success,
};
use serde::Serialize;

use crate::http::final_refusal;

/// Delivers commands to the aggregates of an engine.
#[derive(Default)]
pub(crate) struct EngineBus {
    targets: HashMap<&'static str, Arc<dyn Target>>,
}

impl EngineBus {
    /// Adds the aggregates of one type.
    pub(crate) fn aggregate<A: Aggregate>(mut self, engine: &Engine) -> Self {
        if let Some(aggregates) = engine.aggregates::<A>() {
            self.targets.insert(A::TYPE, Arc::new(TypedTarget(aggregates)));
        }
        self
    }

    /// The names of all types.
    pub(crate) fn types(&self) -> Vec<String> {
        self.targets.keys().map(ToString::to_string).collect()
    }
}

#[async_trait]
impl CommandBus for EngineBus {
    async fn deliver(&self, delivery: Delivery) -> Delivered {
        match self.targets.get(delivery.to.aggregate_type().as_str()) {
            Some(target) => target.deliver(delivery).await,
            None => Delivered::Failed(unknown_type(delivery.to.aggregate_type().as_str())),
        }
    }

    async fn carry_out(&self, command: ClientCommand) -> CarriedOut {
        match self.targets.get(command.to.aggregate_type().as_str()) {
            Some(target) => target.carry_out(command).await,
            None => CarriedOut::Failed(unknown_type(command.to.aggregate_type().as_str())),
        }
    }

    async fn is_known(&self, aggregate: &AggregateRef, key: &CommandKey) -> Result<bool, String> {
        match self.targets.get(aggregate.aggregate_type.as_str()) {
            Some(target) => target.is_known(&aggregate.id, key).await,
            None => Err(unknown_type(aggregate.aggregate_type.as_str())),
        }
    }
}

fn unknown_type(name: &str) -> String {
    format!("the application has no aggregate type {name:?}")
}

/// The aggregates of one type, without the type.
#[async_trait]
trait Target: Send + Sync {
    async fn deliver(&self, delivery: Delivery) -> Delivered;

    async fn carry_out(&self, command: ClientCommand) -> CarriedOut;

    async fn is_known(&self, id: &AggregateId, key: &CommandKey) -> Result<bool, String>;
}

struct TypedTarget<A: Aggregate>(Aggregates<A>);

/// Why an encoded command cannot be read.
enum CannotRead {
    /// A later attempt may succeed.
    Now(String),
    /// No attempt will succeed.
    Ever(String),
}

impl<A: Aggregate> TypedTarget<A> {
    /// Decrypts what is encrypted in a command, and decodes it.
    async fn command(&self, id: &AggregateId, command: &[u8]) -> Result<A::Command, CannotRead> {
        let opened = self.0.opened_command(id, command).await.map_err(|error| match error {
            QueryError::Unavailable(reason) => CannotRead::Now(reason),
            other => CannotRead::Ever(other.to_string()),
        })?;
        decode(&opened).map_err(|error| CannotRead::Ever(error.to_string()))
    }
}

#[async_trait]
impl<A: Aggregate> Target for TypedTarget<A> {
    async fn deliver(&self, delivery: Delivery) -> Delivered {
        let id = delivery.to.aggregate().id;
        let command = match self.command(&id, delivery.to.command()).await {
            Ok(command) => command,
            Err(CannotRead::Now(reason)) => return Delivered::NotNow(reason),
            Err(CannotRead::Ever(reason)) => return Delivered::Failed(reason),
        };
        match self.0.execute_as_given(id, command, options(delivery)).await {
            Ok(_) => Delivered::Accepted,
            Err(error) => delivered(error),
        }
    }

    async fn carry_out(&self, command: ClientCommand) -> CarriedOut {
        let ClientCommand { to, key, is_first, content, condition, only_own, origin } = command;
        let id = to.aggregate().id;
        let command = match self.command(&id, to.command()).await {
            Ok(command) => command,
            Err(CannotRead::Now(reason)) => return CarriedOut::NotNow(reason),
            Err(CannotRead::Ever(reason)) => return CarriedOut::Failed(reason),
        };
        let expected = match condition {
            Condition::Any => Expected::Any,
            Condition::Exists => Expected::Exists,
            Condition::Exactly(version) => Expected::Exactly(version),
            Condition::Marked { version, mark } => Expected::Marked { version, mark },
        };
        let sender = origin.subject.clone();
        let options = CommandOptions {
            key: Some(key),
            key_is_new: is_first,
            content,
            expected,
            only_own,
            ..origin_options(origin)
        };
        match self.0.execute_as_given(id.clone(), command, options).await {
            Ok(outcome) => {
                let mut success = match success(outcome) {
                    Ok(success) => success,
                    Err(error) => return CarriedOut::Failed(error.to_string()),
                };
                match self.0.sealed_reply(&id, success.reply, sender.as_deref()).await {
                    Ok(reply) => success.reply = reply,
                    // Another attempt gets the same outcome, because the key is the same.
                    Err(error) => return CarriedOut::NotNow(error.to_string()),
                }
                CarriedOut::Ended(Ending::Succeeded(success))
            }
            Err(error) => match final_refusal(error) {
                Ok(refusal) => CarriedOut::Ended(Ending::Refused(refusal)),
                Err(error) => match delivered(error) {
                    Delivered::NotNow(reason) => CarriedOut::NotNow(reason),
                    Delivered::Failed(reason) => CarriedOut::Failed(reason),
                    unexpected => CarriedOut::Failed(format!("{unexpected:?}")),
                },
            },
        }
    }

    async fn is_known(&self, id: &AggregateId, key: &CommandKey) -> Result<bool, String> {
        let outcome = self.0.outcome_as_given(id, key).await;
        outcome.map(|outcome| outcome.is_some()).map_err(|error| error.to_string())
    }
}

/// The outcome as an operation has it.
fn success<R: Serialize>(outcome: Outcome<Reply<R>>) -> Result<Success, CodecError> {
    let Outcome { version, mark, position, events, reply, .. } = outcome;
    Ok(Success {
        version,
        mark,
        position,
        events: events.into_iter().map(|event| (event.event_type.into_owned(), event.version)).collect(),
        reply: match reply {
            Reply::New(reply) => encode(&reply)?,
            Reply::Stored(bytes) => bytes,
        },
    })
}

fn origin_options(origin: Origin) -> CommandOptions {
    let Origin { correlation, causation, subject, tenant, traceparent } = origin;
    CommandOptions { correlation, causation, subject, tenant, traceparent, ..CommandOptions::default() }
}

fn options(delivery: Delivery) -> CommandOptions {
    let Delivery { key, is_first, origin, timer, refusal, .. } = delivery;
    CommandOptions {
        key: Some(key),
        key_is_new: is_first,
        timer: timer
            .map(|timer| Box::new(FiringTimer { name: timer.name, set_at: timer.set_at, is_last: timer.is_last })),
        refusal: refusal.map(Box::new),
        ..origin_options(origin)
    }
}

/// What an error means for a delivery: is it the node that cannot, or this command?
fn delivered<R: Rejection>(error: CommandError<R>) -> Delivered {
    match error {
        CommandError::Rejected(rejection) => {
            Delivered::Refused(Refusal { code: rejection.code().to_owned(), detail: rejection.to_string() })
        }
        CommandError::TimerReplaced => Delivered::TimerReplaced,
        CommandError::KeyReused => Delivered::Superseded,
        // The command took effect.
        CommandError::ReplyUnreadable(_) => Delivered::Accepted,
        // The node: another attempt gets the same outcome, because the key is the same.
        CommandError::NodeOverloaded
        | CommandError::Draining
        | CommandError::Expired
        | CommandError::OutcomeUnknown
        | CommandError::Undone
        | CommandError::Unavailable(_)
        | CommandError::JournalFull(_)
        | CommandError::Fenced => Delivered::NotNow(error.to_string()),
        // This aggregate, or this command: others go on meanwhile.
        CommandError::NotOwner
        | CommandError::VersionMismatch { .. }
        | CommandError::KeyInFlight
        | CommandError::AggregateOverloaded
        | CommandError::Panicked
        | CommandError::Restarting { .. }
        | CommandError::Quarantined { .. }
        | CommandError::Unstorable(_)
        | CommandError::Unsendable(_) => Delivered::Failed(error.to_string()),
    }
}
