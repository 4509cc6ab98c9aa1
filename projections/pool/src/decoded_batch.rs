//! A batch of decoded events, and what it changes in a view. All of it is pure; the caller loads the documents.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use dormouse_kernel::{AggregateRef, Position, RecordedEvent};

use crate::documents::{Documents, InvalidDocument};
use crate::key::Key;
use crate::projection::Projection;
use crate::sources::{AnySource, DecodedEvent, Source};
use crate::store::Parked;

/// The events of a batch that concern a projection, decoded, and those that are parked.
pub(crate) struct DecodedBatch<P: Projection> {
    events: Vec<Box<dyn DecodedEvent<P>>>,
    parked: Vec<Parked>,
    /// The aggregates with an event that cannot be projected, and the position of the first such event found so far.
    first_poison: HashMap<AggregateRef, Position>,
}

/// The code of the projection panicked. The document that it was changing is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panicked;

/// The result of decoding an event: what to store if it is parked, and the decoded event (`None` if it concerns no
/// document), or the reason why it cannot be decoded. `None`: the projection does not read its aggregate type.
pub(crate) type DecodeResult<P> = Option<(Parked, Result<Option<Box<dyn DecodedEvent<P>>>, String>)>;

/// Decodes an event, if the projection reads its aggregate type.
pub(crate) fn decode_event<P: Projection>(
    recorded: RecordedEvent,
    sources: &HashMap<&'static str, AnySource<P>>,
) -> DecodeResult<P> {
    let source = sources.get(recorded.aggregate.aggregate_type.as_str())?;
    let event = Parked::behind(&recorded);
    Some((event, decode_and_check(&**source, recorded)))
}

impl<P: Projection> DecodedBatch<P> {
    pub(crate) fn with_capacity(events: usize) -> Self {
        Self { events: Vec::with_capacity(events), parked: Vec::new(), first_poison: HashMap::new() }
    }

    /// Adds the next event of the batch. An event is parked if it cannot be decoded, or if an earlier event of its
    /// aggregate is parked: in this batch, or before (`parked_aggregates`).
    pub(crate) fn add(&mut self, decoded: DecodeResult<P>, parked_aggregates: &HashSet<AggregateRef>) {
        let Some((event, decoded)) = decoded else { return };
        if self.first_poison.contains_key(&event.aggregate) || parked_aggregates.contains(&event.aggregate) {
            self.parked.push(event);
            return;
        }
        match decoded {
            Ok(decoded) => self.events.extend(decoded),
            Err(reason) => self.park(event, reason),
        }
    }

    fn park(&mut self, event: Parked, reason: String) {
        let first = self.first_poison.entry(event.aggregate.clone()).or_insert(event.position);
        *first = event.position.min(*first);
        self.parked.push(Parked { reason: Some(reason), ..event });
    }

    /// The number of events to project, without the parked ones.
    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// The number of aggregates that the events belong to, including those of parked events.
    pub(crate) fn aggregates(&self) -> usize {
        let projected = self.events.iter().map(|event| &event.recorded().aggregate);
        projected.chain(self.parked.iter().map(|event| &event.aggregate)).collect::<HashSet<_>>().len()
    }

    /// The keys of the documents that must be loaded before the batch is projected.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        let mut keys = Vec::with_capacity(self.events.len());
        self.events.iter().for_each(|event| event.visit_keys(&mut |key| keys.push(key)));
        keys.into_iter()
    }

    pub(crate) fn project(&self, range: Range<usize>, documents: &mut Documents<P::Document>) -> Result<(), Panicked> {
        let events = &self.events[range];
        // The caller clears the documents after a panic, so a half-changed document is not used.
        let projected = catch_unwind(AssertUnwindSafe(|| events.iter().for_each(|event| event.project(documents))));
        projected.map_err(|_| Panicked)
    }

    /// Projects one event. If it cannot be projected, or its document cannot be stored, the documents are restored and
    /// the event is parked.
    pub(crate) fn project_or_park(
        &mut self,
        number: usize,
        documents: &mut Documents<P::Document>,
    ) -> Result<(), InvalidDocument> {
        let event = &self.events[number];
        let parked = Parked::behind(event.recorded());
        // An earlier event may have failed to decode, or to be projected.
        if self.first_poison.get(&parked.aggregate).is_some_and(|first| *first < parked.position) {
            self.parked.push(parked);
            return Ok(());
        }
        let mut keys = Vec::new();
        event.visit_keys(&mut |key| keys.push(key));
        let saved = documents.save(keys.iter().copied())?;
        let projected = catch_unwind(AssertUnwindSafe(|| event.project(documents)));
        let reason = match projected {
            Ok(()) => documents.check(keys.iter().copied()).err().map(|invalid| invalid.to_string()),
            Err(panic) => Some(panicked(&*panic)),
        };
        if let Some(reason) = reason {
            documents.restore(saved)?;
            self.park(parked, reason);
        }
        Ok(())
    }

    /// Whether an event was found that cannot be projected.
    pub(crate) fn has_poison(&self) -> bool {
        !self.first_poison.is_empty()
    }

    /// The parked events, in order, after this many attempts.
    pub(crate) fn into_parked(mut self, attempts: u32) -> Vec<Parked> {
        self.parked.sort_unstable_by_key(|event| event.position);
        for event in &mut self.parked {
            if self.first_poison.get(&event.aggregate) == Some(&event.position) {
                event.attempts = attempts;
            } else {
                // A later event of the aggregate waits behind the first one, even if it could not be projected either.
                event.reason = None;
            }
        }
        self.parked
    }
}

/// `None`: the event concerns no document.
fn decode_and_check<P: Projection>(
    source: &dyn Source<P>,
    recorded: RecordedEvent,
) -> Result<Option<Box<dyn DecodedEvent<P>>>, String> {
    let decoded = catch_unwind(AssertUnwindSafe(|| source.decode(recorded)));
    let event = decoded.map_err(|panic| panicked(&*panic))?.map_err(|error| error.to_string())?;
    let (mut concerns_any, mut problem) = (false, None);
    event.visit_keys(&mut |key| {
        concerns_any = true;
        if problem.is_none() {
            problem = key.problem();
        }
    });
    match problem {
        Some(problem) => Err(problem),
        None => Ok(concerns_any.then_some(event)),
    }
}

fn panicked(panic: &(dyn Any + Send)) -> String {
    let message = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the projection panicked: {}", message.unwrap_or("(no message)"))
}
