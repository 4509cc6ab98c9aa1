//! The owner of an aggregate, from its events, without an engine.

use dormouse_kernel::{Aggregate, AggregateId, CodecError, EventCodec, NotAnEnum, RecordedEvent};

/// The state of an aggregate of some type, up to the events that it was given.
pub(crate) trait OwnedState {
    /// Applies the next event, which must not be encrypted.
    fn apply(&mut self, event: &RecordedEvent) -> Result<(), CodecError>;

    /// To whom the aggregate belongs now.
    fn owner(&self, id: &AggregateId) -> Option<String>;
}

struct Folded<A: Aggregate> {
    codec: EventCodec<A::Event>,
    state: A,
}

/// The state before the first event.
pub(super) fn before_events<A: Aggregate>() -> Result<Box<dyn OwnedState>, NotAnEnum> {
    Ok(Box::new(Folded::<A> { codec: EventCodec::new()?, state: A::default() }))
}

impl<A: Aggregate> OwnedState for Folded<A> {
    fn apply(&mut self, recorded: &RecordedEvent) -> Result<(), CodecError> {
        let event = &recorded.event;
        let decoded = self.codec.decode(&event.event_type, event.schema_version, &event.payload)?;
        decoded.as_slice().iter().for_each(|event| self.state.evolve(event));
        Ok(())
    }

    fn owner(&self, id: &AggregateId) -> Option<String> {
        self.state.owner(id).map(str::to_owned)
    }
}
