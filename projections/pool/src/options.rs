//! How workers work.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use dormouse_config::{Cache, Config, Supervision};
use dormouse_kernel::Limits;
use dormouse_storage::Backoff;

/// How workers work.
#[derive(Clone, Debug)]
pub struct Options {
    /// Most events in one batch, which is one transaction of the view store. Default 8,192: from 2,000 to 8,000 it gained
    /// 60 % on SQLite, and a live view gets smaller ones anyway.
    pub batch_events: NonZeroUsize,
    /// Most bytes of events in one batch; one event is taken whatever its size. Default 8 MiB. While one batch is projected
    /// the next is read.
    pub batch_bytes: usize,
    /// Longest time from the beginning of a live batch to that of the next, to let more events come together. Default 30 ms.
    /// Zero puts off none.
    pub batch_interval: Duration,
    /// The next live batch begins no sooner than so many times what the last one took after the beginning of that, within
    /// `batch_interval`, unless a reader waits for it. Default 2. So the busier the views are, the more events share a
    /// transaction, and the fewer pages are written for each; a view that is quick is hardly held back.
    pub interval_factor: u32,
    /// Batches that may be in hand at the same time. Default 5. Past it, workers wait for each other. It can be
    /// [changed](crate::Capacity::configure) later.
    pub workers: NonZeroUsize,
    /// Into how many parts a large batch is divided at most, to be decoded side by side. Default 10. It can be changed
    /// later, too.
    pub parallelism: NonZeroUsize,
    /// Documents that a worker keeps between batches, in bytes of their JSON and some overhead. Default 32 MiB for each
    /// projection; zero keeps none. Raise it for views whose busy documents are many.
    pub cache_bytes: usize,
    /// Documents that a batch may load, in bytes of their JSON. Default 32 MiB for each projection, beside what is kept; a batch
    /// whose documents are larger is done in smaller ones. One event's documents are loaded whatever their size.
    pub load_bytes: usize,
    /// How often an event is tried before it is parked, with the pauses of `supervision` in between. Default 3. Whatever
    /// else is in its batch waits with it: raise it only for code that is known to recover.
    pub poison_attempts: NonZeroU32,
    /// What of the answers to readers is kept in memory. It can be [changed](crate::Cache::configure) later.
    pub cache: Cache,
    /// How often a worker is restarted before its projection is stopped, and how long anything is retried later.
    pub supervision: Supervision,
}

impl Options {
    pub(crate) fn limits(&self) -> Limits {
        let Supervision { restarts, window, backoff_min, backoff_max } = self.supervision;
        Limits { restarts: restarts as usize, window, backoff_min, backoff_max }
    }

    /// From the beginning of a live batch that took so long to that of the next.
    pub(crate) fn interval_after(&self, took: Duration) -> Duration {
        took.saturating_mul(self.interval_factor).min(self.batch_interval)
    }

    /// The pause after so many attempts that failed: longer each time.
    pub(crate) fn pause_after(&self, attempts: u32) -> Duration {
        let Supervision { backoff_min, backoff_max, .. } = self.supervision;
        Backoff { first: backoff_min, longest: backoff_max }.pause_after(attempts)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            batch_events: NonZeroUsize::new(8192).unwrap_or(NonZeroUsize::MIN),
            batch_bytes: 8 << 20,
            batch_interval: Config::embedded().projections.batch_interval,
            interval_factor: 2,
            workers: Config::embedded().projections.workers,
            parallelism: Config::embedded().projections.parallelism,
            cache_bytes: 32 << 20,
            load_bytes: 32 << 20,
            poison_attempts: NonZeroU32::new(3).unwrap_or(NonZeroU32::MIN),
            cache: Config::embedded().cache,
            supervision: Config::embedded().supervision,
        }
    }
}
