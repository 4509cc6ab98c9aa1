//! The indexer: the task that keeps the index close to the end of the log.

use std::sync::Arc;
use std::time::Duration;

use dormouse_kernel::Backoff;
use dormouse_kernel::failpoint::{self, Step};
use metrics::counter;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use super::files::Files;
use super::index::Index;
use super::readers::Readers;
use super::tail::Tail;
use crate::error::StoreError;
use crate::metric;

/// The pauses between attempts after an error.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(10) };

/// Handle of the task that indexes. Dropping it aborts the task at any point: events that were not indexed are indexed
/// after the next start.
#[derive(Debug)]
pub(super) struct Indexer {
    task: JoinHandle<()>,
    stop: Arc<Notify>,
}

impl Indexer {
    /// Starts the task. The index must have all events that the tail lacks.
    pub(super) fn start(index: Index, files: Files, tail: Arc<Tail>, readers: Arc<Readers>) -> Self {
        let stop = Arc::new(Notify::new());
        let work = Work { index: Some(index), files, tail, readers };
        Self { task: tokio::spawn(work.run(Arc::clone(&stop))), stop }
    }

    /// Indexes what is left in the tail, with one attempt, and ends.
    pub(super) async fn finish(mut self) {
        self.stop.notify_one();
        if let Err(panicked) = (&mut self.task).await {
            error!(error = %panicked, "the indexer panicked; the log is indexed after the next start");
        }
    }
}

impl Drop for Indexer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Work {
    /// `None` after an error: the index is opened again.
    index: Option<Index>,
    files: Files,
    tail: Arc<Tail>,
    readers: Arc<Readers>,
}

impl Work {
    async fn run(mut self, stop: Arc<Notify>) {
        let mut failures = 0;
        let mut stopping = false;
        while !stopping {
            tokio::select! {
                () = stop.notified() => stopping = true,
                () = self.tail.is_due() => {}
                () = self.readers.index_is_damaged() => {}
            }
            match self.index_tail().await {
                Ok(()) => failures = 0,
                Err(failure) => {
                    counter!(metric::ERRORS, "operation" => "index").increment(1);
                    warn!(error = %failure, "cannot write the index; commits continue until the tail is full");
                    if let StoreError::Damaged(_) = failure {
                        self.readers.report_index_damage();
                    }
                    failures += 1;
                    if tokio::time::timeout(BACKOFF.pause_after(failures), stop.notified()).await.is_ok() {
                        // It was asked to stop: one last attempt.
                        stop.notify_one();
                    }
                }
            }
        }
        if let Some(index) = self.index {
            index.close().await;
        }
    }

    async fn index_tail(&mut self) -> Result<(), StoreError> {
        let mut index = self.open().await?;
        let end = self.tail.end();
        if self.readers.has_index_damage() {
            index.catch_up(end).await?;
            self.readers.renew();
            info!("the index is whole again");
        }
        loop {
            failpoint::reach(Step::Indexing);
            let watermark = index.advance(end).await?;
            failpoint::reach(Step::Indexed);
            self.tail.prune(watermark);
            if watermark >= end {
                break;
            }
        }
        self.index = Some(index);
        Ok(())
    }

    /// The index, or a new one if it is damaged. Then readers do not use the index until it is whole again: the tail
    /// has only what the old index lacked.
    async fn open(&mut self) -> Result<Index, StoreError> {
        match self.index.take() {
            Some(index) if !self.readers.has_index_damage() => Ok(index),
            None if !self.readers.has_index_damage() => {
                let mut index = Index::open(&self.files, || self.readers.report_index_damage()).await?;
                // The file was deleted, or replaced by an older one: what it lacks is not in the tail either.
                if index.watermark().await? < self.tail.start() {
                    self.readers.report_index_damage();
                }
                Ok(index)
            }
            damaged => {
                warn!(file = %self.files.index().display(), "the index is damaged and is made again");
                if let Some(index) = damaged {
                    index.close().await;
                }
                Index::create(&self.files).await
            }
        }
    }
}
