//! How a session begins, and how it reads the log.

use std::collections::HashMap;
use std::sync::Arc;

use dormouse_kernel::{AggregateRef, Backoff, RecordedEvent};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Page, Session};
use crate::breaker::{CircuitBreaker, Rules};
use crate::consumer::sequences::{Entry, Sequences};
use crate::consumer::task::Shared;
use crate::consumer::{Consumer, Order};
use crate::limits::{
    BREAKER_FAILURES, BREAKER_PAUSE, BREAKER_PAUSE_MAX, COMMIT_INTERVAL, NOT_NOW_PAUSE, PAGE_BYTES, PASSED_INTERVAL,
    WINDOW_EVENTS,
};
use crate::metric::ConsumerMetrics;
use crate::store::{Changes, Error, JobState, Progress, Switch};
use crate::watermarks::Watermarks;

impl Session {
    /// Begins where the store says.
    pub(in crate::consumer) async fn open(
        consumer: &Consumer,
        shared: &Shared,
        switch: &watch::Receiver<Switch>,
    ) -> Result<Self, Error> {
        let (name, settings) = (&consumer.name, &consumer.settings);
        let head = *shared.journal.head().borrow();
        let progress = match settings.reads_log {
            true => shared.progress_or_begin(name, settings.begin).await?,
            false => Progress::default(),
        };
        let counts = shared.store.job_counts().await?.remove(name).unwrap_or_default();
        let dead = if settings.order == Order::Ordered { counts.dead } else { 0 };
        let marks = Watermarks::new(progress, shared.shards);
        let now = Instant::now();
        let feed = settings.reads_log.then(|| {
            let feed = shared.journal.feed(marks.read_position()).page_bytes(PAGE_BYTES);
            match consumer.work.filter() {
                Some(filter) => feed.only(filter),
                None => feed,
            }
        });
        let open_for = Backoff { first: BREAKER_PAUSE, longest: BREAKER_PAUSE_MAX };
        Ok(Self {
            marks,
            sequences: Sequences::default(),
            running: HashMap::new(),
            jobs: JoinSet::new(),
            holding_rows: counts.waiting + counts.blocked + dead,
            to_reload: Vec::new(),
            breaker: settings.has_breaker.then(|| CircuitBreaker::new(Rules { failures: BREAKER_FAILURES, open_for })),
            changes: Changes::default(),
            metrics: Arc::new(ConsumerMetrics::new(name)),
            committing: None,
            commit_at: now + COMMIT_INTERVAL,
            passed_at: now + PASSED_INTERVAL,
            reading: None,
            feed,
            acquiring: None,
            next_due: shared.store.next_due_job(name).await?,
            ask_due_at: now,
            not_before: now,
            attempted_before: head,
            cancelled: CancellationToken::new(),
            told_ready: 0,
            consumer: consumer.clone(),
            shared: shared.clone(),
            switch: switch.clone(),
        })
    }

    /// Begins to read the next page, if there is room for it.
    pub(super) fn read_next(&mut self) {
        let Switch { paused, disabled } = *self.switch.borrow();
        let may_read = !paused || disabled;
        // Half a window at least, so that pages are worth their reading.
        if self.reading.is_some() || !may_read || self.sequences.count() > WINDOW_EVENTS / 2 {
            return;
        }
        let Some(mut feed) = self.feed.take() else { return };
        let room = WINDOW_EVENTS - self.sequences.count();
        let (work, switch) = (Arc::clone(&self.consumer.work), self.switch.clone());
        self.reading = Some(Box::pin(async move {
            let page = feed
                .next_where(room, |aggregate, event| !switch.borrow().disabled && work.wants(aggregate, event))
                .await;
            if page.is_err() {
                tokio::time::sleep(NOT_NOW_PAUSE).await;
            }
            (feed, page)
        }));
    }

    /// Takes the events of a page in, and stores those behind which others wait already.
    pub(super) async fn take_page(&mut self, (feed, page): Page) -> Result<(), Error> {
        let events = match page {
            Ok(events) => events,
            Err(error) => {
                warn!(consumer = %self.consumer.name, %error, "cannot read the log, trying again");
                self.feed = Some(feed);
                return Ok(());
            }
        };
        let mut wanted = Vec::with_capacity(events.len());
        for event in events {
            let slice = event.aggregate.slice();
            if !self.marks.was_settled(event.position, slice)
                && self.consumer.work.wants(&event.aggregate, &event.event)
            {
                self.marks.open(event.position, slice);
                wanted.push(event);
            }
        }
        self.marks.read_up_to(feed.position());
        self.feed = Some(feed);
        if self.switch.borrow().disabled {
            wanted.iter().for_each(|event| self.marks.done(event.position, event.aggregate.slice()));
            return Ok(());
        }
        if self.holding_rows > 0 && !wanted.is_empty() {
            // The lookup must see the jobs that are about to be stored.
            self.commit_all(false).await?;
            let mut sequences: Vec<AggregateRef> = wanted.iter().map(|event| event.aggregate.clone()).collect();
            sequences.sort_unstable();
            sequences.dedup();
            let held = self.shared.store.held(&self.consumer.name, &sequences, self.is_ordered()).await?;
            wanted.retain(|event| {
                let is_held = held.contains(&event.aggregate) || self.sequences.is_held(&event.aggregate);
                // A sequence in memory that is not held has no jobs in the store that must come first.
                let is_blocked =
                    is_held && (self.sequences.is_held(&event.aggregate) || !self.sequences.contains(&event.aggregate));
                if is_blocked {
                    self.block(event);
                }
                !is_blocked
            });
        }
        wanted.into_iter().for_each(|event| self.sequences.push(event));
        Ok(())
    }

    /// Stores an event behind earlier jobs of its sequence.
    fn block(&mut self, event: &RecordedEvent) {
        let entry = Entry::of_event(event.clone());
        if let Some(row) = entry.to_row(JobState::Blocked, self.consumer.settings.tries) {
            self.changes.put.push(row);
            self.marks.is_job(event.position, event.aggregate.slice());
            self.holding_rows += 1;
        }
    }
}
