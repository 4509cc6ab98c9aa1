//! Resolving a commit whose outcome is unknown.
//!
//! Acquiring the journal again ends every earlier commit: after that it has happened, or it never will. Then the log
//! tells which. Meanwhile nothing else can be committed.

use std::collections::VecDeque;
use std::time::Duration;

use dormouse_kernel::Position;
use tokio::time::Instant;
use tracing::info;

use super::acquisition::Retry;
use super::commit_batch::CommitBatch;
use super::{Health, Writer};
use crate::append::Placed;
use crate::error::{AppendError, StoreError};
use crate::page::PageLimit;
use crate::store::Store;

/// How long new submissions wait for the outcome: most stores answer again by then. After that they are refused.
const OUTCOME_PATIENCE: Duration = Duration::from_secs(1);

impl Writer {
    /// Finds out whether `placed` was committed. It does not give up while this writer may still own the journal, since
    /// an answer to the submitters could be wrong.
    pub(super) async fn resolve(&mut self, placed: &[Placed], batch: &mut CommitBatch) -> Result<bool, AppendError> {
        let started = Instant::now();
        let mut retry = Retry::default();
        loop {
            match self.store.acquire(Some(self.epoch)).await {
                Ok(ownership) => {
                    self.epoch = ownership.epoch;
                    if let Ok(committed) = holds(&*self.store, placed).await {
                        info!(committed, epoch = %self.epoch, "found the outcome of the unknown commit");
                        self.is_back();
                        return Ok(committed);
                    }
                }
                // The new owner took over after this commit or before it: the log tells which.
                Err(StoreError::Fenced) => {
                    if let Ok(committed) = holds(&*self.store, placed).await {
                        let fenced = self.fenced();
                        return if committed { Ok(true) } else { Err(fenced) };
                    }
                }
                Err(error) => {
                    self.health.send_replace(Health::Recovering(error.to_string()));
                }
            }
            let next = Instant::now() + retry.next_pause();
            if started.elapsed() >= OUTCOME_PATIENCE {
                self.refuse_until(next, batch).await;
            }
            tokio::time::sleep_until(next).await;
        }
    }

    /// Answers the submissions that do not depend on the unresolved batch: appends are refused, since nothing can be
    /// committed, and barriers of other append sessions need not wait.
    ///
    /// It borrows the batch mutably because a batch is `Send` but not `Sync`.
    async fn refuse_until(&mut self, until: Instant, unresolved: &mut CommitBatch) {
        let reason = match &*self.health.borrow() {
            Health::Recovering(reason) => reason.clone(),
            _ => "the outcome of a commit is not known yet".to_owned(),
        };
        let error = AppendError::Unavailable(reason);
        let mut depending = VecDeque::new();
        loop {
            let waiting = self.waiting.drain(..);
            depending.extend(waiting.filter_map(|submission| submission.refuse_unless_depending(&error, unresolved)));
            match tokio::time::timeout_at(until, self.queue.recv()).await {
                Ok(Some(submission)) => self.waiting.push_back(submission),
                // The last handle was dropped, or the time is over.
                Ok(None) | Err(_) => break,
            }
        }
        self.waiting = depending;
    }
}

/// Whether the log holds this very batch. Batches are atomic, so the first event shows it for all; and the chain of an
/// event covers its unique id.
async fn holds(store: &dyn Store, placed: &[Placed]) -> Result<bool, StoreError> {
    let Some(first) = placed.first() else { return Ok(true) };
    let before = Position(first.first.0.saturating_sub(1));
    let found = store.read_log(before, PageLimit::ONE).await?;
    let (Some(found), Some(ours)) = (found.first(), first.append.events.first()) else { return Ok(false) };
    Ok(found.aggregate == first.append.aggregate && found.event.chain == ours.chain)
}
