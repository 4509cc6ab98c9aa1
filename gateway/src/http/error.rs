//! The one table that turns errors of the engine, of the projections and of messaging into problems.
//!
//! 503 and 507 mean that nothing happened, so a retry is safe. 504 means that something may have happened. Facts that
//! only an operator may see are written to the log, not to the client.

use std::time::Duration;

use dormouse_engine::{CommandError, Expected, QueryError};
use dormouse_journal::ReadError;
use dormouse_kernel::Rejection;
use dormouse_messaging::RequestError;
use dormouse_messaging::store as queues;
use dormouse_projections::{ControlError, QueryError as ListError, WaitError, store};

use super::commands::unknown;
use super::problem::{self, Problem};
use crate::webhooks::WebhookError;

/// The usual time until a commit ends, a mailbox gets shorter, or another node answers.
const SOON: Duration = Duration::from_secs(1);

/// The usual time until a draining node has restarted, or is known to be stopped.
const AFTER_RESTART: Duration = Duration::from_secs(5);

/// The time after which an operator may have freed space on a disk.
const AFTER_CLEARING: Duration = Duration::from_secs(10);

impl<R: Rejection> From<CommandError<R>> for Problem {
    fn from(error: CommandError<R>) -> Self {
        let detail = error.to_string();
        match error {
            CommandError::Rejected(rejection) => Self::new(&problem::REJECTED, detail).with("code", rejection.code()),
            CommandError::NotOwner => Self::new(&problem::FORBIDDEN, detail),
            CommandError::VersionMismatch { expected: Expected::Marked { version, .. }, actual }
                if version == actual =>
            {
                let detail = format!(
                    "version {version} has other events than when this entity tag was given, as after the restore of \
                     an older state: read the aggregate again, and decide again"
                );
                Self::new(&problem::VERSION_MISMATCH, detail).with("version", actual.0)
            }
            CommandError::VersionMismatch { actual, .. } => {
                Self::new(&problem::VERSION_MISMATCH, detail).with("version", actual.0)
            }
            CommandError::KeyReused => Self::new(&problem::KEY_REUSED, detail),
            CommandError::KeyInFlight => Self::new(&problem::KEY_IN_FLIGHT, detail).retry_after(SOON),
            CommandError::AggregateOverloaded => QueryError::AggregateOverloaded.into(),
            CommandError::NodeOverloaded => QueryError::NodeOverloaded.into(),
            CommandError::Draining => QueryError::Draining.into(),
            CommandError::Expired => {
                Self::new(&problem::EXPIRED, "the deadline passed before the command was decided, nothing happened")
                    .retry_after(SOON)
            }
            CommandError::OutcomeUnknown => Self::new(
                &problem::OUTCOME_UNKNOWN,
                "the command may have taken effect: ask GET /v1/commands/{type}/{id}/{key} with its key, or send it \
                 again with the same key",
            ),
            CommandError::Undone => Self::new(&problem::UNDONE, detail).retry_after(SOON),
            CommandError::Unavailable(reason) => QueryError::Unavailable(reason).into(),
            CommandError::JournalFull(reason) => {
                Self::new(&problem::JOURNAL_FULL, "the disk of the journal is full, nothing happened")
                    .retry_after(AFTER_CLEARING)
                    .because(reason)
            }
            CommandError::Fenced => Self::new(&problem::FENCED, detail).retry_after(SOON),
            CommandError::Panicked => Self::new(&problem::PANICKED, detail),
            CommandError::Restarting { retry_after } => QueryError::Restarting { retry_after }.into(),
            CommandError::Quarantined { reason } => QueryError::Quarantined { reason }.into(),
            CommandError::Unstorable(reason) => Self::new(
                &problem::UNSTORABLE,
                "the events of the command are too many, too large, or of a shape that cannot be stored",
            )
            .because(reason),
            CommandError::Unsendable(_) => Self::new(&problem::UNSENDABLE, detail),
            // Only a timer sends such a command.
            CommandError::TimerReplaced => Self::new(&problem::INTERNAL, detail),
            // HTTP shows replies as they were stored, so this occurs only for callers inside the process.
            CommandError::ReplyUnreadable(reason) => Self::new(
                &problem::INTERNAL,
                "an earlier request carried the command out, but its reply cannot be read",
            )
            .because(reason),
        }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        let detail = error.to_string();
        match error {
            QueryError::NotFound => Self::new(&problem::NOT_FOUND, detail),
            QueryError::NoSuchVersion { actual } => {
                Self::new(&problem::NO_SUCH_VERSION, detail).with("version", actual.0)
            }
            QueryError::AggregateOverloaded => Self::new(&problem::AGGREGATE_OVERLOADED, detail).retry_after(SOON),
            QueryError::NodeOverloaded => Self::new(&problem::NODE_OVERLOADED, detail).retry_after(SOON),
            QueryError::Draining => Self::new(&problem::DRAINING, detail).retry_after(AFTER_RESTART),
            QueryError::Expired => {
                Self::new(&problem::EXPIRED, "the deadline passed, nothing happened").retry_after(SOON)
            }
            QueryError::Unavailable(reason) => {
                Self::new(&problem::UNAVAILABLE, "the journal does not answer").retry_after(SOON).because(reason)
            }
            QueryError::Restarting { retry_after } => Self::new(&problem::RESTARTING, detail).retry_after(retry_after),
            QueryError::Quarantined { reason } => Self::new(
                &problem::QUARANTINED,
                "the aggregate failed too often, and waits for an operator to release it",
            )
            .because(reason),
            QueryError::Unreadable(reason) => {
                Self::new(&problem::UNREADABLE, "the stored events of the aggregate cannot be read").because(reason)
            }
        }
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Unavailable(reason) => {
                Self::new(&problem::VIEWS_UNAVAILABLE, "the views do not answer").retry_after(SOON).because(reason)
            }
            // A read needs no space, but the store may report this error to a read, too.
            store::Error::Full(reason) => Self::new(&problem::VIEWS_UNAVAILABLE, "the disk of the views is full")
                .retry_after(AFTER_CLEARING)
                .because(reason),
            store::Error::Damaged(reason) => {
                Self::new(&problem::VIEW_DAMAGED, "the view is damaged and is being rebuilt from the journal")
                    .retry_after(AFTER_RESTART)
                    .because(reason)
            }
        }
    }
}

