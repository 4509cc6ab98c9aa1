//! Where views are kept: the contract, and the stores that keep it.

mod columns;
mod listing;
mod memory;
mod postgres;
mod sqlite;
mod values;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
pub use dormouse_journal::store::postgres_sessions::ReplicaStatus;
use dormouse_kernel::{AggregateRef, Chain, Mark, Position, RecordedEvent, Version};

use crate::definition::Definition;
use crate::key::Key;
use crate::query::{Page, Query};
pub use memory::Memory;
pub use postgres::Postgres;
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

    /// The mark of the history there; none before the first event.
    #[must_use]
    pub fn mark(&self) -> Option<Mark> {
        (self.position > Position::ZERO).then(|| self.chain.mark())
    }

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
    /// How often it was tried. Zero: never, because it waits behind an earlier one.
    pub attempts: u32,
}

impl Parked {
    /// An event that waits behind an earlier one.
    #[must_use]
    pub fn behind(event: &RecordedEvent) -> Self {
        let RecordedEvent { aggregate, version, position, .. } = event;
        Self { aggregate: aggregate.clone(), version: *version, position: *position, reason: None, attempts: 0 }
    }
}

/// One making of a view: it has rows, an offset and parked events of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Build {
    /// Which one.
    pub number: BuildNumber,
    /// The version of the code that makes it.
    pub version: u32,
    /// Where it was begun: it lacks what came up to there.
    pub begun_after: Position,
    /// How far it is.
    pub offset: Offset,
}

/// Names a build. No number of a store comes again, whatever becomes of its build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BuildNumber(pub u64);

/// What there is of a view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Builds {
    /// The one that readers get.
    pub serving: Option<Build>,
    /// The one that is made beside it, and will take its place.
    pub next: Option<Build>,
    /// An operator wants it to stay where it is.
    pub is_paused: bool,
}

/// What becomes of the build that is served when another one is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// It is served until the new one [takes its place](ViewStore::serve).
    Beside,
    /// It is dropped, and the new one is served at once.
    Instead,
}

/// What a batch of events does to a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advance {
    /// Where the build must be.
    pub from: Position,
    /// Where it is then. The same place, if only parked events are projected.
    pub to: Offset,
    /// The documents that are new or have changed, sorted by key, each key once.
    pub rows: Vec<Row>,
    /// The documents that are gone, sorted; none of them among the rows.
    pub gone: Vec<Key>,
    /// The events that wait from now on, in order. One that waits already has its reason replaced.
    pub parked: Vec<Parked>,
    /// The positions of events that wait no longer, in order; none of them among the parked.
    pub released: Vec<Position>,
}

/// A document as it was found, and how far the view was at that moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentAt {
    /// The document as JSON, with the last event that changed it; `None` if there is none. Shared: it goes to many readers.
    pub document: Option<(Arc<str>, Position)>,
    /// Where the view was.
    pub at: Position,
}

/// The documents that [`ViewStore::load`] found, as JSON. `None`: they have more bytes than the caller takes.
pub type Loaded = Option<Vec<(Key, String)>>;

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

/// Why a build was not moved on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The build is somewhere else: another worker has moved it on, or it was dropped. Nothing was changed.
    #[error("the view is at {found:?}, expected was {expected}")]
    Moved {
        /// Where it should have been.
        expected: Position,
        /// Where it is, if it is still there.
        found: Option<Position>,
    },
    /// It may or may not have happened: [`ViewStore::prepare`] tells.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Keeps views.
///
/// A view has at most two builds: the one that is served, and one that is made beside it. Workers move a build on,
/// readers read what is served. Operators find it in SQL under the name [`Definition::relation`].
///
/// Every method may be called from many tasks at once. A future may be dropped at any moment: what it was at has then
/// happened as a whole, or will, or never.
#[async_trait]
pub trait ViewStore: Debug + Send + Sync + 'static {
    /// What there is of a view. Storage that was found to be damaged is made anew before, and holds nothing then. The
    /// builds that the view's code makes (those of its version) have a column and an index for each declared field then.
    async fn prepare(&self, view: &Definition) -> Result<Builds, Error>;

    /// Begins a build of the view's version: empty, at `after`. One that was being made beside the one that is served is
    /// dropped. Where none is served, the new one is, in either case.
    async fn begin(&self, view: &Definition, after: Offset, how: Begin) -> Result<Build, Error>;

    /// Puts a build in the place of the one that is served, which is dropped with its rows. Readers see the old one or
    /// the new one, never a mixture, and never one that is not as far as what they have seen.
    ///
    /// False, and nothing has changed: the build is not as far as the one that is served, or is not there.
    async fn serve(&self, view: &Definition, build: BuildNumber) -> Result<bool, Error>;

    /// Drops the build that is made beside the one that is served, if there is one.
    async fn abandon(&self, view: &Definition) -> Result<(), Error>;

    /// Drops everything there is of a view, by its name: its code may be gone. A view that is not there is no error.
    async fn drop_view(&self, name: &str) -> Result<(), Error>;

    /// The names of all views of which there is anything, sorted.
    async fn names(&self) -> Result<Vec<String>, Error>;

    /// Which journal the views are of: the mark of its first event, if it is remembered. Remembers `first`, if none was before.
    async fn of_journal(&self, first: Option<Mark>) -> Result<Option<Mark>, Error>;

    /// Remembers whether a view is to stay where it is.
    async fn set_paused(&self, view: &Definition, is_paused: bool) -> Result<(), Error>;

    /// The documents of these keys, as JSON, in any order; those that are not there are left out. Everything whose
    /// commit had returned before the call is seen. `None`: they have more than `bytes`; no more than that and one document is
    /// held in memory to find out.
    async fn load(&self, view: &Definition, build: BuildNumber, keys: &[Key], bytes: usize) -> Result<Loaded, Error>;

    /// Moves a build on: all that [`Advance`] says, or nothing.
    ///
    /// It need not survive a loss of power, but then all of it is lost, and of everything that came after it.
    ///
    /// # Errors
    /// [`CommitError::Moved`] if the build is not where it must be.
    async fn commit(&self, view: &Definition, build: BuildNumber, advance: Advance) -> Result<(), CommitError>;

    /// A document of what is served, and how far that was: what it is after all events up to there, and none later.
    /// Everything whose commit had returned before the call is seen.
    async fn get(&self, view: &Definition, key: &Key) -> Result<DocumentAt, Error>;

    /// A page of what is served: one state, as with [`get`](Self::get).
    async fn list(&self, view: &Definition, query: &Query) -> Result<Page, Error>;

    /// The events that wait, after a position, in order, at most `limit`; of one aggregate, if one is named.
    async fn parked(
        &self,
        build: BuildNumber,
        of: Option<&AggregateRef>,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Parked>, Error>;

    /// Which of these aggregates have events that wait, in any order. Everything whose commit had returned before the call is
    /// seen.
    async fn parked_among(&self, build: BuildNumber, aggregates: &[AggregateRef]) -> Result<Vec<AggregateRef>, Error>;

    /// How many aggregates have events that wait.
    async fn parked_count(&self, build: BuildNumber) -> Result<usize, Error>;

    /// Lets go of the storage. Everything fails afterwards.
    async fn close(&self);

    /// How the replicas do that documents and lists are read from, too. None, if there can be none.
    fn replicas(&self) -> Vec<ReplicaStatus> {
        Vec::new()
    }
}

/// A mark as a store has it.
fn mark(text: &str) -> Result<Mark, Error> {
    Mark::parse(text).ok_or_else(|| Error::Damaged(format!("{text:?} is no mark of an event")))
}
