//! Recovery of the tail and the index, after a start or an unknown commit.

use std::sync::{Arc, PoisonError};

use dormouse_kernel::{Position, RecordedEvent, Version};
use tracing::{info, warn};

use super::Sqlite;
use super::index::Index;
use super::indexer::Indexer;
use crate::append::{Append, AppendKey, Placed};
use crate::error::StoreError;
use crate::page::PageLimit;

/// The limit of one read that fills the tail.
const RECOVERED_AT_ONCE: PageLimit = PageLimit::events(256);

impl Sqlite {
    /// Fills the tail with all that the index lacks, up to the head.
    pub(super) async fn recover(&self, head: Position) -> Result<(), StoreError> {
        if self.tail.is_current() {
            // Only a commit with an unknown outcome can be missing.
            return self.fill_tail(head).await;
        }
        drop(self.indexer());
        let mut index = if self.readers.has_index_damage() {
            Index::create(&self.files).await?
        } else {
            Index::open(&self.files, || ()).await?
        };
        match self.join(&mut index, head).await {
            Err(StoreError::Damaged(reason)) => {
                warn!(file = %self.files.index().display(), reason, "the index is damaged and is made again");
                index.close().await;
                index = Index::create(&self.files).await?;
                self.join(&mut index, head).await?;
            }
            outcome => outcome?,
        }
        self.readers.renew();
        self.tail.complete();
        let watermark = index.watermark().await?;
        info!(%head, %watermark, "the log is open");
        let indexer = Indexer::start(index, self.files.clone(), Arc::clone(&self.tail), Arc::clone(&self.readers));
        *self.indexer.lock().unwrap_or_else(PoisonError::into_inner) = Some(indexer);
        Ok(())
    }

    /// Closes the gap between the index and the head: a small gap is read into the tail, a large one is indexed.
    async fn join(&self, index: &mut Index, head: Position) -> Result<(), StoreError> {
        let watermark = index.watermark().await?;
        self.tail.restart(watermark);
        let missing = head.0.saturating_sub(watermark.0);
        if missing <= self.bound.events as u64 / 2 {
            self.fill_tail(head).await?;
        }
        // Also if a few events were too large for the tail.
        if self.tail.end() < head {
            index.catch_up(head).await?;
            self.tail.restart(head);
        }
        Ok(())
    }

    /// Reads the events between the end of the tail and the head, unless they are too many to hold.
    async fn fill_tail(&self, head: Position) -> Result<(), StoreError> {
        while self.tail.end() < head && (self.tail.is_current() || !self.tail.is_half_full()) {
            let events = self.readers.log(self.tail.end(), RECOVERED_AT_ONCE).await.map_err(log_damage)?;
            if events.is_empty() {
                return Err(log_damage(StoreError::Damaged(format!("it ends before its head {head}"))));
            }
            let batch: Vec<Placed> = events.into_iter().map(placed).collect();
            self.tail.push(&batch);
        }
        Ok(())
    }
}

/// Damage of the log itself: making the index again would not help, and it is not known which aggregates lack events.
fn log_damage(failure: StoreError) -> StoreError {
    match failure {
        StoreError::Damaged(reason) => {
            StoreError::Unavailable(format!("the log is damaged, restore it from a backup: {reason}"))
        }
        other => other,
    }
}

/// A row in the shape of an append.
fn placed(event: RecordedEvent) -> Placed {
    let append = Append {
        expected: Version(event.version.0.saturating_sub(1)),
        aggregate: event.aggregate,
        key: event.command_key.map(|key| AppendKey { key, known_new: true }),
        events: vec![event.event],
    };
    Placed { first: event.position, append: Arc::new(append) }
}
