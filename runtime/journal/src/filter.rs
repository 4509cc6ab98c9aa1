//! Filters of the log. The store passes over events that do not meet the filter, and does not read their payload.

use dormouse_kernel::{AggregateRef, NewEvent, Position, RecordedEvent};

/// Most events that one filtered read covers, wanted or not, so that it soon returns its connection.
pub(crate) const SCANNED_EVENTS: u64 = 8 << 10;

/// Which events of the log are wanted, by the names under which they are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// Types of aggregates. Empty: all types.
    pub types: Vec<String>,
    /// Types of events. Empty: all types.
    pub events: Vec<String>,
}

impl LogFilter {
    /// Whether an event meets the filter.
    #[must_use]
    pub fn wants(&self, aggregate: &AggregateRef, event: &NewEvent) -> bool {
        let is_in = |names: &[String], name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
        is_in(&self.types, aggregate.aggregate_type.as_str()) && is_in(&self.events, &event.event_type)
    }
}

/// The result of a filtered read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// The events that meet the filter, in order.
    pub events: Vec<RecordedEvent>,
    /// The position up to which the read covered the log.
    pub reached: Position,
}
