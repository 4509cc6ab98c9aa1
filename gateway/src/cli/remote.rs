//! A running server, as the command line reaches it over HTTP.
//!
//! Each error is one line that says what to do next: the server cannot be reached, or it has sent a problem document,
//! whose detail is that line.

mod tls;

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tls::Trust;
use tokio_rustls::rustls;
use ureq::http::header::AUTHORIZATION;
use ureq::http::request::Builder;
use ureq::http::{HeaderValue, Method, Request, Response, Uri};
use ureq::tls::TlsConfig;
use ureq::{Agent, Body};

use super::Settings;
use super::failure::WrongArgument;

/// How long a connection may take. A reachable server accepts it at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a request may take. This is longer than `gateway.request_timeout` usually is, after which the server itself
/// reports a timeout.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The most bytes of a response. No response of a server is that large.
const RESPONSE_BYTES_MAX: u64 = 64 << 20;

/// The bytes that a segment of a path must encode: all but the unreserved ones (RFC 3986, 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The server that a command asks.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Connection {
    /// The server's address [default: the server that this configuration starts]
    ///
    /// By default the address is gateway.listen of the configuration, as this machine reaches it.
    #[arg(long, value_name = "URL")]
    pub(super) server: Option<String>,

    /// File with a token or an API key, for a server that authenticates its callers
    #[arg(long, value_name = "FILE")]
    pub(super) token: Option<PathBuf>,

    #[command(flatten)]
    pub(super) trust: Trust,

    #[command(flatten)]
    pub(super) settings: Settings,
}

/// A server, as this process reaches it. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Remote {
    agent: Agent,
    url: String,
    /// The header of its requests that says who sends them.
    authorization: Option<HeaderValue>,
    /// The name of its command line.
    application: &'static str,
}

/// Why a server did not do what the command asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum RemoteError {
    /// No server listens there.
    #[error("no server at {url} ({cause}): start it with `{application} serve`, or name another one with --server")]
    Unreachable {
        /// The address.
        url: String,
        /// The error of the system.
        cause: String,
        /// The name of the server's command line.
        application: &'static str,
    },
    /// The server's certificate is not trusted, or the server does not trust ours.
    #[error(
        "no encrypted connection to {url} ({cause}): name the authority of its certificate with --ca, and the server by \
         a name in its certificate with --server"
    )]
    Untrusted {
        /// The server's address.
        url: String,
        /// What is wrong.
        cause: String,
    },
    /// The server accepted the request, and sent no complete response.
    #[error("the server at {url} did not answer ({cause}): it may have done it, check before you repeat the command")]
    NoResponse {
        /// The server's address.
        url: String,
        /// The error that ended the wait.
        cause: String,
    },
    /// The server is of another kind.
    #[error(
        "{url} is not a server of this kind, it answered {status} without {expected}: name another one with --server"
    )]
    OtherServer {
        /// The server's address.
        url: String,
        /// The status of its response.
        status: u16,
        /// What the response should have contained.
        expected: &'static str,
    },
    /// The server sent a problem document.
    #[error("{}", .0.message())]
    Refused(Problem),
}

/// The members of a problem document (RFC 9457) that the command line uses.
#[derive(Debug, Deserialize)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    kind: String,
    status: u16,
    detail: String,
    request_id: String,
}

impl Connection {
    /// The server that `--server` or the configuration names.
    pub(super) fn remote(self, application: &'static str, outer: Settings) -> anyhow::Result<Remote> {
        let (url, certificate) = match self.server {
            Some(url) => (checked_url(url)?, None),
            None => {
                let gateway = outer.and(self.settings).load()?.config.gateway;
                let (listen, tls) = (gateway.listen, gateway.tls);
                if listen.port() == 0 {
                    let what =
                        "gateway.listen has port 0, so the server's port is not known: name the server with --server";
                    return Err(WrongArgument(what.to_owned()).into());
                }
                let scheme = if tls.is_on() { "https" } else { "http" };
                (format!("{scheme}://{}", reachable_address(listen)), tls.is_on().then_some(tls.certificate))
            }
        };
        let tls = if url.starts_with("https:") { Some(self.trust.config(certificate.as_deref())?) } else { None };
        let remote = Remote::new(application, url, tls);
        Ok(match self.token {
            Some(path) => Remote { authorization: Some(authorization(&path)?), ..remote },
            None => remote,
        })
    }
}

