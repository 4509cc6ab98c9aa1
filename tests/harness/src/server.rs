//! The real binary as a process: started, killed, stopped and continued as a machine or an operator would.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::guard::{Guarded, Orphan, guarded};
use crate::logs::Logs;
use crate::{Client, dormouse_binary, eventually};

const START_BOUND: Duration = Duration::from_secs(30);

/// A thread inside a system call of the disk stands still once that returns.
const SUSPENDED_BOUND: Duration = Duration::from_secs(30);

/// A probe of a server that hangs must end well before the bound does.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// What the server says on stdout as soon as it listens: the contract of `gateway.listen=127.0.0.1:0`.
const ANNOUNCEMENT: &str = "listening on http://";

const FAILURE_LOG_LINES: usize = 40;

/// A `dormouse serve` of one's own. Dropping it kills it; it is killed, too, when the test process is.
#[derive(Debug)]
pub struct Server {
    settings: ServerBuilder,
    directory: Directory,
    logs: Logs,
    process: Guarded,
    address: SocketAddr,
}

/// How to start a [`Server`].
#[derive(Debug, Clone, Default)]
pub struct ServerBuilder {
    through: Vec<OsString>,
    program: Option<PathBuf>,
    settings: Vec<String>,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    working_directory: Option<PathBuf>,
}

/// Why a server did not start, with the last of what it wrote.
#[derive(Debug)]
pub struct StartError {
    reason: String,
    status: Option<ExitStatus>,
    logs: String,
}

impl Server {
    /// Without further settings: SQLite under `./data` of a temporary directory, everything else as by default.
    #[must_use]
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// `http://127.0.0.1:port`; another one after [`Server::restart`].
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A new client for it.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.url())
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Where it runs, and keeps its files unless told otherwise.
    #[must_use]
    pub fn working_directory(&self) -> &Path {
        self.directory.path()
    }

    /// SIGKILL; returns when the process is gone.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM; does not wait. See [`Server::wait`].
    pub fn terminate(&self) {
        self.process.signal(Signal::TERM);
    }

    /// SIGSTOP: a machine that hangs, a long pause.
    pub fn suspend(&self) {
        self.process.signal(Signal::STOP);
        // The signal is sent to the process, and each of its threads goes on until it comes to notice.
        eventually("all of its threads stand still", SUSPENDED_BOUND, || all_threads_are_stopped(self.pid()));
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.process.signal(Signal::CONT);
    }

    /// Whether the process still runs; a suspended one does.
    pub fn is_running(&mut self) -> bool {
        self.process.status().is_none()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it still runs after `timeout`; the message shows its last log lines.
    #[track_caller]
    pub fn wait(&mut self, timeout: Duration) -> ExitStatus {
        match self.process.wait(timeout) {
            Some(status) => status,
            None => panic!("the server still runs after {timeout:?}\n{}", self.logs.tail(FAILURE_LOG_LINES)),
        }
    }

    /// The last lines of stdout and stderr, over all restarts (2,000 at most).
    #[must_use]
    pub fn logs(&self) -> String {
        self.logs.all()
    }

    /// An environment variable for this and every later start: a failpoint that is to be met only now, or no more.
    pub fn set_environment(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        let name = name.into();
        self.settings.environment.retain(|(present, _)| *present != name);
        self.settings.environment.push((name, value.into()));
    }

    /// Starts it again with the same settings in the same directory, on a new port; kills it first if it still runs.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn restart(&mut self) {
        self.try_restart().unwrap_or_else(|error| panic!("{error}"));
    }

    /// Like [`Server::restart`], for a server that may refuse to start. After an error it does not run.
    pub fn try_restart(&mut self) -> Result<(), StartError> {
        self.kill();
        (self.process, self.address) = launch(&self.settings, &self.directory, &self.logs)?;
        Ok(())
    }
}

impl ServerBuilder {
    /// `journal.url`.
    #[must_use]
    pub fn journal(self, url: impl AsRef<str>) -> Self {
        self.set(format!("journal.url={}", url.as_ref()))
    }

    /// `--set section.key=value`.
    #[must_use]
    pub fn set(mut self, setting: impl Into<String>) -> Self {
        self.settings.push(setting.into());
        self
    }

