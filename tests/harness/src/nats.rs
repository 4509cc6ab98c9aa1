//! A NATS server with JetStream in a temporary directory, and the little of its protocol that a test needs.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::eventually;
use crate::guard::{Guarded, Orphan, guarded};

const START_BOUND: Duration = Duration::from_secs(30);
const ANSWER_BOUND: Duration = Duration::from_secs(20);

/// The subject on which the test gets answers.
const INBOX: &str = "_INBOX.test";

/// A `nats-server` with JetStream. It is killed when this is dropped.
#[derive(Debug)]
pub struct Nats {
    directory: TempDir,
    port: u16,
    server: Option<Guarded>,
}

/// A message of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsMessage {
    /// Its subject.
    pub subject: String,
    /// The header `Nats-Msg-Id`.
    pub id: String,
    /// Its payload.
    pub body: Vec<u8>,
}

impl Nats {
    /// Starts a server without streams on a free port.
    ///
    /// # Panics
    /// If there is no program `nats-server`, or if it does not start.
    #[must_use]
    pub fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("dormouse-nats-").tempdir();
        let directory = directory.expect("a temporary directory can be created");
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let port = listener.local_addr().expect("a listener has an address").port();
        drop(listener);
        let mut nats = Self { directory, port, server: None };
        nats.start_again();
        nats
    }

    /// `nats://127.0.0.1:port`, also after a restart.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// SIGKILL. What it has acknowledged is in its files.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill();
        }
    }

    /// Starts it again with the same files and on the same port.
    pub fn start_again(&mut self) {
        let log = OpenOptions::new().append(true).create(true).open(self.directory.path().join("log"));
        let log = log.expect("the log can be opened");
        let mut command = guarded(program());
        command
            .args(["--jetstream", "--addr", "127.0.0.1", "--port", &self.port.to_string(), "--store_dir"])
            .arg(self.directory.path())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log);
        let orphan = Orphan { signal: "KILL", directory: Some(self.directory.path()) };
        self.server = Some(Guarded::start(command, &orphan));
        eventually("nats-server answers", START_BOUND, || self.ask("$JS.API.INFO", &json!({})).is_some());
    }

    /// Creates a stream for these subjects.
    ///
    /// # Panics
    /// If the server refuses it.
    #[track_caller]
    pub fn create_stream(&self, name: &str, subjects: &str) {
        let config = json!({"name": name, "subjects": [subjects], "storage": "file", "retention": "limits",
            "discard": "old", "max_consumers": -1, "max_msgs": -1, "max_bytes": -1, "num_replicas": 1});
        let created = self.request(&format!("$JS.API.STREAM.CREATE.{name}"), &config);
        assert!(created.get("error").is_none(), "{created}");
    }

    /// Everything that a stream has, in order. Nothing if there is no such stream.
    #[must_use]
    pub fn messages(&self, stream: &str) -> Vec<NatsMessage> {
        let info = self.request(&format!("$JS.API.STREAM.INFO.{stream}"), &json!({}));
        let last = info["state"]["last_seq"].as_u64().unwrap_or(0);
        (1..=last)
            .map(|sequence| {
                let found = self.request(&format!("$JS.API.STREAM.MSG.GET.{stream}"), &json!({"seq": sequence}));
                let message = &found["message"];
                let text = |field: &str| message[field].as_str().unwrap_or_default();
                let headers = String::from_utf8(base64(text("hdrs"))).expect("headers are text");
                let id = headers.lines().find_map(|line| line.strip_prefix("Nats-Msg-Id: ")).unwrap_or_default();
                NatsMessage { subject: text("subject").to_owned(), id: id.to_owned(), body: base64(text("data")) }
            })
            .collect()
    }

    #[track_caller]
    fn request(&self, subject: &str, body: &Value) -> Value {
        self.ask(subject, body).unwrap_or_else(|| panic!("nats-server does not answer {subject}"))
    }

    /// A request, and its answer.
    fn ask(&self, subject: &str, body: &Value) -> Option<Value> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        connection.set_read_timeout(Some(ANSWER_BOUND)).ok()?;
        let body = body.to_string();
        let sent = format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false}}\r\nSUB {INBOX} 1\r\nPUB {subject} {INBOX} {}\r\n{body}\r\n",
            body.len()
        );
        connection.write_all(sent.as_bytes()).ok()?;
        let mut reader = BufReader::new(connection);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(message) = line.trim_end().strip_prefix("MSG ") {
                let mut answer = vec![0; message.rsplit(' ').next()?.parse().ok()?];
                reader.read_exact(&mut answer).ok()?;
                return serde_json::from_slice(&answer).ok();
            }
        }
    }
}

/// The program: in the `PATH`, or where Debian has it.
fn program() -> &'static str {
    const DEBIAN: &str = "/usr/sbin/nats-server";
    if Path::new(DEBIAN).exists() { DEBIAN } else { "nats-server" }
}

/// Decodes base64.
fn base64(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'=').map(value).collect();
    let groups = digits.chunks(4).flat_map(|group| {
        let bits = (0..4).fold(0u32, |bits, at| bits << 6 | u32::from(group.get(at).copied().unwrap_or(0)));
        bits.to_be_bytes()[1..group.len()].to_vec()
    });
    groups.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_decoded() {
        for (text, bytes) in [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYg==", "foob")] {
            assert_eq!(base64(text), bytes.as_bytes());
        }
        assert_eq!(base64("+/8="), [0xfb, 0xff]);
    }
}
