//! One HTTP/2 connection (RFC 9113): many requests at a time, each of them a stream, and each a task that ends with the
//! connection.
//!
//! Clients choose HTTP/2 in the handshake of TLS. Hyper has no timers for HTTP/2, so this module has them: a connection
//! without a request for `header_timeout` ends, and so does one whose client takes nothing of a response for
//! `write_timeout`.

mod responses;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, interval, timeout};
use tracing::trace;

use super::received_body::Returned;
use super::socket::Socket;
use super::{EndlessBody, Options, ReceivedBody, is_datable, limits};
use crate::http::refusal;
use responses::Responses;

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
