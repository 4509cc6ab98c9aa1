//! The aggregate types whose events a reactor gets.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

use dormouse_kernel::{Aggregate, CodecError, Event, EventCodec, NewEvent, RecordedEvent};

use super::{React, Reactions, Reactor};
use crate::event_names::WantedEvents;
use crate::start_error::StartError;

/// Collects the aggregate types whose events a reactor gets.
pub struct ReactorSources<R> {
    sources: Vec<(&'static str, Found)>,
    reactor: PhantomData<fn() -> R>,
}

/// A source, or what is wrong with it.
type Found = Result<Box<dyn Source>, StartError>;

impl<R: Reactor> ReactorSources<R> {
    /// Adds all events of this aggregate type.
    #[must_use]
    pub fn of<A: Aggregate>(self) -> Self
    where
        R: React<A>,
    {
        self.only::<A>(&[])
    }

    /// Adds the events of this aggregate type that have these names, as they are stored: the reactor is not even asked
    /// about others.
    #[must_use]
    pub fn only<A: Aggregate>(mut self, events: &[&'static str]) -> Self
    where
        R: React<A>,
    {
        let source = WantedEvents::of::<A>(R::NAME, events).map(|(codec, wanted)| {
            Box::new(TypedSource::<A, R> { codec, wanted, types: PhantomData }) as Box<dyn Source>
        });
        self.sources.push((A::TYPE, source));
        self
    }

    pub(super) fn named() -> Result<HashMap<&'static str, Box<dyn Source>>, StartError> {
        let mut named = HashMap::new();
        for (aggregate, source) in R::sources(Self { sources: Vec::new(), reactor: PhantomData }).sources {
            if named.insert(aggregate, source?).is_some() {
                return Err(StartError::DuplicateSource { consumer: R::NAME, aggregate });
            }
        }
        if named.is_empty() { Err(StartError::NoSources { consumer: R::NAME }) } else { Ok(named) }
    }
}

impl<R> fmt::Debug for ReactorSources<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.sources.iter().map(|(aggregate, _)| aggregate)).finish()
    }
}

/// The events of one aggregate type for a reactor, without its type.
pub(super) trait Source: Send + Sync {
    fn wants(&self, event: &NewEvent) -> bool;

    /// Lets the reactor react to each event that the stored one decodes to. If the reactor panics, this panics.
    fn react(&self, recorded: &RecordedEvent, reactions: &mut Reactions) -> Result<(), CodecError>;
}

struct TypedSource<A: Aggregate, R> {
    codec: EventCodec<A::Event>,
    wanted: WantedEvents,
    types: PhantomData<fn() -> (A, R)>,
}

impl<A: Aggregate, R: React<A>> Source for TypedSource<A, R> {
    fn wants(&self, event: &NewEvent) -> bool {
        self.wanted.includes(event)
    }

    fn react(&self, recorded: &RecordedEvent, reactions: &mut Reactions) -> Result<(), CodecError> {
        let stored = &recorded.event;
        let bodies = self.codec.decode(&stored.event_type, stored.schema_version, &stored.payload)?;
        bodies.as_slice().iter().for_each(|body| R::react(&Event::new(body, recorded), reactions));
        Ok(())
    }
}
