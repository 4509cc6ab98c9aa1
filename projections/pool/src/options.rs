//! The options of the workers.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use dormouse_config::{Cache, Config, Supervision};
use dormouse_encryption::DataKeys;

/// The options of the workers.
#[derive(Clone, Debug)]
pub struct Options {
    /// The most events in one batch, which is one transaction of the view store. Default 8,192: going from 2,000 to
    /// 8,000 gained 60 % on SQLite. Live views have smaller batches anyway.
    pub batch_events: NonZeroUsize,
    /// The most bytes of events in one batch. A single event is taken whatever its size. Default 8 MiB. The next batch
    /// is read while one is projected, so a worker may hold twice as much.
    pub batch_bytes: usize,
    /// The longest time from the beginning of a live batch to that of the next one, so that more events share a batch.
    /// Default 30 ms. With zero, no batch is delayed.
    pub batch_interval: Duration,
    /// The time from the beginning of a live batch to that of the next one, as a multiple of the duration of the first.
    /// It is at most `batch_interval`, and ends early if a reader waits. Default 2. The busier the views are, the more
    /// events share a transaction, and the fewer pages are written for each event. A view whose batches are short is
    /// hardly delayed.
    pub interval_factor: u32,
    /// The most batches in progress at the same time on the node. Default 5. Further batches wait. It can be
    /// [changed](crate::Capacity::configure) later.
    pub workers: NonZeroUsize,
    /// The most parts into which a large batch is divided, to be decoded in parallel. Default 10. It can be changed
    /// later in the same way.
    pub parallelism: NonZeroUsize,
    /// The documents that a worker keeps between batches, in bytes of their JSON and some overhead. Default 32 MiB for
    /// each projection. Zero keeps none. Raise it for views with many documents that change often.
    pub cache_bytes: usize,
    /// The documents that a batch may load, in bytes of their JSON. Default 32 MiB for each projection, in addition to
    /// those that are kept. A batch whose documents are larger is divided. The documents of a single event are loaded
    /// whatever their size.
    pub load_bytes: usize,
    /// How often an event is tried before it is parked. The pauses between the attempts are those of `supervision`.
    /// Default 3. The rest of the batch waits meanwhile, so raise it only for code that is known to recover.
    pub poison_attempts: NonZeroU32,
    /// The cache of answers to readers. It can be [changed](crate::Cache::configure) later.
    pub cache: Cache,
    /// The keys with which the personal fields of documents are sealed before they are stored. Default: none, and
    /// documents are stored as they are. A view that was made without keys must be rebuilt afterwards: what it has
    /// stored stays plain, and filters do not find it by its personal fields.
    pub keys: Option<DataKeys>,
    /// How often a worker is restarted before its projection is stopped, and the pauses between attempts of any kind.
    pub supervision: Supervision,
}

impl Options {
    /// The time from the beginning of a live batch that took `took` to the beginning of the next one.
    pub(crate) fn interval_after(&self, took: Duration) -> Duration {
        took.saturating_mul(self.interval_factor).min(self.batch_interval)
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
            keys: None,
            supervision: Config::embedded().supervision,
        }
    }
}
