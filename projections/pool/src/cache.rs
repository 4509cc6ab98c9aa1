//! A cache of the documents and lists that readers ask for. The worker that writes a view invalidates them.

mod load;
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

use metric::Counts;
pub use metric::{Evictions, Usage};
use store::{CacheStore, Content, Read, ReadRef};
pub(crate) use view_cache::ViewCache;

/// A cache of documents and lists of views. Cheap to clone.
///
/// A result names the position at which it is true. The cache gives the same guarantee as the store: a result contains
/// the effect of all events up to its position and of no later event, and the position never decreases. The cache holds
/// entries only for views whose worker runs in this process and announces its changes here. These facts make it exact:
///
/// - **Before a commit** the worker names the documents that it changes ([`ViewCache::commit_begins`]). Their entries
///   are removed, and none is inserted under these keys until the commit is known to have succeeded. Every commit that
///   changes a document counts as a change of all lists. So each entry equals what the store holds before the commit,
///   while the commit becomes visible, and after it.
/// - **The seen position** is the highest position at which a reader may have seen the view. It is raised after each
///   commit, before the commit is reported, and whenever a load has shown a higher position. A hit *first* reads
///   the seen position and *then* the entry. An entry that is still there has survived every change up to that
///   position, so it is true there. Therefore the position of a result grows although its document does not change, and
///   a reader of one document does not find the view further back when it reads the next one.
/// - **If a commit is announced while a load is in flight**, the load's result goes only to the readers that already
///   wait for it. It is not cached, and later readers start their own load. While the outcome of a commit is open,
///   every reader loads for itself what the commit changes.
/// - **A commit without a known outcome** (its reply was lost, or its worker died) may still happen later. What it
///   changes is cached again after the next commit that moves the view on. A store moves a view only from the position
///   that the worker names, so the lost commit can no longer happen then. A commit that releases parked events does not
///   move the view, so it proves nothing about a lost commit at that position. All other entries stay true when a
///   worker restarts.
/// - **Another build** is served only after the cache of the view was closed ([`ViewCache::closes`],
///   [`ViewCache::swap_begins`]). Entries are cached for it once its worker says that it is served
///   ([`ViewCache::serves`]). Every entry belongs to a *generation*; a new generation makes all earlier entries
///   unreachable in one step.
/// - **A view without a worker here** has no entries: its worker was paused or stopped, or other code made the served
///   build.
/// - **If another process moves the view**, a load is further than all announced commits, or a commit finds that the
///   view has moved. The cache of the view is then closed until the worker has found out where the view is.
///
/// A list of a view that is written all the time is removed right after it was inserted. That costs one load, as
/// without a cache, and no memory, because stale lists are removed at once and do not wait for their expiry.
///
/// moka's own single flight (`try_get_with`) inserts every successful result and lets every caller join, so it would
/// cache a load that a commit has overtaken. Therefore the cache has a single flight of its own.
#[derive(Clone, Debug)]
pub struct Cache(Arc<Shared>);

/// The state that the caches of all views share.
#[derive(Debug)]
struct Shared {
    /// Every hit holds the read lock during its lookup. The write lock is taken when the options change.
    /// `None`: caching is off.
    store: RwLock<Option<CacheStore>>,
    options: Mutex<Options>,
    view_caches: Mutex<BTreeMap<&'static str, Arc<ViewCache>>>,
    generations: AtomicU64,
}

/// How a cache is used.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stats {
    /// The limits of the cache.
    pub options: Options,
    /// The sum of all views.
    pub total: Usage,
    /// The usage of each view.
    pub views: BTreeMap<&'static str, Usage>,
}

impl Cache {
    /// An empty cache.
    #[must_use]
    pub fn new(options: Options) -> Self {
        metric::describe();
        Self(Arc::new(Shared {
            store: RwLock::new(CacheStore::of(&options)),
            options: Mutex::new(options),
            view_caches: Mutex::default(),
            generations: AtomicU64::new(0),
        }))
    }

    /// Replaces the options and removes all entries, if the options differ. Loads in flight continue.
    pub fn configure(&self, options: Options) {
        let mut known = locked(&self.0.options);
        if *known == options {
            return;
        }
        let new = CacheStore::of(&options);
        let view_caches = locked(&self.0.view_caches);
        let mut store = self.0.store.write().unwrap_or_else(PoisonError::into_inner);
        // The write lock keeps out inserts while the counts are reset. The old store reports no removals.
        let old = std::mem::replace(&mut *store, new);
        view_caches.values().for_each(|view_cache| view_cache.counts().emptied());
        *known = options;
        // Frees the old entries, up to half a gigabyte by default, without making readers wait.
        drop((store, view_caches, known));
        drop(old);
    }

    /// How the cache is used at this moment.
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

    /// Removes all entries, or those of one view, and returns their number. `None`: there is no such view.
    #[must_use]
    pub fn clear(&self, view: Option<&str>) -> Option<u64> {
        let view_caches = locked(&self.0.view_caches);
        match view {
            Some(view) => view_caches.get(view).map(|view_cache| view_cache.clear()),
            None => Some(view_caches.values().map(|view_cache| view_cache.clear()).sum()),
        }
    }

    /// The cache of one view. It is created empty and closed.
    pub(crate) fn view_cache(&self, view: &'static str) -> Arc<ViewCache> {
        let mut view_caches = locked(&self.0.view_caches);
        Arc::clone(view_caches.entry(view).or_insert_with(|| Arc::new(ViewCache::new(view, Arc::clone(&self.0)))))
    }
}

impl Shared {
    fn is_on(&self) -> bool {
        self.store().is_some()
    }

    fn get(&self, generation: u64, read: ReadRef<'_>) -> Option<Content> {
        self.store().as_ref()?.get(generation, read)
    }

    fn has(&self, generation: u64, read: ReadRef<'_>) -> bool {
        self.store().as_ref().is_some_and(|store| store.has(generation, read))
    }

    fn insert(&self, generation: u64, read: Read, content: Content, counts: &Arc<Counts>) {
        if let Some(store) = &*self.store() {
            store.insert(generation, read, content, counts);
        }
    }

    fn remove<'a>(&self, generation: u64, reads: impl Iterator<Item = ReadRef<'a>>) {
        if let Some(store) = &*self.store() {
            reads.for_each(|read| store.remove(generation, read));
        }
    }

    fn sweep(&self, generation: u64) {
        if let Some(store) = &*self.store() {
            store.sweep(generation);
        }
    }

    fn next_generation(&self) -> u64 {
        self.generations.fetch_add(1, Ordering::Relaxed)
    }

    fn store(&self) -> RwLockReadGuard<'_, Option<CacheStore>> {
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is complete before its guard is dropped.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
