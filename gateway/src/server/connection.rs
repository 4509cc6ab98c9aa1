//! One connection, from the first byte to the last.

use std::pin::pin;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::sync::oneshot;
use tracing::trace;

use super::socket::Socket;

/// Answers the requests of a connection, until the client has no more or `told` says that the one under way is the last.
pub(super) async fn serve_connection(
    socket: Socket,
    http: http1::Builder,
    router: Router,
    told: oneshot::Receiver<()>,
) {
    let mut connection = pin!(http.serve_connection(TokioIo::new(socket), TowerToHyperService::new(router)));
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
