//! The steps around every request and response: ids, panics, problems, the request log.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;

use axum::http::header::CACHE_CONTROL;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use axum::response::Response;
use dormouse_kernel::AggregateId;
use tokio::time::Instant;
use tracing::{debug, error, info};
use uuid::Uuid;

use super::access::Admitted;
use super::problem::{self, Problem};
use super::resource::Resource;
use super::trace::{TRACEPARENT, TraceParent};

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The most characters of an id that a client sends: enough for a UUID with a prefix.
const REQUEST_ID_CHARS: usize = 128;

/// What is known of a request before it is handled. Handlers behind the router find it in the request's extensions.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    /// When the request arrived: its deadlines count from here.
    pub(super) at: Instant,
    /// The request's id in responses and logs.
    pub(super) request_id: HeaderValue,
    /// The trace that the client sent.
    pub(super) trace: Option<TraceParent>,
    /// The address of the client, which trusted proxies may have named.
    pub(super) client: IpAddr,
    /// Who sends the request. `None`: callers are not authenticated, or everybody may do this.
    pub(super) admitted: Option<Admitted>,
}

impl Arrival {
    /// Whether the client is a process of this machine.
    pub(super) fn is_local(&self) -> bool {
        self.client.is_loopback()
    }

    /// The request's id as text. An id that is not text was not accepted.
    pub(super) fn request_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }

    /// The caller, if it may reach only its own.
    pub(super) fn only_own(&self) -> Option<&str> {
        self.admitted.as_ref().and_then(Admitted::only_own)
    }

    /// Whether the caller may reach an aggregate. One that does not exist is nobody's own.
    pub(super) async fn may_reach(&self, resource: &dyn Resource, id: &AggregateId) -> Result<bool, Problem> {
        match self.only_own() {
            None => Ok(true),
            Some(subject) => Ok(resource.is_of(id, subject).await?),
        }
    }
}

/// Handles a request, and makes one response of the result, be it a response, a problem, a response that carries a
/// problem, or a panic.
pub(super) async fn answer<F>(head: Parts, client: IpAddr, handle: impl FnOnce(Arrival, Parts) -> F) -> Response
where
    F: Future<Output = Result<Response, Problem>>,
{
    let at = Instant::now();
    let (request_id, trace, answered_trace) = identify(&head.headers);
    let (method, uri) = (head.method.clone(), head.uri.clone());
    let arrival = Arrival { at, request_id: request_id.clone(), trace, client, admitted: None };
    let handled = catch_panic(pin!(handle(arrival, head))).await;
    let (mut response, problem) = match handled {
        Ok(mut response) => {
            let problem = response.extensions_mut().remove::<Problem>();
            (response, problem)
        }
        Err(problem) => (Response::default(), Some(problem)),
    };
    log(&request_id, &method, &uri, &response, problem.as_ref(), at);
    if let Some(problem) = problem {
        response = problem.write(response, request_id.to_str().unwrap_or_default());
    }
    let headers = response.headers_mut();
    // Without another instruction, caches must not keep a response: it describes this moment.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_REQUEST_ID, request_id);
    response.headers_mut().insert(TRACEPARENT, answered_trace);
    response
}

/// The request's id, the trace that the client sent, and the trace of the response. One random draw serves for both
/// ids, so that each can be found by the other.
fn identify(headers: &HeaderMap) -> (HeaderValue, Option<TraceParent>, HeaderValue) {
    let given = headers.get(X_REQUEST_ID).filter(|given| is_valid_id(given)).cloned();
    let trace = TraceParent::from_headers(headers);
    match (given, trace) {
        (Some(request_id), Some(trace)) => {
            let answered = trace.header();
            (request_id, Some(trace), answered)
        }
        (given, trace) => {
            let new = Uuid::new_v4();
            let request_id = given.unwrap_or_else(|| {
                let mut text = Uuid::encode_buffer();
                HeaderValue::from_str(new.hyphenated().encode_lower(&mut text)).expect("a UUID is visible ASCII")
            });
            let answered = trace.as_ref().map_or_else(|| TraceParent::begun_here(new).header(), TraceParent::header);
            (request_id, trace, answered)
        }
    }
}

/// Whether an id that a client made up can be written into logs, headers and metadata unchanged.
pub(super) fn is_valid_id(id: &HeaderValue) -> bool {
    (1..=REQUEST_ID_CHARS).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

/// Runs the handler. A panic becomes a problem.
async fn catch_panic(
    mut handling: Pin<&mut impl Future<Output = Result<Response, Problem>>>,
) -> Result<Response, Problem> {
    // After a panic the future is only dropped.
    poll_fn(|context| {
        catch_unwind(AssertUnwindSafe(|| handling.as_mut().poll(context))).unwrap_or_else(|panic| {
            error!(panic = message(&*panic), "a request handler panicked");
            Poll::Ready(Err(Problem::new(&problem::INTERNAL, "the request handler failed, the server's log says why")))
        })
    })
    .await
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("the panic has no message").to_owned()
}

fn log(id: &HeaderValue, method: &Method, uri: &Uri, response: &Response, problem: Option<&Problem>, at: Instant) {
    let status = problem.map_or_else(|| response.status(), |problem| problem.problem_type().status);
    let request_id = id.to_str().unwrap_or_default();
    let (path, status_code) = (uri.path(), status.as_u16());
    let problem_type = problem.map(|problem| problem.problem_type().slug);
    if status.is_server_error() {
        let cause = problem.and_then(Problem::cause);
        info!(request_id, %method, path, status = status_code, problem = problem_type, cause, elapsed = ?at.elapsed(), "failed");
    } else {
        debug!(request_id, %method, path, status = status_code, problem = problem_type, elapsed = ?at.elapsed(), "answered");
    }
}
