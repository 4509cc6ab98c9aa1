//! Where views are kept: the contract, and the stores that keep it.

mod memory;
mod sqlite;

use std::fmt::Debug;

use async_trait::async_trait;
use dormouse_kernel::{AggregateRef, Chain, Position, RecordedEvent, Version};

use crate::definition::Definition;
use crate::key::Key;
pub use memory::Memory;
pub use sqlite::Sqlite;

/// How far a view has come: everything up to this event is in it, or parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// The position of the event; zero before the first.
    pub position: Position,
    /// Its chain, which shows that the view belongs to this journal.
    pub chain: Chain,
}

impl Offset {
    /// Before the first event.
    pub const START: Self = Self { position: Position::ZERO, chain: Chain::ROOT };

    /// Right behind an event.
    #[must_use]
    pub fn at(event: &RecordedEvent) -> Self {
        Self { position: event.position, chain: event.event.chain }
    }
}

/// A document on its way into a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is called.
    pub key: Key,
    /// The document as JSON.
    pub document: String,
    /// The last event that changed it.
    pub position: Position,
}

/// An event that waits outside a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// Whose event.
    pub aggregate: AggregateRef,
    /// Which of the aggregate's events.
    pub version: Version,
    /// Where it is in the journal.
    pub position: Position,
    /// Why it cannot be projected. `None`: it only waits behind an earlier one.
    pub reason: Option<String>,
}

impl Parked {
    /// An event that waits behind an earlier one.
    #[must_use]
    pub fn behind(event: &RecordedEvent) -> Self {
        let RecordedEvent { aggregate, version, position, .. } = event;
        Self { aggregate: aggregate.clone(), version: *version, position: *position, reason: None }
    }
}

/// What a batch of events does to a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advance {
    /// Where the view must be.
    pub from: Position,
    /// Where it is then.
    pub to: Offset,
    /// The documents that are new or have changed, sorted by key, each key once.
    pub rows: Vec<Row>,
    /// The documents that are gone, sorted; none of them among the rows.
    pub gone: Vec<Key>,
    /// The events that wait from now on, in order.
    pub parked: Vec<Parked>,
}

/// A document as it was found, and how far the view was at that moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The document as JSON, with the last event that changed it; `None` if there is none.
    pub document: Option<(String, Position)>,
    /// Where the view was.
    pub at: Position,
}

/// Why a store could not do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It does not answer, or not now; a retry may succeed.
    #[error("the views are unavailable: {0}")]
    Unavailable(String),
    /// It has no room; a retry succeeds once somebody has made some.
    #[error("the views have no room: {0}")]
    Full(String),
    /// What it holds is not what was written. [`ViewStore::prepare`] makes it usable again.
    #[error("the views are damaged: {0}")]
    Damaged(String),
}

/// Why a view was not moved on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The view is somewhere else: another worker has moved it on, or it was built anew. Nothing was changed.
    #[error("the view is at {found:?}, expected was {expected}")]
    Moved {
        /// Where it should have been.
        expected: Position,
        /// Where it is, if this version of it exists.
        found: Option<Position>,
    },
    /// It may or may not have happened: [`ViewStore::prepare`] tells.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Keeps views.
///
/// Every method may be called from many tasks at once. A future may be dropped at any moment: what it was at has then
/// happened as a whole, or will, or never.
#[async_trait]
pub trait ViewStore: Debug + Send + Sync + 'static {
    /// Makes sure that a view is there, with an index for each declared field and no other, and says how far it is. A
    /// view of another version than this one, or one that was damaged, is empty then, and at the start.
    async fn prepare(&self, view: &Definition) -> Result<Offset, Error>;

    /// Empties a view, and moves it to the start. What was parked is forgotten.
    async fn reset(&self, view: &Definition) -> Result<(), Error>;

    /// The documents of these keys, as JSON, in any order; those that are not there are left out. Everything whose
    /// commit had returned before the call is seen.
    async fn load(&self, view: &Definition, keys: &[Key]) -> Result<Vec<(Key, String)>, Error>;

    /// Moves a view on: all that [`Advance`] says, or nothing.
    ///
    /// It need not survive a loss of power, but then all of it is lost, and of everything that came after it.
    ///
    /// # Errors
    /// [`CommitError::Moved`] if the view, in this version, is not where it must be.
    async fn commit(&self, view: &Definition, advance: Advance) -> Result<(), CommitError>;

    /// A document, and how far the view was: what it is after all events up to there, and none later. Everything whose
    /// commit had returned before the call is seen.
    async fn get(&self, view: &Definition, key: &Key) -> Result<Found, Error>;

    /// The events that wait, after a position, in order, at most `limit`.
    async fn parked(&self, view: &Definition, after: Position, limit: usize) -> Result<Vec<Parked>, Error>;

    /// The aggregates whose events wait, in any order, at most `limit`.
    async fn parked_aggregates(&self, view: &Definition, limit: usize) -> Result<Vec<AggregateRef>, Error>;

    /// Lets go of the storage. Everything fails afterwards.
    async fn close(&self);
}
