//! What an error says about its statement: the one place where PostgreSQL's errors are read.

use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::error::Error;
use crate::number::OutOfRange;

/// Why a statement brought no result.
///
/// The reasons are texts: callers keep them in a health status, clone them for all callers of a commit, and show them.
#[derive(Debug)]
pub enum Failure {
    /// The statement was not carried out and never will be: it was not sent, or the server says that it rolled it back.
    Refused(String),
    /// Not carried out, because another session held a lock for too long.
    Busy(String),
    /// Not carried out, because there is no room.
    Full(String),
    /// Not carried out, because a table, column or index is missing, not as this program made it, or corrupted.
    Unusable(String),
    /// It may have been carried out, or may still be running: no reply arrived.
    Lost(String),
    /// The server replied with something that this program never wrote.
    Damaged(String),
}

impl Failure {
    pub(super) fn closed() -> Self {
        Self::Refused("the connections are closed".to_owned())
    }

    pub(super) fn no_connection(error: sqlx::Error) -> Self {
        let reason = error.to_string();
        // Servers know all parameters that we send. PgBouncer reports those that it does not pass on.
        if reason.contains("unsupported startup parameter") {
            return Self::Refused(format!(
                "{reason}: a pooler in between, such as PgBouncer, does not pass on what connections are opened with; connect \
                 to PostgreSQL directly, or through a pooler that does"
            ));
        }
        Self::Refused(reason)
    }

    pub(super) fn no_connection_within(limit: Duration) -> Self {
        Self::Refused(format!("no connection within {limit:?}"))
    }

    pub(super) fn no_reply_within(limit: Duration) -> Self {
        Self::Lost(format!("no answer within {limit:?}"))
    }

    /// What the server or the system reported.
    #[must_use]
    pub fn into_reason(self) -> String {
        match self {
            Self::Refused(reason)
            | Self::Busy(reason)
            | Self::Full(reason)
            | Self::Unusable(reason)
            | Self::Lost(reason)
            | Self::Damaged(reason) => reason,
        }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(reply) => from_reply(&**reply),
            sqlx::Error::Encode(_)
            | sqlx::Error::InvalidArgument(_)
            | sqlx::Error::Configuration(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed => Self::Refused(error.to_string()),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::RowNotFound => {
                Self::Damaged(error.to_string())
            }
            _ => Self::Lost(error.to_string()),
        }
    }
}

impl From<OutOfRange> for Failure {
    fn from(error: OutOfRange) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(reason) | Failure::Busy(reason) | Failure::Unusable(reason) | Failure::Lost(reason) => {
                Self::Unavailable(reason)
            }
            Failure::Full(reason) => Self::Full(reason),
            Failure::Damaged(reason) => Self::Damaged(reason),
        }
    }
}

/// Each statement is a transaction of its own, so an ERROR means that the server rolled it back: a version or key that
/// exists already, a full disk, a timeout, a read-only server. This does not hold if the whole session ended (FATAL,
/// PANIC), or if something between us and the server lost it (classes 08 and 57, 40003).
fn from_reply(reply: &dyn DatabaseError) -> Failure {
    const CANCELED: &str = "57014";
    const COMPLETION_UNKNOWN: &str = "40003";
    const NO_ROOM: &str = "53100";
    // A serialization failure, a deadlock, a lock that was not granted in time.
    const BUSY: [&str; 3] = ["40001", "40P01", "55P03"];
    // No such table, column, schema or operator; another type; another kind of relation; no unique index.
    const WRONG_SCHEMA: [&str; 7] = ["42P01", "42703", "3F000", "42883", "42804", "42809", "42P10"];
    // Data or an index that the server finds to be corrupted.
    const CORRUPTED: [&str; 2] = ["XX001", "XX002"];
    let code = reply.code().unwrap_or_default();
    let is_error =
        reply.try_downcast_ref::<PgDatabaseError>().is_some_and(|reply| matches!(reply.severity(), PgSeverity::Error));
    let is_lost = code.starts_with("08")
        || (code.starts_with("57") && code != CANCELED)
        || code == COMPLETION_UNKNOWN
        || code.is_empty();
    let reason = format!("{} (SQLSTATE {code})", reply.message());
    match code.as_ref() {
        _ if is_lost || !is_error => Failure::Lost(reason),
        NO_ROOM => Failure::Full(reason),
        code if BUSY.contains(&code) => Failure::Busy(reason),
        code if WRONG_SCHEMA.contains(&code) || CORRUPTED.contains(&code) => Failure::Unusable(reason),
        _ => Failure::Refused(reason),
    }
}
