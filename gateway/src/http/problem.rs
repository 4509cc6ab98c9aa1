//! RFC 9457 problem details: all problem types, and how a problem is written.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use dormouse_limits::Standing;
use serde_json::{Map, Value, json};

/// The media type of problems.
pub(super) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// The prefix of the `type` of a problem; the slug follows.
pub(super) const TYPE_PREFIX: &str = "urn:dormouse:problem:";

/// A problem type. Clients branch on the slug, so slugs never change.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ProblemType {
    pub(super) status: StatusCode,
    pub(super) slug: &'static str,
    pub(super) title: &'static str,
}

macro_rules! problem_types {
    ($($name:ident = $status:ident $slug:literal $title:literal)*) => {
        $(pub(super) static $name: ProblemType = ProblemType { status: StatusCode::$status, slug: $slug, title: $title };)*

        /// All problem types, for the documentation.
        pub(super) static PROBLEM_TYPES: &[&ProblemType] = &[$(&$name),*];
    };
}

problem_types! {
    MALFORMED_REQUEST = BAD_REQUEST "malformed-request" "This is not an HTTP request"
    INVALID_AGGREGATE_ID = BAD_REQUEST "invalid-aggregate-id" "The aggregate id is not valid"
    INVALID_KEY = BAD_REQUEST "invalid-key" "The key of the document is not valid"
    INVALID_COMMAND_KEY = BAD_REQUEST "invalid-command-key" "The command key is not valid"
    INVALID_HEADER = BAD_REQUEST "invalid-header" "A header is not valid"
    INVALID_PARAMETER = BAD_REQUEST "invalid-parameter" "A query parameter is not valid"
    UNKNOWN_PARAMETER = BAD_REQUEST "unknown-parameter" "There is no such query parameter"
    UNDECLARED_FIELD = BAD_REQUEST "undeclared-field" "The view declares no such field"
    FOREIGN_CURSOR = BAD_REQUEST "foreign-cursor" "The cursor is of another list"
    UNKNOWN_POSITION = BAD_REQUEST "unknown-position" "The journal has no such position"
    INVALID_JOB_ID = BAD_REQUEST "invalid-job-id" "The id of the job is not valid"
    INVALID_CONFIG = BAD_REQUEST "invalid-config" "The changed configuration is not valid"
    NOT_LIVE = BAD_REQUEST "not-live" "This cannot be changed while the server runs"
    INVALID_WEBHOOK = BAD_REQUEST "invalid-webhook" "The webhook is not valid"
    MALFORMED_JSON = BAD_REQUEST "malformed-json" "The body is not JSON"
    INVALID_BODY = BAD_REQUEST "invalid-body" "The body does not fit the command"
    UNKNOWN_FIELD = BAD_REQUEST "unknown-field" "The command has no such field"
    INCOMPLETE_BODY = BAD_REQUEST "incomplete-body" "The body did not arrive completely"
    INVALID_PATH = BAD_REQUEST "invalid-path" "A part of the address is not valid"
    UNAUTHENTICATED = UNAUTHORIZED "unauthenticated" "The caller is not known"
    FORBIDDEN = FORBIDDEN "forbidden" "The caller may not do this"
    SUBJECT_REFUSED = FORBIDDEN "subject-refused" "The client may not say who the caller is"
    INTERNAL_COMMAND = FORBIDDEN "internal-command" "Clients may not send this command"
    ADDRESS_REFUSED = FORBIDDEN "address-refused" "Operators do not use this address"
    CROSS_SITE = FORBIDDEN "cross-site" "A web page of another site sent this request"
    UNKNOWN_ROUTE = NOT_FOUND "unknown-route" "There is nothing at this address"
    UNKNOWN_AGGREGATE_TYPE = NOT_FOUND "unknown-aggregate-type" "There is no such aggregate type"
    UNKNOWN_COMMAND = NOT_FOUND "unknown-command" "The aggregate type has no such command"
    UNKNOWN_EVENT_TYPE = NOT_FOUND "unknown-event-type" "There is no such event type"
    UNKNOWN_VIEW = NOT_FOUND "unknown-view" "There is no such view"
    DOCUMENT_NOT_FOUND = NOT_FOUND "document-not-found" "The view has no such document"
    UNKNOWN_PROJECTION = NOT_FOUND "unknown-projection" "There is no such projection"
    NOT_PARKED = NOT_FOUND "not-parked" "No event of the aggregate is parked"
    UNKNOWN_LISTENER = NOT_FOUND "unknown-listener" "There is no such listener"
    JOB_NOT_FOUND = NOT_FOUND "job-not-found" "The listener has no such failed job"
    UNKNOWN_WEBHOOK = NOT_FOUND "unknown-webhook" "There is no such webhook"
    NO_DATA_KEYS = NOT_FOUND "no-data-keys" "The server has no keys for data at rest"
    UNKNOWN_DELIVERY = NOT_FOUND "unknown-delivery" "There is no such delivery"
    UNKNOWN_HEALTH_COMPONENT = NOT_FOUND "unknown-health-component" "There is no such component"
    NOT_FOUND = NOT_FOUND "not-found" "There is no such aggregate"
    NO_SUCH_VERSION = NOT_FOUND "no-such-version" "The aggregate does not have that version"
    COMMAND_NOT_FOUND = NOT_FOUND "command-not-found" "No outcome is recorded under this key"
    OPERATION_NOT_FOUND = NOT_FOUND "operation-not-found" "There is no such operation"
    NO_TELEGRAM_BOT = NOT_FOUND "no-telegram-bot" "The server serves no Telegram bot"
    NO_AUDIT_LOG = NOT_FOUND "no-audit-log" "The server keeps no audit log"
    NOT_QUARANTINED = NOT_FOUND "not-quarantined" "The aggregate is not quarantined"
    METHOD_NOT_ALLOWED = METHOD_NOT_ALLOWED "method-not-allowed" "This address does not take that method"
    REQUEST_TIMEOUT = REQUEST_TIMEOUT "request-timeout" "The body did not arrive in time"
    KEY_IN_FLIGHT = CONFLICT "key-in-flight" "A command with this key is being carried out"
    ANOTHER_HISTORY = CONFLICT "another-history" "The token is of another history of the journal"
    BEYOND_HEAD = CONFLICT "beyond-head" "The journal does not reach that far"
    ALREADY_PAUSED = CONFLICT "already-paused" "The projection is paused already"
    NOT_PAUSED = CONFLICT "not-paused" "The projection is not paused"
    AT_WORK = CONFLICT "projection-at-work" "The projection must be paused first"
    VIEW_DROPPED = CONFLICT "view-dropped" "The view was dropped"
    REBUILD_UNDER_WAY = CONFLICT "rebuild-under-way" "The view is being rebuilt already"
    NOT_AT_WORK = CONFLICT "projection-not-at-work" "The projection must be resumed first"
    NOT_FIRST = CONFLICT "not-first-parked" "Another event must be skipped first"
    SWITCHED_BY_CONFIG = CONFLICT "switched-by-config" "The configuration switches the listener off"
    WRONG_JOB_STATE = CONFLICT "wrong-job-state" "The job is in another state"
    TOO_MANY_WEBHOOKS = CONFLICT "too-many-webhooks" "There are too many webhooks"
    VERSION_MISMATCH = PRECONDITION_FAILED "version-mismatch" "The aggregate has another version than required"
    TARGET_TOO_LONG = URI_TOO_LONG "target-too-long" "The address is too long"
    HEAD_TOO_LARGE = REQUEST_HEADER_FIELDS_TOO_LARGE "head-too-large" "The head of the request is too large"
    BODY_TOO_LARGE = PAYLOAD_TOO_LARGE "body-too-large" "The body is too large"
    UNSUPPORTED_MEDIA_TYPE = UNSUPPORTED_MEDIA_TYPE "unsupported-media-type" "The body must be JSON"
    UNSUPPORTED_ENCODING = UNSUPPORTED_MEDIA_TYPE "unsupported-content-encoding" "The body must not be encoded"
    UNKNOWN_HOST = MISDIRECTED_REQUEST "unknown-host" "This server does not have that name"
    REJECTED = UNPROCESSABLE_ENTITY "rejected" "The command was refused"
    KEY_REUSED = UNPROCESSABLE_ENTITY "key-reused" "This key was used for another command"
    RATE_LIMITED = TOO_MANY_REQUESTS "rate-limited" "The caller has sent too many requests"
    AGGREGATE_OVERLOADED = TOO_MANY_REQUESTS "aggregate-overloaded" "Too many requests wait for this aggregate"
    UNSENDABLE = UNPROCESSABLE_ENTITY "unsendable" "The command cannot send or schedule this"
    INTERNAL = INTERNAL_SERVER_ERROR "internal" "An internal error occurred"
    PANICKED = INTERNAL_SERVER_ERROR "aggregate-failed" "The aggregate failed while deciding"
    UNSTORABLE = INTERNAL_SERVER_ERROR "unstorable-events" "The command's events cannot be stored"
    UNREADABLE = INTERNAL_SERVER_ERROR "unreadable-events" "The stored events cannot be read"
    NODE_OVERLOADED = SERVICE_UNAVAILABLE "node-overloaded" "Too many requests are under way"
    TOO_MANY_STREAMS = SERVICE_UNAVAILABLE "too-many-streams" "Too many streams are open"
    DRAINING = SERVICE_UNAVAILABLE "draining" "This node is shutting down"
    EXPIRED = SERVICE_UNAVAILABLE "expired" "The deadline passed before anything happened"
    UNDONE = SERVICE_UNAVAILABLE "undone" "The state that the decision was based on was lost"
    UNAVAILABLE = SERVICE_UNAVAILABLE "journal-unavailable" "The journal does not answer"
    FENCED = SERVICE_UNAVAILABLE "fenced" "Another node has taken over"
    RESTARTING = SERVICE_UNAVAILABLE "restarting" "The aggregate is restarting"
    QUARANTINED = SERVICE_UNAVAILABLE "quarantined" "The aggregate is quarantined"
    VIEW_BEHIND = SERVICE_UNAVAILABLE "view-behind" "The view has not caught up in time"
    VIEW_STOPPED = SERVICE_UNAVAILABLE "view-stopped" "The view has stopped"
    VIEWS_UNAVAILABLE = SERVICE_UNAVAILABLE "views-unavailable" "The views do not answer"
    VIEW_DAMAGED = SERVICE_UNAVAILABLE "view-damaged" "The view is damaged and is being rebuilt"
    QUEUES_UNAVAILABLE = SERVICE_UNAVAILABLE "queues-unavailable" "The queues do not answer"
    LISTENER_NOT_RUNNING = SERVICE_UNAVAILABLE "listener-not-running" "The listener does not run"
    INTERRUPTED = SERVICE_UNAVAILABLE "interrupted" "The operation was interrupted"
    KEYS_UNAVAILABLE = SERVICE_UNAVAILABLE "keys-unavailable" "The keys of the token's issuer are not available"
    DATA_KEYS_UNAVAILABLE = SERVICE_UNAVAILABLE "data-keys-unavailable" "The keys of data at rest are not available"
    AUDIT_UNAVAILABLE = SERVICE_UNAVAILABLE "audit-unavailable" "The audit log cannot be written"
    HELD_BACK = SERVICE_UNAVAILABLE "held-back" "An earlier command of the aggregate was not carried out"
    JOURNAL_FULL = INSUFFICIENT_STORAGE "journal-full" "The journal has no room"
    OUTCOME_UNKNOWN = GATEWAY_TIMEOUT "outcome-unknown" "The outcome of the command is not known"
    TIMEOUT = GATEWAY_TIMEOUT "timeout" "The request took too long"
}

