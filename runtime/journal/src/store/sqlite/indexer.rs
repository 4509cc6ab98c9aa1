//! The task behind the commits that keeps the index close to the end of the log.

use std::sync::Arc;
use std::time::Duration;

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

/// Between two attempts after an error: from the first to the longest pause.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// The task that indexes. Dropping it ends it at any point: what it had not committed is indexed after the next start.
#[derive(Debug)]
pub(super) struct Indexer {
    task: JoinHandle<()>,
    stop: Arc<Notify>,
}

impl Indexer {
    /// Starts the task with an index that has everything the tail lacks.
    pub(super) fn start(index: Index, files: Files, tail: Arc<Tail>, readers: Arc<Readers>) -> Self {
        let stop = Arc::new(Notify::new());
        let work = Work { index: Some(index), files, tail, readers };
        Self { task: tokio::spawn(work.run(Arc::clone(&stop))), stop }
    }

    /// Indexes what is left in the tail, if that is possible at once, and ends.
    pub(super) async fn finish(mut self) {
        self.stop.notify_one();
        if let Err(panicked) = (&mut self.task).await {
            error!(error = %panicked, "the indexer died; the log is indexed after the next start");
        }
    }
}

impl Drop for Indexer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Work {
    /// Dropped after an error.
    index: Option<Index>,
    files: Files,
    tail: Arc<Tail>,
    readers: Arc<Readers>,
}

impl Work {
    async fn run(mut self, stop: Arc<Notify>) {
        let (first, longest) = BACKOFF;
        let mut pause = first;
        let mut stopping = false;
        while !stopping {
            tokio::select! {
                () = stop.notified() => stopping = true,
                () = self.tail.is_due() => {}
                () = self.readers.index_is_damaged() => {}
            }
            match self.index_tail().await {
                Ok(()) => pause = first,
                Err(failure) => {
                    counter!(metric::ERRORS, "operation" => "index").increment(1);
                    warn!(error = %failure, "cannot write the index; the log goes on until the tail is full");
                    if let StoreError::Damaged(_) = failure {
                        self.readers.report_index_damage();
                    }
                    if tokio::time::timeout(pause, stop.notified()).await.is_ok() {
                        // One last attempt.
                        stop.notify_one();
                    }
                    pause = (pause * 2).min(longest);
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

    /// The index; a new one if it is damaged. Then its readers are stopped until it is whole: the tail has only what
    /// the old one lacked.
    async fn open(&mut self) -> Result<Index, StoreError> {
        match self.index.take() {
            Some(index) if !self.readers.has_index_damage() => Ok(index),
            None if !self.readers.has_index_damage() => {
                let mut index = Index::open(&self.files, || self.readers.report_index_damage()).await?;
                // Somebody has deleted it, or put an older one back: what it lacks is not in the tail either.
                if index.watermark().await? < self.tail.start() {
                    self.readers.report_index_damage();
                }
                Ok(index)
            }
            damaged => {
                warn!(file = %self.files.index().display(), "the index is damaged and is made anew");
                if let Some(index) = damaged {
                    index.close().await;
                }
                Index::create(&self.files).await
            }
        }
    }
}
