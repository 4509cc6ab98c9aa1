//! Where the log ends, as far as this store has heard, and as far as replicas have it.

use std::sync::atomic::{AtomicU64, Ordering};

use dormouse_kernel::Position;
use dormouse_storage::from_sql;
use dormouse_storage::postgres::{QueryFuture, ReplicaProbe};
use sqlx::{PgConnection, query_scalar};

use crate::page::Page;

/// Less than this is looked up rather than read: by the writer, which must hear it from the primary, or one by one by
/// somebody who wants a detail.
const PAGE: usize = 16;

/// The position of the last event that is known to be committed.
#[derive(Debug, Default)]
pub(super) struct Head(AtomicU64);

impl Head {
    /// The log is known to go as far as this.
    pub(super) fn heard(&self, head: Position) {
        self.0.fetch_max(head.0, Ordering::Relaxed);
    }
}

impl ReplicaProbe for Head {
    type Progress = Position;

    const SUBJECT: &'static str = "journal";

    fn probe(connection: &mut PgConnection) -> QueryFuture<'_, Position> {
        Box::pin(async move {
            let position = query_scalar("SELECT position FROM log_head").fetch_one(connection).await?;
            Ok(Position(from_sql(position, "position")?))
        })
    }

    fn lag(&self, seen: &Position) -> u64 {
        self.0.load(Ordering::Relaxed).saturating_sub(seen.0)
    }
}

/// Some events in a row, all of which must be there: then it does not matter who is asked for them, since they never
/// change, and there is no gap before the last one that a replica has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    after: u64,
    limit: u64,
}

impl Span {
    /// `None` if it is too small to be read elsewhere.
    pub(super) fn new(after: Position, limit: usize) -> Option<Self> {
        (limit >= PAGE).then_some(Self { after: after.0, limit: limit as u64 })
    }

    /// Whether it lies wholly in a log that ends there.
    pub(super) fn is_within(self, head: Position) -> bool {
        self.after.saturating_add(self.limit) <= head.0
    }

    /// Whether this is what a page has of it: all, or as much as fits. It is, unless a replica was put back to what it was
    /// before.
    pub(super) fn is(self, page: &Page) -> bool {
        let places = page.iter().map(|event| event.position.0);
        let count = page.len() as u64;
        let is_all = count == self.limit || page.is_cut && (1..self.limit).contains(&count);
        is_all && places.eq(self.after + 1..=self.after.saturating_add(count))
    }
}
