//! Snapshots of a journal, and the task that writes them.

use std::sync::Arc;

use dormouse_kernel::failpoint::{self, Step};
use dormouse_kernel::{AggregateId, AggregateRef, AggregateType};
use metrics::counter;
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use super::Journal;
use crate::error::ReadError;
use crate::metric;
use crate::snapshot::{AsOf, Snapshot};
use crate::store::Store;

/// Most snapshots that wait to be written. Further ones are dropped: snapshots are a cache, and are taken again later.
pub(super) const QUEUE: usize = 256;

/// Most snapshots that are written in one transaction.
const BATCH: usize = 64;

impl Journal {
    /// The latest snapshot that is part of the wanted state. `None` also if the store does not answer: then the
    /// aggregate is loaded from its events.
    pub async fn snapshot(&self, aggregate: &AggregateRef, as_of: AsOf) -> Option<Snapshot> {
        let found = self.shared.store.snapshot(aggregate, as_of).await;
        let found = found.unwrap_or_else(|error| {
            warn!(%aggregate, %error, "cannot read snapshots");
            counter!(metric::ERRORS, "operation" => "snapshot").increment(1);
            None
        });
        self.opened_snapshot(found?).await
    }

    /// The ids of the aggregates of a type that have snapshots, in order: at most `limit` of those after `after`.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn snapshotted(
        &self,
        aggregate_type: &AggregateType,
        after: Option<&AggregateId>,
        limit: usize,
    ) -> Result<Vec<AggregateId>, ReadError> {
        Ok(self.shared.store.snapshotted(aggregate_type, after, limit).await?)
    }

    /// How many aggregates of a type have snapshots.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn count_snapshotted(&self, aggregate_type: &AggregateType) -> Result<u64, ReadError> {
        Ok(self.shared.store.count_snapshotted(aggregate_type).await?)
    }

    /// Offers a snapshot, to be written in the background. Its state must be durable already. If the queue is full, the
    /// snapshot is dropped.
    pub fn offer_snapshot(&self, snapshot: Snapshot) {
        if self.shared.snapshots.try_send(SnapshotTask::Save(snapshot)).is_err() {
            counter!(metric::ERRORS, "operation" => "snapshot-dropped").increment(1);
        }
    }

    /// Offers a snapshot, and waits if the queue is full: for a state that is about to be unloaded.
    pub async fn save_snapshot(&self, snapshot: Snapshot) {
        if self.shared.snapshots.send(SnapshotTask::Save(snapshot)).await.is_err() {
            counter!(metric::ERRORS, "operation" => "snapshot-dropped").increment(1);
        }
    }
}

pub(super) enum SnapshotTask {
    Save(Snapshot),
    Flush(oneshot::Sender<()>),
}

pub(super) async fn write(store: Arc<dyn Store>, mut tasks: mpsc::Receiver<SnapshotTask>) {
    let mut gathered = Vec::new();
    while tasks.recv_many(&mut gathered, BATCH).await > 0 {
        let mut snapshots = Vec::new();
        let mut flushed = Vec::new();
        for task in gathered.drain(..) {
            match task {
                SnapshotTask::Save(snapshot) => snapshots.push(snapshot),
                SnapshotTask::Flush(answer) => flushed.push(answer),
            }
        }
        if !snapshots.is_empty() {
            failpoint::reach(Step::Snapshotting);
            if let Err(error) = store.save_snapshots(&snapshots).await {
                counter!(metric::ERRORS, "operation" => "snapshot").increment(1);
                warn!(%error, "cannot write snapshots");
            }
            failpoint::reach(Step::Snapshotted);
        }
        // The caller that waits may have been dropped.
        flushed.into_iter().for_each(|answer| _ = answer.send(()));
    }
}
