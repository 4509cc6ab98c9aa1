//! Publishers: consumers of stored events of any type, which leave the house.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use dormouse_journal::LogFilter;
use dormouse_kernel::{AggregateRef, NewEvent, OUTGOING_EVENT, RecordedEvent};

use crate::bus::CommandBus;
use crate::consumer::{Attempt, AttemptError, Subject, Work};
use crate::handler::{Failure, Job};

/// Aggregate types whose names begin with this are the runtime's own.
const OWN_TYPES: &str = "dormouse-";

/// Passes stored events on to the world outside, whatever their types: at least once each, in the order of each
/// aggregate.
///
/// It gets events as they are stored, and not in today's shape. It does not get the rows of commands that only send
/// messages, nor the events of the runtime's own types, whose names begin with `dormouse-`.
pub trait Publish: Send + Sync + 'static {
    /// Whether it wants an event. It must be quick: it is asked for each event of the log.
    fn wants(&self, _aggregate: &AggregateRef, _event: &NewEvent) -> bool {
        true
    }

    /// Which events the store need not even read. `None`: it must read all.
    fn filter(&self) -> Option<LogFilter> {
        None
    }

    /// After this many failed attempts, a job is a dead letter. `None`: as the queue says.
    fn tries(&self) -> Option<u32> {
        None
    }

    /// Publishes an event. Implement it as an `async fn`. It is cut off at the [deadline](Job::deadline). A panic
    /// counts as a failure.
    fn publish(&self, event: &RecordedEvent, job: &Job) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// A publisher as the work of a consumer.
pub(crate) struct PublisherWork<P> {
    pub(crate) name: Arc<str>,
    pub(crate) publisher: P,
    pub(crate) bus: Arc<dyn CommandBus>,
}

#[async_trait]
impl<P: Publish> Work for PublisherWork<P> {
    fn wants(&self, aggregate: &AggregateRef, event: &NewEvent) -> bool {
        may_leave(aggregate, event) && self.publisher.wants(aggregate, event)
    }

    fn filter(&self) -> Option<LogFilter> {
        self.publisher.filter()
    }

    async fn attempt(&self, attempt: Attempt) -> Result<(), AttemptError> {
        let Subject::Event(event) = &attempt.subject else { return Ok(()) };
        let mut job = Job::new(Cow::Owned(self.name.to_string()), &attempt, event, Arc::clone(&self.bus))?;
        job.begin_part(0);
        self.publisher.publish(event, &job).await.map_err(Failure::into_error)
    }
}

/// Whether an event is one of the application's domain.
fn may_leave(aggregate: &AggregateRef, event: &NewEvent) -> bool {
    event.event_type != OUTGOING_EVENT && !aggregate.aggregate_type.as_str().starts_with(OWN_TYPES)
}
