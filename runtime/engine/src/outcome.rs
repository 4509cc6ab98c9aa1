//! What a command led to, right after it or long after.

use std::borrow::Cow;

use dormouse_kernel::{AggregateId, CodecError, Fingerprint, Position, RecordedEvent, Version, decode};
use serde::de::DeserializeOwned;

/// What an accepted command led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome<R> {
    /// Which aggregate decided.
    pub id: AggregateId,
    /// Its version after the command.
    pub version: Version,
    /// Where its last event stands in the journal; if it made none, how far the journal had come. `None` for a dry run.
    pub position: Option<Position>,
    /// The events it made, in order.
    pub events: Vec<EventSummary>,
    /// What the aggregate answered.
    pub reply: R,
    /// It had been decided before; this is what came of it then.
    pub repeated: bool,
}

/// An event by name and version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSummary {
    /// The stable name of the event.
    pub event_type: Cow<'static, str>,
    /// Its version.
    pub version: Version,
}

impl<R: DeserializeOwned> Outcome<R> {
    /// Reads the outcome from the events that the command made, as the journal has them, and the fingerprint it was
    /// sent with.
    pub(crate) fn recorded(events: &[RecordedEvent]) -> Result<Option<(Self, Option<Fingerprint>)>, CodecError> {
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(None) };
        let Some(command) = first.metadata()?.command else { return Ok(None) };
        let summary =
            |event: &RecordedEvent| EventSummary { event_type: event.event.event_type.clone(), version: event.version };
        let outcome = Self {
            id: first.aggregate.id.clone(),
            version: last.version,
            position: Some(last.position),
            events: events.iter().map(summary).collect(),
            reply: decode(&command.reply)?,
            repeated: true,
        };
        Ok(Some((outcome, command.fingerprint)))
    }
}