/// An error on its way to the client.
///
/// As a response it is empty and carries itself as an extension. The outermost step writes it, because that step knows
/// the request's id.
#[derive(Clone, Debug)]
pub(super) struct Problem(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    problem_type: &'static ProblemType,
    detail: Cow<'static, str>,
    members: Map<String, Value>,
    retry_after: Option<Duration>,
    /// For the log only: it may name hosts, paths or code.
    cause: Option<String>,
    /// How the client can prove who it is.
    challenge: Option<String>,
    /// What the caller may still send.
    standing: Option<Standing>,
}

impl Problem {
    pub(super) fn new(problem_type: &'static ProblemType, detail: impl Into<Cow<'static, str>>) -> Self {
        let parts = Parts {
            problem_type,
            detail: detail.into(),
            members: Map::new(),
            retry_after: None,
            cause: None,
            challenge: None,
            standing: None,
        };
        Self(Box::new(parts))
    }

    /// Adds an extension member.
    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.members.insert(name.to_owned(), value.into());
        self
    }

    /// Sets the time after which a retry makes sense. It is sent in whole seconds, at least one.
    #[must_use]
    pub(super) fn retry_after(mut self, pause: Duration) -> Self {
        self.0.retry_after = Some(pause);
        self
    }

    /// Sets the cause, which is logged and not sent to the client.
    #[must_use]
    pub(super) fn because(mut self, cause: impl Into<String>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// Sets the challenge (`WWW-Authenticate`). It is visible ASCII.
    #[must_use]
    pub(super) fn challenge(mut self, challenge: String) -> Self {
        self.0.challenge = Some(challenge);
        self
    }

    /// Sets what the caller may still send.
    #[must_use]
    pub(super) fn standing(mut self, standing: Standing) -> Self {
        self.0.standing = Some(standing);
        self
    }

    /// The time after which a retry makes sense.
    pub(super) fn pause(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// What the caller may still send.
    pub(super) fn known_standing(&self) -> Option<Standing> {
        self.0.standing
    }

    pub(super) const fn problem_type(&self) -> &'static ProblemType {
        self.0.problem_type
    }

    pub(super) fn detail(&self) -> &str {
        &self.0.detail
    }

    /// An extension member.
    pub(super) fn member(&self, name: &str) -> Option<&Value> {
        self.0.members.get(name)
    }

    pub(super) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// Writes the problem into the response that carried it.
    pub(super) fn write(self, mut response: Response, request_id: &str) -> Response {
        let body = self.body(request_id);
        let (problem_type, seconds) = (self.0.problem_type, self.seconds());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, PROBLEM_JSON);
        headers.insert(CONTENT_LENGTH, body.len().into());
        let challenge = self.0.challenge.and_then(|challenge| HeaderValue::try_from(challenge).ok());
        if problem_type.status == StatusCode::UNAUTHORIZED {
            // RFC 9110, 15.5.2, demands a challenge. While callers are not authenticated, the scheme is the name of the
            // header that answers it.
            headers.insert(WWW_AUTHENTICATE, challenge.unwrap_or(HeaderValue::from_static("Dormouse-Subject")));
        } else if let Some(challenge) = challenge {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = seconds {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        *response.status_mut() = problem_type.status;
        response.map(|_| body.into())
    }

    /// The problem document.
    pub(super) fn body(&self, request_id: &str) -> String {
        let Parts { problem_type, detail, members, .. } = &*self.0;
        let mut body = json!({
            "type": format!("{TYPE_PREFIX}{}", problem_type.slug),
            "title": problem_type.title,
            "status": problem_type.status.as_u16(),
            "detail": detail,
            "request_id": request_id,
        });
        if let Value::Object(body) = &mut body {
            body.extend(members.clone());
            body.extend(self.seconds().map(|seconds| ("retry_after".to_owned(), json!(seconds))));
        }
        body.to_string()
    }

    fn seconds(&self) -> Option<u64> {
        let seconds = self.0.retry_after?.as_millis().div_ceil(1000).max(1);
        Some(u64::try_from(seconds).unwrap_or(u64::MAX))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.0.problem_type.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn slugs_are_unique_and_kebab_case() {
        let slugs: HashSet<_> = PROBLEM_TYPES.iter().map(|problem_type| problem_type.slug).collect();
        assert_eq!(slugs.len(), PROBLEM_TYPES.len());
        assert!(slugs.iter().all(|slug| slug.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase())));
    }

    #[test]
    fn a_retry_is_at_least_a_second_away_and_never_too_early() {
        let header = |milliseconds| {
            let problem = Problem::new(&DRAINING, "").retry_after(Duration::from_millis(milliseconds));
            problem.write(Response::default(), "r").headers()[RETRY_AFTER].clone()
        };
        assert_eq!(header(0), "1");
        assert_eq!(header(1000), "1");
        assert_eq!(header(1001), "2");
    }
}
