//! The errors of commands and reads. Each says whether a retry can help.

use std::time::Duration;

use dormouse_encryption::SchemaError;
use dormouse_journal::{AppendError, ReadError};
use dormouse_kernel::{InvalidId, NotAnEnum, OutgoingError, Version};

use crate::aggregate::LoadError;
use crate::command::Expected;

/// Why a command was not carried out. The command had no effect, except for [`OutcomeUnknown`](Self::OutcomeUnknown)
/// and [`ReplyUnreadable`](Self::ReplyUnreadable).
#[derive(Debug, thiserror::Error)]
pub enum CommandError<R> {
    /// The domain refuses the command.
    #[error("{0}")]
    Rejected(R),
    /// The sender may act only on its own, and the aggregate belongs to somebody else, or does not exist.
    #[error("the aggregate is not the caller's own")]
    NotOwner,
    /// The aggregate has another version than the sender requires.
    #[error("the aggregate has version {actual}, required is {expected}")]
    VersionMismatch {
        /// The condition of the sender.
        expected: Expected,
        /// The version of the aggregate.
        actual: Version,
    },
    /// The key was used before, for a command with other content.
    #[error("this key was used for another command")]
    KeyReused,
    /// A command with this key is being carried out. A retry gets its outcome.
    #[error("a command with this key is in flight")]
    KeyInFlight,
    /// Too many commands wait for this aggregate. Retry later.
    #[error("too many commands wait for this aggregate")]
    AggregateOverloaded,
    /// Too many commands are under way on this node. Retry later.
    #[error("too many commands are under way")]
    NodeOverloaded,
    /// The node is about to stop. Retry elsewhere, or when it is back.
    #[error("this node is shutting down")]
    Draining,
    /// The deadline passed before the command was decided.
    #[error("the deadline passed before the command was decided")]
    Expired,
    /// The deadline passed, or the answer was lost, while the outcome was open. Look the outcome up by the key, or read
    /// the state.
    #[error("the outcome is not known yet")]
    OutcomeUnknown,
    /// The decision was based on events that did not become durable. Retry.
    #[error("what the decision was based on did not become durable")]
    Undone,
    /// The journal does not answer. Retry later.
    #[error("the journal is unavailable: {0}")]
    Unavailable(String),
    /// The journal has no room. Retry once there is room again.
    #[error("the journal has no room")]
    JournalFull(String),
    /// Another node has taken the journal over. Retry there.
    #[error("another node has taken over the journal")]
    Fenced,
    /// The domain code panicked. The aggregate restarts.
    #[error("the aggregate failed while deciding")]
    Panicked,
    /// The aggregate has failed, and pauses before its restart. Retry later.
    #[error("the aggregate is restarting")]
    Restarting {
        /// The remaining pause.
        retry_after: Duration,
    },
    /// The aggregate cannot be used until an operator releases it.
    #[error("the aggregate is quarantined: {reason}")]
    Quarantined {
        /// Why it was quarantined.
        reason: String,
    },
    /// An event is larger than allowed, there are too many of them, or one cannot be encoded. The domain code must
    /// change.
    #[error("the command's events cannot be stored: {0}")]
    Unstorable(String),
    /// What the command sends or schedules is not valid, or too much. The command or the domain code must change.
    #[error("the command cannot send or schedule this: {0}")]
    Unsendable(String),
    /// The timer that sent the command was replaced or cancelled, or has fired for the last time.
    #[error("the timer that sent the command is not set any more")]
    TimerReplaced,
    /// The command took effect when it was sent first. The reply of that time cannot be read as the current type.
    #[error("the command took effect before, but its reply cannot be read: {0}")]
    ReplyUnreadable(String),
}

/// Why a state or a history could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The aggregate has no event, or had none at the time of the query.
    #[error("there is no such aggregate")]
    NotFound,
    /// The aggregate does not have that many events.
    #[error("the aggregate has version {actual}")]
    NoSuchVersion {
        /// The number of its events.
        actual: Version,
    },
    /// Too many requests wait for this aggregate. Retry later.
    #[error("too many commands wait for this aggregate")]
    AggregateOverloaded,
    /// Too many requests are under way on this node. Retry later.
    #[error("too many commands are under way")]
    NodeOverloaded,
    /// The node is about to stop.
    #[error("this node is shutting down")]
    Draining,
    /// The read took longer than allowed.
    #[error("the deadline passed")]
    Expired,
    /// The journal does not answer, or what was read did not become durable. Retry later.
    #[error("the journal is unavailable: {0}")]
    Unavailable(String),
    /// The aggregate has failed, and pauses before its restart. Retry later.
    #[error("the aggregate is restarting")]
    Restarting {
        /// The remaining pause.
        retry_after: Duration,
    },
    /// The aggregate cannot be used until an operator releases it.
    #[error("the aggregate is quarantined: {reason}")]
    Quarantined {
        /// Why it was quarantined.
        reason: String,
    },
    /// The stored events cannot be read.
    #[error("the stored events cannot be read: {0}")]
    Unreadable(String),
}

