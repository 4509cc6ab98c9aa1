//! Reading what a projection made, and waiting until it has.

use std::sync::Arc;
use std::time::Duration;

use dormouse_kernel::Position;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::documents::from_json;
use crate::key::Key;
use crate::progress::{Progress, State};
use crate::projection::Projection;
use crate::projector::Projector;
use crate::store::{self, Parked};

/// The documents of a projection. Cheap to clone.
pub struct View<P: Projection> {
    projector: Arc<Projector<P>>,
}

/// What was found under a key: what the events up to a position made of it, and nothing later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<D> {
    /// The document, if there is one.
    pub document: Option<Document<D>>,
    /// How far the view was.
    pub at: Position,
}

/// A document of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document<D> {
    /// What the projection made.
    pub content: D,
    /// The last event that changed it.
    pub position: Position,
}

/// Why a view could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Its store did not give it.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The document is not what this code expects. A retry cannot help; a higher `VERSION` builds the view anew.
    #[error("{0}")]
    Unreadable(String),
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

impl<P: Projection> View<P> {
    pub(crate) fn new(projector: Arc<Projector<P>>) -> Self {
        Self { projector }
    }

    /// The document under a key, and how far the view was when it was read.
    ///
    /// # Errors
    /// If the store does not answer, or the document is not what this code expects.
    pub async fn get(&self, key: &Key) -> Result<Answer<P::Document>, ReadError> {
        let Projector { definition, store, progress, .. } = &*self.projector;
        // Before that there may be no table to ask. An error would mean that the sender has gone, which is here.
        let mut progress = progress.subscribe();
        let _started = progress.wait_for(|progress| progress.state != State::Starting).await.is_ok();
        let store::Found { document, at } = store.get(definition, key).await?;
        let read = |(json, position): (String, Position)| {
            let content = from_json(key, &json).map_err(|unfit| ReadError::Unreadable(unfit.to_string()))?;
            Ok::<_, ReadError>(Document { content, position })
        };
        Ok(Answer { document: document.map(read).transpose()?, at })
    }

    /// Waits until every event up to `position` is in the view (or parked), no longer than `patience`. Whatever is read
    /// after that has seen them. Says how far the view is.
    ///
    /// # Errors
    /// If it does not come so far in time, or never will.
    pub async fn wait_for(&self, position: Position, patience: Duration) -> Result<Position, WaitError> {
        let mut progress = self.progress();
        let reached = |progress: &Progress| progress.position >= position || progress.state.is_final();
        // Out of time, or, which cannot be, without a sender: where it is says the rest.
        let _reached = timeout(patience, progress.wait_for(reached)).await.is_ok();
        let Progress { position: at, state, .. } = progress.borrow().clone();
        match state {
            _ if at >= position => Ok(at),
            State::Stopped(reason) => Err(WaitError::Stopped { at, reason }),
            State::Ended => Err(WaitError::Stopped { at, reason: "it was told to end".to_owned() }),
            _ => Err(WaitError::Behind { at, wanted: position }),
        }
    }

    /// How far it is, how it fares, and every change of that.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.projector.progress.subscribe()
    }

    /// The events that wait outside the view, after a position, in order, at most `limit`.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn parked(&self, after: Position, limit: usize) -> Result<Vec<Parked>, store::Error> {
        self.projector.store.parked(&self.projector.definition, after, limit).await
    }
}

impl<P: Projection> Clone for View<P> {
    fn clone(&self) -> Self {
        Self { projector: Arc::clone(&self.projector) }
    }
}

impl<P: Projection> std::fmt::Debug for View<P> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("View").field("progress", &*self.projector.progress.borrow()).finish()
    }
}
