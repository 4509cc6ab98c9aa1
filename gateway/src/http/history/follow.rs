//! A stream of the events of one aggregate.

use dormouse_journal::{CatchUps, Feed, Journal, LogFilter, PageLimit, ReadError};
use dormouse_kernel::{AggregateRef, Mark, Position, RecordedEvent, Version};
use tokio::sync::watch;
use tokio::task::consume_budget;

use crate::http::budget::Share;
use crate::http::log::Filter;
use crate::http::stream::{PAGE_BYTES, ReadPause, SCAN_EVENTS, Source, largest};
use crate::http::token::Token;

/// The limit of one read of a history.
const READ_LIMIT: PageLimit = PageLimit::events(100).bytes(PAGE_BYTES);

/// A stream that is further behind the head than this reads the aggregate's history, because most events of the log
/// belong to other aggregates. The journal keeps the events that are nearer to the head in memory.
const FAR_BEHIND: u64 = 16 << 10;

/// Follows an aggregate: first its history, then its events in the log.
pub(super) struct History {
    journal: Journal,
    aggregate: AggregateRef,
    filter: Filter,
    /// The last version that was returned, or that the filter dropped.
    version: Version,
    /// The mark of the chain at that version.
    mark: Option<Mark>,
    /// The feed of the log, once the stream has caught up.
    feed: Option<Feed>,
    head: watch::Receiver<Position>,
    pause: ReadPause,
    turns: CatchUps,
}

impl History {
    pub(super) fn follow(
        journal: &Journal,
        aggregate: AggregateRef,
        after: Token,
        filter: Filter,
        turns: CatchUps,
    ) -> Self {
        let (journal, head, version, mark) = (journal.clone(), journal.head(), Version(after.number), after.mark);
        Self { journal, aggregate, filter, version, mark, feed: None, head, pause: ReadPause::default(), turns }
    }

    /// A page of the history; `None` before an event that is larger than a page and than `largest`. After the last
    /// page, the stream continues with the log.
    async fn read(&mut self, largest: usize) -> Result<Option<Vec<RecordedEvent>>, ReadError> {
        // The head is read before the history: the feed delivers what is committed meanwhile.
        let head = *self.head.borrow();
        let of_its_type =
            LogFilter { types: vec![self.aggregate.aggregate_type.as_str().to_owned()], events: Vec::new() };
        let feed = self.journal.feed(head).page_bytes(PAGE_BYTES).only(of_its_type).in_turn(self.turns.clone());
        let _turn = self.turns.turn().await;
        let mut page = self.journal.history(&self.aggregate, self.version, READ_LIMIT.largest(largest)).await?;
        if page.is_empty() && page.is_cut {
            return Ok(None);
        }
        self.feed = (!page.is_cut).then_some(feed);
        // An event that is stored but was not announced may still be undone.
        page.events.retain(|event| event.position <= head);
        Ok(Some(page.events))
    }

    /// Moves on past these events, and keeps the wanted ones.
    fn move_past(&mut self, mut events: Vec<RecordedEvent>) -> Result<Vec<RecordedEvent>, ReadError> {
        for event in &events {
            if event.version != self.version.next() {
                return Err(ReadError::Damaged {
                    aggregate: self.aggregate.clone(),
                    version: self.version.next(),
                    position: event.position,
                    problem: "the log has another version here",
                });
            }
            (self.version, self.mark) = (event.version, Some(event.event.chain.mark()));
        }
        events.retain(|event| self.filter.wants(&event.aggregate, &event.event));
        Ok(events)
    }
}

impl Source for History {
    async fn next(&mut self, share: &mut Option<Share>) -> Result<Vec<RecordedEvent>, ReadError> {
        loop {
            let largest = largest(share.as_ref());
            let head = *self.head.borrow();
            let events = match &mut self.feed {
                Some(feed) if head.0.saturating_sub(feed.position().0) <= FAR_BEHIND => {
                    let before = feed.position();
                    feed.set_largest(largest);
                    let events = feed.ready_where(SCAN_EVENTS, |aggregate, _| *aggregate == self.aggregate).await?;
                    if feed.position() > before {
                        if events.is_empty() {
                            self.pause.found_nothing();
                        }
                    } else if feed.is_behind() {
                        return Ok(events);
                    } else {
                        self.pause.wait_past(&mut self.head, before).await;
                    }
                    events
                }
                _ => match self.read(largest).await? {
                    Some(events) => events,
                    None => return Ok(Vec::new()),
                },
            };
            let events = self.move_past(events)?;
            if !events.is_empty() {
                return Ok(events);
            }
            *share = None;
            consume_budget().await;
        }
    }

    fn id(event: &RecordedEvent) -> Token {
        Token::new(event.version.0, Some(event.event.chain.mark()))
    }

    fn reached(&self) -> Token {
        Token::new(self.version.0, self.mark)
    }
}
