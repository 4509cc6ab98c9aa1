//! Views in memory: for tests, and for what need not last.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use dormouse_kernel::{AggregateRef, Position};

use super::{Advance, CommitError, Error, Found, Offset, Parked, Row, ViewStore};
use crate::definition::Definition;
use crate::key::Key;

/// Keeps everything in memory, and so loses everything with the process.
#[derive(Debug, Default)]
pub struct Memory {
    views: Mutex<Views>,
    is_closed: AtomicBool,
}

#[derive(Debug)]
struct View {
    version: u32,
    offset: Offset,
    rows: HashMap<Key, (String, Position)>,
    parked: BTreeMap<Position, Parked>,
}

impl View {
    fn empty(version: u32) -> Self {
        Self { version, offset: Offset::START, rows: HashMap::new(), parked: BTreeMap::new() }
    }
}

type Views = HashMap<&'static str, View>;

impl Memory {
    /// No views.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with<T>(&self, what: impl FnOnce(&mut Views) -> Result<T, Error>) -> Result<T, Error> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(Error::Unavailable("they were closed".to_owned()));
        }
        what(&mut self.lock())
    }

    fn with_view<T>(&self, view: &Definition, what: impl FnOnce(&mut View) -> T) -> Result<T, Error> {
        self.with(|views| match views.get_mut(view.name()) {
            Some(view) => Ok(what(view)),
            None => Err(Error::Unavailable(format!("there is no view {}", view.name()))),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Views> {
        // Every change is made whole before the guard goes.
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ViewStore for Memory {
    async fn prepare(&self, view: &Definition) -> Result<Offset, Error> {
        self.with(|views| {
            let standing = views.entry(view.name()).or_insert_with(|| View::empty(view.version()));
            if standing.version != view.version() {
                *standing = View::empty(view.version());
            }
            Ok(standing.offset)
        })
    }

    async fn reset(&self, view: &Definition) -> Result<(), Error> {
        self.with(|views| {
            views.insert(view.name(), View::empty(view.version()));
            Ok(())
        })
    }

    async fn load(&self, view: &Definition, keys: &[Key]) -> Result<Vec<(Key, String)>, Error> {
        self.with_view(view, |view| {
            keys.iter().filter_map(|key| Some((key.clone(), view.rows.get(key)?.0.clone()))).collect()
        })
    }

    async fn commit(&self, view: &Definition, advance: Advance) -> Result<(), CommitError> {
        let Advance { from, to, rows, gone, parked } = advance;
        let committed = self.with(|views| {
            let standing = views.get_mut(view.name()).filter(|standing| standing.version == view.version());
            let Some(standing) = standing else { return Ok(Err(None)) };
            if standing.offset.position != from {
                return Ok(Err(Some(standing.offset.position)));
            }
            standing.offset = to;
            let rows = rows.into_iter().map(|Row { key, document, position }| (key, (document, position)));
            standing.rows.extend(rows);
            gone.iter().for_each(|key| _ = standing.rows.remove(key));
            standing.parked.extend(parked.into_iter().map(|parked| (parked.position, parked)));
            Ok(Ok(()))
        });
        committed?.map_err(|found| CommitError::Moved { expected: from, found })
    }

    async fn get(&self, view: &Definition, key: &Key) -> Result<Found, Error> {
        self.with_view(view, |view| Found { document: view.rows.get(key).cloned(), at: view.offset.position })
    }

    async fn parked(&self, view: &Definition, after: Position, limit: usize) -> Result<Vec<Parked>, Error> {
        self.with_view(view, |view| {
            view.parked.range(after.next()..).take(limit).map(|(_, event)| event.clone()).collect()
        })
    }

    async fn parked_aggregates(&self, view: &Definition, limit: usize) -> Result<Vec<AggregateRef>, Error> {
        self.with_view(view, |view| {
            let aggregates: HashSet<&AggregateRef> = view.parked.values().map(|event| &event.aggregate).collect();
            aggregates.into_iter().take(limit).cloned().collect()
        })
    }

    async fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }
}
