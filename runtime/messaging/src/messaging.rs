//! All consumers of a process: starts them, stops them, and passes on what operators ask.

mod builder;
mod info;
mod publishers;
mod running;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use metrics::gauge;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::warn;

pub use builder::Builder;
pub use info::{ConsumerInfo, ConsumerKind, QueueInfo};
use running::{Running, Switches};

use crate::bus::CommandBus;
use crate::consumer::{DeadPage, Request, RequestError, Shared, Stop};
use crate::limits::SCALE_INTERVAL;
use crate::metric;
use crate::options::QueueOptions;
use crate::store::{self, JobId, JobRow, JobStateName, Switch, TimerPlace, TimerRow};
use crate::worker_pool::WorkerPool;

/// The running consumers. Cheap to clone.
#[derive(Clone)]
pub struct Messaging {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Shared,
    bus: Arc<dyn CommandBus>,
    /// In the order in which they were added. Publishers come and go.
    consumers: RwLock<Vec<Arc<Running>>>,
    pools: Vec<(Arc<WorkerPool>, QueueOptions)>,
    configured: Mutex<SwitchedOff>,
    /// Stops the tasks that are no consumers. Once it is set, no consumer is added.
    stop: watch::Sender<Option<Stop>>,
    /// Taken when messaging stops.
    tasks: Mutex<JoinSet<()>>,
}

/// The consumers that the configuration switches off.
#[derive(Clone, Debug, Default)]
struct SwitchedOff {
    paused: Vec<String>,
    disabled: Vec<String>,
}

impl SwitchedOff {
    fn switch(&self, consumer: &str) -> Switch {
        let is_in = |names: &[String]| names.iter().any(|name| name == consumer);
        Switch { paused: is_in(&self.paused), disabled: is_in(&self.disabled) }
    }
}

impl fmt::Debug for Messaging {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.running().iter().map(|consumer| &consumer.name)).finish()
    }
}

