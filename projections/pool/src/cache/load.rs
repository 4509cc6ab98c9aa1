//! A miss: one reader, the leader, loads from the store, and other readers wait for its load where that is allowed.

use std::collections::HashMap;

use dormouse_kernel::Position;
use tokio::sync::watch;

use super::store::{Content, Read, ReadRef};
use super::view_cache::ViewCache;
use crate::store::Error;

/// How a load ended.
pub(super) type Completion = Result<Content, Error>;

/// The loads in flight of one view that later readers may join.
#[derive(Debug, Default)]
pub(super) struct LoadsInFlight {
    loads: HashMap<Read, LoadInFlight>,
    /// How many have begun: the number of the latest one.
    begun: u64,
}

#[derive(Debug)]
struct LoadInFlight {
    number: u64,
    /// The seen position of the view when the load began.
    seen_at_start: Position,
    completion: watch::Receiver<Option<Completion>>,
}

impl LoadsInFlight {
    /// Keeps those loads that later readers may still join.
    pub(super) fn retain(&mut self, mut may_be_joined: impl FnMut(ReadRef<'_>) -> bool) {
        self.loads.retain(|read, _| may_be_joined(read.borrowed()));
    }

    pub(super) fn clear(&mut self) {
        self.loads.clear();
    }

    /// Whether this load is still the one that later readers join: no commit and no new generation has removed it.
    fn contains(&self, read: &Read, number: u64) -> bool {
        self.loads.get(read).is_some_and(|load| load.number == number)
    }
}

/// How a reader gets what is not in the cache.
enum Source<'a> {
    /// Another reader's load has put it into the cache meanwhile.
    Cached(Content),
    /// The reader loads it for itself. Nobody joins, and nothing is cached.
    Alone { generation: u64 },
    /// The reader loads it for all readers.
    Lead(Leader<'a>),
    /// The reader waits for the leader's load.
    Join { completion: watch::Receiver<Option<Completion>>, seen_at_start: Position, seen: Position },
}

/// The reader that loads for all. Other readers notice when it is dropped without a completion.
struct Leader<'a> {
    view_cache: &'a ViewCache,
    read: Read,
    number: u64,
    generation: u64,
    seen_at_start: Position,
    completion: watch::Sender<Option<Completion>>,
}

impl ViewCache {
    /// Gets what is not in the cache. The future `load` reads it from the store, unless another reader does.
    pub(super) async fn load(&self, read: ReadRef<'_>, load: impl Future<Output = Completion>) -> Completion {
        let mut source = self.source(read);
        match source {
            Source::Cached(_) => self.counts.hit(),
            _ if self.cache.is_on() => self.counts.missed(),
            _ => {}
        }
        loop {
            match source {
                Source::Cached(content) => return Ok(content),
                Source::Alone { generation } => return self.load_alone(generation, load).await,
                Source::Lead(leader) => {
                    let loaded = self.counted(load).await;
                    leader.complete(&loaded);
                    return loaded;
                }
                Source::Join { mut completion, seen_at_start, seen } => {
                    // An error: the leader was cancelled.
                    let completed = completion.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
                    if let Some(completed) = completed {
                        // A load may show an earlier state than `seen_at_start`, for instance from a replica. Then it
                        // is true only at its own position.
                        let is_behind = |content: &Content| content.at() < seen_at_start;
                        return completed
                            .map(|content| if is_behind(&content) { content } else { content.no_earlier_than(seen) });
                    }
                    source = self.source(read);
                }
            }
        }
    }

    pub(super) async fn load_alone(&self, generation: u64, load: impl Future<Output = Completion>) -> Completion {
        let loaded = self.counted(load).await;
        if let Ok(content) = &loaded {
            self.note_seen(&mut self.write_state(), generation, content.at());
        }
        loaded
    }

    async fn counted(&self, load: impl Future<Output = Completion>) -> Completion {
        let _in_flight_until_it_ends_or_is_cancelled = self.counts.loading();
        load.await
    }

    fn source(&self, read: ReadRef<'_>) -> Source<'_> {
        let mut state = self.write_state();
        let (generation, seen) = (self.generation(), self.seen());
        if !state.is_open() || !self.cache.is_on() || state.is_uncertain(read) {
            return Source::Alone { generation };
        }
        if let Some(content) = self.cache.get(generation, read) {
            return Source::Cached(content.no_earlier_than(seen));
        }
        let read = read.to_read();
        let LoadsInFlight { loads, begun } = &mut state.loads;
        if let Some(LoadInFlight { seen_at_start, completion, .. }) = loads.get(&read) {
            return Source::Join { completion: completion.clone(), seen_at_start: *seen_at_start, seen };
        }
        *begun += 1;
        let (number, seen_at_start) = (*begun, seen);
        let (sender, completion) = watch::channel(None);
        loads.insert(read.clone(), LoadInFlight { number, seen_at_start, completion });
        Source::Lead(Leader { view_cache: self, read, number, generation, seen_at_start, completion: sender })
    }
}

impl Leader<'_> {
    /// Gives what was loaded to the readers that wait. Caches it, unless it was out of date before it arrived.
    fn complete(self, loaded: &Completion) {
        let Self { view_cache, read, number, generation, seen_at_start, completion } = &self;
        if let Ok(content) = loaded {
            let mut state = view_cache.write_state();
            view_cache.note_seen(&mut state, *generation, content.at());
            if state.loads.contains(read, *number) && content.at() >= *seen_at_start {
                if let Read::List(query) = read {
                    view_cache.remember_list(&mut state, *generation, query);
                }
                view_cache.cache.insert(*generation, read.clone(), content.clone(), &view_cache.counts);
            }
        }
        completion.send_replace(Some(loaded.clone()));
    }
}

/// Runs also if the leader was cancelled without a completion. Then one of the waiting readers leads next.
impl Drop for Leader<'_> {
    fn drop(&mut self) {
        let mut state = self.view_cache.write_state();
        if state.loads.contains(&self.read, self.number) {
            state.loads.loads.remove(&self.read);
        }
    }
}