    /// Runs there instead of in a temporary directory of its own, and leaves it when it ends.
    #[must_use]
    pub fn working_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.working_directory = Some(path.into());
        self
    }

    /// Further arguments, after `serve` and all settings.
    #[must_use]
    pub fn arguments<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// An environment variable. `DORMOUSE__…` variables of the test process are not passed on.
    #[must_use]
    pub fn environment(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Another application than the shipped one, with the same command line.
    #[must_use]
    pub fn program(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = Some(path.into());
        self
    }

    /// Starts it through another command, which must become it (`exec`) in the end.
    #[must_use]
    pub(crate) fn through(mut self, command: impl IntoIterator<Item = OsString>) -> Self {
        self.through = command.into_iter().collect();
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// When it does not start; the message shows its last log lines.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> Server {
        self.try_start().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Like [`ServerBuilder::start`], for a server that should refuse to start.
    pub fn try_start(self) -> Result<Server, StartError> {
        let directory = match &self.working_directory {
            Some(path) => Directory::Given(path.clone()),
            None => Directory::temporary(),
        };
        let logs = Logs::default();
        let (process, address) = launch(&self, &directory, &logs)?;
        Ok(Server { settings: self, directory, logs, process, address })
    }
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

fn launch(settings: &ServerBuilder, directory: &Directory, logs: &Logs) -> Result<(Guarded, SocketAddr), StartError> {
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
    logs.drain(stdout, move |line| {
        if let Some(address) = line.strip_prefix(ANNOUNCEMENT) {
            // Nobody listens any more when it announces itself too late, or twice.
            let _ = announced.send(address.trim().to_owned());
        }
    });
    logs.drain(stderr, |_| {});

    match ready_address(&mut process, &announcement) {
        Ok(address) => Ok((process, address)),
        Err(reason) => {
            let status = process.status();
            process.kill();
            // The threads that drain its output may have a few lines to go.
            sleep(Duration::from_millis(50));
            Err(StartError { reason, status, logs: logs.tail(FAILURE_LOG_LINES) })
        }
    }
}

/// Waits for the announcement and for readiness; `Err` is the reason, in words.
fn ready_address(process: &mut Guarded, announcement: &mpsc::Receiver<String>) -> Result<SocketAddr, String> {
    let deadline = Instant::now() + START_BOUND;
    let address = announcement.recv_timeout(START_BOUND).map_err(|error| match error {
        RecvTimeoutError::Timeout => format!("it did not say `{ANNOUNCEMENT}…` within {START_BOUND:?}"),
        // Its stdout was closed, so it has ended or is about to.
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

#[derive(Debug)]
enum Directory {
    Given(PathBuf),
    Temporary(TempDir),
}

impl Directory {
    fn temporary() -> Self {
        let directory = tempfile::Builder::new().prefix("dormouse-server-").tempdir();
        Self::Temporary(directory.expect("a temporary directory can be created"))
    }

    fn path(&self) -> &Path {
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

/// Whether no thread of a process runs, as Linux tells: the state comes right behind the name, which is in parentheses.
fn all_threads_are_stopped(process: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("a process has threads");
    threads.flatten().all(|thread| {
        // A thread that has ended meanwhile does not run.
        let told = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        told.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with(['T', 'Z']))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::os::unix::process::ExitStatusExt;
    use std::thread;

    use super::*;
    use crate::eventually;

    /// A program that says it listens where a thread of this test answers every request with 200.
    struct Stage {
        directory: TempDir,
        address: SocketAddr,
    }

    impl Stage {
        fn new() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            thread::spawn(move || {
                for connection in listener.incoming() {
                    let mut connection = connection.unwrap();
                    let _ = connection.read(&mut [0; 1024]);
                    let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
                }
            });
            let directory = tempfile::tempdir().unwrap();
            Self { directory, address }
        }

        /// `sh serve …` runs the script of that name: a fresh file that is read cannot be "busy", as one that is
        /// executed can while another thread of this process forks.
        fn playing(&self, script: &str) -> ServerBuilder {
            fs::write(self.directory.path().join("serve"), script).unwrap();
            Server::builder()
                .program("sh")
                .working_directory(self.directory.path())
                .environment("ADDRESS", self.address.to_string())
        }
    }

    #[test]
    fn a_server_is_found_where_it_says() {
        let stage = Stage::new();
        let server = stage
            .playing(r#"echo "$0 $@" >&2; echo "listening on http://$ADDRESS"; exec sleep 60"#)
            .journal("memory:")
            .set("runtime.shards=8")
            .arguments(["--profile", "test"])
            .start();
        assert_eq!(server.address(), stage.address);
        eventually("its log", Duration::from_secs(5), || {
            server.logs().contains(
                "serve --set gateway.listen=127.0.0.1:0 --set journal.url=memory: --set runtime.shards=8 --profile test",
            )
        });
    }

    #[test]
    fn a_server_that_ends_at_once_says_why() {
        let error = Stage::new().playing("echo 'no such profile' >&2; exit 3").try_start().unwrap_err();
        assert_eq!(error.status().unwrap().code(), Some(3));
        assert!(error.to_string().contains("it ended with exit status: 3"), "{error}");
        assert!(error.logs().contains("no such profile"), "{error}");
    }

    #[test]
    fn a_server_takes_signals_and_starts_again_where_it_was() {
        let stage = Stage::new();
        let mut server = stage
            .playing(
                r#"echo run >>runs; trap 'exit 7' TERM; echo "listening on http://$ADDRESS"; while :; do sleep 0.01; done"#,
            )
            .start();

        server.suspend();
        server.terminate();
        sleep(Duration::from_millis(100));
        assert!(server.is_running());
        server.resume();
        assert_eq!(server.wait(Duration::from_secs(5)).code(), Some(7));

        server.restart();
        let runs = fs::read_to_string(server.working_directory().join("runs"));
        assert_eq!(runs.unwrap(), "run\nrun\n");
        server.kill();
        assert_eq!(server.wait(Duration::ZERO).signal(), Some(9));
    }
}
