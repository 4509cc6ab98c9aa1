//! The HTTP server: it limits the number of connections, gives slow clients a deadline, and shuts down in good
//! order.
//!
//! `axum::serve` neither limits connections nor arms a timer for request headers, so this module drives hyper itself.
//! Each connection is a task. All of them belong to the accept loop, and none outlives it.
//!
//! `tls` encrypts connections. `http1` and `http2` serve one connection each. `limits` has its limits. `socket` does what hyper leaves to others: it
//! gives up clients that take nothing, and sends a problem document to clients that did not send a request.

mod accept;
mod http1;
mod http2;
mod limits;
mod received_body;
mod socket;
mod stream;
#[cfg(test)]
mod tests;
mod tls;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::response::Response;
use dormouse_config::Gateway;
use hyper::Request;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};
use tracing::{debug, warn};

use self::accept::accept;
use self::http2::Requests;
pub(crate) use self::received_body::ReceivedBody;
use self::socket::Socket;
use self::stream::Stream;
pub(crate) use self::tls::Tls;
use self::tls::{Handshakes, handshake};

/// The server's part of the configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Connections at the same time. More of them wait in the kernel's backlog.
    pub(crate) max_connections: usize,
    /// Time to send the head of a request, also for the next request on a connection that is kept alive.
    pub(crate) header_timeout: Duration,
    /// Time within which a client must take some bytes of a response.
    pub(crate) write_timeout: Duration,
}

/// Marks a response (as an extension) whose body ends only when the streams are ended. Streams are ended before the
/// server shuts down. So a client that has not taken the rest a moment later takes nothing, and the shutdown does not
/// wait for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndlessBody;

/// Marks a response (as an extension) to a request whose body was not read to its end. The connection closes after the
/// response, and the server reads on for a while: a reset would take the response away from a client that is still
/// sending.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnreadBody;

/// The other end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// The host names of its certificate, which was verified. `None`: it has none.
    pub(crate) certificate: Option<Arc<[String]>>,
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        Self { address, certificate: None }
    }
}

impl Options {
    pub(crate) fn from_config(gateway: &Gateway) -> Self {
        Self {
            max_connections: gateway.max_connections.get(),
            header_timeout: gateway.header_timeout,
            write_timeout: gateway.request_timeout,
        }
    }
}

/// Serves the responses of `answer`, which gets the client too, until `shutdown` delivers a deadline. With
/// `tls`, connections are encrypted. After `shutdown`, it accepts no more connections, closes the idle ones, and lets
/// running requests finish until the deadline. If the sender of `shutdown` is dropped without a deadline, or this future
/// is dropped, everything is cut off at once.
pub(crate) async fn serve<A, F>(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    answer: A,
    options: Options,
    mut shutdown: oneshot::Receiver<Instant>,
) where
    A: Fn(Request<ReceivedBody>, Peer) -> F + Clone + Send + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(options.header_timeout);
    http.max_buf_size(limits::HEAD_BYTES).max_headers(limits::HEADERS);
    let requests = Requests::at_most(options.max_connections);
    let mut connections = Connections::default();
    let mut handshakes = Handshakes::new(tls.as_ref().map_or(0, |tls| tls.handshakes));
    let deadline = loop {
        tokio::select! {
            deadline = &mut shutdown => break deadline.unwrap_or_else(|_| Instant::now()),
            () = connections.join_one() => {}
            (stream, address) = accept(&listener), if connections.count() < options.max_connections => {
                // A response is written in one go, so Nagle's algorithm would only delay it. If the socket refuses the
                // option it is broken, and its next use fails.
                let _gone = stream.set_nodelay(true);
                let (shut_down, mut shutting_down) = oneshot::channel();
                let mut http = http.clone();
                http.auto_date_header(is_datable(SystemTime::now()));
                let (answer, requests) = (answer.clone(), requests.clone());
                let serve = move |stream: Stream, shutting_down| {
                    let peer = Peer { address, certificate: stream.certificate() };
                    let answer = move |request| answer(request, peer.clone());
                    let is_http2 = stream.is_http2();
                    let socket = Socket::new(stream, options.write_timeout);
                    async move {
                        if is_http2 {
                            // Boxed, because most connections are not of this kind, and its state is large.
                            let serving = http2::serve_connection(socket, options, requests, answer, shutting_down);
                            Box::pin(serving).await;
                        } else {
                            http1::serve_connection(socket, http, answer, shutting_down).await;
                        }
                    }
                };
                match &tls {
                    None => connections.add(serve(Stream::Plain(stream), shutting_down), shut_down),
                    Some(tls) => {
                        let (tls, displaced) = (Arc::clone(tls), handshakes.begin());
                        let connection = async move {
                            let encrypted = tokio::select! {
                                encrypted = handshake(&tls, stream, displaced) => encrypted,
                                _ = &mut shutting_down => None,
                            };
                            if let Some(stream) = encrypted {
                                serve(stream, shutting_down).await;
                            }
                        };
                        connections.add(connection, shut_down);
                    }
                }
            }
        }
    };
    drop(listener);
    connections.drain(deadline).await;
}

/// Whether a `Date` header can express this time. A time before 1970, as on a machine whose clock is not set, cannot be
/// written, and hyper would panic at each response.
fn is_datable(now: SystemTime) -> bool {
    now >= SystemTime::UNIX_EPOCH
}

/// The open connections, each with a channel that tells it to end. There is one channel for each connection and not one
/// for all: a connection looks at its channel at every request, and a shared channel has a lock on which all
/// connections would contend.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    shut_down: HashMap<task::Id, oneshot::Sender<()>>,
}

impl Connections {
    fn count(&self) -> usize {
        self.tasks.len()
    }

    fn add(&mut self, connection: impl Future<Output = ()> + Send + 'static, shut_down: oneshot::Sender<()>) {
        let task = self.tasks.spawn(connection);
        self.shut_down.insert(task.id(), shut_down);
    }

    /// Waits until a connection ends. Never returns if there is none.
    async fn join_one(&mut self) {
        match self.tasks.join_next_with_id().await {
            Some(ended) => self.forget(ended),
            None => std::future::pending().await,
        }
    }

    fn forget(&mut self, ended: Result<(task::Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            // The connection panicked, and the panic hook has logged it.
            Err(error) => error.id(),
        };
        self.shut_down.remove(&id);
    }

    async fn drain(mut self, deadline: Instant) {
        debug!(connections = self.count(), "closing connections");
        // A dropped sender tells a connection to end.
        self.shut_down.clear();
        let all_ended = async { while self.tasks.join_next().await.is_some() {} };
        if timeout_at(deadline, all_ended).await.is_err() {
            warn!(connections = self.count(), "cut off requests that did not finish in time");
            self.tasks.shutdown().await;
        }
    }
}