/// The header with the token of a file. Logs and errors do not show it.
fn authorization(path: &Path) -> Result<HeaderValue, WrongArgument> {
    let wrong = |what: &str| WrongArgument(format!("--token {}: {what}", path.display()));
    let token = fs::read_to_string(path).map_err(|error| wrong(&error.to_string()))?;
    let value = HeaderValue::try_from(format!("Bearer {}", token.trim()));
    let mut value = value.map_err(|_| wrong("the file has no token and no API key"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Checks the address of a server. A path is refused, because it would not lead to the API.
fn checked_url(url: String) -> Result<String, WrongArgument> {
    let base = url.trim_end_matches('/');
    let is_base = base.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.path() == "/"
    });
    if is_base && !base.contains('?') {
        return Ok(base.to_owned());
    }
    Err(WrongArgument(format!(
        "--server {url} is not an address such as http://127.0.0.1:8080 or https://shop.example.org"
    )))
}

/// The address by which this machine reaches a server that listens on all of its addresses.
fn reachable_address(mut listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    listen
}

impl Remote {
    fn new(application: &'static str, url: String, tls: Option<TlsConfig>) -> Self {
        let config = Agent::config_builder()
            .tls_config(tls.unwrap_or_default())
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Only the configuration reads the environment.
            .proxy(None)
            .user_agent(application)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(TIMEOUT))
            .build();
        Self { agent: config.new_agent(), url, authorization: None, application }
    }

    /// `GET path`
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RemoteError> {
        self.send(&Method::GET, path, None)
    }

    /// `POST path` with a body.
    pub(super) fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, RemoteError> {
        self.send(&Method::POST, path, Some(body))
    }

    /// `POST path` with lines of JSON. The response consists of lines, too.
    pub(super) fn post_lines(&self, path: &str, lines: Vec<u8>) -> Result<Vec<u8>, RemoteError> {
        let request = self.request(&Method::POST, path).header("content-type", "application/x-ndjson");
        let sent = request.body(lines).map_err(ureq::Error::from).and_then(|request| self.agent.run(request));
        self.read_bytes(sent.map_err(|error| self.failed(error))?)
    }

    /// `PATCH path` with a body.
    pub(super) fn patch<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, RemoteError> {
        self.send(&Method::PATCH, path, Some(body))
    }

    /// `DELETE path`
    pub(super) fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, RemoteError> {
        self.send(&Method::DELETE, path, None)
    }

    fn request(&self, method: &Method, path: &str) -> Builder {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        match &self.authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization),
            None => request,
        }
    }

    fn send<T: DeserializeOwned>(&self, method: &Method, path: &str, body: Option<&Value>) -> Result<T, RemoteError> {
        let request = self.request(method, path);
        let sent = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json").body(body.to_string());
                request.map_err(ureq::Error::from).and_then(|request| self.agent.run(request))
            }
            None => request.body(()).map_err(ureq::Error::from).and_then(|request| self.agent.run(request)),
        };
        self.read(sent.map_err(|error| self.failed(error))?)
    }

    fn read<T: DeserializeOwned>(&self, response: Response<Body>) -> Result<T, RemoteError> {
        let status = response.status().as_u16();
        let body = self.read_bytes(response)?;
        serde_json::from_slice(&body).map_err(|_| self.other_server(status, "what this command needs"))
    }

    /// The body of a successful response.
    fn read_bytes(&self, response: Response<Body>) -> Result<Vec<u8>, RemoteError> {
        let status = response.status();
        let body = response.into_body().with_config().limit(RESPONSE_BYTES_MAX).read_to_vec();
        let body = body.map_err(|error| self.failed(error))?;
        if status.is_success() {
            return Ok(body);
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(RemoteError::Refused(problem)),
            Err(_) => Err(self.other_server(status.as_u16(), "saying why")),
        }
    }

    fn other_server(&self, status: u16, expected: &'static str) -> RemoteError {
        RemoteError::OtherServer { url: self.url.clone(), status, expected }
    }

    fn failed(&self, error: ureq::Error) -> RemoteError {
        let url = self.url.clone();
        let is_unreachable = match &error {
            ureq::Error::Io(error) => error.kind() == io::ErrorKind::ConnectionRefused,
            ureq::Error::Timeout(timeout) => matches!(timeout, ureq::Timeout::Connect | ureq::Timeout::Resolve),
            ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => true,
            _ => false,
        };
        let cause = match &error {
            ureq::Error::Io(error) if is_unreachable => error.kind().to_string(),
            error => error.to_string(),
        };
        if is_about_trust(&error) {
            RemoteError::Untrusted { url, cause }
        } else if is_unreachable {
            RemoteError::Unreachable { url, cause, application: self.application }
        } else {
            RemoteError::NoResponse { url, cause }
        }
    }
}

fn is_about_trust(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => true,
        ureq::Error::Io(error) => error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()),
        _ => false,
    }
}