impl From<WaitError> for Problem {
    fn from(error: WaitError) -> Self {
        match error {
            WaitError::Behind { at, wanted } => {
                Self::new(&problem::VIEW_BEHIND, format!("the view has reached {at}, the request asks for {wanted}"))
                    .with("position", at.0)
                    .with("wanted", wanted.0)
                    .retry_after(SOON)
            }
            WaitError::Stopped { at, reason } => {
                Self::new(&problem::VIEW_STOPPED, format!("the view stopped at {at}, an operator must resume it"))
                    .with("position", at.0)
                    .because(reason)
            }
        }
    }
}

impl From<ListError> for Problem {
    fn from(error: ListError) -> Self {
        let detail = error.to_string();
        match error {
            ListError::UndeclaredField { path, known } => {
                let what = format!("the view does not declare the field {path:?}");
                unknown(&problem::UNDECLARED_FIELD, &what, &path, known.iter().copied()).with("declared", known)
            }
            ListError::WrongKind { .. }
            | ListError::NoPrefix { .. }
            | ListError::SortedTwice { .. }
            | ListError::Personal { .. }
            | ListError::TooMany { .. } => Self::new(&problem::INVALID_PARAMETER, detail),
            ListError::ForeignPlace => Self::new(&problem::FOREIGN_CURSOR, detail),
        }
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        let detail = error.to_string();
        match error {
            ControlError::Unknown { name, known } => {
                let what = format!("there is no projection {name:?}");
                unknown(&problem::UNKNOWN_PROJECTION, &what, &name, known.iter().map(String::as_str))
            }
            ControlError::AlreadyPaused => Self::new(&problem::ALREADY_PAUSED, detail),
            ControlError::NotPaused => Self::new(&problem::NOT_PAUSED, detail),
            ControlError::AtWork => Self::new(&problem::AT_WORK, detail),
            ControlError::Dropped => Self::new(&problem::VIEW_DROPPED, detail),
            ControlError::Underway { position } => {
                Self::new(&problem::REBUILD_UNDER_WAY, detail).with("position", position.0)
            }
            ControlError::BeyondHead { head, .. } => {
                Self::new(&problem::UNKNOWN_POSITION, detail).with("position", head.0)
            }
            ControlError::NotAtWork => Self::new(&problem::NOT_AT_WORK, detail),
            ControlError::NotParked { .. } => Self::new(&problem::NOT_PARKED, detail),
            ControlError::NotFirst { first, .. } => Self::new(&problem::NOT_FIRST, detail).with("position", first.0),
            ControlError::Interrupted(reason) => Self::new(
                &problem::INTERRUPTED,
                "the operation was interrupted and may have been done in part: repeat it",
            )
            .retry_after(SOON)
            .because(reason),
            ControlError::Ended => QueryError::Draining.into(),
            ControlError::Store(error) => error.into(),
            ControlError::Journal(error) => error.into(),
        }
    }
}

