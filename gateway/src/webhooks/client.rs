//! Sends one request to a receiver, which may do anything: answer never, endlessly, or with an order to ask elsewhere.
//!
//! Each request has a connection of its own, so that the address is checked that is connected to: a name may lead to a
//! public address now and to a private one a moment later.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use axum::http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::address::is_public;
use super::receiver::Receiver;

/// The most bytes of a response that are read. No receiver has more to say.
const RESPONSE_BYTES_MAX: usize = 64 << 10;

/// The most bytes of the head of a response.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Sends requests to receivers.
#[derive(Debug)]
pub(super) struct Client {
    allow_private: bool,
    timeout: Duration,
    /// Made for the first receiver with `https`.
    tls: OnceCell<Tls>,
}

/// What a receiver has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// The beginning of its body. Empty after a success.
    pub(super) text: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// The name of the receiver is not known.
    #[error("the name {host:?} cannot be looked up: {source}")]
    Lookup { host: String, source: io::Error },
    /// The name has no address that may be used.
    #[error("{host:?} has no address but {address}, which is private: webhooks.allow_private does not allow it")]
    Private { host: String, address: String },
    /// None of its addresses accepts connections.
    #[error("cannot connect to {address}: {source}")]
    Connect { address: SocketAddr, source: io::Error },
    /// There is no secure connection.
    #[error("no secure connection: {0}")]
    Tls(String),
    /// The receiver does not speak HTTP, or has closed the connection.
    #[error("the receiver did not answer: {0}")]
    Http(#[from] hyper::Error),
    /// The request cannot be written.
    #[error("the request cannot be sent: {0}")]
    Request(#[from] axum::http::Error),
    /// The time is up.
    #[error("the receiver did not answer within {0:?}")]
    Timeout(Duration),
}

#[derive(Clone)]
struct Tls(TlsConnector);

impl std::fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Tls")
    }
}

impl Client {
    pub(super) fn new(allow_private: bool, timeout: Duration) -> Self {
        Self { allow_private, timeout, tls: OnceCell::new() }
    }

    pub(super) const fn allows_private(&self) -> bool {
        self.allow_private
    }

    /// Posts a body, and reads the answer. Redirects are answers like others.
    pub(super) async fn post(
        &self,
        receiver: &Receiver,
        headers: &[(&'static str, String)],
        content_type: &'static str,
        body: Vec<u8>,
    ) -> Result<Answer, ClientError> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(receiver.path_and_query())
            .header(HOST, receiver.authority())
            .header(USER_AGENT, concat!("dormouse/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, HeaderValue::from_static(content_type));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(Bytes::from(body)))?;
        let deadline = Instant::now() + self.timeout;
        let asked = timeout_at(deadline, self.exchange(receiver, request, deadline));
        asked.await.unwrap_or(Err(ClientError::Timeout(self.timeout)))
    }

    async fn exchange(
        &self,
        receiver: &Receiver,
        request: Request<Full<Bytes>>,
        deadline: Instant,
    ) -> Result<Answer, ClientError> {
        let stream = self.connect(receiver).await?;
        if !receiver.is_https() {
            return talk(stream, request, deadline).await;
        }
        let Tls(connector) = self.tls.get_or_try_init(tls).await?.clone();
        let tls_error = |error: String| ClientError::Tls(error);
        let name = ServerName::try_from(receiver.host().to_owned()).map_err(|error| tls_error(error.to_string()))?;
        let stream = connector.connect(name, stream).await.map_err(|error| tls_error(error.to_string()))?;
        talk(stream, request, deadline).await
    }

    /// Connects to the first address of the receiver that is allowed and accepts the connection.
    async fn connect(&self, receiver: &Receiver) -> Result<TcpStream, ClientError> {
        let host = receiver.host();
        let found = lookup_host((host, receiver.port())).await;
        let found = found.map_err(|source| ClientError::Lookup { host: host.to_owned(), source })?;
        let mut why_not = None;
        for address in found {
            if !self.allow_private && !is_public(address.ip()) {
                let private = || ClientError::Private { host: host.to_owned(), address: address.ip().to_string() };
                why_not = why_not.or_else(|| Some(private()));
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(source) => why_not = Some(ClientError::Connect { address, source }),
            }
        }
        let nothing = || {
            let source = io::Error::new(io::ErrorKind::NotFound, "it has no address");
            ClientError::Lookup { host: host.to_owned(), source }
        };
        Err(why_not.unwrap_or_else(nothing))
    }
}

/// Sends a request on a connection, and reads the answer.
async fn talk<S>(stream: S, request: Request<Full<Bytes>>, deadline: Instant) -> Result<Answer, ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(stream)).await?;
    let mut exchange = pin!(async move {
        let response = sender.send_request(request).await?;
        let status = response.status();
        // The status decides, also if the rest does not come.
        let text = timeout_at(deadline, beginning(response.into_body())).await.unwrap_or_default();
        Ok(Answer { status, text: if status.is_success() { String::new() } else { text } })
    });
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        // What was received before the connection ended is still there.
        _ = connection => exchange.await,
    }
}

/// The beginning of a body. The rest is not read.
async fn beginning(mut body: Incoming) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < RESPONSE_BYTES_MAX
        && let Some(Ok(frame)) = body.frame().await
    {
        if let Some(data) = frame.data_ref() {
            bytes.extend_from_slice(&data[..data.len().min(RESPONSE_BYTES_MAX - bytes.len())]);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Secure connections with the certificates that this machine trusts.
async fn tls() -> Result<Tls, ClientError> {
    let made = tokio::task::spawn_blocking(|| {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let why = found.errors.first().map_or_else(|| "none was found".to_owned(), ToString::to_string);
            return Err(format!("this machine trusts no certificates: {why}"));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        Ok(Tls(TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))))
    });
    made.await.map_err(|error| ClientError::Tls(error.to_string()))?.map_err(ClientError::Tls)
}
