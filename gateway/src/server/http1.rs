//! One HTTP/1.1 connection: one request after the other.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::trace;

use super::socket::Socket;
use super::{EndlessBody, ReceivedBody, UnreadBody, limits};

/// Answers the requests of a connection, until the client closes it or `shutting_down` resolves, which makes the
/// running request the last.
pub(super) async fn serve_connection<F>(
    socket: Socket,
    http: http1::Builder,
    answer: impl Fn(Request<ReceivedBody>) -> F,
    shutting_down: oneshot::Receiver<()>,
) where
    F: Future<Output = Response>,
{
    let is_endless = &AtomicBool::new(false);
    let lingers = &socket.lingers();
    let service = service_fn(move |request: Request<Incoming>| {
        let answered = answer(request.map(ReceivedBody::from));
        async move {
            let response = answered.await;
            is_endless.store(response.extensions().get::<EndlessBody>().is_some(), Ordering::Relaxed);
            if response.extensions().get::<UnreadBody>().is_some() {
                lingers.store(true, Ordering::Relaxed);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = pin!(http.serve_connection(TokioIo::new(socket), service));
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        _ = shutting_down => {
            connection.as_mut().graceful_shutdown();
            if is_endless.load(Ordering::Relaxed) {
                timeout(limits::STREAM_END, connection).await.unwrap_or(Ok(()))
            } else {
                connection.await
            }
        }
    };
    if let Err(error) = ended {
        // Clients hang up, are slow, or send malformed data. That is not our error, and there may be many of them.
        trace!(%error, "a connection ended early");
    }
}
