//! An event as a projection sees it.

use std::cell::OnceCell;
use std::fmt;

use dormouse_kernel::{Aggregate, AggregateId, AggregateRef, Metadata, Position, RecordedEvent, Timestamp, Version};

/// An event of an aggregate, with what is known about it.
pub struct Event<'a, A: Aggregate> {
    body: &'a A::Event,
    recorded: &'a RecordedEvent,
    /// Few projections ask for it, and it takes as long to decode as the event itself.
    metadata: OnceCell<Metadata>,
}

impl<'a, A: Aggregate> Event<'a, A> {
    pub(crate) fn new(body: &'a A::Event, recorded: &'a RecordedEvent) -> Self {
        Self { body, recorded, metadata: OnceCell::new() }
    }

    /// What happened, as today's code knows it: an event that was written by older code has been through its upcasters.
    #[must_use]
    pub fn body(&self) -> &'a A::Event {
        self.body
    }

    /// The id of the aggregate it happened to.
    #[must_use]
    pub fn id(&self) -> &'a AggregateId {
        &self.recorded.aggregate.id
    }

    /// The aggregate it happened to, with its type.
    #[must_use]
    pub fn aggregate(&self) -> &'a AggregateRef {
        &self.recorded.aggregate
    }

    /// Which of the aggregate's events. Those that upcasters made of one stored event share its version and position.
    #[must_use]
    pub fn version(&self) -> Version {
        self.recorded.version
    }

    /// Where it stands in the journal.
    #[must_use]
    pub fn position(&self) -> Position {
        self.recorded.position
    }

    /// When it was decided, to the microsecond.
    #[must_use]
    pub fn recorded_at(&self) -> Timestamp {
        self.recorded.event.recorded_at
    }

    /// Who and what caused it.
    ///
    /// # Panics
    /// If the stored metadata is damaged: the event is parked then, as with any panic of a projection.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        self.metadata.get_or_init(|| self.recorded.metadata().unwrap_or_else(|error| panic!("{error}")))
    }
}

impl<A: Aggregate<Event: fmt::Debug>> fmt::Debug for Event<'_, A> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Event")
            .field("aggregate", self.aggregate())
            .field("version", &self.version())
            .field("position", &self.position())
            .field("body", self.body)
            .finish_non_exhaustive()
    }
}
