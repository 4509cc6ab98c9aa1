//! The state that the workers, readers and operators of one view share.
//!
//! `context/plan.rs` decides which builds need a worker. `context/updates.rs` has all changes of [`Progress`].

mod plan;
mod updates;

use std::sync::Arc;

use dormouse_encryption::PersonalFields;
use dormouse_journal::{Health, Journal, PageLimit, ReadError};
use dormouse_kernel::Position;
use tokio::sync::{Mutex, Notify, watch};

use crate::cache::{Cache, ViewCache};
use crate::capacity::Capacity;
use crate::definition::Definition;
use crate::options::Options;
use crate::progress::{Progress, State};
use crate::reader::Reader;
use crate::sealing::Sealing;
use crate::store::{BuildNumber, Offset, ViewStore};

#[derive(Debug)]
pub(crate) struct ProjectionContext {
    pub(crate) definition: Definition,
    pub(crate) store: Arc<dyn ViewStore>,
    pub(crate) journal: Journal,
    pub(crate) options: Options,
    /// `None`: documents are stored as they are, because they have no personal fields, or there are no keys.
    pub(crate) sealing: Option<Sealing>,
    /// What all projections of the node may do at the same time.
    pub(crate) capacity: Arc<Capacity>,
    /// The cache of answers to readers. Every change must be announced to it before the change is made, and before any
    /// reader can know of it.
    pub(crate) view_cache: Arc<ViewCache>,
    pub(crate) progress: watch::Sender<Progress>,
    /// A worker moves the served build only while it holds this lock. The worker of a new build that is at most a batch
    /// behind takes the lock to catch up; otherwise the new build might stay one batch behind for ever.
    pub(crate) served_lock: Arc<Mutex<()>>,
    /// Notified when a reader waits for events that the view does not have yet. The worker then does not delay the next
    /// batch.
    pub(crate) is_waited_for: Notify,
    /// One operator request at a time.
    pub(crate) operator_lock: Arc<Mutex<()>>,
}

/// What a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    /// Decide which builds need a worker.
    Plan,
    /// Move this build.
    Build(BuildNumber),
}

impl ProjectionContext {
    pub(crate) fn new(
        mut definition: Definition,
        personal: PersonalFields,
        store: Arc<dyn ViewStore>,
        journal: Journal,
        options: Options,
        cache: &Cache,
        capacity: Arc<Capacity>,
    ) -> Self {
        let sealing = options.keys.as_ref().and_then(|keys| Sealing::of(keys, personal, &definition));
        if sealing.is_some() {
            definition = definition.sealed();
        }
        let progress = Progress {
            name: definition.name(),
            build: None,
            version: None,
            position: Position::ZERO,
            mark: None,
            begun_after: Position::ZERO,
            parked: 0,
            state: State::Starting,
            rebuild: None,
        };
        Self {
            view_cache: cache.view_cache(definition.name()),
            definition,
            store,
            journal,
            options,
            sealing,
            capacity,
            progress: watch::Sender::new(progress),
            served_lock: Arc::default(),
            is_waited_for: Notify::new(),
            operator_lock: Arc::default(),
        }
    }

    /// How often a subject was forgotten, if that matters to the view.
    pub(crate) fn forgets(&self) -> u64 {
        self.sealing.as_ref().map_or(0, Sealing::forgets)
    }

    /// A reader of the build that is served.
    pub(crate) fn reader(self: &Arc<Self>) -> Reader {
        Reader::new(Arc::clone(self))
    }

    /// Whether the journal will have no more events because the application stops.
    pub(crate) fn journal_is_closed(&self) -> bool {
        matches!(*self.journal.health().borrow(), Health::Closed)
    }

    /// The offset after the event at a position, if there is such an event.
    pub(crate) async fn offset_at(&self, position: Position) -> Result<Option<Offset>, ReadError> {
        let Some(before) = position.0.checked_sub(1) else { return Ok(Some(Offset::START)) };
        Ok(self.journal.read_log(Position(before), PageLimit::ONE).await?.first().map(Offset::at))
    }
}
