//! One batch of events and what it does to a view. Everything but the loading of documents in its middle is pure.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use dormouse_kernel::{AggregateRef, RecordedEvent};

use crate::documents::{Documents, Unfit};
use crate::key::Key;
use crate::projection::Projection;
use crate::sources::{AnySource, Change, Source};
use crate::store::Parked;

/// The events of a batch that concern a projection, decoded, and those that are parked.
pub(crate) struct Round<P: Projection> {
    changes: Vec<Box<dyn Change<P>>>,
    parked: Vec<Parked>,
}

/// The projection's code panicked over one of the events: what it was at is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panicked;

impl<P: Projection> Round<P> {
    /// Decodes the events of a batch. What cannot be decoded is parked, and so is every event of an aggregate of which an
    /// earlier one is: `waiting` says which those are.
    pub(crate) fn read(
        events: Vec<RecordedEvent>,
        sources: &HashMap<&'static str, AnySource<P>>,
        waiting: &HashSet<AggregateRef>,
    ) -> Self {
        let mut round = Self { changes: Vec::with_capacity(events.len()), parked: Vec::new() };
        let mut stuck: HashSet<AggregateRef> = HashSet::new();
        for recorded in events {
            let Some(source) = sources.get(recorded.aggregate.aggregate_type.as_str()) else { continue };
            let is_stuck = |aggregate| stuck.contains(aggregate) || waiting.contains(aggregate);
            if (!waiting.is_empty() || !stuck.is_empty()) && is_stuck(&recorded.aggregate) {
                round.parked.push(Parked::behind(&recorded));
                continue;
            }
            // Most of it is decoding; what is parked needs no more than this.
            let event = Parked::behind(&recorded);
            match read_one(&**source, recorded) {
                Ok(change) => round.changes.extend(change),
                Err(reason) => {
                    stuck.insert(event.aggregate.clone());
                    round.parked.push(Parked { reason: Some(reason), ..event });
                }
            }
        }
        round
    }

    /// How many events there are to project.
    pub(crate) fn len(&self) -> usize {
        self.changes.len()
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
    /// cannot be stored, it is parked as if it had not come. `stuck` has the aggregates of which that is so.
    pub(crate) fn project_carefully(
        &mut self,
        number: usize,
        stuck: &mut HashSet<AggregateRef>,
        documents: &mut Documents<P::Document>,
    ) -> Result<(), Unfit> {
        let change = &self.changes[number];
        let event = Parked::behind(change.recorded());
        if stuck.contains(&event.aggregate) {
            self.parked.push(event);
            return Ok(());
        }
        let mut keys = Vec::new();
        change.visit_keys(&mut |key| keys.push(key));
        let before = documents.before(keys.iter().copied())?;
        let projected = catch_unwind(AssertUnwindSafe(|| change.project(documents)));
        let reason = match projected {
            Ok(()) => documents.check(keys.iter().copied()).err().map(|unfit| unfit.to_string()),
            Err(panic) => Some(panicked(&*panic)),
        };
        if let Some(reason) = reason {
            documents.restore(before)?;
            stuck.insert(event.aggregate.clone());
            self.parked.push(Parked { reason: Some(reason), ..event });
        }
        Ok(())
    }

    /// What is parked, in order.
    pub(crate) fn into_parked(mut self) -> Vec<Parked> {
        self.parked.sort_unstable_by_key(|event| event.position);
        self.parked
    }
}

/// `None`: it concerns no document.
fn read_one<P: Projection>(
    source: &dyn Source<P>,
    recorded: RecordedEvent,
) -> Result<Option<Box<dyn Change<P>>>, String> {
    let read = catch_unwind(AssertUnwindSafe(|| source.read(recorded)));
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
