//! Reading a view as it is stored, and waiting until it is as far as a reader wants it to be.

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

/// Reads a view, whatever its documents: they are JSON text here. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reader {
    context: Arc<ProjectionContext>,
}

/// Why a view is not as far as somebody wants it to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// It did not come so far in time; later it may.
    #[error("the view is at {at}, asked was for {wanted}")]
    Behind {
        /// How far it was in the end.
        at: Position,
        /// How far it should have been.
        wanted: Position,
    },
    /// It goes no further.
    #[error("the view stopped at {at}: {reason}")]
    Stopped {
        /// Where it stays.
        at: Position,
        /// Why.
        reason: String,
    },
}

impl Reader {
    pub(crate) fn new(context: Arc<ProjectionContext>) -> Self {
        Self { context }
    }

    /// What the view is called, and what can be asked of it.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.context.definition
    }

    /// The document under a key, and how far the view was when it was read. One that is in the cache is there at once.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn get(&self, key: &Key) -> Result<DocumentAt, Error> {
        if let Some(found) = self.context.view_cache.document(key) {
            return Ok(found);
        }
        self.started().await;
        let ProjectionContext { definition, store, view_cache, .. } = &*self.context;
        view_cache.load_document(key, store.get(definition, key)).await
    }

    /// A page of documents, and how far the view was when it was read.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn list(&self, query: &Query) -> Result<Page, Error> {
        self.started().await;
        let ProjectionContext { definition, store, view_cache, .. } = &*self.context;
        view_cache.list(query, store.list(definition, query)).await
    }

    /// Waits until every event up to `position` is in the view (or parked), no longer than `patience`. Whatever is read
    /// after that has seen them. Says how far the view is.
    ///
    /// # Errors
    /// If it does not come so far in time, or never will.
    pub async fn wait_for(&self, position: Position, patience: Duration) -> Result<Position, WaitError> {
        let mut progress = self.progress();
        if progress.borrow().position < position {
            self.context.is_waited_for.notify_one();
        }
        let reached = |progress: &Progress| progress.position >= position || progress.state.is_final();
        // Out of time, or, which cannot be, without a sender: where it is says the rest.
        let _reached = timeout(patience, progress.wait_for(reached)).await.is_ok();
        let Progress { position: at, state, .. } = progress.borrow().clone();
        match state {
            _ if at >= position => Ok(at),
            State::Stopped(reason) => Err(WaitError::Stopped { at, reason }),
            State::Dropped => Err(WaitError::Stopped { at, reason: "it was dropped".to_owned() }),
            State::Ended => Err(WaitError::Stopped { at, reason: "it was told to end".to_owned() }),
            _ => Err(WaitError::Behind { at, wanted: position }),
        }
    }

    /// How far it is, how it fares, and every change of that.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.context.progress.subscribe()
    }

    /// The events that wait outside the view, after a position, in order, at most `limit`.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn parked(&self, after: Position, limit: usize) -> Result<Vec<Parked>, Error> {
        let build = self.context.progress.borrow().build;
        match build {
            Some(build) => self.context.store.parked(build, None, after, limit).await,
            None => Ok(Vec::new()),
        }
    }

    /// Before that there may be no table to ask.
    async fn started(&self) {
        // An error would mean that the sender has gone, and then the store says what is to be said.
        let _started = self
            .progress()
            .wait_for(|progress| progress.build.is_some() || progress.state != State::Starting)
            .await
            .is_ok();
    }
}
