//! The log as it grows.

use dormouse_journal::{Feed, Journal, ReadError};
use dormouse_kernel::{Position, RecordedEvent};
use tokio::sync::watch;
use tokio::task::consume_budget;

use super::Filter;
use crate::http::stream::{LOOK, PAGE_BYTES, Rest, Source};

/// Follows the log, through a filter.
pub(super) struct Log {
    feed: Feed,
    head: watch::Receiver<Position>,
    filter: Filter,
    rest: Rest,
}

impl Log {
    pub(super) fn follow(journal: &Journal, after: Position, filter: Filter) -> Self {
        let feed = journal.feed(after).page_bytes(PAGE_BYTES);
        Self { feed, head: journal.head(), filter, rest: Rest::default() }
    }
}

impl Source for Log {
    async fn next(&mut self) -> Result<Vec<RecordedEvent>, ReadError> {
        loop {
            let before = self.feed.position();
            let events = self.feed.ready_where(LOOK, |aggregate, event| self.filter.wants(aggregate, event)).await?;
            if !events.is_empty() {
                return Ok(events);
            }
            if self.feed.position() == before {
                self.rest.until_past(&mut self.head, before).await;
            } else {
                self.rest.in_vain();
            }
            consume_budget().await;
        }
    }

    fn id(event: &RecordedEvent) -> u64 {
        event.position.0
    }

    fn reached(&self) -> u64 {
        self.feed.position().0
    }
}
