//! The task of the timers: follows their changes in the log, and fires those that are due.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use dormouse_journal::{Feed, ReadError};
use dormouse_kernel::failpoint::{self, Step};
use dormouse_kernel::{AggregateRef, Backoff, CodecError, RecordedEvent, TimerName, Timestamp};
use futures_util::FutureExt;
use metrics::gauge;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::{debug, error, info, warn};

use super::near::{NearTimers, PAGE};
use super::{Change, changes, delivery, following, has_missed, retry};
use crate::bus::CommandBus;
use crate::consumer::{AttemptError, Request, Settings, Shared, Stop};
use crate::consumer_name::ConsumerName;
use crate::limits::{
    NOT_NOW_PAUSE, PAGE_BYTES, PASSED_INTERVAL, RESTART_PAUSE, RESTART_PAUSE_MAX, TIMERS_COMMIT_INTERVAL, WINDOW_EVENTS,
};
use crate::metric;
use crate::store::{Changes, Error, FailedAttempt, JobRow, JobState, Switch, TimerRow};
use crate::watermarks::{Watermarks, beginning_after};

/// Timers that fire at the same time at most: enough for a commit to be full, and a small part of what a node admits.
const FIRING_MAX: usize = 512;

type TimerId = (AggregateRef, TimerName);

/// The task that keeps and fires timers.
pub(crate) struct TimerTask {
    pub(crate) name: ConsumerName,
    pub(crate) shared: Shared,
    pub(crate) bus: Arc<dyn CommandBus>,
    /// The rules for timers whose first attempt fails.
    pub(crate) settings: Settings,
    /// The consumer that attempts them again.
    pub(crate) retries: mpsc::Sender<Request>,
    pub(crate) switch: watch::Receiver<Switch>,
    pub(crate) stop: watch::Receiver<Option<Stop>>,
    pub(crate) position: watch::Sender<dormouse_kernel::Position>,
}

impl TimerTask {
    /// Background task: keeps and fires timers until it is told to stop.
    pub(crate) async fn run(mut self) {
        let backoff = Backoff { first: RESTART_PAUSE, longest: RESTART_PAUSE_MAX };
        let mut failures = 0;
        while self.stop.borrow().is_none() {
            let ended = match Session::open(&self).await {
                Ok(mut session) => {
                    let ended = session.work(&mut self).await;
                    let stop = *self.stop.borrow();
                    session.end(stop, ended).await
                }
                Err(error) => Err(error),
            };
            match ended {
                Ok(()) => return,
                Err(Error::Fenced) => {
                    error!("another node has taken over the timers, this one fires none any more");
                    return;
                }
                Err(error) => {
                    failures += 1;
                    warn!(%error, "timers cannot be stored, trying again");
                    tokio::select! {
                        _ = self.stop.changed() => {}
                        () = sleep(backoff.pause_after(failures)) => {}
                    }
                }
            }
        }
    }
}

/// A timer whose command is on its way.
struct FiringTimer {
    row: TimerRow,
    /// The timer was set again or cancelled meanwhile: what becomes of it is decided already.
    is_superseded: bool,
    /// The timer was set again, and is due again before this command has ended.
    next: Option<TimerRow>,
}

struct Ended {
    id: TimerId,
    result: Result<(), AttemptError>,
}

type Page = (Feed, Result<Vec<RecordedEvent>, ReadError>);

struct Session {
    name: ConsumerName,
    shared: Shared,
    bus: Arc<dyn CommandBus>,
    tries: u32,
    backoff: Backoff,
    timeout: Duration,
    marks: Watermarks,
    feed: Option<Feed>,
    reading: Option<Pin<Box<dyn Future<Output = Page> + Send>>>,
    near: NearTimers,
    firing: HashMap<TimerId, FiringTimer>,
    commands: JoinSet<Ended>,
    /// What has to be stored: the last change of each timer, and failed timers.
    changed: HashMap<TimerId, Option<TimerRow>>,
    failed: Vec<JobRow>,
    retries: mpsc::Sender<Request>,
    commit_at: Instant,
    passed_at: Instant,
    not_before: Instant,
}

impl Session {
    async fn open(task: &TimerTask) -> Result<Self, Error> {
        let TimerTask { name, shared, settings, .. } = task;
        let progress = match shared.store.progress(name).await? {
            Some(progress) => progress,
            None => beginning_after(dormouse_kernel::Position::ZERO, shared.shards),
        };
        let marks = Watermarks::new(progress, shared.shards);
        let now = Instant::now();
        Ok(Self {
            name: name.clone(),
            bus: Arc::clone(&task.bus),
            tries: settings.tries,
            backoff: settings.backoff,
            timeout: settings.timeout,
            feed: Some(shared.journal.feed(marks.read_position()).page_bytes(PAGE_BYTES)),
            marks,
            reading: None,
            near: NearTimers::default(),
            firing: HashMap::new(),
            commands: JoinSet::new(),
            changed: HashMap::new(),
            failed: Vec::new(),
            retries: task.retries.clone(),
            commit_at: now + TIMERS_COMMIT_INTERVAL,
            passed_at: now + PASSED_INTERVAL,
            not_before: now,
            shared: shared.clone(),
        })
    }