impl Messaging {
    /// What all consumers do now, in the order in which they were added.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn consumers(&self) -> Result<Vec<ConsumerInfo>, store::Error> {
        let counts = self.inner.shared.store.job_counts().await?;
        let head = *self.inner.shared.journal.head().borrow();
        Ok(self.running().iter().map(|consumer| consumer.info(&counts, head)).collect())
    }

    /// What is known of the consumers without asking the store: for health. The counts of jobs are zero.
    #[must_use]
    pub fn states(&self) -> Vec<ConsumerInfo> {
        let head = *self.inner.shared.journal.head().borrow();
        self.running().iter().map(|consumer| consumer.info(&HashMap::new(), head)).collect()
    }

    /// What the queues do now.
    #[must_use]
    pub fn queues(&self) -> Vec<QueueInfo> {
        let consumers = self.states();
        let info = |(pool, _): &(Arc<WorkerPool>, QueueOptions)| QueueInfo {
            name: pool.name(),
            depth: pool.ready() as u64
                + consumers.iter().filter(|info| info.queue == pool.name()).map(|info| info.lag).sum::<u64>(),
            workers: pool.workers(),
            running: pool.running(),
        };
        self.inner.pools.iter().map(info).collect()
    }

    /// Pauses or disables a consumer, or lets it run. The store keeps it, so that it holds after a restart.
    ///
    /// # Errors
    /// If there is no such consumer, or if the store does not answer.
    pub async fn switch(&self, consumer: &str, change: impl FnOnce(&mut Switch)) -> Result<Switch, RequestError> {
        let running = self.find(consumer)?;
        let store = &self.inner.shared.store;
        let mut switch = store.switches().await?.remove(&running.name).unwrap_or_default();
        change(&mut switch);
        store.set_switch(&running.name, switch).await?;
        Ok(running.set_switches(|switches| switches.operators = switch))
    }

    /// Replaces what the configuration says about paused and disabled listeners.
    ///
    /// # Errors
    /// The first name of a listener that does not exist. Then nothing changes.
    pub fn configure(&self, paused: &[String], disabled: &[String]) -> Result<(), RequestError> {
        paused.iter().chain(disabled).try_for_each(|name| self.find(name).map(|_| ()))?;
        let off = SwitchedOff { paused: paused.to_vec(), disabled: disabled.to_vec() };
        *self.inner.configured.lock().unwrap_or_else(PoisonError::into_inner) = off.clone();
        for running in self.running() {
            running.set_switches(|switches| switches.configured = off.switch(running.name.as_str()));
        }
        Ok(())
    }

    /// The stored jobs of a consumer in one state, after `after`, in order.
    ///
    /// # Errors
    /// If there is no such consumer, or if the store does not answer.
    pub async fn jobs(
        &self,
        consumer: &str,
        state: JobStateName,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<JobRow>, RequestError> {
        let running = self.find(consumer)?;
        Ok(self.inner.shared.store.jobs(&running.name, state, after, limit).await?)
    }

    /// One stored job.
    ///
    /// # Errors
    /// If there is no such consumer or no such job, or if the store does not answer.
    pub async fn job(&self, consumer: &str, id: JobId) -> Result<JobRow, RequestError> {
        let running = self.find(consumer)?;
        self.inner.shared.store.job(&running.name, id).await?.ok_or(RequestError::NoJob)
    }

    /// Attempts a dead letter again, with all its tries. Jobs that wait behind it follow.
    ///
    /// # Errors
    /// If there is no such dead letter, or if it cannot be stored.
    pub async fn retry(&self, consumer: &str, id: JobId) -> Result<(), RequestError> {
        self.ask(consumer, |answer| Request::Retry(id, answer)).await
    }

    /// Attempts up to `limit` dead letters of a consumer again, the oldest first. Returns how many there were.
    ///
    /// # Errors
    /// If there is no such consumer, or if it cannot be stored.
    pub async fn retry_dead(&self, consumer: &str, limit: usize) -> Result<usize, RequestError> {
        Ok(self.retry_dead_after(consumer, None, limit).await?.count)
    }

    /// As [`retry_dead`](Self::retry_dead), with the dead letters after a job only. So all can be attempted again page by
    /// page, although some fail again meanwhile.
    ///
    /// # Errors
    /// As [`retry_dead`](Self::retry_dead).
    pub async fn retry_dead_after(
        &self,
        consumer: &str,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<DeadPage, RequestError> {
        self.ask(consumer, |answer| Request::RetryDead(after, limit, answer)).await
    }

    /// Gives a failed job up. Jobs that wait behind it go on.
    ///
    /// # Errors
    /// If there is no such job, or if it cannot be stored.
    pub async fn skip(&self, consumer: &str, id: JobId) -> Result<(), RequestError> {
        self.ask(consumer, |answer| Request::Skip(id, answer)).await
    }

    /// Gives up to `limit` dead letters of a consumer up, the oldest first. Returns how many there were.
    ///
    /// # Errors
    /// If there is no such consumer, or if it cannot be stored.
    pub async fn skip_dead(&self, consumer: &str, limit: usize) -> Result<usize, RequestError> {
        Ok(self.skip_dead_after(consumer, None, limit).await?.count)
    }

    /// As [`skip_dead`](Self::skip_dead), with the dead letters after a job only.
    ///
    /// # Errors
    /// As [`skip_dead`](Self::skip_dead).
    pub async fn skip_dead_after(
        &self,
        consumer: &str,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<DeadPage, RequestError> {
        self.ask(consumer, |answer| Request::SkipDead(after, limit, answer)).await
    }

    /// The timers that are set, by the time at which they are due, after `after`.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn timers(&self, after: Option<&TimerPlace>, limit: usize) -> Result<Vec<TimerRow>, store::Error> {
        self.inner.shared.store.timers(dormouse_kernel::Timestamp::MAX, after, limit).await
    }

    /// How many timers are set.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn timer_count(&self) -> Result<u64, store::Error> {
        self.inner.shared.store.timer_count().await
    }

    /// Stops all consumers, and closes the store. Jobs in progress get until `deadline`; then they are given back, and
    /// are done again after the next start, under the same keys.
    pub async fn stop(&self, deadline: Instant) {
        self.inner.stop.send_replace(Some(Stop { deadline }));
        self.running().iter().for_each(|running| running.stop(Stop { deadline }));
        let mut tasks = std::mem::take(&mut *self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        // After the deadline, jobs are cut off, and what was done is stored.
        let all_ended = timeout_at(deadline + STORE_PROGRESS, async { while tasks.join_next().await.is_some() {} });
        if all_ended.await.is_err() {
            warn!("not all listeners ended in time: some jobs are done again after the next start");
        }
        tasks.shutdown().await;
        self.inner.shared.store.close().await;
    }

    /// Sets the gauges that are sampled rather than counted.
    pub async fn sample_metrics(&self) {
        for queue in self.queues() {
            gauge!(metric::QUEUE_DEPTH, "queue" => queue.name).set(queue.depth as f64);
            gauge!(metric::QUEUE_WORKERS, "queue" => queue.name).set(queue.workers as f64);
        }
        let Ok(consumers) = self.consumers().await else { return };
        for ConsumerInfo { name, lag, ready, running, jobs, .. } in consumers {
            metric::sampled(&name, lag, [ready as u64, running as u64, jobs.waiting, jobs.blocked, jobs.dead]);
        }
    }

    async fn ask<T>(
        &self,
        consumer: &str,
        request: impl FnOnce(oneshot::Sender<Result<T, RequestError>>) -> Request,
    ) -> Result<T, RequestError> {
        let running = self.find(consumer)?;
        let (answer, answered) = oneshot::channel();
        running.requests.send(request(answer)).await.map_err(|_| RequestError::NotRunning)?;
        answered.await.unwrap_or(Err(RequestError::NotRunning))
    }

    /// All consumers at this moment.
    fn running(&self) -> Vec<Arc<Running>> {
        self.inner.consumers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn find(&self, name: &str) -> Result<Arc<Running>, RequestError> {
        let found = self.running().into_iter().find(|running| running.name.as_str() == name);
        found.ok_or_else(|| RequestError::NoConsumer(name.to_owned()))
    }
}

/// How long consumers may take to store their progress after the deadline of a stop.
const STORE_PROGRESS: Duration = Duration::from_secs(2);

/// Background task: adapts the number of workers of each queue to its depth, until messaging stops.
async fn scale(pools: Vec<Arc<WorkerPool>>, mut stop: watch::Receiver<Option<Stop>>) {
    while stop.borrow().is_none() {
        tokio::select! {
            _ = stop.changed() => {}
            () = sleep(SCALE_INTERVAL) => pools.iter().for_each(|pool| pool.scale()),
        }
    }
}
