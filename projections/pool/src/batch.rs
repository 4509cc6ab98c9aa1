//! A batch of events, as a worker takes it from the feed.

use dormouse_journal::{Feed, ReadError};
use dormouse_kernel::{AggregateRef, NewEvent, Position, RecordedEvent};

use crate::store::Offset;

/// Consecutive events of the log, without those whose aggregate types the projection does not read.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) events: Vec<RecordedEvent>,
    /// The offset after the last event, even if that event is left out.
    pub(crate) to: Offset,
    /// The number of events, including those that are left out.
    pub(crate) count: usize,
    /// Whether the log already has events after these.
    pub(crate) is_behind: bool,
}

impl Batch {
    /// Waits for the next batch of at most `limit` events, including those that are left out.
    pub(crate) async fn next(
        feed: &mut Feed,
        limit: usize,
        wanted: impl Fn(&AggregateRef, &NewEvent) -> bool,
    ) -> Result<Option<Self>, ReadError> {
        let from = feed.position();
        let events = feed.next_where(limit, wanted).await?;
        Ok(Self::passed_by(feed, from, events))
    }

    /// The next batch, if the log already has events for it.
    pub(crate) async fn ready(
        feed: &mut Feed,
        limit: usize,
        wanted: impl Fn(&AggregateRef, &NewEvent) -> bool,
    ) -> Result<Option<Self>, ReadError> {
        let from = feed.position();
        let events = feed.ready_where(limit, wanted).await?;
        Ok(Self::passed_by(feed, from, events))
    }

    fn passed_by(feed: &Feed, from: Position, events: Vec<RecordedEvent>) -> Option<Self> {
        let (position, chain) = feed.passed().filter(|(position, _)| *position > from)?;
        // Positions have no gaps.
        let count = usize::try_from(position.0 - from.0).unwrap_or(usize::MAX);
        Some(Self { events, to: Offset { position, chain }, count, is_behind: feed.is_behind() })
    }
}
