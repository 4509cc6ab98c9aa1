//! Progress in memory: for tests, and for applications that keep nothing.

mod jobs;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use dormouse_kernel::{AggregateRef, Epoch, Position, TimerName, Timestamp};

use super::row::to_microsecond;
use super::{
    Changes, Error, JobCounts, JobId, JobRow, JobStateName, Progress, QueueStore, ShardProgress, Switch, TimerPlace,
    TimerRow,
};
use crate::consumer_name::ConsumerName;
use jobs::Jobs;

/// Keeps progress in memory. It is lost with the last handle.
#[derive(Debug, Default)]
pub struct Memory {
    content: Arc<Mutex<Content>>,
    acquired: Mutex<Option<Epoch>>,
    is_closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Content {
    epoch: Epoch,
    consumers: HashMap<ConsumerName, Consumer>,
    timers: BTreeMap<TimerPlace, TimerRow>,
    places: HashMap<(AggregateRef, TimerName), TimerPlace>,
    switches: HashMap<ConsumerName, Switch>,
    settings: BTreeMap<String, Vec<u8>>,
}

/// What one consumer has committed.
#[derive(Debug, Default)]
struct Consumer {
    /// By number of shards and shard.
    progress: BTreeMap<(u16, u16), Position>,
    done: HashSet<Position>,
    jobs: Jobs,
}

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Another handle of the same content, as another process would open it. It has acquired nothing, and is open even
    /// if this one is closed.
    #[must_use]
    pub fn open_again(&self) -> Self {
        Self { content: Arc::clone(&self.content), ..Self::default() }
    }

    fn content(&self) -> Result<MutexGuard<'_, Content>, Error> {
        if self.is_closed.load(Ordering::Acquire) {
            let closed = "the queues are closed".to_owned();
            return Err(dormouse_storage::Error::Unavailable(closed).into());
        }
        // No change panics half-way.
        Ok(self.content.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The content, for the owner.
    fn owned(&self) -> Result<MutexGuard<'_, Content>, Error> {
        let content = self.content()?;
        let acquired = *self.acquired.lock().unwrap_or_else(PoisonError::into_inner);
        if acquired == Some(content.epoch) { Ok(content) } else { Err(Error::Fenced) }
    }

    fn of<T: Default>(&self, consumer: &ConsumerName, read: impl FnOnce(&Consumer) -> T) -> Result<T, Error> {
        Ok(self.content()?.consumers.get(consumer).map(read).unwrap_or_default())
    }
}

impl Content {
    fn set_timer(&mut self, timer: &TimerRow) {
        let mut timer = timer.clone();
        timer.place.due = to_microsecond(timer.place.due);
        self.remove_timer(&timer.place.aggregate, &timer.place.name);
        let place = timer.place.clone();
        self.places.insert((place.aggregate.clone(), place.name.clone()), place.clone());
        self.timers.insert(place, timer);
    }

    fn remove_timer(&mut self, aggregate: &AggregateRef, name: &TimerName) {
        if let Some(place) = self.places.remove(&(aggregate.clone(), name.clone())) {
            self.timers.remove(&place);
        }
    }
}

impl Consumer {
    fn apply(&mut self, changes: &Changes) {
        let Changes { progress, forget_other_shards, done, forget_done, put, remove, .. } = changes;
        if *forget_other_shards && !progress.is_empty() {
            self.progress.retain(|(shards, _), _| progress.iter().any(|one| one.shards == *shards));
        }
        self.progress.extend(progress.iter().map(|one| ((one.shards, one.shard), one.low)));
        self.done.extend(done);
        forget_done.iter().for_each(|position| _ = self.done.remove(position));
        put.iter().for_each(|job| self.jobs.put(job));
        remove.iter().for_each(|id| self.jobs.remove(*id));
    }

    fn progress(&self) -> Progress {
        let shards = self.progress.iter().map(|((shards, shard), low)| (*shards, *shard, *low));
        let shards = shards.map(|(shards, shard, low)| ShardProgress { shard, shards, low }).collect();
        Progress { shards, done: self.done.clone() }
    }
}

#[async_trait]
impl QueueStore for Memory {
    async fn acquire(&self, epoch: Epoch) -> Result<(), Error> {
        let mut content = self.content()?;
        if epoch < content.epoch {
            return Err(Error::Fenced);
        }
        content.epoch = epoch;
        *self.acquired.lock().unwrap_or_else(PoisonError::into_inner) = Some(epoch);
        Ok(())
    }

