//! Feeds follow the log: the latest events come from memory, older ones from the store.
//!
//! The writer pushes each commit into one ring that all feeds share, and that drops the oldest when it is full. A feed
//! is a position: if the ring still has the events after it, the feed takes them from there; otherwise it reads the
//! log. So the change between the two needs no state, and a slow feed costs the writer nothing.

mod ring;

use std::sync::Arc;
use std::time::Duration;

use dormouse_kernel::{AggregateRef, Chain, NewEvent, Position, RecordedEvent};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::append::Placed;
use crate::catch_up::CatchUps;
use crate::error::ReadError;
use crate::filter::{LogFilter, Selected};
use crate::journal::Journal;
use crate::page::{PageLimit, Room};
use crate::shared_reads::{Reading, SharedReads};
use ring::Batch;
pub(crate) use ring::Ring;

/// Most bytes of one page of a feed, unless the feed wants fewer, or a single event has more.
const PAGE_BYTES: usize = 8 << 20;

/// How often a feed reads the head from the store once the writer of this process has ended: events of other owners are
/// not announced here.
const POLL: Duration = Duration::from_millis(500);

/// Follows a journal's log from a position on: every event once, in order, without gaps.
///
/// Events that were just committed here come from memory, without a read. A feed that has fallen behind reads the log
/// until it has caught up. A slow feed delays no other, and costs no memory.
#[derive(Debug)]
pub struct Feed {
    journal: Journal,
    head: watch::Receiver<Position>,
    /// The position of the last event that the feed returned or passed over.
    position: Position,
    /// The chain of that event. `None` if there is none, or if its chain is not known.
    chain: Option<Chain>,
    /// The last position that is known to be in the log.
    known: Position,
    /// When the head was last read from the store.
    polled: Instant,
    /// Most bytes of a page.
    page_bytes: usize,
    /// Most bytes of a single event that does not fit a page.
    largest: usize,
    /// The last page ended before the known end of the log.
    is_behind: bool,
    /// Which events are read from the log. Each call filters those from memory.
    filter: Option<LogFilter>,
    /// The fair queue for reading the log.
    turns: Option<CatchUps>,
    /// The pages that feeds share.
    shared: Option<SharedReads>,
    /// `Some` while the feed reads the log and shares its pages.
    reading: Option<Reading>,
}

impl Feed {
    pub(crate) fn new(journal: Journal, after: Position) -> Self {
        journal.ring().subscribe();
        let head = journal.head();
        let (polled, page_bytes, is_behind) = (Instant::now(), PAGE_BYTES, false);
        Self {
            journal,
            head,
            position: after,
            chain: None,
            known: after,
            polled,
            page_bytes,
            largest: usize::MAX,
            is_behind,
            filter: None,
            turns: None,
            shared: None,
            reading: None,
        }
    }

