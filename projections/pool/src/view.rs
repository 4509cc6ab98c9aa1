//! Reading what a projection made, in its own types.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use dormouse_kernel::Position;
use tokio::sync::watch;

use crate::documents::from_json;
use crate::key::Key;
use crate::progress::Progress;
use crate::projection::Projection;
use crate::reader::{Reader, WaitError};
use crate::store::{self, Parked};

/// The documents of a projection. Cheap to clone.
pub struct View<P: Projection> {
    reader: Reader,
    documents: PhantomData<fn() -> P>,
}

/// What was found under a key: what the events up to a position made of it, and nothing later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentAt<D> {
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

impl<P: Projection> View<P> {
    pub(crate) fn new(reader: Reader) -> Self {
        Self { reader, documents: PhantomData }
    }

    /// The document under a key, and how far the view was when it was read.
    ///
    /// # Errors
    /// If the store does not answer, or the document is not what this code expects.
    pub async fn get(&self, key: &Key) -> Result<DocumentAt<P::Document>, ReadError> {
        let store::Found { document, at } = self.reader.get(key).await?;
        let read = |(json, position): (Arc<str>, Position)| {
            let content = from_json(key, &json).map_err(|invalid| ReadError::Unreadable(invalid.to_string()))?;
            Ok::<_, ReadError>(Document { content, position })
        };
        Ok(DocumentAt { document: document.map(read).transpose()?, at })
    }

    /// See [`Reader::wait_for`].
    ///
    /// # Errors
    /// If it does not come so far in time, or never will.
    pub async fn wait_for(&self, position: Position, patience: Duration) -> Result<Position, WaitError> {
        self.reader.wait_for(position, patience).await
    }

    /// How far it is, how it fares, and every change of that.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.reader.progress()
    }

    /// The events that wait outside the view, after a position, in order, at most `limit`.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn parked(&self, after: Position, limit: usize) -> Result<Vec<Parked>, store::Error> {
        self.reader.parked(after, limit).await
    }
}

impl<P: Projection> Clone for View<P> {
    fn clone(&self) -> Self {
        Self::new(self.reader.clone())
    }
}

impl<P: Projection> std::fmt::Debug for View<P> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("View").field("reader", &self.reader).finish()
    }
}