/// Why an engine could not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// Two aggregate types have the same name.
    #[error("two aggregates are called {0:?}")]
    DuplicateType(&'static str),
    /// The name of the aggregate type is not valid.
    #[error("{name:?} cannot be an aggregate type: {source}")]
    InvalidType {
        /// The name.
        name: &'static str,
        /// What is wrong with the name.
        source: InvalidId,
    },
    /// An event has a name that the runtime uses for rows of its own.
    #[error("aggregate {aggregate:?}: no event can be called {name:?}")]
    ReservedEvent {
        /// The name of the aggregate type.
        aggregate: &'static str,
        /// The name of the event.
        name: &'static str,
    },
    /// An internal command is none of the aggregate type's commands.
    #[error("aggregate {aggregate:?}: there is no command {command:?} that could be internal")]
    UnknownInternalCommand {
        /// The name of the aggregate type.
        aggregate: &'static str,
        /// The name that no command has.
        command: &'static str,
    },
    /// The commands or the events of an aggregate type are not enums.
    #[error("aggregate {aggregate:?}: {source}")]
    NotAnEnum {
        /// The name of the aggregate type.
        aggregate: &'static str,
        /// The type that is not an enum.
        source: NotAnEnum,
    },
    /// The personal values of an aggregate type cannot be told from its schemas.
    #[error("aggregate {aggregate:?}: its personal values: {source}")]
    PersonalFields {
        /// The name of the aggregate type.
        aggregate: &'static str,
        /// What is wrong with the schema.
        source: SchemaError,
    },
    /// The supervisor tree did not start.
    #[error("the supervisor tree did not start: {0}")]
    Supervision(String),
}

impl<R> From<LoadError> for CommandError<R> {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Unavailable(reason) => Self::Unavailable(reason),
            LoadError::Unreadable(reason) => Self::Quarantined { reason },
        }
    }
}

impl From<LoadError> for QueryError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Unavailable(reason) => Self::Unavailable(reason),
            LoadError::Unreadable(reason) => Self::Unreadable(reason),
        }
    }
}

impl<R> From<OutgoingError> for CommandError<R> {
    fn from(error: OutgoingError) -> Self {
        Self::Unsendable(error.to_string())
    }
}

impl<R> From<AppendError> for CommandError<R> {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Fenced => Self::Fenced,
            AppendError::Closed => Self::Draining,
            AppendError::Unavailable(reason) => Self::Unavailable(reason),
            AppendError::Full(reason) => Self::JournalFull(reason),
            // The journal does not have the events that the decision was based on, or has others. The actor loads the
            // aggregate again, so a retry can succeed.
            AppendError::VersionConflict { .. } | AppendError::KnownKey { .. } | AppendError::PredecessorFailed => {
                Self::Undone
            }
            AppendError::WrongSize { .. } => Self::Unstorable(error.to_string()),
        }
    }
}

impl From<ReadError> for QueryError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable(reason) => Self::Unavailable(reason),
            ReadError::Damaged { .. } => Self::Unreadable(error.to_string()),
        }
    }
}

/// The errors of the command bus before it reaches the aggregate, which are those of a read.
impl<R> From<QueryError> for CommandError<R> {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::AggregateOverloaded => Self::AggregateOverloaded,
            QueryError::NodeOverloaded => Self::NodeOverloaded,
            QueryError::Draining => Self::Draining,
            QueryError::Expired => Self::Expired,
            QueryError::Unavailable(reason) => Self::Unavailable(reason),
            QueryError::Restarting { retry_after } => Self::Restarting { retry_after },
            QueryError::Quarantined { reason } | QueryError::Unreadable(reason) => Self::Quarantined { reason },
            QueryError::NotFound | QueryError::NoSuchVersion { .. } => Self::Unavailable(error.to_string()),
        }
    }
}
