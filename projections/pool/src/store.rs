//! Stores of views: the contract, and the stores that implement it.

mod columns;
mod listing;
mod memory;
mod numbers;
mod postgres;
mod sqlite;
pub(crate) mod values;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use dormouse_kernel::{AggregateRef, Chain, Mark, Position, RecordedEvent, Version};
pub use dormouse_storage::postgres::ReplicaStatus;

use crate::definition::Definition;
use crate::key::Key;
use crate::query::{Page, Query};
pub use memory::Memory;
pub use postgres::Postgres;
pub use sqlite::Sqlite;

/// How far a view is: every event up to this one is in it, or parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// The position of the event; zero before the first event.
    pub position: Position,
    /// The chain of the event, which shows that the view belongs to this journal.
    pub chain: Chain,
}

impl Offset {
    /// Before the first event.
    pub const START: Self = Self { position: Position::ZERO, chain: Chain::ROOT };

    /// The mark of the history at this position; none before the first event.
    #[must_use]
    pub fn mark(&self) -> Option<Mark> {
        (self.position > Position::ZERO).then(|| self.chain.mark())
    }

    /// The offset after an event.
    #[must_use]
    pub fn at(event: &RecordedEvent) -> Self {
        Self { position: event.position, chain: event.event.chain }
    }
}

/// A document of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The key of the document.
    pub key: Key,
    /// The document as JSON.
    pub document: String,
    /// The position of the last event that changed it.
    pub position: Position,
}

/// A parked event: the view does not contain it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// The aggregate whose event it is.
    pub aggregate: AggregateRef,
    /// The version of the aggregate after the event.
    pub version: Version,
    /// The position in the journal.
    pub position: Position,
    /// Why it cannot be projected. `None`: it only waits for an earlier event of its aggregate.
    pub reason: Option<String>,
    /// How often it was tried. Zero: it only waits for an earlier event.
    pub attempts: u32,
}

impl Parked {
    /// An event that waits for an earlier one of its aggregate.
    #[must_use]
    pub fn behind(event: &RecordedEvent) -> Self {
        let RecordedEvent { aggregate, version, position, .. } = event;
        Self { aggregate: aggregate.clone(), version: *version, position: *position, reason: None, attempts: 0 }
    }
}

/// A build of a view: it has rows, an offset and parked events of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Build {
    /// The number that identifies it.
    pub number: BuildNumber,
    /// The version of the code that projects it.
    pub version: u32,
    /// It lacks the events up to this position. Zero: it has all.
    pub begun_after: Position,
    /// How far it is.
    pub offset: Offset,
}

/// Identifies a build. A store never uses a number twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BuildNumber(pub u64);

/// The builds of a view, and whether it is paused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Builds {
    /// The build that readers get.
    pub serving: Option<Build>,
    /// The build that is made beside it, and will take its place.
    pub next: Option<Build>,
    /// An operator has paused the view.
    pub is_paused: bool,
}

/// What happens to the served build when another one is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// It is served until the new one [takes its place](ViewStore::serve).
    Beside,
    /// It is dropped, and the new one is served at once.
    Instead,
}

/// The changes of a build that a batch of events makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advance {
    /// The position at which the build must be.
    pub from: Position,
    /// The offset after the batch. The same position, if only parked events are projected.
    pub to: Offset,
    /// The documents that are new or have changed, sorted by key, each key once.
    pub rows: Vec<Row>,
    /// The keys of the documents that are removed, sorted; none of them among the rows.
    pub gone: Vec<Key>,
    /// The events to park, in order. If one is parked already, its reason and its attempts are replaced.
    pub parked: Vec<Parked>,
    /// The positions of events that are no longer parked, in order; none of them among `parked`.
    pub released: Vec<Position>,
}

/// A document, and the position of the view when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentAt {
    /// The document as JSON, with the position of the last event that changed it. `None`: there is no such document.
    /// Shared, because many readers get it.
    pub document: Option<(Arc<str>, Position)>,
    /// The position of the view.
    pub at: Position,
}

/// The documents that [`ViewStore::load`] found, as JSON. `None`: they have more bytes than the caller allows.
pub type Loaded = Option<Vec<(Key, String)>>;

/// Why an operation of a store failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The store does not respond, or is closed, or has no such view or build; a retry may succeed.
    #[error("the views are unavailable: {0}")]
    Unavailable(String),
    /// The storage is full; a retry succeeds once there is room.
    #[error("the views have no room: {0}")]
    Full(String),
    /// The storage does not contain what was written. [`ViewStore::prepare`] makes it usable again.
    #[error("the views are damaged: {0}")]
    Damaged(String),
}

/// Why a commit did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The build is at another position, because another worker has moved it, or it was dropped. Nothing was changed.
    #[error("the view is at {found:?}, expected {expected}")]
    Moved {
        /// The position at which the worker expected the build.
        expected: Position,
        /// Its position. `None`: the build no longer exists.
        found: Option<Position>,
    },
    /// The outcome is unknown: the commit may have happened, or may still happen. [`ViewStore::prepare`] shows it.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Keeps views.