    /// Reads only the events of the log that meet a filter; the store passes over the others. The chain of an event
    /// that was passed over is [not known](Self::passed).
    #[must_use]
    pub fn only(mut self, filter: LogFilter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Reads the log in turns with other feeds. Events in memory need no turn.
    #[must_use]
    pub fn in_turn(mut self, turns: CatchUps) -> Self {
        self.turns = Some(turns);
        self
    }

    /// Shares pages of the log with other feeds of the same journal, unless the feed has a [filter](Self::only).
    #[must_use]
    pub fn sharing(mut self, shared: SharedReads) -> Self {
        self.shared = Some(shared);
        self
    }

    /// Limits pages to so many bytes rather than 8 MiB.
    #[must_use]
    pub fn page_bytes(mut self, page_bytes: usize) -> Self {
        self.page_bytes = page_bytes.max(1);
        self
    }

    /// Limits a single event to so many bytes, unless it fits a page. Before a larger event the feed stops: it returns
    /// nothing, and [is behind](Self::is_behind).
    pub fn set_largest(&mut self, largest: usize) {
        self.largest = largest;
    }

    /// The position of the last event that the feed returned or passed over. Before the first, the position where it
    /// began.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Whether the last page ended before the known end of the log, so that another can be read at once.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// The position and the chain of the last event that the feed returned or passed over, if there was one and its
    /// chain is known.
    #[must_use]
    pub fn passed(&self) -> Option<(Position, Chain)> {
        self.chain.map(|chain| (self.position, chain))
    }

    /// The next events: at least one, at most `limit` (zero counts as one), and no more bytes than fit a page. Waits
    /// until there are any. Events that this journal commits are returned at once. Those of an owner that took it over
    /// are returned within a second.
    ///
    /// Cancel safe: if the future is dropped, the next call returns the same events.
    ///
    /// # Errors
    /// As with [`Journal::read_log`], and if the journal is closed. The next call continues at the same position.
    pub async fn next(&mut self, limit: usize) -> Result<Vec<RecordedEvent>, ReadError> {
        self.next_where(limit, |_, _| true).await
    }

    /// Of the next `limit` events, those that are wanted. There may be none, but the position has moved. Otherwise like
    /// [`next`](Self::next).
    ///
    /// # Errors
    /// As with [`next`](Self::next).
    pub async fn next_where(
        &mut self,
        limit: usize,
        wanted: impl Fn(&AggregateRef, &NewEvent) -> bool,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let before = self.position;
        loop {
            let events = self.ready_where(limit, &wanted).await?;
            if self.position > before {
                return Ok(events);
            }
            self.wait_for_more().await?;
        }
    }

    /// Like [`next`](Self::next), without waiting: the result is empty if there are no more events yet.
    ///
    /// # Errors
    /// As with [`next`](Self::next).
    pub async fn ready(&mut self, limit: usize) -> Result<Vec<RecordedEvent>, ReadError> {
        self.ready_where(limit, |_, _| true).await
    }

    /// Of the next `limit` events that exist already, those that are wanted. An empty result does not mean that there
    /// are no more events; an unchanged [`position`](Self::position) does. Events in memory that are not wanted are not
    /// copied.
    ///
    /// # Errors
    /// As with [`next`](Self::next).
    pub async fn ready_where(
        &mut self,
        limit: usize,
        wanted: impl Fn(&AggregateRef, &NewEvent) -> bool,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let limit = PageLimit::events(limit.max(1)).bytes(self.page_bytes).largest(self.largest);
        // Read before the ring: a commit after this marks the head as changed, and wakes `wait_for_more`.
        let committed = (*self.head.borrow_and_update()).max(self.known);
        let events = match self.journal.ring().after(self.position, limit.events) {
            Some(batches) if !batches.is_empty() => {
                self.reading = None;
                let before = (self.position, self.chain);
                let copied = self.copy(&batches, limit, wanted);
                if self.journal.data_keys().is_none() {
                    copied
                } else {
                    // The feed moves on only once the events are opened, so that it is cancel safe.
                    let after = (self.position, self.chain);
                    (self.position, self.chain) = before;
                    let opened = self.journal.opened(copied).await?;
                    (self.position, self.chain) = after;
                    opened
                }
            }
            _ if committed > self.position => self.read(committed, limit, wanted).await?,
            _ => {
                self.reading = None;
                Vec::new()
            }
        };
        self.is_behind = self.position < committed;
        Ok(events)
    }

    /// A page from the ring. Only wanted events count for the limit of bytes.
    fn copy(
        &mut self,
        batches: &[Batch],
        limit: PageLimit,
        wanted: impl Fn(&AggregateRef, &NewEvent) -> bool,
    ) -> Vec<RecordedEvent> {
        let (seen, mut events, mut room) = (self.position, Vec::new(), Room::new(limit));
        let appends = batches.iter().flat_map(|batch| &*batch.appends);
        let unseen = appends.skip_while(|placed| placed.last() <= seen).flat_map(Placed::places);
        for (position, index, placed) in unseen.skip_while(|(position, ..)| *position <= seen).take(limit.events) {
            let event = &placed.append.events[index];
            if wanted(&placed.append.aggregate, event) {
                if !room.take(event.size_bytes()) {
                    break;
                }
                events.push(placed.row(index));
            }
            (self.position, self.chain) = (position, Some(event.chain));
        }
        events
    }

    /// A page from the log.
    async fn read(
        &mut self,
        committed: Position,
        limit: PageLimit,
        wanted: impl Fn(&AggregateRef, &NewEvent) -> bool,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let _turn = match &self.turns {
            Some(turns) => Some(turns.turn().await),
            None => None,
        };
        if let Some(filter) = &self.filter {
            let selected = self.journal.select_log(self.position, committed, filter, limit).await?;
            let Selected { mut events, reached } = selected;
            if reached > self.position {
                let last = events.last().filter(|last| last.position == reached);
                (self.position, self.chain) = (reached, last.map(|last| last.event.chain));
            }
            events.retain(|event| wanted(&event.aggregate, &event.event));
            return Ok(events);
        }
        if self.reading.is_none() {
            self.reading = self.shared.as_ref().map(SharedReads::begin);
        }
        let after = self.position;
        let Some(shared) = self.reading.as_ref().and_then(|reading| reading.page(after, limit)) else {
            let mut events = durable(&self.journal, after, committed, limit).await?;
            self.pass(events.last());
            events.retain(|event| wanted(&event.aggregate, &event.event));
            return Ok(events);
        };
        let read = async { durable(&self.journal, after, committed, limit).await.map(Arc::from) };
        let events: &Arc<[RecordedEvent]> = shared.get_or_try_init(|| read).await?;
        match (events.last(), &self.reading) {
            (None, Some(reading)) => reading.forget(after),
            (last, _) => self.pass(last),
        }
        Ok(events.iter().filter(|event| wanted(&event.aggregate, &event.event)).cloned().collect())
    }

    fn pass(&mut self, last: Option<&RecordedEvent>) {
        if let Some(last) = last {
            (self.position, self.chain) = (last.position, Some(last.event.chain));
        }
    }

    /// Waits until there may be more events. While the writer of this process owns the journal, no other process
    /// appends, and the writer checks that itself.
    async fn wait_for_more(&mut self) -> Result<(), ReadError> {
        if self.head.changed().await.is_err() {
            // The writer has ended, so other owners may append.
            tokio::time::sleep_until(self.polled + POLL).await;
            self.polled = Instant::now();
            self.known = self.journal.ping().await?;
        }
        Ok(())
    }
}

/// A page of the events that are known to be durable. Others that the store shows may still be rolled back.
async fn durable(
    journal: &Journal,
    after: Position,
    committed: Position,
    limit: PageLimit,
) -> Result<Vec<RecordedEvent>, ReadError> {
    let mut page = journal.read_log(after, limit).await?;
    page.events.retain(|event| event.position <= committed);
    Ok(page.events)
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.journal.ring().unsubscribe();
    }
}

#[cfg(test)]
mod tests {
    use super::ring::commit_of;
    use super::*;
    use crate::append::Append;
    use crate::store::{Memory, Retention};
    use crate::writer::Options;

    #[tokio::test]
    async fn feeds_that_have_caught_up_keep_no_page_of_the_log() {
        let retention = Retention { keep_count: 1, max_age: Duration::ZERO, keep_sparse: 0 };
        let journal = Journal::start(Arc::new(Memory::new(retention)), Options::default()).await.unwrap();
        let append = |placed: &Placed| Append::clone(&placed.append);
        for placed in commit_of(1, 3, 2, 10) {
            journal.append(append(&placed)).await.unwrap();
        }
        let shared = SharedReads::default();
        let mut feeds = [0; 2].map(|_| journal.feed(Position::ZERO).sharing(shared.clone()));
        for feed in &mut feeds {
            assert_eq!(feed.ready(4).await.unwrap().len(), 4);
            assert!(feed.reading.is_some());
        }
        for feed in &mut feeds {
            assert_eq!(feed.ready(4).await.unwrap().len(), 2);
            assert_eq!(feed.ready(4).await.unwrap().len(), 0);
        }
        assert!(shared.is_unused());
    }
}
