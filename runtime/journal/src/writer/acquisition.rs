//! What the writer does if the store does not answer, and if another owner takes the journal over.

use std::time::Duration;

use dormouse_kernel::{Backoff, Position};
use metrics::counter;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::{Health, Writer};
use crate::error::{AppendError, StoreError};
use crate::metric;

/// The pauses between attempts to reach a store that does not answer.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(20), longest: Duration::from_secs(1) };

impl Writer {
    /// Acquires the journal again after an error, unless the last attempt failed a moment ago.
    pub(super) async fn acquire_again(&mut self) -> Result<Position, AppendError> {
        if let Some(error) = self.retry.too_early() {
            return Err(error);
        }
        match self.store.acquire(Some(self.epoch)).await {
            Ok(ownership) => {
                info!(epoch = %ownership.epoch, head = %ownership.head, "the journal is available again");
                self.epoch = ownership.epoch;
                self.position = Some(ownership.head);
                self.versions.clear();
                self.retry = Retry::default();
                self.is_back();
                Ok(ownership.head)
            }
            Err(error) => Err(self.failed("acquire", &error)),
        }
    }

    /// Checks whether this writer still owns the journal. A store that does not answer proves nothing: the next commit
    /// will show it.
    pub(super) async fn check_ownership(&mut self) {
        self.ownership_seen = Instant::now();
        if self.store.epoch().await.is_ok_and(|epoch| epoch != self.epoch) {
            self.fenced();
        }
    }

    /// Notes that the store answers again.
    pub(super) fn is_back(&self) {
        // The time of the outage must not count as that of a commit.
        self.stall.finished(true);
        self.health.send_replace(Health::Ready);
    }

    /// Notes an error of the store. Returns the error to answer the submitters with.
    pub(super) fn failed(&mut self, operation: &'static str, error: &StoreError) -> AppendError {
        if *error == StoreError::Fenced {
            return self.fenced();
        }
        counter!(metric::ERRORS, "operation" => operation).increment(1);
        warn!(operation, %error, "the journal does not take appends");
        self.position = None;
        let (refusal, health) = match error {
            StoreError::Full(reason) => (AppendError::Full(reason.clone()), Health::Full(reason.clone())),
            _ => (AppendError::Unavailable(error.to_string()), Health::Recovering(error.to_string())),
        };
        self.retry.failed(refusal.clone());
        self.health.send_replace(health);
        refusal
    }

    /// Notes that another writer has taken the journal over, and ends this one.
    pub(super) fn fenced(&mut self) -> AppendError {
        error!(epoch = %self.epoch, "another writer has taken over the journal, nothing more is appended here");
        self.health.send_replace(Health::Fenced);
        AppendError::Fenced
    }
}

/// When to try a store again that does not answer.
#[derive(Debug, Default)]
pub(super) struct Retry {
    failures: u32,
    /// The time of the next attempt, and the answer to submitters until then.
    next: Option<(Instant, AppendError)>,
}

impl Retry {
    /// Counts one more failure, and returns the pause after it.
    pub(super) fn next_pause(&mut self) -> Duration {
        self.failures += 1;
        BACKOFF.pause_after(self.failures)
    }

    fn failed(&mut self, refusal: AppendError) {
        let pause = self.next_pause();
        self.next = Some((Instant::now() + pause, refusal));
    }

    /// The time of the next attempt, if the last one failed.
    pub(super) fn at(&self) -> Option<Instant> {
        self.next.as_ref().map(|(at, _)| *at)
    }

    /// The error to answer with if it is too early for the next attempt.
    fn too_early(&self) -> Option<AppendError> {
        self.next.as_ref().filter(|(at, _)| Instant::now() < *at).map(|(_, refusal)| refusal.clone())
    }
}
