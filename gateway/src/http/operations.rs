//! Asynchronous commands: `202 Accepted` once they are durable, and `GET /v1/operations/{operation}` for what became of
//! them.

mod body;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use dormouse_config::{CommandMode, Config};
use dormouse_engine::{Aggregates, CommandError, CommandOptions, Engine, Expected, QueryError, VersionedState};
use dormouse_journal::PageLimit;
use dormouse_kernel::{AddressedCommand, AggregateId, CommandKey, Uuid, Version};
use dormouse_messaging::{
    Condition, Operation, OperationCommand, OperationRejection, OperationStatus, RequestedCommand,
};
use jiff::SignedDuration;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

pub(crate) use body::final_refusal;

use super::address::{Parameters, invalid, segments};
use super::command_headers::{PREFER, prefers_async, wait};
use super::envelope::Arrival;
use super::execute::PREFERENCE_APPLIED;
use super::outcome::IDEMPOTENCY_REPLAYED;
use super::problem::{self, Problem};
use super::stream::Streams;
use super::{Api, json};

/// Who waits for the end of an operation reads its state in pauses. Most commands end within the first few.
const FIRST_PAUSE: Duration = Duration::from_millis(2);

/// The longest pause: people do not notice it, and ten reads a second cost little.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The asynchronous commands of an application.
pub(super) struct Operations {
    aggregates: Aggregates<Operation>,
    /// Commands are asynchronous unless their requests wait.
    is_default: bool,
    longest_wait: Duration,
}

/// A command that is durable.
pub(super) struct Accepted {
    operation: AggregateId,
    /// An earlier request with the same key has asked for it.
    is_repeated: bool,
}

impl Operations {
    /// `None`: the engine runs no operations.
    pub(super) fn of(engine: &Engine, config: &Config) -> Option<Self> {
        let is_default = config.commands.mode == CommandMode::Async;
        let longest_wait = config.commands.timeout;
        engine.aggregates().map(|aggregates| Self { aggregates, is_default, longest_wait })
    }

    /// Whether a command is to be answered before it is carried out. A dry run has nothing that could be done later.
    pub(super) fn are_wanted(&self, headers: &HeaderMap, options: &CommandOptions) -> bool {
        !options.dry_run && (self.is_default || headers.contains_key(PREFER) && prefers_async(headers))
    }

