//! The handshake of a connection, in the task of that connection: a client that says nothing delays nobody else.

use std::collections::VecDeque;
use std::convert::Infallible;

use metrics::counter;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::debug;

use super::Tls;
use crate::http::refusal;
use crate::metric;
use crate::server::stream::Stream;

/// The handshakes that are in progress, the oldest first.
pub(in crate::server) struct Handshakes {
    limit: usize,
    /// Each sender ends a handshake when it is dropped, and is closed when its handshake has ended.
    waiting: VecDeque<oneshot::Sender<Infallible>>,
}

/// Resolves when another handshake takes the place of this one.
pub(in crate::server) type Displaced = oneshot::Receiver<Infallible>;

impl Handshakes {
    pub(in crate::server) fn new(limit: usize) -> Self {
        Self { limit, waiting: VecDeque::new() }
    }

    /// Adds a handshake. If there are too many, the oldest ends: an ordinary client's takes milliseconds, so the oldest
    /// is one that a client does not go on with.
    pub(in crate::server) fn begin(&mut self) -> Displaced {
        if self.waiting.len() >= self.limit {
            self.waiting.retain(|handshake| !handshake.is_closed());
        }
        while self.waiting.len() >= self.limit {
            self.waiting.pop_front();
        }
        let (displace, displaced) = oneshot::channel();
        self.waiting.push_back(displace);
        displaced
    }
}

/// Encrypts a connection. `None`: the handshake failed, took too long, or was displaced.
pub(in crate::server) async fn handshake(tls: &Tls, mut tcp: TcpStream, displaced: Displaced) -> Option<Stream> {
    let encrypting = async {
        if speaks_plain_http(&tcp).await {
            let refused = refusal::of_plain_http();
            let _gone = tcp.write_all(&refused).await;
            let _gone = tcp.shutdown().await;
            return Err("plain-http");
        }
        tls.acceptor().accept(tcp).await.map_err(|error| {
            debug!(%error, "a TLS handshake failed");
            "failed"
        })
    };
    let result = tokio::select! {
        encrypted = timeout(tls.handshake_timeout, encrypting) => encrypted.unwrap_or(Err("timeout")),
        _ = displaced => Err("displaced"),
    };
    counter!(metric::TLS_HANDSHAKES, "result" => result.as_ref().err().copied().unwrap_or("ok")).increment(1);
    result.ok().map(|encrypted| Stream::Encrypted(Box::new(encrypted)))
}

/// Whether the client sends an HTTP request without encryption: its first byte is a letter of a method, while a
/// handshake begins with the number 22.
async fn speaks_plain_http(tcp: &TcpStream) -> bool {
    let mut first = [0];
    matches!(tcp.peek(&mut first).await, Ok(1)) && first[0].is_ascii_alphabetic()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_handshake_too_many_ends_the_oldest_that_has_not_ended() {
        let mut handshakes = Handshakes::new(3);
        let mut begin = || handshakes.begin();
        let (done, mut first, mut second, mut third) = (begin(), begin(), begin(), None);
        drop(done);
        third.replace(begin());
        assert_eq!(first.try_recv(), Err(oneshot::error::TryRecvError::Empty), "one had ended");
        let mut fourth = begin();
        assert_eq!(first.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        for waiting in [&mut second, third.as_mut().unwrap(), &mut fourth] {
            assert_eq!(waiting.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        }
    }
}
