//! Accepting connections. No error ends the loop.

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

/// The pause after an error. Without free file descriptors or memory, trying again at once would only use the
/// processor. A connection that ends meanwhile ends the pause, too.
const PAUSE: Duration = Duration::from_millis(200);

/// Waits for the next connection, and the address of its client. No error is fatal: the process may have no file
/// descriptor now and some a moment later.
pub(super) async fn accept(listener: &TcpListener) -> (TcpStream, IpAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer.ip()),
            Err(error) if concerns_one_connection(&error) => {
                debug!(%error, "a connection ended before it was accepted")
            }
            Err(error) => {
                warn!(%error, "cannot accept connections, trying again: check the limit on open files and the memory");
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
