//! Starts the binary, and waits until it is ready.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{FAILURE_LOG_LINES, ServerBuilder};
use crate::guard::{Guarded, Orphan, guarded};
use crate::logs::{Logs, await_last_lines};
use crate::{Client, dormouse_binary};

const START_BOUND: Duration = Duration::from_secs(30);

/// A request to a server that hangs must end well before the bound does.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// The server writes this to stdout as soon as it listens: the contract of `gateway.listen=127.0.0.1:0`.
const ANNOUNCEMENT: &str = "listening on http://";

/// The reason why a server did not start, with the last lines of its output.
#[derive(Debug)]
pub struct StartError {
    reason: String,
    status: Option<ExitStatus>,
    logs: String,
}

impl StartError {
    /// The exit status, if it ended by itself.
    #[must_use]
    pub fn status(&self) -> Option<ExitStatus> {
        self.status
    }

    /// The last lines of stdout and stderr.
    #[must_use]
    pub fn logs(&self) -> &str {
        &self.logs
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server did not start: {}\n{}", self.reason, self.logs)
    }
}

impl std::error::Error for StartError {}

/// A process that is ready.
#[derive(Debug)]
pub(super) struct Launched {
    pub(super) process: Guarded,
    pub(super) address: SocketAddr,
    /// The threads that read its output.
    pub(super) readers: [JoinHandle<()>; 2],
}

pub(super) fn launch(settings: &ServerBuilder, directory: &Directory, logs: &Logs) -> Result<Launched, StartError> {
    let program = settings.program.as_deref().unwrap_or_else(|| dormouse_binary());
    let words: Vec<&OsStr> = settings.through.iter().map(OsString::as_os_str).chain([program.as_os_str()]).collect();
    let mut command = guarded(words[0]);
    command.args(&words[1..]);
    command.args(["serve", "--set", "gateway.listen=127.0.0.1:0"]);
    for setting in &settings.settings {
        command.args(["--set", setting]);
    }
    command.args(&settings.arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("DORMOUSE__") {
            command.env_remove(name);
        }
    }
    command
        .envs(settings.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(directory.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let orphan = Orphan { signal: "KILL", directory: directory.to_remove() };
    let mut process = Guarded::start(command, &orphan);

    let (announced, announcement) = mpsc::channel();
    let stdout = process.child().stdout.take().expect("stdout is piped");
    let stderr = process.child().stderr.take().expect("stderr is piped");
    let of_stdout = logs.drain(stdout, move |line| {
        if let Some(address) = line.strip_prefix(ANNOUNCEMENT) {
            // The receiver is gone if the line comes too late or twice.
            let _ = announced.send(address.trim().to_owned());
        }
    });
    let readers = [of_stdout, logs.drain(stderr, |_| {})];

    match ready_address(&mut process, &announcement) {
        Ok(address) => Ok(Launched { process, address, readers }),
        Err(reason) => {
            let status = process.status();
            process.kill();
            await_last_lines(&readers);
            Err(StartError { reason, status, logs: logs.tail(FAILURE_LOG_LINES) })
        }
    }
}

/// Waits for the announcement, and until the server is ready. `Err` is the reason in words.
fn ready_address(process: &mut Guarded, announcement: &mpsc::Receiver<String>) -> Result<SocketAddr, String> {
    let deadline = Instant::now() + START_BOUND;
    let address = announcement.recv_timeout(START_BOUND).map_err(|error| match error {
        RecvTimeoutError::Timeout => format!("it did not say `{ANNOUNCEMENT}…` within {START_BOUND:?}"),
        // The process closed its stdout, so it has ended or is about to end.
        RecvTimeoutError::Disconnected => match process.wait(Duration::from_secs(5)) {
            Some(status) => format!("it ended with {status}"),
            None => "it closed its stdout".to_owned(),
        },
    })?;
    let address: SocketAddr = address.parse().map_err(|_| format!("it listens on `{address}`, which is no address"))?;

    let probe = Client::with_timeout(format!("http://{address}"), PROBE_TIMEOUT);
    let mut last = String::new();
    while Instant::now() < deadline {
        match probe.get("/health/ready") {
            Ok(answer) if answer.status == 200 => return Ok(address),
            Ok(answer) => last = answer.to_string(),
            Err(error) => last = error.to_string(),
        }
        if let Some(status) = process.status() {
            return Err(format!("it ended with {status} before it was ready"));
        }
        sleep(Duration::from_millis(5));
    }
    Err(format!("it was not ready within {START_BOUND:?}, /health/ready: {last}"))
}

/// The working directory of a server.
#[derive(Debug)]
pub(super) enum Directory {
    Given(PathBuf),
    Temporary(TempDir),
}

impl Directory {
    pub(super) fn temporary() -> Self {
        let directory = tempfile::Builder::new().prefix("dormouse-server-").tempdir();
        Self::Temporary(directory.expect("a temporary directory can be created"))
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Given(path) => path,
            Self::Temporary(directory) => directory.path(),
        }
    }

    fn to_remove(&self) -> Option<&Path> {
        match self {
            Self::Given(_) => None,
            Self::Temporary(directory) => Some(directory.path()),
        }
    }
}
