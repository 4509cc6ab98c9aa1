//! A client's connection, encrypted or not.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// The name of HTTP/2 in a handshake.
pub(super) const HTTP2: &[u8] = b"h2";

/// A client's connection.
pub(super) enum Stream {
    Plain(TcpStream),
    /// After the handshake. Boxed, because its state is large.
    Encrypted(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Whether the client has chosen HTTP/2 in the handshake (ALPN, RFC 7301).
    pub(super) fn is_http2(&self) -> bool {
        let Self::Encrypted(stream) = self else { return false };
        let (_, session) = stream.get_ref();
        session.alpn_protocol() == Some(HTTP2)
    }

    /// The host names of the client's certificate, if it showed one at the handshake, where it was verified.
    pub(super) fn certificate(&self) -> Option<Arc<[String]>> {
        let Self::Encrypted(stream) = self else { return None };
        let (_, session) = stream.get_ref();
        let certificate = webpki::EndEntityCert::try_from(session.peer_certificates()?.first()?).ok()?;
        Some(certificate.valid_dns_names().map(str::to_owned).collect())
    }
}

/// Calls a method of whichever stream it is.
macro_rules! delegate {
    ($stream:expr, $method:ident($($argument:expr),*)) => {
        match &mut *$stream {
            Stream::Plain(stream) => Pin::new(stream).$method($($argument),*),
            Stream::Encrypted(stream) => Pin::new(&mut **stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        delegate!(self, poll_read(context, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        delegate!(self, poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        delegate!(self, poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Encrypted(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, poll_shutdown(context))
    }
}
