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

use self::input::{Input, Read};
use self::line::{Aggregate, Line, answer, end};
use self::window::{Next, Turn, Window};
use super::address::Parameters;
use super::budget::{Budget, Share};
use super::conditions::{self, IDEMPOTENCY_KEY, invalid};
use super::envelope::Arrival;
use super::outcome::Told;
use super::pieces::PIECE_BYTES;
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
const CROWDED: Duration = Duration::from_millis(5);
const CROWDED_MAX: Duration = Duration::from_millis(200);

/// The most aggregates that are held back in one request. Beyond that the cause does not lie in the aggregates, and the
/// request ends.
const HELD_BACK_MAX: usize = 10_000;

/// How long the server reads on from a client that still sends after its request has ended early.
const LISTENING: Duration = Duration::from_secs(2);

/// Limits of one bulk request, and the budget of all together.
pub(super) struct Limits {
    /// Lines of one request that are in progress.
    lines: usize,
    /// Bytes of the lines in progress of one request. A larger line runs alone.
    bytes: usize,
    /// Bytes of one line.
    line_bytes: usize,
    /// How long a client may send nothing.
    patience: Duration,
    budget: Budget,
}

impl Limits {
    pub(super) fn from_config(config: &Config) -> Self {
        let gateway = &config.gateway;
        let usize_of = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let (bytes, line_bytes) = (gateway.bulk_bytes.as_u64(), gateway.max_body.as_u64());
        Self {
            lines: gateway.bulk_lines.get(),
            bytes: usize_of(bytes),
            line_bytes: usize_of(line_bytes),
            patience: gateway.request_timeout,
            budget: Budget::new("gateway.bulk_budget", gateway.bulk_budget.as_u64(), bytes + line_bytes),
        }
    }
}

