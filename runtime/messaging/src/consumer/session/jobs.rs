//! How a session starts jobs, and what it makes of their ends.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use dormouse_journal::{Journal, PageLimit};
use dormouse_kernel::failpoint::{self, Step};
use dormouse_kernel::{AggregateRef, Clock, Position, RecordedEvent, Timestamp};
use futures_util::FutureExt;
use tokio::task::JoinError;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{Ended, Session};
use crate::breaker::Transition;
use crate::consumer::sequences::{Entry, Rest};
use crate::consumer::{Attempt, AttemptError, Subject, Work};
use crate::consumer_name::ConsumerName;
use crate::limits::{ERROR_CHARS, NOT_NOW_PAUSE, SEQUENCE_JOBS, WINDOW_EVENTS};
use crate::metric::ConsumerMetrics;
use crate::panic;
use crate::store::{Error, FailedAttempt, JobId, JobRow, JobState, QueueStore};
use crate::worker_pool::WorkerPermit;

impl Session {
    /// Starts jobs that are ready, as long as there are workers. `permit` is a worker that was waited for.
    pub(super) fn start_ready(&mut self, may_start: bool, mut permit: Option<WorkerPermit>) {
        while may_start && self.sequences.ready_count() > 0 {
            let now = Instant::now();
            if self.breaker.as_ref().is_some_and(|breaker| !breaker.allows(now, self.running.len())) {
                return;
            }
            let Some(permit) = permit.take().or_else(|| self.consumer.settings.pool.try_acquire()) else { return };
            let Some((sequence, entry)) = self.sequences.start() else { return };
            if let Some(breaker) = &mut self.breaker {
                breaker.started();
            }
            self.start(sequence, entry, permit);
        }
    }

    fn start(&mut self, sequence: AggregateRef, entry: Entry, permit: WorkerPermit) {
        let failed = entry.row.as_ref().map_or(0, |row| row.attempts.len());
        let number = u32::try_from(failed).unwrap_or(u32::MAX).saturating_add(1);
        let allowed = entry.row.as_ref().map_or(self.consumer.settings.tries, |row| row.attempts_allowed);
        let job = Job {
            sequence: sequence.clone(),
            is_last: number >= allowed,
            may_be_repeated: entry.row.is_some() || entry.id.position <= self.attempted_before,
            entry: entry.clone(),
            number,
            timeout: self.consumer.settings.timeout,
            work: Arc::clone(&self.consumer.work),
            journal: self.shared.journal.clone(),
            cancelled: self.cancelled.child_token(),
            metrics: Arc::clone(&self.metrics),
            clock: Arc::clone(&self.shared.clock),
        };
        self.running.insert(sequence, entry);
        let task = async move {
            let ended = job.run().await;
            drop(permit);
            ended
        };
        self.jobs.spawn_on(task, &self.shared.threads);
    }

    /// A job has ended.
    pub(super) fn ended(&mut self, ended: Result<Ended, JoinError>) {
        let Ended { sequence, result } = match ended {
            Ok(ended) => ended,
            // Its panics are caught, so it was cancelled: it is given back.
            Err(error) => {
                debug!(%error, "a job was cut off");
                return;
            }
        };
        let Some(entry) = self.running.remove(&sequence) else { return };
        match result {
            Ok(()) => self.succeeded(&sequence, entry),
            Err(AttemptError::Failed(reason)) => self.failed(&sequence, &entry, &reason),
            Err(AttemptError::NotNow(reason)) => {
                debug!(consumer = %self.consumer.name, reason, "nothing can be done now");
                self.sequences.give_back(&sequence);
                self.not_before = Instant::now() + NOT_NOW_PAUSE;
            }
        }
    }

    fn succeeded(&mut self, sequence: &AggregateRef, entry: Entry) {
        self.metrics.succeeded.increment(1);
        let transition = self.breaker.as_mut().and_then(|breaker| breaker.succeeded());
        self.tell(transition);
        if entry.row.is_none() {
            self.marks.done(entry.id.position, sequence.slice());
        }
        self.leave(sequence, entry.row.is_some().then_some(entry.id));
    }

    /// The first job of a sequence has left memory. If `stored`, it is removed from the store together with the change
    /// that makes the next one the first: a sequence must never be without a job that is due.
    fn leave(&mut self, sequence: &AggregateRef, stored: Option<JobId>) {
        match self.sequences.pop(sequence) {
            Rest::InStore => {
                // Without a stored job of its own, the sequence was held while this one was in memory.
                let last = stored.unwrap_or(JobId { position: Position::ZERO, part: 0 });
                self.to_reload.push((sequence.clone(), last));
            }
            Rest::Next(next) => {
                if let Some(next) = next {
                    self.promote(*next);
                }
                self.forget(stored);
            }
            Rest::Nothing => self.forget(stored),
        }
    }

