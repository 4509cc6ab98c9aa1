//! `POST /v1/commands`: many commands in one request. Each line of JSON is a command, and gets a line as its answer.
//!
//! The response is pulled: when the connection has room, lines are read, carried out, and answered in their order. So
//! no more is read from a client that takes no answers, and a request holds a bounded number of lines and bytes,
//! however long it is. The [`Window`] decides which commands may run at the same time.

mod input;
mod line;
mod window;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use axum::{BoxError, Extension};
use dormouse_config::Config;
use dormouse_engine::{CommandOptions, QueryError};
use dormouse_kernel::CommandKey;
use futures_util::StreamExt;
use futures_util::stream::{FuturesUnordered, unfold};
use metrics::counter;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::info;

use self::input::{Input, InputLine};
use self::line::{Line, LineAggregate, write_answer, write_end};
use self::window::{AnswerSlot, LineAction, Window};
use super::access::{Admitted, Reach};
use super::address::Parameters;
use super::audit::Asked;
use super::budget::{Budget, Share};
use super::chunks::CHUNK_BYTES;
use super::command_headers::{self, IDEMPOTENCY_KEY, invalid};
use super::envelope::Arrival;
use super::outcome::EncodedOutcome;
use super::problem::{self, Problem};
use super::{Api, body};
use crate::metric;

pub(super) const PATH: &str = "/v1/commands";

/// The media types of lines of JSON; none of them is registered.
const MEDIA_TYPES: [&str; 4] =
    ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"];

pub(super) const NDJSON: HeaderValue = HeaderValue::from_static(MEDIA_TYPES[0]);

/// The pause between two attempts of a command that was refused for overload. It doubles from the first value to the
/// second.
const RETRY_PAUSE: Duration = Duration::from_millis(5);
const RETRY_PAUSE_MAX: Duration = Duration::from_millis(200);

/// The most aggregates that are held back in one request. With more, the cause is not in the aggregates, and the
/// request ends.
const HELD_BACK_MAX: usize = 10_000;

/// How long the server reads on from a client that still sends after its request has ended early.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// Limits of one bulk request, and the budget of all together.
pub(super) struct Limits {
    /// Lines of one request that are in progress.
    lines: usize,
    /// Bytes of the lines in progress of one request. A larger line runs alone.
    bytes: usize,
    /// Bytes of one line.
    line_bytes: usize,
    /// How long a client may send nothing.
    silence_max: Duration,
    budget: Budget,
}

impl Limits {
    pub(super) fn from_config(config: &Config) -> Self {
        let gateway = &config.gateway;
        let to_usize = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let (bytes, line_bytes) = (gateway.bulk_bytes.as_u64(), gateway.max_body.as_u64());
        Self {
            lines: gateway.bulk_lines.get(),
            bytes: to_usize(bytes),
            line_bytes: to_usize(line_bytes),
            silence_max: gateway.request_timeout,
            budget: Budget::new("gateway.bulk_budget", gateway.bulk_budget.as_u64(), bytes + line_bytes),
        }
    }
}

/// Whether the request is a bulk request. The size of such a request is not limited.
pub(super) fn is_bulk(request: &Parts) -> bool {
    request.uri.path() == PATH
}

pub(super) async fn commands(
    State(api): State<Arc<Api>>,
    Extension(arrival): Extension<Arrival>,
    request: Request,
) -> Result<Response, Problem> {
    let (request, body) = request.into_parts();
    refuse_other_media(&request.headers)?;
    body::refuse_encoded(&request.headers)?;
    for (name, shown) in
        [(IDEMPOTENCY_KEY, "Idempotency-Key"), (IF_MATCH, "If-Match"), (IF_NONE_MATCH, "If-None-Match")]
    {
        if request.headers.contains_key(name) {
            return Err(invalid(shown, "send a key and an expected_version on each line instead".to_owned()));
        }
    }
    let dry_run = Parameters::of(&request.uri, &["dry_run"])?.flag("dry_run")?;
    let options = command_headers::options(&request.headers, &arrival, api.command_timeout)?;
    let wait = options.deadline.map_or(api.command_timeout, |deadline| deadline - arrival.at);
    if body.is_end_stream() {
        return Err(Problem::new(&problem::INVALID_BODY, "the body has no line: send at least one command"));
    }
    let share = api.bulk.budget.share_by(arrival.at + api.command_timeout).await?;
    let ending = api.streams.ending()?;
    let (asked, admitted) = (Asked::of(&request, &arrival), arrival.admitted.clone());
    let request_id = arrival.request_id().to_owned();
    let context = Arc::new(RequestContext { api, request_id, options, wait, dry_run, admitted, asked });
    let bulk = Bulk::new(context, body, ending, share);
    let chunks = unfold(bulk, |mut bulk| async move {
        let chunk = bulk.next_chunk().await?;
        Some((Ok::<_, Infallible>(Bytes::from(chunk)), bulk))
    });
    let mut response = Response::new(Body::from_stream(chunks));
    response.headers_mut().insert(CONTENT_TYPE, NDJSON);
    Ok(response)
}

