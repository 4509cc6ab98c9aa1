//! Following the log: what was just committed comes from memory, what is older from the store.
//!
//! The writer puts each batch it has committed into one ring that all subscribers share, and that forgets the oldest
//! when it is full. A subscriber is a position: if the ring still has what follows it, that is what it gets; otherwise
//! it reads the log, until the ring has what follows. So nothing needs to be told or remembered to switch over, and
//! somebody slow costs the writer nothing.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dormouse_kernel::{AggregateRef, Chain, NewEvent, Position, RecordedEvent};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::append::{Append, Placed};
use crate::catch_up::CatchUps;
use crate::error::ReadError;
use crate::filter::{LogFilter, Selected};
use crate::journal::Journal;
use crate::page::{PageLimit, Room};
use crate::shared_reads::{Reading, SharedReads};

/// Events in the ring. A subscriber that needs half a second for a batch stays in memory at 60,000 events a second.
const RING_EVENTS: usize = 32_768;

/// Their memory, in bytes: the bound that matters when events are large.
const RING_BYTES: usize = 32 << 20;

/// What one page of a subscriber may take in memory, in bytes, unless it wants less, or one event has more.
const PAGE_BYTES: usize = 8 << 20;

/// So often the store is asked for the head once another owner has taken over: what others append is not announced here.
const POLL: Duration = Duration::from_millis(500);

/// The latest batches, as long as somebody wants them.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    subscribers: AtomicUsize,
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    /// Without gaps.
    batches: VecDeque<Batch>,
    events: usize,
    bytes: usize,
}

/// What was committed at once; never empty.
#[derive(Clone, Debug)]
struct Batch {
    appends: Arc<[Placed]>,
    events: usize,
    bytes: usize,
}

impl Ring {
    /// Takes a batch that is durable. Without subscribers there is nothing to do.
    pub(crate) fn push(&self, committed: Vec<Placed>) {
        if self.subscribers.load(Ordering::Relaxed) == 0 || committed.is_empty() {
            return;
        }
        let appends = || committed.iter().map(|placed| &*placed.append);
        let events = appends().map(|append| append.events.len()).sum();
        let bytes = appends().map(Append::size_bytes).sum();
        let batch = Batch { appends: committed.into(), events, bytes };
        let forgotten = {
            let mut recent = self.recent();
            // The last subscriber may have gone since.
            if self.subscribers.load(Ordering::Relaxed) == 0 { Vec::new() } else { recent.push(batch) }
        };
        drop(forgotten);
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        // Every change below is made whole before the guard goes.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The chain of the event at a position, if it is here.
    pub(crate) fn chain_at(&self, position: Position) -> Option<Chain> {
        let recent = self.recent();
        let batch = recent.batches.partition_point(|batch| batch.last() < position);
        let appends = &recent.batches.get(batch)?.appends;
        let placed = appends.get(appends.partition_point(|placed| placed.last() < position))?;
        let index = usize::try_from(position.0.checked_sub(placed.first.0)?).ok()?;
        placed.append.events.get(index).map(|event| event.chain)
    }

    fn subscribe(&self) {
        self.subscribers.fetch_add(1, Ordering::Relaxed);
    }

    fn unsubscribe(&self) {
        let forgotten = {
            let mut recent = self.recent();
            let was_last = self.subscribers.fetch_sub(1, Ordering::Relaxed) == 1;
            if was_last { std::mem::take(&mut *recent) } else { Recent::default() }
        };
        drop(forgotten);
    }

    /// The batches that hold the events after a position, up to so many events and [`PAGE_BYTES`]. Empty: there are
    /// none yet. `None`: they are no longer here, or never were.
    fn after(&self, position: Position, limit: usize) -> Option<Vec<Batch>> {
        let recent = self.recent();
        let first = recent.batches.front()?.first();
        if position.next() < first {
            return None;
        }
        let start = recent.batches.partition_point(|batch| batch.last() <= position);
        let (mut events, mut bytes) = (0, 0);
        let wanted = recent.batches.range(start..).take_while(|batch| {
            let has_room = events < limit && bytes < PAGE_BYTES;
            // Of the first one, a part may be known already.
            let known = (position.0 + 1).saturating_sub(batch.first().0);
            events += batch.events - usize::try_from(known).unwrap_or(batch.events);
            bytes += batch.bytes;
            has_room
        });
        Some(wanted.cloned().collect())
    }
}

impl Recent {
    /// Gives back what there is no more room for.
    fn push(&mut self, batch: Batch) -> Vec<Batch> {
        let mut forgotten = Vec::new();
        if self.batches.back().is_some_and(|last| last.last().next() != batch.first()) {
            // Somebody else appended in between.
            forgotten.extend(std::mem::take(self).batches);
        }
        self.events += batch.events;
        self.bytes += batch.bytes;
        self.batches.push_back(batch);
        while self.events > RING_EVENTS || self.bytes > RING_BYTES {
            let Some(oldest) = self.batches.pop_front() else { break };
            self.events -= oldest.events;
            self.bytes -= oldest.bytes;
            forgotten.push(oldest);
        }
        forgotten
    }
}

impl Batch {
    fn first(&self) -> Position {
        self.appends.first().map_or(Position::ZERO, |placed| placed.first)
    }

