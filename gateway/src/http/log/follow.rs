//! The log as it grows.

use dormouse_journal::{CatchUps, Feed, Journal, ReadError};
use dormouse_kernel::{Position, RecordedEvent};
use tokio::sync::watch;
use tokio::task::consume_budget;

use super::Filter;
use crate::http::budget::Share;
use crate::http::stream::{LOOK, PAGE_BYTES, Rest, Source, largest};

/// Follows the log, through a filter.
pub(super) struct Log {
    feed: Feed,
    head: watch::Receiver<Position>,
    filter: Filter,
    rest: Rest,
}

impl Log {
    pub(super) fn follow(journal: &Journal, after: Position, filter: Filter, turns: CatchUps) -> Self {
        let mut feed = journal.feed(after).page_bytes(PAGE_BYTES).in_turn(turns);
        if let Some(stored) = filter.stored() {
            feed = feed.only(stored);
        }
        Self { feed, head: journal.head(), filter, rest: Rest::default() }
    }
}

impl Source for Log {
    async fn next(&mut self, share: &mut Option<Share>) -> Result<Vec<RecordedEvent>, ReadError> {
        loop {
            self.feed.set_largest(largest(share.as_ref()));
            let before = self.feed.position();
            let events = self.feed.ready_where(LOOK, |aggregate, event| self.filter.wants(aggregate, event)).await?;
            let is_before_large = self.feed.position() == before && self.feed.is_behind();
            if !events.is_empty() || is_before_large {
                return Ok(events);
            }
            *share = None;
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