    async fn work(&mut self, task: &mut TimerTask) -> Result<(), Error> {
        while task.stop.borrow().is_none() {
            let may_fire = *task.switch.borrow() == Switch::default() && Instant::now() >= self.not_before;
            self.read_next();
            if may_fire {
                self.fire_due().await?;
            }
            task.position.send_replace(self.marks.read_position());
            let wake_at = self.wake_at(may_fire);
            tokio::select! {
                biased;
                _ = task.stop.changed() => {}
                _ = task.switch.changed() => info!("the timers were switched"),
                Some(ended) = self.commands.join_next() => {
                    self.ended(ended)?;
                    while let Some(ended) = self.commands.try_join_next() {
                        self.ended(ended)?;
                    }
                }
                page = async { match &mut self.reading {
                    Some(reading) => reading.as_mut().await,
                    None => std::future::pending().await,
                } } => {
                    self.reading = None;
                    self.take_page(page).await?;
                }
                () = sleep_until(wake_at) => {}
            }
            let now = Instant::now();
            let all = now >= self.passed_at;
            if all || self.has_changes() && now >= self.commit_at {
                self.commit(all).await?;
            }
        }
        Ok(())
    }

    async fn end(mut self, stop: Option<Stop>, result: Result<(), Error>) -> Result<(), Error> {
        let deadline = stop.map_or_else(Instant::now, |stop| stop.deadline);
        while let Ok(Some(ended)) = timeout_at(deadline, self.commands.join_next()).await {
            self.ended(ended)?;
        }
        self.commands.shutdown().await;
        result?;
        self.commit(true).await
    }

    fn has_changes(&self) -> bool {
        !self.changed.is_empty() || !self.failed.is_empty()
    }

    fn wake_at(&self, may_fire: bool) -> Instant {
        let now = Instant::now();
        let mut wake_at = self.passed_at;
        if self.has_changes() {
            wake_at = wake_at.min(self.commit_at);
        }
        if !may_fire && self.not_before > now {
            wake_at = wake_at.min(self.not_before);
        }
        if may_fire
            && self.firing.len() < FIRING_MAX
            && let Some(due) = self.near.first_due()
        {
            // The clock may be set meanwhile, so it is read again after a quarter of a second at most.
            let wait = due.duration_since(self.shared.clock.now()).as_secs_f64().clamp(0.0, 0.25);
            wake_at = wake_at.min(now + Duration::from_secs_f64(wait));
        }
        wake_at
    }

    fn read_next(&mut self) {
        let Some(mut feed) = self.feed.take() else { return };
        self.reading = Some(Box::pin(async move {
            let page = feed.next_where(WINDOW_EVENTS, |_, event| RecordedEvent::may_have_outgoing(event)).await;
            if page.is_err() {
                sleep(NOT_NOW_PAUSE).await;
            }
            (feed, page)
        }));
    }

    /// Stores the changes of timers that a page has, and applies them to what is in memory.
    async fn take_page(&mut self, (feed, page): Page) -> Result<(), Error> {
        let events = match page {
            Ok(events) => events,
            Err(error) => {
                warn!(%error, "timers cannot read the log, trying again");
                self.feed = Some(feed);
                return Ok(());
            }
        };
        let mut last_changes = HashMap::new();
        for event in &events {
            if self.marks.was_settled(event.position, event.aggregate.slice()) {
                continue;
            }
            for (place, change) in changes(event).map_err(damaged)? {
                last_changes.insert((place.aggregate, place.name), change);
            }
        }
        self.marks.read_up_to(feed.position());
        self.feed = Some(feed);
        for (id, change) in last_changes {
            if let Some(firing) = self.firing.get_mut(&id) {
                (firing.is_superseded, firing.next) = (true, None);
            }
            match change {
                Change::Set(row) => {
                    self.changed.insert(id, Some(TimerRow::clone(&row)));
                    self.near.set(*row);
                }
                Change::Removed => {
                    self.near.remove(&id.0, &id.1);
                    self.changed.insert(id, None);
                }
            }
        }
        Ok(())
    }

    async fn fire_due(&mut self) -> Result<(), Error> {
        while self.firing.len() < FIRING_MAX {
            if let Some(after) = self.near.read_after().map(|after| after.cloned()) {
                // What was read so far must be in the store before it is asked.
                self.commit(false).await?;
                let page = self.shared.store.timers(Timestamp::MAX, after.as_ref(), PAGE).await?;
                self.near.add_page(page);
            }
            let now = self.shared.clock.now();
            let Some(row) = self.near.take_due(now) else { return Ok(()) };
            if has_missed(&row.schedule, row.place.due, now) {
                self.advance(row, now);
            } else {
                self.fire(row, now)?;
            }
        }
        Ok(())
    }

