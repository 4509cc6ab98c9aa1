//! Reactors: pure functions from events to commands of other aggregates.

mod sources;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use dormouse_journal::LogFilter;
use dormouse_kernel::{
    AddressedCommand, Aggregate, AggregateRef, Event, InvalidMessage, Message, NewEvent, RecordedEvent,
};

pub use sources::ReactorSources;
use sources::Source;

use crate::bus::CommandBus;
use crate::consumer::{Attempt, AttemptError, Begin, Subject, Work};
use crate::messages::{self, MessageSource};
use crate::start_error::StartError;

/// Turns events into commands of other aggregates. It is a pure function: it has no state and sees no time.
///
/// Each command is delivered exactly once, after the events of the same aggregate before it. A process that needs state
/// is an aggregate of its own, to which a reactor sends commands.
///
/// ```
/// # use dormouse_kernel::{Aggregate, Context, DomainEvent, Event};
/// # use dormouse_messaging::{React, Reactions, Reactor, ReactorSources};
/// # use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Clone, Default, Serialize, Deserialize)]
/// # struct Order;
/// # #[derive(Serialize, Deserialize, JsonSchema)]
/// # enum OrderEvent { Confirmed { sku: String } }
/// # impl DomainEvent for OrderEvent {}
/// # impl Aggregate for Order {
/// #     const TYPE: &'static str = "order";
/// #     type Command = OrderEvent;
/// #     type Event = OrderEvent;
/// #     type Reply = ();
/// #     type Rejection = std::convert::Infallible;
/// #     fn decide(&self, _: OrderEvent, _: &mut Context<Self>) -> Result<(), std::convert::Infallible> { Ok(()) }
/// #     fn evolve(&mut self, _: &OrderEvent) {}
/// # }
/// # type Item = Order;
/// struct Fulfilment;
///
/// impl Reactor for Fulfilment {
///     const NAME: &'static str = "fulfilment";
///
///     fn sources(sources: ReactorSources<Self>) -> ReactorSources<Self> {
///         sources.of::<Order>()
///     }
/// }
///
/// impl React<Order> for Fulfilment {
///     fn react(event: &Event<'_, Order>, reactions: &mut Reactions) {
///         let OrderEvent::Confirmed { sku } = event.body();
///         reactions.send::<Item>(sku, OrderEvent::Confirmed { sku: sku.clone() });
///     }
/// }
/// ```
pub trait Reactor: Sized + Send + Sync + 'static {
    /// The stable name, lower-case words with dashes. Progress is stored under it.
    const NAME: &'static str;

    /// Where it begins when it runs for the first time.
    const BEGIN: Begin = Begin::Beginning;

    /// Names the aggregate types whose events it gets.
    #[must_use]
    fn sources(sources: ReactorSources<Self>) -> ReactorSources<Self>;
}

/// What a reactor does with the events of one aggregate type.
pub trait React<A: Aggregate>: Reactor {
    /// Sends commands because of an event. It must do the same whenever it gets the same event. A panic makes the event
    /// fail, and holds up the later events of its aggregate only.
    fn react(event: &Event<'_, A>, reactions: &mut Reactions);
}

/// The commands that a reactor sends because of one event.
#[derive(Debug, Default)]
pub struct Reactions {
    messages: Vec<Message>,
    problem: Option<InvalidMessage>,
}

/// A command that was just sent.
#[derive(Debug)]
pub struct Reaction<'r> {
    reactions: &'r mut Reactions,
    is_sent: bool,
}

impl Reactions {
    /// Sends a command to the aggregate of type `B` with this id. An id that is not valid makes the event fail.
    pub fn send<B: Aggregate>(&mut self, id: impl AsRef<str>, command: B::Command) -> Reaction<'_> {
        let is_sent = match Message::new::<B>(id, &command) {
            Ok(message) => {
                self.messages.push(message);
                true
            }
            Err(problem) => {
                self.problem.get_or_insert(problem);
                false
            }
        };
        Reaction { reactions: self, is_sent }
    }

    /// The commands that were sent, in order, for tests.
    ///
    /// # Panics
    /// If one of them is not valid.
    #[must_use]
    pub fn into_messages(self) -> Vec<Message> {
        self.finish().unwrap_or_else(|problem| panic!("{problem}"))
    }

    fn finish(self) -> Result<Vec<Message>, InvalidMessage> {
        self.problem.map_or(Ok(self.messages), Err)
    }
}

impl Reaction<'_> {
    /// The aggregate of type `C` with this id gets `command` if the first one is refused.
    pub fn on_refused<C: Aggregate>(self, id: impl AsRef<str>, command: C::Command) {
        if !self.is_sent {
            return;
        }
        match AddressedCommand::new::<C>(id, &command) {
            Err(problem) => _ = self.reactions.problem.get_or_insert(problem),
            Ok(addressed) => {
                if let Some(message) = self.reactions.messages.last_mut() {
                    message.on_refused = Some(addressed);
                }
            }
        }
    }
}

/// A reactor as the work of a consumer.
pub(crate) struct ReactorWork {
    sources: HashMap<&'static str, Box<dyn Source>>,
    bus: Arc<dyn CommandBus>,
    kind: String,
}

impl ReactorWork {
    pub(crate) fn new<R: Reactor>(bus: Arc<dyn CommandBus>) -> Result<Self, StartError> {
        Ok(Self { sources: ReactorSources::<R>::named()?, bus, kind: format!("x.{}", R::NAME) })
    }

    /// The aggregate types whose events it gets.
    pub(crate) fn aggregate_types(&self) -> Vec<&'static str> {
        let mut types: Vec<_> = self.sources.keys().copied().collect();
        types.sort_unstable();
        types
    }

    fn react(&self, event: &RecordedEvent) -> Result<Vec<Message>, AttemptError> {
        let Some(source) = self.sources.get(event.aggregate.aggregate_type.as_str()) else { return Ok(Vec::new()) };
        let mut reactions = Reactions::default();
        source.react(event, &mut reactions).map_err(|error| AttemptError::Failed(error.to_string()))?;
        reactions.finish().map_err(|problem| AttemptError::Failed(problem.to_string()))
    }
}

#[async_trait]
impl Work for ReactorWork {
    fn wants(&self, aggregate: &AggregateRef, event: &NewEvent) -> bool {
        self.sources.get(aggregate.aggregate_type.as_str()).is_some_and(|source| source.wants(event))
    }

    fn filter(&self) -> Option<LogFilter> {
        let types = self.sources.keys().map(ToString::to_string).collect();
        Some(LogFilter { types, events: Vec::new() })
    }

    async fn attempt(&self, attempt: Attempt) -> Result<(), AttemptError> {
        let Subject::Event(event) = &attempt.subject else { return Ok(()) };
        let messages = self.react(event)?;
        let source = MessageSource { kind: &self.kind, event, may_be_repeated: attempt.may_be_repeated };
        messages::deliver(&*self.bus, &source, &messages).await
    }
}
