//! What an operation shows, and how its end becomes what the client of a synchronous command gets.

use axum::http::HeaderValue;
use axum::response::Response;
use dormouse_engine::{CommandError, EventSummary, Outcome, VersionedState};
use dormouse_kernel::{AggregateId, Rejection, Timestamp, Version, kebab_case};
use dormouse_messaging::{FinalRefusal, Operation, OperationRequest, OperationStatus, Success};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tracing::warn;

use crate::http::outcome::{DORMOUSE_POSITION, EncodedOutcome, encode_stored};
use crate::http::problem::{self, PROBLEM_TYPES, Problem};
use crate::http::token::Token;
use crate::http::{Api, JSON};

/// An operation as JSON.
#[derive(Serialize)]
struct OperationBody<'o> {
    operation: &'o str,
    status: &'static str,
    /// When it got this status.
    since: Timestamp,
    aggregate: &'o str,
    id: &'o str,
    command: String,
    /// The body of the response to the synchronous command.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Box<RawValue>>,
    /// The entity tag of that response.
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<&'o str>,
    /// The problem of a command that was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Box<RawValue>>,
    /// Why the last attempt at the command failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'o str>,
}

/// The response with an operation.
pub(super) fn response(
    api: &Api,
    operation: &AggregateId,
    found: &VersionedState<Operation>,
    request_id: &str,
) -> Result<Response, Problem> {
    let unwritable = |error: &dyn std::error::Error| {
        Problem::new(&problem::INTERNAL, "the operation cannot be written as JSON").because(error.to_string())
    };
    let raw = |json: String| RawValue::from_string(json).map(Some).map_err(|error| unwritable(&error));
    let request = found.state.request().ok_or_else(|| {
        // Its first event is the request.
        Problem::new(&problem::INTERNAL, "nobody has requested the operation")
    })?;
    let mut body = OperationBody {
        operation: operation.as_str(),
        status: "pending",
        since: found.recorded_at,
        aggregate: request.aggregate_type.as_str(),
        id: request.id.as_str(),
        command: kebab_case(&request.command),
        outcome: None,
        etag: None,
        problem: None,
        reason: None,
    };
    let mut encoded = None;
    match found.state.status() {
        OperationStatus::Pending => {}
        OperationStatus::Succeeded(success) => {
            body.status = "succeeded";
            encoded = Some(encode(api, request, success)?);
        }
        OperationStatus::Refused(refusal) => {
            body.status = "refused";
            body.problem = raw(problem_of(refusal).body(request_id))?;
        }
        OperationStatus::Dead { reason } => {
            body.status = "dead";
            body.reason = Some(reason);
        }
    }
    let mut response = Response::default();
    if let Some(encoded) = &encoded {
        body.outcome = raw(String::from_utf8_lossy(&encoded.body).into_owned())?;
        body.etag = encoded.tag.as_ref().and_then(|tag: &HeaderValue| tag.to_str().ok());
        if let Some(position) = encoded.position {
            response.headers_mut().insert(DORMOUSE_POSITION, Token::new(position.0, encoded.mark).header());
        }
    }
    let written = serde_json::to_vec(&body).map_err(|error| unwritable(&error))?;
    response.headers_mut().insert(axum::http::header::CONTENT_TYPE, JSON);
    *response.body_mut() = written.into();
    Ok(response)
}

/// What the client of the synchronous command would have got. `None` while the command has no outcome.
pub(super) fn outcome(api: &Api, operation: &Operation) -> Option<Result<EncodedOutcome, Problem>> {
    match operation.status() {
        OperationStatus::Succeeded(success) => Some(encode(api, operation.request()?, success)),
        OperationStatus::Refused(refusal) => Some(Err(problem_of(refusal))),
        OperationStatus::Pending | OperationStatus::Dead { .. } => None,
    }
}

fn encode(api: &Api, request: &OperationRequest, success: &Success) -> Result<EncodedOutcome, Problem> {
    let summary =
        |(name, version): &(String, Version)| EventSummary { event_type: name.clone().into(), version: *version };
    let outcome = Outcome {
        id: request.id.clone(),
        version: success.version,
        mark: success.mark,
        position: success.position,
        events: success.events.iter().map(summary).collect(),
        reply: success.reply.clone(),
        repeated: false,
    };
    let aggregate_type = request.aggregate_type.as_str();
    match api.resource(aggregate_type) {
        Ok(resource) => resource.encode_stored(outcome),
        // The application had this type when the command was carried out.
        Err(_) => encode_stored::<Value>(aggregate_type, outcome),
    }
}

/// Why a command was refused, if another attempt would be refused as well. Else the error.
///
/// # Errors
/// An error that another attempt may not meet.
pub(crate) fn final_refusal<R: Rejection>(error: CommandError<R>) -> Result<FinalRefusal, CommandError<R>> {
    match error {
        CommandError::Rejected(_)
        | CommandError::NotOwner
        | CommandError::VersionMismatch { .. }
        | CommandError::KeyReused
        | CommandError::Unstorable(_)
        | CommandError::Unsendable(_) => {
            let problem = Problem::from(error);
            if let Some(cause) = problem.cause() {
                warn!(cause, problem = problem.problem_type().slug, "an asynchronous command cannot be carried out");
            }
            Ok(FinalRefusal {
                problem: problem.problem_type().slug.to_owned(),
                detail: problem.detail().to_owned(),
                code: problem.member("code").and_then(Value::as_str).map(str::to_owned),
                version: problem.member("version").and_then(Value::as_u64).map(Version),
            })
        }
        error => Err(error),
    }
}

fn problem_of(refusal: &FinalRefusal) -> Problem {
    let FinalRefusal { problem, detail, code, version } = refusal;
    let problem_type = PROBLEM_TYPES.iter().find(|problem_type| problem_type.slug == problem);
    let mut problem = Problem::new(problem_type.copied().unwrap_or(&problem::INTERNAL), detail.clone());
    if let Some(code) = code {
        problem = problem.with("code", code.as_str());
    }
    match version {
        Some(version) => problem.with("version", version.0),
        None => problem,
    }
}