    /// Makes a command durable.
    pub(super) async fn request(&self, to: AddressedCommand, options: CommandOptions) -> Result<Accepted, Problem> {
        let CommandOptions { key, content, expected, only_own, .. } = options;
        let operation = operation_id(&to, key.as_ref())?;
        let condition = match expected {
            Expected::Any => Condition::Any,
            Expected::Exists => Condition::Exists,
            Expected::Exactly(version) => Condition::Exactly(version),
            Expected::Marked { version, mark } => Condition::Marked { version, mark },
        };
        let command = OperationCommand::Request(RequestedCommand { to, key, content, condition, only_own });
        let CommandOptions { deadline, correlation, causation, subject, tenant, traceparent, .. } = options;
        let options =
            CommandOptions { deadline, correlation, causation, subject, tenant, traceparent, ..Default::default() };
        match self.aggregates.execute(operation.clone(), command, options).await {
            Ok(outcome) => Ok(Accepted { operation, is_repeated: outcome.events.is_empty() }),
            Err(CommandError::Rejected(OperationRejection::KeyReused)) => {
                Err(Problem::new(&problem::KEY_REUSED, OperationRejection::KeyReused.to_string()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Answers a request whose command is durable: with the outcome, if the client waits and the command ends in that
    /// time, and else with the address of the outcome.
    pub(super) async fn answer(
        &self,
        api: &Api,
        arrival: &Arrival,
        headers: &HeaderMap,
        accepted: &Accepted,
    ) -> Result<Response, Problem> {
        let wait = wait(headers)?.map(|wait| wait.min(self.longest_wait));
        let applied_wait = wait.map(|wait| format!("wait={}", wait.as_secs()));
        if let Some(wait) = wait {
            // An error of the read says nothing about the command, which is durable.
            let found = self.wait_for_end(&accepted.operation, arrival.at + wait, &api.streams).await;
            let found = match found {
                Ok(found) => opened(api, found).await,
                Err(error) => Err(error.into()),
            };
            if let Some(ended) = found.ok().and_then(|found| body::outcome(api, &found.state)) {
                let mut response = ended?.into_response();
                apply(&mut response, applied_wait);
                return Ok(response);
            }
        }
        let location = format!("/v1/operations/{}", accepted.operation);
        let mut response = json(&json!({ "operation": accepted.operation.as_str(), "location": location }));
        *response.status_mut() = StatusCode::ACCEPTED;
        let location = HeaderValue::try_from(location).expect("a path with a UUID is visible ASCII");
        response.headers_mut().insert(LOCATION, location);
        if accepted.is_repeated {
            response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
        }
        let respond_async = prefers_async(headers).then(|| "respond-async".to_owned());
        apply(
            &mut response,
            respond_async.into_iter().chain(applied_wait).reduce(|one, other| format!("{one}, {other}")),
        );
        Ok(response)
    }

    /// On whose behalf the command was sent, if there is such an operation.
    async fn requester(&self, operation: &AggregateId) -> Result<Option<String>, Problem> {
        let first = self.aggregates.history(operation, Version::ZERO, PageLimit::ONE).await?;
        let metadata = first.first().map(|request| request.metadata()).transpose();
        let metadata = metadata.map_err(|error| {
            Problem::new(&problem::UNREADABLE, "the operation cannot be read").because(error.to_string())
        })?;
        Ok(metadata.and_then(|metadata| metadata.subject))
    }

    /// The operation once it is not pending any more, or at `until`, or when the server stops.
    async fn wait_for_end(
        &self,
        operation: &AggregateId,
        until: Instant,
        streams: &Streams,
    ) -> Result<VersionedState<Operation>, QueryError> {
        let mut pause = FIRST_PAUSE;
        loop {
            let found = self.aggregates.state(operation).await?;
            let now = Instant::now();
            if *found.state.status() != OperationStatus::Pending || now >= until {
                return Ok(found);
            }
            let Ok(mut stopping) = streams.ending() else { return Ok(found) };
            let stops = async { drop(stopping.wait_for(|stopping| *stopping).await) };
            _ = timeout_at(until.min(now + pause), stops).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// `GET /v1/operations/{operation}`
pub(super) async fn operation(
    State(api): State<Arc<Api>>,
    Extension(arrival): Extension<Arrival>,
    request: Request,
) -> Result<Response, Problem> {
    let parameters = Parameters::of(request.uri(), &["wait"])?;
    let wait = parameters.get("wait").map(duration).transpose()?.unwrap_or_default();
    let segment = segments(request.uri()).nth(2).unwrap_or_default();
    let not_found = || Problem::new(&problem::OPERATION_NOT_FOUND, "no command has this operation");
    let operations = api.operations.as_ref().ok_or_else(not_found)?;
    let operation = aggregate_id(Uuid::try_parse(segment).map_err(|_| not_found())?)?;
    if let Some(subject) = arrival.only_own()
        && operations.requester(&operation).await?.as_deref() != Some(subject)
    {
        return Err(not_found());
    }
    let until = arrival.at + wait.min(operations.longest_wait);
    match operations.wait_for_end(&operation, until, &api.streams).await {
        Ok(found) => body::response(&api, &operation, &opened(&api, found).await?, arrival.request_id()),
        Err(QueryError::NotFound) => Err(not_found()),
        Err(error) => Err(error.into()),
    }
}

/// Opens what is encrypted in the reply of an operation.
async fn opened(api: &Api, mut found: VersionedState<Operation>) -> Result<VersionedState<Operation>, Problem> {
    let target = found.state.request().map(|request| (request.aggregate_type.clone(), request.id.clone()));
    if let (Some((aggregate_type, id)), Some(reply)) = (target, found.state.reply_mut()) {
        *reply = api.resource(aggregate_type.as_str())?.open_reply(&id, std::mem::take(reply)).await?;
    }
    Ok(found)
}

/// A repeated key of the same aggregate has the same operation.
fn operation_id(to: &AddressedCommand, key: Option<&CommandKey>) -> Result<AggregateId, Problem> {
    let id = match key {
        None => Uuid::now_v7(),
        Some(key) => {
            // None of the parts contains the separator.
            let hash = blake3::hash(format!("{}\0{key}", to.aggregate()).as_bytes());
            let mut first = [0; 16];
            first.copy_from_slice(&hash.as_bytes()[..16]);
            uuid::Builder::from_custom_bytes(first).into_uuid()
        }
    };
    aggregate_id(id)
}

fn aggregate_id(operation: Uuid) -> Result<AggregateId, Problem> {
    // A UUID keeps the rules of an id.
    AggregateId::new(operation.to_string()).map_err(|error| Problem::new(&problem::INTERNAL, error.to_string()))
}

fn duration(text: &str) -> Result<Duration, Problem> {
    let duration = text.parse::<SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
    duration.ok_or_else(|| invalid("wait", "is not a duration such as 10s or 500ms"))
}

fn apply(response: &mut Response, preferences: Option<String>) {
    if let Some(preferences) = preferences {
        let preferences = HeaderValue::try_from(preferences).expect("words and digits are visible ASCII");
        response.headers_mut().insert(PREFERENCE_APPLIED, preferences);
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{AggregateRef, AggregateType};

    use super::*;

    #[test]
    fn a_key_of_an_aggregate_has_one_operation_for_ever() {
        let id = |aggregate_type, id, key| {
            let (aggregate_type, id) = (AggregateType::new(aggregate_type).unwrap(), AggregateId::new(id).unwrap());
            let to = AddressedCommand::encoded(AggregateRef::new(aggregate_type, id), Vec::new());
            let key: Option<&str> = key;
            operation_id(&to, key.map(|key| CommandKey::new(key).unwrap()).as_ref()).unwrap().to_string()
        };
        assert_eq!(id("cart", "c-1", Some("k")), "0d3369f5-7754-81d9-a4ce-da66d4887b72");
        assert_ne!(id("cart", "c-1", Some("k")), id("cart", "c-2", Some("k")));
        assert_ne!(id("cart", "c-1", Some("k")), id("cart", "c-1", Some("l")));
        assert_ne!(id("cart", "c-1", None), id("cart", "c-1", None));
    }

    #[test]
    fn a_wait_is_a_duration_with_a_unit() {
        let parsed = |text| duration(text).map_err(|problem| problem.problem_type().slug);
        assert_eq!(parsed("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parsed("1m 500ms"), Ok(Duration::from_millis(60_500)));
        for text in ["", "10", "-1s", "soon", "99999999999999999999s"] {
            assert_eq!(parsed(text), Err("invalid-parameter"), "{text}");
        }
    }
}
