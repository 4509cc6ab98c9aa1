//! The cache of one view: readers look here first, and the worker that moves the view announces its changes here.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dormouse_kernel::Position;

use super::Shared;
use super::load::LoadsInFlight;
use super::metric::Counts;
use super::store::{Content, ReadRef};
use crate::key::Key;
use crate::query::{Page, Query};
use crate::store::{Advance, BuildNumber, CommitError, DocumentAt, Error, Offset};

/// See [`Cache`](super::Cache) for why its results are true.
#[derive(Debug)]
pub(crate) struct ViewCache {
    pub(super) cache: Arc<Shared>,
    pub(super) counts: Arc<Counts>,
    /// Entries of another generation are unreachable.
    generation: AtomicU64,
    /// The highest position at which a reader may have seen the view, in the current generation. A reader loads the
    /// generation before and after it. Both change only under the lock of the write state, the generation first.
    seen: AtomicU64,
    write_state: Mutex<WriteState>,
}

/// What the worker has announced, and the loads in flight. The lock is held for moments only; a hit does not take it.
#[derive(Debug)]
pub(super) struct WriteState {
    serving: Serving,
    /// The build that the worker moves, whose commits are tracked. `None` before the first one is served.
    build: Option<BuildNumber>,
    /// The furthest position to which the worker has announced a commit.
    announced: Position,
    uncertain: UncertainCommits,
    pub(super) loads: LoadsInFlight,
    /// The lists that are cached, and some that were removed since.
    lists: HashSet<Arc<str>>,
}

/// Whether entries may be inserted and read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Serving {
    /// No: the worker does not run here, or another process has moved the view.
    Closed,
    /// Yes: the worker runs here, and no other process is known to move the view.
    Open,
    /// No: the successor may be served at any moment, or is served already. `reopens`: the old build is cached again if
    /// the swap fails.
    Swapping { successor: BuildNumber, reopens: bool },
}

/// The commits whose outcome is not known: the one in progress, and those that were lost.
#[derive(Debug, Default)]
struct UncertainCommits {
    /// The documents that they change. A load may show them as they were before or after.
    keys: HashSet<Key>,
    /// The furthest position from which one of them moves the view. `None`: there are none.
    from: Option<Position>,
    /// The same, without the commit in progress.
    lost_from: Option<Position>,
}

/// For readers.
impl ViewCache {
    /// The document under a key, if it is cached. Waits for nothing.
    pub(crate) fn document(&self, key: &Key) -> Option<DocumentAt> {
        self.find(ReadRef::Document(key)).and_then(Content::into_document)
    }

    /// The document under a key that is not cached. The future `load` reads it from the store.
    pub(crate) async fn load_document(
        &self,
        key: &Key,
        load: impl Future<Output = Result<DocumentAt, Error>>,
    ) -> Result<DocumentAt, Error> {
        let load = async { Ok(Content::Document(load.await?)) };
        let content = self.load(ReadRef::Document(key), load).await?;
        content.into_document().ok_or_else(|| unreachable!("a key finds a document"))
    }

    /// A page, from the cache or from the store. The future `load` reads it from the store.
    pub(crate) async fn list(
        &self,
        query: &Query,
        load: impl Future<Output = Result<Page, Error>>,
    ) -> Result<Page, Error> {
        let load = async { Ok(Content::List(Arc::new(load.await?))) };
        if !self.cache.is_on() {
            // Saves the canonical form of the query.
            return self.load_alone(self.generation(), load).await.map(Content::into_page);
        }
        let query: Arc<str> = query.canonical().into();
        let read = ReadRef::List(&query);
        if let Some(content) = self.find(read) {
            return Ok(content.into_page());
        }
        Ok(self.load(read, load).await?.into_page())
    }

    fn find(&self, read: ReadRef<'_>) -> Option<Content> {
        let generation = self.generation();
        let seen = self.seen();
        if self.generation() != generation {
            return None;
        }
        // Last: an entry that is found now has survived every change up to the seen position.
        let content = self.cache.get(generation, read)?;
        self.counts.hit();
        Some(content.no_earlier_than(seen))
    }
}