impl RemoteError {
    /// Whether the server sent a problem with this slug.
    pub(super) fn is(&self, slug: &str) -> bool {
        matches!(self, Self::Refused(problem) if problem.kind.strip_suffix(slug).is_some_and(|rest| rest.ends_with(':')))
    }

    /// Whether the same request may succeed later: the server cannot be reached, or is overloaded.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::NoResponse { .. } => true,
            Self::OtherServer { .. } | Self::Untrusted { .. } => false,
            Self::Refused(problem) => matches!(problem.status, 429 | 503),
        }
    }

    /// Whether the request is wrong, so that it fails however often it is repeated.
    pub(super) fn is_wrong_use(&self) -> bool {
        let unknown =
            ["unknown-projection", "unknown-listener", "unknown-view", "unknown-aggregate-type", "unknown-webhook"];
        matches!(self, Self::Refused(Problem { status: 400, .. })) || unknown.iter().any(|slug| self.is(slug))
    }
}

impl Problem {
    /// The message for the user. The server's log has more about internal errors.
    fn message(&self) -> String {
        let Self { detail, status, request_id, .. } = self;
        match status {
            500.. => format!("{detail} (the server's log has more about request {request_id})"),
            _ => detail.clone(),
        }
    }
}

/// Percent-encodes a text as one segment of a path.
pub(super) fn segment(text: &str) -> impl fmt::Display {
    utf8_percent_encode(text, SEGMENT)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// The result of one request to a server that sends this response.
    fn asking(answer: &'static str) -> Result<Value, RemoteError> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                connection.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            connection.write_all(answer.as_bytes()).unwrap();
        });
        let asked = Remote::new("bank", url, None).get("/admin/projections");
        server.join().unwrap();
        asked
    }

    #[test]
    fn the_server_is_where_the_configuration_starts_it() {
        let reached = |listen: &str| reachable_address(listen.parse().unwrap()).to_string();
        assert_eq!(reached("127.0.0.1:8080"), "127.0.0.1:8080");
        assert_eq!(reached("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(reached("[::]:80"), "[::1]:80");
        assert_eq!(reached("10.1.2.3:80"), "10.1.2.3:80");
    }

    #[test]
    fn the_address_of_a_server_has_no_path() {
        for good in ["http://127.0.0.1:8080", "http://db-7:80/", "http://[::1]:8080", "https://bank"] {
            assert_eq!(checked_url(good.to_owned()).unwrap(), good.trim_end_matches('/'));
        }
        for bad in ["127.0.0.1:8080", "https://", "http://", "http://bank/admin", "http://bank?x=1", "ftp://bank", ""] {
            assert!(checked_url(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_segment_decodes_to_the_text() {
        assert_eq!(segment("order-totals").to_string(), "order-totals");
        assert_eq!(segment("a b/ü%").to_string(), "a%20b%2F%C3%BC%25");
    }

    #[test]
    fn a_problem_is_its_detail_and_internal_errors_name_the_request() {
        let refused = asking(
            "HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n{\"type\":\"urn:dormouse:problem:unknown-projection\",\
             \"status\":404,\"detail\":\"there is no projection \\\"order\\\"\",\"request_id\":\"r-1\"}",
        )
        .unwrap_err();
        assert_eq!(refused.to_string(), "there is no projection \"order\"");
        assert!(refused.is_wrong_use());
        let failed = asking(
            "HTTP/1.1 503 No\r\nconnection: close\r\n\r\n{\"type\":\"urn:dormouse:problem:views-unavailable\",\
             \"status\":503,\"detail\":\"the views do not answer\",\"request_id\":\"r-2\"}",
        )
        .unwrap_err();
        assert_eq!(failed.to_string(), "the views do not answer (the server's log has more about request r-2)");
        assert!(!failed.is_wrong_use());
    }

    #[test]
    fn servers_of_another_kind_are_recognized() {
        let other = asking("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>").unwrap_err().to_string();
        assert!(other.contains("it answered 200 without what this command needs"), "{other}");
        let other = asking("HTTP/1.1 301 There\r\nlocation: /there\r\ncontent-length: 0\r\n\r\n").unwrap_err();
        assert!(other.to_string().contains("it answered 301 without saying why"), "{other}");
        let half = asking("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{").unwrap_err().to_string();
        assert!(half.contains("did not answer") && half.contains("check before you repeat the command"), "{half}");
    }

    #[test]
    fn a_server_that_cannot_be_reached_is_reported_with_what_to_do() {
        // No server listens on that port.
        let nowhere = "http://127.0.0.1:1";
        let error = Remote::new("bank", nowhere.to_owned(), None).get::<Value>("/").unwrap_err().to_string();
        let expected = format!(
            "no server at {nowhere} (connection refused): start it with `bank serve`, or name another one with --server"
        );
        assert_eq!(error, expected);
    }
}
