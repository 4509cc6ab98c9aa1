//! The head of the log as this store knows it, and the part of the log that replicas have.

use std::sync::atomic::{AtomicU64, Ordering};

use dormouse_kernel::Position;
use dormouse_storage::from_sql;
use dormouse_storage::postgres::{QueryFuture, ReplicaProbe};
use sqlx::{PgConnection, query_scalar};

use crate::page::Page;

/// Smaller reads are lookups: those of the writer, which must be answered by the primary, or those of a single event.
const SMALLEST_PAGE: usize = 16;

/// The position of the last event that is known to be committed.
#[derive(Debug, Default)]
pub(super) struct KnownHead(AtomicU64);

impl KnownHead {
    /// Notes that the log has this position.
    pub(super) fn advance(&self, head: Position) {
        self.0.fetch_max(head.0, Ordering::Relaxed);
    }
}

impl ReplicaProbe for KnownHead {
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

/// The positions of a page that is read whole. If a server has all of them, it does not matter which server is read:
/// events never change, and a replica has no gap before its last event.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageRange {
    after: u64,
    limit: u64,
}

impl PageRange {
    /// `None` if the page is too small to be read from a replica.
    pub(super) fn new(after: Position, limit: usize) -> Option<Self> {
        (limit >= SMALLEST_PAGE).then_some(Self { after: after.0, limit: limit as u64 })
    }

    /// Whether a log that ends at `head` has all positions.
    pub(super) fn is_within(self, head: Position) -> bool {
        self.after.saturating_add(self.limit) <= head.0
    }

    /// Whether a page has these positions: all of them, or as many as fit. It does, unless a replica was restored to an
    /// earlier state.
    pub(super) fn is_filled_by(self, page: &Page) -> bool {
        let places = page.iter().map(|event| event.position.0);
        let count = page.len() as u64;
        let is_all = count == self.limit || page.is_cut && (1..self.limit).contains(&count);
        is_all && places.eq(self.after + 1..=self.after.saturating_add(count))
    }
}
