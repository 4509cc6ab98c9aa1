//! One HTTP/2 connection (RFC 9113): many requests at a time, each of them a stream, and each a task that ends with the
//! connection.
//!
//! Clients choose HTTP/2 in the handshake of TLS. Hyper has no timers for HTTP/2, so this module has them: a connection
//! without a request for `header_timeout` ends, and so does one whose client takes nothing of a response for
//! `write_timeout`.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use hyper::Request;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, interval, timeout};
use tracing::trace;

use super::received_body::{Rest, Returned};
use super::socket::Socket;
use super::{EndlessBody, Options, ReceivedBody, is_datable, limits};
use crate::http::refusal;

/// The requests in progress on all HTTP/2 connections together. There are as many places as connections: a client that
/// sends many requests on one connection takes no more of the server than one that opens many connections.
#[derive(Clone)]
pub(super) struct Requests(Arc<Semaphore>);

impl Requests {
    pub(super) fn at_most(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS))))
    }
}

/// Answers the requests of a connection, until the client closes it or `shutting_down` resolves, after which it accepts
/// no more of them.
pub(super) async fn serve_connection<F>(
    socket: Socket,
    options: Options,
    requests: Requests,
    answer: impl Fn(Request<ReceivedBody>) -> F,
    mut shutting_down: oneshot::Receiver<()>,
) where
    F: Future<Output = Response> + Send + 'static,
{
    let (tasks, responses) = (Tasks::default(), Responses::default());
    // A task holds what starts further tasks, so the tasks would keep each other.
    let _ends_tasks = EndTasks(tasks.clone());
    let to_body = responses.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let place = Arc::clone(&requests.0).try_acquire_owned().ok();
        let unread = Returned::default();
        let request = request.map(|incoming| ReceivedBody::returning(incoming, unread.clone()));
        let answered = place.is_some().then(|| answer(request));
        let responses = to_body.clone();
        async move {
            let response = match answered {
                Some(answered) => answered.await,
                None => refusal::of_too_many_requests(),
            };
            let is_endless = response.extensions().get::<EndlessBody>().is_some();
            Ok::<_, Infallible>(response.map(|body| responses.pace(body, unread, is_endless, place)))
        }
    });
    let http = builder(tasks.clone());
    let mut connection = pin!(http.serve_connection(TokioIo::new(socket), service));
    let mut limit =
        Limits { idle: options.header_timeout, stalled: options.write_timeout, stalled_endless: options.write_timeout };
    let mut check = limit.interval();
    let mut idle = Idle::since(Instant::now());
    let mut is_shutting_down = false;
    let ended = loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => break ended,
            _ = &mut shutting_down, if !is_shutting_down => {
                connection.as_mut().graceful_shutdown();
                is_shutting_down = true;
                limit = Limits { idle: limits::STREAM_END, stalled_endless: limits::STREAM_END, ..limit };
                check = limit.interval();
                idle = Idle::since(Instant::now());
            }
            now = check.tick() => {
                if responses.is_any_stalled(now, &limit) {
                    trace!("a client takes nothing of a response");
                    return;
                }
                if idle.lasts(now, &tasks) >= limit.idle {
                    connection.as_mut().graceful_shutdown();
                    break timeout(limits::STREAM_END, connection).await.unwrap_or(Ok(()));
                }
            }
        }
    };
    if let Err(error) = ended {
        // Clients hang up, are slow, or send malformed data. That is not our error, and there may be many of them.
        trace!(%error, "a connection ended early");
    }
}

/// How long a connection may be without a request, and its responses without a client that takes some of them.
struct Limits {
    idle: Duration,
    stalled: Duration,
    stalled_endless: Duration,
}

impl Limits {
    fn interval(&self) -> Interval {
        let shortest = self.idle.min(self.stalled).min(self.stalled_endless);
        interval((shortest / 4).max(Duration::from_millis(1)))
    }
}

fn builder(tasks: Tasks) -> http2::Builder<Tasks> {
    let mut http = http2::Builder::new(tasks);
    http.max_concurrent_streams(limits::STREAMS)
        .max_header_list_size(limits::HEAD_BYTES_OF_STREAM)
        .initial_stream_window_size(limits::RECEIVE_WINDOW)
        .initial_connection_window_size(limits::RECEIVE_WINDOW)
        .max_send_buf_size(limits::FRAME_BYTES)
        .auto_date_header(is_datable(SystemTime::now()));
    http
}

/// The tasks of a connection, one for each request in progress.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<Started>>);

