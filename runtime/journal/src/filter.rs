//! Reading the log through a filter: the store passes over what does not meet it, and brings none of its payload.

use dormouse_kernel::{AggregateRef, NewEvent, Position, RecordedEvent};

/// Events that one filtered read looks at, wanted or not, so that it soon gives its connection back.
pub(crate) const LOOKED_AT: u64 = 8 << 10;

/// Which events of the log are wanted, by the names that they are stored under.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// Types of aggregates; none: all.
    pub types: Vec<String>,
    /// Names of events; none: all.
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

/// What a filtered read brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// The events that meet the filter, in order.
    pub events: Vec<RecordedEvent>,
    /// All that meet it up to here are among them.
    pub reached: Position,
}
