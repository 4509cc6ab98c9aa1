//! Reads the documents of a projection in its own types.

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

/// The view of a projection. Cheap to clone.
pub struct View<P: Projection> {
    reader: Reader,
    documents: PhantomData<fn() -> P>,
}

/// A document as the events up to one position make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentAt<D> {
    /// The document, if there is one.
    pub document: Option<Document<D>>,
    /// The position of the view when the document was read.
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
    /// The store of the view failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// This code cannot read the document. A retry does not help; raise `VERSION`, so that the view is rebuilt.
    #[error("{0}")]
    Unreadable(String),
}

impl<P: Projection> View<P> {
    pub(crate) fn new(reader: Reader) -> Self {
        Self { reader, documents: PhantomData }
    }

    /// The document under a key, and the position of the view when it was read.
    ///
    /// # Errors
    /// If the store does not respond, or this code cannot read the document.
    pub async fn get(&self, key: &Key) -> Result<DocumentAt<P::Document>, ReadError> {
        let store::DocumentAt { document, at } = self.reader.get(key).await?;
        let read = |(json, position): (Arc<str>, Position)| {
            let content = from_json(key, &json).map_err(|invalid| ReadError::Unreadable(invalid.to_string()))?;
            Ok::<_, ReadError>(Document { content, position })
        };
        Ok(DocumentAt { document: document.map(read).transpose()?, at })
    }

    /// See [`Reader::wait_for`].
    ///
    /// # Errors
    /// If the view does not reach the position in time, or never will.
    pub async fn wait_for(&self, position: Position, patience: Duration) -> Result<Position, WaitError> {
        self.reader.wait_for(position, patience).await
    }

    /// The progress of the projection, and every change of it.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.reader.progress()
    }

    /// The parked events after a position, in order, at most `limit`.
    ///
    /// # Errors
    /// If the store does not respond.
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
