//! Reads of a journal, checked against the hash chain.

use std::time::Instant;

use dormouse_kernel::{AggregateRef, Chain, CommandKey, Mark, Position, RecordedEvent, Version};
use metrics::{counter, histogram};
use tracing::warn;

use super::{Journal, Shared};
use crate::error::{ReadError, StoreError};
use crate::filter::{LogFilter, SCANNED_EVENTS, Selected};
use crate::metric;
use crate::page::{Page, PageLimit};

/// A point in the history of an aggregate up to which the reader knows it already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The version of the last known event.
    pub version: Version,
    /// The chain up to it.
    pub chain: Chain,
}

impl Anchor {
    /// Before the first event.
    pub const START: Self = Self { version: Version::ZERO, chain: Chain::ROOT };
}

impl Journal {
    /// The events of an aggregate after `anchor`, within `limit`. Each is checked to follow the one before it.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] if they do not follow each other, or if the anchor is not part of this history.
    pub async fn events_after(
        &self,
        aggregate: &AggregateRef,
        anchor: Anchor,
        limit: PageLimit,
    ) -> Result<Page, ReadError> {
        let started = Instant::now();
        let read = self.read_from(aggregate, anchor.version, limit).await;
        let (found, page) = read.inspect_err(|_| counter!(metric::ERRORS, "operation" => "load").increment(1))?;
        histogram!(metric::LOAD_DURATION).record(started.elapsed());
        if anchor.version > Version::ZERO {
            let found = found.filter(|event| event.version == anchor.version);
            if found.as_ref().is_none_or(|found| found.event.chain != anchor.chain) {
                let position = found.map_or(Position::ZERO, |found| found.position);
                let problem = "the snapshot does not belong to this history";
                return Err(damaged(aggregate, anchor.version, position, problem));
            }
        }
        verify(aggregate, anchor, &page)?;
        self.opened_page(page).await
    }

    async fn opened_page(&self, page: Page) -> Result<Page, ReadError> {
        Ok(Page { events: self.opened(page.events).await?, ..page })
    }

    /// A page of an aggregate's history: the events after a version, within `limit`. Each is checked to follow the one
    /// before it.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] if they do not follow each other.
    pub async fn history(&self, aggregate: &AggregateRef, after: Version, limit: PageLimit) -> Result<Page, ReadError> {
        if after == Version::ZERO {
            return self.events_after(aggregate, Anchor::START, limit).await;
        }
        // The event right before the page is read too, as its anchor.
        let (Some(before), page) = self.read_from(aggregate, after, limit).await? else { return Ok(Page::default()) };
        if before.version != after {
            return Err(damaged(aggregate, after, before.position, "this version is missing"));
        }
        verify(aggregate, Anchor { version: after, chain: before.event.chain }, &page)?;
        self.opened_page(page).await
    }

    /// The event at a version, if the aggregate has it, and a page of the events after it.
    async fn read_from(
        &self,
        aggregate: &AggregateRef,
        version: Version,
        limit: PageLimit,
    ) -> Result<(Option<RecordedEvent>, Page), ReadError> {
        let Shared { store, .. } = &*self.shared;
        let unreadable = |error| unreadable(aggregate, version, error);
        let Some(before) = version.0.checked_sub(1).map(Version) else {
            return Ok((None, store.read_aggregate(aggregate, version, limit).await.map_err(unreadable)?));
        };
        let with_it = PageLimit { events: limit.events.saturating_add(1), largest: usize::MAX, ..limit };
        let mut page = store.read_aggregate(aggregate, before, with_it).await.map_err(unreadable)?;
        if page.is_empty() {
            return Ok((None, page));
        }
        let first = page.events.remove(0);
        if page.is_empty() && page.is_cut && limit.events > 0 {
            // The event is so large that it took the room of the page.
            page = store.read_aggregate(aggregate, version, limit).await.map_err(unreadable)?;
        }
        Ok((Some(first), page))
    }

    /// The events after a position, in order and without gaps, within `limit`.
    ///
    /// # Errors
    /// If the store does not answer; [`ReadError::Damaged`] if a position is missing.
    pub async fn read_log(&self, after: Position, limit: PageLimit) -> Result<Page, ReadError> {
        let page = self.shared.store.read_log(after, limit).await?;
        let mut expected = after.next();
        for event in &page {
            if event.position != expected {
                return Err(damaged(
                    &event.aggregate,
                    event.version,
                    expected,
                    "this position is missing from the log",
                ));
            }
            expected = expected.next();
        }
        self.opened_page(page).await
    }

    /// The mark of the history at a position, from the chain of the event there. `None` if the log does not reach that
    /// far, or if the position is zero. A position that was just committed costs no read.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn mark_at(&self, position: Position) -> Result<Option<Mark>, ReadError> {
        let Some(before) = position.0.checked_sub(1).map(Position) else { return Ok(None) };
        if let Some(chain) = self.shared.ring.chain_at(position) {
            return Ok(Some(chain.mark()));
        }
        let page = self.read_log(before, PageLimit::ONE).await?;
        Ok(page.first().map(|event| event.event.chain.mark()))
    }

    /// The events after a position that meet a filter, within `limit`. The read covers at most 8,192 positions, and
    /// none after `until`, which must not be after the [head](Self::head). The result says how far the read came: at
    /// least one event, unless the next one that meets the filter is [too large](PageLimit::largest).
    ///
    /// # Errors
    /// If the store does not answer, or has lost a position.
    pub async fn select_log(
        &self,
        after: Position,
        until: Position,
        filter: &LogFilter,
        limit: PageLimit,
    ) -> Result<Selected, ReadError> {
        let until = until.min(after.plus(SCANNED_EVENTS));
        if until <= after {
            return Ok(Selected { events: Vec::new(), reached: after });
        }
        let Page { events, is_cut } = self.shared.store.select_log(after, until, filter, limit).await?;
        let reached = if is_cut { events.last().map_or(after, |last| last.position) } else { until };
        Ok(Selected { events: self.opened(events).await?, reached })
    }

    /// The version of the first event of the aggregate's command with this key, if it is durable.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn find_command(&self, aggregate: &AggregateRef, key: &CommandKey) -> Result<Option<Version>, ReadError> {
        Ok(self.shared.store.find_command(aggregate, key).await?)
    }
}

fn verify(aggregate: &AggregateRef, anchor: Anchor, events: &[RecordedEvent]) -> Result<(), ReadError> {
    let mut last = anchor;
    for event in events {
        let expected = last.version.next();
        if event.version != expected {
            return Err(damaged(aggregate, expected, event.position, "this version is missing"));
        }
        if !event.follows(last.chain) {
            return Err(damaged(aggregate, expected, event.position, "the hash chain is broken"));
        }
        last = Anchor { version: event.version, chain: event.event.chain };
    }
    Ok(())
}

/// Damage that a store reports while it reads an aggregate is damage of this aggregate.
fn unreadable(aggregate: &AggregateRef, after: Version, error: StoreError) -> ReadError {
    match error {
        StoreError::Damaged(reason) => {
            warn!(%aggregate, reason, "events are damaged");
            damaged(
                aggregate,
                after.next(),
                Position::ZERO,
                "what is stored here, or after it, is not what was written",
            )
        }
        other => other.into(),
    }
}

pub(super) fn damaged(
    aggregate: &AggregateRef,
    version: Version,
    position: Position,
    problem: &'static str,
) -> ReadError {
    ReadError::Damaged { aggregate: aggregate.clone(), version, position, problem }
}
