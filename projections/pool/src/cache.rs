//! Answers of views, kept in memory until whoever writes the view changes them.

mod counts;
mod metric;
mod store;
#[cfg(test)]
mod tests;
mod view_cache;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use dormouse_config::Cache as Options;
use serde::Serialize;

pub use counts::{Evictions, Usage};
use store::{Answer, Asked, CacheStore, Question};
pub(crate) use view_cache::ViewCache;

/// Answers of views, kept in memory. Cheap to clone.
///
/// An answer says how far the view was, and the cache answers as the store does: what the events up to there made of it,
/// nothing later, never going back. It does so for views whose worker runs in this process and says here what it is about
/// to do; a view that others move is not kept. Why this is exact:
///
/// - **Before a commit** the worker names what it changes ([`ViewCache::writing`]). That is dropped, and nothing is kept under
///   these names until the commit is known to have succeeded. Lists count as changed by every commit that changes any
///   document. So whatever is kept is what the store holds, before the commit, while it becomes visible, and after it.
/// - **How far the view was seen** is noted after a commit and before anybody is told, and whenever a load has shown it. A
///   hit is true up to there: what it reads *first* is how far the view was seen, and only then the answer, which has
///   outlived every change up to there. So the position of an answer grows although its document stays the same, and who
///   has read one document does not find the view further back at the next.
/// - **A load that a commit overtakes** is forgotten when the commit is announced: it answers those who asked before, is
///   not kept, and whoever asks from then on does not wait for it. While the end of a commit is open, what it changes is
///   loaded by everybody alone.
/// - **A commit whose answer is lost**, or whose worker died over it, may happen later. What it changes is kept again
///   after the next commit that moves the view on: stores move a view only from where the worker believes it is, so the
///   lost one can no longer happen then. One that releases parked events leaves the view where it is, and says nothing
///   about those that were lost there. A worker that is restarted finds everything else as true as it left it.
/// - **Another build** is served only after the view_cache was closed ([one way](ViewCache::closes) or
///   [the other](ViewCache::gives_way_to)), and kept after its worker said that it [is](ViewCache::serves). Answers belong to a *turn*; a new one puts all earlier ones out of reach at once.
/// - **A view without a worker** is not kept: the worker was paused or stopped, or what is served was made by other code.
/// - **Somebody else who moves the view** shows when a load is further than any commit that was announced, or when a
///   commit finds the view moved: the view_cache is closed until the worker knows where it is.
///
/// A list of a view that is written all the time is dropped as soon as it is there; it costs one load, as without a cache,
/// and no memory, because lists are removed and not left to grow old.
#[derive(Clone, Debug)]
pub struct Cache(Arc<Shared>);

/// What the view_caches have in common.
#[derive(Debug)]
struct Shared {
    /// Read by every hit, for as long as it looks; written when the options change. `None`: nothing is kept.
    store: RwLock<Option<CacheStore>>,
    options: Mutex<Options>,
    view_caches: Mutex<BTreeMap<&'static str, Arc<ViewCache>>>,
    turns: AtomicU64,
}

/// How a cache is used.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stats {
    /// What it may use.
    pub options: Options,
    /// All views together.
    pub total: Usage,
    /// Each view.
    pub views: BTreeMap<&'static str, Usage>,
}

impl Cache {
    /// An empty one.
    #[must_use]
    pub fn new(options: Options) -> Self {
        metric::describe();
        Self(Arc::new(Shared {
            store: RwLock::new(CacheStore::of(&options)),
            options: Mutex::new(options),
            view_caches: Mutex::default(),
            turns: AtomicU64::new(0),
        }))
    }

    /// Goes on with other options, and empty, if they differ. Reads that are under way are not disturbed.
    pub fn configure(&self, options: Options) {
        let mut known = locked(&self.0.options);
        if *known == options {
            return;
        }
        let new = CacheStore::of(&options);
        let view_caches = locked(&self.0.view_caches);
        let mut store = self.0.store.write().unwrap_or_else(PoisonError::into_inner);
        // Nobody puts anything in while it is replaced, and what is in the old one goes without being counted.
        let old = std::mem::replace(&mut *store, new);
        view_caches.values().for_each(|view_cache| view_cache.counts().emptied());
        *known = options;
        // Readers need not wait while half a gigabyte is freed.
        drop((store, view_caches, known));
        drop(old);
    }

    /// How it is used.
    #[must_use]
    pub fn stats(&self) -> Stats {
        if let Some(store) = &*self.0.store() {
            store.settle();
        }
        let options = locked(&self.0.options).clone();
        let view_caches = locked(&self.0.view_caches);
        let views: BTreeMap<_, _> =
            view_caches.iter().map(|(name, view_cache)| (*name, view_cache.counts().usage())).collect();
        let mut total = Usage::default();
        views.values().for_each(|usage| total += *usage);
        Stats { options, total, views }
    }

    /// Drops all answers, or those of one view; says how many. `None`: there is no such view.
    #[must_use]
    pub fn clear(&self, view: Option<&str>) -> Option<u64> {
        let view_caches = locked(&self.0.view_caches);
        match view {
            Some(view) => view_caches.get(view).map(|view_cache| view_cache.clear()),
            None => Some(view_caches.values().map(|view_cache| view_cache.clear()).sum()),
        }
    }

    /// What it has of one view: nothing, at first.
    pub(crate) fn view_cache(&self, view: &'static str) -> Arc<ViewCache> {
        let mut view_caches = locked(&self.0.view_caches);
        Arc::clone(view_caches.entry(view).or_insert_with(|| Arc::new(ViewCache::new(view, Arc::clone(&self.0)))))
    }
}

impl Shared {
    fn is_on(&self) -> bool {
        self.store().is_some()
    }

    fn get(&self, turn: u64, asked: Asked<'_>) -> Option<Answer> {
        self.store().as_ref()?.get(turn, asked)
    }

    fn has(&self, turn: u64, asked: Asked<'_>) -> bool {
        self.store().as_ref().is_some_and(|store| store.has(turn, asked))
    }

    fn insert(&self, turn: u64, question: Question, answer: Answer, counts: &Arc<counts::Counts>) {
        if let Some(store) = &*self.store() {
            store.insert(turn, question, answer, counts);
        }
    }

    fn remove<'a>(&self, turn: u64, asked: impl Iterator<Item = Asked<'a>>) {
        if let Some(store) = &*self.store() {
            asked.for_each(|asked| store.remove(turn, asked));
        }
    }

    fn sweep(&self, turn: u64) {
        if let Some(store) = &*self.store() {
            store.sweep(turn);
        }
    }

    fn next_turn(&self) -> u64 {
        self.turns.fetch_add(1, Ordering::Relaxed)
    }

    fn store(&self) -> RwLockReadGuard<'_, Option<CacheStore>> {
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn locked<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is made whole before the guard goes.
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
