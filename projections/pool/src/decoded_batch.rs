//! One batch of events and what it does to a view. Everything but the loading of documents in its middle is pure.

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
    changes: Vec<Box<dyn DecodedEvent<P>>>,
    parked: Vec<Parked>,
    /// The aggregates of which an event cannot be projected, and where the first one is that was found so far.
    first_poison: HashMap<AggregateRef, Position>,
}

/// The projection's code panicked over one of the events: what it was at is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panicked;

/// An event that was decoded at: what it would be if it were parked, and what it changes (nothing, if it concerns no
/// document), or why it cannot be decoded. `None`: it is of an aggregate type that the projection does not read.
pub(crate) type DecodeResult<P> = Option<(Parked, Result<Option<Box<dyn DecodedEvent<P>>>, String>)>;

/// Decodes an event, if it concerns the projection.
pub(crate) fn decode_event<P: Projection>(
    recorded: RecordedEvent,
    sources: &HashMap<&'static str, AnySource<P>>,
) -> DecodeResult<P> {
    let source = sources.get(recorded.aggregate.aggregate_type.as_str())?;
    let event = Parked::behind(&recorded);
    Some((event, decode_and_check(&**source, recorded)))
}

impl<P: Projection> DecodedBatch<P> {
    /// Room for a batch of so many events.
    pub(crate) fn with_capacity(events: usize) -> Self {
        Self { changes: Vec::with_capacity(events), parked: Vec::new(), first_poison: HashMap::new() }
    }

    /// Takes the next event of the batch. What cannot be decoded is parked, and so is every event of an aggregate of which
    /// an earlier one is: here, or as `parked_aggregates` says.
    pub(crate) fn add(&mut self, decoded: DecodeResult<P>, parked_aggregates: &HashSet<AggregateRef>) {
        let Some((event, decoded)) = decoded else { return };
        if self.first_poison.contains_key(&event.aggregate) || parked_aggregates.contains(&event.aggregate) {
            self.parked.push(event);
            return;
        }
        match decoded {
            Ok(change) => self.changes.extend(change),
            Err(reason) => self.park(event, reason),
        }
    }

    fn park(&mut self, event: Parked, reason: String) {
        let first = self.first_poison.entry(event.aggregate.clone()).or_insert(event.position);
        *first = event.position.min(*first);
        self.parked.push(Parked { reason: Some(reason), ..event });
    }

    /// How many events there are to project.
    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    /// How many aggregates they are of, with those whose events are parked.
    pub(crate) fn aggregates(&self) -> usize {
        let projected = self.changes.iter().map(|change| &change.recorded().aggregate);
        projected.chain(self.parked.iter().map(|event| &event.aggregate)).collect::<HashSet<_>>().len()
    }

    /// The documents that must be there before it is projected.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        let mut keys = Vec::with_capacity(self.changes.len());
        self.changes.iter().for_each(|change| change.visit_keys(&mut |key| keys.push(key)));
        keys.into_iter()
    }

    /// Projects some of the events, in order.
    pub(crate) fn project(&self, range: Range<usize>, documents: &mut Documents<P::Document>) -> Result<(), Panicked> {
        let changes = &self.changes[range];
        // Whatever a panic leaves half done is forgotten by whoever called.
        let unharmed = catch_unwind(AssertUnwindSafe(|| changes.iter().for_each(|change| change.project(documents))));
        unharmed.map_err(|_| Panicked)
    }

    /// Projects one of the events so that it can be undone: if it cannot be projected, or what it makes of a document
    /// cannot be stored, it is parked as if it had not come.
    pub(crate) fn project_or_park(
        &mut self,
        number: usize,
        documents: &mut Documents<P::Document>,
    ) -> Result<(), InvalidDocument> {
        let change = &self.changes[number];
        let event = Parked::behind(change.recorded());
        // One that could not be decoded stands behind all that could.
        if self.first_poison.get(&event.aggregate).is_some_and(|first| *first < event.position) {
            self.parked.push(event);
            return Ok(());
        }
        let mut keys = Vec::new();
        change.visit_keys(&mut |key| keys.push(key));
        let before = documents.save(keys.iter().copied())?;
        let projected = catch_unwind(AssertUnwindSafe(|| change.project(documents)));
        let reason = match projected {
            Ok(()) => documents.check(keys.iter().copied()).err().map(|invalid| invalid.to_string()),
            Err(panic) => Some(panicked(&*panic)),
        };
        if let Some(reason) = reason {
            documents.restore(before)?;
            self.park(event, reason);
        }
        Ok(())
    }

    /// Whether an event was found that cannot be projected.
    pub(crate) fn has_poison(&self) -> bool {
        !self.first_poison.is_empty()
    }

    /// What is parked, in order, after so many attempts.
    pub(crate) fn into_parked(mut self, attempts: u32) -> Vec<Parked> {
        self.parked.sort_unstable_by_key(|event| event.position);
        for event in &mut self.parked {
            if self.first_poison.get(&event.aggregate) == Some(&event.position) {
                event.attempts = attempts;
            } else {
                // Whatever else is wrong with an aggregate's later events, they wait behind its first.
                event.reason = None;
            }
        }
        self.parked
    }
}

/// `None`: it concerns no document.
fn decode_and_check<P: Projection>(
    source: &dyn Source<P>,
    recorded: RecordedEvent,
) -> Result<Option<Box<dyn DecodedEvent<P>>>, String> {
    let read = catch_unwind(AssertUnwindSafe(|| source.decode(recorded)));
    let change = read.map_err(|panic| panicked(&*panic))?.map_err(|error| error.to_string())?;
    let (mut any, mut problem) = (false, None);
    change.visit_keys(&mut |key| {
        any = true;
        if problem.is_none() {
            problem = key.problem();
        }
    });
    match problem {
        Some(problem) => Err(problem),
        None => Ok(any.then_some(change)),
    }
}

fn panicked(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the projection panicked: {}", said.unwrap_or("without a word"))
}