///
/// A view has at most two builds: the served one, and one that is made beside it. Workers move a build on, readers read
/// the served build. Operators find it in SQL under the name [`Definition::relation`].
///
/// ```text
///  call              what it makes durable                           what readers see
///  ─────────────     ─────────────────────────────────────────       ─────────────────────────────────
///  prepare           damaged storage is removed; columns and         the served build, or no view
///     │              indexes of declared fields
///  begin Instead     an empty build, served; others are dropped      the empty build at `after`
///  begin Beside      an empty build, not served                      the old build
///     │
///  ┌▶ load           nothing; sees all commits that returned         the build as it was
///  │  commit         rows + removed rows + parked + released         all before the commit, then all after
///  └──┤              + offset in one transaction, or nothing, if     it; of a build beside: nothing
///     │              the build is not at `from`
///  serve             the new build is served, the old one is         the old build, then the new one, at the
///     │              dropped; false: nothing (the new one is         same position or later; never both
///     │              behind, or missing)
///  abandon           the build beside is dropped                     the served build, as before
///  drop_view         everything of the view is dropped               no view: `Unavailable`
/// ```
///
/// A power cut may undo the latest calls, but only whole ones and always the latest, so rows and offset stay together.
/// An error of commit: [`Moved`](CommitError::Moved) means not done, for certain. [`Failed`](CommitError::Failed) means
/// unknown: it is done, or not, or will be done later. The worker drops what it holds in memory and calls `prepare`. A
/// late commit does nothing once another commit has moved the build on from `from`.
///
/// Every method may be called from many tasks at once. A future may be dropped at any moment: its call then has
/// happened as a whole, or will happen as a whole, or will never happen.
#[async_trait]
pub trait ViewStore: Debug + Send + Sync + 'static {
    /// The builds of a view. Storage that was found to be damaged is created anew first, and is empty then. Afterwards
    /// the builds of the view's version have a column and an index for each declared field.
    async fn prepare(&self, view: &Definition) -> Result<Builds, Error>;

    /// Begins a build of the view's version: empty, at `after`. A build that was being made beside the served one is
    /// dropped. If no build is served, the new one is served in either case.
    async fn begin(&self, view: &Definition, after: Offset, how: Begin) -> Result<Build, Error>;

    /// Serves a build in the place of the served one, which is dropped with its rows. Readers see the old one or the
    /// new one, never a mixture, and never an earlier position than before.
    ///
    /// False: nothing has changed, because the build is behind the served one or does not exist.
    async fn serve(&self, view: &Definition, build: BuildNumber) -> Result<bool, Error>;

    /// Drops the build that is made beside the served one, if it exists.
    async fn abandon(&self, view: &Definition) -> Result<(), Error>;

    /// Drops everything of a view, by its name, because its code may no longer exist. A missing view is no error.
    async fn drop_view(&self, name: &str) -> Result<(), Error>;

    /// The names of all views that have a build or a pause, sorted.
    async fn names(&self) -> Result<Vec<String>, Error>;

    /// The journal that the views belong to: the mark of its first event, if it is stored. Stores `first` if none was
    /// stored before.
    async fn of_journal(&self, first: Option<Mark>) -> Result<Option<Mark>, Error>;

    /// Stores whether a view is paused.
    async fn set_paused(&self, view: &Definition, is_paused: bool) -> Result<(), Error>;

    /// The documents of these keys, as JSON, in any order; keys without a document are left out. Sees every commit that
    /// returned before the call. `None`: they have more than `bytes`; to find that out, at most `bytes` and one
    /// document are held in memory.
    async fn load(&self, view: &Definition, build: BuildNumber, keys: &[Key], bytes: usize) -> Result<Loaded, Error>;

    /// Moves a build on: all that [`Advance`] says, or nothing.
    ///
    /// A power cut may undo a commit, but only as a whole, and with all later ones.
    ///
    /// # Errors
    /// [`CommitError::Moved`] if the build is not at [`Advance::from`].
    async fn commit(&self, view: &Definition, build: BuildNumber, advance: Advance) -> Result<(), CommitError>;

    /// A document of the served build, and the position of the build: the document contains the effect of all events up
    /// to there, and of no later one. Sees every commit that returned before the call.
    async fn get(&self, view: &Definition, key: &Key) -> Result<DocumentAt, Error>;

    /// A page of the served build: one state, as with [`get`](Self::get).
    async fn list(&self, view: &Definition, query: &Query) -> Result<Page, Error>;

    /// The parked events after a position, in order, at most `limit`; only those of one aggregate, if `of` names it.
    async fn parked(
        &self,
        build: BuildNumber,
        of: Option<&AggregateRef>,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Parked>, Error>;

    /// The given aggregates that have parked events, in any order. Sees every commit that returned before the call.
    async fn parked_among(&self, build: BuildNumber, aggregates: &[AggregateRef]) -> Result<Vec<AggregateRef>, Error>;

    /// The number of aggregates that have parked events.
    async fn parked_count(&self, build: BuildNumber) -> Result<usize, Error>;

    /// Closes the storage. Every later call fails.
    async fn close(&self);

    /// The status of the replicas that documents and lists are read from. Empty, if the store has none.
    fn replicas(&self) -> Vec<ReplicaStatus> {
        Vec::new()
    }
}

fn no_view(name: &str) -> Error {
    Error::Unavailable(format!("there is no view {name}"))
}

fn no_build(build: BuildNumber) -> Error {
    Error::Unavailable(format!("there is no build {}", build.0))
}

/// Decodes a mark from a column.
fn mark(text: &str) -> Result<Mark, Error> {
    Mark::parse(text).ok_or_else(|| Error::Damaged(format!("{text:?} is not a mark of an event")))
}