fn refuse_other_media(headers: &HeaderMap) -> Result<(), Problem> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let found = values.next();
    let essence = found.and_then(|value| value.as_bytes().split(|byte| *byte == b';').next()).unwrap_or_default();
    let is_known = MEDIA_TYPES.iter().any(|known| essence.trim_ascii().eq_ignore_ascii_case(known.as_bytes()));
    if is_known && values.next().is_none() {
        return Ok(());
    }
    let detail = match found {
        Some(found) => format!("the content type is {found:?}: it must be {}", MEDIA_TYPES[0]),
        None => format!("the body has no content type: send Content-Type: {}", MEDIA_TYPES[0]),
    };
    Err(Problem::new(&problem::UNSUPPORTED_MEDIA_TYPE, detail))
}

/// What all lines of a request share: its id and its options.
struct RequestContext {
    api: Arc<Api>,
    request_id: String,
    options: CommandOptions,
    /// The time limit of each command.
    wait: Duration,
    dry_run: bool,
    admitted: Option<Admitted>,
    /// For the audit log, and for the rate of the caller.
    asked: Asked,
}

/// A line, with the slot of its answer.
struct QueuedLine {
    slot: AnswerSlot,
    number: u64,
    bytes: usize,
    line: Line,
}

/// A line whose command has ended, with its result.
struct FinishedLine {
    slot: AnswerSlot,
    number: u64,
    bytes: usize,
    aggregate: LineAggregate,
    key: Option<CommandKey>,
    result: Result<EncodedOutcome, Problem>,
}

/// Whether lines are read.
enum Reading {
    /// Lines are read.
    Open,
    /// No more lines are read, and the client still has to be told why.
    Failed(Problem),
    /// No more lines are read.
    Closed,
}

impl Reading {
    fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }
}

type RunningCommand = Pin<Box<dyn Future<Output = FinishedLine> + Send>>;

/// A bulk request in progress.
struct Bulk {
    context: Arc<RequestContext>,
    input: Input,
    reading: Reading,
    window: Window<LineAggregate, QueuedLine>,
    running: FuturesUnordered<RunningCommand>,
    /// Bytes of the lines whose commands have not ended.
    bytes: usize,
    /// Whether there was a line that is not blank.
    has_lines: bool,
    ending: watch::Receiver<bool>,
    _share: Share,
}

impl Bulk {
    fn new(context: Arc<RequestContext>, body: Body, ending: watch::Receiver<bool>, share: Share) -> Self {
        let input = Input::new(body, context.api.bulk.line_bytes);
        let (window, running) = (Window::new(), FuturesUnordered::new());
        Self {
            context,
            input,
            reading: Reading::Open,
            window,
            running,
            bytes: 0,
            has_lines: false,
            ending,
            _share: share,
        }
    }

    /// The next answers, in the order of their lines; `None` after the last one.
    async fn next_chunk(&mut self) -> Option<Vec<u8>> {
        let mut chunk = Vec::new();
        let mut last_line_at = Instant::now();
        loop {
            while chunk.len() < CHUNK_BYTES
                && let Some(answer) = self.window.take()
            {
                chunk.extend_from_slice(&answer);
            }
            if chunk.len() >= CHUNK_BYTES {
                return Some(chunk);
            }
            if !self.reading.is_open() && self.window.len() == 0 {
                self.finish(&mut chunk).await;
                return if chunk.is_empty() { None } else { Some(chunk) };
            }
            let limits = &self.context.api.bulk;
            let may_read = self.reading.is_open() && self.window.len() < limits.lines && self.bytes < limits.bytes;
            let silent_at = last_line_at + limits.silence_max;
            let Self { input, running, ending, .. } = self;
            // The context is dropped only with the server, which ends the request as well.
            let must_end = async { drop(ending.wait_for(|ending| *ending).await) };
            tokio::select! {
                biased;
                () = must_end, if self.reading.is_open() => {
                    self.stop_reading(Reading::Failed(QueryError::Draining.into()));
                }
                read = timeout_at(silent_at, input.next()), if may_read => {
                    last_line_at = Instant::now();
                    self.take(read);
                }
                Some(finished) = running.next(), if !running.is_empty() => self.finish_line(finished),
                // Answers that exist are sent before the request waits for anything.
                () = std::future::ready(()), if !chunk.is_empty() => return Some(chunk),
            }
        }
    }