impl From<queues::Error> for Problem {
    fn from(error: queues::Error) -> Self {
        let reason = error.to_string();
        match error {
            queues::Error::Fenced => Self::new(&problem::FENCED, reason).retry_after(SOON),
            queues::Error::Storage(_) => {
                Self::new(&problem::QUEUES_UNAVAILABLE, "the queues do not answer").retry_after(SOON).because(reason)
            }
        }
    }
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        let detail = error.to_string();
        match error {
            RequestError::NoConsumer(_) => Self::new(&problem::UNKNOWN_LISTENER, detail),
            // Only webhooks are removed, and no request names another consumer for that.
            RequestError::NotRemovable(_) => Self::new(&problem::INTERNAL, detail),
            RequestError::NoJob => {
                Self::new(&problem::JOB_NOT_FOUND, "the listener has no such failed job: it is done, or was skipped")
            }
            RequestError::WrongState { .. } => Self::new(&problem::WRONG_JOB_STATE, detail),
            RequestError::Store(error) => error.into(),
            RequestError::NotRunning => Self::new(
                &problem::LISTENER_NOT_RUNNING,
                "the listener does not run: the server is stopping, or its log says why the listener has ended",
            )
            .retry_after(AFTER_RESTART),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        let reason = error.to_string();
        match error {
            ReadError::Unavailable(_) => QueryError::Unavailable(reason).into(),
            ReadError::Damaged { .. } => QueryError::Unreadable(reason).into(),
        }
    }
}

impl From<dormouse_config::Error> for Problem {
    fn from(error: dormouse_config::Error) -> Self {
        let detail = error.to_string();
        match error {
            dormouse_config::Error::NotLive { .. } => Self::new(&problem::NOT_LIVE, detail),
            _ => Self::new(&problem::INVALID_CONFIG, detail),
        }
    }
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        let detail = error.to_string();
        match error {
            WebhookError::Invalid { field, .. } => Self::new(&problem::INVALID_WEBHOOK, detail).with("field", field),
            WebhookError::Unknown(_) => Self::new(&problem::UNKNOWN_WEBHOOK, detail),
            WebhookError::NoDelivery(_) | WebhookError::OtherEvent { .. } => {
                Self::new(&problem::UNKNOWN_DELIVERY, detail)
            }
            WebhookError::TooMany => Self::new(&problem::TOO_MANY_WEBHOOKS, detail),
            WebhookError::Store(reason) => {
                Self::new(&problem::QUEUES_UNAVAILABLE, "the queues do not answer, the change may have been made")
                    .retry_after(SOON)
                    .because(reason.to_string())
            }
            WebhookError::Journal(error) => error.into(),
            WebhookError::Stopping => QueryError::Draining.into(),
            WebhookError::NoRandomness | WebhookError::Unreadable(_) => Self::new(&problem::INTERNAL, detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use axum::body::to_bytes;
    use axum::http::header::RETRY_AFTER;
    use axum::response::Response;
    use dormouse_kernel::{AggregateId, AggregateRef, AggregateType, Position, Version};
    use dormouse_projections::Kind;
    use serde_json::Value;

    use super::*;

    #[derive(Debug)]
    struct NoFunds;

    impl fmt::Display for NoFunds {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("the balance is 3")
        }
    }

    impl std::error::Error for NoFunds {}

    impl Rejection for NoFunds {
        fn code(&self) -> &'static str {
            "no-funds"
        }
    }

