//! The outcome of a command: right after it, and later by its key.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::header::{CONTENT_TYPE, ETAG};
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use dormouse_engine::{EventSummary, Outcome, Reply};
use dormouse_kernel::{CommandKey, Mark, Position, decode, encode};
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::address::{Parameters, aggregate_id, decoded, segments};
use super::command_headers::entity_tag;
use super::envelope::Arrival;
use super::messagepack::Json;
use super::problem::{self, Problem};
use super::token::Token;
use super::{Api, JSON};

pub(super) const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A [`Token`] of the position of the command's last event, opaque to clients.
pub(super) const DORMOUSE_POSITION: HeaderName = HeaderName::from_static("dormouse-position");

/// The initial capacity of a body. Most commands need no second allocation.
const TYPICAL_BYTES: usize = 256;

/// The problem that no outcome is recorded under a key.
pub(super) fn not_found() -> Problem {
    let detail =
        "no command with this key made events here: it did not take effect, made no events, or is still running";
    Problem::new(&problem::COMMAND_NOT_FOUND, detail)
}

/// `GET /v1/commands/{type}/{id}/{key}`
pub(super) async fn by_key(
    State(api): State<Arc<Api>>,
    Extension(arrival): Extension<Arrival>,
    request: Request,
) -> Result<Response, Problem> {
    Parameters::of(request.uri(), &[])?;
    let mut path = segments(request.uri()).skip(2);
    let mut segment = || path.next().unwrap_or_default();
    let resource = api.resource(segment())?;
    let id = aggregate_id(segment())?;
    let refused = |detail: String| Problem::new(&problem::INVALID_COMMAND_KEY, detail);
    let key = decoded(segment()).map_err(|what| refused(format!("the command key {what}")))?;
    let key = CommandKey::new(key).map_err(|error| refused(error.to_string()))?;
    if !arrival.may_reach(resource, &id).await? {
        return Err(not_found());
    }
    let mut response = resource.outcome(&id, &key).await?.into_response();
    // These headers describe the response to the command itself; this is another resource.
    response.headers_mut().remove(ETAG);
    response.headers_mut().remove(IDEMPOTENCY_REPLAYED);
    Ok(response)
}

#[derive(Serialize)]
struct OutcomeBody<'a, R> {
    aggregate: &'a str,
    id: &'a str,
    version: u64,
    position: Option<u64>,
    #[serde(serialize_with = "summaries")]
    events: &'a [EventSummary],
    reply: ReplyBody<R>,
}

/// The reply of the aggregate, as the client gets it.
#[derive(Serialize)]
#[serde(untagged)]
enum ReplyBody<R> {
    Typed(R),
    /// The stored reply, converted value by value. Facts that only the type knows are lost: bytes become base64.
    Stored(Value),
}

impl<R: Serialize + DeserializeOwned> ReplyBody<R> {
    /// The stored reply, unchanged. Today's type encodes it only if that type knows all of it and adds nothing.
    fn of(reply: Reply<R>) -> Result<Self, Problem> {
        let bytes = match reply {
            Reply::New(reply) => return Ok(Self::Typed(reply)),
            Reply::Stored(bytes) => bytes,
        };
        match decode(&bytes) {
            Ok(reply) if encode(&reply).is_ok_and(|again| again == bytes) => Ok(Self::Typed(reply)),
            Ok(_) | Err(_) => {
                decode(&bytes).map(|Json(value)| Self::Stored(value)).map_err(|error| unencodable(&error))
            }
        }
    }
}

fn unencodable(error: &dyn std::error::Error) -> Problem {
    Problem::new(&problem::INTERNAL, "the command took effect, but its reply cannot be written as JSON")
        .because(error.to_string())
}

#[derive(Serialize)]
struct Summary<'a> {
    r#type: &'a str,
    version: u64,
}

fn summaries<S: Serializer>(events: &[EventSummary], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(events.iter().map(|event| Summary { r#type: &event.event_type, version: event.version.0 }))
}

/// The outcome of a command as JSON, for a response of its own or for a line of a bulk response.
pub(super) struct EncodedOutcome {
    /// The outcome as JSON.
    pub(super) body: Vec<u8>,
    /// The position of the last event.
    pub(super) position: Option<Position>,
    /// The mark of the history at that position; `None` if the command made no events.
    pub(super) mark: Option<Mark>,
    /// The entity tag of the aggregate after the command.
    pub(super) tag: Option<HeaderValue>,
    /// Whether an earlier request with the same key carried the command out.
    pub(super) repeated: bool,
}

/// Encodes the outcome of a command.
pub(super) fn encode_outcome<R: Serialize + DeserializeOwned>(
    aggregate: &str,
    outcome: Outcome<Reply<R>>,
) -> Result<EncodedOutcome, Problem> {
    let document = OutcomeBody {
        aggregate,
        id: outcome.id.as_str(),
        version: outcome.version.0,
        position: outcome.position.map(|position| position.0),
        events: &outcome.events,
        reply: ReplyBody::of(outcome.reply)?,
    };
    let mut body = Vec::with_capacity(TYPICAL_BYTES);
    serde_json::to_writer(&mut body, &document).map_err(|error| unencodable(&error))?;
    let tag = outcome.position.and(outcome.mark).map(|mark| entity_tag(outcome.version, mark));
    // The position of a command without events is the end of the log.
    let mark = outcome.mark.filter(|_| !outcome.events.is_empty());
    Ok(EncodedOutcome { body, position: outcome.position, mark, tag, repeated: outcome.repeated })
}

/// The same with a reply as it was stored.
pub(super) fn encode_stored<R: Serialize + DeserializeOwned>(
    aggregate: &str,
    outcome: Outcome<Vec<u8>>,
) -> Result<EncodedOutcome, Problem> {
    let Outcome { id, version, mark, position, events, reply, repeated } = outcome;
    let reply = Reply::<R>::Stored(reply);
    encode_outcome(aggregate, Outcome { id, version, mark, position, events, reply, repeated })
}

impl EncodedOutcome {
    /// The response to a request with this one command.
    pub(super) fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, JSON);
        if let Some(position) = self.position {
            headers.insert(DORMOUSE_POSITION, Token::new(position.0, self.mark).header());
        }
        if let Some(tag) = self.tag {
            headers.insert(ETAG, tag);
        }
        if self.repeated {
            headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}
