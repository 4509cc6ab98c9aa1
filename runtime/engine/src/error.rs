//! What can go wrong, and whether a retry can help.

use std::time::Duration;

use dormouse_kernel::Version;

use crate::command::Expected;

/// Why a command was not carried out. Except for [`OutcomeUnknown`](Self::OutcomeUnknown) and
/// [`ReplyUnreadable`](Self::ReplyUnreadable), it had no effect.
#[derive(Debug, thiserror::Error)]
pub enum CommandError<R> {
    /// The domain refuses it.
    #[error("{0}")]
    Rejected(R),
    /// The aggregate has another version than the sender requires.
    #[error("the aggregate has version {actual}, required is {expected}")]
    VersionMismatch {
        /// What the sender requires.
        expected: Expected,
        /// What it has.
        actual: Version,
    },
    /// Its key was used before, for a command with other content.
    #[error("this key was used for another command")]
    KeyReused,
    /// A command with its key is being carried out right now. A retry gets its outcome.
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
    /// Its deadline passed before it was decided.
    #[error("the deadline passed before the command was decided")]
    Expired,
    /// Its deadline passed, or its answer was lost, while its outcome was still open. Ask with the key, or read.
    #[error("the outcome is not known yet")]
    OutcomeUnknown,
    /// Something it was based on did not become durable. Retry.
    #[error("what the decision was based on did not become durable")]
    Undone,
    /// The journal does not answer. Retry later.
    #[error("the journal is unavailable: {0}")]
    Unavailable(String),
    /// The journal has no room. Retry once somebody has made some.
    #[error("the journal has no room")]
    JournalFull(String),
    /// Another node has taken the journal over. Retry there.
    #[error("another node has taken over the journal")]
    Fenced,
    /// The domain code panicked. The aggregate restarts.
    #[error("the aggregate failed while deciding")]
    Panicked,
    /// The aggregate has failed repeatedly and is being restarted. Retry later.
    #[error("the aggregate is restarting")]
    Restarting {
        /// Until then.
        retry_after: Duration,
    },
    /// The aggregate cannot be used until an operator releases it.
    #[error("the aggregate is quarantined: {reason}")]
    Quarantined {
        /// What happened to it.
        reason: String,
    },
    /// An event is larger than allowed, there are too many of them, or one cannot be encoded: a fault of the domain.
    #[error("the command's events cannot be stored: {0}")]
    Unstorable(String),
    /// The command took effect when it was sent first. What was answered then is no value of today's type of replies.
    #[error("the command took effect before, but its reply cannot be read: {0}")]
    ReplyUnreadable(String),
}

/// Why a state or a history could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The aggregate has no event, or none yet at the time asked for.
    #[error("there is no such aggregate")]
    NotFound,
    /// The aggregate does not have that many events.
    #[error("the aggregate has version {actual}")]
    NoSuchVersion {
        /// How many it has.
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
    /// It took longer than allowed.
    #[error("the deadline passed")]
    Expired,
    /// The journal does not answer, or what was read did not become durable. Retry later.
    #[error("the journal is unavailable: {0}")]
    Unavailable(String),
    /// The aggregate has failed repeatedly and is being restarted. Retry later.
    #[error("the aggregate is restarting")]
    Restarting {
        /// Until then.
        retry_after: Duration,
    },
    /// The aggregate cannot be used until an operator releases it.
    #[error("the aggregate is quarantined: {reason}")]
    Quarantined {
        /// What happened to it.
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
    /// The aggregate's name is not one.
    #[error("{name:?} cannot be an aggregate type: {reason}")]
    InvalidType {
        /// The name.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Its commands or events are not enums.
    #[error("aggregate {aggregate:?}: {reason}")]
    NotAnEnum {
        /// The aggregate's name.
        aggregate: &'static str,
        /// Which type.
        reason: String,
    },
    /// The supervisor tree did not come up.
    #[error("the supervisor tree did not start: {0}")]
    Supervision(String),
}
