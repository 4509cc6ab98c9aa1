//! Processes a batch: checks it, commits it, announces it, and answers its submitters.

use dormouse_kernel::Position;
use dormouse_kernel::failpoint::{self, Step};
use metrics::counter;
use tokio::time::Instant;
use tracing::warn;

use super::Writer;
use super::commit_batch::CommitBatch;
use crate::append::Placed;
use crate::error::{AppendError, CommitError, StoreError};
use crate::metric;

/// How often the commit of a batch is tried, if the outcome of each attempt is unknown at first and then turns out to
/// be "not committed". After that the batch is refused: it may itself be what makes the store fail.
const COMMIT_ATTEMPTS: u32 = 3;

impl Writer {
    /// Decides everything in a batch, and answers each submitter.
    pub(super) async fn process(&mut self, mut batch: CommitBatch) {
        if batch.has_appends() {
            failpoint::reach(Step::Gathered);
            let outcome = match self.prepare(&mut batch).await {
                Ok(position) => {
                    let placed = batch.place(position);
                    self.commit(placed, &mut batch).await
                }
                Err(error) => Err(error),
            };
            match outcome {
                Ok(committed) => self.publish(committed),
                Err(error) => batch.fail(&error),
            }
        }
        batch.answer(&self.metrics);
    }

    /// Makes sure that this writer owns the journal, and checks every append of the batch against it. Returns the head
    /// that the batch follows.
    async fn prepare(&mut self, batch: &mut CommitBatch) -> Result<Position, AppendError> {
        let position = match self.position {
            Some(position) => position,
            None => self.acquire_again().await?,
        };
        let checked = batch.check(&*self.store, &mut self.versions).await;
        checked.map_err(|error| self.failed("check", &error))?;
        Ok(position)
    }

    /// Commits the appends of `batch`, and returns them once they are durable.
    async fn commit(&mut self, placed: Vec<Placed>, batch: &mut CommitBatch) -> Result<Vec<Placed>, AppendError> {
        if placed.is_empty() {
            return Ok(placed);
        }
        let mut last = String::new();
        for _ in 0..COMMIT_ATTEMPTS {
            let started = Instant::now();
            failpoint::reach(Step::Committing);
            let committed = self.store.commit(self.epoch, &placed).await;
            match committed.and_then(|()| reply_of_store()) {
                Ok(()) => {
                    let events: usize = placed.iter().map(|placed| placed.append.events.len()).sum();
                    self.metrics.duration.record(started.elapsed());
                    self.metrics.batch_events.record(events as f64);
                    return Ok(placed);
                }
                Err(CommitError::Fenced) => return Err(self.fenced()),
                Err(CommitError::Refused(reason)) => {
                    return Err(self.failed("commit", &StoreError::Unavailable(reason)));
                }
                Err(CommitError::Full(reason)) => return Err(self.failed("commit", &StoreError::Full(reason))),
                Err(CommitError::Unknown(reason)) => {
                    warn!(%reason, "the outcome of a commit is unknown, asking the journal");
                    counter!(metric::ERRORS, "operation" => "commit").increment(1);
                    if self.resolve(&placed, batch).await? {
                        return Ok(placed);
                    }
                    // Certainly not committed. A batch that fails like this every time must not hold the writer for
                    // ever.
                    last = reason;
                }
            }
        }
        Err(self.failed("commit", &StoreError::Unavailable(last)))
    }

    /// Announces what is durable now.
    fn publish(&mut self, committed: Vec<Placed>) {
        if let Some(last) = committed.last().map(Placed::last) {
            // If the outcome was unknown and another writer has taken over, the log may be longer than this already.
            self.position = Some(last);
            self.ownership_seen = Instant::now();
            self.announcer.announce(last, committed);
            self.metrics.head.set(last.0 as f64);
        }
    }
}

/// What the store replied after a commit, unless a test makes its reply get lost.
fn reply_of_store() -> Result<(), CommitError> {
    failpoint::failure(Step::Committed).map_or(Ok(()), |reason| Err(CommitError::Unknown(reason)))
}