    fn fire(&mut self, row: TimerRow, now: Timestamp) -> Result<(), Error> {
        let lateness = now.duration_since(row.place.due);
        metric::fired(lateness.try_into().unwrap_or_default());
        let (delivery, _) = delivery(&row).map_err(damaged)?;
        let id = (row.place.aggregate.clone(), row.place.name.clone());
        if let Some(firing) = self.firing.get_mut(&id) {
            firing.next = Some(row);
            return Ok(());
        }
        let (bus, timeout) = (Arc::clone(&self.bus), self.timeout);
        let ended = id.clone();
        self.firing.insert(id, FiringTimer { row, is_superseded: false, next: None });
        self.commands.spawn_on(
            async move {
                failpoint::reach(Step::Attempting);
                let delivered = AssertUnwindSafe(bus.deliver(delivery)).catch_unwind();
                let result = match tokio::time::timeout(timeout, delivered).await {
                    Ok(Ok(delivered)) => retry::outcome(delivered),
                    Ok(Err(_)) => Err(AttemptError::Failed("it panicked".to_owned())),
                    Err(_) => Err(AttemptError::Failed(format!("it took longer than {timeout:?}"))),
                };
                failpoint::reach(Step::Attempted);
                Ended { id: ended, result }
            },
            &self.shared.threads,
        );
        Ok(())
    }

    fn ended(&mut self, ended: Result<Ended, JoinError>) -> Result<(), Error> {
        let Ended { id, result } = match ended {
            Ok(ended) => ended,
            Err(error) => {
                debug!(%error, "the command of a timer was cut off");
                return Ok(());
            }
        };
        let Some(FiringTimer { row, is_superseded, next }) = self.firing.remove(&id) else { return Ok(()) };
        if let Some(next) = next {
            self.near.put_back(next);
        }
        let now = self.shared.clock.now();
        match result {
            Ok(()) => {}
            Err(AttemptError::NotNow(reason)) => {
                debug!(reason, "timers cannot fire now");
                self.not_before = Instant::now() + NOT_NOW_PAUSE;
                if !is_superseded {
                    self.near.put_back(row);
                }
                return Ok(());
            }
            Err(AttemptError::Failed(reason)) => self.failed(&row, reason, now)?,
        }
        if !is_superseded {
            self.advance(row, now);
        }
        Ok(())
    }

    /// A failed timer becomes a job.
    fn failed(&mut self, row: &TimerRow, reason: String, now: Timestamp) -> Result<(), Error> {
        let (aggregate, timer) = (&row.place.aggregate, &row.place.name);
        warn!(%aggregate, %timer, reason, "the command of a timer has failed, and is attempted again");
        let due = now.checked_add(self.backoff.pause_after(1)).unwrap_or(Timestamp::MAX);
        let state = if self.tries <= 1 { JobState::Dead } else { JobState::Waiting { due } };
        let (_, stored) = delivery(row).map_err(damaged)?;
        let attempt = FailedAttempt { at: now, error: reason };
        let job = retry::failed_job(row, stored.ordinal, attempt, state, self.tries).map_err(damaged)?;
        self.failed.push(job);
        Ok(())
    }

    /// A timer was due: it is due again later, or it is done.
    fn advance(&mut self, row: TimerRow, now: Timestamp) {
        let id = (row.place.aggregate.clone(), row.place.name.clone());
        let next = following(&row.schedule, row.place.due, now).map(|due| {
            let mut next = row;
            next.place.due = due;
            next
        });
        if let Some(next) = &next {
            self.near.set(next.clone());
        }
        self.changed.insert(id, next);
    }

    /// Stores what has changed, and up to where the log was read.
    async fn commit(&mut self, all: bool) -> Result<(), Error> {
        let now = Instant::now();
        self.commit_at = now + TIMERS_COMMIT_INTERVAL;
        if all {
            self.passed_at = now + PASSED_INTERVAL;
            gauge!(metric::TIMERS).set(self.shared.store.timer_count().await? as f64);
        }
        let failed = self.failed.len() as u64;
        let mut changes = Changes { put: std::mem::take(&mut self.failed), ..Changes::default() };
        for (id, row) in std::mem::take(&mut self.changed) {
            match row {
                Some(row) => changes.set_timers.push(row),
                None => changes.remove_timers.push(id),
            }
        }
        let has_changes = !changes.is_empty();
        self.marks.collect(&mut changes, all || has_changes);
        if changes.is_empty() {
            return Ok(());
        }
        failpoint::reach(Step::StoringProgress);
        self.shared.store.commit(&self.name, &changes).await?;
        failpoint::reach(Step::StoredProgress);
        if failed > 0 {
            // If the consumer has ended, it counts them when it starts again.
            let _ended = self.retries.send(Request::JobsAdded(failed)).await;
        }
        Ok(())
    }
}

/// A stored timer cannot be read.
fn damaged(error: CodecError) -> Error {
    Error::Storage(dormouse_storage::Error::Damaged(error.to_string()))
}
