//! A server that runs, spoken to over HTTP.
//!
//! Whatever does not go well is one line that says what to do next: the server is not there, or it has answered with a
//! problem document, whose detail is that line.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::{Method, Request, Response, Uri};
use ureq::{Agent, Body};

use super::Settings;
use super::failure::WrongArgument;

/// A server on this machine, or near it, takes a connection at once or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longer than `gateway.request_timeout` usually is, after which the server itself says that something took too long.
const TIMEOUT: Duration = Duration::from_secs(60);

/// No answer is as large.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Which server to ask.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Connection {
    /// The server to ask [default: the one that this configuration starts]
    ///
    /// Without it, gateway.listen of the configuration says where the server is, in reach of this machine.
    #[arg(long, value_name = "URL")]
    pub(super) server: Option<String>,

    #[command(flatten)]
    pub(super) settings: Settings,
}

/// A server, as this process reaches it. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Remote {
    agent: Agent,
    url: String,
    /// What its command line is called.
    application: &'static str,
}

/// Why a server did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(super) enum RemoteError {
    /// Nobody listens there.
    #[error("no server at {url} ({cause}): start it with `{application} serve`, or name another one with --server")]
    Absent {
        /// Where it should be.
        url: String,
        /// What the system says.
        cause: String,
        /// What its command line is called.
        application: &'static str,
    },
    /// It took the request, and then nothing came.
    #[error(
        "the server at {url} did not answer ({cause}): whether it has done it is not known, look before you repeat it"
    )]
    Silent {
        /// Where it is.
        url: String,
        /// How the silence began.
        cause: String,
    },
    /// It is something else.
    #[error("{url} is no server of this kind: it answered {status} without {expected}")]
    Stranger {
        /// Where it is.
        url: String,
        /// The status it answered with.
        status: u16,
        /// What it should have answered with.
        expected: &'static str,
    },
    /// It answered with a problem document.
    #[error("{}", .0.told())]
    Refused(Problem),
}

/// What a server says is wrong (RFC 9457), as far as people read it.
#[derive(Debug, Deserialize)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    kind: String,
    status: u16,
    detail: String,
    request_id: String,
}

impl Connection {
    /// The server of the application, by `--server` or the configuration.
    pub(super) fn remote(self, application: &'static str, outer: Settings) -> anyhow::Result<Remote> {
        let url = match self.server {
            Some(url) => checked(url)?,
            None => {
                let listen = outer.and(self.settings).load()?.config.gateway.listen;
                if listen.port() == 0 {
                    let what =
                        "gateway.listen has port 0, which leaves it open where the server is: say it with --server";
                    return Err(WrongArgument(what.to_owned()).into());
                }
                format!("http://{}", in_reach(listen))
            }
        };
        Ok(Remote::new(application, url))
    }
}

/// A server's address as it was given; a path would lead elsewhere than to the API.
fn checked(url: String) -> Result<String, WrongArgument> {
    let base = url.trim_end_matches('/');
    let is_base = base.parse::<Uri>().is_ok_and(|uri| {
        uri.scheme_str() == Some("http") && uri.host().is_some_and(|host| !host.is_empty()) && uri.path() == "/"
    });
    if is_base && !base.contains('?') {
        return Ok(base.to_owned());
    }
    Err(WrongArgument(format!("--server {url} is no address such as http://127.0.0.1:8080")))
}

/// The address under which this machine reaches a server that listens on all of its addresses.
fn in_reach(mut listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    listen
}

impl Remote {
    fn new(application: &'static str, url: String) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // The environment is read by the configuration, and nowhere else.
            .proxy(None)
            .user_agent(application)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(TIMEOUT))
            .build();
        Self { agent: config.new_agent(), url, application }
    }

    /// `GET path`
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RemoteError> {
        self.send(&Method::GET, path, None)
    }

    /// `POST path` with a body.
    pub(super) fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, RemoteError> {
        self.send(&Method::POST, path, Some(body))
    }

    /// `POST path` with lines of JSON; what comes back are lines, too.
    pub(super) fn post_lines(&self, path: &str, lines: Vec<u8>) -> Result<Vec<u8>, RemoteError> {
        let request = Request::post(format!("{}{path}", self.url)).header("content-type", "application/x-ndjson");
        let sent = request.body(lines).map_err(ureq::Error::from).and_then(|request| self.agent.run(request));
        self.read_bytes(sent.map_err(|error| self.unanswered(error))?)
    }

    /// `PATCH path` with a body.
    pub(super) fn patch<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, RemoteError> {
        self.send(&Method::PATCH, path, Some(body))
    }

    /// `DELETE path`
    pub(super) fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, RemoteError> {
        self.send(&Method::DELETE, path, None)
    }

    fn send<T: DeserializeOwned>(&self, method: &Method, path: &str, body: Option<&Value>) -> Result<T, RemoteError> {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        let sent = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json").body(body.to_string());
                request.map_err(ureq::Error::from).and_then(|request| self.agent.run(request))
            }
            None => request.body(()).map_err(ureq::Error::from).and_then(|request| self.agent.run(request)),
        };
        self.read(sent.map_err(|error| self.unanswered(error))?)
    }

    fn read<T: DeserializeOwned>(&self, response: Response<Body>) -> Result<T, RemoteError> {
        let status = response.status().as_u16();
        let body = self.read_bytes(response)?;
        serde_json::from_slice(&body).map_err(|_| self.stranger(status, "what this command needs"))
    }

    /// The body of a success.
    fn read_bytes(&self, response: Response<Body>) -> Result<Vec<u8>, RemoteError> {
        let status = response.status();
        let body = response.into_body().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        let body = body.map_err(|error| self.unanswered(error))?;
        if status.is_success() {
            return Ok(body);
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(RemoteError::Refused(problem)),
            Err(_) => Err(self.stranger(status.as_u16(), "saying why")),
        }
    }

    fn stranger(&self, status: u16, expected: &'static str) -> RemoteError {
        RemoteError::Stranger { url: self.url.clone(), status, expected }
    }

    fn unanswered(&self, error: ureq::Error) -> RemoteError {
        let url = self.url.clone();
        let absent = match &error {
            ureq::Error::Io(error) => error.kind() == io::ErrorKind::ConnectionRefused,
            ureq::Error::Timeout(timeout) => matches!(timeout, ureq::Timeout::Connect | ureq::Timeout::Resolve),
            ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => true,
            _ => false,
        };
        let cause = match &error {
            ureq::Error::Io(error) if absent => error.kind().to_string(),
            error => error.to_string(),
        };
        if absent {
            RemoteError::Absent { url, cause, application: self.application }
        } else {
            RemoteError::Silent { url, cause }
        }
    }
}

