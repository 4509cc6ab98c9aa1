//! A stream of the log.

use dormouse_journal::{CatchUps, Feed, Journal, ReadError};
use dormouse_kernel::{Position, RecordedEvent};
use tokio::sync::watch;
use tokio::task::consume_budget;

use super::Filter;
use crate::http::budget::Share;
use crate::http::stream::{PAGE_BYTES, ReadPause, SCAN_EVENTS, Source, largest};
use crate::http::token::Token;

/// Follows the log through a filter.
pub(super) struct Log {
    feed: Feed,
    head: watch::Receiver<Position>,
    filter: Filter,
    pause: ReadPause,
    /// The token at which the stream began.
    start: Token,
}

impl Log {
    pub(super) fn follow(journal: &Journal, start: Token, filter: Filter, turns: CatchUps) -> Self {
        let mut feed = journal.feed(Position(start.number)).page_bytes(PAGE_BYTES).in_turn(turns);
        if let Some(stored) = filter.stored() {
            feed = feed.only(stored);
        }
        Self { feed, head: journal.head(), filter, pause: ReadPause::default(), start }
    }
}

impl Source for Log {
    async fn next(&mut self, share: &mut Option<Share>) -> Result<Vec<RecordedEvent>, ReadError> {
        loop {
            self.feed.set_largest(largest(share.as_ref()));
            let before = self.feed.position();
            let events =
                self.feed.ready_where(SCAN_EVENTS, |aggregate, event| self.filter.wants(aggregate, event)).await?;
            let is_before_large = self.feed.position() == before && self.feed.is_behind();
            if !events.is_empty() || is_before_large {
                return Ok(events);
            }
            *share = None;
            if self.feed.position() == before {
                self.pause.wait_past(&mut self.head, before).await;
            } else {
                self.pause.found_nothing();
            }
            consume_budget().await;
        }
    }

    fn id(event: &RecordedEvent) -> Token {
        Token::new(event.position.0, Some(event.event.chain.mark()))
    }

    fn reached(&self) -> Token {
        let position = self.feed.position().0;
        match self.feed.passed() {
            Some((_, chain)) => Token::new(position, Some(chain.mark())),
            None if position == self.start.number => self.start,
            // The store has skipped these events, so their marks are not known here.
            None => Token::new(position, None),
        }
    }
}
