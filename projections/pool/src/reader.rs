//! Reading a view as JSON, and waiting until it has reached a position.

use std::sync::Arc;
use std::time::Duration;

use dormouse_kernel::Position;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::context::ProjectionContext;
use crate::definition::Definition;
use crate::key::Key;
use crate::progress::{Progress, State};
use crate::query::{Page, Query};
use crate::store::{DocumentAt, Error, Parked};

/// Reads any view: the documents are JSON text. Cheap to clone.
///
/// The life of a read: a cached document is returned at once. Otherwise the read waits until the view's worker has found
/// the served build, so that there is a table; a list is looked up in the cache after that. On a miss the read joins a
/// load of the same document or list that is in flight, or loads from the store itself. What it loads is cached if no
/// commit has changed it meanwhile. Personal fields are sealed in the store and in the cache; they are opened last, so
/// that a value is gone as soon as it is forgotten.
#[derive(Clone, Debug)]
pub struct Reader {
    context: Arc<ProjectionContext>,
}

/// Why a view did not reach a position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// It did not reach the position in time; it may do so later.
    #[error("the view is at {at}, wanted {wanted}")]
    Behind {
        /// The position of the view when the time was over.
        at: Position,
        /// The position that was waited for.
        wanted: Position,
    },
    /// The view has stopped.
    #[error("the view stopped at {at}: {reason}")]
    Stopped {
        /// The position of the view.
        at: Position,
        /// The reason.
        reason: String,
    },
}

impl Reader {
    pub(crate) fn new(context: Arc<ProjectionContext>) -> Self {
        Self { context }
    }

    /// The definition of the view: its name and its declared fields.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.context.definition
    }

    /// The document under a key, and the position of the view when it was read. Returns at once if the document is
    /// cached.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get(&self, key: &Key) -> Result<DocumentAt, Error> {
        let ProjectionContext { definition, store, view_cache, sealing, .. } = &*self.context;
        let found = match view_cache.document(key) {
            Some(found) => found,
            None => {
                self.started().await;
                view_cache.load_document(key, store.get(definition, key)).await?
            }
        };
        match sealing {
            Some(sealing) => Ok(sealing.open_document(key, found).await?),
            None => Ok(found),
        }
    }

    /// A page of documents, and the position of the view when it was read.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list(&self, query: &Query) -> Result<Page, Error> {
        self.started().await;
        let ProjectionContext { definition, store, view_cache, sealing, .. } = &*self.context;
        let Some(sealing) = sealing else { return view_cache.list(query, store.list(definition, query)).await };
        let stored = sealing.stored_query(query);
        let page = view_cache.list(&stored, store.list(definition, &stored)).await?;
        Ok(sealing.open_page(query, page).await?)
    }

    /// Waits until every event up to `position` is in the view (or parked), at most for `patience`. Later reads see
    /// these events. Returns the position of the view.
    ///
    /// # Errors
    /// If the view does not reach the position in time, or has stopped before it.
    pub async fn wait_for(&self, position: Position, patience: Duration) -> Result<Position, WaitError> {
        let mut progress = self.progress();
        if progress.borrow().position < position {
            self.context.is_waited_for.notify_one();
        }
        let reached = |progress: &Progress| progress.position >= position || progress.state.is_final();
        // After an error too (the time is over, or the sender was dropped), the progress below decides.
        let _reached = timeout(patience, progress.wait_for(reached)).await.is_ok();
        let Progress { position: at, state, .. } = progress.borrow().clone();
        match state {
            _ if at >= position => Ok(at),
            State::Stopped(reason) => Err(WaitError::Stopped { at, reason }),
            State::Dropped => Err(WaitError::Stopped { at, reason: "the view was dropped".to_owned() }),
            State::Ended => Err(WaitError::Stopped { at, reason: "the projection has ended".to_owned() }),
            _ => Err(WaitError::Behind { at, wanted: position }),
        }
    }

    /// The progress of the view, and every change of it.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.context.progress.subscribe()
    }

    /// The parked events after a position, in order, at most `limit`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn parked(&self, after: Position, limit: usize) -> Result<Vec<Parked>, Error> {
        let build = self.context.progress.borrow().build;
        match build {
            Some(build) => self.context.store.parked(build, None, after, limit).await,
            None => Ok(Vec::new()),
        }
    }

    /// Waits until the worker has found the served build. Before that the view may have no table.
    async fn started(&self) {
        // An error means that the sender was dropped. Then the store reports what is wrong.
        let _started = self
            .progress()
            .wait_for(|progress| progress.build.is_some() || progress.state != State::Starting)
            .await
            .is_ok();
    }
}