impl RemoteError {
    /// Whether it is this problem that the server has with what was asked for.
    pub(super) fn is(&self, slug: &str) -> bool {
        matches!(self, Self::Refused(problem) if problem.kind.strip_suffix(slug).is_some_and(|rest| rest.ends_with(':')))
    }

    /// Whether the same request may succeed later: no server is there now, or it has no room.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Absent { .. } | Self::Silent { .. } => true,
            Self::Stranger { .. } => false,
            Self::Refused(problem) => matches!(problem.status, 429 | 503),
        }
    }

    /// Whether what was asked for cannot be, however often it is asked for.
    pub(super) fn is_wrong_use(&self) -> bool {
        let unknown = ["unknown-projection", "unknown-view", "unknown-aggregate-type"];
        matches!(self, Self::Refused(Problem { status: 400, .. })) || unknown.iter().any(|slug| self.is(slug))
    }
}

impl Problem {
    /// What to tell; the logs know more of what went wrong inside.
    fn told(&self) -> String {
        let Self { detail, status, request_id, .. } = self;
        match status {
            500.. => format!("{detail} (the server's log says more: request {request_id})"),
            _ => detail.clone(),
        }
    }
}

/// Text as one segment of a path.
pub(super) fn segment(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            written.push(char::from(byte));
        } else {
            written.push_str(&format!("%{byte:02X}"));
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// What comes of asking a server that gives this answer, once.
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
        let asked = Remote::new("bank", url).get("/admin/projections");
        server.join().unwrap();
        asked
    }

    #[test]
    fn the_server_is_where_the_configuration_starts_it() {
        let reached = |listen: &str| in_reach(listen.parse().unwrap()).to_string();
        assert_eq!(reached("127.0.0.1:8080"), "127.0.0.1:8080");
        assert_eq!(reached("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(reached("[::]:80"), "[::1]:80");
        assert_eq!(reached("10.1.2.3:80"), "10.1.2.3:80");
    }

    #[test]
    fn a_server_has_an_address_without_a_path() {
        for good in ["http://127.0.0.1:8080", "http://db-7:80/", "http://[::1]:8080"] {
            assert_eq!(checked(good.to_owned()).unwrap(), good.trim_end_matches('/'));
        }
        for bad in
            ["127.0.0.1:8080", "https://bank", "http://", "http://bank/admin", "http://bank?x=1", "ftp://bank", ""]
        {
            assert!(checked(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_segment_reads_back_as_the_text() {
        assert_eq!(segment("order-totals"), "order-totals");
        assert_eq!(segment("a b/ü%"), "a%20b%2F%C3%BC%25");
    }

    #[test]
    fn a_problem_is_its_detail_and_what_failed_inside_can_be_looked_up() {
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
        assert_eq!(failed.to_string(), "the views do not answer (the server's log says more: request r-2)");
        assert!(!failed.is_wrong_use());
    }

    #[test]
    fn others_than_our_servers_are_told_apart() {
        let other = asking("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>").unwrap_err().to_string();
        assert!(
            other.ends_with("is no server of this kind: it answered 200 without what this command needs"),
            "{other}"
        );
        let other = asking("HTTP/1.1 301 There\r\nlocation: /there\r\ncontent-length: 0\r\n\r\n").unwrap_err();
        assert!(other.to_string().ends_with("it answered 301 without saying why"), "{other}");
        let half = asking("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{").unwrap_err().to_string();
        assert!(half.contains("did not answer") && half.contains("look before you repeat it"), "{half}");
    }

    #[test]
    fn nobody_there_is_said_with_what_to_do() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = Remote::new("bank", format!("http://{address}")).get::<Value>("/").unwrap_err().to_string();
        let told = format!(
            "no server at http://{address} (connection refused): start it with `bank serve`, or name another one with \
             --server"
        );
        assert_eq!(error, told);
    }
}