    fn forget(&mut self, stored: Option<JobId>) {
        if let Some(id) = stored {
            self.changes.remove.push(id);
            self.holding_rows = self.holding_rows.saturating_sub(1);
        }
    }

    /// Makes a job the first of its sequence: after a crash, the sequence goes on with it.
    pub(super) fn promote(&mut self, row: JobRow) {
        if row.state == JobState::Blocked {
            self.changes.put.push(JobRow { state: JobState::Waiting { due: self.shared.clock.now() }, ..row });
        }
    }

    fn failed(&mut self, sequence: &AggregateRef, entry: &Entry, reason: &str) {
        self.metrics.failed();
        let transition = self.breaker.as_mut().and_then(|breaker| breaker.failed(Instant::now()));
        self.tell(transition);
        let now = self.shared.clock.now();
        let tries = self.consumer.settings.tries;
        let Some(mut row) = entry.to_row(JobState::Dead, tries) else { return };
        row.attempts.push(FailedAttempt { at: now, error: reason.chars().take(ERROR_CHARS).collect() });
        let attempts = u32::try_from(row.attempts.len()).unwrap_or(u32::MAX);
        let is_dead = attempts >= row.attempts_allowed;
        let consumer = &self.consumer.name;
        if is_dead {
            self.metrics.dead_letters.increment(1);
            error!(%consumer, %sequence, event = row.subject, position = %row.id.position, attempts, reason,
                "a job has failed too often and is a dead letter");
        } else {
            let pause = self.consumer.settings.backoff.pause_after(attempts);
            let due = now.checked_add(pause).unwrap_or(Timestamp::MAX);
            row.state = JobState::Waiting { due };
            self.next_due = Some(self.next_due.map_or(due, |next| next.min(due)));
            warn!(%consumer, %sequence, event = row.subject, position = %row.id.position, attempts, ?pause, reason,
                "a job has failed, and is attempted again");
        }
        self.changes.put.push(row);
        let goes_on = is_dead && !self.is_ordered();
        if entry.row.is_none() {
            self.marks.is_job(entry.id.position, sequence.slice());
            self.holding_rows += u64::from(!goes_on);
        } else if goes_on {
            self.holding_rows = self.holding_rows.saturating_sub(1);
        }
        if goes_on {
            match self.sequences.pop(sequence) {
                Rest::InStore => self.to_reload.push((sequence.clone(), JobId { position: Position::ZERO, part: 0 })),
                Rest::Next(Some(next)) => self.promote(*next),
                Rest::Next(None) | Rest::Nothing => {}
            }
            return;
        }
        for behind in self.sequences.remove(sequence).into_iter().skip(1).filter(|entry| entry.row.is_none()) {
            if let Some(row) = behind.to_row(JobState::Blocked, tries) {
                self.changes.put.push(row);
                self.marks.is_job(behind.id.position, sequence.slice());
                self.holding_rows += 1;
            }
        }
    }

    fn tell(&self, transition: Option<Transition>) {
        let consumer = &self.consumer.name;
        match transition {
            Some(Transition::Opened(pause)) => {
                warn!(%consumer, ?pause, "the circuit breaker has opened: too many jobs in a row have failed");
                self.metrics.breaker_opened.increment(1);
            }
            Some(Transition::Closed) => info!(%consumer, "the circuit breaker has closed"),
            None => {}
        }
    }

    /// Reads the next jobs of the sequences whose jobs in memory are done.
    pub(super) async fn reload(&mut self) -> Result<(), Error> {
        while let Some((sequence, last)) = self.to_reload.pop() {
            // The lookup must see what is about to be stored.
            self.commit_all(false).await?;
            let is_stored = last.position > Position::ZERO;
            let rows = self.next_jobs(&sequence, is_stored.then_some(last)).await?;
            if let Some(first) = rows.first() {
                self.promote(first.clone());
            }
            self.forget(is_stored.then_some(last));
            self.sequences.load(&sequence, rows);
        }
        Ok(())
    }

