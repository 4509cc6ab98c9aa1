//! Views in memory: for tests, and for what need not last.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{self, AtomicBool};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use dormouse_kernel::{AggregateRef, Mark, Position};

use super::{
    Advance, Begin, Build, BuildNumber, Builds, CommitError, DocumentAt, Error, Loaded, Offset, Parked, Row, ViewStore,
};
use crate::definition::Definition;
use crate::key::Key;
use crate::limits::ROW_BYTES;
use crate::query::{Page, Place, Query};

mod matching;

/// Keeps everything in memory, and so loses everything with the process.
#[derive(Debug, Default)]
pub struct Memory {
    views: Mutex<Views>,
    is_closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Views {
    by_name: BTreeMap<String, View>,
    builds: HashMap<BuildNumber, Made>,
    of_journal: Option<Mark>,
    /// The number of the latest build.
    latest: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct View {
    serving: Option<BuildNumber>,
    next: Option<BuildNumber>,
    is_paused: bool,
}

/// What has been made of a build.
#[derive(Debug)]
struct Made {
    version: u32,
    begun_after: Position,
    offset: Offset,
    rows: HashMap<Key, (String, Position)>,
    parked: BTreeMap<Position, Parked>,
}

impl Memory {
    /// No views.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with<T>(&self, what: impl FnOnce(&mut Views) -> Result<T, Error>) -> Result<T, Error> {
        if self.is_closed.load(atomic::Ordering::Acquire) {
            return Err(Error::Unavailable("they were closed".to_owned()));
        }
        what(&mut self.lock())
    }

    /// What is served of a view.
    fn with_served<T>(&self, view: &Definition, what: impl FnOnce(&Made) -> T) -> Result<T, Error> {
        self.with(|views| {
            let serving = views.by_name.get(view.name()).and_then(|view| view.serving);
            let made = serving.and_then(|number| views.builds.get(&number));
            made.map(what).ok_or_else(|| unknown(view))
        })
    }

    fn with_build<T>(&self, build: BuildNumber, what: impl FnOnce(&Made) -> T) -> Result<T, Error> {
        self.with(|views| {
            let gone = || Error::Unavailable(format!("there is no build {}", build.0));
            views.builds.get(&build).map(what).ok_or_else(gone)
        })
    }

    fn lock(&self) -> MutexGuard<'_, Views> {
        // Every change is made whole before the guard goes.
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unknown(view: &Definition) -> Error {
    Error::Unavailable(format!("there is no view {}", view.name()))
}

impl Views {
    fn build(&self, number: BuildNumber) -> Option<Build> {
        let Made { version, begun_after, offset, .. } = self.builds.get(&number)?;
        Some(Build { number, version: *version, begun_after: *begun_after, offset: *offset })
    }
}

#[async_trait]
impl ViewStore for Memory {
    async fn prepare(&self, view: &Definition) -> Result<Builds, Error> {
        self.with(|views| {
            let View { serving, next, is_paused } = views.by_name.get(view.name()).copied().unwrap_or_default();
            let build = |number: Option<BuildNumber>| number.and_then(|number| views.build(number));
            Ok(Builds { serving: build(serving), next: build(next), is_paused })
        })
    }

    async fn begin(&self, view: &Definition, after: Offset, how: Begin) -> Result<Build, Error> {
        self.with(|views| {
            views.latest += 1;
            let number = BuildNumber(views.latest);
            let (version, begun_after) = (view.version(), after.position);
            let made = Made { version, begun_after, offset: after, rows: HashMap::new(), parked: BTreeMap::new() };
            views.builds.insert(number, made);
            let named = views.by_name.entry(view.name().to_owned()).or_default();
            let mut dropped = [named.next.take(), None];
            if how == Begin::Beside && named.serving.is_some() {
                named.next = Some(number);
            } else {
                dropped[1] = named.serving.replace(number);
            }
            dropped.into_iter().flatten().for_each(|build| _ = views.builds.remove(&build));
            Ok(Build { number, version, begun_after, offset: after })
        })
    }

    async fn serve(&self, view: &Definition, build: BuildNumber) -> Result<bool, Error> {
        self.with(|views| {
            let Some(named) = views.by_name.get_mut(view.name()).filter(|view| view.next == Some(build)) else {
                return Ok(false);
            };
            let at = |number| views.builds.get(&number).map(|made| made.offset.position);
            if at(build) < named.serving.and_then(at) {
                return Ok(false);
            }
            named.next = None;
            if let Some(old) = named.serving.replace(build) {
                views.builds.remove(&old);
            }
            Ok(true)
        })
    }

    async fn abandon(&self, view: &Definition) -> Result<(), Error> {
        self.with(|views| {
            let next = views.by_name.get_mut(view.name()).and_then(|view| view.next.take());
            next.into_iter().for_each(|build| _ = views.builds.remove(&build));
            Ok(())
        })
    }

    async fn drop_view(&self, name: &str) -> Result<(), Error> {
        self.with(|views| {
            let View { serving, next, .. } = views.by_name.remove(name).unwrap_or_default();
            serving.into_iter().chain(next).for_each(|build| _ = views.builds.remove(&build));
            Ok(())
        })
    }

    async fn names(&self) -> Result<Vec<String>, Error> {
        self.with(|views| Ok(views.by_name.keys().cloned().collect()))
    }

    async fn of_journal(&self, first: Option<Mark>) -> Result<Option<Mark>, Error> {
        self.with(|views| {
            views.of_journal = views.of_journal.or(first);
            Ok(views.of_journal)
        })
    }

    async fn set_paused(&self, view: &Definition, is_paused: bool) -> Result<(), Error> {
        self.with(|views| {
            views.by_name.entry(view.name().to_owned()).or_default().is_paused = is_paused;
            Ok(())
        })
    }

    async fn load(&self, _: &Definition, build: BuildNumber, keys: &[Key], bytes: usize) -> Result<Loaded, Error> {
        self.with_build(build, |made| {
            let found = keys.iter().filter_map(|key| Some((key, &made.rows.get(key)?.0)));
            let fits = found.clone().map(|(_, json)| json.len()).sum::<usize>() <= bytes;
            fits.then(|| found.map(|(key, json)| (key.clone(), json.clone())).collect())
        })
    }

    async fn commit(&self, _: &Definition, build: BuildNumber, advance: Advance) -> Result<(), CommitError> {
        let Advance { from, to, rows, gone, parked, released } = advance;
        let committed = self.with(|views| {
            let Some(made) = views.builds.get_mut(&build) else { return Ok(Err(None)) };
            if made.offset.position != from {
                return Ok(Err(Some(made.offset.position)));
            }
            made.offset = to;
            let rows = rows.into_iter().map(|Row { key, document, position }| (key, (document, position)));
            made.rows.extend(rows);
            gone.iter().for_each(|key| _ = made.rows.remove(key));
            made.parked.extend(parked.into_iter().map(|parked| (parked.position, parked)));
            released.iter().for_each(|position| _ = made.parked.remove(position));
            Ok(Ok(()))
        });
        committed?.map_err(|found| CommitError::Moved { expected: from, found })
    }

    async fn get(&self, view: &Definition, key: &Key) -> Result<DocumentAt, Error> {
        self.with_served(view, |made| {
            let document = made.rows.get(key).map(|(document, position)| (document.as_str().into(), *position));
            DocumentAt { document, at: made.offset.position }
        })
    }

    async fn list(&self, view: &Definition, query: &Query) -> Result<Page, Error> {
        self.with_served(view, |made| page(made, query))
    }

    async fn parked(
        &self,
        build: BuildNumber,
        of: Option<&AggregateRef>,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Parked>, Error> {
        self.with_build(build, |made| {
            let later = made.parked.range(after.next()..).map(|(_, event)| event);
            later.filter(|event| of.is_none_or(|of| event.aggregate == *of)).take(limit).cloned().collect()
        })
    }

    async fn parked_among(&self, build: BuildNumber, aggregates: &[AggregateRef]) -> Result<Vec<AggregateRef>, Error> {
        self.with_build(build, |made| {
            let parked = parked_aggregates(made);
            aggregates.iter().filter(|aggregate| parked.contains(aggregate)).cloned().collect()
        })
    }

    async fn parked_count(&self, build: BuildNumber) -> Result<usize, Error> {
        self.with_build(build, |made| parked_aggregates(made).len())
    }

    async fn close(&self) {
        self.is_closed.store(true, atomic::Ordering::Release);
    }
}

fn parked_aggregates(made: &Made) -> HashSet<&AggregateRef> {
    made.parked.values().map(|event| &event.aggregate).collect()
}

fn page(made: &Made, query: &Query) -> Page {
    let looked = matching::Looked::at(query);
    let sorted: BTreeSet<Listed> = made
        .rows
        .iter()
        .filter_map(|(key, (document, position))| {
            let row = Row { key: key.clone(), document: document.clone(), position: *position };
            looked.place(query, &row).map(|place| Listed { query, place, row })
        })
        .collect();
    let total = query.is_counting().then_some(sorted.len() as u64);
    let is_behind =
        |listed: &Listed| query.begins_after().is_none_or(|place| matching::order(query, &listed.place, place).is_gt());
    let (mut number, mut bytes) = (0_usize, 0_usize);
    let rest = sorted.into_iter().filter(is_behind).map(|listed| {
        number += 1;
        bytes = bytes.saturating_add(listed.row.document.len() + ROW_BYTES);
        (number == 1 || bytes <= query.bytes()).then_some((listed.row, listed.place.values))
    });
    Page::of(query, rest, made.offset.position, total)
}

/// A document and its place in a list.
struct Listed<'q> {
    query: &'q Query,
    place: Place,
    row: Row,
}

impl Ord for Listed<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        matching::order(self.query, &self.place, &other.place)
    }
}

impl PartialOrd for Listed<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Listed<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Listed<'_> {}