/// For the worker that moves the view.
impl ViewCache {
    pub(super) fn new(view: &'static str, cache: Arc<Shared>) -> Self {
        let generation = AtomicU64::new(cache.next_generation());
        let write_state = WriteState {
            serving: Serving::Closed,
            build: None,
            announced: Position::ZERO,
            uncertain: UncertainCommits::default(),
            loads: LoadsInFlight::default(),
            lists: HashSet::new(),
        };
        let counts = Arc::new(Counts::of(view));
        Self { cache, counts, generation, seen: AtomicU64::new(0), write_state: Mutex::new(write_state) }
    }

    /// This build is served and has this offset, from which the worker continues. Call it before the position of the
    /// view is reported. Entries stay if they are of this build and no other process can have moved it.
    pub(crate) fn serves(&self, build: BuildNumber, offset: Offset) {
        let mut state = self.write_state();
        if matches!(state.serving, Serving::Swapping { successor, .. } if successor != build) {
            return;
        }
        let at = offset.position;
        let is_known = state.is_open() && state.build == Some(build) && at <= state.announced;
        if !is_known {
            self.begin_generation(&mut state);
            if state.build != Some(build) {
                state.uncertain.clear();
            }
            // After the generation: see `find`.
            self.seen.store(at.0, Ordering::Release);
            state.announced = at;
            state.build = Some(build);
            state.serving = Serving::Open;
        }
        self.raise_seen(at);
    }

    /// Another build is about to be served, or none, or the worker ends and other processes may move the view. Nothing
    /// is cached until [`serves`](Self::serves) is called.
    pub(crate) fn closes(&self) {
        let mut state = self.write_state();
        self.close(&mut state);
        state.serving = Serving::Closed;
    }

    /// This build is about to take the place of the served one, whose worker may still say that it is served. Nothing
    /// is cached until the successor [is served](Self::serves), or the [swap fails](Self::swap_failed).
    pub(crate) fn swap_begins(&self, successor: BuildNumber) {
        let mut state = self.write_state();
        let reopens = state.is_open();
        self.close(&mut state);
        state.serving = Serving::Swapping { successor, reopens };
    }

    /// This build was not served: the old one still is. It is cached as before, if nothing else has closed the cache.
    pub(crate) fn swap_failed(&self, build: BuildNumber) {
        let mut state = self.write_state();
        if let Serving::Swapping { successor, reopens } = state.serving
            && successor == build
        {
            state.serving = if reopens { Serving::Open } else { Serving::Closed };
        }
    }

    /// This build no longer exists.
    pub(crate) fn loses(&self, build: BuildNumber) {
        let mut state = self.write_state();
        if state.build == Some(build) {
            self.close(&mut state);
        }
        if matches!(state.serving, Serving::Swapping { successor, .. } if successor == build) {
            state.serving = Serving::Closed;
        }
    }

    /// A commit is about to begin. Nothing that it changes is cached until its [outcome](Self::commit_ended) is known.
    /// The caller need not know whether the build is served: a build that is not served has no readers.
    pub(crate) fn commit_begins(&self, build: BuildNumber, advance: &Advance) {
        let Advance { from, to, rows, gone, .. } = advance;
        let keys = || rows.iter().map(|row| &row.key).chain(gone);
        let mut state = self.write_state();
        if state.build != Some(build) {
            return;
        }
        state.announced = state.announced.max(to.position);
        state.uncertain.lost_from = state.uncertain.from;
        if keys().next().is_none() {
            return;
        }
        let WriteState { uncertain, loads, lists, .. } = &mut *state;
        uncertain.from = uncertain.from.max(Some(*from));
        uncertain.keys.extend(keys().cloned());
        // Readers that begin from now on must not get the results of these loads.
        loads.retain(|read| !uncertain.may_change(read));
        let lists = std::mem::take(lists);
        let generation = self.generation();
        drop(state);
        // The loads that were in flight can no longer be cached, so the entries that are there now are all.
        if self.counts.entries() > 0 {
            self.cache.remove(generation, keys().map(ReadRef::Document).chain(lists.iter().map(ReadRef::List)));
        }
    }

