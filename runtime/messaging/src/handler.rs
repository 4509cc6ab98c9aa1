//! Handlers: what happens outside because of events.

mod job;
mod sources;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dormouse_journal::LogFilter;
use dormouse_kernel::{Aggregate, AggregateRef, Event, NewEvent};

pub use job::{Job, Sent};
pub use sources::HandlerSources;
use sources::Source;

use crate::bus::CommandBus;
use crate::consumer::{Attempt, AttemptError, Begin, Order, Subject, Work};
use crate::start_error::StartError;

/// Acts on the world outside because of events: at least once for each event, and always with the same
/// [key](Job::key), so that the outside can tell a repetition.
///
/// ```
/// # use dormouse_kernel::{Aggregate, Context, DomainEvent, Event};
/// # use dormouse_messaging::{Failure, Handle, Handler, HandlerSources, Job};
/// # use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Clone, Default, Serialize, Deserialize)]
/// # struct Order;
/// # #[derive(Serialize, Deserialize, JsonSchema)]
/// # enum OrderEvent { Confirmed { email: String } }
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
/// struct Receipt;
///
/// impl Handler for Receipt {
///     const NAME: &'static str = "receipt";
///
///     fn sources(sources: HandlerSources<Self>) -> HandlerSources<Self> {
///         sources.of::<Order>()
///     }
/// }
///
/// impl Handle<Order> for Receipt {
///     async fn handle(&self, event: &Event<'_, Order>, job: &Job) -> Result<(), Failure> {
///         let OrderEvent::Confirmed { email } = event.body();
///         println!("{email} gets the receipt of order {}, under the key {}", event.id(), job.key());
///         Ok(())
///     }
/// }
/// ```
pub trait Handler: Sized + Send + Sync + 'static {
    /// The stable name, lower-case words with dashes. Progress is stored under it.
    const NAME: &'static str;

    /// The queue whose workers run it: `default`, `projections`, `modules` or `commands`.
    const QUEUE: &'static str = "default";

    /// Whether later events of an aggregate wait behind one that has failed for good.
    const ORDER: Order = Order::Ordered;

    /// Where it begins when it runs for the first time.
    const BEGIN: Begin = Begin::Beginning;

    /// Other tries and pauses than those of its queue.
    #[must_use]
    fn retries() -> Option<Retries> {
        None
    }

    /// Names the aggregate types whose events it gets.
    #[must_use]
    fn sources(sources: HandlerSources<Self>) -> HandlerSources<Self>;
}

/// What a handler does with the events of one aggregate type.
pub trait Handle<A: Aggregate>: Handler {
    /// Acts because of an event. Implement it as an `async fn`. It is cut off at the [deadline](Job::deadline). A panic
    /// counts as a failure.
    fn handle(&self, event: &Event<'_, A>, job: &Job) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// How often, and with which pauses, a job is attempted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// After this many failed attempts, the job is a dead letter.
    pub tries: u32,
    /// The pause before the next attempt, always the same.
    pub pause: Duration,
}

/// Why a job failed. It is attempted again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(AttemptError);

impl Failure {
    /// A failure for this reason.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self(AttemptError::Failed(reason.into()))
    }

    /// Nothing can be done now, for this reason, and that is no fault of the job: the attempt does not count.
    #[must_use]
    pub fn not_now(reason: impl Into<String>) -> Self {
        Self(AttemptError::NotNow(reason.into()))
    }

    pub(crate) fn into_error(self) -> AttemptError {
        self.0
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (AttemptError::Failed(reason) | AttemptError::NotNow(reason)) = &self.0;
        formatter.write_str(reason)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            reason = format!("{reason}: {cause}");
            source = cause.source();
        }
        Self::new(reason)
    }
}

/// A handler as the work of a consumer.
pub(crate) struct HandlerWork<H> {
    handler: H,
    sources: HashMap<&'static str, Box<dyn Source<H>>>,
    bus: Arc<dyn CommandBus>,
}

impl<H: Handler> HandlerWork<H> {
    pub(crate) fn new(handler: H, bus: Arc<dyn CommandBus>) -> Result<Self, StartError> {
        Ok(Self { handler, sources: HandlerSources::<H>::named()?, bus })
    }

    /// The aggregate types whose events it gets.
    pub(crate) fn aggregate_types(&self) -> Vec<&'static str> {
        let mut types: Vec<_> = self.sources.keys().copied().collect();
        types.sort_unstable();
        types
    }
}

#[async_trait]
impl<H: Handler> Work for HandlerWork<H> {
    fn wants(&self, aggregate: &AggregateRef, event: &NewEvent) -> bool {
        self.sources.get(aggregate.aggregate_type.as_str()).is_some_and(|source| source.wants(event))
    }

    fn filter(&self) -> Option<LogFilter> {
        let types = self.sources.keys().map(ToString::to_string).collect();
        Some(LogFilter { types, events: Vec::new() })
    }

    async fn attempt(&self, attempt: Attempt) -> Result<(), AttemptError> {
        let Subject::Event(event) = &attempt.subject else { return Ok(()) };
        let Some(source) = self.sources.get(event.aggregate.aggregate_type.as_str()) else { return Ok(()) };
        let job = Job::new(Cow::Borrowed(H::NAME), &attempt, event, Arc::clone(&self.bus))?;
        source.handle(&self.handler, event, job).await.map_err(Failure::into_error)
    }
}
