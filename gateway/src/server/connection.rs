//! One connection, from the first byte to the last.

use std::convert::Infallible;
use std::pin::pin;

use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;
use tracing::trace;

use super::socket::Socket;

/// Answers the requests of a connection, until the client has no more or `told` says that the one under way is the last.
pub(super) async fn serve_connection<F>(
    socket: Socket,
    http: http1::Builder,
    answer: impl Fn(Request<Incoming>) -> F,
    told: oneshot::Receiver<()>,
) where
    F: Future<Output = Response>,
{
    let service = service_fn(move |request| {
        let answered = answer(request);
        async { Ok::<_, Infallible>(answered.await) }
    });
    let mut connection = pin!(http.serve_connection(TokioIo::new(socket), service));
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        _ = told => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Clients hang up, are slow, or talk nonsense: that is their business, and there may be many.
        trace!(%error, "a connection ended early");
    }
}
