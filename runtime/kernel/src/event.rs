//! An event as a projection, a reactor or a handler sees it.

use std::fmt;
use std::sync::OnceLock;

use jiff::Timestamp;

use crate::aggregate::Aggregate;
use crate::envelope::{Metadata, RecordedEvent};
use crate::id::{AggregateId, AggregateRef};
use crate::number::{Position, Version};

/// An event of an aggregate, with its metadata.
pub struct Event<'a, A: Aggregate> {
    body: &'a A::Event,
    recorded: &'a RecordedEvent,
    /// Decoded on demand: few readers need it, and it takes as long as decoding the event itself.
    metadata: OnceLock<Metadata>,
}

impl<'a, A: Aggregate> Event<'a, A> {
    /// An event that was decoded from `recorded`.
    #[must_use]
    pub fn new(body: &'a A::Event, recorded: &'a RecordedEvent) -> Self {
        Self { body, recorded, metadata: OnceLock::new() }
    }

    /// The event in its current form: upcasters have converted an event that older code wrote.
    #[must_use]
    pub fn body(&self) -> &'a A::Event {
        self.body
    }

    /// The id of the event's aggregate.
    #[must_use]
    pub fn id(&self) -> &'a AggregateId {
        &self.recorded.aggregate.id
    }

    /// The event's aggregate, with its type.
    #[must_use]
    pub fn aggregate(&self) -> &'a AggregateRef {
        &self.recorded.aggregate
    }

    /// The aggregate's version after the event. If upcasters made several events of one stored event, these share its
    /// version and position.
    #[must_use]
    pub fn version(&self) -> Version {
        self.recorded.version
    }

    /// The position in the journal.
    #[must_use]
    pub fn position(&self) -> Position {
        self.recorded.position
    }

    /// The time of the decision, in whole microseconds.
    #[must_use]
    pub fn recorded_at(&self) -> Timestamp {
        self.recorded.event.recorded_at
    }

    /// The command, the user and the request that caused the event.
    ///
    /// # Panics
    /// If the stored metadata is damaged. Then the event fails, as after any panic of the code that reads it.
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
