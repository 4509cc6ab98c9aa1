//! The aggregate types that a projection reads, and how their events are decoded.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

use dormouse_kernel::{Aggregate, CodecError, Decoded, Event, EventCodec, RecordedEvent};

use crate::definition::DefinitionError;
use crate::documents::Documents;
use crate::key::{Key, Keys};
use crate::projection::{Project, Projection};

/// A source without its aggregate type.
pub(crate) type AnySource<P> = Box<dyn Source<P>>;

/// Collects the aggregate types that a projection reads.
pub struct Sources<P: Projection> {
    sources: Vec<(&'static str, Result<AnySource<P>, DefinitionError>)>,
}

impl<P: Projection> Sources<P> {
    /// Adds the events of this aggregate type.
    #[must_use]
    pub fn of<A: Aggregate>(mut self) -> Self
    where
        P: Project<A>,
    {
        let source = EventCodec::<A::Event>::new()
            .map(|codec| Box::new(TypedSource::<A> { codec, aggregate: PhantomData }) as AnySource<P>)
            .map_err(|error| DefinitionError::NotAnEnum {
                projection: P::NAME,
                aggregate: A::TYPE,
                reason: error.to_string(),
            });
        self.sources.push((A::TYPE, source));
        self
    }

    /// The aggregate types that the projection reads, in the order in which it names them.
    pub(crate) fn aggregate_types() -> Vec<&'static str> {
        P::sources(Self { sources: Vec::new() }).sources.into_iter().map(|(aggregate, _)| aggregate).collect()
    }

    /// The sources of the projection, by aggregate type.
    pub(crate) fn named() -> Result<HashMap<&'static str, AnySource<P>>, DefinitionError> {
        let mut named = HashMap::new();
        for (aggregate, source) in P::sources(Self { sources: Vec::new() }).sources {
            if named.insert(aggregate, source?).is_some() {
                return Err(DefinitionError::DuplicateSource { projection: P::NAME, aggregate });
            }
        }
        if named.is_empty() { Err(DefinitionError::NoSources { projection: P::NAME }) } else { Ok(named) }
    }
}

impl<P: Projection> fmt::Debug for Sources<P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.sources.iter().map(|(aggregate, _)| aggregate)).finish()
    }
}

/// Reads the events of one aggregate type for a projection.
pub(crate) trait Source<P: Projection>: Send + Sync {
    /// Decodes an event and lets the projection name its keys. If the projection panics, this panics.
    fn decode(&self, recorded: RecordedEvent) -> Result<Box<dyn DecodedEvent<P>>, CodecError>;
}

/// A decoded event without its aggregate type.
pub(crate) trait DecodedEvent<P: Projection>: Send + Sync {
    fn recorded(&self) -> &RecordedEvent;

    /// The keys of the documents that the event concerns. A key may occur more than once.
    fn visit_keys<'c>(&'c self, visit: &mut dyn FnMut(&'c Key));

    /// Lets the projection make the next versions of these documents, which must all be loaded. If the projection
    /// panics, this panics, and the document is lost.
    fn project(&self, documents: &mut Documents<P::Document>);
}

struct TypedSource<A: Aggregate> {
    codec: EventCodec<A::Event>,
    aggregate: PhantomData<fn() -> A>,
}

impl<A: Aggregate, P: Project<A>> Source<P> for TypedSource<A> {
    fn decode(&self, recorded: RecordedEvent) -> Result<Box<dyn DecodedEvent<P>>, CodecError> {
        let stored = &recorded.event;
        let bodies = self.codec.decode(&stored.event_type, stored.schema_version, &stored.payload)?;
        let keys = bodies.as_slice().iter().map(|body| P::keys(&Event::new(body, &recorded))).collect();
        Ok(Box::new(TypedEvent::<A> { recorded, bodies, keys }))
    }
}

struct TypedEvent<A: Aggregate> {
    recorded: RecordedEvent,
    bodies: Decoded<A::Event>,
    /// One for each body.
    keys: Vec<Keys>,
}

impl<A: Aggregate, P: Project<A>> DecodedEvent<P> for TypedEvent<A> {
    fn recorded(&self) -> &RecordedEvent {
        &self.recorded
    }

    fn visit_keys<'c>(&'c self, visit: &mut dyn FnMut(&'c Key)) {
        self.keys.iter().flat_map(Keys::iter).for_each(visit);
    }

    fn project(&self, documents: &mut Documents<P::Document>) {
        for (body, keys) in self.bodies.as_slice().iter().zip(&self.keys) {
            let event = Event::<A>::new(body, &self.recorded);
            for key in keys.iter() {
                documents.change(key, self.recorded.position, |current| P::project(current, &event, key));
            }
        }
    }
}
