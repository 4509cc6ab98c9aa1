//! The aggregate types whose events a handler gets.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

use async_trait::async_trait;
use dormouse_kernel::{Aggregate, Event, EventCodec, NewEvent, RecordedEvent};

use super::{Failure, Handle, Handler, Job};
use crate::event_names::WantedEvents;
use crate::start_error::StartError;

/// Collects the aggregate types whose events a handler gets.
pub struct HandlerSources<H> {
    sources: Vec<(&'static str, Found<H>)>,
}

/// A source, or what is wrong with it.
type Found<H> = Result<Box<dyn Source<H>>, StartError>;

impl<H: Handler> HandlerSources<H> {
    /// Adds all events of this aggregate type.
    #[must_use]
    pub fn of<A: Aggregate>(self) -> Self
    where
        H: Handle<A>,
    {
        self.only::<A>(&[])
    }

    /// Adds the events of this aggregate type that have these names, as they are stored: no job is made of others.
    #[must_use]
    pub fn only<A: Aggregate>(mut self, events: &[&'static str]) -> Self
    where
        H: Handle<A>,
    {
        let source = WantedEvents::of::<A>(H::NAME, events).map(|(codec, wanted)| {
            Box::new(TypedSource::<A> { codec, wanted, aggregate: PhantomData }) as Box<dyn Source<H>>
        });
        self.sources.push((A::TYPE, source));
        self
    }

    pub(super) fn named() -> Result<HashMap<&'static str, Box<dyn Source<H>>>, StartError> {
        let mut named = HashMap::new();
        for (aggregate, source) in H::sources(Self { sources: Vec::new() }).sources {
            if named.insert(aggregate, source?).is_some() {
                return Err(StartError::DuplicateSource { consumer: H::NAME, aggregate });
            }
        }
        if named.is_empty() { Err(StartError::NoSources { consumer: H::NAME }) } else { Ok(named) }
    }
}

impl<H> fmt::Debug for HandlerSources<H> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.sources.iter().map(|(aggregate, _)| aggregate)).finish()
    }
}

/// The events of one aggregate type for a handler, without their type.
#[async_trait]
pub(super) trait Source<H>: Send + Sync {
    fn wants(&self, event: &NewEvent) -> bool;

    /// Lets the handler act on each event that the stored one decodes to.
    async fn handle(&self, handler: &H, recorded: &RecordedEvent, job: Job) -> Result<(), Failure>;
}

struct TypedSource<A: Aggregate> {
    codec: EventCodec<A::Event>,
    wanted: WantedEvents,
    aggregate: PhantomData<fn() -> A>,
}

#[async_trait]
impl<A: Aggregate, H: Handle<A>> Source<H> for TypedSource<A> {
    fn wants(&self, event: &NewEvent) -> bool {
        self.wanted.includes(event)
    }

    async fn handle(&self, handler: &H, recorded: &RecordedEvent, mut job: Job) -> Result<(), Failure> {
        let stored = &recorded.event;
        let bodies = self.codec.decode(&stored.event_type, stored.schema_version, &stored.payload)?;
        for (part, body) in bodies.as_slice().iter().enumerate() {
            job.begin_part(part);
            handler.handle(&Event::new(body, recorded), &job).await?;
        }
        Ok(())
    }
}