#[derive(Default)]
struct Started {
    running: JoinSet<()>,
    /// How many there ever were.
    count: u64,
}

impl Tasks {
    fn lock(&self) -> MutexGuard<'_, Started> {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A task that panicked has been logged by the panic hook, and hyper has reset its stream.
        while tasks.running.try_join_next().is_some() {}
        tasks
    }
}

impl<F> Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let mut tasks = self.lock();
        tasks.running.spawn(stream);
        tasks.count += 1;
    }
}

/// Ends the tasks of a connection when the connection ends, whatever ends it.
struct EndTasks(Tasks);

impl Drop for EndTasks {
    fn drop(&mut self) {
        self.0.lock().running.abort_all();
    }
}

/// For how long a connection has had no request.
struct Idle {
    since: Instant,
    count: u64,
}

impl Idle {
    const fn since(since: Instant) -> Self {
        Self { since, count: 0 }
    }

    fn lasts(&mut self, now: Instant, tasks: &Tasks) -> Duration {
        let tasks = tasks.lock();
        if !tasks.running.is_empty() || tasks.count != self.count {
            *self = Self { since: now, count: tasks.count };
        }
        now.saturating_duration_since(self.since)
    }
}

/// The responses of a connection whose next bytes the client has to take, each with the time since when.
#[derive(Clone, Default)]
struct Responses(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    since: HashMap<u64, (Instant, IsEndless)>,
    next: u64,
}

type IsEndless = bool;

impl Responses {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pace(&self, body: Body, unread: Returned, is_endless: bool, place: Option<OwnedSemaphorePermit>) -> Paced {
        let mut waiting = self.lock();
        let id = waiting.next;
        waiting.next += 1;
        // Hyper takes the first bytes of the body when the client has room for some.
        waiting.since.insert(id, (Instant::now(), is_endless));
        drop(waiting);
        let turns = Turns { id, is_endless, responses: self.clone() };
        Paced { body, piece: Bytes::new(), unread, discarded: None, turns, _place: place }
    }

    fn is_any_stalled(&self, now: Instant, limit: &Limits) -> bool {
        let is_stalled = |&(since, is_endless): &(Instant, IsEndless)| {
            now.saturating_duration_since(since) >= if is_endless { limit.stalled_endless } else { limit.stalled }
        };
        self.lock().since.values().any(is_stalled)
    }
}

/// Whose turn it is in one response: hyper's, which asks for bytes, or the client's, which has to take them.
struct Turns {
    id: u64,
    is_endless: IsEndless,
    responses: Responses,
}

impl Turns {
    fn client(&self) {
        self.responses.lock().since.insert(self.id, (Instant::now(), self.is_endless));
    }

    fn server(&self) {
        self.responses.lock().since.remove(&self.id);
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.server();
    }
}

/// The body of a response in small pieces: hyper takes each of them only when the client has room for it.
///
/// It ends when the body of the request was read, too. Otherwise hyper would reset the stream, and clients that are still
/// sending would lose the response, as curl 7.88 and httpx do.
struct Paced {
    body: Body,
    /// What is left of a piece of the body that was too large.
    piece: Bytes,
    unread: Returned,
    /// The body of the request while it is thrown away.
    discarded: Option<Rest>,
    turns: Turns,
    _place: Option<OwnedSemaphorePermit>,
}

impl Paced {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.piece.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.piece = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return self.poll_discard(context).map(|()| None),
            }
        }
        let length = self.piece.len().min(limits::FRAME_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.piece.split_to(length)))))
    }

    /// Throws away what nobody has read of the request.
    fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.discarded.is_none() {
            self.discarded = self.unread.take_rest();
        }
        match &mut self.discarded {
            Some(rest) => rest.poll_discard(context),
            None => Poll::Ready(()),
        }
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let piece = self.poll_piece(context);
        if matches!(piece, Poll::Ready(Some(_))) {
            self.turns.client()
        } else {
            self.turns.server()
        }
        piece
    }

    fn is_end_stream(&self) -> bool {
        self.piece.is_empty() && self.body.is_end_stream() && self.discarded.is_none() && !self.unread.has_rest()
    }

    fn size_hint(&self) -> SizeHint {
        let piece = u64::try_from(self.piece.len()).unwrap_or(u64::MAX);
        let body = self.body.size_hint();
        let mut whole = SizeHint::new();
        whole.set_lower(body.lower().saturating_add(piece));
        if let Some(upper) = body.upper() {
            whole.set_upper(upper.saturating_add(piece));
        }
        whole
    }
}
