//! A session of a consumer: from the progress in the store, until the consumer stops or the store fails.
//!
//! One task owns everything that is in memory, so nothing needs a lock. It never waits for a job: jobs run beside it, and
//! their ends are events among others. What it has in memory is bounded by a page of the log and a window of events.

mod jobs;
mod operators;
mod reading;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use dormouse_journal::{Feed, ReadError};
use dormouse_kernel::failpoint::{self, Step};
use dormouse_kernel::{AggregateRef, Position, RecordedEvent, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::sequences::{Entry, Sequences};
use super::task::{ConsumerTask, Shared, Stop};
use super::{AttemptError, BreakerState, Consumer, ConsumerState, ConsumerStatus, Order};
use crate::breaker::{CircuitBreaker, State};
use crate::limits::{COMMIT_INTERVAL, PASSED_INTERVAL, WINDOW_EVENTS};
use crate::metric::ConsumerMetrics;
use crate::store::{Changes, Error, JobId, Switch};
use crate::watermarks::Watermarks;
use crate::worker_pool::WorkerPermit;

type Future<T> = Pin<Box<dyn std::future::Future<Output = T> + Send>>;

/// The end of a page that is being read.
type Page = (Feed, Result<Vec<RecordedEvent>, ReadError>);

/// How a job ended.
struct Ended {
    sequence: AggregateRef,
    result: Result<(), AttemptError>,
}

pub(super) struct Session {
    consumer: Consumer,
    shared: Shared,
    switch: watch::Receiver<Switch>,
    marks: Watermarks,
    sequences: Sequences,
    running: HashMap<AggregateRef, Entry>,
    jobs: JoinSet<Ended>,
    /// The store has so many jobs that hold their sequence. While there are none, no event need be looked up.
    holding_rows: u64,
    /// Sequences whose jobs in memory are done, and the last of these jobs, which is still in the store.
    to_reload: Vec<(AggregateRef, JobId)>,
    breaker: Option<CircuitBreaker>,
    /// What has to be stored.
    changes: Changes,
    metrics: Arc<ConsumerMetrics>,
    committing: Option<Future<Result<(), Error>>>,
    commit_at: Instant,
    passed_at: Instant,
    reading: Option<Future<Page>>,
    /// Idle while no page is being read.
    feed: Option<Feed>,
    acquiring: Option<Future<WorkerPermit>>,
    /// When the first waiting job of the store is due.
    next_due: Option<Timestamp>,
    /// Not earlier than this, the store is asked for due jobs.
    ask_due_at: Instant,
    /// Nothing is started before this.
    not_before: Instant,
    /// Events up to this position may have been attempted by an earlier session.
    attempted_before: Position,
    cancelled: CancellationToken,
    /// What the pool knows of the jobs that are ready.
    told_ready: usize,
}

impl Session {
    pub(super) async fn run(mut self, task: &mut ConsumerTask) -> Result<(), Error> {
        let result = self.work(task).await;
        let stop = *task.stop.borrow();
        self.end(stop, result).await
    }

    async fn work(&mut self, task: &mut ConsumerTask) -> Result<(), Error> {
        while task.stop.borrow().is_none() {
            let may_start = self.may_start();
            self.start_ready(may_start, None);
            self.read_next();
            self.report(&task.status);
            let wake_at = self.wake_at(may_start);
            let wants_worker = may_start && self.sequences.ready_count() > 0;
            if wants_worker {
                let pool = &self.consumer.settings.pool;
                self.acquiring.get_or_insert_with(|| Box::pin(Arc::clone(pool).acquire()));
            } else {
                self.acquiring = None;
            }
            tokio::select! {
                biased;
                _ = task.stop.changed() => {}
                _ = self.switch.changed() => self.switched(),
                Some(ended) = self.jobs.join_next() => {
                    self.ended(ended);
                    while let Some(ended) = self.jobs.try_join_next() {
                        self.ended(ended);
                    }
                }
                committed = ready(&mut self.committing) => {
                    self.committing = None;
                    committed?;
                }
                permit = ready(&mut self.acquiring) => {
                    self.acquiring = None;
                    self.start_ready(may_start, Some(permit));
                }
                page = ready(&mut self.reading) => {
                    self.reading = None;
                    self.take_page(page).await?;
                }
                Some(request) = task.requests.recv() => self.request(request).await?,
                () = sleep_until(wake_at) => {}
            }
            self.reload().await?;
            self.start_due().await?;
            self.commit_if_due();
        }
        Ok(())
    }

    /// Lets the jobs that run finish until the deadline. The others are given back: they are done again, under the same
    /// keys. What has been done is stored.
    async fn end(mut self, stop: Option<Stop>, result: Result<(), Error>) -> Result<(), Error> {
        (self.reading, self.acquiring) = (None, None);
        self.consumer.settings.pool.set_ready(self.told_ready, 0);
        let deadline = stop.map_or_else(Instant::now, |stop| stop.deadline);
        while let Ok(Some(ended)) = timeout_at(deadline, self.jobs.join_next()).await {
            self.ended(ended);
        }
        let given_back = self.jobs.len();
        self.cancelled.cancel();
        self.jobs.shutdown().await;
        result?;
        if given_back > 0 {
            let consumer = &self.consumer.name;
            warn!(%consumer, given_back, "jobs did not end in time, they are done again after the next start");
        }
        self.reload().await?;
        self.commit_all(true).await
    }

    /// Whether a job may be started now.
    fn may_start(&self) -> bool {
        let Switch { paused, disabled } = *self.switch.borrow();
        let now = Instant::now();
        let breaker = self.breaker.as_ref();
        !paused && !disabled && now >= self.not_before && breaker.is_none_or(|it| it.allows(now, self.running.len()))
    }

    fn wake_at(&self, may_start: bool) -> Instant {
        let now = Instant::now();
        let mut wake_at = self.passed_at;
        if self.committing.is_none() && self.has_changes() {
            wake_at = wake_at.min(self.commit_at);
        }
        if may_start && let Some(due) = self.next_due {
            // The clock may be set meanwhile, so it is read again after a second at most.
            let wait = due.duration_since(self.shared.clock.now()).as_secs_f64().clamp(0.0, 1.0);
            wake_at = wake_at.min((now + Duration::from_secs_f64(wait)).max(self.ask_due_at));
        }
        if !may_start && self.not_before > now {
            wake_at = wake_at.min(self.not_before);
        }
        if let Some(State::Open(until)) = self.breaker.as_ref().map(CircuitBreaker::state)
            && until > now
        {
            wake_at = wake_at.min(until);
        }
        wake_at
    }

    fn switched(&mut self) {
        let Switch { paused, disabled } = *self.switch.borrow_and_update();
        info!(consumer = %self.consumer.name, paused, disabled, "a consumer was switched");
        if disabled {
            let running = &self.running;
            for (id, slice) in self.sequences.drop_ready(|sequence| running.contains_key(sequence)) {
                self.marks.done(id.position, slice);
            }
        }
    }

    fn report(&mut self, status: &watch::Sender<ConsumerStatus>) {
        let ready = self.sequences.count() - self.running.len();
        if ready != self.told_ready {
            self.consumer.settings.pool.set_ready(self.told_ready, ready);
            self.told_ready = ready;
        }
        let now = Instant::now();
        let Switch { paused, disabled } = *self.switch.borrow();
        let state = match (disabled, paused) {
            (true, _) => ConsumerState::Disabled,
            (false, true) => ConsumerState::Paused,
            (false, false) => ConsumerState::Running,
        };
        let breaker = self.breaker.as_ref().map(|breaker| match breaker.state() {
            State::Closed => BreakerState::Closed,
            State::Open(until) => BreakerState::Open(until.saturating_duration_since(now)),
            State::HalfOpen => BreakerState::HalfOpen,
        });
        let (position, running) = (self.marks.read_position(), self.running.len());
        // Nobody waits for a change, so nobody is woken.
        status.send_if_modified(|status| {
            *status = ConsumerStatus { state, position, ready, running, breaker };
            false
        });
    }

    fn has_changes(&self) -> bool {
        !self.changes.is_empty() || self.marks.has_changes(false)
    }

    /// Begins to store what has changed, if it is time.
    fn commit_if_due(&mut self) {
        let now = Instant::now();
        if self.committing.is_some() {
            return;
        }
        let all = now >= self.passed_at;
        if all {
            self.passed_at = now + PASSED_INTERVAL;
        }
        let is_due = self.has_changes() && now >= self.commit_at;
        if is_due || all && self.marks.has_changes(true) {
            self.committing = self.begin_commit(all);
        }
    }

    fn begin_commit(&mut self, all: bool) -> Option<Future<Result<(), Error>>> {
        if self.consumer.settings.reads_log {
            self.marks.collect(&mut self.changes, all);
        }
        self.commit_at = Instant::now() + COMMIT_INTERVAL;
        let changes = std::mem::take(&mut self.changes);
        if changes.is_empty() {
            return None;
        }
        let (store, name) = (Arc::clone(&self.shared.store), self.consumer.name.clone());
        Some(Box::pin(async move {
            failpoint::reach(Step::StoringProgress);
            store.commit(&name, &changes).await?;
            failpoint::reach(Step::StoredProgress);
            Ok(())
        }))
    }

    /// Stores everything that has changed so far, and returns when it is durable.
    async fn commit_all(&mut self, all: bool) -> Result<(), Error> {
        if let Some(committing) = self.committing.take() {
            committing.await?;
        }
        match self.begin_commit(all) {
            Some(committing) => committing.await,
            None => Ok(()),
        }
    }

    fn has_room(&self) -> bool {
        self.sequences.count() < WINDOW_EVENTS
    }

    fn is_ordered(&self) -> bool {
        self.consumer.settings.order == Order::Ordered
    }
}

/// Waits for a future that may not be there.
async fn ready<T>(future: &mut Option<Future<T>>) -> T {
    match future {
        Some(future) => future.as_mut().await,
        None => std::future::pending().await,
    }
}