    async fn progress(&self, consumer: &ConsumerName) -> Result<Option<Progress>, Error> {
        self.of(consumer, |consumer| Some(consumer.progress()))
    }

    async fn commit(&self, consumer: &ConsumerName, changes: &Changes) -> Result<(), Error> {
        let mut content = self.owned()?;
        content.consumers.entry(consumer.clone()).or_default().apply(changes);
        changes.set_timers.iter().for_each(|timer| content.set_timer(timer));
        changes.remove_timers.iter().for_each(|(aggregate, name)| content.remove_timer(aggregate, name));
        Ok(())
    }

    async fn held(
        &self,
        consumer: &ConsumerName,
        sequences: &[AggregateRef],
        dead_too: bool,
    ) -> Result<HashSet<AggregateRef>, Error> {
        self.of(consumer, |consumer| {
            sequences.iter().filter(|sequence| consumer.jobs.holds(sequence, dead_too)).cloned().collect()
        })
    }

    async fn due_jobs(&self, consumer: &ConsumerName, now: Timestamp, limit: usize) -> Result<Vec<JobRow>, Error> {
        self.of(consumer, |consumer| consumer.jobs.due(to_microsecond(now), limit))
    }

    async fn next_due_job(&self, consumer: &ConsumerName) -> Result<Option<Timestamp>, Error> {
        self.of(consumer, |consumer| consumer.jobs.next_due())
    }

    async fn sequence_jobs(
        &self,
        consumer: &ConsumerName,
        sequence: &AggregateRef,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<JobRow>, Error> {
        self.of(consumer, |consumer| consumer.jobs.of_sequence(sequence, after, limit))
    }

    async fn jobs(
        &self,
        consumer: &ConsumerName,
        state: JobStateName,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<JobRow>, Error> {
        self.of(consumer, |consumer| consumer.jobs.in_state(state, after, limit))
    }

    async fn job(&self, consumer: &ConsumerName, id: JobId) -> Result<Option<JobRow>, Error> {
        self.of(consumer, |consumer| consumer.jobs.get(id))
    }

    async fn job_counts(&self) -> Result<HashMap<ConsumerName, JobCounts>, Error> {
        let content = self.content()?;
        let counts = content.consumers.iter().map(|(name, consumer)| (name.clone(), consumer.jobs.counts()));
        Ok(counts.filter(|(_, counts)| *counts != JobCounts::default()).collect())
    }

    async fn timers(&self, until: Timestamp, after: Option<&TimerPlace>, limit: usize) -> Result<Vec<TimerRow>, Error> {
        let content = self.content()?;
        let after = after.map(|place| TimerPlace { due: to_microsecond(place.due), ..place.clone() });
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let timers = content.timers.range((start, Bound::Unbounded)).map(|(_, timer)| timer);
        Ok(timers.take_while(|timer| timer.place.due <= to_microsecond(until)).take(limit).cloned().collect())
    }

    async fn timer_count(&self) -> Result<u64, Error> {
        Ok(self.content()?.timers.len() as u64)
    }

    async fn switches(&self) -> Result<HashMap<ConsumerName, Switch>, Error> {
        Ok(self.content()?.switches.clone())
    }

    async fn set_switch(&self, consumer: &ConsumerName, switch: Switch) -> Result<(), Error> {
        self.owned()?.switches.insert(consumer.clone(), switch);
        Ok(())
    }

    async fn forget(&self, consumer: &ConsumerName) -> Result<(), Error> {
        let mut content = self.owned()?;
        content.consumers.remove(consumer);
        content.switches.remove(consumer);
        Ok(())
    }

    async fn settings(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let content = self.content()?;
        let from = content.settings.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        let found = from.take_while(|(name, _)| name.starts_with(prefix));
        Ok(found.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    async fn set_setting(&self, name: &str, value: Option<&[u8]>) -> Result<(), Error> {
        let mut content = self.owned()?;
        match value {
            Some(value) => _ = content.settings.insert(name.to_owned(), value.to_vec()),
            None => _ = content.settings.remove(name),
        }
        Ok(())
    }

    fn connections(&self) -> (u32, u32) {
        (0, 0)
    }

    async fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }
}
