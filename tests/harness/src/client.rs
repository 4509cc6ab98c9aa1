//! A blocking HTTP client that sends each request once and returns the answer.

use std::fmt;
use std::time::Duration;

use serde_json::Value;
use ureq::http::{Request, Response};
use ureq::{Agent, Body};

/// Long enough for a slow machine, and short enough that a server that hangs fails the test in time.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Enough for one connection per thread of any test.
const IDLE_CONNECTIONS: usize = 512;

/// Keeps connections alive, follows no redirect, and retries nothing. Clones are cheap and share the connections.
#[derive(Debug, Clone)]
pub struct Client {
    agent: Agent,
    base_url: String,
}

/// A complete answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

/// No complete answer arrived: whether the request took effect is unknown.
#[derive(Debug)]
pub struct NoAnswer(ureq::Error);

impl Client {
    /// A client for `base_url` (`http://host:port`), which gives up on a request after 60 s.
    #[must_use]
    pub fn new(base_url: impl Into<String>) -> Self {
        Self::with_timeout(base_url, TIMEOUT)
    }

    /// A client that gives up on a request after `timeout`.
    #[must_use]
    pub fn with_timeout(base_url: impl Into<String>, timeout: Duration) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .allow_non_standard_methods(true)
            .proxy(None)
            .max_idle_connections(IDLE_CONNECTIONS)
            .max_idle_connections_per_host(IDLE_CONNECTIONS)
            .timeout_global(Some(timeout))
            .build();
        Self { agent: config.new_agent(), base_url: base_url.into() }
    }

    /// `GET path`.
    pub fn get(&self, path: &str) -> Result<Answer, NoAnswer> {
        self.request("GET", path, &[], None)
    }

    /// `POST path` with a JSON body.
    pub fn post(&self, path: &str, body: &Value) -> Result<Answer, NoAnswer> {
        self.post_with(path, &[], body)
    }

    /// `POST path` with a JSON body and more headers.
    pub fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Result<Answer, NoAnswer> {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.request("POST", path, &all, Some(body.to_string().as_bytes()))
    }

    /// Any request, without a default content type. Only POST, PUT and PATCH can have a body.
    ///
    /// # Panics
    /// When the method, the path or a header is not valid HTTP.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Answer, NoAnswer> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base_url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = if ["POST", "PUT", "PATCH"].contains(&method) {
            let request = request.body(body.unwrap_or_default());
            self.agent.run(request.unwrap_or_else(|error| panic!("{method} {path} cannot be written in HTTP: {error}")))
        } else {
            assert!(body.is_none(), "{method} carries no body here");
            let request = request.body(());
            self.agent.run(request.unwrap_or_else(|error| panic!("{method} {path} cannot be written in HTTP: {error}")))
        };
        Answer::read(answer.map_err(NoAnswer)?)
    }
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// When the body is not JSON; the message shows the whole answer.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("the body is no JSON, {error}: {self}"),
        }
    }

    /// The first header with that name, in upper or lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(header, _)| header.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The position in `Dormouse-Position`, without the mark of the history.
    #[must_use]
    pub fn position(&self) -> Option<u64> {
        self.header("dormouse-position")?.split('-').next()?.parse().ok()
    }

    /// The body as text; invalid UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn read(response: Response<Body>) -> Result<Self, NoAnswer> {
        let (head, mut body) = response.into_parts();
        let headers = head.headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        });
        Ok(Self {
            status: head.status.as_u16(),
            headers: headers.collect(),
            body: body.with_config().limit(u64::MAX).read_to_vec().map_err(NoAnswer)?,
        })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.text())
    }
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no answer: {}", self.0)
    }
}

impl std::error::Error for NoAnswer {}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};

    use serde_json::json;

    use super::*;

    /// A server for one connection: reads until `until`, writes `answer`, and returns what it read.
    fn once(until: &'static str, answer: &'static str) -> (String, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut read = Vec::new();
            let mut buffer = [0; 1024];
            while !String::from_utf8_lossy(&read).ends_with(until) {
                let count = connection.read(&mut buffer).unwrap();
                assert!(count > 0, "the client hung up early");
                read.extend_from_slice(&buffer[..count]);
            }
            connection.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(read).unwrap()
        });
        (url, server)
    }

    #[test]
    fn a_refusal_is_an_answer() {
        let refusal = "HTTP/1.1 422 No\r\nX-Why: funds\r\ncontent-length: 11\r\n\r\n{\"code\": 1}";
        let (url, server) = once("{\"amount\":3}", refusal);
        let answer = Client::new(url).post_with("/v1/a", &[("idempotency-key", "k1")], &json!({"amount": 3})).unwrap();
        assert_eq!(answer.status, 422);
        assert_eq!(answer.header("x-WHY"), Some("funds"));
        assert_eq!(answer.json()["code"], 1);

        let request = server.join().unwrap().to_lowercase();
        assert!(request.starts_with("post /v1/a http/1.1\r\n"), "{request}");
        for line in ["content-type: application/json", "idempotency-key: k1"] {
            assert!(request.contains(&format!("{line}\r\n")), "{request}");
        }
    }

    #[test]
    fn a_redirect_is_an_answer() {
        let redirect = "HTTP/1.1 307 There\r\nlocation: /there\r\ncontent-length: 0\r\n\r\n";
        let (url, _server) = once("\r\n\r\n", redirect);
        let answer = Client::new(url).get("/here").unwrap();
        assert_eq!(answer.status, 307);
        assert_eq!(answer.header("location"), Some("/there"));
    }

    #[test]
    fn a_request_without_a_body_is_complete() {
        let (url, server) = once("\r\n\r\n", "HTTP/1.1 204 Done\r\n\r\n");
        let client = Client::new(url);
        assert_eq!(client.request("POST", "/", &[], None).unwrap().status, 204);
        assert!(server.join().unwrap().contains("content-length: 0\r\n"));
    }

    #[test]
    fn half_an_answer_is_no_answer() {
        let (url, _server) = once("\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{");
        let error = Client::new(url).get("/").unwrap_err();
        assert!(error.to_string().starts_with("no answer: "), "{error}");
    }
}
