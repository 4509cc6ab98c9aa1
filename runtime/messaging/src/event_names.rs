//! Which events of an aggregate type a reactor or a handler wants.

use dormouse_kernel::{Aggregate, EventCodec, EventSelection, NewEvent, OUTGOING_EVENT};

use crate::start_error::StartError;

/// The events that are wanted: all, or some by name.
#[derive(Debug)]
pub(crate) enum WantedEvents {
    All,
    Some(Box<EventSelection>),
}

impl WantedEvents {
    /// The codec of an aggregate type, and the selection of the events with these names. No names select all events.
    pub(crate) fn of<A: Aggregate>(
        consumer: &'static str,
        names: &[&'static str],
    ) -> Result<(EventCodec<A::Event>, Self), StartError> {
        let not_an_enum = |source| StartError::NotAnEnum { consumer, aggregate: A::TYPE, source };
        let codec = EventCodec::<A::Event>::new().map_err(not_an_enum)?;
        if names.is_empty() {
            return Ok((codec, Self::All));
        }
        if let Some(event) = names.iter().find(|name| codec.select(&[**name]).is_empty()) {
            return Err(StartError::NoSuchEvent { consumer, aggregate: A::TYPE, event });
        }
        let selection = codec.select(names);
        Ok((codec, Self::Some(Box::new(selection))))
    }

    pub(crate) fn includes(&self, event: &NewEvent) -> bool {
        match self {
            Self::All => event.event_type != OUTGOING_EVENT,
            Self::Some(selection) => selection.includes(event),
        }
    }
}
