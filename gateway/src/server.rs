//! The HTTP/1.1 server: it accepts connections up to a limit, gives slow clients a deadline, and ends in good order.
//!
//! `axum::serve` would neither limit connections nor arm a timer for request headers, so hyper is driven from here. A
//! connection is a task; all of them belong to the accept loop, and none outlives it.
//!
//! What one connection may take is in `limits`; what hyper leaves to others, writing to clients that take nothing and
//! telling those that sent no request what was wrong with it, in `socket`.

mod accept;
mod connection;
mod limits;
mod socket;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use axum::response::Response;
use dormouse_config::Gateway;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};
use tracing::{debug, warn};

use self::accept::accept;
use self::connection::serve_connection;
use self::socket::Socket;

/// What the server takes from the configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Connections at once; further ones wait in the kernel's backlog.
    pub(crate) max_connections: usize,
    /// Time to send the head of a request, also that of the next one on a connection kept alive.
    pub(crate) header_timeout: Duration,
    /// Time in which a client must take something of what it is sent.
    pub(crate) write_timeout: Duration,
}

/// Marks a response (as an extension) whose body does not end before it is told to. It is told before the server is, so
/// a client that has not taken the rest a moment later takes nothing, and nobody waits for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endless;

/// Marks a response (as an extension) to a request whose body was not read to its end. The connection closes behind it,
/// and the server reads on for a while, because a reset would take the response away from a client that is still sending.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unread;

impl Options {
    pub(crate) fn from_config(gateway: &Gateway) -> Self {
        Self {
            max_connections: gateway.max_connections.get(),
            header_timeout: gateway.header_timeout,
            write_timeout: gateway.request_timeout,
        }
    }
}

/// Serves what `answer` says until `shutdown` names a deadline: then nothing more is accepted, idle connections are closed, and those with
/// a request under way get until the deadline to finish it. If the sender of `shutdown` goes without a word, or this
/// future is dropped, everything is cut off at once.
pub(crate) async fn serve<A, F>(
    listener: TcpListener,
    answer: A,
    options: Options,
    mut shutdown: oneshot::Receiver<Instant>,
) where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(options.header_timeout);
    http.max_buf_size(limits::HEAD_BYTES).max_headers(limits::HEADERS);
    let mut connections = Connections::default();
    let deadline = loop {
        tokio::select! {
            deadline = &mut shutdown => break deadline.unwrap_or_else(|_| Instant::now()),
            () = connections.one_ended() => {}
            stream = accept(&listener), if connections.count() < options.max_connections => {
                let (tell, told) = oneshot::channel();
                let socket = Socket::new(stream, options.write_timeout);
                let mut http = http.clone();
                http.auto_date_header(is_datable(SystemTime::now()));
                connections.add(serve_connection(socket, http, answer.clone(), told), tell);
            }
        }
    };
    drop(listener);
    connections.drain(deadline).await;
}

/// Whether a `Date` header can say this time. One before 1970, as on a machine whose clock is not set, cannot be written, and
/// hyper would panic over it with each answer.
fn is_datable(now: SystemTime) -> bool {
    now >= SystemTime::UNIX_EPOCH
}

/// The connections there are, each with the means to tell it that it should end. One channel for each rather than one
/// for all: a connection looks at it with every request, and all would meet at the lock of a shared one.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    tell: HashMap<task::Id, oneshot::Sender<()>>,
}

impl Connections {
    fn count(&self) -> usize {
        self.tasks.len()
    }

    fn add(&mut self, connection: impl Future<Output = ()> + Send + 'static, tell: oneshot::Sender<()>) {
        let task = self.tasks.spawn(connection);
        self.tell.insert(task.id(), tell);
    }

    /// Waits for the end of a connection; for ever if there is none.
    async fn one_ended(&mut self) {
        match self.tasks.join_next_with_id().await {
            Some(ended) => self.forget(ended),
            None => std::future::pending().await,
        }
    }

    fn forget(&mut self, ended: Result<(task::Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            // A panic; the hook has logged it.
            Err(error) => error.id(),
        };
        self.tell.remove(&id);
    }

    async fn drain(mut self, deadline: Instant) {
        debug!(connections = self.count(), "closing connections");
        // Whoever is told by a sender that has gone is told as well.
        self.tell.clear();
        let all_ended = async { while self.tasks.join_next().await.is_some() {} };
        if timeout_at(deadline, all_ended).await.is_err() {
            warn!(connections = self.count(), "requests were cut off, they did not finish in time");
            self.tasks.shutdown().await;
        }
    }
}
