//! Accepting connections, whatever goes wrong with one.

use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

/// Out of file descriptors or memory, trying again at once would only burn the processor. A connection that ends
/// meanwhile ends the wait, too.
const PAUSE: Duration = Duration::from_millis(200);

/// The next connection. No error is fatal: the process may be out of file descriptors now and have some a moment later.
pub(super) async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if concerns_one_connection(&error) => debug!(%error, "a connection was gone before it began"),
            Err(error) => {
                warn!(%error, "cannot accept connections");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::Interrupted
    )
}