    /// The first reason counts: later ones follow from it.
    fn stop_reading(&mut self, state: Reading) {
        if self.reading.is_open() {
            self.reading = state;
        }
    }

    /// Handles the next line of the body.
    fn take(&mut self, read: Result<Result<Option<InputLine>, BoxError>, tokio::time::error::Elapsed>) {
        match read {
            Ok(Ok(Some(InputLine::Line(number, text)))) => {
                self.has_lines = true;
                let (slot, bytes) = (self.window.reserve(), text.len());
                match Line::parse(&text) {
                    Ok(line) => {
                        self.bytes += bytes;
                        let aggregate = line.aggregate.clone();
                        let action = self.window.enter(&aggregate, QueuedLine { slot, number, bytes, line });
                        action.into_iter().for_each(|action| self.perform(action));
                    }
                    Err(problem) => self.answer(slot, number, None, Err(problem)),
                }
            }
            Ok(Ok(Some(InputLine::TooLong(number)))) => {
                self.has_lines = true;
                let slot = self.window.reserve();
                let max = self.context.api.bulk.line_bytes;
                self.answer(slot, number, None, Err(body::too_large(max as u64)));
            }
            Ok(Ok(None)) if self.has_lines => self.stop_reading(Reading::Closed),
            Ok(Ok(None)) => {
                let what = "the body has no line: send at least one command";
                self.stop_reading(Reading::Failed(Problem::new(&problem::INVALID_BODY, what)));
            }
            Ok(Err(error)) => {
                let what = "the body ended before it was complete: the commands with an answer were carried out";
                let problem = Problem::new(&problem::INCOMPLETE_BODY, what).because(error.to_string());
                self.stop_reading(Reading::Failed(problem));
            }
            Err(_) => {
                let silence_max = self.context.api.bulk.silence_max;
                let what = format!("no line arrived for {silence_max:?} (gateway.request_timeout)");
                self.stop_reading(Reading::Failed(Problem::new(&problem::REQUEST_TIMEOUT, what)));
            }
        }
    }

    fn perform(&mut self, action: LineAction<QueuedLine>) {
        match action {
            LineAction::Begin(line) => self.running.push(Box::pin(carry_out(Arc::clone(&self.context), line))),
            LineAction::HoldBack(QueuedLine { slot, number, bytes, line }) => {
                self.bytes -= bytes;
                let what = "an earlier line of this aggregate was not carried out and may be sent again: send this \
                            line after it";
                self.answer(slot, number, line.key.as_ref(), Err(Problem::new(&problem::HELD_BACK, what)));
            }
        }
    }

    fn finish_line(&mut self, line: FinishedLine) {
        let FinishedLine { slot, number, bytes, aggregate, key, result } = line;
        self.bytes -= bytes;
        let may_be_sent_again = matches!(&result, Err(problem) if may_be_sent_again(problem));
        self.answer(slot, number, key.as_ref(), result);
        for action in self.window.end(&aggregate, may_be_sent_again) {
            self.perform(action);
        }
        if self.window.held_back() > HELD_BACK_MAX {
            let what = format!(
                "the commands of more than {HELD_BACK_MAX} aggregates were not carried out: send the rest later"
            );
            self.stop_reading(Reading::Failed(Problem::new(&problem::UNAVAILABLE, what)));
        }
    }