    /// The outcome of a commit. If it is not known, or this is never called, the commit may have happened or may still
    /// happen. What it changes is cached again after the next commit that moves the view on, which makes it impossible.
    pub(crate) fn commit_ended(&self, build: BuildNumber, to: Offset, outcome: &Result<(), CommitError>) {
        let mut state = self.write_state();
        if state.build != Some(build) {
            return;
        }
        match outcome {
            Ok(()) => {
                if state.uncertain.lost_from.is_none_or(|from| to.position > from) {
                    state.uncertain.clear();
                }
                // Also while the cache is closed: a failed swap may reopen it.
                self.raise_seen(to.position);
            }
            Err(CommitError::Failed(_)) => {}
            // Another process has moved the build, and does not announce its changes here.
            Err(CommitError::Moved { .. }) => self.close(&mut state),
        }
    }
}

/// For readers and for the worker.
impl ViewCache {
    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Removes all entries and returns their number.
    pub(super) fn clear(&self) -> u64 {
        let mut state = self.write_state();
        let before = self.counts.entries();
        self.begin_generation(&mut state);
        before
    }

    /// Records that a load has shown the view at this position. Call it before the reader gets the result.
    pub(super) fn note_seen(&self, state: &mut WriteState, generation: u64, at: Position) {
        if generation != self.generation() || !state.is_open() {
            return;
        }
        if at > state.announced {
            // Another process moves the view and announces nothing here.
            self.close(state);
        } else {
            self.raise_seen(at);
        }
    }

    /// Remembers a cached list, so that a commit can remove it. Once the lists that were
    /// removed since outnumber the entries, they are forgotten.
    pub(super) fn remember_list(&self, state: &mut WriteState, generation: u64, query: &Arc<str>) {
        let most = 2 * usize::try_from(self.counts.entries()).unwrap_or(usize::MAX / 2) + 64;
        if state.lists.len() >= most {
            state.lists.retain(|query| self.cache.has(generation, ReadRef::List(query)));
        }
        state.lists.insert(Arc::clone(query));
    }

    /// Stops caching. A swap in progress stays known, but does not reopen the cache if it fails.
    fn close(&self, state: &mut WriteState) {
        state.serving = match state.serving {
            Serving::Open | Serving::Closed => Serving::Closed,
            Serving::Swapping { successor, .. } => Serving::Swapping { successor, reopens: false },
        };
        self.begin_generation(state);
    }

    /// Makes all entries unreachable. The loads in flight will not be cached and cannot be joined.
    fn begin_generation(&self, state: &mut WriteState) {
        let before = self.generation();
        self.generation.store(self.cache.next_generation(), Ordering::Release);
        state.loads.clear();
        state.lists.clear();
        self.cache.sweep(before);
    }

    fn raise_seen(&self, at: Position) {
        self.seen.fetch_max(at.0, Ordering::AcqRel);
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(super) fn seen(&self) -> Position {
        Position(self.seen.load(Ordering::Acquire))
    }

    pub(super) fn write_state(&self) -> MutexGuard<'_, WriteState> {
        // A panic may have interrupted a change after any step. A new generation makes that harmless.
        self.write_state.lock().unwrap_or_else(|poisoned| {
            let mut state = PoisonError::into_inner(poisoned);
            self.write_state.clear_poison();
            self.close(&mut state);
            state
        })
    }

    /// How many lists are remembered.
    #[cfg(test)]
    pub(super) fn lists(&self) -> usize {
        self.write_state().lists.len()
    }
}

impl WriteState {
    pub(super) fn is_open(&self) -> bool {
        self.serving == Serving::Open
    }

    /// Whether a commit with an unknown outcome may change what this reads.
    pub(super) fn is_uncertain(&self, read: ReadRef<'_>) -> bool {
        self.uncertain.may_change(read)
    }
}

impl UncertainCommits {
    fn may_change(&self, read: ReadRef<'_>) -> bool {
        match read {
            ReadRef::Document(key) => self.keys.contains(key),
            ReadRef::List(_) => self.from.is_some(),
        }
    }

    fn clear(&mut self) {
        self.keys.clear();
        (self.from, self.lost_from) = (None, None);
    }
}