    fn last(&self) -> Position {
        self.appends.last().map_or(Position::ZERO, Placed::last)
    }
}

/// Follows a journal's log from a position on: every event once, in order, without gaps.
///
/// Events that were just committed here come from memory, without a read; a feed that has fallen behind reads the log
/// until it has caught up. Whoever takes long holds up nobody, and costs no memory.
#[derive(Debug)]
pub struct Feed {
    journal: Journal,
    head: watch::Receiver<Position>,
    /// The last event that was given out.
    position: Position,
    /// Its chain. `None` before the first.
    chain: Option<Chain>,
    /// The last that is known to be in the log.
    known: Position,
    /// When the store was last asked.
    asked: Instant,
    /// What a page may take in memory, in bytes.
    page_bytes: usize,
    /// What a single event may take beyond that.
    largest: usize,
    /// The last page ended before what was known to be there.
    is_behind: bool,
    /// What is read of the log. What comes from memory goes by what each call wants.
    filter: Option<LogFilter>,
    /// Turns to read the log.
    turns: Option<CatchUps>,
    /// Whom it reads the log with.
    shared: Option<SharedReads>,
    /// It reads the log, and shares what it reads.
    reading: Option<Reading>,
}

impl Feed {
    pub(crate) fn new(journal: Journal, after: Position) -> Self {
        journal.ring().subscribe();
        let head = journal.head();
        let (asked, page_bytes, is_behind) = (Instant::now(), PAGE_BYTES, false);
        Self {
            journal,
            head,
            position: after,
            chain: None,
            known: after,
            asked,
            page_bytes,
            largest: usize::MAX,
            is_behind,
            filter: None,
            turns: None,
            shared: None,
            reading: None,
        }
    }