/// Whether the request is a bulk request. The size of such a request is not limited.
pub(super) fn takes(request: &Parts) -> bool {
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
    let options = conditions::options(&request.headers, &arrival, api.command_timeout)?;
    let wait = options.deadline.map_or(api.command_timeout, |deadline| deadline - arrival.at);
    if body.is_end_stream() {
        return Err(Problem::new(&problem::INVALID_BODY, "the body has no line: send at least one command"));
    }
    let share = api.bulk.budget.share_by(arrival.at + api.command_timeout).await?;
    let ending = api.streams.ending()?;
    let sender = Arc::new(Sender { api, request_id: arrival.request_id().to_owned(), options, wait, dry_run });
    let bulk = Bulk::new(sender, body, ending, share);
    let pieces = unfold(bulk, |mut bulk| async move {
        let piece = bulk.piece().await?;
        Some((Ok::<_, Infallible>(Bytes::from(piece)), bulk))
    });
    let mut response = Response::new(Body::from_stream(pieces));
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
struct Sender {
    api: Arc<Api>,
    request_id: String,
    options: CommandOptions,
    /// The time limit of each command.
    wait: Duration,
    dry_run: bool,
}

/// A line, with the slot of its answer.
struct Entry {
    turn: Turn,
    number: u64,
    bytes: usize,
    line: Line,
}

/// A line whose command has ended, with its result.
struct Done {
    entry: Ended,
    result: Result<Told, Problem>,
}

/// The part of a line that is needed after its command has ended.
struct Ended {
    turn: Turn,
    number: u64,
    bytes: usize,
    aggregate: Aggregate,
    key: Option<CommandKey>,
}

type UnderWay = Pin<Box<dyn Future<Output = Done> + Send>>;

/// A bulk request in progress.
struct Bulk {
    sender: Arc<Sender>,
    input: Input,
    /// Whether lines are read.
    closed: Option<Option<Problem>>,
    window: Window<Aggregate, Entry>,
    under_way: FuturesUnordered<UnderWay>,
    /// Bytes of the lines whose commands have not ended.
    bytes: usize,
    seen: bool,
    ending: watch::Receiver<bool>,
    _share: Share,
}

impl Bulk {
    fn new(sender: Arc<Sender>, body: Body, ending: watch::Receiver<bool>, share: Share) -> Self {
        let input = Input::new(body, sender.api.bulk.line_bytes);
        let (window, under_way) = (Window::new(), FuturesUnordered::new());
        Self { sender, input, closed: None, window, under_way, bytes: 0, seen: false, ending, _share: share }
    }

    /// The next answers, in the order of their lines; `None` after the last one.
    async fn piece(&mut self) -> Option<Vec<u8>> {
        let mut piece = Vec::new();
        let mut heard = Instant::now();
        loop {
            while piece.len() < PIECE_BYTES
                && let Some(answer) = self.window.take()
            {
                piece.extend_from_slice(&answer);
            }
            if piece.len() >= PIECE_BYTES {
                return Some(piece);
            }
            if self.closed.is_some() && self.window.len() == 0 {
                self.finish(&mut piece).await;
                return if piece.is_empty() { None } else { Some(piece) };
            }
            let limits = &self.sender.api.bulk;
            let may_read = self.closed.is_none() && self.window.len() < limits.lines && self.bytes < limits.bytes;
            let silent_at = heard + limits.patience;
            let Self { input, under_way, ending, .. } = self;
            // The sender is dropped only with the server, which ends the request as well.
            let told_to_end = async { drop(ending.wait_for(|ending| *ending).await) };
            tokio::select! {
                biased;
                () = told_to_end, if self.closed.is_none() => {
                    self.close(Some(QueryError::Draining.into()));
                }
                read = timeout_at(silent_at, input.next()), if may_read => {
                    heard = Instant::now();
                    self.read(read);
                }
                Some(done) = under_way.next(), if !under_way.is_empty() => self.done(done),
                // Answers that exist are sent before the request waits for anything.
                () = std::future::ready(()), if !piece.is_empty() => return Some(piece),
            }
        }
    }

    fn close(&mut self, told: Option<Problem>) {
        self.closed.get_or_insert(told);
    }

    /// Handles the next line of the body.
    fn read(&mut self, read: Result<Result<Option<Read>, BoxError>, tokio::time::error::Elapsed>) {
        match read {
            Ok(Ok(Some(Read::Line(number, text)))) => {
                self.seen = true;
                let (turn, bytes) = (self.window.turn(), text.len());
                match Line::parse(&text) {
                    Ok(line) => {
                        self.bytes += bytes;
                        let aggregate = line.aggregate.clone();
                        let next = self.window.enter(&aggregate, Entry { turn, number, bytes, line });
                        next.into_iter().for_each(|next| self.go_on(next));
                    }
                    Err(problem) => self.answer(turn, number, None, Err(problem)),
                }
            }
            Ok(Ok(Some(Read::TooLong(number)))) => {
                self.seen = true;
                let turn = self.window.turn();
                let max = self.sender.api.bulk.line_bytes;
                self.answer(turn, number, None, Err(body::too_large(max as u64)));
            }
            Ok(Ok(None)) if self.seen => self.close(None),
            Ok(Ok(None)) => {
                self.close(Some(Problem::new(
                    &problem::INVALID_BODY,
                    "the body has no line: send at least one command",
                )));
            }
            Ok(Err(error)) => {
                let what = "the body ended before it was complete: the commands with an answer were carried out";
                self.close(Some(Problem::new(&problem::INCOMPLETE_BODY, what).because(error.to_string())));
            }
            Err(_) => {
                let patience = self.sender.api.bulk.patience;
                let what = format!("no line arrived for {patience:?} (gateway.request_timeout)");
                self.close(Some(Problem::new(&problem::REQUEST_TIMEOUT, what)));
            }
        }
    }

    fn go_on(&mut self, next: Next<Entry>) {
        match next {
            Next::Begin(entry) => self.under_way.push(Box::pin(carry_out(Arc::clone(&self.sender), entry))),
            Next::HoldBack(Entry { turn, number, bytes, line }) => {
                self.bytes -= bytes;
                let what = "an earlier line of this aggregate was not carried out and may be sent again: send this \
                            line after it";
                self.answer(turn, number, line.key.as_ref(), Err(Problem::new(&problem::HELD_BACK, what)));
            }
        }
    }

    fn done(&mut self, Done { entry, result }: Done) {
        let Ended { turn, number, bytes, aggregate, key } = entry;
        self.bytes -= bytes;
        let may_be_sent_again = matches!(&result, Err(problem) if may_be_sent_again(problem));
        self.answer(turn, number, key.as_ref(), result);
        for next in self.window.end(&aggregate, may_be_sent_again) {
            self.go_on(next);
        }
        if self.window.held_back() > HELD_BACK_MAX {
            let what = format!(
                "the commands of more than {HELD_BACK_MAX} aggregates were not carried out: send the rest later"
            );
            self.close(Some(Problem::new(&problem::UNAVAILABLE, what)));
        }
    }

    fn answer(&mut self, turn: Turn, number: u64, key: Option<&CommandKey>, result: Result<Told, Problem>) {
        let Sender { request_id, .. } = &*self.sender;
        let outcome = match &result {
            Ok(_) => "ok",
            Err(problem) if problem.kind().status.is_server_error() => {
                let (problem, cause) = (problem.kind().slug, problem.cause());
                info!(request_id, line = number, problem, cause, "a line failed");
                "failed"
            }
            Err(_) => "refused",
        };
        counter!(metric::BULK_LINES, "outcome" => outcome).increment(1);
        self.window.answer(turn, answer(number, key, result, request_id));
    }

    /// If reading has failed, writes a line that says why. Otherwise lets the client finish sending.
    async fn finish(&mut self, piece: &mut Vec<u8>) {
        if let Some(Some(problem)) = &mut self.closed {
            piece.extend_from_slice(&end(problem, &self.sender.request_id));
            self.closed = Some(None);
        } else if piece.is_empty() {
            // If the client sends for longer, the connection closes.
            let _sends_on = timeout(LISTENING, self.input.discard()).await;
        }
    }
}

/// Carries out the command of a line. While the node or the aggregate is overloaded, the command waits and is tried
/// again: the client cannot know when there is room, and no more lines of it are read meanwhile.
async fn carry_out(sender: Arc<Sender>, entry: Entry) -> Done {
    let Entry { turn, number, bytes, line } = entry;
    let Line { aggregate, command, body, key, expected } = line;
    let deadline = Instant::now() + sender.wait;
    let options = CommandOptions {
        key: key.clone(),
        expected,
        deadline: Some(deadline),
        dry_run: sender.dry_run,
        ..sender.options.clone()
    };
    let mut pause = CROWDED;
    let result = loop {
        let result = attempt(&sender.api, &aggregate, &command, body.clone(), options.clone()).await;
        let is_crowded = matches!(&result, Err(problem) if is_crowded(problem));
        if !is_crowded || Instant::now() + pause >= deadline {
            break result;
        }
        sleep(pause).await;
        pause = (pause * 2).min(CROWDED_MAX);
    };
    Done { entry: Ended { turn, number, bytes, aggregate, key }, result }
}

async fn attempt(
    api: &Api,
    aggregate: &Aggregate,
    command: &str,
    body: Bytes,
    options: CommandOptions,
) -> Result<Told, Problem> {
    let resource = api.resource(&aggregate.aggregate_type)?;
    resource.execute(resource.command(command)?, aggregate.id.clone(), body, options).await
}

fn is_crowded(problem: &Problem) -> bool {
    [&problem::NODE_OVERLOADED, &problem::AGGREGATE_OVERLOADED].contains(&problem.kind())
}

/// Whether the command may still be carried out, or may have been: then a later command must not overtake it.
fn may_be_sent_again(problem: &Problem) -> bool {
    let status = problem.kind().status.as_u16();
    matches!(status, 409 | 429 | 503 | 504 | 507)
}
