//! One connection, from the first byte to the last.

use std::pin::pin;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tracing::trace;

/// Answers the requests of a connection, until the client has no more or `told` says that the one under way is the last.
pub(super) async fn serve_connection(
    stream: TcpStream,
    http: http1::Builder,
    router: Router,
    told: oneshot::Receiver<()>,
) {
    // An answer is written in one go: waiting for more to send would only delay it. A socket that refuses is as good as
    // gone, and says so below.
    let _gone = stream.set_nodelay(true);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
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