    /// Brings only what meets a filter when it reads the log; everything else is passed over in the store. Of an event that was
    /// passed over there, the chain is [not known](Self::passed).
    #[must_use]
    pub fn only(mut self, filter: LogFilter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Reads the log in turns with others; what is in memory it gives at once.
    #[must_use]
    pub fn in_turn(mut self, turns: CatchUps) -> Self {
        self.turns = Some(turns);
        self
    }

    /// Shares what it reads of the log with other feeds that read the same pages, unless it has a [filter](Self::only). They must
    /// be feeds of the same journal.
    #[must_use]
    pub fn sharing(mut self, shared: SharedReads) -> Self {
        self.shared = Some(shared);
        self
    }

    /// With pages of at most so many bytes rather than 8 MiB.
    #[must_use]
    pub fn page_bytes(mut self, page_bytes: usize) -> Self {
        self.page_bytes = page_bytes.max(1);
        self
    }

    /// Gives no event of more than so many bytes, unless it fits a page. In front of one the feed stays where it is: it gives
    /// nothing, and [is behind](Self::is_behind).
    pub fn set_largest(&mut self, largest: usize) {
        self.largest = largest;
    }

    /// The position of the last event it has given or passed over; of where it began, before the first.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Whether the last page ended before what was known to be there, so that another can be read at once.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// The position and the chain of the last event it has given or passed over, if there was one, and it is known.
    #[must_use]
    pub fn passed(&self) -> Option<(Position, Chain)> {
        self.chain.map(|chain| (self.position, chain))
    }

    /// The events that follow, at least one, at most `limit` (zero counts as one), and no more bytes than fit a page. Waits until there
    /// are any: events that this journal commits come at once, those of an owner that took it over within a second.
    ///
    /// Nothing is lost if the future is dropped: the same events come again.
    ///
    /// # Errors
    /// As with [`Journal::read_log`], and if the journal is closed; asking again goes on where it was.
    pub async fn next(&mut self, limit: usize) -> Result<Vec<RecordedEvent>, ReadError> {
        self.next_where(limit, |_, _| true).await
    }

    /// Of the next `limit` events, those that are wanted; maybe none, but the feed has come further. Otherwise like
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

    /// The same without waiting: none, if there are none yet. For those who read ahead because they are behind.
    ///
    /// # Errors
    /// As with [`next`](Self::next).
    pub async fn ready(&mut self, limit: usize) -> Result<Vec<RecordedEvent>, ReadError> {
        self.ready_where(limit, |_, _| true).await
    }

    /// Of the next `limit` events that are there already, those that are wanted: none does not mean that no more are
    /// there, only an unchanged [`position`](Self::position) does. What is not wanted is passed over where it stands in
    /// memory, and not copied.
    ///
    /// # Errors
    /// As with [`next`](Self::next).
    pub async fn ready_where(
        &mut self,
        limit: usize,
        wanted: impl Fn(&AggregateRef, &NewEvent) -> bool,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let limit = PageLimit::events(limit.max(1)).bytes(self.page_bytes).largest(self.largest);
        // Seen before the ring is asked: what is committed later wakes whoever waits.
        let committed = (*self.head.borrow_and_update()).max(self.known);
        let events = match self.journal.ring().after(self.position, limit.events) {
            Some(batches) if !batches.is_empty() => {
                self.reading = None;
                self.copy(&batches, limit, wanted)
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

    /// A page of what the ring has: only what is wanted takes room.
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

    /// A page of the log.
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

    /// Waits until there may be more. As long as the writer here owns the journal, nobody else appends; it looks for that itself.
    async fn wait_for_more(&mut self) -> Result<(), ReadError> {
        if self.head.changed().await.is_err() {
            // It has ended. Others may append.
            tokio::time::sleep_until(self.asked + POLL).await;
            self.asked = Instant::now();
            self.known = self.journal.ping().await?;
        }
        Ok(())
    }
}

/// A page of what is known to be durable: what else is there may be about to be undone.
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
    use dormouse_kernel::{AggregateId, AggregateRef, AggregateType, Chain, NewEvent, Timestamp, Version};

    use super::*;
    use crate::store::{Memory, Retention};
    use crate::writer::Options;

    #[tokio::test]
    async fn feeds_that_have_caught_up_keep_no_page_of_the_log() {
        let retention = Retention { keep_count: 1, max_age: Duration::ZERO, keep_sparse: 0 };
        let journal = Journal::start(Arc::new(Memory::new(retention)), Options::default()).await.unwrap();
        let append = |placed: &Placed| Append::clone(&placed.append);
        for placed in batch(1, 3, 2, 10) {
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

    fn batch(first: u64, appends: u64, events: usize, payload: usize) -> Vec<Placed> {
        let aggregate = AggregateRef::new(AggregateType::new("a").unwrap(), AggregateId::new("a").unwrap());
        let event = NewEvent {
            event_type: "happened".into(),
            schema_version: 1,
            payload: vec![0; payload],
            metadata: Vec::new(),
            recorded_at: Timestamp::UNIX_EPOCH,
            chain: Chain::ROOT,
        };
        let placed = |number: u64| {
            let first = first + number * events as u64;
            let expected = Version(first - 1);
            let append =
                Append { aggregate: aggregate.clone(), expected, key: None, events: vec![event.clone(); events] };
            Placed { first: Position(first), append: Arc::new(append) }
        };
        (0..appends).map(placed).collect()
    }

    fn subscribed() -> Ring {
        let ring = Ring::default();
        ring.subscribe();
        ring
    }

    fn extent(batches: &[Batch]) -> (u64, u64) {
        (batches.first().map_or(0, |batch| batch.first().0), batches.last().map_or(0, |batch| batch.last().0))
    }

    #[test]
    fn nothing_is_kept_for_nobody() {
        let ring = Ring::default();
        let committed = batch(1, 3, 1, 1);
        let append = Arc::clone(&committed[0].append);
        ring.push(committed.clone());
        drop(committed);
        assert_eq!(Arc::strong_count(&append), 1);
        ring.subscribe();
        ring.push(batch(4, 3, 1, 1));
        ring.unsubscribe();
        assert!(ring.recent().batches.is_empty());
    }

    #[test]
    fn a_batch_is_shared_and_not_copied() {
        let ring = subscribed();
        let committed = batch(1, 1, 1, 1);
        let append = Arc::clone(&committed[0].append);
        ring.push(committed);
        for _ in 0..10 {
            let taken = ring.after(Position(0), 100).unwrap();
            assert!(Arc::ptr_eq(&taken[0].appends[0].append, &append));
        }
        assert_eq!(Arc::strong_count(&append), 2);
    }

    #[test]
    fn memory_is_bounded_by_events_and_by_bytes() {
        for (payload, appends) in [(0, 1024), (1 << 20, 4)] {
            let ring = subscribed();
            for number in 0..100 {
                ring.push(batch(1 + number * appends, appends, 1, payload));
            }
            let recent = ring.recent();
            assert!(recent.events <= RING_EVENTS && recent.bytes <= RING_BYTES, "{} {}", recent.events, recent.bytes);
            assert!(recent.events > RING_EVENTS / 2 || recent.bytes > RING_BYTES / 2);
            assert_eq!(recent.events, recent.batches.iter().map(|batch| batch.events).sum::<usize>());
            assert_eq!(recent.bytes, recent.batches.iter().map(|batch| batch.bytes).sum::<usize>());
            assert_eq!(recent.batches.back().unwrap().last(), Position(100 * appends));
        }
    }

    #[test]
    fn one_batch_larger_than_the_ring_is_left_to_the_log() {
        let ring = subscribed();
        ring.push(batch(1, 1, 1, 1));
        ring.push(batch(2, 1, 1, RING_BYTES));
        assert!(ring.after(Position(0), 10).is_none());
    }

    #[test]
    fn what_follows_a_position_is_found_or_known_to_be_missing() {
        let ring = subscribed();
        assert!(ring.after(Position(0), 10).is_none());
        for first in [11, 17, 23] {
            ring.push(batch(first, 3, 2, 1));
        }
        assert!(ring.after(Position(9), 10).is_none(), "the tenth is older than all that is kept");
        assert_eq!(extent(&ring.after(Position(10), usize::MAX).unwrap()), (11, 28));
        assert_eq!(extent(&ring.after(Position(16), usize::MAX).unwrap()), (17, 28));
        assert_eq!(extent(&ring.after(Position(19), usize::MAX).unwrap()), (17, 28));
        assert_eq!(extent(&ring.after(Position(19), 3).unwrap()), (17, 22));
        assert_eq!(extent(&ring.after(Position(19), 4).unwrap()), (17, 28));
        assert!(ring.after(Position(28), 10).unwrap().is_empty());
    }

    #[test]
    fn behind_a_gap_it_begins_anew() {
        let ring = subscribed();
        ring.push(batch(1, 1, 1, 1));
        ring.push(batch(5, 1, 1, 1));
        assert!(ring.after(Position(0), 10).is_none());
        assert_eq!(extent(&ring.after(Position(4), 10).unwrap()), (5, 5));
        assert_eq!(ring.recent().events, 1);
    }
}