    async fn written(problem: impl Into<Problem>) -> (u16, Option<String>, Value) {
        let response = problem.into().write(Response::default(), "r-1");
        let retry_after = response.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, retry_after, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn every_command_error_has_its_status_and_its_time_to_retry() {
        type E = CommandError<NoFunds>;
        let secret = || "pg://db-7".to_owned();
        let seven = Duration::from_secs(7);
        let table: [(E, u16, &str, Option<&str>); 18] = [
            (E::Rejected(NoFunds), 422, "rejected", None),
            (E::VersionMismatch { expected: Expected::Exists, actual: Version(0) }, 412, "version-mismatch", None),
            (E::KeyReused, 422, "key-reused", None),
            (E::KeyInFlight, 409, "key-in-flight", Some("1")),
            (E::AggregateOverloaded, 429, "aggregate-overloaded", Some("1")),
            (E::NodeOverloaded, 503, "node-overloaded", Some("1")),
            (E::Draining, 503, "draining", Some("5")),
            (E::Expired, 503, "expired", Some("1")),
            (E::OutcomeUnknown, 504, "outcome-unknown", None),
            (E::Undone, 503, "undone", Some("1")),
            (E::Unavailable(secret()), 503, "journal-unavailable", Some("1")),
            (E::JournalFull(secret()), 507, "journal-full", Some("10")),
            (E::Fenced, 503, "fenced", Some("1")),
            (E::Panicked, 500, "aggregate-failed", None),
            (E::Restarting { retry_after: seven }, 503, "restarting", Some("7")),
            (E::Quarantined { reason: secret() }, 503, "quarantined", None),
            (E::Unstorable(secret()), 500, "unstorable-events", None),
            (E::Unsendable("x".to_owned()), 422, "unsendable", None),
        ];
        for (error, status, slug, retry_after) in table {
            let (found, again, body) = written(error).await;
            assert_eq!((found, again.as_deref()), (status, retry_after), "{slug}");
            assert_eq!(body["type"], format!("urn:dormouse:problem:{slug}"));
            assert_eq!(body["status"], status);
            assert_eq!(body["request_id"], "r-1");
            assert_eq!(body["retry_after"].as_u64().map(|seconds| seconds.to_string()), again, "{slug}");
            assert!(!body.to_string().contains("db-7"), "{slug} leaks: {body}");
        }
    }

    #[tokio::test]
    async fn a_rejection_carries_its_code_and_its_text() {
        let (_, _, body) = written(CommandError::Rejected(NoFunds)).await;
        assert_eq!((&body["code"], &body["detail"]), (&"no-funds".into(), &"the balance is 3".into()));
    }

    #[tokio::test]
    async fn every_query_error_has_its_status() {
        type E = QueryError;
        let one = Duration::from_millis(20);
        let table: [(E, u16, Option<&str>); 10] = [
            (E::NotFound, 404, None),
            (E::NoSuchVersion { actual: Version(3) }, 404, None),
            (E::AggregateOverloaded, 429, Some("1")),
            (E::NodeOverloaded, 503, Some("1")),
            (E::Draining, 503, Some("5")),
            (E::Expired, 503, Some("1")),
            (E::Unavailable("db-7".to_owned()), 503, Some("1")),
            (E::Restarting { retry_after: one }, 503, Some("1")),
            (E::Quarantined { reason: "db-7".to_owned() }, 503, None),
            (E::Unreadable("db-7".to_owned()), 500, None),
        ];
        for (error, status, retry_after) in table {
            let (found, again, body) = written(error.clone()).await;
            assert_eq!((found, again.as_deref()), (status, retry_after), "{error}");
            assert!(!body.to_string().contains("db-7"), "{error} leaks: {body}");
        }
    }

    #[tokio::test]
    async fn every_view_error_has_its_status_and_leaks_no_secret() {
        let secret = || "/var/db-7".to_owned();
        let (at, wanted) = (Position(3), Position(5));
        let table: [(Problem, u16, &str, Option<&str>); 11] = [
            (store::Error::Unavailable(secret()).into(), 503, "views-unavailable", Some("1")),
            (store::Error::Full(secret()).into(), 503, "views-unavailable", Some("10")),
            (store::Error::Damaged(secret()).into(), 503, "view-damaged", Some("5")),
            (WaitError::Behind { at, wanted }.into(), 503, "view-behind", Some("1")),
            (WaitError::Stopped { at, reason: secret() }.into(), 503, "view-stopped", None),
            (
                ListError::UndeclaredField { path: "x".to_owned(), known: vec!["y"] }.into(),
                400,
                "undeclared-field",
                None,
            ),
            (
                ListError::WrongKind { path: "x", kind: Kind::Integer, given: "y".to_owned() }.into(),
                400,
                "invalid-parameter",
                None,
            ),
            (ListError::NoPrefix { path: "x", kind: Kind::Integer }.into(), 400, "invalid-parameter", None),
            (ListError::SortedTwice { path: "x" }.into(), 400, "invalid-parameter", None),
            (ListError::TooMany { what: "filters", most: 16 }.into(), 400, "invalid-parameter", None),
            (ListError::ForeignPlace.into(), 400, "foreign-cursor", None),
        ];
        for (problem, status, slug, retry_after) in table {
            let (found, again, body) = written(problem).await;
            assert_eq!((found, again.as_deref()), (status, retry_after), "{slug}");
            assert_eq!(body["type"], format!("urn:dormouse:problem:{slug}"));
            assert!(!body.to_string().contains("db-7"), "{slug} leaks: {body}");
        }
    }

    #[tokio::test]
    async fn every_operation_error_has_its_status_and_leaks_no_secret() {
        use ControlError as E;
        let secret = || "/var/db-7".to_owned();
        let (at, head) = (Position(3), Position(2));
        let aggregate = AggregateRef::new(AggregateType::new("cart").unwrap(), AggregateId::new("c-1").unwrap());
        let table: [(E, u16, &str, Option<&str>); 15] = [
            (E::Unknown { name: "cart".to_owned(), known: vec!["carts".to_owned()] }, 404, "unknown-projection", None),
            (E::AlreadyPaused, 409, "already-paused", None),
            (E::NotPaused, 409, "not-paused", None),
            (E::AtWork, 409, "projection-at-work", None),
            (E::Dropped, 409, "view-dropped", None),
            (E::Underway { position: at }, 409, "rebuild-under-way", None),
            (E::BeyondHead { position: at, head }, 400, "unknown-position", None),
            (E::NotAtWork, 409, "projection-not-at-work", None),
            (E::NotParked { aggregate }, 404, "not-parked", None),
            (E::NotFirst { position: at, first: head }, 409, "not-first-parked", None),
            (E::Interrupted(secret()), 503, "interrupted", Some("1")),
            (E::Ended, 503, "draining", Some("5")),
            (E::Store(store::Error::Unavailable(secret())), 503, "views-unavailable", Some("1")),
            (E::Journal(ReadError::Unavailable(secret())), 503, "journal-unavailable", Some("1")),
            (E::Store(store::Error::Damaged(secret())), 503, "view-damaged", Some("5")),
        ];
        for (error, status, slug, retry_after) in table {
            let (found, again, body) = written(error.clone()).await;
            assert_eq!((found, again.as_deref()), (status, retry_after), "{error}");
            assert_eq!(body["type"], format!("urn:dormouse:problem:{slug}"), "{error}");
            assert!(!body.to_string().contains("db-7"), "{error} leaks: {body}");
        }
    }
}
