//! What a worker takes from the feed at once.

use dormouse_journal::{Feed, ReadError};
use dormouse_kernel::{AggregateRef, NewEvent, Position, RecordedEvent};

use crate::store::Offset;

/// Events that follow one another in the log, as far as they are of types that the projection reads: of the others there
/// is only how far they go.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) events: Vec<RecordedEvent>,
    /// Right behind the last event, whether it is among these or not.
    pub(crate) to: Offset,
    /// All of them, those that are left out as well.
    pub(crate) count: usize,
    /// More of them are there already.
    pub(crate) is_behind: bool,
}

impl Batch {
    /// Waits for the next one, of at most `limit` events, counted before any is left out.
    pub(crate) async fn next(
        feed: &mut Feed,
        limit: usize,
        wanted: impl Fn(&AggregateRef, &NewEvent) -> bool,
    ) -> Result<Option<Self>, ReadError> {
        let from = feed.position();
        let events = feed.next_where(limit, wanted).await?;
        Ok(Self::passed(feed, from, events))
    }

    /// The next one, if it is there already.
    pub(crate) async fn ready(
        feed: &mut Feed,
        limit: usize,
        wanted: impl Fn(&AggregateRef, &NewEvent) -> bool,
    ) -> Result<Option<Self>, ReadError> {
        let from = feed.position();
        let events = feed.ready_where(limit, wanted).await?;
        Ok(Self::passed(feed, from, events))
    }

    fn passed(feed: &Feed, from: Position, events: Vec<RecordedEvent>) -> Option<Self> {
        let (position, chain) = feed.passed().filter(|(position, _)| *position > from)?;
        // Positions have no gaps.
        let count = usize::try_from(position.0 - from.0).unwrap_or(usize::MAX);
        Some(Self { events, to: Offset { position, chain }, count, is_behind: feed.is_behind() })
    }
}