    fn answer(
        &mut self,
        slot: AnswerSlot,
        number: u64,
        key: Option<&CommandKey>,
        result: Result<EncodedOutcome, Problem>,
    ) {
        let RequestContext { request_id, .. } = &*self.context;
        let outcome = match &result {
            Ok(_) => "ok",
            Err(problem) if problem.problem_type().status.is_server_error() => {
                let (problem, cause) = (problem.problem_type().slug, problem.cause());
                info!(request_id, line = number, problem, cause, "a line failed");
                "failed"
            }
            Err(_) => "refused",
        };
        counter!(metric::BULK_LINES, "outcome" => outcome).increment(1);
        self.window.answer(slot, write_answer(number, key, result, request_id));
    }

    /// If reading has failed, writes a line that says why. Otherwise lets the client finish sending.
    async fn finish(&mut self, chunk: &mut Vec<u8>) {
        if let Reading::Failed(problem) = &self.reading {
            chunk.extend_from_slice(&write_end(problem, &self.context.request_id));
            self.reading = Reading::Closed;
        } else if chunk.is_empty() {
            // If the client sends for longer, the connection closes.
            let _still_sends = timeout(DISCARD_TIMEOUT, self.input.discard()).await;
        }
    }
}

/// Carries out the command of a line. While the node or the aggregate is overloaded, the command waits and is tried
/// again: the client cannot know when there is room, and no more lines of it are read meanwhile.
async fn carry_out(context: Arc<RequestContext>, line: QueuedLine) -> FinishedLine {
    let QueuedLine { slot, number, bytes, line } = line;
    let Line { aggregate, command, body, key, expected } = line;
    let deadline = Instant::now() + context.wait;
    let options = CommandOptions {
        key: key.clone(),
        expected,
        deadline: Some(deadline),
        dry_run: context.dry_run,
        ..context.options.clone()
    };
    let result = match wait_for_turn(&context, deadline).await {
        Ok(()) => attempts(&context, &aggregate, &command, &body, &options, deadline).await,
        Err(problem) => Err(problem),
    };
    if let Err(problem) = &result {
        let line = format_args!("{}/{} {command}", aggregate.aggregate_type, aggregate.id);
        context.api.audit.note_line(&context.asked, &line, problem);
    }
    FinishedLine { slot, number, bytes, aggregate, key, result }
}

/// Carries out a command, and tries it again until the deadline while the server has no room for it.
async fn attempts(
    context: &RequestContext,
    aggregate: &LineAggregate,
    command: &str,
    body: &Bytes,
    options: &CommandOptions,
    deadline: Instant,
) -> Result<EncodedOutcome, Problem> {
    let mut pause = RETRY_PAUSE;
    loop {
        let result = attempt(context, aggregate, command, body.clone(), options.clone()).await;
        let is_overloaded = matches!(&result, Err(problem) if is_overloaded(problem));
        if !is_overloaded || Instant::now() + pause >= deadline {
            return result;
        }
        sleep(pause).await;
        pause = (pause * 2).min(RETRY_PAUSE_MAX);
    }
}

/// Waits until the caller may send one more command: a bulk request is as fast as the rate of its caller.
async fn wait_for_turn(context: &RequestContext, deadline: Instant) -> Result<(), Problem> {
    loop {
        let Err(problem) = context.api.rates.count_line(context.asked.arrival()) else {
            return Ok(());
        };
        let pause = problem.pause().unwrap_or(RETRY_PAUSE_MAX);
        if Instant::now() + pause >= deadline {
            return Err(problem);
        }
        sleep(pause).await;
    }
}

async fn attempt(
    RequestContext { api, admitted, .. }: &RequestContext,
    aggregate: &LineAggregate,
    command: &str,
    body: Bytes,
    mut options: CommandOptions,
) -> Result<EncodedOutcome, Problem> {
    let reach = api.access.check_command(admitted.as_ref(), &aggregate.aggregate_type, command)?;
    options.only_own = reach == Reach::Own;
    let resource = api.resource(&aggregate.aggregate_type)?;
    resource.execute(resource.command(command)?, aggregate.id.clone(), body, options).await
}

fn is_overloaded(problem: &Problem) -> bool {
    [&problem::NODE_OVERLOADED, &problem::AGGREGATE_OVERLOADED].contains(&problem.problem_type())
}

/// Whether the command may still be carried out, or may have been: then a later command must not overtake it.
fn may_be_sent_again(problem: &Problem) -> bool {
    let status = problem.problem_type().status.as_u16();
    matches!(status, 409 | 429 | 503 | 504 | 507)
}
