//! Views in memory: for tests, and for views that need not survive the process.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{self, AtomicBool};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use dormouse_kernel::{AggregateRef, Mark, Position};

use super::{
    Advance, Begin, Build, BuildNumber, Builds, CommitError, DocumentAt, Error, Loaded, Offset, Parked, Row, ViewStore,
    no_build, no_view,
};
use crate::definition::Definition;
use crate::key::Key;
use crate::limits::ROW_BYTES;
use crate::query::{Page, Place, Query};

mod matching;

/// Keeps views in memory. They are lost when the process ends.
#[derive(Debug, Default)]
pub struct Memory {
    views: Mutex<Views>,
    is_closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Views {
    by_name: BTreeMap<String, View>,
    builds: HashMap<BuildNumber, StoredBuild>,
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

/// The content of a build.
#[derive(Debug)]
struct StoredBuild {
    version: u32,
    begun_after: Position,
    offset: Offset,
    rows: HashMap<Key, (String, Position)>,
    parked: BTreeMap<Position, Parked>,
}

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with<T>(&self, what: impl FnOnce(&mut Views) -> Result<T, Error>) -> Result<T, Error> {
        if self.is_closed.load(atomic::Ordering::Acquire) {
            return Err(Error::Unavailable("the store is closed".to_owned()));
        }
        what(&mut self.lock())
    }

    /// Reads the served build of a view.
    fn with_served<T>(&self, view: &Definition, what: impl FnOnce(&StoredBuild) -> T) -> Result<T, Error> {
        self.with(|views| {
            let serving = views.by_name.get(view.name()).and_then(|view| view.serving);
            let stored = serving.and_then(|number| views.builds.get(&number));
            stored.map(what).ok_or_else(|| no_view(view.name()))
        })
    }

    fn with_build<T>(&self, build: BuildNumber, what: impl FnOnce(&StoredBuild) -> T) -> Result<T, Error> {
        self.with(|views| views.builds.get(&build).map(what).ok_or_else(|| no_build(build)))
    }

    fn lock(&self) -> MutexGuard<'_, Views> {
        // Every change is complete before its guard is dropped.
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Views {
    fn build(&self, number: BuildNumber) -> Option<Build> {
        let StoredBuild { version, begun_after, offset, .. } = self.builds.get(&number)?;
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
            let stored =
                StoredBuild { version, begun_after, offset: after, rows: HashMap::new(), parked: BTreeMap::new() };
            views.builds.insert(number, stored);
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
            let at = |number| views.builds.get(&number).map(|stored| stored.offset.position);
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
        self.with_build(build, |stored| {
            let found = keys.iter().filter_map(|key| Some((key, &stored.rows.get(key)?.0)));
            let fits = found.clone().map(|(_, json)| json.len()).sum::<usize>() <= bytes;
            fits.then(|| found.map(|(key, json)| (key.clone(), json.clone())).collect())
        })
    }

    async fn commit(&self, _: &Definition, build: BuildNumber, advance: Advance) -> Result<(), CommitError> {
        let Advance { from, to, rows, gone, parked, released } = advance;
        let committed = self.with(|views| {
            let Some(stored) = views.builds.get_mut(&build) else { return Ok(Err(None)) };
            if stored.offset.position != from {
                return Ok(Err(Some(stored.offset.position)));
            }
            stored.offset = to;
            let rows = rows.into_iter().map(|Row { key, document, position }| (key, (document, position)));
            stored.rows.extend(rows);
            gone.iter().for_each(|key| _ = stored.rows.remove(key));
            stored.parked.extend(parked.into_iter().map(|parked| (parked.position, parked)));
            released.iter().for_each(|position| _ = stored.parked.remove(position));
            Ok(Ok(()))
        });
        committed?.map_err(|found| CommitError::Moved { expected: from, found })
    }

    async fn get(&self, view: &Definition, key: &Key) -> Result<DocumentAt, Error> {
        self.with_served(view, |stored| {
            let document = stored.rows.get(key).map(|(document, position)| (document.as_str().into(), *position));
            DocumentAt { document, at: stored.offset.position }
        })
    }

    async fn list(&self, view: &Definition, query: &Query) -> Result<Page, Error> {
        self.with_served(view, |stored| page(stored, query))
    }

    async fn parked(
        &self,
        build: BuildNumber,
        of: Option<&AggregateRef>,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Parked>, Error> {
        self.with_build(build, |stored| {
            let later = stored.parked.range(after.next()..).map(|(_, event)| event);
            later.filter(|event| of.is_none_or(|of| event.aggregate == *of)).take(limit).cloned().collect()
        })
    }

    async fn parked_among(&self, build: BuildNumber, aggregates: &[AggregateRef]) -> Result<Vec<AggregateRef>, Error> {
        self.with_build(build, |stored| {
            let parked = parked_aggregates(stored);
            aggregates.iter().filter(|aggregate| parked.contains(aggregate)).cloned().collect()
        })
    }

    async fn parked_count(&self, build: BuildNumber) -> Result<usize, Error> {
        self.with_build(build, |stored| parked_aggregates(stored).len())
    }

    async fn close(&self) {
        self.is_closed.store(true, atomic::Ordering::Release);
    }
}

fn parked_aggregates(stored: &StoredBuild) -> HashSet<&AggregateRef> {
    stored.parked.values().map(|event| &event.aggregate).collect()
}

fn page(stored: &StoredBuild, query: &Query) -> Page {
    let fields = matching::ReadFields::of(query);
    let sorted: BTreeSet<Listed> = stored
        .rows
        .iter()
        .filter_map(|(key, (document, position))| {
            let row = Row { key: key.clone(), document: document.clone(), position: *position };
            fields.place(query, &row).map(|place| Listed { query, place, row })
        })
        .collect();
    let total = query.is_counting().then_some(sorted.len() as u64);
    let is_after =
        |listed: &Listed| query.begins_after().is_none_or(|place| matching::order(query, &listed.place, place).is_gt());
    let (mut number, mut bytes) = (0_usize, 0_usize);
    let rest = sorted.into_iter().filter(is_after).map(|listed| {
        number += 1;
        bytes = bytes.saturating_add(listed.row.document.len() + ROW_BYTES);
        (number == 1 || bytes <= query.bytes()).then_some((listed.row, listed.place.values))
    });
    Page::of(query, rest, stored.offset.position, total)
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
