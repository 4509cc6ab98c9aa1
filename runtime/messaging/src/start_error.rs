//! Why messaging could not be started.

use dormouse_journal::ReadError;
use dormouse_kernel::{NotAnEnum, Position};

use crate::consumer_name::InvalidConsumerName;
use crate::store;

/// Why messaging could not be started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The name of a reactor or a handler is not valid.
    #[error(transparent)]
    Name(#[from] InvalidConsumerName),
    /// Two reactors, or two handlers, have the same name.
    #[error("two listeners are called {0:?}")]
    Duplicate(String),
    /// The events of a source are not an enum.
    #[error("{consumer:?} reads {aggregate:?}: {source}")]
    NotAnEnum {
        /// The reactor or the handler.
        consumer: &'static str,
        /// The aggregate type.
        aggregate: &'static str,
        /// The type that is not an enum.
        source: NotAnEnum,
    },
    /// A source is named twice.
    #[error("{consumer:?} names the source {aggregate:?} twice")]
    DuplicateSource {
        /// The reactor or the handler.
        consumer: &'static str,
        /// The aggregate type.
        aggregate: &'static str,
    },
    /// There is no source.
    #[error("{consumer:?} names no source: it would never get an event")]
    NoSources {
        /// The reactor or the handler.
        consumer: &'static str,
    },
    /// A source is an aggregate type that the application does not have.
    #[error("{consumer:?} reads the aggregate type {aggregate:?}, which the application does not have")]
    UnknownSource {
        /// The reactor or the handler.
        consumer: String,
        /// The aggregate type.
        aggregate: &'static str,
    },
    /// A source has no event of this name.
    #[error("{consumer:?} wants {event:?}, which is no event of {aggregate:?}")]
    NoSuchEvent {
        /// The reactor or the handler.
        consumer: &'static str,
        /// The aggregate type.
        aggregate: &'static str,
        /// The name.
        event: &'static str,
    },
    /// There is no such queue.
    #[error("{listener} runs in the queue {queue:?}, but there are only {known}")]
    NoQueue {
        /// The handler or the publisher.
        listener: String,
        /// The queue that it names.
        queue: &'static str,
        /// The queues that exist.
        known: String,
    },
    /// Messaging is stopping, or has stopped.
    #[error("messaging does not run any more")]
    Stopped,
    /// The configuration names a listener that does not exist.
    #[error("the configuration names the listener {0:?}, which the application does not have")]
    UnknownListener(String),
    /// The store has progress of another history than the journal's.
    #[error(
        "the queues belong to another history than the journal, whose last position is {head}: they know of another event at \
         position {position}. Restore both from the same backup. If there is none, move the queues away: then dead letters \
         are forgotten, and handlers that have run run again, with the same keys"
    )]
    OtherHistory {
        /// A position that consumers had come to.
        position: Position,
        /// The last position of the log.
        head: Position,
    },
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] ReadError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}