    /// As [`next_jobs`], of this consumer.
    pub(super) fn next_jobs<'s>(
        &self,
        sequence: &'s AggregateRef,
        after: Option<JobId>,
    ) -> impl Future<Output = Result<Vec<JobRow>, Error>> + Send + use<'s> {
        let (store, name) = (Arc::clone(&self.shared.store), self.consumer.name.clone());
        let is_ordered = self.is_ordered();
        // The session itself must not be borrowed across an await: what it waits for is not `Sync`.
        async move { next_jobs(&*store, &name, is_ordered, sequence, after).await }
    }

    /// Takes the jobs in that are due by now.
    pub(super) async fn start_due(&mut self) -> Result<(), Error> {
        let (now, instant) = (self.shared.clock.now(), Instant::now());
        let is_due = self.next_due.is_some_and(|due| due <= now) && instant >= self.ask_due_at;
        if !is_due || !self.has_room() || !self.may_start() {
            return Ok(());
        }
        self.ask_due_at = instant + ASK_AGAIN;
        self.commit_all(false).await?;
        let name = self.consumer.name.clone();
        // Those that are in memory already are still due in the store.
        let limit = SEQUENCE_JOBS + self.sequences.count().min(WINDOW_EVENTS);
        let due = self.shared.store.due_jobs(&name, now, limit).await?;
        let mut is_taken = false;
        for row in due {
            if self.sequences.contains(&row.sequence) {
                // New events of the sequence wait behind the job, so that it gets its turn.
                self.sequences.hold(&row.sequence);
                continue;
            }
            if !self.has_room() {
                break;
            }
            let rows = self.next_jobs(&row.sequence, None).await?;
            is_taken |= !rows.is_empty();
            self.sequences.load(&row.sequence, rows);
        }
        self.next_due = self.shared.store.next_due_job(&name).await?;
        if is_taken {
            self.ask_due_at = instant;
        }
        Ok(())
    }
}

/// The next jobs of a sequence after `after` that are not dead. None, if an ordered sequence has a dead letter before them.
async fn next_jobs(
    store: &dyn QueueStore,
    name: &ConsumerName,
    is_ordered: bool,
    sequence: &AggregateRef,
    mut after: Option<JobId>,
) -> Result<Vec<JobRow>, Error> {
    loop {
        let page = store.sequence_jobs(name, sequence, after, SEQUENCE_JOBS).await?;
        let Some(last) = page.last() else { return Ok(page) };
        after = Some(last.id);
        let is_dead = |row: &JobRow| row.state == JobState::Dead;
        let rows: Vec<_> = if is_ordered {
            page.into_iter().take_while(|row| !is_dead(row)).collect()
        } else {
            page.into_iter().filter(|row| !is_dead(row)).collect()
        };
        if !rows.is_empty() || is_ordered {
            return Ok(rows);
        }
    }
}

/// How long the store is not asked for due jobs after all that it named were in memory.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// A job with all that it needs to run by itself.
struct Job {
    sequence: AggregateRef,
    entry: Entry,
    number: u32,
    is_last: bool,
    may_be_repeated: bool,
    timeout: Duration,
    work: Arc<dyn Work>,
    journal: Journal,
    cancelled: CancellationToken,
    metrics: Arc<ConsumerMetrics>,
    clock: Arc<dyn Clock>,
}

impl Job {
    async fn run(self) -> Ended {
        failpoint::reach(Step::Attempting);
        let sequence = self.sequence.clone();
        let result = self.attempt().await;
        failpoint::reach(Step::Attempted);
        Ended { sequence, result }
    }

    async fn attempt(self) -> Result<(), AttemptError> {
        let subject = match (self.entry.event, self.entry.row) {
            (Some(event), _) => Subject::Event(event),
            (None, Some(row)) if row.payload.is_some() => Subject::Row(Box::new(row)),
            (None, _) => Subject::Event(read_event(&self.journal, self.entry.id.position).await?),
        };
        if let (Subject::Event(event), 1) = (&subject, self.number) {
            self.metrics.dispatched.increment(1);
            if !self.may_be_repeated {
                let after = self.clock.now().duration_since(event.event.recorded_at);
                self.metrics.dispatch_duration.record(after.as_secs_f64().max(0.0));
            }
        }
        let deadline = Instant::now() + self.timeout;
        let attempt = Attempt {
            subject,
            number: self.number,
            is_last: self.is_last,
            may_be_repeated: self.may_be_repeated,
            deadline,
            cancelled: self.cancelled.clone(),
        };
        let attempted = AssertUnwindSafe(self.work.attempt(attempt)).catch_unwind();
        match timeout_at(deadline, attempted).await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => Err(AttemptError::Failed(panic::reason(&*panic))),
            Err(_) => {
                self.cancelled.cancel();
                Err(AttemptError::Failed(format!("it took longer than {:?}", self.timeout)))
            }
        }
    }
}

/// Reads the event of a job that comes from the store.
async fn read_event(journal: &Journal, position: Position) -> Result<Arc<RecordedEvent>, AttemptError> {
    let before = Position(position.0.saturating_sub(1));
    let page =
        journal.read_log(before, PageLimit::ONE).await.map_err(|error| AttemptError::NotNow(error.to_string()))?;
    let event = page.events.into_iter().next();
    event.map(Arc::new).ok_or_else(|| AttemptError::Failed(format!("the log has no event at position {position}")))
}
