//! What a statement that brought no result tells about what it did: the one place where errors are read.

use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::error::Error;
use crate::number::NegativeNumber;

/// Why a statement brought no result.
#[derive(Debug)]
pub enum Failure {
    /// It has not been carried out, and will not be: it was never sent, or the server says that it rolled it back.
    Refused(String),
    /// So too, because somebody else held for too long what it needs.
    Busy(String),
    /// So too, because there is no room.
    Full(String),
    /// So too, because what it names is not there, or not as we made it.
    Unfit(String),
    /// It may have been carried out, or still be under way: the answer never came.
    Lost(String),
    /// It was answered, with something that we never wrote.
    Damaged(String),
}

impl Failure {
    pub(super) fn closed() -> Self {
        Self::Refused("it was closed".to_owned())
    }

    pub(super) fn no_connection(error: sqlx::Error) -> Self {
        let reason = error.to_string();
        // Servers know all parameters that we send. PgBouncer says so of those that it does not pass on.
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

    pub(super) fn no_answer_within(limit: Duration) -> Self {
        Self::Lost(format!("no answer within {limit:?}"))
    }

    /// What the server or the system said.
    #[must_use]
    pub fn into_reason(self) -> String {
        match self {
            Self::Refused(reason)
            | Self::Busy(reason)
            | Self::Full(reason)
            | Self::Unfit(reason)
            | Self::Lost(reason)
            | Self::Damaged(reason) => reason,
        }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(answer) => from_answer(&**answer),
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

impl From<NegativeNumber> for Failure {
    fn from(error: NegativeNumber) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// Each statement is a transaction of its own, so an ERROR means that it was rolled back: a version or key that is
/// there already, a full disk, a timeout, a read-only server. Not so when the whole session ended (FATAL, PANIC), or
/// when something between us and the server lost it (classes 08 and 57, 40003).
fn from_answer(answer: &dyn DatabaseError) -> Failure {
    const CANCELED: &str = "57014";
    const COMPLETION_UNKNOWN: &str = "40003";
    const NO_ROOM: &str = "53100";
    // A serialization failure, a deadlock, a lock that was not given in time.
    const BUSY: [&str; 3] = ["40001", "40P01", "55P03"];
    // Of what it names, or finds under that name: no table, no column, no schema, no operator, another type, another
    // kind of relation, no unique index.
    const UNFIT: [&str; 7] = ["42P01", "42703", "3F000", "42883", "42804", "42809", "42P10"];
    // Of what is stored: data or an index that the server finds to be corrupted.
    const CORRUPTED: [&str; 2] = ["XX001", "XX002"];
    let code = answer.code().unwrap_or_default();
    let is_error = answer
        .try_downcast_ref::<PgDatabaseError>()
        .is_some_and(|answer| matches!(answer.severity(), PgSeverity::Error));
    let is_lost = code.starts_with("08")
        || (code.starts_with("57") && code != CANCELED)
        || code == COMPLETION_UNKNOWN
        || code.is_empty();
    let reason = format!("{} (SQLSTATE {code})", answer.message());
    match code.as_ref() {
        _ if is_lost || !is_error => Failure::Lost(reason),
        NO_ROOM => Failure::Full(reason),
        code if BUSY.contains(&code) => Failure::Busy(reason),
        code if UNFIT.contains(&code) || CORRUPTED.contains(&code) => Failure::Unfit(reason),
        _ => Failure::Refused(reason),
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(reason) | Failure::Busy(reason) | Failure::Unfit(reason) | Failure::Lost(reason) => {
                Self::Unavailable(reason)
            }
            Failure::Full(reason) => Self::Full(reason),
            Failure::Damaged(reason) => Self::Damaged(reason),
        }
    }
}
